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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intimacy import corpus, store
from intimacy.errors import ConfigError

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


GROUPS = ("social", "spoken", "written")
_SPOKEN = ("dialogue", "asr", "blogs", "reviews", "instructions")
_OWN = 16
"""Letters from which on a text is somebody's own, rather than "grazie mille"."""
EVALUATED = ("ironita18", "multiemotions_it", "sentipolc16_test")
"""Social corpora that encoders are measured on, whole or by cross-validation."""


class Reader:
    """Texts of the corpora by group, without those that encoders are measured on.

    Left out are, wherever they stand: the test texts of the probes (very short ones, which
    everybody writes, excepted), and the real comments that the bundled corpus has labels for.
    `removed` counts the texts met and left out, by reason.
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

    def texts(self) -> Iterator[tuple[str, str]]:
        """(group, text) of everything that may be read, shard by shard."""
        for path in sorted((self._folder / "social").glob("*.jsonl.xz")):
            for record in lines(path):
                texts = [turn["text"] for turn in record.get("turns", ())] or [record["text"]]
                if corpus.text_hash(texts) in self._labelled:
                    self.removed["labelled comments"] += len(texts)
                else:
                    yield from (("social", text) for text in texts if self._kept(text))
        for path in sorted((self._folder / "text").glob("*.jsonl.xz")):
            name, _, tier = path.name.removesuffix(".jsonl.xz").rpartition(".")
            if tier in self._tiers:
                group = (
                    "social"
                    if name.startswith("social")
                    else ("spoken" if name.startswith(_SPOKEN) else "written")
                )
                for record in lines(path):
                    if self._kept(record["text"]):
                        yield group, record["text"]

    def _kept(self, text: str) -> bool:
        if corpus.text_hash([text]) in self._labelled:
            self.removed["labelled comments"] += 1
        elif _bones(text) in self._probes:
            self.removed["probe texts"] += 1
        else:
            return True
        return False


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
