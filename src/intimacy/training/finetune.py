"""`intimacy train`: a labelled corpus and an encoder make a model folder.

Personas are held out for choosing (dev) and for the final figures (test). The network is
exported first and calibrated as exported, so that what is stored fits what is run.
"""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer

from intimacy import audit
from intimacy import bundle as bundles
from intimacy import corpus as corpora
from intimacy.annotation import AnnotatedThread
from intimacy.backends import Batch
from intimacy.bundle import HEADS, Bundle, Manifest
from intimacy.classifier import Classifier, possible
from intimacy.errors import ConfigError, CorpusError, IntimacyWarning
from intimacy.render import SPECIAL_TOKENS, ModelInput, Renderer
from intimacy.schema import Label
from intimacy.training import calibration, card, loop, results
from intimacy.training.config import TrainConfig
from intimacy.training.export import export
from intimacy.training.model import ThreadModel, from_encoder, save
from intimacy.training.progress import Progress
from intimacy.training.variation import Variation

_LABELS = tuple(str(label) for label in Label)


@dataclass(frozen=True)
class _Example:
    item: AnnotatedThread
    targets: dict[str, Tensor]
    """Head → distribution over its values; heads without a known value are absent."""
    allowed: Tensor
    """Labels that the thread's structure leaves open, as booleans."""


def train(
    corpus: Path,
    out: Path,
    *,
    encoder: str,
    config: TrainConfig,
    name: str,
    version: str,
    text_root: Path | None = None,
    device: str = "cpu",
) -> str:
    """Fine-tune, export, calibrate, evaluate; write the model folder.

    With several seeds a run that was killed goes on after the last network it finished, unless
    anything about it is another.

    Args:
        corpus: JSONL file or folder, see `intimacy.corpus`.
        out: Folder to write; appears only when it is whole.
        encoder: transformers folder or hub name, with this library's special tokens.
        config: What to do.
        name: Name of the model.
        version: Version of the model.
        text_root: Folder with the texts of labels without text, see `intimacy.load_corpus`.
        device: A torch device; on CUDA the encoder runs in bfloat16.

    Returns: The figures on the held-out sets, as JSON.

    Raises:
        ConfigError: When ``out`` holds anything but an earlier model, which is replaced.
        CorpusError: When the corpus cannot be split or lacks a label.
    """
    if out.exists() and not (out / bundles.MANIFEST).is_file() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty and not a model folder; name another place")
    items = corpora.load_corpus(corpus, text_root=text_root)
    parts = corpora.split(items, dev=config.dev_share, test=config.test_share, seed=config.seed)
    _check(parts)
    _warn_of_leaks(parts)
    tokenizer = AutoTokenizer.from_pretrained(encoder).backend_tokenizer
    found = [tokenizer.id_to_token(i) for i in range(len(SPECIAL_TOKENS))]
    if found != list(SPECIAL_TOKENS):
        raise CorpusError(
            f"{encoder}: the tokenizer starts with {found}; expected {list(SPECIAL_TOKENS)}. "
            "Make one with 'intimacy distill'"
        )
    made = {
        "config": asdict(config),
        "encoder": Path(encoder).name,
        "encoder_digest": _digest_of(encoder),
        "corpus": {file.name: bundles.digest(file) for file in corpora.corpus_files(corpus)},
    }
    # How many seeds there are changes none of the networks.
    alike = {**made, "name": name, "version": version, "config": asdict(replace(config, seeds=1))}
    work = _workshop(out, alike)
    blank = Manifest(name=name, version=version, render=config.render, prior=_prior(parts["train"]))
    networks = []
    for seed in range(config.seed, config.seed + config.seeds):
        folder = work / f"seed-{seed}"
        if not (folder / bundles.MANIFEST).is_file():
            _one(folder, parts, tokenizer, replace(config, seed=seed), blank, encoder, device)
        networks.append(bundles.open_bundle(folder))
    chosen = min(networks, key=lambda bundle: float(bundle.manifest.training["dev_loss"]))
    figures = results.evaluate(chosen, networks, parts, encoder=encoder)
    manifest = replace(
        chosen.manifest,
        files={file: bundles.digest(chosen.path / file) for file in _FILES},
        training={
            **made,
            **chosen.manifest.training,
            "threads": {part: len(members) for part, members in parts.items()},
            "personas": {
                part: len({i.persona for i in m if i.persona}) for part, m in parts.items()
            },
            "versions": {
                p: metadata.version(p) for p in ("intimacy", "torch", "transformers", "onnxruntime")
            },
            "command": f"intimacy train {corpus.name} --encoder {Path(encoder).name}"
            + (" --text-root PATH" if text_root else ""),
            "real_comments": sum(item.source is not None for item in parts["train"]),
            "figures": figures,
            "parity": results.parity(chosen, parts),
            "behaviour": results.behave(chosen, parts),
            "agreement": results.agreement(parts),
            "failures": results.failures(chosen, parts),
        },
    )
    bundles.write_manifest(chosen.path, manifest)
    about, notice = _text(corpus / "README.md"), _text(Path(encoder) / "NOTICE.md")
    page = card.write(manifest, about=about, notice=notice)
    (chosen.path / "README.md").write_text(page, "utf-8")
    shutil.rmtree(out, ignore_errors=True)
    chosen.path.replace(out)
    shutil.rmtree(work)
    return json.dumps(figures, ensure_ascii=False, indent=2)


