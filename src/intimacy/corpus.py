"""Labelled corpora: the codebook's record with its annotation, splits by persona, targets.

A corpus is a JSONL file or a folder of them. Nobody who writes under one persona is both
trained on and tested on. Labels of texts that may not be passed on stand in it without the
text, under its hash; they are joined with the texts where those are present.
"""

from __future__ import annotations

import hashlib
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intimacy import annotation, store
from intimacy.errors import CorpusError, IntimacyWarning, RecordError, SourceError
from intimacy.schema import Label, Thread, plain

SPLITS = ("train", "dev", "test", "challenge")
"""``challenge`` holds the codebook's boundary cases; it is only ever stated, never drawn."""
_ROUNDING = 0.01


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
    """Every annotator's own answer; ``adjudicates`` marks one asked only where others differed."""
    target: Mapping[str, float] = field(default_factory=dict)
    """Distribution of the votes over labels, what a model is trained on."""
    persona: str | None = None
    split: str | None = None
    pair_id: str | None = None
    """Shared by contrast twins: threads that differ in one thing."""
    case: int | None = None
    """Boundary case of the codebook's section 4 that the thread was written for."""
    source: str | None = None
    """Data set that the text was joined from; None where the corpus itself holds the text."""

    @property
    def flags(self) -> tuple[str, ...]:
        """``out_of_scope``, ``not_italian`` or nothing."""
        return tuple(self.attributes.get("flags") or ())


def bundled_corpus() -> Path:
    """The authored corpus that comes with the library, in a wheel or in a checkout.

    Raises:
        CorpusError: When it is in neither place.
    """
    package = Path(__file__).resolve().parent
    places = (package / "data" / "threads", package.parents[1] / "data" / "threads")
    for place in places:
        if place.is_dir():
            return place
    raise CorpusError(
        f"the corpus is in neither {places[0]} nor {places[1]}; the installation is incomplete: "
        "reinstall intimacy, or pass the path of a corpus"
    )


def load_corpus(
    path: str | Path | None = None, *, text_root: str | Path | None = None
) -> list[AnnotatedThread]:
    """Labelled threads of a JSONL file, or of all ``*.jsonl`` of a folder, in order of name.

    Args:
        path: File or folder; None is the authored corpus that comes with the library.
        text_root: Folder with the texts that labels without text were given to, one
            ``<source>.jsonl`` (or ``.jsonl.xz``, ``.jsonl.gz``) a source, its lines with
            ``text`` or ``turns`` and maybe ``caption``. Without it such labels are left out.

    Warns:
        IntimacyWarning: When some texts are not in ``text_root``; says how many.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file, line and field.
        CorpusError: When there is no labelled thread, or an id occurs twice.
    """
    place = bundled_corpus() if path is None else Path(path)
    items, without = join_texts(read_corpus(place), text_root)
    whole = sum(without.values())
    if not items:
        asked = (
            f"{whole} labels without their texts; pass text_root=, a folder that has them"
            if whole
            else "no records; expected JSONL of labelled threads"
        )
        raise CorpusError(f"{place} holds {asked}")
    if whole and text_root is not None:
        found = ", ".join(f"{source}: {n}" for source, n in without.items())
        warnings.warn(
            f"{whole} labelled texts are not in {text_root} ({found})",
            IntimacyWarning,
            stacklevel=2,
        )
    twice = [name for name, n in Counter(item.thread.id for item in items).items() if n > 1]
    if twice:
        raise CorpusError(f"{place}: id {twice[0]!r} occurs twice; ids must be unique")
    return items


def read_corpus(
    place: Path, *, errors: list[RecordError] | None = None
) -> Iterator[AnnotatedThread | TextlessLabel]:
    """Records of a corpus as they come, labels without text among them.

    Args:
        place: JSONL file, or folder of ``*.jsonl``.
        errors: Receives the malformed records; without it the first one is raised.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file, line and field.
    """
    for file in corpus_files(place):
        on_error: store.OnError = "stop" if errors is None else "skip"
        yield from store.read_jsonl(file, _record, on_error=on_error, skipped=errors)


