"""Labelled corpora: the codebook's record with its annotation, splits by persona, targets.

A corpus is a JSONL file or a folder of them. Nobody who writes under one persona is both
trained on and tested on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intimacy import store
from intimacy.errors import CorpusError, RecordError
from intimacy.schema import Label, Thread, plain

SPLITS = ("train", "dev", "test")
ATTRIBUTES = (
    "disclosure_depth",
    "follower_disclosure",
    "product_salience",
    "creator_response",
    "stance",
    "cocreation",
    "parasocial",
    "informs",
    "purchase_signal",
    "flags",
)
"""The codebook's attributes, in the order of its section 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedThread:
    """A thread with labels: one record of a corpus."""

    thread: Thread
    label: Label | None
    """None for threads out of scope or not Italian."""
    secondary: Label | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """The codebook's attributes by name, ``flags`` among them."""
    votes: tuple[Mapping[str, Any], ...] = ()
    """Every annotator's own answer."""
    target: Mapping[str, float] = field(default_factory=dict)
    """Distribution of the votes over labels, what a model is trained on."""
    persona: str | None = None
    split: str | None = None
    pair_id: str | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """``out_of_scope``, ``not_italian`` or nothing."""
        return tuple(self.attributes.get("flags") or ())


def load_corpus(path: str | Path) -> list[AnnotatedThread]:
    """Labelled threads of a JSONL file, or of all ``*.jsonl`` of a folder, in order of name.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file and line.
        CorpusError: When there is no labelled thread, or an id occurs twice.
    """
    place = Path(path)
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
    items = [item for file in files for item in store.read_jsonl(file, annotated_from_dict)]
    if not items:
        raise CorpusError(f"{place} holds no records; expected JSONL of labelled threads")
    seen: set[str] = set()
    for item in items:
        if item.thread.id in seen:
            raise CorpusError(f"{place}: id {item.thread.id!r} occurs twice; ids must be unique")
        seen.add(item.thread.id)
    unlabelled = sum(item.label is None and not item.flags for item in items)
    if unlabelled:
        raise CorpusError(
            f"{place}: {unlabelled} records have neither a label nor a flag; expected a label "
            "or flags of out_of_scope or not_italian in each"
        )
    return items


def split(
    items: Sequence[AnnotatedThread], *, dev: float, test: float, seed: int
) -> dict[str, list[AnnotatedThread]]:
    """The corpus' own splits, or a division of its personas where it states none.

    A persona falls into its part by a hash of its name and the seed, taking the persona with
    the lowest hash first until the part is full: adding records moves as few as possible.

    Args:
        items: The corpus.
        dev: Share of the threads for choosing and calibrating.
        test: Share of the threads for the final figures.
        seed: Changes which personas go where.

    Raises:
        CorpusError: When only some records state a split, or a part would stay empty.
    """
    stated = sum(item.split is not None for item in items)
    if 0 < stated < len(items):
        raise CorpusError(f"{stated} of {len(items)} records state a split; expected all or none")
    parts: dict[str, list[AnnotatedThread]] = {name: [] for name in SPLITS}
    if stated:
        for item in items:
            parts.setdefault(str(item.split), []).append(item)
    else:
        groups: dict[str, list[AnnotatedThread]] = {}
        for item in items:
            groups.setdefault(item.persona or item.thread.post.creator_id or "", []).append(item)
        order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}{name}".encode()).digest())
        for name in order:
            if len(parts["test"]) < test * len(items):
                parts["test"] += groups[name]
            elif len(parts["dev"]) < dev * len(items):
                parts["dev"] += groups[name]
            else:
                parts["train"] += groups[name]
    for name in SPLITS:
        if not parts[name]:
            raise CorpusError(
                f"the {name} part is empty: {len(items)} threads of too few personas; give "
                "'persona' (or creator_id) to the records, or 'split'"
            )
    return parts


def annotated_from_dict(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> AnnotatedThread:
    """A labelled thread out of the codebook's record.

    Raises:
        RecordError: When the record is malformed or a label does not exist.
    """
    thread = store.thread_from_dict(record, path=path, line=line)
    label = _label(record.get("label"), "label", path, line)
    secondary = _label(record.get("secondary"), "secondary", path, line)
    target = {
        str(_label(k, "target", path, line)): float(v)
        for k, v in (record.get("target") or {}).items()
    }
    if not target and label is not None:
        target = {str(label): 1.0} if secondary is None else {str(label): 0.7, str(secondary): 0.3}
    return AnnotatedThread(
        thread=thread,
        label=label,
        secondary=secondary,
        attributes={k: record[k] for k in ATTRIBUTES if k in record},
        votes=tuple(record.get("votes") or ()),
        target=target,
        persona=store.word_or_none(record.get("persona")),
        split=store.word_or_none(record.get("split")),
        pair_id=store.word_or_none(record.get("pair_id")),
    )


def annotated_to_dict(item: AnnotatedThread) -> dict[str, Any]:
    """The codebook's record of a labelled thread."""
    record = store.thread_to_dict(item.thread)
    record |= {"label": plain(item.label), "secondary": plain(item.secondary)}
    record |= {k: item.attributes[k] for k in ATTRIBUTES if k in item.attributes}
    extra = {
        "target": plain(item.target),
        "votes": plain(item.votes),
        "persona": item.persona,
        "split": item.split,
        "pair_id": item.pair_id,
    }
    return record | {k: v for k, v in extra.items() if v}


def _label(word: Any, field: str, path: Path | str | None, line: int | None) -> Label | None:
    if word is None:
        return None
    try:
        return Label(word)
    except ValueError:
        raise RecordError(
            f"{field!r} has {word!r}; expected one of: {', '.join(Label)}", path=path, line=line
        ) from None
