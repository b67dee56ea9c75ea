"""Measures that are more than a share of threads: waiting times, posts, windows, regulars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from intimacy import cues, prevalence
from intimacy.bundle import Errors
from intimacy.profiling import sampling
from intimacy.profiling.facts import UNKNOWN, Bools, Facts, Table
from intimacy.profiling.index import Estimate, Found, Result
from intimacy.profiling.sampling import DRAWS, Floats
from intimacy.schema import Label

WINDOW_DAYS = 90
WINDOW_THREADS = 30
"""Labelled threads that a window must hold."""
_DAY = 86_400


# -- replies


HOURS = (1, 3, 6, 12, 24, 48, 72, 168)
"""Hours after a comment at which the curve of answers is told."""


def _waiting(facts: Facts) -> tuple[Table, Floats, Bools]:
    """Eligible threads with times, hours waited in rising order, whether an answer ended it."""
    rows = facts.eligible & (facts.threads["root"] != UNKNOWN)
    rows &= ~(facts.answered & (facts.threads["reply"] == UNKNOWN))
    chosen = facts.threads[rows]
    event = chosen["reply"] != UNKNOWN
    waited = np.where(event, chosen["reply"], facts.last - chosen["root"]) / 3600
    order = np.lexsort((~event, waited))
    return chosen[order], waited[order], event[order]


def reply_curve(facts: Facts) -> tuple[tuple[float, float], ...]:
    """Share of the threads that were answered after so many hours (Kaplan & Meier 1958)."""
    _, waited, event = _waiting(facts)
    if not event.any():
        return ()
    survival = sampling.kaplan_meier(waited, event)
    at = np.searchsorted(waited, HOURS, side="right") - 1
    return tuple(
        (float(hours), round(float(1 - survival[i]), 4) if i >= 0 else 0.0)
        for hours, i in zip(HOURS, at, strict=True)
        if hours <= waited[-1]  # nobody was followed longer
    )


def reply_latency(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Median hours from a comment to the creator's first answer."""
    chosen, waited, event = _waiting(facts)
    if not len(chosen):
        return "not measurable: no times in this export"
    if not event.any():
        return "not measurable: the creator answers nowhere"
    draws = sampling.median_survival(waited, event, chosen["post"])
    below = np.flatnonzero(sampling.kaplan_meier(waited, event) <= sampling.HALF)
    if not len(below) or not np.isfinite(draws).mean() > 0.5:
        return f"not reached: {event.mean():.0%} of the threads were ever answered"
    # Where some resamples never reach one half, the interval ends at the longest wait seen.
    capped = np.minimum(draws, waited.max())
    note = None if np.isfinite(draws).mean() > 0.95 else "the upper end is not reached"
    return Found(capped, len(chosen), float(waited[below[0]]), note)


