"""Readers of the raw text that encoders learn from.

A corpora folder holds ``text/<group>.<tier>.jsonl.xz`` (lines ``{"text", "source"}``),
``social/*.jsonl.xz`` (lines with ``text`` or ``turns``) and ``parallel/en-it.tsv.xz``. It is
never part of the repository and is always named by the user: ``--corpora PATH`` or the
environment variable ``INTIMACY_CORPORA``.
"""

from __future__ import annotations

import csv
import lzma
import os
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intimacy import corpus, store
from intimacy import text as texts
from intimacy.errors import ConfigError
from intimacy.schema import Thread

TIERS = ("open", "nc", "unlicensed")


def locate(path: str | Path | None) -> Path:
    """The corpora folder that the user named.

    Raises:
        ConfigError: When neither ``path`` nor ``INTIMACY_CORPORA`` names an existing folder.
    """
    named = path if path is not None else os.environ.get("INTIMACY_CORPORA")
    if not named:
        raise ConfigError("no corpora folder; pass --corpora PATH or set INTIMACY_CORPORA")
    folder = Path(named)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; pass --corpora PATH of the corpora")
    return folder


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a JSONL file, compressed or not."""
    return store.read_jsonl(path, lambda record, **_: record)


GROUPS = ("social", "threads", "spoken", "written", "formal")
"""Comments and posts; the training threads of the bundled corpus; dialogue, transcripts, blogs,
reviews; books and encyclopedias; parliament and archaic books."""
_GROUP_OF = {
    "kiparla_spoken": "spoken",
    "xed_subtitles": "spoken",
    "social": "social",
    "dialogue": "spoken",
    "asr": "spoken",
    "blogs": "spoken",
    "reviews": "spoken",
    "instructions": "spoken",
    "parliament": "formal",
    "books-archaic": "formal",
}
"""Group by how the name of a file begins; else social in ``social/``, written in ``text/``."""
_STATED = {
    **dict.fromkeys(("xed_subtitles", "xpersona_it", "tweets_public_bodies"), "open"),
    **dict.fromkeys(("ironita18", "kiparla_spoken", "multiemotions_it", "multipride_tweets"), "nc"),
    **dict.fromkeys(("sentipolc16_train", "sentipolc16_test"), "nc"),
}
"""Licence tier of files of ``social/``; no licence is stated for the others."""
_TAGS = ("[FOL]", "[CRE]")
_OWN = 16
"""Letters from which on a text is somebody's own, rather than "grazie mille"."""
EVALUATED = ("ironita18", "multiemotions_it", "sentipolc16_test")
"""Social corpora that encoders are measured on, whole or by cross-validation."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the corpora, masked as the model will read it."""

    group: str
    source: str
    """File that it comes from and its licence tier, ``blogs.nc``."""
    turns: tuple[str, ...]
    roles: tuple[str, ...]
    """Role tag of every turn; none for a text that is nobody's turn."""
    keys: tuple[str, ...]
    """`corpus.text_hash` of every turn as it stands in the file."""


