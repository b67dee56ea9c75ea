"""Answers about threads, the codebook's section 5: checked, settled, and kept with the thread.

A record of a corpus holds the settled answer at its top and every single one under ``votes``.
Both have the same fields, so both are checked here, and how votes become a label, attributes
and a soft target is decided here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intimacy import store
from intimacy.errors import CorpusError, RecordError, ThreadError, shown
from intimacy.schema import Label, Role, Thread, plain

FLAGS = ("out_of_scope", "not_italian")
"""Why a thread has no label."""

VALUES: Mapping[str, tuple[Any, ...]] = {
    "disclosure_depth": (0, 1, 2, 3),
    "follower_disclosure": (0, 1, 2, 3),
    "product_salience": (0, 1, 2, 3),
    "creator_response": ("none", "token", "contingent"),
    "stance": ("supportive", "neutral", "critical", "hostile"),
    "cocreation": (False, True),
    "parasocial": (False, True),
    "informs": (False, True),
    "purchase_signal": ("none", "intent", "report", "regret"),
}
"""The codebook's attributes and the values each can take, in the order of its section 5."""

ORDINAL = ("disclosure_depth", "follower_disclosure", "product_salience", "creator_response")
"""Attributes whose values are steps of one scale."""

OF_CREATOR = ("creator_response", "informs")
"""Attributes of the creator's turns alone: without one there is nothing to tell."""

ATTRIBUTES = (*VALUES, "flags")
"""Names of all attributes, the flags among them."""

SECONDARY_WEIGHT = 0.3
"""What an annotator who named a second label that could be defended gives it."""


def check(
    answer: Mapping[str, Any],
    *,
    inside: str = "",
    path: Path | str | None = None,
    line: int | None = None,
) -> None:
    """See that every label, attribute and flag present has a value of the codebook.

    Args:
        answer: A record, or one of its votes. Fields may be missing or null.
        inside: Where it stands in the record, e.g. ``votes[1].``, for the message.
        path: File, for the message.
        line: Line, for the message.

    Raises:
        RecordError: At the first value that does not exist, with file, line and field.
    """

    def refuse(name: str, expected: str) -> None:
        message = f"{inside + name!r} has {shown(answer[name])}; expected {expected}"
        raise RecordError(message, path=path, line=line)

    for name in ("label", "secondary"):
        if answer.get(name) is not None and answer[name] not in tuple(Label):
            refuse(name, f"one of: {', '.join(Label)}, or null")
    for name, values in VALUES.items():
        value = answer.get(name)
        # True equals 1 in Python; in a record they are different answers.
        known = any(value == v and type(value) is type(v) for v in values)
        if value is not None and not known:
            refuse(name, f"one of: {', '.join(map(str, values))}, or null")
    flags = answer.get("flags")
    listed = isinstance(flags, (list, tuple)) and all(flag in FLAGS for flag in flags)
    if flags is not None and not listed:
        refuse("flags", f"a list of some of: {', '.join(FLAGS)}")
    if flags and answer.get("label") is not None:
        refuse("flags", "none beside a label: a flagged thread has label null")


