"""The command line: parses, calls, writes. Data on stdout, everything else on stderr.

Exit codes: 0 done, 1 the data are wrong, 2 the command is. Each command imports what it needs,
so that ``intimacy --help`` is instant.
"""

from __future__ import annotations

import io
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from intimacy import __version__
from intimacy.errors import IntimacyError, SourceError

if TYPE_CHECKING:
    from intimacy.schema import Prediction, Thread
    from intimacy.store import OnError


class _Group(click.Group):
    """Turns the library's errors into one line and exit code 1."""

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


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="intimacy")
def main() -> None:
    """Read the intimacy of Italian creator–follower threads.

    import → classify → profile; each step reads what the one before wrote, and - is
    stdin or stdout.
    """


_FILE = click.Path(path_type=Path, allow_dash=True)


def _source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that reads exports."""
    options = [
        click.option("--format", "format_", metavar="NAME", help="Export format; else recognised."),
        click.option("--creator", metavar="ID", help="Creator's @handle or account id."),
        click.option("--no-creator", is_flag=True, help="Every turn is a follower's."),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="FIELD=NAME",
            help="Column of a table, e.g. text=Commento. Repeatable.",
        ),
        click.option("--post-id", metavar="ID", help="Post, where the export does not say."),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Secret for pseudonyms; made on first use, readable by you only.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command("import")
@click.argument("exports", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--out", type=_FILE, default="-", show_default=True, help="Threads, JSONL.")
@_source_options
def import_(exports: tuple[Path, ...], out: Path, **source: Any) -> None:
    """Read exports into threads, one JSON record a line."""
    from intimacy import store

    options = _options(**source)

    def records() -> Iterator[dict[str, Any]]:
        for path in exports:
            yield from map(store.thread_to_dict, _threads(path, options))

    if out == Path("-"):
        for record in records():
            sys.stdout.buffer.write(store.encode_line(record))
    else:
        store.write_jsonl(out, records())


@main.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--out", type=_FILE, default="-", show_default=True, help="Predictions, JSONL.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder; else the bundled one."
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="At a broken JSONL line.",
)
@_source_options
def classify(
    files: tuple[Path, ...], out: Path, model: Path | None, on_error: str, **source: Any
) -> None:
    """Classify threads of FILES: exports, or JSONL of threads. One line out for each, in order."""
    from tqdm import tqdm

    from intimacy import store
    from intimacy.classifier import load_model

    options = _options(**source)
    skipped: list[Any] = []
    with _writing(out) as stream:
        classifier = load_model(model)
        with tqdm(desc="classify", unit="thread", file=sys.stderr, disable=None) as bar:
            for path in files:
                threads = _stream(path, options, cast("OnError", on_error), skipped)
                for prediction in _as_they_come(classifier.stream, threads):
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
    "--format",
    "kind",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="What stdout gets.",
)
@click.option("--html", "page", type=click.Path(path_type=Path), help="Also write one HTML page.")
@click.option("--model", type=click.Path(path_type=Path), help="Model that made the predictions.")
def profile(
    files: tuple[Path, ...], by: str, kind: str, page: Path | None, model: Path | None
) -> None:
    """Profile the creators of predictions that 'intimacy classify' wrote."""
    from intimacy import profiling, report, store
    from intimacy.bundle import open_bundle

    tallies: dict[str | None, profiling.Tally] = {}
    for path in files:
        source = sys.stdin.buffer if path == Path("-") else path
        for prediction in store.read_jsonl(source, store.prediction_from_dict):
            who = prediction.creator_id if by == "creator" else None
            tallies.setdefault(who, profiling.Tally()).add(prediction)
    if not tallies:
        raise SourceError(
            f"{', '.join(map(str, files))}: no predictions; write some with 'intimacy classify'"
        )
    prior = dict(open_bundle(model).manifest.prior)
    found = [tally.profile(prior=prior) for tally in tallies.values()]
    if kind == "text":
        click.echo("\n\n".join(map(report.text, found)))
    else:
        click.echo(report.to_json(found) if kind == "json" else report.to_csv(found), nl=False)
    if page is not None:
        with store.atomic(page) as stream:
            stream.write(report.html(found).encode())
        click.echo(f"intimacy: wrote {page}", err=True)


@main.group()
def model() -> None:
    """The bundled model, or a folder of your own."""


_MODEL = click.argument("folder", required=False, type=click.Path(path_type=Path))


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


@main.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model folder.")
@click.option("--encoder", type=str, required=True, help="transformers folder or hub name.")
@click.option("--config", help="TOML file or name of a shipped recipe; else defaults.")
@click.option("--name", default="intimacy-it", show_default=True)
@click.option("--version", default="0.1.0", show_default=True)
def train(
    corpus: Path, out: Path, encoder: str, config: str | None, name: str, version: str
) -> None:
    """Fine-tune an encoder on a labelled corpus into a model folder. Needs intimacy[train]."""
    from intimacy.errors import require

    require("torch", extra="train")
    from intimacy.training import finetune
    from intimacy.training.config import TrainConfig, load

    metrics = finetune.train(
        corpus, out, encoder=encoder, config=load(TrainConfig, config), name=name, version=version
    )
    click.echo(metrics)


@main.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Encoder folder.")
@click.option("--corpora", help="Folder of raw corpora; else INTIMACY_CORPORA.")
@click.option("--config", default="encoder-it", show_default=True, help="TOML file or recipe.")
@click.option("--device", default="cpu", show_default=True)
def distill(out: Path, corpora: str | None, config: str, device: str) -> None:
    """Carry an English sentence encoder over into Italian. Needs intimacy[train]."""
    from intimacy.errors import require

    require("torch", extra="train")
    from intimacy.training import corpora as sources
    from intimacy.training import distill as distilling
    from intimacy.training.config import DistillConfig, load

    folder = sources.locate(corpora)
    click.echo(distilling.distill(folder, out, load(DistillConfig, config), device=device))


# -- sources and sinks


def _options(
    *,
    format_: str | None,
    creator: str | None,
    no_creator: bool,
    columns: Sequence[str],
    post_id: str | None,
    key_file: Path | None,
) -> dict[str, Any]:
    """Arguments of `read_export` out of the command's options."""
    if creator is not None and no_creator:
        raise click.UsageError("--creator and --no-creator exclude each other")
    out: dict[str, Any] = {"format": format_, "post_id": post_id}
    if no_creator:
        out["creator"] = None
    elif creator is not None:
        out["creator"] = creator
    pairs = [column.partition("=") for column in columns]
    for field, sign, column in pairs:
        if not (field and sign and column):
            raise click.UsageError("--column expects FIELD=NAME, e.g. text=Commento")
    out["columns"] = {field: column for field, _, column in pairs} or None
    # One key for all files of a run, so that followers keep their names across them.
    out["key"] = secrets.token_bytes(32) if key_file is None else _key(key_file)
    out["key_is_kept"] = key_file is not None
    return out


