"""A round of annotation, read back: what stands, what a third must decide, what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from intimacy import annotation, store
from intimacy.annotation import ATTRIBUTES, AnnotatedThread
from intimacy.errors import ConfigError, CorpusError, shown
from intimacy.labelling.base import Answer, Chosen
from intimacy.labelling.joining import (
    by_id,
    choices_of,
    names_of,
    ordered,
    slots_of,
    undecided,
)
from intimacy.labelling.tasks import export_for
from intimacy.labelling.tools import read_answers, read_tasks, write_tasks
from intimacy.schema import Label, Share, Thread, plain

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """A thread about which annotators differ and no third has decided."""

    thread: Thread
    votes: tuple[Mapping[str, Any], ...]
    disagreement: float
    """How far the votes are apart on average, in (0, 1]: 1 where they share no label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationReport:
    """What `read_annotations` found, and what it left out."""

    tools: tuple[str, ...]
    """Tool that each file is of."""
    n_records: int
    """Records of the files; one may hold several answers."""
    n_answers: int
    """Answers found in them, whether they count or not."""
    n_votes: int
    """Answers that count."""
    excluded: Mapping[str, int]
    """Why answers do not count → how many."""
    dropped: Mapping[str, int]
    """Parts of votes that were left out, by reason."""
    annotators: Mapping[str, int]
    """Annotator → votes."""
    unmatched: tuple[str, ...]
    """Ids of threads that were answered and that nobody has: neither the files nor ``threads``."""
    n_single: int
    """Threads with one vote; the codebook asks for two."""
    n_waiting: int = 0
    """Threads with fewer votes than were asked for: neither settled nor in the queue."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return plain(self)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        by_tool = ", ".join(dict.fromkeys(self.tools))
        lines = [
            f"{by_tool}: {self.n_records} records, {self.n_answers} answers, {self.n_votes} count"
        ]
        for title, counts in (
            ("excluded", self.excluded),
            ("left out of votes", self.dropped),
            ("votes", self.annotators),
        ):
            if counts:
                listed = ", ".join(f"{name} {n}" for name, n in counts.items())
                lines.append(f"{title}: {listed}")
        if self.unmatched:
            some = ", ".join(map(shown, self.unmatched[:_SHOWN]))
            more = ", …" if len(self.unmatched) > _SHOWN else ""
            lines.append(f"threads nobody has: {len(self.unmatched)} ({some}{more})")
        if self.n_waiting:
            lines.append(f"threads with too few votes: {self.n_waiting}")
        if self.n_single:
            lines.append(f"threads with one vote only: {self.n_single}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """Annotated threads out of a tool's export: the settled ones and those still to decide."""

    threads: tuple[AnnotatedThread, ...] = field(repr=False)
    """Settled by `intimacy.annotation.settle`, with every vote, in order of appearance."""
    queue: tuple[Contested, ...] = field(repr=False)
    """Threads whose annotators differ, most contested first."""
    report: AnnotationReport

    def agreement(self) -> dict[str, Share]:
        """Krippendorff's alpha of the independent annotators, with 95 % intervals.

        Over settled threads and the queue alike: without those that are still to decide it
        would be of the threads on which all agree. Votes that adjudicate are left out, see
        `intimacy.agreement`.

        Returns: Field → share, for the label and the attributes that somebody answered; empty
            when no thread has two independent votes.
        """
        from intimacy import audit

        waiting = [
            AnnotatedThread(thread=item.thread, label=None, votes=item.votes) for item in self.queue
        ]
        items = [*self.threads, *waiting]
        asked = {name for item in items for vote in item.votes for name in vote}
        found = audit.agreement(items)
        return {name: share for name, share in found.items() if name in asked}

    def write_corpus(self, path: str | Path) -> int:
        """Write the settled threads as a corpus that `intimacy.load_corpus` reads.

        Returns: How many there are.

        Raises:
            CorpusError: When there is none.
            SourceError: When the place cannot be written.
        """
        if not self.threads:
            raise CorpusError(
                f"no thread is settled ({len(self.queue)} wait for a third annotator); expected "
                "one with a vote, or two that agree"
            )
        return store.write_jsonl(Path(path), map(annotation.annotated_to_dict, self.threads))

    def write_queue(
        self, path: str | Path, *, tool: str | None = None, attributes: bool = False
    ) -> int:
        """Write the queue as tasks for a third annotator, without votes or suggestions.

        Each task is marked, in every tool, so that the answer is read back as one that decides.

        Args:
            path: File to write.
            tool: One of `intimacy.labelling.TOOLS`; None is the one that was read.
            attributes: Whether the attributes of the codebook's section 5 are asked for as well.

        Returns: How many tasks there are.

        Raises:
            ConfigError: When there is no such tool, or it cannot ask for attributes.
            SourceError: When the place cannot be written.
        """
        name = tool or self.report.tools[0]
        tasks = export_for(
            name,
            [item.thread for item in self.queue],
            blind=True,
            attributes=attributes,
            adjudicates=True,
        )
        write_tasks(Path(path), name, tasks)
        return len(tasks)


