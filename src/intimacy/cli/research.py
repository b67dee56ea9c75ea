"""Commands for who labels and trains: corpus, evaluate, train, distill, pretrain."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intimacy.cli.sources import TYPED, writing

if TYPE_CHECKING:
    from intimacy.annotation import AnnotatedThread

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def corpus() -> None:
    """A labelled corpus of your own, or the authored one."""


_TEXT_ROOT = click.option(
    "--text-root",
    type=click.Path(path_type=Path, readable=False),
    help="Folder with the texts of labels that come without theirs.",
)


@corpus.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, readable=False))
@_TEXT_ROOT
@click.option(
    "--format", "kind", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def check(path: Path | None, text_root: Path | None, kind: str) -> None:
    """Validate a corpus: counts, balance, agreement, near-duplicates, leaks between splits.

    Exit code 1 when a record is malformed or a split leaks. Needs intimacy[train].
    """
    from intimacy import audit, store

    report = audit.check_corpus(path, text_root=text_root)
    if kind == "json":
        sys.stdout.buffer.write(store.encode_line(report.to_dict()))
    else:
        click.echo(report)
    if not report.sound:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--model", "folder", type=click.Path(path_type=Path), help="Model folder; else the bundled one."
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    type=click.Path(path_type=Path, readable=False),
    help="Two model folders or files of predictions, read on the same threads; without --model.",
)
@_TEXT_ROOT
@click.option(
    "--format", "kind", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, readable=False),
    help="Markdown file with a reliability diagram and a confusion matrix.",
)
def evaluate(
    corpus: Path,
    folder: Path | None,
    compare: tuple[Path, Path] | None,
    text_root: Path | None,
    kind: str,
    page: Path | None,
) -> None:
    """Measure a model on a labelled corpus, beside the baselines that its train split teaches.

    Every split but train and dev is measured; a corpus without splits is measured whole. The
    TF-IDF baseline needs a train split and intimacy[train].

    With --compare, two models are read on the same threads: their differences (B less A) with
    intervals over creators, and McNemar's test. Predictions must be of all labelled threads.
    """
    from intimacy import assessment
    from intimacy.corpus import load_corpus
    from intimacy.errors import CorpusError

    if compare and folder is not None:
        raise click.UsageError("--compare names both models, so it excludes --model")
    items = load_corpus(corpus, text_root=text_root)
    parts = assessment.sets(items)
    if not parts:
        raise CorpusError(
            f"{corpus}: no labelled thread outside the train and dev splits; expected some to "
            "measure on"
        )
    if compare:
        _compare(compare, parts, corpus.name, kind, page)
    else:
        train = [item for item in items if item.split == "train"]
        _measure(folder, parts, train, corpus.name, kind, page)


def _measure(
    folder: Path | None,
    parts: Mapping[str, Sequence[AnnotatedThread]],
    train: Sequence[AnnotatedThread],
    corpus: str,
    kind: str,
    page: Path | None,
) -> None:
    from importlib import util

    from intimacy import assessment, scorecard
    from intimacy.classifier import load_model

    classifier, figures = load_model(folder), {}
    rivals: Callable[[Any], Any] = partial(assessment.simple_rivals, train=train)
    if train and all(map(util.find_spec, ("sklearn", "safetensors", "torch", "transformers"))):
        from intimacy.training import results

        rivals = partial(results.answers, results.fit_baselines(train), train=train)
    for name, part in parts.items():
        figures[name] = assessment.assess(classifier, part, rivals=rivals(part), progress=None)
    name = classifier.bundle.model_id
    _say(
        {"model_id": name, "sets": figures},
        kind,
        scorecard.text,
        page,
        f"# {name} on {corpus}\n\n{scorecard.report(figures)}\n",
    )


def _compare(
    paths: tuple[Path, Path],
    parts: Mapping[str, Sequence[AnnotatedThread]],
    corpus: str,
    kind: str,
    page: Path | None,
) -> None:
    from intimacy import paired, scorecard

    first, second = map(paired.candidate, paths)
    figures = {
        name: paired.compare(part, first, second, progress=None) for name, part in parts.items()
    }
    sides = {
        which: {"given": str(path), "model_id": paired.model_id(found)}
        for which, path, found in zip(("first", "second"), paths, (first, second), strict=True)
    }
    names = [f"{row['given']} ({row['model_id'] or 'unknown model'})" for row in sides.values()]
    title = f"# {names[1]} against {names[0]} on {corpus}\n\n"
    _say(
        {**sides, "sets": figures},
        kind,
        scorecard.paired_text,
        page,
        f"{title}First is {names[0]}, second {names[1]}.\n\n{scorecard.paired_report(figures)}\n",
        head=f"first: {names[0]}\nsecond: {names[1]}\n\n",
    )


def _say(
    found: dict[str, Any],
    kind: str,
    text: Callable[[Mapping[str, Any]], str],
    page: Path | None,
    report: str,
    *,
    head: str = "",
) -> None:
    """Figures of several sets to stdout, and the report to its file."""
    from intimacy import store

    if page is not None:
        with writing(page) as stream:
            stream.write(report.encode())
    if kind == "json":
        sys.stdout.buffer.write(store.encode_line(found))
    else:
        click.echo(head, nl=False)
        for name, figures in found["sets"].items():
            click.echo(f"== {name}\n{text(figures)}\n")


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="Model folder.",
)
@click.option("--encoder", type=str, required=True, help="transformers folder or hub name.")
@click.option("--config", help="TOML file or name of a shipped recipe; else defaults.")
@click.option("--name", default="intimacy-it", show_default=True)
@click.option("--version", default="0.1.0", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@_TEXT_ROOT
def train(
    corpus: Path,
    out: Path,
    encoder: str,
    config: str | None,
    name: str,
    version: str,
    text_root: Path | None,
    device: str,
) -> None:
    """Fine-tune an encoder on a labelled corpus into a model folder. Needs intimacy[train]."""
    from intimacy.errors import require

    require("torch", extra="train")
    from intimacy.training import finetune
    from intimacy.training.config import TrainConfig, load

    typed = click.get_current_context().meta.get(TYPED)
    metrics = finetune.train(
        corpus,
        out,
        encoder=encoder,
        config=load(TrainConfig, config),
        name=name,
        version=version,
        text_root=text_root,
        device=device,
        command=None if typed is None else ["intimacy", *typed],
    )
    click.echo(metrics)


def _encoder_options(recipe: str) -> Callable[[F], F]:
    """Options that the commands which make an encoder share."""
    options = (
        click.option(
            "-o",
            "--out",
            type=click.Path(path_type=Path, readable=False),
            required=True,
            help="Encoder folder.",
        ),
        click.option("--corpora", help="Folder of raw corpora; else INTIMACY_CORPORA."),
        click.option("--start", help="Encoder folder to go on from."),
        click.option("--config", default=recipe, show_default=True, help="TOML file or recipe."),
        click.option("--device", default="cpu", show_default=True),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command()
@_encoder_options("distill-it")
def distill(out: Path, corpora: str | None, start: str | None, config: str, device: str) -> None:
    """Carry an English sentence encoder over into Italian. Needs intimacy[train]."""
    from intimacy.errors import require

    require("torch", extra="train")
    from intimacy.training import corpora as sources
    from intimacy.training import distill as distilling
    from intimacy.training.config import DistillConfig, load

    folder, settings = sources.locate(corpora), load(DistillConfig, config)
    click.echo(distilling.distill(folder, out, settings, start=start, device=device))


@click.command()
@_encoder_options("pretrain-it")
def pretrain(out: Path, corpora: str | None, start: str | None, config: str, device: str) -> None:
    """Train an encoder on masked words, sentence pairs and scored texts. Needs intimacy[train]."""
    from intimacy.errors import require

    require("torch", extra="train")
    from intimacy.training import corpora as sources
    from intimacy.training import pretrain as pretraining
    from intimacy.training.config import PretrainConfig, load

    folder, settings = sources.locate(corpora), load(PretrainConfig, config)
    click.echo(pretraining.pretrain(folder, out, settings, start=start, device=device))


COMMANDS: tuple[click.Command, ...] = (corpus, evaluate, train, distill, pretrain)
