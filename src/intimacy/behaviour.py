"""Behaviour tests: what a thread may say otherwise without changing its label, and what it may not.

After CheckList (Ribeiro et al. 2020, ACL): each test changes threads in one way and states what
must follow. Invariances compare the model with itself; directed tests start from what annotators
said. Abstention plays no part: the best score counts.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from intimacy.annotation import AnnotatedThread
from intimacy.classifier import Classifier
from intimacy.schema import Label, Role, Thread

Change = Callable[[str, random.Random], str]
"""A text, written otherwise."""
TOKEN_REPLIES = ("❤️", "Grazie!", "🙏🙏", "Grazie mille ❤️", "😂😂", "Un abbraccio!")


@dataclass(frozen=True, slots=True)
class Test:
    """One way to change threads, and what must follow."""

    name: str
    change: Callable[[AnnotatedThread, random.Random], Thread | None]
    """The changed thread; None where it does not apply or nothing would change."""
    expected: Label | None = None
    """Label that must follow; None where the model's own label must stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How often a test was passed."""

    n: int
    passed: int
    failed: tuple[str, ...] = ()
    """Ids of the threads that failed, for whoever reads errors."""

    @property
    def rate(self) -> float | None:
        """Share of the threads that passed; None where the test applied to none."""
        return self.passed / self.n if self.n else None


def run(
    classifier: Classifier, items: Sequence[AnnotatedThread], *, seed: int = 0
) -> dict[str, Outcome]:
    """Outcome of every test over the threads in scope that it applies to.

    Args:
        classifier: The model.
        items: Labelled threads.
        seed: Of what is swapped for what.
    """
    inside = [item for item in items if item.label is not None]
    before = _best(classifier, [item.thread for item in inside])
    out = {}
    for test in TESTS:
        rng = random.Random(seed)
        pairs = [(i, test.change(item, rng)) for i, item in enumerate(inside)]
        changed = [(i, thread) for i, thread in pairs if thread is not None]
        after = _best(classifier, [thread for _, thread in changed])
        failed = [
            inside[i].thread.id
            for (i, _), said in zip(changed, after, strict=True)
            if said != (before[i] if test.expected is None else str(test.expected))
        ]
        n = len(changed)
        out[test.name] = Outcome(n=n, passed=n - len(failed), failed=tuple(failed))
    return out


def _best(classifier: Classifier, threads: Sequence[Thread]) -> list[str]:
    found = classifier.classify_threads(threads, progress=False)
    return [str(p.best) for p in found]


# -- what must change the label


def hangs_on_answer(item: AnnotatedThread) -> bool:
    """Whether the label hangs on the creator's answer and on nothing else."""
    about_product = item.attributes.get("product_salience") or 0
    return (
        item.label is Label.RECIPROCAL
        and item.secondary in (None, Label.INTERACTIVE)
        and about_product <= 1
        and item.thread.turns[0].role is Role.FOLLOWER
    )


def _without_reply(item: AnnotatedThread, _: random.Random) -> Thread | None:
    if not hangs_on_answer(item):
        return None
    kept = tuple(turn for turn in item.thread.turns if turn.role is not Role.CREATOR)
    return replace(item.thread, turns=kept)


def _with_token_reply(item: AnnotatedThread, rng: random.Random) -> Thread | None:
    if not hangs_on_answer(item):
        return None
    turns = tuple(
        replace(turn, text=rng.choice(TOKEN_REPLIES)) if turn.role is Role.CREATOR else turn
        for turn in item.thread.turns
    )
    return replace(item.thread, turns=turns)


# -- what must not


def _everywhere(change: Change) -> Callable[[AnnotatedThread, random.Random], Thread | None]:
    """Apply a change to every turn and the caption."""

    def apply(item: AnnotatedThread, rng: random.Random) -> Thread | None:
        thread = item.thread
        turns = tuple(replace(turn, text=change(turn.text, rng)) for turn in thread.turns)
        caption = None if thread.post.text is None else change(thread.post.text, rng)
        if turns == thread.turns and caption == thread.post.text:
            return None
        return replace(thread, turns=turns, post=replace(thread.post, text=caption))

    return apply


