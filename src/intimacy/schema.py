"""The records of the library: frozen, typed, and silent about text in their ``repr``.

Every module hands these over and nothing else. Unknown is ``None``, never ``0`` or ``""``;
shares and scores are fractions; times are aware. The form on disk is in `intimacy.store`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from intimacy.display import HTML, bar, table, when


class _Word(str, Enum):
    """An enumeration whose members are, print and compare as their words."""

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


class Label(_Word):
    """The four kinds of communicative intimacy, in the order of every score vector."""

    COMMERCIAL = "commercial"
    INTERACTIVE = "interactive"
    RECIPROCAL = "reciprocal"
    DISCLOSIVE = "disclosive"

    @property
    def italian(self) -> str:
        """Display name in Italian."""
        return _ITALIAN[self]


_ITALIAN = {
    Label.COMMERCIAL: "intimità commerciale",
    Label.INTERACTIVE: "intimità interattiva",
    Label.RECIPROCAL: "intimità reciproca",
    Label.DISCLOSIVE: "intimità rivelativa",
}


def label_of(name: str) -> str:
    """The codebook's `Label` of that name; a name of another label set as it is."""
    return Label(name) if name in _VALUES else name


_VALUES = frozenset(label.value for label in Label)


class Role(_Word):
    """Who speaks in a turn."""

    CREATOR = "creator"
    FOLLOWER = "follower"
    STAFF = "staff"


