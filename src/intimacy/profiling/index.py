"""What an index is, and the ways to estimate one: a share, a rate, a reading of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from intimacy import prevalence
from intimacy.annotation import OF_CREATOR, VALUES
from intimacy.bundle import Errors
from intimacy.profiling import sampling
from intimacy.profiling.facts import Bools, Facts
from intimacy.schema import Label, Measure

MIN_THREADS = 20
"""Cases below which no figure is shown."""
INDICATIVE = 50
"""Cases below which a figure is only indicative."""
MIN_SEEN = 10
"""Development threads of a value below which nobody can say how the model errs on it."""
MIN_POSTS = 5
"""Posts below which nothing is said of posts."""
PER_100 = "per 100 threads"
NO_TEXT = "not measurable: predictions without the signs of their texts; pass the threads as well"

Ask = Callable[[Facts], Bools]


@dataclass(frozen=True)
class Found:
    """Draws of a measure and the cases they rest on."""

    draws: sampling.Floats
    n: int
    estimate: float | None = None
    """None is the mean of the draws."""
    note: str | None = None


Result = Found | str
"""A measure, or why there is none."""
Estimate = Callable[[Facts, Mapping[str, Errors]], Result]


@dataclass(frozen=True, kw_only=True)
class Index:
    """One measure."""

    name: str
    concept: str
    """What it speaks to, e.g. ``responsiveness``."""
    source: str
    """``metadata``, ``lexicon`` or ``model``."""
    estimate: Estimate
    caveat: str
    unit: str = "share"
    experimental: bool = False
    needs: str | None = None
    """``creator``: means nothing where the creator's replies are not in the export; ``replies``:
    nor where nobody's are."""
    reads: tuple[tuple[str, object], ...] = ()
    """Values of heads that it takes as read; the model must have met them often enough."""
    signs: bool = False
    """Needs what the texts show; all that come from a lexicon do."""
    least: int = MIN_THREADS
    of_size: bool = False
    """Grows or shrinks with the number of threads: compare at equal n only."""

    def measure(self, facts: Facts, errors: Mapping[str, Errors], interval: float) -> Measure:
        """The index of these facts."""
        found = self.found(facts, errors)
        if isinstance(found, str):
            return self.missing(found)
        middle, low, high = prevalence.summary(found.draws, interval, estimate=found.estimate)
        return Measure(
            **self._facts(),
            estimate=middle,
            low=low,
            high=high,
            n=found.n,
            reason=found.note
            or (f"indicative: {found.n} cases" if found.n < 2.5 * self.least else None),
            quantiles=Measure.grid(found.draws),
        )

    def found(self, facts: Facts, errors: Mapping[str, Errors]) -> Result:
        """Draws of the index, or why it is not shown."""
        if (self.signs or self.source == "lexicon") and not facts.signed:
            return NO_TEXT
        for head, value in self.reads:
            if (why := _rare(head, value, errors)) is not None:
                return why
        found = self.estimate(facts, errors)
        if not isinstance(found, str) and found.n < self.least:
            return f"not shown: {found.n} cases, at least {self.least} needed"
        return found

    def missing(self, reason: str) -> Measure:
        """The index where there is nothing to measure it with."""
        return Measure(**self._facts(), reason=reason)

    def _facts(self) -> dict[str, Any]:
        names = ("name", "concept", "source", "unit", "experimental", "caveat")
        return {name: getattr(self, name) for name in names}


# -- ways to estimate


def share(hit: Ask, among: Ask, what: str = "threads it applies to") -> Estimate:
    """The share of threads that are hit among those of a kind, as they stand."""

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        rows = among(facts)
        n = int(rows.sum())
        if not n:
            return f"not measurable: no {what}"
        chosen = facts.threads[rows]
        hits = hit(facts)[rows]
        draws = sampling.proportion(hits, chosen["post"], chosen["author"])
        return Found(draws, n, float(hits.mean()))

    return estimate


def per_100(hit: Ask, among: Ask) -> Estimate:
    """The same, for a hundred threads."""
    one = share(hit, among)

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        found = one(facts, errors)
        if isinstance(found, str):
            return found
        return Found(100 * found.draws, found.n, 100 * (found.estimate or 0.0))

    return estimate


def reading(head: str, values: tuple[object, ...], among: Ask, *, scale: float = 1.0) -> Estimate:
    """Share of threads with a value of a head, corrected for how the head errs."""

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        rows = among(facts) & facts.in_scope & (facts.threads[head] >= 0)
        if head in OF_CREATOR:
            rows &= facts.answered
        n = int(rows.sum())
        if not n:
            return "not measurable: no threads it applies to"
        chosen = facts.threads[rows]
        codes = chosen[head].astype(np.int64)
        size = len(VALUES[head])
        effect = sampling.design_effect(np.eye(size)[codes], chosen["post"], chosen["author"])
        counts = np.bincount(codes, minlength=size) / effect
        for value in values:
            if (why := _rare(head, value, errors)) is not None:
                return why
        seen = np.asarray(errors[head].counts).sum(1)
        drawn = prevalence.posterior(counts, errors[head], possible=seen >= MIN_SEEN)
        return Found(scale * drawn[:, [VALUES[head].index(v) for v in values]].sum(1), n)

    return estimate


