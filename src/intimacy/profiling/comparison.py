"""Two profiles side by side, many for a brand's brief, one among references: always by parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intimacy import cues, prevalence
from intimacy.classifier import Classifier
from intimacy.errors import ConfigError, require_many
from intimacy.prediction import Prediction
from intimacy.profiling import _bundle, as_predictions, sampling
from intimacy.profiling.evaluate import INTERVAL, evaluate, measures
from intimacy.profiling.facts import tally
from intimacy.profiling.index import MIN_THREADS
from intimacy.profiling.indices import BY_NAME
from intimacy.schema import Profile, Role, Share, Thread

LIKELY = 0.90
"""Probability from which a difference is called one."""
MIN_REFERENCES = 30
"""Profiles below which no percentile is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure of two profiles."""

    name: str
    first: Share
    second: Share
    estimate: float | None = None
    """First less second."""
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    """That the first is larger; near 0 or 1 where it is clear which is."""
    reason: str | None = None
    """Why there is no difference to give."""

    @property
    def clear(self) -> bool:
        """Whether one is larger with a probability of at least `LIKELY` and the interval of the
        difference leaves out 0; never where the measure depends on n and the n differ."""
        if self.probability is None or self.low is None or self.high is None:
            return False
        apart = self.low > 0 or self.high < 0
        return apart and max(self.probability, 1 - self.probability) >= LIKELY and self._alike()

    def _alike(self) -> bool:
        index = BY_NAME.get(self.name)
        if index is None or not index.of_size:
            return True
        sizes = sorted((self.first.n or 0, self.second.n or 0))
        return sizes[0] >= 0.75 * sizes[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All measures of two profiles."""

    first: Profile = field(repr=False)
    second: Profile = field(repr=False)
    differences: Mapping[str, Difference]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, object]]:
        """One row a measure."""
        return [
            {
                "name": name,
                "first": d.first.estimate,
                "second": d.second.estimate,
                "difference": d.estimate,
                "low": d.low,
                "high": d.high,
                "probability": d.probability,
                "clear": d.clear,
                "reason": d.reason,
            }
            for name, d in self.differences.items()
        ]


def _profiles(given: Iterable[Profile]) -> list[Profile]:
    require_many(
        given,
        "a list of profiles",
        hint="intimacy.profiles(threads) makes them",
        error=ConfigError,
    )
    profiles = list(given)
    if wrong := [type(item).__name__ for item in profiles if not isinstance(item, Profile)]:
        raise ConfigError(f"a {wrong[0]} received; expected what intimacy.profile gives")
    return profiles


def compare(first: Profile, second: Profile) -> Comparison:
    """Differences of two profiles, each with the probability that the first is larger.

    The profiles are taken to be of different threads; measures that either lacks are there with
    the reason. What differs in platform, size or sampling differs here too: compare like with like.
    """
    _profiles([first, second])
    one, other = measures(first), measures(second)
    notes = []
    if first.model_id != second.model_id:
        notes.append(f"models differ: {first.model_id}, {second.model_id}")
    if first.frame != second.frame:
        notes.append(f"frames differ: {first.frame}, {second.frame}")
    return Comparison(
        first=first,
        second=second,
        differences={
            name: _difference(name, share, other[name], max(first.interval, second.interval))
            for name, share in one.items()
            if name in other
        },
        notes=tuple(notes),
    )


def _difference(name: str, first: Share, second: Share, interval: float) -> Difference:
    for share in (first, second):
        if not share.measurable:
            return Difference(name=name, first=first, second=second, reason=share.reason)
    gaps = np.subtract.outer(np.array(first.quantiles), np.array(second.quantiles)).ravel()
    low, high = np.quantile(gaps, [(1 - interval) / 2, (1 + interval) / 2])
    estimate = float(first.estimate or 0.0) - float(second.estimate or 0.0)
    return Difference(
        name=name,
        first=first,
        second=second,
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        probability=_larger(first, second),
        reason=first.reason or second.reason,
    )