_FILES = ("model.onnx", "model.safetensors", "config.json", "tokenizer.json")


def _digest_of(encoder: str) -> str | None:
    """SHA-256 of the weights of a local encoder; None for one that a hub delivers."""
    weights = Path(encoder) / "model.safetensors"
    return bundles.digest(weights) if weights.is_file() else None


def _text(path: Path) -> str | None:
    return path.read_text("utf-8").strip() if path.is_file() else None


def _workshop(out: Path, run: dict[str, Any]) -> Path:
    """The folder of an unfinished run, emptied when it is of another one."""
    work = out.with_name(f".{out.name}.partial")
    said, place = json.dumps(run, sort_keys=True, indent=2), work / "run.json"
    if not place.is_file() or place.read_text("utf-8") != said:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        place.write_text(said, "utf-8")
    return work


def _one(
    folder: Path,
    parts: dict[str, list[AnnotatedThread]],
    tokenizer: Tokenizer,
    config: TrainConfig,
    manifest: Manifest,
    encoder: str,
    device: str,
) -> None:
    """One network: trained, exported, calibrated. The manifest comes last."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    torch.manual_seed(config.seed)
    network = from_encoder(encoder, HEADS, dropout=config.dropout).to(device)
    renderer = Renderer(tokenizer, config.render)
    dev_loss = _fit(
        network, parts["train"], parts["dev"], renderer, config, folder / "metrics.jsonl"
    )
    network.to("cpu")
    save(network, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    export(network, folder / "model.onnx")
    uncalibrated = Classifier(Bundle(folder, manifest, manifest.name))
    calibrated = calibration.calibrate(uncalibrated, manifest, parts["dev"], config)
    training = {"seed": config.seed, "dev_loss": dev_loss}
    bundles.write_manifest(folder, replace(calibrated, training=training))


def _check(parts: dict[str, list[AnnotatedThread]]) -> None:
    for part in ("train", "dev"):
        missing = set(_LABELS) - {str(i.label) for i in parts[part]}
        if missing:
            raise CorpusError(
                f"the {part} part has no thread labelled {', '.join(sorted(missing))}; label "
                "more threads, or change the seed of the split"
            )


def _warn_of_leaks(parts: dict[str, list[AnnotatedThread]]) -> None:
    """Say so when a part holds what another one holds: its figures would be too good."""
    items = [replace(item, split=part) for part, members in parts.items() for item in members]
    found = audit.leaks(items, audit.near_duplicates([item.thread for item in items]))
    if found:
        warnings.warn(
            f"{len(found)} leaks between the parts, e.g. {found[0]}; 'intimacy corpus check' "
            "lists those of a corpus that states its splits",
            IntimacyWarning,
            stacklevel=3,
        )


def _prior(items: Sequence[AnnotatedThread]) -> dict[str, float]:
    totals = {name: sum(i.target.get(name, 0.0) for i in items) for name in _LABELS}
    whole = sum(totals.values())
    return {name: value / whole for name, value in totals.items()}


# -- examples


def _example(item: AnnotatedThread) -> _Example:
    allowed = torch.tensor([name in possible(item.thread) for name in _LABELS])
    targets: dict[str, Tensor] = {}
    scope = next(iter(item.flags), "in_scope")
    targets["scope"] = _one_hot("scope", scope)
    if not item.flags:
        label = torch.tensor([item.target.get(name, 0.0) for name in _LABELS]) * allowed
        if label.sum() > 0:
            targets["label"] = label / label.sum()
        for head in HEADS:
            if head not in targets and (target := _axis(item, head)) is not None:
                targets[head] = target
    return _Example(item, targets, allowed)


def _axis(item: AnnotatedThread, head: str) -> Tensor | None:
    """Distribution of the annotators' answers on one axis; None where nobody answered."""
    answers = [vote[head] for vote in item.votes if vote.get(head) is not None]
    if not answers and item.attributes.get(head) is not None:
        answers = [item.attributes[head]]
    known = [_one_hot(head, answer) for answer in answers if answer in HEADS[head]]
    return torch.stack(known).mean(0) if known else None


def _one_hot(head: str, value: Any) -> Tensor:
    out = torch.zeros(len(HEADS[head]))
    out[HEADS[head].index(value)] = 1.0
    return out


# -- fitting