def _rare(head: str, value: object, errors: Mapping[str, Errors]) -> str | None:
    """Why the model cannot be trusted with a value of a head; None when it can."""
    if head not in errors:
        return f"not measurable: the model brings no error rates of {head}"
    n = int(sum(errors[head].counts[VALUES[head].index(value)]))
    if n >= MIN_SEEN:
        return None
    return (
        f"not measurable: {n} development threads are {head} {value}, the model's errors on it "
        f"need {MIN_SEEN}"
    )


def product(one: Estimate, other: Estimate) -> Estimate:
    """The product of two shares, the second among what the first holds."""

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        first, second = one(facts, errors), other(facts, errors)
        if isinstance(first, str):
            return first
        if isinstance(second, str):
            # Nothing was answered at all: then nothing was answered with content either.
            return Found(first.draws * 0.0, first.n, 0.0) if first.estimate == 0 else second
        order = sampling.generator().permutation(len(second.draws))
        return Found(first.draws * second.draws[order], min(first.n, second.n))

    return estimate


def gap(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two measures of different threads."""

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        first, second = one(facts, errors), other(facts, errors)
        for found in (first, second):
            if isinstance(found, str):
                return found
        assert isinstance(first, Found) and isinstance(second, Found)
        order = sampling.generator().permutation(len(second.draws))
        return Found(first.draws - second.draws[order], min(first.n, second.n))

    return estimate


def mean_of(*parts: Index) -> Estimate:
    """The plain mean of measures; missing where one of them would not be shown.

    Parts of the same threads rise and fall together: their draws are added as if they did so
    perfectly, which makes the interval too wide rather than too narrow.
    """

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        found = []
        for part in parts:
            result = part.found(facts, errors)
            if isinstance(result, str):
                return f"not measurable: its part {part.name} is not"
            found.append(result)
        grid = np.linspace(0.0, 1.0, sampling.DRAWS)
        draws = np.mean([np.quantile(part.draws, grid) for part in found], axis=0)
        middle = [part.draws.mean() if part.estimate is None else part.estimate for part in found]
        return Found(draws, min(part.n for part in found), float(np.mean(middle)))

    return estimate


# -- which threads


def in_scope(f: Facts) -> Bools:
    """Threads in scope."""
    return f.in_scope


def eligible(f: Facts) -> Bools:
    """Threads in scope that a follower opened."""
    return f.eligible


def mature(f: Facts) -> Bools:
    """Those of them that are old enough to have been answered."""
    return f.mature


def answered(f: Facts) -> Bools:
    """Threads that a follower opened and in which the creator speaks."""
    return f.eligible & f.answered


def with_creator(f: Facts) -> Bools:
    """Threads in scope in which the creator speaks."""
    return f.in_scope & f.answered


def cue(*names: str) -> Ask:
    """Threads that show one of these cues."""
    return lambda f: f.cue(*names)


def said(head: str, *values: object) -> Ask:
    """Threads of which the model says one of these values."""
    return lambda f: f.said(head, *values)


def both(*asks: Ask) -> Ask:
    """Threads of all these kinds."""

    def ask(f: Facts) -> Bools:
        out = asks[0](f)
        for other in asks[1:]:
            out = out & other(f)
        return out

    return ask


def but_not(ask: Ask) -> Ask:
    """Threads that are not of this kind."""
    return lambda f: ~ask(f)


def about_goods(f: Facts) -> Bools:
    """Threads whose main subject is something bought or promoted."""
    return f.in_scope & (f.said("product_salience", 3) | f.labelled(Label.COMMERCIAL))


def sponsored(f: Facts) -> Bools:
    """Threads under posts with a sufficient or weak wording of disclosure."""
    return np.asarray(f.threads["tier"] >= 2)


def organic(f: Facts) -> Bools:
    """Threads under posts with a caption and no such wording."""
    return np.asarray((f.threads["tier"] >= 0) & (f.threads["tier"] < 2))


AS_READ = "as the model reads the threads, one by one, not corrected for its errors"
WORDS = "finds words, not what people mean"


lexical = partial(Index, source="lexicon", experimental=True, caveat=WORDS)
metadata = partial(Index, source="metadata")
model = partial(Index, source="model")
replied = share(answered, mature)
