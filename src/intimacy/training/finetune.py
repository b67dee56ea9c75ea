"""`intimacy train`: a labelled corpus and an encoder make a model folder.

Personas are held out for choosing (dev) and for the final figures (test). The network is
exported first and calibrated as exported, so that what is stored fits what is run.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from tokenizers import Tokenizer

from intimacy import audit
from intimacy import bundle as bundles
from intimacy import corpus as corpora
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import HEADS, Bundle, Manifest
from intimacy.classifier import Classifier
from intimacy.errors import ConfigError, CorpusError, IntimacyWarning
from intimacy.render import Renderer
from intimacy.schema import Label
from intimacy.shelf import CHUNK, spread
from intimacy.training import calibration, card, record, results
from intimacy.training.config import TrainConfig
from intimacy.training.export import export
from intimacy.training.fit import fit
from intimacy.training.model import adapt, build, is_bundle, load, open_tokenizer, save, settle
from intimacy.training.variation import Variation

_Parts: TypeAlias = Mapping[str, Sequence[AnnotatedThread]]
_LABELS = tuple(str(label) for label in Label)


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
    command: Sequence[str] | None = None,
) -> str:
    """Fine-tune, export, calibrate, evaluate; write the model folder.

    A run that was killed goes on after the last network it trained, unless its threads, encoder,
    configuration or device are others.

    Args:
        corpus: JSONL file or folder, see `intimacy.corpus`.
        out: Folder to write; appears only when it is whole.
        encoder: transformers folder or hub name; or a model folder, to go on from.
        config: What to do.
        name: Name of the model.
        version: Version of the model.
        text_root: Folder with the texts of labels without text, see `intimacy.load_corpus`.
        device: A torch device; on CUDA the encoder runs in bfloat16.
        command: Words that were typed to start the run, for its record.

    Returns: The figures on the held-out sets, as JSON.

    Raises:
        ConfigError: When ``out`` holds anything but an earlier model, which is replaced.
        CorpusError: When the corpus cannot be split or lacks a label.
    """
    may_write(out)
    items = corpora.open_corpus(corpus, text_root=text_root)
    parts = corpora.split(items, dev=config.dev_share, test=config.test_share, seed=config.seed)
    _check(parts)
    some = _some(parts)
    learnt = {**some, "train": parts["train"] if len(parts["train"]) > CHUNK else some["train"]}
    _warn_of_leaks(some)
    tokenizer = open_tokenizer(encoder)
    made = record.of_run(
        config,
        parts,
        encoder=encoder,
        device=device,
        corpus=corpora.corpus_files(corpus),
        command=command,
    )
    # How many seeds there are, and what is shown, changes none of the networks.
    alike = asdict(replace(config, seeds=1, show_failures=False))
    work = _workshop(
        out,
        {"config": alike, "threads": made["threads_sha256"], "device": device}
        | {"encoder": encoder, "encoder_digest": made["encoder_digest"]},
    )
    blank = blank_manifest(parts["train"], config, name=name, version=version, encoder=encoder)
    networks = []
    for seed in range(config.seed, config.seed + config.seeds):
        folder = work / f"seed-{seed}"
        if not (folder / bundles.MANIFEST).is_file():
            seeded = replace(config, seed=seed)
            make(folder, learnt, seeded, blank, tokenizer=tokenizer, encoder=encoder, device=device)
        networks.append(bundles.open_bundle(folder))
    chosen = min(networks, key=lambda bundle: float(bundle.manifest.training["dev_loss"]))
    figures = results.evaluate(chosen, networks, some, encoder=encoder)
    manifest = replace(
        chosen.manifest,
        # Of this call: a run that was killed may have had another name.
        name=name,
        version=version,
        files={file: bundles.digest(chosen.path / file) for file in FILES},
        training={
            **made,
            **chosen.manifest.training,
            "seeds": [bundle.manifest.training for bundle in networks],
            "real_comments": sum(item.source is not None for item in parts["train"]),
            "figures": figures,
            "parity": results.parity(chosen, some),
            "behaviour": results.behave(chosen, some),
            "agreement": results.agreement(some),
        },
    )
    bundles.write_manifest(chosen.path, manifest)
    about, notice = _text(corpus / "README.md"), _text(Path(encoder) / "NOTICE.md")
    wrong = results.failures(chosen, some) if config.show_failures else None
    page = card.write(manifest, about=about, notice=notice, failures=wrong)
    (chosen.path / "README.md").write_text(page, "utf-8")
    shutil.rmtree(out, ignore_errors=True)
    chosen.path.replace(out)
    shutil.rmtree(work)
    return json.dumps(figures, ensure_ascii=False, indent=2)


def may_write(out: Path) -> None:
    """See that a model may be put there: in an empty place, or in that of an earlier model.

    Raises:
        ConfigError: When ``out`` holds anything else.
    """
    there = out.exists() and not (out / bundles.MANIFEST).is_file()
    if there and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty and not a model folder; name another place")


def _some(parts: _Parts) -> _Parts:
    """The parts in memory; of larger ones threads from all over, which is said."""
    for name, members in parts.items():
        if len(members) > CHUNK:
            warnings.warn(
                f"{name} has {len(members)} threads: {_RESTS[name]} on {CHUNK} of them",
                IntimacyWarning,
                stacklevel=3,
            )
    return {name: list(spread(members)) for name, members in parts.items()}


_RESTS = {
    "train": "the network learns from all; the baselines and the search for leaks rest",
    "dev": "early stopping, calibration and the search for leaks rest",
    "test": "the figures and the search for leaks rest",
    "challenge": "the figures and the search for leaks rest",
}


FILES = ("model.onnx", "model.safetensors", "config.json", "tokenizer.json")


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


def blank_manifest(
    train: Sequence[AnnotatedThread],
    config: TrainConfig,
    *,
    name: str,
    version: str,
    encoder: str,
    language: str = "it",
    labels: Sequence[Any] = tuple(map(str, Label)),
) -> Manifest:
    """What is known of a model before it is trained: its heads, its budget and its prior; and of
    one that goes on from a model folder, the calibration it comes from.

    Attributes that nobody answered in ``train`` get no head: there would be nothing to learn.
    """
    plain = Manifest(name=name, version=version)
    before = bundles.open_bundle(encoder).manifest if is_bundle(encoder) else plain
    heads = {
        head: tuple(labels) if head == "label" else values
        for head, values in HEADS.items()
        if head in ("label", "scope") or any(_answered(item, head) for item in train)
    }
    prior = Variation(train, config).label_shares()
    return replace(
        plain,
        temperature=before.temperature,
        scope_temperature=before.scope_temperature,
        threshold=before.threshold,
        language=language,
        heads=heads,
        render=config.render,
        prior={str(label): prior.get(str(label), 0.0) for label in labels},
    )


def _answered(item: AnnotatedThread, head: str) -> bool:
    return item.attributes.get(head) is not None or any(v.get(head) is not None for v in item.votes)


def make(
    folder: Path,
    parts: _Parts,
    config: TrainConfig,
    manifest: Manifest,
    *,
    tokenizer: Tokenizer,
    encoder: str,
    device: str,
    weights: Sequence[float] | None = None,
) -> None:
    """One network: trained, then exported and calibrated. The manifest comes last.

    Args:
        folder: Where to; what a run that was killed left there is used.
        parts: ``train`` to learn from and ``dev`` to choose and calibrate by.
        config: What to do.
        manifest: From `blank_manifest`.
        tokenizer: From `intimacy.training.model.open_tokenizer`.
        encoder: transformers folder or hub name; or a model folder, to go on from.
        device: A torch device.
        weights: What each training thread counts; None counts all alike.
    """
    trained, renderer = folder / "trained.json", Renderer(tokenizer, config.render)
    if not trained.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        torch.manual_seed(config.seed)
        network = build(
            encoder,
            manifest.heads,
            tokenizer,
            max_tokens=config.render.max_tokens,
            dropout=config.dropout,
            layers=config.layers,
        )
        adapt(network, tune=config.tune, rank=config.rank)
        network.to(device)
        train, dev, log = parts["train"], parts["dev"], folder / "metrics.jsonl"
        dev_loss = fit(network, train, dev, renderer, config, log, weights=weights)
        settle(network, tune=config.tune)
        save(network.to("cpu"), folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        trained.write_text(json.dumps({"seed": config.seed, "dev_loss": dev_loss}), "utf-8")
    # As it is kept, in half precision.
    export_trained(folder, manifest, renderer, parts["train"])
    uncalibrated = Classifier(Bundle(folder, manifest, manifest.name))
    calibrated = calibration.calibrate(uncalibrated, manifest, parts["dev"], config)
    training = json.loads(trained.read_text("utf-8"))
    bundles.write_manifest(folder, replace(calibrated, training=training))
    trained.unlink()


def export_trained(
    folder: Path, manifest: Manifest, renderer: Renderer, train: Sequence[AnnotatedThread]
) -> None:
    """The network of a folder as ONNX beside it."""
    some = train[:: max(1, len(train) // _CALIBRATED_ON)]
    inputs = [renderer.render(item.thread) for item in some]
    export(load(folder, manifest.heads), folder / "model.onnx", inputs)


_CALIBRATED_ON = 256
"""Threads, of all kinds of the training part, that activations are measured on."""


def _check(parts: _Parts) -> None:
    for part in ("train", "dev"):
        missing = set(_LABELS) - {str(i.label) for i in parts[part]}
        if missing:
            raise CorpusError(
                f"the {part} part has no thread labelled {', '.join(sorted(missing))}; label "
                "more threads, or change the seed of the split"
            )


def _warn_of_leaks(parts: _Parts) -> None:
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
