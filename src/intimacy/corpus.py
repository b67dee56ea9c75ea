"""Labelled corpora: the codebook's record with its annotation, splits by persona, targets.

A corpus is a JSONL file or a folder of them. Nobody who writes under one persona is both
trained on and tested on. Labels of texts that may not be passed on stand in it without the
text, under its hash; they are joined with the texts where those are present.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from intimacy import store
from intimacy.annotation import SPLITS, AnnotatedThread, annotated_from_dict
from intimacy.errors import CorpusError, IntimacyWarning, RecordError, SourceError, shown

_SUFFIXES = (".jsonl", ".jsonl.xz", ".jsonl.gz")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[\w-][\w.-]*")


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
        CorpusError: When there is no labelled thread.
    """
    place = bundled_corpus() if path is None else Path(path)
    items, without = join_texts(read_corpus(place), text_root)
    whole = sum(without.values())
    found = ", ".join(f"{source}: {n}" for source, n in without.items())
    if not items and not whole:
        raise CorpusError(f"{place} holds no records; expected JSONL of labelled threads")
    if not items:
        todo = (
            "pass text_root=, a folder that has them"
            if text_root is None
            else f"none of them is in {text_root}, which needs a <source>.jsonl for each"
        )
        raise CorpusError(f"{place} holds {whole} labels without their texts ({found}); {todo}")
    if whole and text_root is not None:
        warnings.warn(
            f"{whole} labelled texts are not in {text_root} ({found})",
            IntimacyWarning,
            stacklevel=2,
        )
    return items


def read_corpus(
    place: Path, *, errors: list[RecordError] | None = None
) -> Iterator[AnnotatedThread | TextlessLabel]:
    """Records of a corpus as they come, labels without text among them.

    Args:
        place: JSONL file, or folder of ``*.jsonl``; ``.gz`` and ``.xz`` are read as such.
        errors: Receives the malformed records; without it the first one is raised.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file, line and field.
    """
    seen: dict[str, str] = {}

    def parse(
        record: Mapping[str, Any], *, path: Path, line: int
    ) -> AnnotatedThread | TextlessLabel:
        parsed = _record(record, path=path, line=line)
        name = str(record["id"])
        if name in seen:
            raise RecordError(
                f"'id' is {shown(name)}, as at {seen[name]}; ids must be unique",
                path=path,
                line=line,
            )
        seen[name] = f"{path.name}:{line}"
        return parsed

    on_error: store.OnError = "stop" if errors is None else "skip"
    for file in corpus_files(place):
        yield from store.read_jsonl(file, parse, on_error=on_error, skipped=errors)


def corpus_files(place: Path) -> list[Path]:
    """The files a corpus is read from.

    Raises:
        SourceError: When the folder cannot be looked into.
    """
    with _readable(place):
        if not place.is_dir():
            return [place]
        return sorted(p for p in place.iterdir() if p.name.endswith(_SUFFIXES) and p.is_file())


@contextmanager
def _readable(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SourceError(f"{place}: cannot be read: {exc.strerror or exc}") from exc


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
        with _readable(root):
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
        known = {name: value for name, value in found.items() if value is not None}
        whole = {**label.record, **known, "turns": turns}
        joined = annotated_from_dict(whole, path=label.path, line=label.line)
        return replace(joined, source=source)

    def _texts(self, source: str) -> Iterator[tuple[tuple[str, str | None], dict[str, Any]]]:
        for suffix in _SUFFIXES:
            path = self._root / f"{source}{suffix}"
            with _readable(path):
                if path.is_file():
                    break
        else:
            return
        for found in store.read_jsonl(path, _text_record):
            caption = found["caption"]
            hashes = (text_hash(found["turns"]), None if caption is None else text_hash([caption]))
            yield hashes, found


def _text_record(record: Mapping[str, Any], *, path: Path, line: int) -> dict[str, Any]:
    turns = record.get("turns", [record]) or [record]
    texts = (
        [turn.get("text") for turn in turns if isinstance(turn, Mapping)]
        if (isinstance(turns, list))
        else []
    )
    caption, platform = record.get("caption") or None, record.get("platform")
    if not texts or len(texts) != len(turns) or not all(isinstance(t, str) for t in texts):
        raise RecordError(
            "no text; expected 'text', or 'turns' that each have a 'text'", path=path, line=line
        )
    for name, value in (("caption", caption), ("platform", platform)):
        if value is not None and not isinstance(value, str):
            raise RecordError(
                f"{name!r} is {shown(value)}; expected a string or null", path=path, line=line
            )
    return {"turns": texts, "caption": caption, "platform": platform}


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
    source, roles, captioned = (record.get(n) for n in ("source", "roles", "caption_sha256"))
    for name, right, expected in (
        ("source", isinstance(source, str) and _FILE_NAME.fullmatch(source), "the name of a file"),
        ("text_sha256", _is_hash(record["text_sha256"]), "64 hexadecimal digits in lower case"),
        ("caption_sha256", captioned is None or _is_hash(captioned), "64 digits as well, or null"),
        ("roles", isinstance(roles, list) and roles, "a list with the role of every turn"),
    ):
        if not right:
            raise RecordError(
                f"{name!r} is {shown(record.get(name))}; a label without text needs {expected}",
                path=path,
                line=line,
            )
    # Everything but the text can be checked now: the words of the turns change nothing in it.
    turns = [{"role": role, "text": ""} for role in record["roles"]]
    annotated_from_dict({**record, "turns": turns}, path=path, line=line)
    return TextlessLabel(record=record, path=path, line=line)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
