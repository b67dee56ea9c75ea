"""Per-creator relationship profiles: a tally of predictions, evaluated once.

Tallies add up exactly, whatever the order or the machine, so a profile over shards or months is
the profile over all. Every measure that an export cannot give is reported with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from intimacy import prevalence
from intimacy.bundle import Bundle, Manifest, open_bundle
from intimacy.classifier import Classifier, classify_threads
from intimacy.errors import ThreadError
from intimacy.prediction import Prediction
from intimacy.schema import Label, Profile, Reason, Role, Share, Thread

INTERVAL = 0.90
MIN_THREADS = 20
"""Threads in scope below which no share is shown."""
INDICATIVE = 50
"""Threads in scope below which a share is only indicative."""
NO_REPLIES = "not measurable: no replies in this export"
NO_CREATOR = "not measurable: the creator is not identified in this export"

_ORDER = tuple(str(label) for label in Label)
_OUT = frozenset({Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN})


@dataclass(slots=True)
class Tally:
    """Sums over predictions. `add` and `merge` commute and associate."""

    n_threads: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[int, ...]] = field(default_factory=Counter)
    """Score vectors of the threads in scope, on the grid of `prevalence`."""
    n_eligible: int = 0
    """Threads in scope that a follower opened."""
    n_answered: int = 0
    n_with_replies: int = 0
    n_with_creator: int = 0
    n_incomplete: int = 0
    n_truncated: int = 0
    creators: set[str] = field(default_factory=set)
    posts: set[str] = field(default_factory=set)
    followers: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def add(self, prediction: Prediction) -> None:
        """Count one prediction."""
        shape = prediction.structure
        self.n_threads += 1
        if prediction.label is not None:
            self.labels[str(prediction.label)] += 1
        elif prediction.reason is not None:
            self.reasons[str(prediction.reason)] += 1
        in_scope = bool(prediction.scores) and prediction.reason not in _OUT
        if in_scope:
            self.cells[prevalence.cell(prediction.scores, _ORDER)] += 1
            if shape.roles and shape.roles[0] is not Role.CREATOR:
                self.n_eligible += 1
                self.n_answered += Role.CREATOR in shape.roles
        self.n_with_replies += len(shape.roles) > 1
        self.n_with_creator += Role.CREATOR in shape.roles
        self.n_incomplete += shape.complete is False
        self.n_truncated += prediction.truncated
        if prediction.creator_id is not None:
            self.creators.add(prediction.creator_id)
        if prediction.post_id is not None:
            self.posts.add(prediction.post_id)
        if prediction.model_id is not None:
            self.models.add(prediction.model_id)
        self.followers.update(
            author
            for role, author in zip(shape.roles, shape.author_ids, strict=False)
            if role is Role.FOLLOWER and author is not None
        )
        for time in shape.created_at:
            if time is not None:
                self.first = time if self.first is None else min(self.first, time)
                self.last = time if self.last is None else max(self.last, time)

    def merge(self, other: Tally) -> Tally:
        """The tally of both; neither is changed."""
        times = (
            [t for t in (self.first, other.first) if t],
            [t for t in (self.last, other.last) if t],
        )
        return Tally(
            n_threads=self.n_threads + other.n_threads,
            labels=self.labels + other.labels,
            reasons=self.reasons + other.reasons,
            cells=self.cells + other.cells,
            n_eligible=self.n_eligible + other.n_eligible,
            n_answered=self.n_answered + other.n_answered,
            n_with_replies=self.n_with_replies + other.n_with_replies,
            n_with_creator=self.n_with_creator + other.n_with_creator,
            n_incomplete=self.n_incomplete + other.n_incomplete,
            n_truncated=self.n_truncated + other.n_truncated,
            creators=self.creators | other.creators,
            posts=self.posts | other.posts,
            followers=self.followers | other.followers,
            models=self.models | other.models,
            first=min(times[0], default=None),
            last=max(times[1], default=None),
        )

    def profile(self, bundle: Bundle, *, interval: float = INTERVAL) -> Profile:
        """Evaluate the sums.

        Args:
            bundle: The model that made the predictions: its manifest says what the scores
                assume and how often it erred on development threads. Predictions of another
                model are corrected all the same, and a note says so.
            interval: Probability inside the intervals.
        """
        n_scope = sum(self.cells.values())
        n_labelled = sum(self.labels.values())
        shares, raw = self._shares(n_scope, bundle.manifest, interval)
        return Profile(
            creator_id=next(iter(self.creators)) if len(self.creators) == 1 else None,
            n_threads=self.n_threads,
            n_labelled=n_labelled,
            abstentions={str(r): self.reasons[str(r)] for r in Reason if self.reasons[str(r)]},
            counts={name: self.labels[name] for name in _ORDER},
            shares=shares,
            raw_shares=raw,
            indices={"reply_rate": self._reply_rate(interval)},
            coverage=n_labelled / n_scope if n_scope else None,
            interval=interval,
            n_posts=len(self.posts),
            n_followers=len(self.followers) or None,
            n_incomplete=self.n_incomplete,
            window=(self.first, self.last),
            notes=tuple(self._notes(n_scope, bundle.model_id)),
            model_id=next(iter(self.models)) if len(self.models) == 1 else None,
        )

    def _blind(self) -> str | None:
        """Why nothing that needs the creator's replies can be measured; None when it can."""
        if self.n_threads and not self.n_with_replies:
            return NO_REPLIES
        if not self.creators and not self.n_with_creator:
            return NO_CREATOR
        return None

    def _shares(
        self, n_scope: int, manifest: Manifest, interval: float
    ) -> tuple[dict[str, Share], dict[str, Share]]:
        if n_scope < MIN_THREADS:
            reason = f"not shown: {n_scope} threads in scope, at least {MIN_THREADS} needed"
            none = {name: Share(reason=reason) for name in _ORDER}
            shares, raw = none, dict(none)
        else:
            shares = prevalence.shares(
                self.cells,
                _ORDER,
                prior=manifest.prior,
                confusion=manifest.dev_confusion,
                interval=interval,
            )
            raw = prevalence.counted(self.labels, _ORDER, interval=interval)
            if n_scope < INDICATIVE:
                caveat = f"indicative: {n_scope} threads in scope"
                shares = {
                    name: Share(
                        estimate=s.estimate, low=s.low, high=s.high, reason=s.reason or caveat
                    )
                    for name, s in shares.items()
                }
        if (why := self._blind()) is not None:
            shares[Label.RECIPROCAL.value] = raw[Label.RECIPROCAL.value] = Share(reason=why)
        return shares, raw

    def _reply_rate(self, interval: float) -> Share:
        if (why := self._blind()) is not None:
            return Share(reason=why)
        return prevalence.rate(self.n_answered, self.n_eligible, interval=interval)

    def _notes(self, n_scope: int, model_id: str) -> Iterable[str]:
        if len(self.creators) > 1:
            yield f"threads of {len(self.creators)} creators together"
        if len(self.models) > 1:
            yield f"predictions of {len(self.models)} different models together"
        elif self.models and model_id not in self.models:
            yield f"predictions of {next(iter(self.models))}, corrected as if of {model_id}"
        if self.n_incomplete:
            yield f"{self.n_incomplete} threads have fewer replies than the platform counts"
        if self.n_truncated:
            yield f"{self.n_truncated} threads were longer than the model reads"
        if self._blind() is None and n_scope and not self.n_with_creator:
            yield "the creator answers in no thread of this export"


