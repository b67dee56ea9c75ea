"""One annotator's answer about a thread: the codebook's section 5, checked and settled.

A record of a corpus holds the settled answer at its top and every single one under ``votes``.
Both have the same fields, so both are checked here, and how votes become a label, attributes
and a soft target is decided here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intimacy.errors import CorpusError, RecordError
from intimacy.schema import Label

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

    def refuse(field: str, expected: str) -> None:
        message = f"{inside + field!r} has {answer[field]!r}; expected {expected}"
        raise RecordError(message, path=path, line=line)

    for field in ("label", "secondary"):
        if answer.get(field) is not None and answer[field] not in tuple(Label):
            refuse(field, f"one of: {', '.join(Label)}, or null")
    for field, values in VALUES.items():
        value = answer.get(field)
        # True equals 1 in Python; in a record they are different answers.
        known = any(value == v and type(value) is type(v) for v in values)
        if value is not None and not known:
            refuse(field, f"one of: {', '.join(map(str, values))}, or null")
    flags = answer.get("flags")
    if flags is not None and not (isinstance(flags, (list, tuple)) and set(flags) <= set(FLAGS)):
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


def distribution(answer: Mapping[str, Any]) -> dict[str, float]:
    """One answer over the labels: 1.0, or 0.7 and 0.3 with a secondary; empty without a label."""
    label, secondary = answer.get("label"), answer.get("secondary")
    if label is None:
        return {}
    if secondary is None:
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
    for field in VALUES:
        given = [vote[field] for vote in same if vote.get(field) is not None]
        settled[field] = _middle(field, given) if given else None
    return settled | {"flags": list(same[-1].get("flags") or ()), "target": target}


def _outcome(vote: Mapping[str, Any]) -> tuple[Any, ...]:
    return (vote.get("label"), *sorted(vote.get("flags") or ()))


def _middle(field: str, given: Sequence[Any]) -> Any:
    if field in ORDINAL:
        steps = sorted(given, key=VALUES[field].index)
        middle = {steps[(len(steps) - 1) // 2], steps[len(steps) // 2]}
        return next(value for value in reversed(given) if value in middle)
    counts = Counter(given)
    most = max(counts.values())
    return next(value for value in reversed(given) if counts[value] == most)
