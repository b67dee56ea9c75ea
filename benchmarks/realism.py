"""How far authored threads read like real ones: ``python benchmarks/realism.py --corpora PATH``.

Two measurements on first turns of followers. Surface distributions, side by side. And how well
a classifier (TF-IDF of words and characters, logistic regression, balanced, cross-validated
with whole personas and whole posts held out) tells authored from real: 50 % would be perfect.
Two real sources told from each other by the same classifier say what difference of subject
alone is worth. ``style`` sees no content: words that are not among the frequent small ones are
reduced to their shape.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union

from intimacy import load_corpus, store
from intimacy import text as texts

SOURCES = ("youtube_podcasts", "multiemotions_it", "news_pages_fb_ig")
PER_CLASS = 2_000
LONGEST = 120
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]*)?")
_ACCENTED = re.compile(
    r"\b(?:perché|più|così|può|già|cioè|però|è|città|verità|sarà|po'|metà)(?!\w)"
)
_BARE = re.compile(
    r"\b(?:perche|xke|xche|piu|cosi|puo|gia|cioe|citta|verita|sara|meta|po|perchè)(?![\w'])"
    r"|\b(?:e|piu|cosi|puo|gia|perche|sara)'(?!\w)"
)

_QUANTILES = {"10 %": 0.1, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "90 %": 0.9}

Rows = list[tuple[str, str]]
"""(text, group): a persona or a post stays whole in cross-validation."""


def real(folder: Path, source: str) -> Rows:
    rows = store.read_jsonl(folder / "social" / f"{source}.jsonl.xz", lambda record, **_: record)
    found = {
        unicodedata.normalize("NFC", row["text"]): f"{source} {row.get('caption')}"
        for row in rows
        if 0 < len(row["text"].split()) <= LONGEST
    }
    return list(found.items())


def authored(place: Path | None, splits: Sequence[str]) -> Rows:
    first = {
        item.thread.turns[0].text: str(item.persona)  # twins often share their first turn
        for item in load_corpus(place)
        if item.thread.turns[0].role == "follower"
        and "not_italian" not in item.flags
        and (not splits or item.split in splits)
    }
    return list(first.items())


def surface(rows: Rows, common: frozenset[str]) -> dict[str, float]:
    lines = [texts.mask_pii(text) for text, _ in rows]
    words = [len(line.split()) for line in lines]
    tokens = [w.lower() for line in lines for w in _WORD.findall(line)]
    joined = [line.lower() for line in lines]
    bare = sum(len(_BARE.findall(line)) for line in joined)
    quantiles = np.quantile(words, list(_QUANTILES.values()))

    def share(test: object) -> float:
        return statistics.fmean(map(test, lines))  # type: ignore[call-overload]

    return {
        **{f"words, {q}": v for q, v in zip(_QUANTILES, quantiles, strict=True)},
        "one line": share(lambda t: "\n" not in t.strip()),
        "with emoji": share(texts.has_emoji),
        "starts in lower case": share(lambda t: t.lstrip()[:1].islower()),
        "a word in capitals": share(lambda t: bool(re.search(r"\b[A-ZÀ-Ý]{4,}\b", t))),
        "all in capitals": share(lambda t: t.isupper() and len(t) > 5),
        "ends in punctuation": share(lambda t: t.rstrip()[-1:] in ".!?…"),
        "with ...": share(lambda t: ".." in t or "…" in t),
        "with ! or ?": share(lambda t: "!" in t or "?" in t),
        "with a comma": share(lambda t: "," in t),
        "accents left out": bare / max(1, bare + sum(len(_ACCENTED.findall(t)) for t in joined)),
        "elongated": share(lambda t: bool(re.search(r"([a-zà-ù])\1\1", t.lower()))),
        "unknown words": statistics.fmean(t.rstrip("'’") not in common for t in tokens),
    }


def vocabulary(folder: Path, least: int = 5) -> frozenset[str]:
    """Words that edited prose uses at least ``least`` times: what is not in it is often a typo."""
    counts: dict[str, int] = {}
    for path in sorted((folder / "text").glob("*.open.jsonl.xz")):
        for record in store.read_jsonl(path, lambda record, **_: record):
            for word in _WORD.findall(record["text"].lower()):
                word = word.rstrip("'’")
                counts[word] = counts.get(word, 0) + 1
    return frozenset(word for word, n in counts.items() if n >= least)


def style_only(text: str, small: frozenset[str]) -> str:
    """The text with every word but the small frequent ones reduced to its shape."""

    def shape(match: re.Match[str]) -> str:
        word = match.group()
        if word.lower() in small:
            return word
        case = "X" if word.isupper() else "Xx" if word[0].isupper() else "x"
        return f"{case}{min(len(word) // 3, 4)}"

    return _WORD.sub(shape, re.sub(r"\d+", "0", text))


def told_apart(one: Rows, other: Rows, *, small: frozenset[str] | None, seed: int) -> float:
    """Accuracy of telling ``one`` from ``other``, classes balanced, groups held out whole."""
    rng = random.Random(seed)
    n = min(len(one), len(other), PER_CLASS)
    rows = [*rng.sample(one, n), *rng.sample(other, n)]
    labels = np.repeat([0, 1], n)
    lines = [texts.mask_pii(text) for text, _ in rows]
    if small is not None:
        lines = [style_only(line, small) for line in lines]
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, lowercase=False),
            TfidfVectorizer(
                analyzer="char", ngram_range=(1, 5), min_df=3, sublinear_tf=True, lowercase=False
            ),
        ),
        LogisticRegression(C=10, max_iter=2_000, class_weight="balanced"),
    )
    folds = GroupKFold(5, shuffle=True, random_state=seed)
    said = cross_val_predict(model, lines, labels, groups=[group for _, group in rows], cv=folds)
    return float(accuracy_score(labels, said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True, help="folder with social/ and text/")
    parser.add_argument("--corpus", type=Path, help="authored corpus; else the bundled one")
    parser.add_argument("--split", action="append", default=[], help="only these splits")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    ours = authored(options.corpus, options.split)
    theirs = {source: real(options.corpora, source) for source in SOURCES}
    common = vocabulary(options.corpora)
    columns = {"authored": ours, **theirs}
    table = {name: surface(rows, common) for name, rows in columns.items()}
    print("| first turns | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    print("| n | " + " | ".join(str(len(rows)) for rows in columns.values()) + " |")
    for measure in table["authored"]:
        cells = [table[name][measure] for name in columns]
        form = "{:.0f}" if measure.startswith("words") else "{:.1%}"
        print(f"| {measure} | " + " | ".join(form.format(cell) for cell in cells) + " |")
    counts: dict[str, int] = {}
    for rows in theirs.values():
        for text, _ in rows:
            for word in _WORD.findall(text.lower()):
                counts[word] = counts.get(word, 0) + 1
    small = frozenset(sorted(counts, key=counts.__getitem__)[-150:])
    rng = random.Random(0)
    mixed = [row for rows in theirs.values() for row in rng.sample(rows, min(len(rows), 2_900))]
    couples = [("authored", ours, "real, all three", mixed)]
    couples += [("authored", ours, name, rows) for name, rows in theirs.items()]
    names = list(theirs)
    couples += [(a, theirs[a], b, theirs[b]) for a in names for b in names if a < b]
    print("\n| told apart | accuracy | by style alone |\n|---|---|---|")
    for name, one, against, other in couples:
        cells = []
        for words in (None, small):
            found = [told_apart(one, other, small=words, seed=s) for s in range(options.seeds)]
            cells.append(f"{statistics.fmean(found):.3f} ± {statistics.pstdev(found):.3f}")
        print(f"| {name} / {against} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