def _larger(first: Share, second: Share) -> float:
    gaps = np.subtract.outer(np.array(first.quantiles), np.array(second.quantiles))
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def compare_sponsored(
    threads: Sequence[Thread] | Sequence[Prediction],
    predictions: Sequence[Prediction] | None = None,
    *,
    model: Classifier | None = None,
    interval: float = INTERVAL,
) -> Comparison:
    """The profile of threads under labelled posts against that of the rest.

    A post counts as labelled when its caption holds a sufficient or a weak wording of disclosure
    (`intimacy.disclosure`). Threads without a caption are in neither, and a note says how many.
    """
    found = as_predictions(threads, predictions, model)
    parts: dict[bool | None, list[Prediction]] = {True: [], False: [], None: []}
    for prediction in found:
        signs = prediction.structure.signs
        said = None if signs is None else signs.disclosure
        parts[None if said is None else said.tier in ("sufficient", "weak")].append(prediction)
    bundle, everything = _bundle(model), tally(found)
    labelled, rest = (
        evaluate(tally(parts[which]), bundle, interval=interval, whole=everything)
        for which in (True, False)
    )
    out = compare(labelled, rest)
    if not parts[None]:
        return out
    note = f"{len(parts[None])} threads have no caption that is known and are in neither part"
    return Comparison(
        first=out.first,
        second=out.second,
        differences=out.differences,
        notes=(*out.notes, note),
    )


