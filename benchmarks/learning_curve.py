"""What few labels of a new niche are worth: macro-F1 by how many threads are labelled.

    python benchmarks/learning_curve.py --niche personas -o personas.jsonl
    python benchmarks/learning_curve.py --niche multiemotions_it --text-root PATH --base MODEL \\
        -o source.jsonl

Two kinds of niche, both new to ``--base``: *personas* of the test split, of which half lend their
threads to learn from and the other half is measured on, drawn anew by every seed; or one *source*
of the labelled real comments, with its own train and test parts, and a model made without it.
From the same threads learn `IntimacyClassifier` starting from the model, the same starting from
its encoder, and TF-IDF with logistic regression. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import intimacy
from intimacy import evaluation
from intimacy.annotation import AnnotatedThread
from intimacy.assessment import ENOUGH
from intimacy.bundle import bundled_path
from intimacy.training.baselines import tfidf_logistic_regression

WAYS = ("majority", "tfidf", "encoder", "model", "model as it is")


def niche(
    items: Sequence[AnnotatedThread], name: str, split: str, seed: int
) -> tuple[list[AnnotatedThread], list[AnnotatedThread]]:
    """Threads to draw from, in random order, and threads to measure on, of other creators."""
    rng = random.Random(seed)
    if name == "personas":
        mine = [i for i in items if i.split == split and i.source is None]
        personas = sorted({str(i.persona) for i in mine})
        rng.shuffle(personas)
        learnt = set(personas[: len(personas) // 2])
        pool = [i for i in mine if i.persona in learnt]
        test = [i for i in mine if i.persona not in learnt]
    else:
        pool = [i for i in items if i.source == name and i.split == "train"]
        test = [i for i in items if i.source == name and i.split == split]
    rng.shuffle(pool)
    return pool, test


def answers(
    way: str, some: list[AnnotatedThread], test: list[AnnotatedThread], args: argparse.Namespace
) -> tuple[list[str], float | None]:
    """A label for every thread of ``test``, and the calibration error where there are scores."""
    if way == "majority":
        return [Counter(str(i.label) for i in some).most_common(1)[0][0]] * len(test), None
    if way == "tfidf":
        return tfidf_logistic_regression(some)(test), None
    threads = [i.thread for i in test]
    if way == "model as it is":
        model = intimacy.IntimacyClassifier.from_pretrained(args.base)
    else:
        base, layers = (args.base, 0) if way == "model" else (args.encoder, args.layers)
        given = json.loads(args.params) | {"random_state": args.seed, "layers": layers}
        model = intimacy.IntimacyClassifier(base, **given).fit(some)
    scores = model.predict_proba(threads)
    said = [str(c) for c in model.classes_[scores.argmax(1)]]
    right = np.array([a == str(i.label) for a, i in zip(said, test, strict=True)])
    return said, evaluation.calibration_error(scores.max(1), right)


def measured(way: str, n: int, args: argparse.Namespace, items: Any) -> dict[str, Any]:
    """One cell: one way, one number of labels, one seed."""
    pool, test = niche(items, args.niche, args.split, args.seed)
    truth = [str(i.label) for i in test]
    labels = [name for name, k in sorted(Counter(truth).items()) if k >= ENOUGH]
    start = time.perf_counter()
    some = pool[:n]
    said, ece = answers(way, some, test, args)
    f1 = evaluation.macro_f1(truth, said, labels)
    return {
        "niche": args.niche,
        "way": way,
        "n": n,
        "seed": args.seed,
        "macro_f1": round(f1, 4),
        "ece": None if ece is None else round(ece, 4),
        "labels": labels,
        "test": len(test),
        "creators": len({i.cluster for i in some}),
        "seconds": round(time.perf_counter() - start, 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Mean and spread over the seeds, in Markdown."""
    sizes = sorted({r["n"] for r in rows if r["n"]})
    out = ["| | " + " | ".join(map(str, sizes)) + " |", "|---" * (len(sizes) + 1) + "|"]
    for way in WAYS:
        cells = []
        for n in sizes:
            mine = [r["macro_f1"] for r in rows if r["way"] == way and r["n"] in (n, 0)]
            spread = statistics.stdev(mine) if len(mine) > 1 else 0.0
            cells.append(f"{statistics.mean(mine):.3f} ± {spread:.3f}" if mine else "—")
        out.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", nargs="?", default=None)
    parser.add_argument("--text-root", type=Path)
    parser.add_argument("--niche", default="personas", help="'personas', or a source")
    parser.add_argument("--split", default="test", help="'dev' to choose settings by")
    parser.add_argument("--base", type=Path, default=bundled_path())
    parser.add_argument("--encoder", default="models/encoder-it")
    parser.add_argument("--layers", type=int, default=4, help="of the encoder, as the model has")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--params", default="{}", help="of IntimacyClassifier, as JSON")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    items = [i for i in intimacy.load_corpus(args.corpus, text_root=args.text_root) if i.label]
    done = args.output.read_text("utf-8").splitlines() if args.output.exists() else []
    rows = [json.loads(line) for line in done]
    known = {(r["way"], r["n"], r["seed"]) for r in rows}
    cells = [
        (way, n, seed)
        for seed in args.seeds
        for way in args.ways
        for n in ([0] if way == "model as it is" else args.sizes)
        if (way, n, seed) not in known
    ]
    for way, n, seed in tqdm(cells, unit="cell"):
        row = measured(way, n, argparse.Namespace(**(vars(args) | {"seed": seed})), items)
        rows.append(row)
        with args.output.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