def _fit(
    network: ThreadModel,
    train_items: Sequence[AnnotatedThread],
    dev_items: Sequence[AnnotatedThread],
    renderer: Renderer,
    config: TrainConfig,
    log: Path,
) -> float:
    """Train with early stopping on the development loss; leaves the best weights in place.

    Returns: Their loss.
    """
    variation = Variation(train_items, config)
    dev = [_example(item) for item in dev_items]
    dev_inputs = [renderer.render(item.thread) for item in dev_items]
    optimizer = _optimizer(network, config)
    rng = random.Random(config.seed)
    best, best_loss, waited = copy.deepcopy(network.state_dict()), math.inf, 0
    with Progress("train", total=config.epochs, unit="epoch", log=log) as bar:
        for epoch in range(config.epochs):
            network.train()
            losses = []
            examples = [_example(variation.of(item, rng)) for item in train_items]
            inputs = [renderer.render(example.item.thread) for example in examples]
            batches = _shuffled(inputs, config.tokens_per_batch, rng)
            for number, rows in enumerate(batches):
                done = (epoch + (number + 1) / len(batches)) / config.epochs
                loop.set_rate(optimizer, done, config.warmup)
                logits = _run(network, [inputs[i] for i in rows])
                loss = _loss(logits, [examples[i] for i in rows], config)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                losses.append(loss.item())
            dev_loss = _dev_loss(network, dev, dev_inputs, config)
            mean = sum(losses) / len(losses)
            bar.step(loss=f"{mean:.3f}", dev_loss=f"{dev_loss:.3f}")
            bar.record(epoch=epoch, loss=mean, dev_loss=dev_loss)
            if dev_loss < best_loss:
                best, best_loss, waited = copy.deepcopy(network.state_dict()), dev_loss, 0
            else:
                waited += 1
                if waited > config.patience:
                    break
    network.load_state_dict(best)
    return best_loss


def _optimizer(network: ThreadModel, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; the deeper a layer, the more carefully it is changed."""
    layers = network.encoder.config.num_hidden_layers
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not name.startswith("encoder."):
            rate = config.lr_heads
        elif ".layer." in name:
            depth = int(name.split(".layer.")[1].split(".")[0])
            rate = config.lr * config.layer_decay ** (layers - 1 - depth)
        else:
            rate = config.lr * config.layer_decay**layers
        groups.setdefault(rate, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "lr": rate, "peak": rate} for rate, params in groups.items()],
        weight_decay=config.weight_decay,
    )


def _shuffled(inputs: Sequence[ModelInput], tokens: int, rng: random.Random) -> list[list[int]]:
    """Batches of similar lengths, of at most ``tokens`` padded tokens, in random order."""
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i].ids) + rng.uniform(0, 12))
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, len(inputs[i].ids)) if batches else len(inputs[i].ids)
        if batches and (len(batches[-1]) + 1) * longest <= tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
            longest = len(inputs[i].ids)
    rng.shuffle(batches)
    return batches


def _run(network: ThreadModel, inputs: list[ModelInput]) -> Tensor:
    """Logits, in single precision on the CPU whatever the network runs on."""
    batch = Batch.of(inputs)
    where = next(network.parameters()).device
    arrays = (batch.input_ids, batch.attention_mask, batch.segments)
    # Short runs on few threads: on a CPU single precision costs little and is exact.
    with torch.autocast(where.type, torch.bfloat16, enabled=where.type != "cpu"):
        logits: Tensor = network(*(torch.from_numpy(array).to(where) for array in arrays))
    return logits.float().cpu()


def _loss(logits: Tensor, examples: Sequence[_Example], config: TrainConfig) -> Tensor:
    """Soft cross-entropy of every head over the threads that have a target for it."""
    columns = Manifest(name="", version="").slices()
    weights = {"label": 1.0, "scope": config.heads.scope}
    total = logits.new_zeros(())
    for head, where in columns.items():
        rows = [i for i, e in enumerate(examples) if head in e.targets]
        if not rows:
            continue
        raw = logits[rows, where]
        if head == "label":
            allowed = torch.stack([examples[i].allowed for i in rows])
            raw = raw.masked_fill(~allowed, -1e4)
        target = torch.stack([examples[i].targets[head] for i in rows])
        loss = nn.functional.cross_entropy(raw, target)
        total = total + weights.get(head, config.heads.axes) * loss
    return total


@torch.inference_mode()
def _dev_loss(
    network: ThreadModel,
    examples: Sequence[_Example],
    inputs: Sequence[ModelInput],
    config: TrainConfig,
) -> float:
    """Loss of label and scope on the development threads."""
    network.eval()
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i].ids))
    logits = torch.cat(
        [_run(network, [inputs[i] for i in order[s : s + 16]]) for s in range(0, len(order), 16)]
    )
    only = replace(config, heads=replace(config.heads, axes=0.0))
    return float(_loss(logits, [examples[i] for i in order], only))
