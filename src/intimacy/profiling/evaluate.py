"""A tally becomes a profile: shares corrected for errors, indices, what cannot be said and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

import intimacy
from intimacy import cues, disclosure, prevalence
from intimacy.bundle import Bundle, Errors
from intimacy.errors import ConfigError, shown
from intimacy.profiling import behaviours, sampling
from intimacy.profiling.facts import UNKNOWN, Facts, Table, Tally, moment, seconds
from intimacy.profiling.index import INDICATIVE, MIN_POSTS, MIN_THREADS, Index
from intimacy.profiling.indices import INDICES
from intimacy.schema import Label, Measure, Period, Profile, Reason, Share

INTERVAL = 0.90
NO_REPLIES = "not measurable: no replies in this export"
NO_CREATOR = "not measurable: the creator is not identified in this export"
CODEBOOK = "2"
"""Version of docs/codebook.md."""

FRAMES = ("all", "newest", "top", "unknown")
"""Which comments an export holds, as its maker says."""

_NOTE_OF_FRAME = {
    "top": ("only top comments were fetched: every figure is of these, not of the community",),
    "unknown": ("which comments were fetched is not stated (frame=)",),
}
_ORDER = tuple(str(label) for label in Label)
_MONTH = 30


def evaluate(
    tally: Tally,
    bundle: Bundle,
    *,
    interval: float = INTERVAL,
    frame: str = "unknown",
    audience: Mapping[datetime, float] | None = None,
    whole: Tally | None = None,
) -> Profile:
    """The profile of a tally.

    Args:
        tally: Rows of predictions.
        bundle: The model that made the predictions: its manifest says how often it erred on
            development threads. Predictions of another model are corrected all the same, and a
            note says so.
        interval: Probability inside the intervals.
        frame: Which comments were fetched, one of `FRAMES`.
        audience: Followers of the creator at some times, for ``engagement_elasticity``.
        whole: The export of which these threads are a part, which says whether its creator and
            replies can be seen; None where they are all of it.

    Raises:
        ConfigError: When there is no such frame, interval or audience.
    """
    if frame not in FRAMES:
        raise ConfigError(f"frame is {frame!r}; expected one of: {', '.join(FRAMES)}")
    if not isinstance(interval, (int, float)) or not 0 < interval < 1:
        raise ConfigError(f"interval is {interval!r}; expected a fraction between 0 and 1")
    everything = tally.facts()
    minors = everything.cue("minor")
    sizes = _sizes(audience)
    export = everything if whole is None else whole.facts()
    facts = replace(everything.where(~minors), audience=sizes, collected=export.last)
    threads = facts.threads
    errors = bundle.manifest.errors
    blind = _blind(export, (whole or tally).creators)
    n_scope = int(facts.in_scope.sum())
    counts = {label: int(facts.labelled(Label(label)).sum()) for label in _ORDER}
    shares, effective = mix(facts, errors, interval, blind=blind)
    known = facts.turns["time"][facts.turns["time"] != UNKNOWN]
    followers = np.unique(facts.turns["author"][facts.turns["role"] == 0])
    n_followers = int((followers != 0).sum())
    return Profile(
        creator_id=next(iter(tally.creators)) if len(tally.creators) == 1 else None,
        n_threads=facts.n,
        n_labelled=sum(counts.values()),
        abstentions={str(r): n for r in Reason if (n := int(facts.abstained(r).sum()))},
        counts=counts,
        shares=shares,
        raw_shares=_counted(facts, interval, blind),
        other_estimates=_others(facts, bundle),
        indices={i.name: _index(i, facts, errors, interval, blind) for i in INDICES},
        coverage=sum(counts.values()) / n_scope if n_scope else None,
        interval=interval,
        n_posts=int((np.unique(threads["post"]) != 0).sum()),
        n_followers=n_followers or None,
        n_incomplete=int(threads["incomplete"].sum()),
        n_minors=int(minors.sum()),
        frame=frame,
        n_effective=round(effective, 1) if n_scope and not _few_posts(facts) else None,
        window=(
            moment(int(known.min())) if len(known) else None,
            moment(int(known.max())) if len(known) else None,
        ),
        mix_over_time=_over_time(facts, errors, interval, blind),
        changes=_changes(facts),
        reply_curve=() if blind else behaviours.reply_curve(facts),
        notes=(
            *_NOTE_OF_FRAME.get(frame, ()),
            *_notes(facts, tally, bundle.model_id, n_scope, blind),
            *_alarms(everything),
        ),
        model_id=next(iter(tally.models)) if len(tally.models) == 1 else None,
        versions={
            "intimacy": intimacy.__version__,
            "codebook": CODEBOOK,
            "cues": cues.lexicon().version,
            "disclosure": disclosure.rules().version,
        },
    )


def _sizes(audience: Mapping[datetime, float] | None) -> tuple[tuple[int, float], ...]:
    if audience is None:
        return ()
    try:
        sizes = sorted((seconds(time), float(size)) for time, size in audience.items())
    except (AttributeError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"audience is {shown(audience)}; expected a dict of datetimes and numbers of followers"
        ) from exc
    if any(time == UNKNOWN or not 0 < size < 1e12 for time, size in sizes):
        raise ConfigError("audience has a time or a number that cannot be; expected followers > 0")
    return tuple(sizes)


def _index(
    index: Index, facts: Facts, errors: Mapping[str, Errors], interval: float, blind: str | None
) -> Measure:
    if blind and (index.needs == "creator" or (index.needs == "replies" and blind == NO_REPLIES)):
        return index.missing(blind)
    return index.measure(facts, errors, interval)


def mix(
    facts: Facts, errors: Mapping[str, Errors], interval: float, *, blind: str | None
) -> tuple[dict[str, Share], float]:
    """Shares of the four, corrected, and the effective number of threads."""
    chosen = facts.threads[facts.in_scope]
    n = len(chosen)
    if n < MIN_THREADS:
        reason = f"not shown: {n} threads in scope, at least {MIN_THREADS} needed"
        return dict.fromkeys(_ORDER, Share(reason=reason, n=n)), float(n)
    scores = chosen["scores"].astype(np.float64) / prevalence.GRID
    effect = sampling.design_effect(scores, chosen["post"], chosen["author"])
    if "label" not in errors:
        return dict.fromkeys(_ORDER, Share(reason="the model brings no error rates")), n / effect
    said = np.bincount(scores.argmax(1), minlength=len(_ORDER))
    drawn = prevalence.posterior(said / effect, errors["label"], possible=_possible(chosen))
    caveat = f"indicative: {n} threads in scope" if n < INDICATIVE else None
    out = {}
    for i, name in enumerate(_ORDER):
        middle, low, high = prevalence.summary(drawn[:, i], interval)
        out[name] = Share(
            estimate=middle,
            low=low,
            high=high,
            n=n,
            reason=caveat,
            quantiles=Share.grid(drawn[:, i]),
        )
    if blind:
        out[Label.RECIPROCAL.value] = Share(reason=blind, n=n)
    return out, n / effect


def _possible(threads: Table) -> list[bool]:
    """Labels that the codebook allows for any of the threads, by their structure."""
    spoken = bool((threads["n_creator"] > 0).any())
    told = spoken or bool(threads["captioned"].any())
    allowed = {Label.RECIPROCAL: spoken, Label.DISCLOSIVE: told}
    return [allowed.get(label, True) for label in Label]


def _counted(facts: Facts, interval: float, blind: str | None) -> dict[str, Share]:
    n_scope, n = int(facts.in_scope.sum()), int((facts.threads["label"] >= 0).sum())
    if n_scope < MIN_THREADS:
        reason = f"not shown: {n_scope} threads in scope, at least {MIN_THREADS} needed"
        return dict.fromkeys(_ORDER, Share(reason=reason, n=n))
    out = {
        name: prevalence.rate(int(facts.labelled(Label(name)).sum()), n, interval=interval)
        for name in _ORDER
    }
    if blind:
        out[Label.RECIPROCAL.value] = Share(reason=blind, n=n)
    return out


def _others(facts: Facts, bundle: Bundle) -> dict[str, dict[str, float]]:
    scores = facts.threads["scores"][facts.in_scope]
    if len(scores) < MIN_THREADS or "label" not in bundle.manifest.errors:
        return {}
    prior = [bundle.manifest.prior.get(name, 0.0) for name in _ORDER]
    found = prevalence.point_estimates(scores, bundle.manifest.errors["label"], prior)
    return {
        method: {name: round(float(v), 4) for name, v in zip(_ORDER, values, strict=True)}
        for method, values in found.items()
    }


def _over_time(
    facts: Facts, errors: Mapping[str, Errors], interval: float, blind: str | None
) -> tuple[Period, ...]:
    out = []
    width = behaviours.WINDOW_DAYS * 86_400
    for start, counts in behaviours.windows(facts):
        root = facts.threads["root"]
        inside = facts.where((root >= start) & (root < start + width))
        shares, _ = mix(inside, errors, interval, blind=blind)
        begins = moment(start)
        assert begins is not None
        out.append(Period(start=begins, n_threads=int(counts.sum()), shares=shares))
    return tuple(out)


def _changes(facts: Facts) -> tuple[datetime, ...]:
    found = [w for w in behaviours.windows(facts, days=_MONTH) if w[1].sum()]
    if len(found) < 2:
        return ()
    counts = np.array([counts for _, counts in found])
    # A post with many alike comments is no change of the mix: threads count for what they say
    # within the stretches that the best single cut leaves.
    start = found[sampling.single_cut(counts)][0]
    alike = behaviours.alikeness(facts, since=start)
    cuts = sampling.change_points(counts / alike, least=behaviours.WINDOW_THREADS / alike)
    times = (moment(found[cut][0]) for cut in cuts)
    return tuple(time for time in times if time is not None)


def _blind(facts: Facts, creators: set[str]) -> str | None:
    """Why nothing that needs the creator's replies can be measured; None when it can."""
    if facts.n and not (facts.threads["n_turns"] > 1).any():
        return NO_REPLIES
    if not creators and not facts.answered.any():
        return NO_CREATOR
    return None


