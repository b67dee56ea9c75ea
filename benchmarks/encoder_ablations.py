"""What each step gives an encoder: ``python benchmarks/encoder_ablations.py OUT --corpora PATH``.

Every variant is trained on as many tokens as the others and measured twice: surprise at hidden
words of comments that none has trained on, and Pearson r of a linear probe on the training part of
MINT (5-fold, three seeds; ``benchmarks/encoder_probes.py`` says how). ``--scores FILE`` adds what
the third step gives, by its own recipe; it hides no words, so it has no surprise. With ``--shown``
no variant is tested on tweets that the scorers saw. An encoder that OUT holds already is not made
again, so a run that was cut off goes on. ``docs/encoder.md`` has the figures of an H200.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from encoder_probes import GRADED, Encoder, embed, frozen, tasks

from intimacy.training import corpora
from intimacy.training.config import (
    DistillConfig,
    EncoderConfig,
    MixConfig,
    PretrainConfig,
    ShapeConfig,
    load,
)
from intimacy.training.distill import distill
from intimacy.training.pretrain import pretrain

FOUR = (0, 2, 4, 5)
"""Layers of the teacher that a student of four keeps."""
NARROW = ShapeConfig(width=256, layers=4, heads=8, feed_forward=1_024)


def variants(
    folder: Path,
    out: Path,
    carry: DistillConfig,
    words: PretrainConfig,
    scores: str | None,
    device: str,
) -> dict[str, Callable[[], object]]:
    """What makes each encoder, in an order in which none waits for a later one."""

    def student(name: str, config: DistillConfig) -> Callable[[], object]:
        return lambda: distill(folder, out / name, config, device=device)

    def masked(name: str, config: PretrainConfig, start: str | None) -> Callable[[], object]:
        where = None if start is None else out / start
        return lambda: pretrain(folder, out / name, config, start=where, device=device)

    alone = replace(words, parallel_share=0.0)
    once = replace(words, mix=MixConfig(social=1.0, threads=1.0))
    licensed = replace(words, tiers=("open", "nc"))
    six = replace(alone, shape=replace(ShapeConfig(), layers=6))
    shallow = replace(carry, encoder=EncoderConfig(layers=FOUR))
    plan: dict[str, Callable[[], object]] = {
        "warm start": student("warm start", replace(carry, passes=0.0)),
        "distilled": student("distilled", carry),
        "distilled 4×384": student("distilled 4×384", shallow),
    }
    runs: list[tuple[str, PretrainConfig, str | None]] = [
        ("random, words", six, None),
        ("warm start, words", alone, "warm start"),
        ("distilled, words", alone, "distilled"),
        ("distilled, words and pairs", words, "distilled"),
        ("the same, social text once", once, "distilled"),
        ("the same, without unlicensed text", licensed, "distilled"),
        ("the same, 4×384", words, "distilled 4×384"),
        ("random, words and pairs, 4×256", replace(words, shape=NARROW), None),
    ]
    if scores:
        scored = load(PretrainConfig, "score-it")
        scored = replace(scored, scores=replace(scored.scores, file=scores))
        runs.append(("words and pairs, then scores", scored, "distilled, words and pairs"))
    return plan | {name: masked(name, config, start) for name, config, start in runs}


def held_out(folder: Path) -> float | None:
    """Surprise at hidden words that `pretrain` left in its measurements."""
    path = folder / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found = [value for line in lines if (value := json.loads(line).get("held_out_loss"))]
    return found[-1] if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--teacher", help="path of the teacher; else its hub name")
    parser.add_argument("--scores", help="file of scores; adds the third step to the first two")
    parser.add_argument("--shown", type=Path, help="hashes of tweets not to be tested on")
    parser.add_argument("--tokens", type=int, default=30_000_000)
    parser.add_argument("--tokens-per-batch", type=int, default=65_536)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    folder = corpora.locate(options.corpora)
    carry, words = load(DistillConfig, "distill-it"), load(PretrainConfig, "pretrain-it")
    if options.teacher:
        carry = replace(carry, pairs=replace(carry.pairs, teacher=options.teacher))
    words = replace(
        words,
        pairs=carry.pairs,
        tokens=options.tokens,
        tokens_per_batch=options.tokens_per_batch,
    )
    plan = variants(folder, options.out, carry, words, options.scores, options.device)
    shown = options.shown.read_text("utf-8").split() if options.shown else []
    (mint,) = (task for task in tasks(folder, False, shown) if task.name == "mint")
    for name, make in plan.items():
        started = time.monotonic()
        if not (options.out / name / "tokenizer_config.json").exists():
            make()
        seconds = round(time.monotonic() - started, 1)
        vectors = embed(Encoder.open(options.out / name), mint.texts, options.device)
        found = [frozen(vectors, mint, seed)[GRADED][0] for seed in range(3)]
        figures = {
            "variant": name,
            "seconds": seconds,
            "held_out_loss": held_out(options.out / name),
            "mint_r": round(float(np.mean(found)), 4),
            "spread": round(float(np.std(found)), 4),
        }
        print(json.dumps(figures, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
