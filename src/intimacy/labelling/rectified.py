"""Shares of one creator from some labels and all predictions: prediction-powered inference.

Development threads say how a model errs at large; labels of a creator's own threads say how it
errs here, whatever the platform or the manner of writing. The default is a Bayesian form of it
for few labels, with intervals that hold where a label is rare; the normal approximation of the
field stands beside it for comparison.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from intimacy import cues, prevalence
from intimacy.annotation import AnnotatedThread, is_probability
from intimacy.errors import (
    ConfigError,
    CorpusError,
    IntimacyWarning,
    ThreadError,
    require_many,
    shown,
)
from intimacy.labelling.estimators import Floats, Sample, draws, draws_of_labels, ppi_ratio
from intimacy.labelling.selection import OUTCOMES, chances, frame
from intimacy.prediction import Prediction
from intimacy.profiling import INTERVAL, sampling
from intimacy.profiling.index import INDICATIVE, MIN_THREADS
from intimacy.schema import Label, Profile, Share

Labels = Mapping[str, Label | str | None] | Iterable[AnnotatedThread]
METHODS = ("posterior", "ppi", "labels")

_NAMES = OUTCOMES[:-1]


def labelled_shares(
    predictions: Iterable[Prediction],
    labels: Labels,
    *,
    probabilities: Mapping[str, float] | None = None,
    creator_id: str | None = None,
    interval: float = INTERVAL,
    method: Literal["posterior", "ppi", "labels"] = "posterior",
) -> dict[str, Share]:
    """Shares of the four among threads in scope of one creator, corrected by labels of theirs.

    The estimand is that of `intimacy.profile`: the population that the threads come from, less
    threads that the model did not read and minors. Errors of scope are corrected as well.
    docs/measures.md, section 2, has the estimator and what was measured.

    Methods: ``posterior`` (Bayesian chain rule, Hofer et al. 2024, arXiv:2405.06034, in cells by
    what the model says, Fisch et al. 2024, arXiv:2406.04291); for comparison ``ppi`` (PPI++ with
    power tuning for a ratio, normal approximation; Angelopoulos, Duchi & Zrnic 2023,
    arXiv:2311.01453; too narrow for few labels) and ``labels`` (these alone, Jeffreys interval).

    Args:
        predictions: Of all threads of the creator.
        labels: Thread id → label, None where it is out of scope or not Italian; or labelled
            threads. Those of other creators among the predictions are passed over.
        probabilities: Thread id → probability that the thread was drawn for labelling, as
            `intimacy.label_next` gives it; 1 for labels that were not drawn by chance. None:
            those that labelled threads state (`AnnotatedThread.draw_probability`), 1 where others
            state one and they do not; where nobody says how threads were chosen, the labels are
            a simple random sample of the threads that the model read. **Labels chosen for
            uncertainty or diversity are not**, and shares from them alone would be biased.
        creator_id: Whose; needed where the predictions are of several.
        interval: Probability inside the intervals.
        method: See above.

    Returns: Label → share; ``n`` is the labels that it rests on. Below 20 drawn at random there
        is a reason in place of an estimate.

    Raises:
        ConfigError: When an argument cannot be, or predictions of several creators are given.
        CorpusError: When there are no labels, two of one thread, labels of unknown threads, or
            names of no label.
        ThreadError: When something is no prediction, or two predictions have one id.

    Warns:
        IntimacyWarning: When labels that say how they were chosen were not drawn by chance.
    """
    if method not in METHODS:
        raise ConfigError(f"method is {shown(method)}; expected one of: {', '.join(METHODS)}")
    if isinstance(interval, bool) or not isinstance(interval, float) or not 0 < interval < 1:
        raise ConfigError(f"interval is {shown(interval)}; expected a fraction between 0 and 1")
    sample = _sample(predictions, labels, probabilities, creator_id)
    if method == "ppi" and (probabilities is not None or np.ptp(sample.weight) > 0):
        raise ConfigError(
            "method 'ppi' with probabilities; expected a simple random sample. Use 'posterior'"
        )
    n, drawn = len(sample.rows), int((sample.weight > 0).sum())
    everything = n == len(sample.odds)
    if not everything and drawn < MIN_THREADS:
        return _none(f"not shown: {drawn} labels drawn by chance, at least {MIN_THREADS} needed", n)
    if not (sample.truth < len(_NAMES)).any():
        return _none("not measurable: no labelled thread is in scope", n)
    caveats = [f"indicative: {n} labels"] if n < INDICATIVE else []
    if sample.n_unread:
        caveats.append(f"{sample.n_unread} labels of threads that the model did not read left out")
    caveat = "; ".join(caveats) or None
    if method == "ppi" and not everything:
        return {
            name: Share(estimate=middle, low=low, high=high, n=n, reason=caveat)
            for name, (middle, low, high) in zip(_NAMES, ppi_ratio(sample, interval), strict=True)
        }
    drawn_shares = draws_of_labels(sample) if method == "labels" else draws(sample)
    out = {}
    for name, column in zip(_NAMES, drawn_shares.T, strict=True):
        middle, low, high = prevalence.summary(column, interval)
        quantiles = Share.grid(column)
        out[name] = Share(
            estimate=middle, low=low, high=high, n=n, reason=caveat, quantiles=quantiles
        )
    return out


def with_labels(
    profile: Profile,
    predictions: Iterable[Prediction],
    labels: Labels,
    *,
    probabilities: Mapping[str, float] | None = None,
) -> Profile:
    """The profile of a creator with `labelled_shares` for its shares, and a note that says so.

    Shares stay as they are, corrected by development threads, where there are too few labels.
    Everything else, the mix over time among it, stays as it is.

    Args:
        profile: Of the same threads.
        predictions: They are.
        labels: Of some of them.
        probabilities: See `labelled_shares`.

    Raises:
        ConfigError, CorpusError, ThreadError: As `labelled_shares` does.
    """
    shares = labelled_shares(
        predictions,
        labels,
        probabilities=probabilities,
        creator_id=profile.creator_id,
        interval=profile.interval,
    )
    first = next(iter(shares.values()))
    if not first.measurable:
        note = f"labels of this creator are not used: {first.reason}"
        return replace(profile, notes=(*profile.notes, note))
    note = f"the shares of the four rest on {first.n} labels of this creator's threads"
    return replace(profile, shares=shares, notes=(*profile.notes, note))


def all_with_labels(
    profiles: Sequence[Profile],
    predictions: Sequence[Sequence[Prediction]],
    labels: Sequence[AnnotatedThread],
) -> list[Profile]:
    """The profiles of several creators, `with_labels` where any label is of theirs.

    Args:
        profiles: One for each creator.
        predictions: Of each of them, in the same order.
        labels: Of threads of some of them, drawn as they state; where none states anything, of
            each creator a simple random sample.

    Raises:
        CorpusError: When a label is of a thread of none of them, or as `labelled_shares` does.
        ConfigError, ThreadError: As `labelled_shares` does.
    """
    ids = [{item.thread_id for item in part} for part in predictions]
    known = {name for part in ids for name in part}
    if unknown := [item.thread.id for item in labels if item.thread.id not in known]:
        raise _unknown(unknown, len(labels))
    out = []
    for profile, part, own in zip(profiles, predictions, ids, strict=True):
        mine = [item for item in labels if item.thread.id in own]
        out.append(with_labels(profile, part, mine) if mine else profile)
    return out


def _unknown(names: Sequence[str], n: int) -> CorpusError:
    return CorpusError(
        f"{len(names)} of {n} labels are of threads that are not among the predictions, e.g. "
        f"{shown(names[0])}; expected predictions of all threads"
    )


def _none(reason: str, n: int) -> dict[str, Share]:
    return dict.fromkeys(_NAMES, Share(reason=reason, n=n))


# -- what was given


def _sample(
    predictions: Iterable[Prediction],
    labels: Labels,
    probabilities: Mapping[str, float] | None,
    creator_id: str | None,
) -> Sample:
    require_many(predictions, "a list of predictions")
    given = list(predictions)
    if wrong := next((item for item in given if not isinstance(item, Prediction)), None):
        raise ThreadError(
            f"a {type(wrong).__name__} among the predictions; expected what classify_threads gives"
        )
    creators = {item.creator_id for item in given}
    if creator_id is None and len(creators) > 1:
        raise ConfigError(
            f"predictions of {len(creators)} creators; expected those of one: pass creator_id="
        )
    if not isinstance(labels, (str, bytes, Mapping)) and isinstance(labels, Iterable):
        labels = list(labels)  # which may come but once
    answers = _answers(labels)
    known = {item.thread_id for item in given}
    if unknown := [name for name in answers if name not in known]:
        raise _unknown(unknown, len(answers))
    rows_ = frame(given, creator_id=creator_id)
    kept = sorted((given[i] for i in rows_), key=lambda item: str(item.thread_id))
    at = {item.thread_id: row for row, item in enumerate(kept)}
    own = {i.thread_id for i in given if creator_id is None or i.creator_id == creator_id}
    mine = sorted((at[name], name, code) for name, code in answers.items() if name in at)
    if not mine:
        raise CorpusError(
            f"none of {len(answers)} labels is of a thread of this creator that the model read; "
            "expected some. label_next(by='random') chooses them"
        )
    chance = _stated(labels, mine) if probabilities is None else _checked(probabilities, mine)
    rows, truth = (np.array([m[i] for m in mine], dtype=np.int64) for i in (0, 2))
    weight = np.ones(len(mine)) if chance is None else (1 - chance) / chance
    odds = chances(kept)
    return Sample(
        odds=odds,
        effect=_effect(kept, odds),
        rows=rows,
        truth=truth,
        weight=weight,
        n_unread=sum(name in own and name not in at for name in answers),
    )


def _answers(labels: Labels) -> dict[str, int]:
    """Thread id → column of `OUTCOMES`."""
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise CorpusError(
            f"labels are {shown(labels)}; expected thread id → label, or labelled threads"
        )
    pairs: list[tuple[Any, Any]] = []
    for item in labels.items() if isinstance(labels, Mapping) else labels:
        if isinstance(item, AnnotatedThread):
            pairs.append((item.thread.id, item.label))
        elif isinstance(item, tuple) and isinstance(labels, Mapping):
            pairs.append(item)
        else:
            raise CorpusError(
                f"a {type(item).__name__} among the labels; expected AnnotatedThread, as "
                "load_corpus gives, or a dict of thread ids and labels"
            )
    out: dict[str, int] = {}
    for name, label in pairs:
        if label is not None and label not in tuple(Label):
            raise CorpusError(
                f"label of thread {shown(name)} is {shown(label)}; expected one of: "
                f"{', '.join(Label)}, or None where it is out of scope"
            )
        if str(name) in out:
            raise CorpusError(f"two labels of thread {shown(name)}; expected one, the settled one")
        out[str(name)] = len(_NAMES) if label is None else _NAMES.index(str(label))
    if not out:
        raise CorpusError("no labels; expected some. label_next chooses what to label")
    return out


def _stated(labels: Labels, mine: Sequence[tuple[int, str, int]]) -> Floats | None:
    """Probabilities that labelled threads state; None where the draw was even."""
    if isinstance(labels, Mapping):
        return None
    by_id = {item.thread.id: item for item in labels}
    own = [by_id[name] for _, name, _ in mine]
    told = [item.draw_probability for item in own]
    if all(item.chosen_by is None and item.draw_probability is None for item in own):
        return None
    if picked := Counter(item.chosen_by for item in own if item.draw_probability is None):
        how = ", ".join(f"{by or 'nobody says how'} {n}" for by, n in picked.items())
        warnings.warn(
            f"{picked.total()} of {len(own)} labels were not drawn by chance ({how}): they count "
            "as known and speak for no other thread. Draw threads for shares, with "
            "label_next(by='profile') or 'intimacy annotate -n 80 --by profile'",
            IntimacyWarning,
            stacklevel=4,  # whoever called labelled_shares
        )
    elif len(set(told)) == 1:
        return None
    return np.array([1.0 if p is None else p for p in told])


def _checked(probabilities: Mapping[str, float], mine: list[tuple[int, str, int]]) -> Floats:
    if not isinstance(probabilities, Mapping):
        raise ConfigError(
            f"probabilities are {shown(probabilities)}; expected thread id → probability"
        )
    out = np.ones(len(mine))
    for place, (_, name, _) in enumerate(mine):
        value = probabilities.get(name)
        if value is None or not is_probability(value):
            raise ConfigError(
                f"probability of labelled thread {shown(name)} is {shown(value)}; expected the "
                "one it was drawn with, above 0 and at most 1 (1: not drawn by chance)"
            )
        out[place] = value
    return out


def _effect(kept: Sequence[Prediction], odds: Floats) -> float:
    posts, authors = np.zeros((2, len(kept)), dtype=np.int64)
    for i, item in enumerate(kept):
        if item.post_id is not None:
            posts[i] = cues.key(f"{item.creator_id}\n{item.post_id}")
        if item.structure.author_ids and item.structure.author_ids[0] is not None:
            authors[i] = cues.key(item.structure.author_ids[0])
    return sampling.design_effect(odds, posts, authors)