def corpus_files(place: Path) -> list[Path]:
    """The files a corpus is read from."""
    return sorted(place.glob("*.jsonl")) if place.is_dir() else [place]


# -- labels without text


@dataclass(frozen=True, slots=True, kw_only=True)
class TextlessLabel:
    """The annotation of a text that is kept elsewhere, under the hash of that text."""

    record: Mapping[str, Any] = field(repr=False)
    path: Path | str | None = None
    line: int | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Hashes of the turns and of the caption."""
        return self.record["text_sha256"], self.record.get("caption_sha256")


def text_hash(texts: Sequence[str]) -> str:
    """SHA-256 of the texts of a thread's turns: NFC, joined by line breaks, as UTF-8."""
    return hashlib.sha256(unicodedata.normalize("NFC", "\n".join(texts)).encode()).hexdigest()


def join_texts(
    records: Iterable[AnnotatedThread | TextlessLabel], text_root: str | Path | None
) -> tuple[list[AnnotatedThread], Counter[str]]:
    """Threads out of the records of a corpus, and how many labels stay without text, by source.

    Raises:
        SourceError: When ``text_root`` is not a folder or a file in it cannot be read.
    """
    texts = None if text_root is None else _Texts(Path(text_root))
    items: list[AnnotatedThread] = []
    without: Counter[str] = Counter()
    for record in records:
        if isinstance(record, AnnotatedThread):
            items.append(record)
        elif texts is not None and (joined := texts.join(record)) is not None:
            items.append(joined)
        else:
            without[str(record.record["source"])] += 1
    return items, without


