"""Labels of texts that may not be passed on: kept under the hash of the text, joined where it is.

A folder of texts has one ``<source>.jsonl`` a source; each is read once, when it is asked for.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intimacy import store
from intimacy.annotation import AnnotatedThread, annotated_from_dict
from intimacy.errors import RecordError, SourceError, shown

SUFFIXES = (".jsonl", ".jsonl.xz", ".jsonl.gz")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[\w-][\w.-]*")


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """Turns what the file system objects into a `SourceError`."""
    try:
        yield
    except OSError as exc:
        raise SourceError(f"{place}: cannot be read: {exc.strerror or exc}") from exc


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
    without: Counter[str] = Counter()
    return list(joined_texts(records, text_root, without)), without


def joined_texts(
    records: Iterable[AnnotatedThread | TextlessLabel],
    text_root: str | Path | None,
    without: Counter[str],
) -> Iterator[AnnotatedThread]:
    """Threads out of the records of a corpus, as they come.

    Args:
        records: Records of a corpus.
        text_root: Folder of texts.
        without: Counts the labels that stay without text, by source.

    Raises:
        SourceError: When ``text_root`` is not a folder or a file in it cannot be read.
    """
    texts = None if text_root is None else _Texts(Path(text_root))
    for record in records:
        if isinstance(record, AnnotatedThread):
            yield record
        elif texts is not None and (joined := texts.join(record)) is not None:
            yield joined
        else:
            without[str(record.record["source"])] += 1


class _Texts:
    """Finds texts by source and hash; reads each source once."""

    def __init__(self, root: Path) -> None:
        with readable(root):
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
        return annotated_from_dict(whole, path=label.path, line=label.line)

    def _texts(self, source: str) -> Iterator[tuple[tuple[str, str | None], dict[str, Any]]]:
        for suffix in SUFFIXES:
            path = self._root / f"{source}{suffix}"
            with readable(path):
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


def parsed_record(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> AnnotatedThread | TextlessLabel:
    """A labelled thread, or a label whose text is elsewhere.

    Raises:
        RecordError: When the record is malformed; names file, line and field.
    """
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