def read_annotations(
    path: str | Path | Sequence[str | Path],
    *,
    tool: str | None = None,
    threads: Iterable[Any] | None = None,
    tasks: str | Path | None = None,
    adjudicators: Collection[str] = (),
    min_votes: int = 1,
    key: bytes | str | None = None,
) -> Annotations:
    """Read what annotators answered in Label Studio, doccano, Argilla, Prodigy or a spreadsheet.

    Drafts and cancelled, rejected, ignored, empty and unsure answers do not count, nor does an
    earlier answer of the same annotator; the report says how many of each there were. Threads
    come back whole where the tasks were made by `export_for`, with how `label_next` chose them and
    the probability with which it drew them: `labelled_shares` needs no more.

    Args:
        path: A file, or several of one round: those of several annotators, or a first round and
            the answers of a third to its queue.
        tool: ``label-studio``, ``doccano``, ``argilla``, ``prodigy`` or ``csv``; None recognises
            each file by content.
        threads: The threads, where the files do not hold them; found by id.
        tasks: The file of tasks that the tool was given, where its export lost what they carried:
            gives back threads and how they were chosen.
        adjudicators: Annotators who were asked only where others differed. Answers to the tasks
            of `Annotations.write_queue` are known to be such.
        min_votes: Votes that a thread needs to be settled; with fewer it waits.
        key: Secret of at least 16 bytes, under which an e-mail address keeps one pseudonym from
            one reading to the next. None calls the addresses ``a1, a2``… in order of appearance.

    Raises:
        SourceError: When a file cannot be read; names file, line and field of a bad record.
        UnknownFormatError: When a file is no tool's.
        UnsupportedExportError: When threads cannot be told from the files alone.
        ConfigError: When there is no such tool.

    Warns:
        IntimacyWarning: When a form of export cannot tell drafts from answers, or how some of the
            threads were chosen is lost.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    if not paths:
        raise ConfigError("no file; expected at least one export of an annotation tool")
    if min_votes < 1:
        raise ConfigError(f"min_votes is {min_votes}; expected 1 or more")
    tools, answers, n_records = [], [], 0
    for place in map(Path, paths):
        found, given, n = read_answers(place, tool)
        tools.append(found.name)
        answers += [(place, answer) for answer in given]
        n_records += n
    names, note = names_of(answers, key)
    excluded = Counter(answer.excluded for _, answer in answers if answer.excluded)
    known = None if threads is None else by_id(threads)
    given_out = [] if tasks is None else read_tasks(Path(tasks), tool or tools[0])
    if tasks is not None:
        known = {t.thread.id: t.thread for t in given_out if t.thread} | (known or {})
    choices, about = choices_of(answers, given_out)
    slots, unmatched, notes = slots_of(answers, names, known, excluded, adjudicators)
    settled: list[AnnotatedThread] = []
    queue: list[Contested] = []
    n_single = n_waiting = 0
    for thread, given_by in slots:
        votes = [_vote(name, answer, adjudicators) for name, answer in ordered(given_by)]
        n_single += len(votes) == 1
        if len(votes) < min_votes:
            n_waiting += 1
            continue
        try:
            settled.append(_settled(thread, votes, choices.get(thread.id)))
        except CorpusError:
            queue.append(
                Contested(thread=thread, votes=tuple(votes), disagreement=_disagreement(votes))
            )
    counting = [(name, answer) for _, given_by in slots for name, answer in given_by.items()]
    report = AnnotationReport(
        tools=tuple(tools),
        n_records=n_records,
        n_answers=len(answers),
        n_votes=len(counting),
        excluded=dict(sorted(excluded.items(), key=lambda item: -item[1])),
        dropped=dict(Counter(why for _, answer in counting for why in answer.dropped)),
        annotators=dict(Counter(name for name, _ in counting).most_common()),
        unmatched=tuple(unmatched),
        n_single=n_single,
        n_waiting=n_waiting,
        notes=(
            *([note] if note else []),
            *notes,
            *about,
            *undecided(choices, {item.thread.id for item in settled}),
        ),
    )
    # Of equals the order of the files stays: sorting is stable.
    queue.sort(key=lambda item: -item.disagreement)
    return Annotations(threads=tuple(settled), queue=tuple(queue), report=report)


def _vote(name: str, answer: Answer, adjudicators: Collection[str]) -> dict[str, Any]:
    decides = answer.adjudicates or name in adjudicators
    return {"annotator": name, **answer.given, "adjudicates": decides}


def _settled(thread: Thread, votes: list[dict[str, Any]], chosen: Chosen | None) -> AnnotatedThread:
    votes.sort(key=lambda vote: vote["adjudicates"])
    stands = annotation.settle(votes)
    asked = {name for vote in votes for name in vote}
    return AnnotatedThread(
        thread=thread,
        label=None if stands["label"] is None else Label(stands["label"]),
        secondary=None if stands["secondary"] is None else Label(stands["secondary"]),
        attributes={name: stands[name] for name in ATTRIBUTES if name in asked},
        votes=tuple(votes),
        target=stands["target"],
        chosen_by=None if chosen is None else chosen.by,
        draw_probability=None if chosen is None else chosen.probability,
    )


def _disagreement(votes: Sequence[Mapping[str, Any]]) -> float:
    """Mean distance of two votes: half the sum of how far their shares of each label differ."""
    shares = [
        annotation.distribution(vote) or {", ".join(sorted(vote["flags"])): 1.0} for vote in votes
    ]
    distances = [
        sum(abs(a.get(name, 0.0) - b.get(name, 0.0)) for name in {*a, *b}) / 2
        for a, b in combinations(shares, 2)
    ]
    return round(sum(distances) / len(distances), 4)