class Reader:
    """Texts of the corpora by group, without those that encoders are measured on.

    Left out are, wherever they stand: the test texts of the probes (very short ones, which
    everybody writes, excepted), and the real comments that the bundled corpus has labels for.
    `removed` counts the texts met and left out, by reason. Comments stand under their caption,
    and of two who talk one has the creator's tag, so that the encoder knows the frame of a
    thread.
    """

    def __init__(self, folder: Path, tiers: tuple[str, ...]) -> None:
        if unknown := set(tiers) - set(TIERS):
            raise ConfigError(
                f"unknown licence tier(s) {sorted(unknown)}; expected some of {TIERS}"
            )
        self._folder, self._tiers = folder, tiers
        self._probes = _probe_texts(folder)
        self._labelled = {
            record.key[0]
            for record in corpus.read_corpus(corpus.bundled_corpus())
            if isinstance(record, corpus.TextlessLabel)
        }
        self.removed: Counter[str] = Counter()

    def texts(self) -> Iterator[Text]:
        """Everything that may be read, file by file."""
        for path, group, source in self._files():
            yield from self._file(path, group, source)
        for item in corpus.load_corpus():
            if item.split == "train":
                yield _thread(item.thread)

    def texts_of(self, sources: Collection[str]) -> Iterator[Text]:
        """What may be read of some files, named as in `Text.source`."""
        for path, group, source in self._files():
            if source in sources:
                yield from self._file(path, group, source)

    def _files(self) -> Iterator[tuple[Path, str, str]]:
        """Files of the tiers that may be read, each with its group and source."""
        for path in sorted((self._folder / "social").glob("*.jsonl.xz")):
            name = path.name.removesuffix(".jsonl.xz")
            tier = _STATED.get(name, "unlicensed")
            if tier in self._tiers:
                yield path, _group(name, "social"), f"{name}.{tier}"
        for path in sorted((self._folder / "text").glob("*.jsonl.xz")):
            name, _, tier = path.name.removesuffix(".jsonl.xz").rpartition(".")
            if tier in self._tiers:
                yield path, _group(name, "written"), f"{name}.{tier}"

    def _file(self, path: Path, group: str, source: str) -> Iterator[Text]:
        for record in lines(path):
            turns = record.get("turns")
            bodies = [turn["text"] for turn in turns] if turns else [record["text"]]
            if corpus.text_hash(bodies) in self._labelled:
                self.removed["labelled comments"] += len(bodies)
                continue
            kept = [self._kept(body) for body in bodies]
            roles: list[str] = []
            if turns:
                names = list(dict.fromkeys(turn["role"] for turn in turns))
                roles = [_TAGS[min(1, names.index(turn["role"]))] for turn in turns]
            elif record.get("caption"):
                bodies, kept = [record["caption"], *bodies], [True, *kept]
                roles = ["[CAP]", "[FOL]"]
            if all(kept):
                yield _text(group, source, bodies, roles)
            elif turns:
                # The rest of a conversation, each turn on its own.
                for body, whole in zip(bodies, kept, strict=True):
                    if whole:
                        yield _text(group, source, [body], [])

    def _kept(self, text: str) -> bool:
        if corpus.text_hash([text]) in self._labelled:
            self.removed["labelled comments"] += 1
        elif _bones(text) in self._probes:
            self.removed["probe texts"] += 1
        else:
            return True
        return False


def _text(group: str, source: str, bodies: list[str], roles: list[str]) -> Text:
    masked = tuple(texts.mask_pii(texts.clean(body)) for body in bodies)
    return Text(group, source, masked, tuple(roles), _keys(bodies))


def _keys(bodies: list[str]) -> tuple[str, ...]:
    return tuple(corpus.text_hash([body]) for body in bodies)


def _thread(thread: Thread) -> Text:
    """A thread as `intimacy.render` frames it."""
    caption = [thread.post.text] if thread.post.text else []
    turns = [*caption, *(turn.text for turn in thread.turns)]
    roles = ["CAP"] * len(caption) + [turn.role.value[:3].upper() for turn in thread.turns]
    framed = tuple(f"[{role}]" for role in roles)
    return Text("threads", "threads.open", tuple(turns), framed, _keys(turns))


def _group(name: str, otherwise: str) -> str:
    longest = sorted((k for k in _GROUP_OF if name.startswith(k)), key=len)
    return _GROUP_OF[longest[-1]] if longest else otherwise


def _probe_texts(folder: Path) -> set[str]:
    texts: list[str] = []
    for path in sorted((folder / "probes").glob("*test*.jsonl")):
        texts += (record["text"] for record in lines(path))
    for name in EVALUATED:
        path = folder / "social" / f"{name}.jsonl.xz"
        if path.is_file():
            texts += (record["text"] for record in lines(path))
    return {bones for text in texts if len(bones := _bones(text)) >= _OWN}


def _bones(text: str) -> str:
    """Letters and digits alone: the same post with its handles or links masked otherwise."""
    return re.sub(r"[\W_]+", "", re.sub(r"https?://\S+|@\w+|\bURL\b", "", text)).lower()


def parallel(folder: Path) -> list[tuple[str, str]]:
    """(English, Italian) sentence pairs."""
    path = folder / "parallel" / "en-it.tsv.xz"
    with lzma.open(path, "rt", encoding="utf-8", newline="") as fp:
        rows = csv.reader(fp, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return [(row[0], row[1]) for row in rows if len(row) >= 2 and row[0] and row[1]]


_ACCENTED = re.compile(r"([àèéìòù])\b", re.IGNORECASE)


def informal(text: str, rng: random.Random) -> str:
    """The same sentence as people type it: accents, capitals or punctuation gone.

    Each change is drawn on its own, so that a model meets every mixture.
    """
    draw = rng.random()
    if draw < 0.45:
        text = _ACCENTED.sub(lambda m: _bare(m.group(1)), text)
    elif draw < 0.60:
        text = _ACCENTED.sub(lambda m: _bare(m.group(1)) + "'", text)
    if rng.random() < 0.5:
        text = text.rstrip(" .!?…")
    if rng.random() < 0.25:
        text = text.replace(",", "")
    if rng.random() < 0.08:
        text = text.upper()
    elif rng.random() < 0.5:
        text = text.lower()
    return text


def _bare(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]