class _Texts:
    """Finds texts by source and hash; reads each source once."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SourceError(f"{root} is not a folder; expected one with <source>.jsonl files")
        self._root = root
        self._known: dict[str, dict[tuple[str, str | None], dict[str, Any]]] = {}

    def join(self, label: TextlessLabel) -> AnnotatedThread | None:
        """The labelled thread; None when its text is not here."""
        source = str(label.record["source"])
        if source not in self._known:
            self._known[source] = dict(self._texts(source))
        found = self._known[source].get(label.key)
        roles = label.record["roles"]
        if found is None or len(found["turns"]) != len(roles):
            return None
        turns = [
            {"role": role, "text": text} for role, text in zip(roles, found["turns"], strict=True)
        ]
        whole = {**label.record, **found, "turns": turns}
        return annotated_from_dict(whole, path=label.path, line=label.line)

    def _texts(self, source: str) -> Iterator[tuple[tuple[str, str | None], dict[str, Any]]]:
        for suffix in (".jsonl", ".jsonl.xz", ".jsonl.gz"):
            path = self._root / f"{source}{suffix}"
            if path.is_file():
                break
        else:
            return
        for record in store.read_jsonl(path, lambda record, **_: record):
            turns = [turn["text"] for turn in record.get("turns", ())] or [record.get("text", "")]
            caption = record.get("caption") or None
            found = {"turns": turns, "caption": caption, "platform": record.get("platform")}
            hashes = (text_hash(turns), None if caption is None else text_hash([caption]))
            yield hashes, found


# -- splits


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
            parts[str(item.split)].append(item)
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
    for name in ("train", "dev", "test"):
        if not parts[name]:
            raise CorpusError(
                f"the {name} part is empty: {len(items)} threads of too few personas; give "
                "'persona' (or creator_id) to the records, or 'split'"
            )
    return parts


# -- records


def _record(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> AnnotatedThread | TextlessLabel:
    if not isinstance(record, Mapping) or "text_sha256" not in record or "turns" in record:
        return annotated_from_dict(record, path=path, line=line)
    for name, kind in (("source", str), ("text_sha256", str), ("roles", list)):
        if not isinstance(record.get(name), kind):
            raise RecordError(
                f"{name!r} is {record.get(name)!r}; a label without text needs 'source', "
                "'text_sha256' and 'roles'",
                path=path,
                line=line,
            )
    # Everything but the text can be checked now: the words of the turns change nothing in it.
    turns = [{"role": role, "text": ""} for role in record["roles"]]
    annotated_from_dict({**record, "turns": turns}, path=path, line=line)
    return TextlessLabel(record=record, path=path, line=line)


def annotated_from_dict(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> AnnotatedThread:
    """A labelled thread out of the codebook's record.

    Raises:
        RecordError: When the record is malformed or a value does not exist; names file, line
            and field.
    """
    thread = store.thread_from_dict(record, path=path, line=line)

    def refuse(message: str) -> None:
        raise RecordError(message, path=path, line=line)

    annotation.check(record, path=path, line=line)
    if record.get("label") is None and not record.get("flags"):
        refuse(
            "'label' is null and 'flags' names no reason; expected a label, or flags of "
            f"{' or '.join(annotation.FLAGS)}"
        )
    votes = record.get("votes") or ()
    if not isinstance(votes, (list, tuple)):
        refuse(f"'votes' is {type(votes).__name__}; expected a list of answers")
    for number, vote in enumerate(votes):
        if not isinstance(vote, Mapping):
            refuse(f"'votes[{number}]' is {type(vote).__name__}; expected an object")
        annotation.check(vote, inside=f"votes[{number}].", path=path, line=line)
    if record.get("split") not in (None, *SPLITS):
        refuse(f"'split' has {record['split']!r}; expected one of: {', '.join(SPLITS)}")
    case = record.get("case")
    if case is not None and not (isinstance(case, int) and case > 0):
        refuse(f"'case' has {case!r}; expected the number of a boundary case")
    label, secondary = record.get("label"), record.get("secondary")
    return AnnotatedThread(
        thread=thread,
        label=None if label is None else Label(label),
        secondary=None if secondary is None else Label(secondary),
        attributes={k: record[k] for k in annotation.ATTRIBUTES if k in record},
        votes=tuple(votes),
        target=_target(record, refuse),
        persona=store.word_or_none(record.get("persona")),
        split=store.word_or_none(record.get("split")),
        pair_id=store.word_or_none(record.get("pair_id")),
        case=case,
        source=store.word_or_none(record.get("source")),
    )


def _target(record: Mapping[str, Any], refuse: Callable[[str], None]) -> dict[str, float]:
    """The soft target that a record states, or the one its votes or labels give."""
    stated = record.get("target")
    if not stated:
        votes = record.get("votes") or ()
        return annotation.soft_target([v for v in votes if "label" in v] or [record])
    if not isinstance(stated, Mapping) or not set(stated) <= set(Label):
        refuse(f"'target' is {type(stated).__name__}; expected shares of: {', '.join(Label)}")
    shares = {str(name): share for name, share in stated.items() if share}
    if not all(isinstance(s, (int, float)) and 0 <= s <= 1 for s in shares.values()) or (
        abs(sum(shares.values()) - 1) > _ROUNDING
    ):
        refuse("'target' does not sum to 1; expected shares in [0, 1] that do")
    return {name: float(share) for name, share in shares.items()}


def annotated_to_dict(item: AnnotatedThread) -> dict[str, Any]:
    """The codebook's record of a labelled thread."""
    record = store.thread_to_dict(item.thread)
    record |= {"label": plain(item.label), "secondary": plain(item.secondary)}
    record |= {k: item.attributes[k] for k in annotation.ATTRIBUTES if k in item.attributes}
    extra = {
        "target": plain(item.target),
        "votes": plain(item.votes),
        "persona": item.persona,
        "split": item.split,
        "pair_id": item.pair_id,
        "case": item.case,
        "source": item.source,
    }
    return record | {k: v for k, v in extra.items() if v}