def profile(
    threads: Sequence[Thread] | Iterable[Prediction],
    predictions: Iterable[Prediction] | None = None,
    *,
    model: Classifier | None = None,
    interval: float = INTERVAL,
) -> Profile:
    """The profile of one creator, or of everything given taken together.

    Args:
        threads: Threads, or predictions, which carry all that a profile needs.
        predictions: Of these threads; None classifies them now.
        model: Whose prior corrects the shares; None is the bundled one.
        interval: Probability inside the intervals.

    Raises:
        ThreadError: When threads and predictions do not belong together.
    """
    tally = Tally()
    for prediction in _predictions(threads, predictions, model):
        tally.add(prediction)
    return tally.profile(_bundle(model), interval=interval)


def profiles(
    threads: Sequence[Thread] | Iterable[Prediction],
    predictions: Iterable[Prediction] | None = None,
    *,
    model: Classifier | None = None,
    interval: float = INTERVAL,
) -> list[Profile]:
    """One profile a creator, in the order in which creators appear; see `profile`."""
    tallies: dict[str | None, Tally] = {}
    for prediction in _predictions(threads, predictions, model):
        tallies.setdefault(prediction.creator_id, Tally()).add(prediction)
    return [t.profile(_bundle(model), interval=interval) for t in tallies.values()]


def _predictions(
    items: Iterable[Any], predictions: Iterable[Prediction] | None, model: Classifier | None
) -> list[Prediction]:
    given = list(items)
    if predictions is None:
        if all(isinstance(item, Prediction) for item in given):
            return given
        return classify_threads(given, model=model)
    found = list(predictions)
    if len(found) != len(given):
        raise ThreadError(
            f"{len(given)} threads and {len(found)} predictions; expected one for each"
        )
    for number, (thread, prediction) in enumerate(zip(given, found, strict=True)):
        if isinstance(thread, Thread) and prediction.thread_id not in (thread.id, None):
            raise ThreadError(
                f"prediction {number} is of thread {prediction.thread_id!r}, not {thread.id!r}; "
                "pass both in the same order"
            )
    return found


def _bundle(model: Classifier | None) -> Bundle:
    return model.bundle if model is not None else open_bundle()