# -- a brand's brief


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a brand looks for."""

    text: str
    """In its own words."""
    subjects: Sequence[str] = ()
    """Words that threads on its subject use; a final ``*`` stands for any ending."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Measure → weight, ``relevance`` among them; negative where less is better. Without any,
    nothing is ordered: the parts alone are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One creator before a brief."""

    creator_id: str | None
    parts: Mapping[str, Share]
    """Every measure the brief weighs."""
    standing: Mapping[str, float | None]
    """Measure → mean probability of being ahead of the other candidates; None where unmeasured."""
    evidence: Mapping[str, int]
    """Subject word → threads whose caption or turns use it."""
    score: float | None = None
    """Weighted mean of the standings; None without weights, or where a part is unmeasured."""
    missing: tuple[str, ...] = ()
    """Weighed measures that this export cannot give."""


def rank(
    profiles: Sequence[Profile],
    brief: Brief,
    *,
    threads: Mapping[Any, Sequence[Thread]] | None = None,
) -> list[Candidate]:
    """Candidates for a brief, best first where the brief says what is good.

    There is no score but the one that the brief's weights make, and it comes with every part. A
    candidate that lacks a weighed measure has no score and stands after the others.

    Args:
        profiles: One a creator.
        brief: What to look for.
        threads: Creator id → threads, for ``relevance``: the share of threads that use a subject
            word in the caption or a turn.

    Raises:
        ConfigError: When these are not profiles, a weight names no measure or is no number, or a
            subject is no word.
    """
    profiles = _profiles(profiles)
    if isinstance(brief.subjects, str):
        raise ConfigError(f"the brief's subjects are {brief.subjects!r}; expected a list of words")
    for name, weight in brief.weights.items():
        if not isinstance(weight, (int, float)) or not abs(weight) < 1e6:
            raise ConfigError(f"the weight of {name!r} is {weight!r}; expected a number")
    if not profiles:
        return []
    weights = {name: weight for name, weight in brief.weights.items() if weight}
    relevances, evidences = [], []
    for profile in profiles:
        share, evidence = _relevance(
            brief, (threads or {}).get(profile.creator_id), profile.interval
        )
        relevances.append(share)
        evidences.append(evidence)
    parts = [
        {**measures(profile), "relevance": relevance}
        for profile, relevance in zip(profiles, relevances, strict=True)
    ]
    known = sorted({name for found in parts for name in found})
    for name in brief.weights:
        if name not in known:
            raise ConfigError(
                f"the brief weighs {name!r}, which is no measure; expected some of: "
                f"{', '.join(known)}"
            )
    chosen = list(weights) or ["relevance", *measures(profiles[0])]
    out = []
    for i, profile in enumerate(profiles):
        standing = {name: _standing(name, i, parts) for name in chosen}
        missing = tuple(n for n in weights if standing[n] is None)
        out.append(
            Candidate(
                creator_id=profile.creator_id,
                parts={name: parts[i][name] for name in chosen},
                standing=standing,
                evidence=evidences[i],
                score=None if missing or not weights else _score(standing, weights),
                missing=missing,
            )
        )
    if not weights:
        return out
    return sorted(out, key=lambda c: (c.score is None, -(c.score or 0.0)))


def _standing(name: str, i: int, parts: Sequence[Mapping[str, Share]]) -> float | None:
    mine = parts[i].get(name)
    others = [p[name] for j, p in enumerate(parts) if j != i and name in p and p[name].quantiles]
    if mine is None or not mine.quantiles:
        return None
    return float(np.mean([_larger(mine, other) for other in others])) if others else 0.5


def _score(standing: Mapping[str, float | None], weights: Mapping[str, float]) -> float:
    total = sum(abs(w) for w in weights.values()) or 1.0
    ahead = {n: s if weights[n] >= 0 else 1 - s for n, s in standing.items() if s is not None}
    return sum(abs(weights[n]) * ahead[n] for n in weights) / total


def _relevance(
    brief: Brief, threads: Sequence[Thread] | None, interval: float
) -> tuple[Share, dict[str, int]]:
    if not brief.subjects:
        return Share(reason="not measurable: the brief names no subject words"), {}
    if not threads:
        return Share(reason="not measurable: the threads of this creator were not passed"), {}
    minor = cues.lexicon().of_followers["minor"]
    threads = [
        thread
        for thread in threads
        if not any(
            turn.role is Role.FOLLOWER and minor.search(cues.normal(turn.text))
            for turn in thread.turns
        )
    ]
    if len(threads) < MIN_THREADS:
        return Share(reason=f"not shown: {len(threads)} threads, at least {MIN_THREADS} needed"), {}
    patterns = {word: _word(word) for word in brief.subjects}
    found = dict.fromkeys(brief.subjects, 0)
    hits = []
    for thread in threads:
        said = [turn.text for turn in thread.turns if turn.role is not Role.STAFF]
        bodies = [cues.normal(body) for body in (thread.post.text or "", *said)]
        used = [w for w, pattern in patterns.items() if any(map(pattern.search, bodies))]
        for word in used:
            found[word] += 1
        hits.append(bool(used))
    posts = np.array([cues.key(t.post.id) if t.post.id else 0 for t in threads])
    draws = sampling.proportion(np.array(hits), posts, np.zeros(len(hits), dtype=np.int64))
    middle, low, high = prevalence.summary(draws, interval, estimate=float(np.mean(hits)))
    share = Share(estimate=middle, low=low, high=high, n=len(hits), quantiles=Share.grid(draws))
    return share, found


def _word(word: str) -> re.Pattern[str]:
    stem = cues.normal(word.removesuffix("*"))
    if not stem:
        raise ConfigError(f"the brief's subjects hold {word!r}; expected a word")
    return re.compile(rf"(?<!\w){re.escape(stem)}" + ("" if word.endswith("*") else r"(?!\w)"))


# -- among references


def percentiles(profile: Profile, references: Sequence[Profile]) -> dict[str, Share]:
    """Where a profile stands among reference profiles that the caller brings.

    The share of reference creators that it is ahead of, averaged over what both leave possible;
    the interval is over references (Jeffreys). None ships with the library: a reference
    population that nobody measured would be made up. Bring creators of one platform, size and
    subject.
    """
    out = {}
    _profiles([profile])
    references = _profiles(references)
    for name, share in measures(profile).items():
        others = [r for ref in references if (r := measures(ref).get(name)) and r.quantiles]
        if not share.quantiles:
            out[name] = Share(reason=share.reason)
        elif len(others) < MIN_REFERENCES:
            out[name] = Share(
                reason=f"not shown: {len(others)} reference profiles have it, at least "
                f"{MIN_REFERENCES} needed",
                n=len(others),
            )
        else:
            ahead = sum(_larger(share, other) for other in others)
            draws = prevalence.rate_draws(ahead, len(others))
            middle, low, high = prevalence.summary(
                draws, profile.interval, estimate=ahead / len(others)
            )
            out[name] = Share(estimate=middle, low=low, high=high, n=len(others))
    return out
