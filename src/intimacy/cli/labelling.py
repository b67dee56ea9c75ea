"""Commands for a round of annotation: tasks out to a tool, its answers back as a corpus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from intimacy.cli import research
from intimacy.cli.sources import (
    key_of,
    options_of,
    source_options,
    stream_threads,
    told,
    writing,
)
from intimacy.errors import CorpusError

# Written out, so that --help need not load the tools; a test holds them together.
TOOLS = ("label-studio", "doccano", "argilla", "prodigy", "csv")
STRATEGIES = ("uncertainty", "diversity", "profile", "random")
_FILE = click.Path(path_type=Path, allow_dash=True, readable=False)
_PLACE = click.Path(path_type=Path, readable=False)


@click.command()
@click.argument("files", metavar="THREADS...", nargs=-1, type=_FILE)
@click.option("--to", "tool", type=click.Choice(TOOLS), required=True, help="Annotation tool.")
@click.option("-o", "--out", type=_FILE, default="-", show_default=True, help="Tasks.")
@click.option(
    "--predictions", type=_FILE, help="What 'intimacy classify' wrote; else classified on the spot."
)
@click.option("--blind", is_flag=True, help="Without suggestions of the model.")
@click.option(
    "-n", "n", type=click.IntRange(min=1), metavar="N", help="Only N threads, chosen --by."
)
@click.option(
    "--by",
    type=click.Choice(STRATEGIES),
    help="Those that the model is unsure of; unsure and unlike each other; drawn to narrow a "
    "creator's shares; or drawn evenly.  [default: uncertainty]",
)
@click.option(
    "--labelled",
    multiple=True,
    type=_PLACE,
    help="Corpus whose threads are not chosen again. Repeatable.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the draw.  [default: 0]")
@click.option("--attributes", is_flag=True, help="Also ask for the codebook's attributes.")
@click.option(
    "--config-out", type=_PLACE, help="Also write the tool's settings, with the codebook's labels."
)
@click.option("--model", type=_PLACE, help="Model folder; else the bundled one.")
@source_options
def annotate(
    files: tuple[Path, ...],
    tool: str,
    out: Path,
    predictions: Path | None,
    blind: bool,
    n: int | None,
    by: str | None,
    labelled: tuple[Path, ...],
    seed: int | None,
    attributes: bool,
    config_out: Path | None,
    model: Path | None,
    **source: Any,
) -> None:
    """Make tasks for annotators out of threads: exports, or JSONL of threads.

    The model's labels go with them as suggestions. Annotators who are to be measured, or whose
    labels a model is measured on, work --blind.

    With -n the model chooses, of one creator's threads with --creator. Labels of threads --by
    profile or random carry the probability of the draw, so that 'intimacy profile --labels' can
    rest shares on them; uncertainty and diversity are for training.
    """
    from intimacy import store
    from intimacy.labelling import export_for, label_config, write_tasks

    if not files and config_out is None:
        raise click.UsageError("nothing to do: pass THREADS, or --config-out for the settings")
    if n is None and (by is not None or labelled or seed is not None):
        raise click.UsageError("--by, --labelled and --seed choose threads: pass -n, how many")
    if blind and n is None and (predictions is not None or model is not None):
        raise click.UsageError("--blind shows no suggestion: leave --predictions and --model out")
    if predictions is not None and model is not None:
        raise click.UsageError("--predictions and --model exclude each other")
    if config_out is not None:
        settings = label_config(tool, attributes=attributes)
        with store.atomic(config_out) as stream:
            stream.write(settings.encode())
        click.echo(f"intimacy: wrote {config_out}", err=True)
    if not files:
        return
    options = options_of(**source)
    threads = [thread for path in files for thread in stream_threads(path, options, "stop", [])]
    guesses = None
    if predictions is not None:
        place = sys.stdin.buffer if predictions == Path("-") else predictions
        guesses = list(store.read_jsonl(place, store.prediction_from_dict))
    elif model is not None or n is not None:
        from intimacy.classifier import load_model

        guesses = load_model(model).classify_threads(threads, signs=n is not None)
    choices = None
    if n is not None:
        how = {"by": by or STRATEGIES[0], "seed": seed or 0, "creator_id": source["creator"]}
        choices = _chosen(threads, guesses or [], n, labelled, how)
    with told():
        tasks = export_for(
            tool,
            threads,
            predictions=guesses,
            choices=choices,
            blind=blind,
            attributes=attributes,
        )
    with writing(out) as stream:
        write_tasks(stream, tool, tasks)
    with_guess = "none" if blind else "the model's"
    click.echo(f"intimacy: {len(tasks)} tasks for {tool}, suggestions: {with_guess}", err=True)


def _chosen(
    threads: list[Any], guesses: list[Any], n: int, labelled: tuple[Path, ...], how: dict[str, Any]
) -> list[Any]:
    """What to label next; how many of how many goes to stderr."""
    from intimacy.corpus import read_corpus
    from intimacy.labelling.selection import label_next
    from intimacy.labelling.tasks import in_order
    from intimacy.textless import TextlessLabel

    done = set()
    for place in labelled:
        found = [
            str(item.record["id"]) if isinstance(item, TextlessLabel) else item.thread.id
            for item in read_corpus(place)
        ]
        if not found:
            raise CorpusError(f"{place} holds no records; expected a corpus of labelled threads")
        done |= set(found)
    choices = label_next(threads, n, predictions=in_order(threads, guesses), labelled=done, **how)
    whose = how["creator_id"]
    among = [t for t in threads if whose is None or t.post.creator_id == whose]
    left_out = sum(thread.id in done for thread in among)
    said = f"chose {len(choices)} of {len(among)} threads by {how['by']}"
    said += f", {left_out} labelled left out" if labelled else ""
    drawn = choices[0].probability is not None
    said += "" if drawn else "; no draw: no shares can rest on their labels alone"
    click.echo(f"intimacy: {said}", err=True)
    return choices


@research.corpus.command("read-annotations")
@click.argument("files", nargs=-1, required=True, type=_PLACE)
@click.option("-o", "--out", type=_PLACE, help="Corpus of the settled threads, JSONL.")
@click.option("--queue", type=_PLACE, help="Tasks for a third annotator, blind.")
@click.option(
    "--queue-to", type=click.Choice(TOOLS), help="Tool of the queue; else the one that was read."
)
@click.option("--tool", type=click.Choice(TOOLS), help="Of FILES; else recognised.")
@click.option(
    "--threads", "source", type=_PLACE, help="JSONL of the threads, where FILES lack them."
)
@click.option(
    "--tasks", type=_PLACE, help="What 'intimacy annotate' wrote, where FILES lost a part of it."
)
@click.option(
    "--adjudicator",
    "adjudicators",
    multiple=True,
    metavar="NAME",
    help="Annotator who was asked only where others differed. Repeatable.",
)
@click.option(
    "--min-votes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="That a thread needs to be settled.",
)
@click.option("--attributes", is_flag=True, help="Ask for attributes in the queue as well.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Secret for pseudonyms of e-mail addresses; made on first use.",
)
@click.option(
    "--format", "kind", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def read_annotations(
    files: tuple[Path, ...],
    out: Path | None,
    queue: Path | None,
    queue_to: str | None,
    tool: str | None,
    source: Path | None,
    tasks: Path | None,
    adjudicators: tuple[str, ...],
    min_votes: int,
    attributes: bool,
    key_file: Path | None,
    kind: str,
) -> None:
    """Read annotators' answers out of FILES, what an annotation tool exported, into a corpus.

    Prints what was found, what was left out and how well annotators agree. Threads about which
    two differ go to the queue; read its answers together with the first round.
    """
    from intimacy import store
    from intimacy.labelling import read_annotations

    threads = None if source is None else list(store.read_jsonl(source, store.thread_from_dict))
    with told():
        found = read_annotations(
            files,
            tool=tool,
            threads=threads,
            tasks=tasks,
            adjudicators=adjudicators,
            min_votes=min_votes,
            key=None if key_file is None else key_of(key_file),
        )
    shares = found.agreement()
    if kind == "json":
        said = {
            "report": found.report.to_dict(),
            "agreement": shares,
            "n_settled": len(found.threads),
            "queue": [
                {"thread_id": item.thread.id, "disagreement": item.disagreement}
                for item in found.queue
            ],
        }
        sys.stdout.buffer.write(store.encode_line(said))
    else:
        lines = [str(found.report)]
        lines.append(f"settled: {len(found.threads)}, for a third annotator: {len(found.queue)}")
        lines.append("agreement (Krippendorff's alpha):" if shares else "agreement: none")
        lines += [f"  {name:<21}{share}" for name, share in shares.items()]
        click.echo("\n".join(lines))
    if not found.threads and not found.queue:
        raise CorpusError("no vote counts; see above what was left out, and why")
    if out is not None and found.threads:
        click.echo(f"intimacy: wrote {found.write_corpus(out)} threads to {out}", err=True)
    elif out is not None:
        click.echo(f"intimacy: nothing is settled; {out} was not written", err=True)
    if queue is not None:
        n = found.write_queue(queue, tool=queue_to, attributes=attributes)
        click.echo(f"intimacy: wrote {n} tasks to {queue}", err=True)


COMMANDS: tuple[click.Command, ...] = (annotate,)