def _key(path: Path) -> bytes:
    """The project's secret; made when the file does not exist yet.

    Raises:
        SourceError: When it can be neither read nor made.
    """
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as stream:
                stream.write(secrets.token_hex(32) + "\n")
            click.echo(f"intimacy: made a key in {path}; keep it apart from the data", err=True)
        return path.read_bytes().strip()
    except OSError as exc:
        raise SourceError(f"{path}: cannot be used as a key file: {exc.strerror or exc}") from exc


def _threads(path: Path, options: dict[str, Any]) -> list[Thread]:
    """Threads of an export; what was found goes to stderr."""
    from intimacy.importers import read_export

    arguments = {k: v for k, v in options.items() if k != "key_is_kept"}
    if path != Path("-"):
        threads, report = read_export(path, **arguments)
    else:
        with _spooled(sys.stdin.buffer) as spooled:
            threads, report = read_export(spooled, **arguments)
    click.echo(f"intimacy: {path}: {report}", err=True)
    if not options["key_is_kept"] and report.format != "record":
        click.echo(
            "note: pseudonyms made with a random key: results cannot be merged by follower with "
            "another run; pass --key-file",
            err=True,
        )
    return threads


def _stream(
    path: Path, options: dict[str, Any], on_error: OnError, skipped: list[Any]
) -> Iterator[Thread]:
    """Threads of a file; JSONL of records is read line by line, everything else whole."""
    from intimacy import store

    if path == Path("-"):
        stream = cast(io.BufferedReader, sys.stdin.buffer)
        if not _is_record(stream.peek(1 << 16)):
            yield from _threads(path, options)
            return
        source: Path | IO[bytes] = stream
    else:
        head = _head(path)
        if options["format"] not in (None, "record") or not _is_record(head):
            yield from _threads(path, options)
            return
        source = path
    yield from store.read_jsonl(
        source,
        store.thread_from_dict,
        on_error=on_error,
        skipped=skipped,
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 16)
    except OSError:
        return b""  # the importer says what is wrong


def _is_record(head: bytes) -> bool:
    """Whether a file starts with a line that holds a thread."""
    line = head.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    return line.startswith(b"{") and b'"turns"' in line


def _as_they_come(
    classify: Callable[[Iterator[Thread]], Iterator[Prediction]], threads: Iterator[Thread]
) -> Iterator[Prediction]:
    """Predictions of the threads before a broken line come out before its error does."""
    failure: list[IntimacyError] = []

    def until_broken() -> Iterator[Thread]:
        try:
            yield from threads
        except IntimacyError as exc:
            failure.append(exc)

    yield from classify(until_broken())
    if failure:
        raise failure[0]


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as target:
            while block := stream.read(1 << 20):
                target.write(block)
        yield path


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    if path == Path("-"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        stream = path.open("wb")
    except OSError as exc:
        raise SourceError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    with stream:
        yield stream
