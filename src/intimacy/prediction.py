"""What the model says of a thread: scores, a label or the reason for none, and what carries it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from intimacy import cues
from intimacy.disclosure import Disclosure, disclosed
from intimacy.display import HTML, bar, marked, table
from intimacy.errors import ThreadError
from intimacy.schema import Label, Reason, Role, Thread, label_of, plain

CAPTION = -1
"""Index that stands for the caption beside those of the turns."""
_TOLD = 2
"""Depth from which telling of oneself is a disclosure (codebook, section 3)."""
_MAIN = 3
"""Salience of a product that is the main subject, and depth that nothing outranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the texts of a thread show, as numbers and, of the caption, names of brands."""

    cues: Mapping[str, int] = field(default_factory=dict)
    """Cue → turns or captions that show it, see `intimacy.cues`."""
    templates: tuple[int | None, ...] = ()
    """By turn, a number that replies of the same words share; None for followers and short ones."""
    readability: tuple[int, int, int] | None = None
    """Letters, words and sentences of the caption."""
    disclosure: Disclosure | None = None
    """How the caption says that it is advertising; None without a caption."""

    @classmethod
    def of(cls, thread: Thread) -> Signs:
        """The signs in a thread; some milliseconds of pattern matching."""
        caption = thread.post.text
        return cls(
            cues=cues.of(thread),
            templates=tuple(
                None if turn.role is Role.FOLLOWER else cues.template(turn.text)
                for turn in thread.turns
            ),
            readability=cues.readability(caption) if caption else None,
            disclosure=disclosed(caption) if caption else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What a profile needs of a thread beside its label: who spoke when. Never text."""

    roles: tuple[Role, ...] = ()
    author_ids: tuple[str | None, ...] = ()
    created_at: tuple[datetime | None, ...] = ()
    created_at_is_estimate: bool = False
    complete: bool | None = None
    has_caption: bool = False
    published_at: datetime | None = None
    signs: Signs | None = None
    """What the texts show; None where nobody asked."""

    @classmethod
    def of(cls, thread: Thread, *, signs: bool = False) -> Structure:
        """The structure of a thread, with the signs in its text if they are asked for."""
        return cls(
            roles=tuple(turn.role for turn in thread.turns),
            author_ids=tuple(turn.author_id for turn in thread.turns),
            created_at=tuple(turn.created_at for turn in thread.turns),
            created_at_is_estimate=any(turn.created_at_is_estimate for turn in thread.turns),
            complete=thread.complete,
            has_caption=bool(thread.post.text),
            published_at=thread.post.published_at,
            signs=Signs.of(thread) if signs else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A span of a turn that carries a prediction."""

    turn: int
    """Index into ``Thread.turns``; `CAPTION` is the caption."""
    start: int
    end: int
    """Character offsets into the original text of the turn."""
    weight: float
    """How much the score of the label falls without the span; of several, without this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says of one thread.

    ``scores`` is keyed by label, sums to 1 and is conditional on the thread being in scope;
    ``scope`` is the probability that it is. ``label`` is None when the model abstains, and
    ``reason`` then says why. Scores are empty where no model was run (``empty``,
    ``too_short``, ``invalid``).
    """

    thread_id: str | None
    label: str | None
    """A `Label`, or a name of the model's own label set."""
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    scope: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """The codebook's other attributes as the model reads them, by name."""
    structure: Structure = field(default_factory=Structure, repr=False)
    creator_id: str | None = None
    post_id: str | None = None
    platform: str | None = None
    evidence: tuple[Evidence, ...] = ()
    """What carries the best score, heaviest first; only where it was asked for."""
    n_dropped_turns: int = 0
    n_dropped_chars: int = 0
    """Turns left out, and characters cut from turns kept, because the thread was too long."""
    model_id: str | None = None
    error: str | None = None

    @property
    def sides(self) -> dict[str, Label | None]:
        """What each side of the thread does, read from the attributes.

        The codebook's questions asked of one side alone, first yes wins: it tells of itself, the
        subject is something bought or promoted (for followers also: one buys), it answers with
        content (the creator only); else ``interactive``. None for a side that says nothing, and
        where the thread is out of scope or no model was run. A
        follower who confides and a creator who answers with a discount code are two sides of
        one commercial thread.
        """
        found = self.attributes
        if not found or self.reason in (Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN):
            return {"follower": None, "creator": None}
        roles = set(self.structure.roles)
        product = found.get("product_salience") == _MAIN
        bought = product or found.get("purchase_signal", "none") != "none"
        told = found.get("disclosure_depth") or 0
        sides: dict[str, Label | None] = {"follower": None, "creator": None}
        if Role.FOLLOWER in roles:
            confides = (found.get("follower_disclosure") or 0) >= _TOLD
            other = Label.COMMERCIAL if bought else Label.INTERACTIVE
            sides["follower"] = Label.DISCLOSIVE if confides else other
        if told >= _MAIN or (told >= _TOLD and not product):
            sides["creator"] = Label.DISCLOSIVE
        elif Role.CREATOR in roles:
            answers = found.get("creator_response") == "contingent"
            other = Label.RECIPROCAL if answers else Label.INTERACTIVE
            sides["creator"] = Label.COMMERCIAL if product else other
        return sides

    @property
    def best(self) -> str | None:
        """Label of the highest score, also where the model abstains; None where none was run."""
        return label_of(max(self.scores, key=self.scores.__getitem__)) if self.scores else None

    @property
    def abstained(self) -> bool:
        """Whether there is no label."""
        return self.label is None

    @property
    def truncated(self) -> bool:
        """Whether the model saw less than the whole thread."""
        return self.n_dropped_turns > 0 or self.n_dropped_chars > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the same record that `intimacy classify` writes."""
        return plain(self)  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{score:.2f}", bar(score))
            for name, score in sorted(self.scores.items(), key=lambda item: -item[1])
        ]
        said = str(self.label) if self.label else f"abstained: {self.reason}"
        return table(f"Thread {self.thread_id} · {said}", ("label", "score", ""), rows)

    def show(self, thread: Thread) -> HTML:
        """The thread with its evidence marked, for a notebook. Comments are personal data.

        Raises:
            ThreadError: When this is the prediction of another thread.
        """
        if thread.id != self.thread_id:
            raise ThreadError(
                f"the prediction is of thread {self.thread_id!r}, {thread.id!r} was given, "
                "which is another thread; expected its own"
            )
        spans: dict[int, list[tuple[int, int]]] = {}
        for item in self.evidence:
            spans.setdefault(item.turn, []).append((item.start, item.end))
        rows = [
            (turn.role, marked(turn.text, spans.get(number, ())))
            for number, turn in enumerate(thread.turns)
        ]
        if thread.post.text:
            rows.insert(0, ("caption", marked(thread.post.text, spans.get(CAPTION, ()))))  # type: ignore[arg-type]
        said = str(self.label) if self.label else f"abstained: {self.reason}"
        return HTML(table(f"Thread {thread.id} · {said}", ("role", "text"), rows))