def contradictions(answer: Mapping[str, Any], roles: Sequence[str], *, caption: bool) -> list[str]:
    """What in an answer cannot be under the codebook's decision procedure.

    Args:
        answer: A record or vote that passed `check`.
        roles: Role of every turn of its thread.
        caption: Whether the thread has a caption.

    Returns: One sentence a contradiction; fields that are missing contradict nothing.
    """
    label = answer.get("label")
    depth, salience = answer.get("disclosure_depth"), answer.get("product_salience")
    response, creator = answer.get("creator_response"), "creator" in roles
    out = []

    def because(wrong: bool, why: str) -> None:
        if wrong:
            out.append(why)

    because(
        label is None and not answer.get("flags") and "label" in answer, "neither label nor flag"
    )
    because(answer.get("secondary") == label is not None, "secondary repeats the label")
    because(label is None and answer.get("secondary") is not None, "secondary without a label")
    if response is not None:
        because(creator == (response == "none"), "creator_response against the turns")
        because(label == "reciprocal" and response != "contingent", "reciprocal without an answer")
        because(label == "interactive" and response == "contingent", "interactive with an answer")
    if depth is not None:
        because(label == "disclosive" and depth < 2, "disclosive with depth under 2")
        because(label in ("interactive", "reciprocal") and depth > 1, f"{label} with depth over 1")
        because(label == "commercial" and depth == 3, "commercial with depth 3")
        because(depth > 0 and not creator and not caption, "depth without turn or caption")
    if salience is not None:
        because(label == "commercial" and salience != 3, "commercial with salience under 3")
        because(label in ("interactive", "reciprocal") and salience == 3, f"{label} at salience 3")
    return out


def possible(thread: Thread, among: Sequence[str] = tuple(map(str, Label))) -> frozenset[str]:
    """Labels that the codebook allows for the structure of a thread.

    Args:
        thread: The thread.
        among: The label set. One that is not of the codebook's four has no such rules.
    """
    if not set(among) <= set(map(str, Label)):
        return frozenset(among)
    labels = {Label.COMMERCIAL, Label.INTERACTIVE}
    roles = [turn.role for turn in thread.turns if turn.text.strip()]
    if Role.CREATOR in roles or (thread.post.text or "").strip():
        labels.add(Label.DISCLOSIVE)
    # An answer takes up what a follower said before it.
    if Role.FOLLOWER in roles and Role.CREATOR in roles[roles.index(Role.FOLLOWER) :]:
        labels.add(Label.RECIPROCAL)
    return frozenset(map(str, labels)) & frozenset(among)


def distribution(answer: Mapping[str, Any]) -> dict[str, float]:
    """One answer over the labels: 1.0, or 0.7 and 0.3 with a secondary; empty without a label."""
    label, secondary = answer.get("label"), answer.get("secondary")
    if label is None:
        return {}
    if secondary in (None, label):
        return {str(label): 1.0}
    return {str(label): 1 - SECONDARY_WEIGHT, str(secondary): SECONDARY_WEIGHT}