@cache
def _words() -> Mapping[str, Any]:
    raw = (resources.files("intimacy") / "resources" / "behaviour.json").read_text("utf-8")
    words: Mapping[str, Any] = json.loads(raw)
    return words


def _other_name(text: str, rng: random.Random) -> str:
    """A first name for another one, the same for the same within a text."""
    names = _words()["names"]
    swapped = {name: rng.choice([n for n in names if n != name]) for name in names}
    return re.sub(rf"\b(?:{'|'.join(names)})\b", lambda m: swapped[m.group()], text)


_PROPER = re.compile(r"(?<=[a-zàèéìòù,] )[A-Z][a-zàèéìòù]{2,}\b")


def _other_brand(item: AnnotatedThread, rng: random.Random) -> Thread | None:
    """Proper nouns within sentences of threads about a product, for brands."""
    if (item.attributes.get("product_salience") or 0) < 2:
        return None
    names = set(_words()["names"])

    def change(text: str, rng: random.Random) -> str:
        def swap(match: re.Match[str]) -> str:
            word = match.group()
            return word if word in names else str(rng.choice(_words()["brands"]))

        return _PROPER.sub(swap, text)

    return _everywhere(change)(item, rng)


def _other_gender(text: str, _: random.Random) -> str:
    pairs = _words()["genders"]
    other = dict(pairs) | {b: a for a, b in pairs}
    pattern = rf"\b(?:{'|'.join(map(re.escape, other))})\b"

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        said: str = other[word.lower()]
        return said.capitalize() if word[0].isupper() else said

    return re.sub(pattern, swap, text, flags=re.IGNORECASE)


_TONED = re.compile("[👍👏🙏💪👋🙌👌✌✋🤞🤷🙋🤦]")


def _other_emoji(text: str, rng: random.Random) -> str:
    text = _TONED.sub(lambda m: m.group() + rng.choice("🏻🏽🏿"), re.sub("[🏻-🏿]", "", text))
    for group in _words()["emoji"]:
        text = re.sub(f"[{group}]", lambda _, group=group: rng.choice(group), text)  # type: ignore[misc]
    return text


def _without_accents(text: str, _: random.Random) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def _capitals(text: str, _: random.Random) -> str:
    return text.upper()


def _elongated(text: str, _: random.Random) -> str:
    """The last vowel of the first word of five letters or more, drawn out."""
    return re.sub(
        r"\b([^\W\d_]{4,}[aeio])\b", lambda m: m.group() + m.group()[-1] * 4, text, count=1
    )


def _other_handle(text: str, rng: random.Random) -> str:
    return re.sub(r"@[\w.]+", lambda _: f"@{rng.choice(('marta.v', 'il_gio88', 'utente'))}", text)


def _advertised(item: AnnotatedThread, _: random.Random) -> Thread | None:
    thread = item.thread
    caption = f"{thread.post.text or ''} #adv".strip()
    if not thread.post.text or "#adv" in thread.post.text:
        return None
    return replace(thread, post=replace(thread.post, text=caption))


TESTS = (
    Test("reply deleted: reciprocal becomes interactive", _without_reply, Label.INTERACTIVE),
    Test("token reply: reciprocal becomes interactive", _with_token_reply, Label.INTERACTIVE),
    Test("#adv in the caption alone", _advertised),
    Test("another brand", _other_brand),
    Test("another name", _everywhere(_other_name)),
    Test("another gender", _everywhere(_other_gender)),
    Test("another emoji of its kind", _everywhere(_other_emoji)),
    Test("no accents", _everywhere(_without_accents)),
    Test("capitals", _everywhere(_capitals)),
    Test("elongation", _everywhere(_elongated)),
    Test("another handle", _everywhere(_other_handle)),
)
