"""`intimacy corpus check`: what stands in a labelled corpus, and what would spoil its figures.

Counts and balance, agreement of the annotators, answers that the codebook does not allow,
near-duplicates, and leaks: personas, contrast twins or near-duplicates in more than one split.
Speaks of threads by id, never by text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from intimacy import annotation, corpus
from intimacy.annotation import AnnotatedThread
from intimacy.errors import ConfigError, CorpusError, RecordError, require, require_many
from intimacy.evaluation import krippendorff_alpha
from intimacy.schema import Label, Share, Thread, plain

JACCARD = 0.8
"""Two threads whose character 5-grams overlap by as much or more are near-duplicates."""
_SHINGLE = 5
_PERMUTATIONS = 128
# Sketches estimate the overlap; looking a little lower finds those they underrate.
_SKETCH_MARGIN = 0.15
_SHOWN = 20
_BAR_FROM = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReport:
    """What `check_corpus` found."""

    place: str
    n_threads: int
    n_without_text: int
    """Labels of texts that are not here; their threads are in no other figure."""
    labels: Mapping[str, int]
    """Threads by label, then by flag for those without one."""
    splits: Mapping[str, Mapping[str, int]]
    """Split → threads by label or flag."""
    platforms: Mapping[str, int]
    sources: Mapping[str, int]
    """Threads by the data set their text was joined from; ``authored`` for the corpus' own."""
    personas: int
    shape: Mapping[str, float]
    """Shares of threads of one turn, with a caption, with a creator turn, in contrast pairs."""
    pairs: int
    """Near-twins that differ in one thing."""
    contrast_pairs: int
    """Those of them whose labels or flags differ."""
    cases: Mapping[int, int]
    """Boundary case → threads written for it."""
    n_votes: Mapping[int, int]
    """Number of votes → threads with so many."""
    agreement: Mapping[str, Share]
    """Krippendorff's alpha by field, see `agreement`."""
    near_duplicates: tuple[tuple[str, ...], ...]
    """Ids of threads that are near-duplicates of each other."""
    contradictions: tuple[str, ...]
    """Answers that the codebook's procedure cannot give, with the id of the thread."""
    leaks: tuple[str, ...]
    errors: tuple[str, ...] = field(default=())
    """Malformed records, with file, line and field; they are in no other figure."""

    @property
    def sound(self) -> bool:
        """Whether every record could be read and no split leaks into another."""
        return not (self.errors or self.leaks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return plain(self) | {"sound": self.sound}  # type: ignore[no-any-return]

    def __str__(self) -> str:
        whole = max(1, sum(n for k, n in self.labels.items() if k not in annotation.FLAGS))
        lines = [
            f"{self.place}: {self.n_threads} threads, {self.personas} personas, "
            f"{self.n_without_text} labels without text"
        ]
        lines += [
            f"  {name:<13}{n:>7}" + (f"{n / whole:>7.1%}" if name not in annotation.FLAGS else "")
            for name, n in self.labels.items()
        ]
        for title, counts in (
            ("platforms", self.platforms),
            ("sources", self.sources),
            ("votes a thread", self.n_votes),
        ):
            lines.append(f"{title}: " + (_listed(counts) or "none"))
        lines.append("splits:" if self.splits else "splits: none stated")
        lines += [f"  {n}: {sum(c.values())} ({_listed(c)})" for n, c in self.splits.items()]
        lines.append("shape: " + ", ".join(f"{k} {v:.0%}" for k, v in self.shape.items()))
        lines.append(f"twins: {self.pairs} pairs, {self.contrast_pairs} of them with two labels")
        if self.cases:
            least = min(self.cases.values())
            lines.append(f"boundary cases: {len(self.cases)}, the rarest with {least} threads")
        lines.append("agreement (Krippendorff's alpha):" if self.agreement else "agreement: none")
        lines += [f"  {name:<21}{share}" for name, share in self.agreement.items()]
        lines.append(f"near-duplicates: {len(self.near_duplicates)} groups")
        for title, found in (
            ("against the codebook", self.contradictions),
            ("leaks between splits", self.leaks),
            ("malformed records", self.errors),
        ):
            lines.append(f"{title}: {len(found)}")
            lines += [f"  {line}" for line in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"  … and {len(found) - _SHOWN} more; --format json has all")
        return "\n".join(lines)


def check_corpus(
    path: str | Path | None = None, *, text_root: str | Path | None = None
) -> CorpusReport:
    """Read every record of a corpus, past the malformed ones, and report.

    Args:
        path: File or folder; None is the authored corpus that comes with the library.
        text_root: As in `intimacy.load_corpus`.

    Raises:
        ConfigError: When ``path`` is no path.
        SourceError: When nothing can be read there.
        CorpusError: When there is no record at all.
        MissingExtraError: When datasketch is not installed.
    """
    if path is not None and not isinstance(path, (str, Path)):
        raise ConfigError(f"{type(path).__name__} received; expected the path of a file or folder")
    require("datasketch", extra="train")
    place = corpus.bundled_corpus() if path is None else Path(path)
    errors: list[RecordError] = []
    items, without = corpus.join_texts(corpus.read_corpus(place, errors=errors), text_root)
    if not items and not without and not errors:
        raise CorpusError(f"{place} holds no records; expected JSONL of labelled threads")
    groups = near_duplicates([item.thread for item in items])
    splits: dict[str, Counter[str]] = {}
    for item in items:
        if item.split is not None:
            splits.setdefault(item.split, Counter())[_category(item)] += 1
    kinds = Counter(map(_category, items))
    twins: dict[str, set[str]] = {}
    for item in items:
        if item.pair_id:
            twins.setdefault(item.pair_id, set()).add(_category(item))
    return CorpusReport(
        place=place.name or str(place),
        n_threads=len(items),
        n_without_text=sum(without.values()),
        labels={name: kinds[name] for name in (*map(str, Label), *annotation.FLAGS)},
        splits={name: splits[name] for name in annotation.SPLITS if name in splits},
        platforms=_counted(item.thread.post.platform or "unknown" for item in items),
        sources=_counted(item.source or "authored" for item in items),
        personas=len({item.persona for item in items if item.persona}),
        shape=_shape(items),
        pairs=len(twins),
        contrast_pairs=sum(len(categories) > 1 for categories in twins.values()),
        cases=dict(sorted(Counter(item.case for item in items if item.case).items())),
        n_votes=dict(sorted(Counter(len(item.votes) for item in items).items())),
        agreement=agreement(items),
        near_duplicates=tuple(tuple(items[i].thread.id for i in group) for group in groups),
        contradictions=tuple(_contradictions(items)),
        leaks=tuple(leaks(items, groups)),
        errors=tuple(map(str, errors)),
    )


def agreement(items: Sequence[AnnotatedThread]) -> dict[str, Share]:
    """Krippendorff's alpha of the independent annotators, by field, with 95 % intervals.

    ``label`` and the other nominal fields are compared as such, those of
    `intimacy.annotation.ORDINAL` by their order. A null label is a category of its own; null
    attributes are missing answers. Votes marked ``adjudicates`` were given only where others
    differed and are left out. Intervals are from a bootstrap over creators (posts, where texts
    were joined from elsewhere).

    Args:
        items: Threads with their ``votes``; fewer than two votes carry no information.

    Returns: Field → share; empty when no thread has two independent votes.

    Raises:
        ThreadError: When these are not labelled threads.
    """
    require_many(items, "a list of labelled threads")
    votes = [
        [v for v in annotation.check_annotated(item).votes if not v.get("adjudicates")]
        for item in items
    ]
    clusters = [item.cluster for item in items]
    if not any(len(answers) > 1 for answers in votes):
        return {}
    labels = [[v.get("label") or "null" for v in answers] for answers in votes]
    out = {"label": krippendorff_alpha(labels, clusters=clusters)}
    for name, values in annotation.VALUES.items():
        level: Any = "ordinal" if name in annotation.ORDINAL else "nominal"
        answers = [[v.get(name) for v in given] for given in votes]
        out[name] = krippendorff_alpha(answers, level=level, values=values, clusters=clusters)
    return out


def near_duplicates(threads: Sequence[Thread], *, threshold: float = JACCARD) -> list[list[int]]:
    """Groups of threads whose turns are nearly the same, each with two indices or more.

    MinHash (Broder 1997) proposes, the exact Jaccard index of the character 5-grams decides;
    capitals and spacing do not count, captions neither. Groups are closed: a near-duplicate of
    a member is a member.

    Raises:
        MissingExtraError: When datasketch is not installed.
    """
    sketches = require("datasketch", extra="train")
    rows: dict[frozenset[str], list[int]] = {}
    for i, thread in enumerate(threads):
        rows.setdefault(_shingles(thread), []).append(i)
    kinds = [kind for kind in rows if kind]
    # Sketches are made as they are needed: a list of them all would outweigh the corpus.
    found = sketches.MinHash.generator(
        ([gram.encode() for gram in kind] for kind in kinds), num_perm=_PERMUTATIONS
    )
    index = sketches.MinHashLSH(threshold=threshold - _SKETCH_MARGIN, num_perm=_PERMUTATIONS)
    group = list(range(len(kinds)))

    def first(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    hide = None if len(kinds) > _BAR_FROM else True
    for i, sketch in enumerate(
        tqdm(found, "near-duplicates", len(kinds), unit="thread", disable=hide)
    ):
        for j in index.query(sketch):
            a, b = kinds[i], kinds[j]
            if len(a & b) >= threshold * len(a | b):
                group[first(i)] = first(j)
        index.insert(i, sketch)
    members: dict[int, list[int]] = {}
    for i, kind in enumerate(kinds):
        members.setdefault(first(i), []).extend(rows[kind])
    return sorted(sorted(m) for m in members.values() if len(m) > 1)


def leaks(items: Sequence[AnnotatedThread], groups: Sequence[Sequence[int]]) -> list[str]:
    """What stands in more than one split though it must not, one sentence each.

    Args:
        items: Threads; those that state no split leak nowhere.
        groups: Near-duplicates among them, from `near_duplicates`.
    """
    stated = sum(item.split is not None for item in items)
    together: dict[tuple[str, str], set[str]] = {}
    for item in items:
        for kind, name in (("persona", item.persona), ("pair", item.pair_id)):
            if name and item.split:
                together.setdefault((kind, name), set()).add(item.split)
    out = [
        f"{kind} {name!r} is in {' and '.join(sorted(splits))}"
        for (kind, name), splits in together.items()
        if len(splits) > 1
    ]
    if 0 < stated < len(items):
        out.append(f"only {stated} of {len(items)} records state a split")
    for group in groups:
        parts = {items[i].split: items[i].thread.id for i in group if items[i].split}
        if len(parts) > 1:
            named = ", ".join(f"{name} ({split})" for split, name in sorted(parts.items()))
            out.append(f"near-duplicates: {named}")
    return out


def _shingles(thread: Thread) -> frozenset[str]:
    text = re.sub(r"\s+", " ", " ".join(turn.text for turn in thread.turns).lower()).strip()
    if not text:
        return frozenset()
    return frozenset(text[i : i + _SHINGLE] for i in range(max(1, len(text) - _SHINGLE + 1)))


def _category(item: AnnotatedThread) -> str:
    return str(item.label or next(iter(item.flags)))


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items() if n)


def _shape(items: Sequence[AnnotatedThread]) -> dict[str, float]:
    whole = max(1, len(items))
    return {
        "of one turn": sum(item.thread.n_turns == 1 for item in items) / whole,
        "with a caption": sum(bool(item.thread.post.text) for item in items) / whole,
        "with a creator turn": sum(item.thread.has_creator_turn for item in items) / whole,
        "in a pair of twins": sum(bool(item.pair_id) for item in items) / whole,
    }


def _contradictions(items: Sequence[AnnotatedThread]) -> list[str]:
    out = []
    for item in items:
        answer = {"label": item.label, "secondary": item.secondary, **item.attributes}
        roles = [str(turn.role) for turn in item.thread.turns]
        captioned = bool(item.thread.post.text)
        found = annotation.contradictions(answer, roles, caption=captioned)
        for number, vote in enumerate(item.votes):
            for why in annotation.contradictions(vote, roles, caption=captioned):
                found.append(f"votes[{number}]: {why}")
        found += _unsettled(item)
        out += [f"{item.thread.id}: {why}" for why in found]
    return out


def _unsettled(item: AnnotatedThread) -> list[str]:
    """How the settled answer disagrees with the votes it should follow from."""
    out = []
    labels = [vote["label"] for vote in item.votes if "label" in vote]
    if labels and plain(item.label) not in labels:
        out.append("no annotator gave the label")
    if len(labels) == 2 and len(set(labels)) == 2 and not item.votes[-1].get("adjudicates"):
        out.append("two annotators differ and no third decided")
    names = [vote["annotator"] for vote in item.votes if vote.get("annotator")]
    if len(names) > len(set(names)):
        out.append("one annotator voted twice")
    if item.target and item.label is None:
        out.append("target without a label")
    elif item.target and str(item.label) not in item.target:
        out.append("target without the label")
    return out
