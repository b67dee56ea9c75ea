"""The command line: parses, calls, writes. Data on stdout, everything else on stderr.

Exit codes: 0 done, 1 the data are wrong, 2 the command is. Each command imports what it needs,
so that ``intimacy --help`` is instant.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from intimacy import __version__
from intimacy.cli import labelling, research
from intimacy.cli.sources import (
    TYPED,
    as_they_come,
    options_of,
    read_threads,
    source_options,
    standard_output,
    stream_threads,
    told,
    writing,
)
from intimacy.errors import IntimacyError, SourceError

if TYPE_CHECKING:
    from intimacy.store import OnError


class _Group(click.Group):
    """Turns the library's errors into one line and exit code 1, and keeps what was typed."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        typed = list(args)  # parsing empties it
        ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[TYPED] = typed
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IntimacyError as exc:
            click.echo(f"intimacy: {exc}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            # Whoever reads our output has seen enough; the interpreter must not flush again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except MemoryError:
            click.echo("intimacy: not enough memory; give it less at a time", err=True)
            ctx.exit(1)
        except OSError as exc:
            # A full disk, a device that went away: whatever was written before stays.
            click.echo(f"intimacy: cannot go on: {exc.strerror or exc}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="intimacy")
def main() -> None:
    """Read the intimacy of Italian creator–follower threads.

    import → classify → profile; each step reads what the one before wrote, and - is
    stdin or stdout.
    """


_FILE = click.Path(path_type=Path, allow_dash=True, readable=False)


@main.command("import")
@click.argument("exports", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--out", type=_FILE, default="-", show_default=True, help="Threads, JSONL.")
@source_options
def import_(exports: tuple[Path, ...], out: Path, **source: Any) -> None:
    """Read exports into threads, one JSON record a line."""
    from intimacy import store

    options = options_of(**source)

    def records() -> Iterator[dict[str, Any]]:
        for path in exports:
            yield from map(store.thread_to_dict, read_threads(path, options))

    if out == Path("-"):
        stream = standard_output()
        for record in records():
            stream.write(store.encode_line(record))
    else:
        store.write_jsonl(out, records())


@main.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--out", type=_FILE, default="-", show_default=True, help="Predictions, JSONL.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, readable=False),
    help="Model folder; else the bundled one.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="At a broken JSONL line.",
)
@click.option(
    "--evidence",
    is_flag=True,
    help="Also the spans that carry each label, as turn and offsets; three times the work.",
)
@source_options
def classify(
    files: tuple[Path, ...],
    out: Path,
    model: Path | None,
    on_error: str,
    evidence: bool,
    **source: Any,
) -> None:
    """Classify threads of FILES: exports, or JSONL of threads. One line out for each, in order."""
    from tqdm import tqdm

    from intimacy import store
    from intimacy.classifier import load_model

    options = options_of(**source)
    skipped: list[Any] = []
    with writing(out) as stream:
        classify_all = partial(load_model(model).stream, evidence=evidence, signs=True)
        with tqdm(desc="classify", unit="thread", file=sys.stderr, disable=None) as bar:
            for path in files:
                threads = stream_threads(path, options, cast("OnError", on_error), skipped)
                for prediction in as_they_come(classify_all, threads):
                    stream.write(store.encode_line(prediction))
                    bar.update()
    for error in skipped:
        click.echo(f"intimacy: skipped {error}", err=True)
    if skipped:
        click.echo(f"intimacy: {len(skipped)} broken lines skipped", err=True)


@main.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--by", type=click.Choice(["creator", "all"]), default="creator", show_default=True)
@click.option(
    "--frame",
    type=click.Choice(["all", "newest", "top", "unknown"]),
    default="unknown",
    show_default=True,
    help="Which comments the export holds.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="What stdout gets.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, readable=False),
    help="Also write one HTML page.",
)
@click.option(
    "--language",
    type=click.Choice(["it", "en"]),
    default="it",
    show_default=True,
    help="Of the page.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, readable=False),
    help="Model that made the predictions.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, readable=False),
    help="Labelled threads, drawn by 'intimacy annotate --by profile' or at random: the shares of "
    "their creators then rest on them.",
)
def profile(
    files: tuple[Path, ...],
    by: str,
    frame: str,
    kind: str,
    page: Path | None,
    language: str,
    model: Path | None,
    labels: Path | None,
) -> None:
    """Profile the creators of predictions that 'intimacy classify' wrote."""
    from intimacy import profiling, report, store
    from intimacy.bundle import open_bundle

    if page is not None and page.resolve() in {path.resolve() for path in files}:
        raise SourceError(f"{page} is what is read; name another file for the page")
    tallies: dict[str | None, profiling.Tally] = {}
    kept: dict[str | None, list[Any]] = {}
    for path in files:
        source = sys.stdin.buffer if path == Path("-") else path
        for prediction in store.read_jsonl(source, store.prediction_from_dict):
            who = prediction.creator_id if by == "creator" else None
            tallies.setdefault(who, profiling.Tally()).add(prediction)
            if labels is not None:
                kept.setdefault(who, []).append(prediction)
    if not tallies:
        raise SourceError(
            f"{', '.join(map(str, files))}: no predictions; write some with 'intimacy classify'"
        )
    bundle = open_bundle(model)
    found = [profiling.evaluate(tally, bundle, frame=frame) for tally in tallies.values()]
    if labels is not None:
        from intimacy.corpus import load_corpus
        from intimacy.labelling.rectified import all_with_labels

        with told():
            found = all_with_labels(found, list(kept.values()), load_corpus(labels))
    if kind == "text":
        click.echo("\n\n".join(map(report.text, found)))
    else:
        said = report.to_json(found) if kind == "json" else report.to_csv(found)
        standard_output().write(said.encode())  # whatever the terminal's encoding
    if page is not None:
        with store.atomic(page) as stream:
            stream.write(report.html(found, language=language).encode())
        click.echo(f"intimacy: wrote {page}", err=True)


@main.group()
def model() -> None:
    """The bundled model, or a folder of your own."""


_MODEL = click.argument("folder", required=False, type=click.Path(path_type=Path, readable=False))


@model.command()
@_MODEL
def show(folder: Path | None) -> None:
    """Print the manifest."""
    from intimacy.bundle import MANIFEST, open_bundle

    bundle = open_bundle(folder)
    click.echo(f"intimacy: {bundle.model_id}", err=True)
    click.echo((bundle.path / MANIFEST).read_text("utf-8"), nl=False)


@model.command()
@_MODEL
def path(folder: Path | None) -> None:
    """Print where the model is."""
    from intimacy.bundle import open_bundle

    click.echo(open_bundle(folder).path)


@model.command()
@_MODEL
def verify(folder: Path | None) -> None:
    """Compare the files with their hashes, and run the network once."""
    from intimacy.bundle import open_bundle
    from intimacy.classifier import Classifier

    bundle = open_bundle(folder)
    bundle.verify()
    Classifier(bundle).classify_thread([("follower", "prova")])
    click.echo(f"{bundle.model_id}: {len(bundle.manifest.files)} files intact, network runs")


for _command in (*labelling.COMMANDS, *research.COMMANDS):
    main.add_command(_command)