def replies_per_100(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Creator turns for a hundred eligible threads."""
    chosen = facts.threads[facts.eligible]
    if not len(chosen):
        return "not measurable: no threads it applies to"
    turns = chosen["n_creator"].astype(np.float64)
    draws = sampling.mean_count(turns, chosen["post"], chosen["author"])
    return Found(100 * draws, len(chosen), 100 * float(turns.mean()))


def _replies(facts: Facts) -> Table:
    """Turns of the account in threads that somebody else opened."""
    opened = facts.threads["id"][facts.threads["opened_by"] == 0]
    turns = facts.turns
    return turns[(turns["role"] > 0) & np.isin(turns["thread"], opened)]


def staff_share(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Replies that staff sign."""
    replies = _replies(facts)
    return _of_turns(replies["role"] == 2, replies, replies["thread"])


def template_share(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Replies of the same words as two others."""
    replies = _replies(facts)
    long = replies[replies["template"] >= 0]
    if not len(long):
        return "not measurable: no replies of five words or more"
    _, which, times = np.unique(long["template"], return_inverse=True, return_counts=True)
    # A template is one or none: its replies hang together.
    return _of_turns(times[which] >= 3, long, long["template"])


def _of_turns(hit: Bools, turns: Table, alike: sampling.Ints) -> Result:
    if not len(turns):
        return "not measurable: no replies"
    draws = sampling.proportion(hit, turns["post"], alike)
    return Found(draws, len(turns), float(hit.mean()))


def hour_entropy(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Entropy of the hours of the day of replies, as a share of the largest possible."""
    replies = _replies(facts)
    times = replies["time"][(replies["time"] != UNKNOWN)]
    if facts.threads["estimated"].any() or not len(times):
        return "not measurable: no exact times in this export"
    counts = np.bincount(times // 3600 % 24, minlength=24).astype(np.float64)
    draws = sampling.generator().dirichlet(counts + 0.1, size=DRAWS)
    entropy = -(draws * np.log(draws.clip(1e-300))).sum(1) / np.log(24)
    return Found(entropy, len(times))


# -- posts


def posts_with(cue: str) -> Estimate:
    """Share of the posts whose caption shows a cue."""
    column = cues.lexicon().names.index(cue)

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        return _of_posts(facts.posts["cues"][:, column] > 0)

    return estimate


def _of_posts(hit: Bools) -> Result:
    if not len(hit):
        return "not measurable: no captions in this export"
    return Found(prevalence.rate_draws(hit.sum(), len(hit)), len(hit), float(hit.mean()))


def transparency(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """A / (A + B + U) over the posts that show any sign of commerce."""
    posts = facts.posts
    if not len(posts):
        return "not measurable: no captions in this export"
    signs = posts[posts["tier"] >= 1]
    if not len(signs):
        return "not measurable: no post shows a sign of commerce"
    clear = (signs["tier"] == 3) & (signs["placed"] == 1)
    return _of_posts(clear)


def in_position(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Labelled posts whose label stands where it should."""
    labelled = facts.posts[facts.posts["tier"] >= 2]
    if not len(labelled):
        return "not measurable: no labelled posts"
    return _of_posts(labelled["placed"] == 1)


def gulpease(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """89 + (300 · sentences - 10 · letters) / words, over all captions together."""
    posts = facts.posts
    if not len(posts):
        return "not measurable: no captions in this export"
    weights = sampling.generator().exponential(size=(500, len(posts)))
    sums = {n: weights @ posts[n].astype(np.float64) for n in ("letters", "words", "sentences")}
    index = 89 + (300 * sums["sentences"] - 10 * sums["letters"]) / sums["words"]
    return Found(index.clip(0, 100), len(posts))


def brand_concentration(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Herfindahl index of brands over the posts that name one."""
    if not len(facts.brands):
        return "not measurable: no brand is named in a disclosure"
    brands, which = np.unique(facts.brands["brand"], return_inverse=True)
    posts, where = np.unique(facts.brands["post"], return_inverse=True)

    def same(weights: Floats) -> float:
        """Probability that two namings are of one brand, without bias from how few there are."""
        named = np.bincount(which, weights=weights, minlength=len(brands))
        whole, squares = named.sum(), float((weights**2).sum())
        return float(((named**2).sum() - squares) / (whole**2 - squares))

    if len(which) < 2:
        return f"not shown: {len(which)} cases, at least 2 needed"
    weights = sampling.generator().exponential(size=(500, len(posts)))[:, where]
    draws = np.array([same(row) for row in weights]).clip(0.0, 1.0)
    return Found(draws, len(which), same(np.ones(len(which))))


def lasting_brands(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Posts of brands that come in three posts or more, ninety days or more apart."""
    if not len(facts.brands):
        return "not measurable: no brand is named in a disclosure"
    keys, first = np.unique(facts.posts["post"], return_index=True)
    times = facts.posts["published"][first]
    if not (times != UNKNOWN).any():
        return "not measurable: no post has a date"
    at = times[np.searchsorted(keys, facts.brands["post"]).clip(max=len(keys) - 1)]
    lasting = {
        brand
        for brand in np.unique(facts.brands["brand"])
        if (mine := at[(facts.brands["brand"] == brand) & (at != UNKNOWN)]).size >= 3
        and mine.max() - mine.min() >= WINDOW_DAYS * _DAY
    }
    hit = np.isin(facts.brands["brand"], list(lasting))
    draws = sampling.proportion(hit, facts.brands["post"], facts.brands["brand"])
    return Found(draws, len(hit), float(hit.mean()))


# -- time


def windows(facts: Facts, *, days: int = WINDOW_DAYS) -> list[tuple[int, Floats]]:
    """Counts of the labels in consecutive windows: start in seconds since 1970, counts."""
    rows = (facts.threads["label"] >= 0) & (facts.threads["root"] != UNKNOWN)
    labels, times = facts.threads["label"][rows], facts.threads["root"][rows]
    if not len(times):
        return []
    start, width = int(times.min()), days * _DAY
    which = (times - start) // width
    return [
        (start + k * width, np.bincount(labels[which == k], minlength=len(Label)).astype(float))
        for k in range(int(which.max()) + 1)
    ]


def alikeness(facts: Facts, *, since: int | None = None) -> float:
    """Design effect of the labels: how much less labelled threads say than independent ones.

    Args:
        facts: The rows.
        since: Seconds since 1970 at which the mix may have changed; threads are then compared
            with those of their own side.
    """
    chosen = facts.threads[facts.threads["label"] >= 0]
    if not len(chosen):
        return 1.0
    labels = np.eye(len(Label))[chosen["label"].astype(np.int64)]
    if since is not None:
        later = chosen["root"] >= since
        for side in (later, ~later):
            if side.any():
                labels[side] -= labels[side].mean(0)
    return sampling.design_effect(labels, chosen["post"], chosen["author"])


def consistency(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """1 - √JSD between consecutive windows of 90 days, averaged by their size."""
    found = [counts for _, counts in windows(facts) if counts.sum() >= WINDOW_THREADS]
    if len(found) < 2:
        return (
            f"not measurable: fewer than two windows of {WINDOW_DAYS} days with "
            f"{WINDOW_THREADS} labelled threads"
        )
    n = int(sum(counts.sum() for counts in found))
    sizes = [counts / alikeness(facts) for counts in found]
    rng = sampling.generator()

    def mean(tables: list[Floats], chances: int) -> float:
        pairs = list(pairwise(tables))
        weights = np.array([min(a.sum(), b.sum()) for a, b in pairs])
        gaps = [sampling.jensen_shannon(a, b, chances=chances) for a, b in pairs]
        # The root last: of each pair's it would be biased, most where nothing changes.
        return float(1 - np.sqrt(max(0.0, float(np.average(gaps, weights=weights)))))

    # What is drawn anew from what was seen holds chance twice.
    again = [
        [rng.multinomial(max(1, round(c.sum())), c / c.sum()).astype(float) for c in sizes]
        for _ in range(500)
    ]
    return Found(np.array([mean(tables, 2) for tables in again]), n, mean(sizes, 1))


MIN_POSTS_OF_GROWTH = 12


def engagement_elasticity(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """β of log(comments a post) = a + β log(followers) + γ time, resampled by post."""
    if not facts.audience:
        return "not measurable: pass audience=, follower counts over time"
    dated = facts.threads[(facts.threads["post"] != 0) & (facts.threads["published"] != UNKNOWN)]
    posts, first = np.unique(dated["post"], return_index=True)
    if len(posts) < MIN_POSTS_OF_GROWTH:
        return f"not measurable: {len(posts)} dated posts, at least {MIN_POSTS_OF_GROWTH} needed"
    times = dated["published"][first].astype(np.float64)
    comments = np.array([(facts.turns["post"] == post).sum() for post in posts], dtype=np.float64)
    known, sizes = (np.array(column) for column in zip(*facts.audience, strict=True))
    followers = np.log(np.interp(times, known, sizes).clip(min=1.0))
    if np.ptp(followers) < 1e-6:
        return "not measurable: the number of followers never changes"
    years = (times - times.mean()) / (365.25 * _DAY)
    design = np.column_stack([np.ones(len(posts)), followers, years])

    def slope(weights: Floats) -> float:
        root = np.sqrt(weights)
        solved = np.linalg.lstsq(design * root[:, None], np.log(comments) * root, rcond=None)
        return float(solved[0][1])

    weights = sampling.generator().exponential(size=(500, len(posts)))
    draws = np.array([slope(row) for row in weights])
    return Found(draws, len(posts), slope(np.ones(len(posts))))


# -- followers


def returning(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Followers of the later half of the comments who were there in the earlier half."""
    turns = _followers(facts)
    turns = turns[turns["time"] != UNKNOWN]
    if len(turns) < 2 or facts.threads["estimated"].any():
        return "not measurable: no pseudonyms with exact times in this export"
    order = np.lexsort((turns["author"], turns["time"]))
    authors = turns["author"][order]
    half = len(authors) // 2
    before, after = np.unique(authors[:half]), np.unique(authors[len(authors) - half :])
    back = np.isin(after, before)
    return Found(prevalence.rate_draws(back.sum(), len(back)), len(back), float(back.mean()))


def core_size(facts: Facts, errors: Mapping[str, Errors]) -> Result:
    """Chao1: seen + f₁(f₁ - 1) / (2(f₂ + 1))."""
    counts = _comments(facts)
    if not len(counts):
        return "not measurable: no pseudonyms in this export"

    seen, once, twice = len(counts), float((counts == 1).sum()), float((counts == 2).sum())
    unseen = once * (once - 1) / (2 * (twice + 1))
    variance = (
        unseen
        + once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
        + once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
    )
    if unseen <= 0:
        return Found(np.full(DRAWS, float(seen)), seen, float(seen))
    # Log-normal about the unseen ones (Chao 1987), so that nobody who was seen is missing.
    spread = np.sqrt(np.log1p(variance / unseen**2))
    draws = seen + unseen * np.exp(sampling.generator().normal(0.0, spread, size=DRAWS))
    return Found(draws, seen, seen + unseen)


def concentration(statistic: Callable[..., float]) -> Estimate:
    """A statistic of how many comments each follower wrote."""

    def estimate(facts: Facts, errors: Mapping[str, Errors]) -> Result:
        counts = _comments(facts)
        if not len(counts):
            return "not measurable: no pseudonyms in this export"
        draws = sampling.bootstrap(counts, statistic)
        return Found(draws, len(counts), statistic(counts))

    return estimate


def _followers(facts: Facts) -> Table:
    turns: Table = facts.turns[(facts.turns["role"] == 0) & (facts.turns["author"] != 0)]
    return turns


def _comments(facts: Facts) -> Floats:
    counts: Floats = np.unique(_followers(facts)["author"], return_counts=True)[1].astype(float)
    return np.sort(counts)