def _few_posts(facts: Facts) -> int:
    """Number of posts where they are known and too few to speak of others; else 0."""
    known = facts.threads["post"] != 0
    n = len(np.unique(facts.threads["post"][known]))
    return n if known.all() and n < MIN_POSTS else 0


def _notes(
    facts: Facts, tally: Tally, model_id: str, n_scope: int, blind: str | None
) -> Iterable[str]:
    threads = facts.threads
    if len(tally.creators) > 1:
        yield f"threads of {len(tally.creators)} creators together"
    if len(tally.models) > 1:
        yield f"predictions of {len(tally.models)} different models together"
    elif tally.models and model_id not in tally.models:
        yield f"predictions of {next(iter(tally.models))}, corrected as if of {model_id}"
    if twice := facts.n - len(np.unique(threads["id"])):
        yield f"{twice} threads stand here more than once"
    if n := int(threads["incomplete"].sum()):
        yield f"{n} threads have fewer replies than the platform counts"
    if n := int(threads["truncated"].sum()):
        yield f"{n} threads were longer than the model reads"
    if blind is None and n_scope and not facts.answered.any():
        yield "the creator answers in no thread of this export"
    if blind is None and (young := int((facts.eligible & ~facts.mature).sum())):
        yield f"{young} threads younger than 72 hours are left out of reply rates"
    elif blind is None and facts.n_young:
        yield f"{facts.n_young} threads younger than 72 hours are in the reply rates: most are"
    if n := _few_posts(facts):
        yield f"threads of {n} posts: intervals speak of these posts alone"
    if not (threads["root"] != UNKNOWN).any() and facts.n:
        yield "no times in this export: nothing over time is measured"
    if not facts.signed:
        yield "predictions without the signs of their texts: minors cannot be left out"


def _alarms(facts: Facts) -> Iterable[str]:
    """What somebody should see to, of minors as well."""
    if n := int(facts.cue("self_harm").sum()):
        yield f"{n} threads may speak of self-harm: a person should read them, today"


def measures(profile: Profile) -> dict[str, Share | Measure]:
    """All figures of a profile by name, the shares of the four first."""
    return {**profile.shares, **profile.indices}
