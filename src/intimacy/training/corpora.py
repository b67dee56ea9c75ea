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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intimacy import store
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


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return store.read_jsonl(path, lambda record, **_: record)


def prose(folder: Path, tiers: tuple[str, ...]) -> Iterator[str]:
    """Texts of ``text/``, of the licence tiers asked for, shard by shard."""
    if unknown := set(tiers) - set(TIERS):
        raise ConfigError(f"unknown licence tier(s) {sorted(unknown)}; expected some of {TIERS}")
    for path in sorted((folder / "text").glob("*.jsonl.xz")):
        if path.name.removesuffix(".jsonl.xz").rpartition(".")[2] in tiers:
            yield from (record["text"] for record in _lines(path))


def social(folder: Path) -> Iterator[str]:
    """Texts of ``social/``; held-out test sets (``*_test``) are left out."""
    for path in sorted((folder / "social").glob("*.jsonl.xz")):
        if path.name.endswith("_test.jsonl.xz"):
            continue
        for record in _lines(path):
            if "text" in record:
                yield record["text"]
            else:
                yield from (turn["text"] for turn in record.get("turns", ()))


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
