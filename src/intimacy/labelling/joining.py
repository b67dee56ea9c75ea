"""Answers of several files brought together: who gave them, and about which thread."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from intimacy import text
from intimacy.errors import IntimacyWarning, UnsupportedExportError, shown
from intimacy.intake import as_thread
from intimacy.labelling.base import Answer, Chosen, text_of
from intimacy.schema import Thread
from intimacy.threads import check_key

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LETTERS = 8

Given = Sequence[tuple[Path, Answer]]
"""Answers, each with the file that it stands in."""
Names = Mapping[tuple[Path, str | None], str]
"""What each annotator of each file is called."""
Slots = list[tuple[Thread, dict[str, Answer]]]
"""Threads, each with the answer of every annotator that counts."""


def names_of(answers: Given, key: bytes | str | None) -> tuple[Names, str]:
    """What each annotator of each file is called, and what is to be said about it.

    A name is the tool's; an e-mail address, and whoever has none, gets a pseudonym.
    """
    secret = check_key(key)[0] if key is not None else None
    raw = {(place, a.annotator): None for place, a in answers if not a.excluded}
    taken = {who for _, who in raw if who is not None and not _EMAIL.search(who)}
    out: dict[tuple[Path, str | None], str] = {}
    by_address: dict[str, str] = {}
    number = n_made = 0
    for place, who in raw:
        if who is not None and not _EMAIL.search(who):
            out[place, who] = who
            continue
        # One person in several files; nobody's name in two files are two people.
        person = f"{place}\n" if who is None else who.strip().casefold()
        if person not in by_address:
            if secret is not None and who is not None:
                by_address[person] = text.pseudonym(secret, "annotators", person)[:_LETTERS]
            else:
                number += 1
                while f"a{number}" in taken:
                    number += 1
                by_address[person] = f"a{number}"
                n_made += 1
        out[place, who] = by_address[person]
    note = ""
    if n_made:
        note = (
            f"{n_made} annotators with an e-mail address or no name are called a1, a2… in order "
            "of appearance; pass key= (--key-file) for names that stay the same"
        )
    return out, note


def by_id(threads: Iterable[Any]) -> dict[str, Thread]:
    """Threads by their id."""
    items = [as_thread(item, number) for number, item in enumerate(threads)]
    return {thread.id: thread for thread in items}


def slots_of(
    answers: Given,
    names: Names,
    known: Mapping[str, Thread] | None,
    excluded: Counter[Any],
    adjudicators: Collection[str],
) -> tuple[Slots, list[str], list[str]]:
    """Threads with the answer of each annotator that counts, and what does not fit.

    Args:
        answers: Of all files, in order.
        names: What annotators are called.
        known: Threads by id, where the caller has them; else those of the answers serve.
        excluded: Receives the reasons of answers that are left out here.
        adjudicators: Annotators who were asked only where others differed.

    Returns: Threads with their answers, ids of threads that nobody has, and notes.

    Raises:
        UnsupportedExportError: When an answer comes without its thread and ``known`` is None.
    """
    found: dict[str, tuple[Thread, dict[str, Answer]]] = {}
    unmatched: dict[str, int] = {}
    n_without = 0
    for place, answer in answers:
        if answer.excluded:
            continue
        identity = answer.thread_id
        thread = (known or {}).get(identity or "") or answer.thread
        if thread is None and known is None:
            named = "names no thread" if identity is None else f"of thread {shown(identity)}"
            raise UnsupportedExportError(
                f"{place}: an answer {named} comes without the thread: it was not made by "
                "'intimacy annotate', or the tool lost its metadata. Pass threads= (--threads), "
                "the threads that were annotated"
            )
        if thread is None or identity is None:
            excluded["no thread"] += 1
            n_without += identity is None
            if identity is not None:
                unmatched[identity] = 1
            continue
        first, given_by = found.setdefault(thread.id, (thread, {}))
        if text_of(first) != text_of(thread):
            excluded["another thread of the same id"] += 1
            continue
        name = names[place, answer.annotator]
        earlier = given_by.get(name)
        if earlier is None:
            given_by[name] = answer
        elif earlier.adjudicates != answer.adjudicates:
            # Nobody decides between themself and another: their first word stands.
            excluded["adjudicates an own vote"] += 1
            if earlier.adjudicates:
                given_by[name] = answer
        else:
            excluded["repeated"] += 1
            if not _later(earlier, answer):
                given_by[name] = answer
    notes = []
    if n_without:
        notes.append(f"{n_without} answers name no thread; they cannot be joined")
    strangers = set(adjudicators) - set(names.values())
    if strangers:
        notes.append(f"adjudicators who answered nothing: {', '.join(sorted(strangers))}")
    return list(found.values()), list(unmatched), notes


def choices_of(answers: Given, tasks: Iterable[Answer]) -> tuple[dict[str, Chosen], list[str]]:
    """How threads were chosen, by id, and what is to be said about it.

    Args:
        answers: Of all files, those that do not count among them: their threads were chosen too.
        tasks: What the tool was given, where the caller has it; it goes before.

    Warns:
        IntimacyWarning: When that is known of some threads and lost of others.
    """
    out: dict[str, Chosen] = {}
    twice = set()
    for item in (*tasks, *(answer for _, answer in answers)):
        if item.chosen is None or item.thread_id is None:
            continue
        if out.setdefault(item.thread_id, item.chosen) != item.chosen:
            twice.add(item.thread_id)
    counting = [answer for _, answer in answers if not answer.excluded]
    lost = {a.thread_id for a in counting if a.thread_id not in out and not a.adjudicates}
    if out and lost:
        warnings.warn(
            f"{len(lost)} of {len({a.thread_id for a in counting})} answered threads came back "
            "without how they were chosen: they speak for no other thread in shares. Pass tasks= "
            "(--tasks), the file that 'intimacy annotate' wrote",
            IntimacyWarning,
            stacklevel=3,  # whoever called read_annotations
        )
    notes = []
    if bare := {a.thread_id for a in counting if a.bare and a.thread_id not in out}:
        notes.append(
            f"{len(bare)} threads came back without what their tasks carried: if 'intimacy annotate"
            " -n' chose them, pass tasks= (--tasks), or shares from them are biased"
        )
    if twice:
        notes.append(f"{len(twice)} threads were chosen twice, unlike; the first time stands")
    return out, notes


def undecided(choices: Mapping[str, Chosen], settled: Collection[str]) -> list[str]:
    """What is to be said of threads that were drawn and have no label yet."""
    drawn = {name for name, chosen in choices.items() if chosen.probability is not None}
    if not (missing := drawn - set(settled)) or len(missing) == len(drawn):
        return []
    return [
        f"{len(missing)} of {len(drawn)} threads that were drawn have no label: shares from the "
        "others are biased if these are harder, so finish them first"
    ]


def _later(earlier: Answer, answer: Answer) -> bool:
    """Whether the answer that was read first was given last."""
    if earlier.given_at is None or answer.given_at is None:
        return False
    return earlier.given_at > answer.given_at


def ordered(given_by: Mapping[str, Answer]) -> list[tuple[str, Answer]]:
    """In the order in which they were given, where every one says when."""
    pairs = list(given_by.items())
    times = [answer.given_at for _, answer in pairs]
    if all(time is not None for time in times):
        pairs.sort(key=lambda pair: pair[1].given_at)  # type: ignore[arg-type,return-value]
    return pairs