def soft_target(votes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean distribution over the labels of the votes that gave one; sums to 1, or is empty."""
    given = [d for d in map(distribution, votes) if d]
    return {
        str(name): round(sum(d.get(name, 0.0) for d in given) / len(given), 4)
        for name in Label
        if any(name in d for d in given)
    }


def settle(votes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The answer that stands, out of the votes of independent annotators.

    Where the first two agree on label and flags, theirs; else the last one's, also when it
    agrees with neither (codebook, section 7). Attributes are the most frequent (nominal) or
    the median (ordinal) of the votes for the label that stands, so that they cannot contradict
    it; where two are as good, the later vote's. The target keeps every vote.

    Args:
        votes: In the order in which they were given; a third only decides.

    Returns: ``label, secondary``, the attributes, ``flags`` and ``target``.

    Raises:
        CorpusError: When there is no vote, or two differ and no third was given.
    """
    if not votes:
        raise CorpusError("no votes; expected at least one annotator's answer")
    agreed = len({_outcome(vote) for vote in votes[:2]}) == 1
    if not agreed and len(votes) == 2:
        raise CorpusError("two votes differ in label or flags; a third annotator must decide")
    stands = _outcome(votes[0] if agreed else votes[-1])
    same = [vote for vote in votes if _outcome(vote) == stands]
    label = same[-1].get("label")
    target = soft_target(votes) if label is not None else {}
    others = {name: weight for name, weight in target.items() if name != label}
    settled: dict[str, Any] = {
        "label": label,
        "secondary": max(others, key=others.__getitem__) if others else None,
    }
    for name in VALUES:
        given = [vote[name] for vote in same if vote.get(name) is not None]
        settled[name] = _middle(name, given) if given else None
    return settled | {"flags": list(same[-1].get("flags") or ()), "target": target}


def _outcome(vote: Mapping[str, Any]) -> tuple[Any, ...]:
    return (vote.get("label"), *sorted(vote.get("flags") or ()))


def _middle(name: str, given: Sequence[Any]) -> Any:
    if name in ORDINAL:
        steps = sorted(given, key=VALUES[name].index)
        middle = {steps[(len(steps) - 1) // 2], steps[len(steps) // 2]}
        return next(value for value in reversed(given) if value in middle)
    counts = Counter(given)
    most = max(counts.values())
    return next(value for value in reversed(given) if counts[value] == most)


# -- records

SPLITS = ("train", "dev", "test", "challenge")
"""``challenge`` holds the codebook's boundary cases; it is only ever stated, never drawn."""
_ROUNDING = 0.01
_NAMES = ("platform", "creator_id", "post_id", "persona", "pair_id", "source", "chosen_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedThread:
    """A thread with labels: one record of a corpus."""

    thread: Thread
    label: str | None
    """A `Label` (in memory, also a name of another label set); None for threads out of scope or not
    Italian."""
    secondary: Label | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """The codebook's attributes by name, ``flags`` among them."""
    votes: tuple[Mapping[str, Any], ...] = ()
    """Every annotator's own answer; ``adjudicates`` marks one asked only where others differed."""
    target: Mapping[str, float] = field(default_factory=dict)
    """Distribution of the votes over labels, what a model is trained on."""
    persona: str | None = None
    split: str | None = None
    pair_id: str | None = None
    """Shared by contrast twins: threads that differ in one thing."""
    case: int | None = None
    """Boundary case of the codebook's section 4 that the thread was written for."""
    source: str | None = None
    """Data set that the text was joined from; None where the corpus itself holds the text."""
    chosen_by: str | None = None
    """How the thread was chosen for labelling, e.g. a strategy of `intimacy.label_next`."""
    draw_probability: float | None = None
    """That the draw took this thread; None where chance did not decide, or nobody knows."""

    @property
    def cluster(self) -> str:
        """What the thread hangs together with, for intervals: its creator, else its post."""
        post = self.thread.post
        return str(self.persona or post.creator_id or post.text or self.thread.id)

    @property
    def flags(self) -> tuple[str, ...]:
        """``out_of_scope``, ``not_italian`` or nothing."""
        return tuple(self.attributes.get("flags") or ())


def annotated_from_dict(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> AnnotatedThread:
    """A labelled thread out of the codebook's record.

    Raises:
        RecordError: When the record is malformed or a value does not exist; names file, line
            and field.
    """
    thread = store.thread_from_dict(record, path=path, line=line)

    def refuse(message: str) -> None:
        raise RecordError(message, path=path, line=line)

    check(record, path=path, line=line)
    if record.get("label") is None and not record.get("flags"):
        refuse(
            "'label' is null and 'flags' names no reason; expected a label, or flags of "
            f"{' or '.join(FLAGS)}"
        )
    if record.get("id") in (None, ""):
        refuse("no 'id'; expected a string of its own for every record")
    for name in ("id", *_NAMES):
        value = record.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
            refuse(f"{name!r} is {type(value).__name__}; expected a string")
    if not thread.turns:
        refuse("'turns' is empty; a label needs a thread")
    votes = () if record.get("votes") is None else record["votes"]
    if not isinstance(votes, (list, tuple)):
        refuse(f"'votes' is {type(votes).__name__}; expected a list of answers")
    for number, vote in enumerate(votes):
        if not isinstance(vote, Mapping):
            refuse(f"'votes[{number}]' is {type(vote).__name__}; expected an object")
        if "label" not in vote and not any(name in vote for name in ATTRIBUTES):
            refuse(f"'votes[{number}]' has neither 'label' nor an attribute of the codebook")
        if not isinstance(vote.get("annotator"), (str, int, type(None))):
            refuse(f"'votes[{number}].annotator' is {shown(vote['annotator'])}; expected a string")
        if not isinstance(vote.get("adjudicates", False), bool):
            refuse(
                f"'votes[{number}].adjudicates' is {shown(vote['adjudicates'])}; expected a bool"
            )
        check(vote, inside=f"votes[{number}].", path=path, line=line)
    if record.get("split") not in (None, *SPLITS):
        refuse(f"'split' has {shown(record['split'])}; expected one of: {', '.join(SPLITS)}")
    case = record.get("case")
    if case is not None and (isinstance(case, bool) or not isinstance(case, int) or case < 1):
        refuse(f"'case' has {shown(case)}; expected the number of a boundary case")
    drawn = record.get("draw_probability")
    if drawn is not None and not is_probability(drawn):
        refuse(f"'draw_probability' is {shown(drawn)}; expected a number above 0 and at most 1")
    label, secondary = record.get("label"), record.get("secondary")
    return AnnotatedThread(
        thread=thread,
        label=None if label is None else Label(label),
        secondary=None if secondary is None else Label(secondary),
        attributes={k: record[k] for k in ATTRIBUTES if k in record},
        votes=tuple(votes),
        target=_target(record, refuse),
        persona=store.word_or_none(record.get("persona")),
        split=store.word_or_none(record.get("split")),
        pair_id=store.word_or_none(record.get("pair_id")),
        case=case,
        source=store.word_or_none(record.get("source")),
        chosen_by=store.word_or_none(record.get("chosen_by")),
        draw_probability=None if drawn is None else float(drawn),
    )


def is_probability(value: Any) -> bool:
    """Whether a value can be the probability with which something was drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _target(record: Mapping[str, Any], refuse: Callable[[str], None]) -> dict[str, float]:
    """The soft target that a record states, or the one its votes or labels give."""
    if record.get("label") is None:
        return {}
    stated = record.get("target")
    if stated is None or stated == {}:
        votes = record.get("votes") or ()
        return soft_target([v for v in votes if "label" in v] or [record])
    if not isinstance(stated, Mapping):
        refuse(f"'target' is {shown(stated)}; expected an object, or null")
    if unknown := [name for name in stated if name not in tuple(Label)]:
        refuse(f"'target' names {shown(unknown[0])}; expected shares of: {', '.join(Label)}")
    for name, share in stated.items():
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not number or not 0 <= share <= 1:
            refuse(f"'target.{name}' is {shown(share)}; expected a share in [0, 1]")
    if abs(sum(stated.values()) - 1) > _ROUNDING:
        refuse(f"'target' sums to {sum(stated.values()):.3f}; expected 1")
    return {str(name): float(share) for name, share in stated.items() if share}


def check_annotated(item: Any) -> AnnotatedThread:
    """The same labelled thread.

    Raises:
        ThreadError: When it is something else.
    """
    if not isinstance(item, AnnotatedThread):
        raise ThreadError(
            f"{type(item).__name__} received; expected a labelled thread, as load_corpus gives them"
        )
    return item


def annotated_to_dict(item: AnnotatedThread) -> dict[str, Any]:
    """The codebook's record of a labelled thread.

    Raises:
        ThreadError: When it is something else.
    """
    record = store.thread_to_dict(check_annotated(item).thread)
    record |= {"label": plain(item.label), "secondary": plain(item.secondary)}
    record |= {k: item.attributes[k] for k in ATTRIBUTES if k in item.attributes}
    extra = {
        "target": plain(item.target),
        "votes": plain(item.votes),
        "persona": item.persona,
        "split": item.split,
        "pair_id": item.pair_id,
        "case": item.case,
        "source": item.source,
        "chosen_by": item.chosen_by,
        "draw_probability": item.draw_probability,
    }
    return record | {k: v for k, v in extra.items() if v}