class Reason(_Word):
    """Why a prediction has no label."""

    LOW_CONFIDENCE = "low_confidence"
    """The best score is below the threshold of the model."""
    OUT_OF_SCOPE = "out_of_scope"
    """Spam, followers among themselves, or text nobody can make out."""
    NOT_ITALIAN = "not_italian"
    TOO_SHORT = "too_short"
    """No letter, digit or emoji is left."""
    EMPTY = "empty"
    """No turn has any text."""
    INVALID = "invalid"
    """The object given is not a thread; ``error`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What the comments stand under."""

    id: str | None = None
    creator_id: str | None = None
    """Account id or handle of the creator; None when nobody was identified."""
    platform: str | None = None
    text: str | None = field(default=None, repr=False)
    """Caption, title, description; None when the export has none."""
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """One row of an export, before threads are built. Holds foreign identities: short-lived."""

    id: str
    post: Post
    parent_id: str | None = None
    """Id of the comment answered; None for a top-level comment."""
    author_id: str | None = field(default=None, repr=False)
    author_name: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    created_at: datetime | None = None
    created_at_is_estimate: bool = False
    likes: int | None = None
    creator_liked: bool | None = None
    pinned: bool = False
    is_creator: bool | None = None
    """What the export itself says; None when it says nothing."""
    declared_replies: int | None = None
    """Replies the platform counts, which may be more than were fetched."""
    line: int | None = None
    """Row or line of the file, from 1, where the format has such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One comment or reply of a thread."""

    role: Role
    text: str = field(repr=False)
    """As exported, handles and contact details masked at import."""
    id: str | None = None
    author_id: str | None = None
    """Pseudonym of a follower; the creator's own id."""
    created_at: datetime | None = None
    created_at_is_estimate: bool = False
    parent_id: str | None = None
    likes: int | None = None
    creator_liked: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One comment under a post with every reply to it, oldest first; ``turns[0]`` is the root."""

    id: str
    turns: tuple[Turn, ...]
    post: Post = field(default_factory=Post)
    complete: bool | None = None
    """Whether all replies that the platform counts are here; None when it does not say."""

    @property
    def n_turns(self) -> int:
        """Number of turns."""
        return len(self.turns)

    @property
    def has_creator_turn(self) -> bool:
        """Whether the creator speaks in the thread."""
        return any(turn.role is Role.CREATOR for turn in self.turns)

    def _repr_html_(self) -> str:
        rows = [
            (turn.role, f"{len(turn.text)} characters", when(turn.created_at))
            for turn in self.turns
        ]
        head = f"Thread {self.id} · {self.n_turns} turns · text hidden, see show()"
        return table(head, ("role", "text", "time"), rows)

    def show(self) -> HTML:
        """The thread with its text, for a notebook. Comments are personal data."""
        rows = [(turn.role, turn.text, when(turn.created_at)) for turn in self.turns]
        if self.post.text:
            rows.insert(0, ("caption", self.post.text, when(self.post.published_at)))  # type: ignore[arg-type]
        return HTML(table(f"Thread {self.id}", ("role", "text", "time"), rows))


N_QUANTILES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A fraction with its interval, or the reason why it cannot be given."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    """Why there is no estimate, or a caveat beside one."""
    n: int | None = None
    """Cases that it rests on."""
    quantiles: tuple[float, ...] = field(default=(), repr=False)
    """What the data leave possible, as equally likely values in rising order: two of them make a
    difference (`intimacy.compare`)."""

    @property
    def measurable(self) -> bool:
        """Whether there is an estimate."""
        return self.estimate is not None

    @staticmethod
    def grid(draws: Iterable[float]) -> tuple[float, ...]:
        """Draws as `quantiles`: the middles of equal parts of them."""
        ordered = sorted(draws)
        return tuple(
            round(float(ordered[int((i + 0.5) / N_QUANTILES * len(ordered))]), 5)
            for i in range(N_QUANTILES)
        )

    def __str__(self) -> str:
        if self.estimate is None:
            return self.reason or "not measurable"
        if self.low is None or self.high is None:
            return f"{self.estimate:.2f}"
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Share):
    """An index of a profile: a figure with its unit, its source and what to mind about it."""

    name: str
    concept: str
    """What it speaks to, e.g. ``responsiveness``."""
    source: str
    """``metadata``, ``lexicon`` or ``model``."""
    caveat: str
    unit: str = "share"
    experimental: bool = False
    """Nothing that ships with the library validates it."""

    def __str__(self) -> str:
        # By name: a dataclass with slots is another class than the one super() would look for.
        said = Share.__str__(self)
        return f"{said} {self.unit}" if self.measurable and self.unit != "share" else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The mix of a stretch of time."""

    start: datetime
    n_threads: int
    """Labelled threads in it."""
    shares: Mapping[str, Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one creator and their community relate, from classified threads. An estimate."""

    creator_id: str | None
    n_threads: int
    n_labelled: int
    abstentions: Mapping[str, int]
    """Threads without a label, by reason."""
    counts: Mapping[str, int]
    """Threads by label, as counted."""
    shares: Mapping[str, Share]
    """Shares of the four among threads in scope, corrected for classifier error."""
    raw_shares: Mapping[str, Share]
    """Shares of the four among labelled threads, as counted."""
    other_estimates: Mapping[str, Mapping[str, float]]
    """Method → shares by other methods (`intimacy.prevalence.point_estimates`), to compare."""
    indices: Mapping[str, Measure]
    """Other measures by name, e.g. ``reply_rate``; docs/measures.md."""
    coverage: float | None
    """Labelled threads among those in scope."""
    interval: float
    """Probability that the intervals are meant to cover, e.g. 0.90."""
    n_posts: int = 0
    n_followers: int | None = None
    n_incomplete: int = 0
    n_minors: int = 0
    """Threads that state an age under 18: left out of everything else here."""
    frame: str = "unknown"
    """Which comments were fetched: ``all``, ``newest``, ``top`` or ``unknown``."""
    n_effective: float | None = None
    """Threads in scope that would say as much if none hung together with another."""
    window: tuple[datetime | None, datetime | None] = (None, None)
    mix_over_time: tuple[Period, ...] = ()
    changes: tuple[datetime, ...] = ()
    """When the mix changed, to the month."""
    reply_curve: tuple[tuple[float, float], ...] = ()
    """Hours after a comment, and the share of threads answered by then."""
    notes: tuple[str, ...] = ()
    model_id: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the library, the codebook and the word lists."""

    @property
    def n_abstained(self) -> int:
        """Threads without a label."""
        return sum(self.abstentions.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return plain(self)  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """Indented JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def rows(self) -> list[dict[str, Any]]:
        """One row a measure, for CSV and data frames."""
        groups = (("share", self.shares), ("raw_share", self.raw_shares), ("index", self.indices))
        return [
            {
                "creator_id": self.creator_id,
                "kind": kind,
                "name": str(name),
                "estimate": share.estimate,
                "low": share.low,
                "high": share.high,
                "unit": getattr(share, "unit", "share"),
                "n": share.n,
                "n_threads": self.n_threads,
                "source": getattr(share, "source", "model"),
                "experimental": getattr(share, "experimental", False),
                "reason": share.reason,
                "caveat": getattr(share, "caveat", None),
            }
            for kind, group in groups
            for name, share in group.items()
        ]

    def _repr_html_(self) -> str:
        rows = [
            (name, str(share), bar(share.estimate or 0.0))
            for name, share in [*self.shares.items(), *self.indices.items()]
        ]
        head = (
            f"{self.creator_id or 'creator unknown'} · {self.n_threads} threads · "
            f"{self.n_abstained} abstained · {self.interval:.0%} intervals · "
            "stima, non misura certa"
        )
        return table(head, ("measure", "estimate", ""), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an importer found, and what it could not."""

    format: str
    n_rows: int
    n_threads: int
    n_orphans: int = 0
    """Replies whose parent is missing; kept, attached to the nearest known ancestor."""
    n_cycles: int = 0
    n_duplicates: int = 0
    n_skipped: int = 0
    """Rows that could not be read at all."""
    n_incomplete: int = 0
    """Threads with fewer replies than the platform counts."""
    n_threads_with_creator: int = 0
    role_source: Mapping[str, int] = field(default_factory=dict)
    """How creators were recognised: rule → rows it decided."""
    mergeable: bool = False
    """Whether pseudonyms were made with a project key, so that imports can be joined."""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        sources = ", ".join(f"{rule} ({n})" for rule, n in self.role_source.items()) or "nobody"
        lines = [
            f"{self.format}: {self.n_rows} rows → {self.n_threads} threads, "
            f"{self.n_orphans} orphans, {self.n_cycles} cycles, {self.n_duplicates} duplicates, "
            f"{self.n_skipped} skipped, {self.n_incomplete} incomplete; "
            f"{self.n_threads_with_creator} threads with the creator, recognised via {sources}"
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def plain(value: Any) -> Any:
    """JSON values of a record: enumerations as words, times as ISO 8601."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    return value
