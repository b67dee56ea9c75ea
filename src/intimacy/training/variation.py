"""Threads as they might also have been: typed and posted otherwise, or left without an answer.

Drawn afresh every epoch, so that the model cannot lean on what happens to go together in the
corpus. What is said otherwise keeps its label. A thread that is reciprocal for nothing but the
creator's answer becomes interactive without it, or with a token in its place (codebook, section
3): counterfactual examples after Kaushik et al. (2020), *Learning the Difference that Makes a
Difference with Counterfactually-Augmented Data*.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources

from intimacy.annotation import AnnotatedThread
from intimacy.behaviour import TOKEN_REPLIES, hangs_on_answer
from intimacy.evaluation import names_product
from intimacy.schema import Label, Role, Thread
from intimacy.shelf import spread
from intimacy.training.config import TrainConfig
from intimacy.training.corpora import informal

_OF_FOLLOWERS = ("follower_disclosure", "product_salience", "parasocial", "purchase_signal")
"""Attributes that stay as they are when the creator's turns change."""


class Variation:
    """Variations of the training threads, with what they share: captions, tokens, boilerplate."""

    def __init__(self, items: Sequence[AnnotatedThread], config: TrainConfig) -> None:
        self._config = config
        self._labels = sorted({name for i in items for name in i.target})
        # What captions and answers mean is known of the codebook's labels alone.
        self._codebook = set(self._labels) <= set(map(str, Label))
        self._items = items
        items = spread(items)  # Captions and tokens of so many are varied enough.
        self._captions = sorted({i.thread.post.text for i in items if i.thread.post.text})
        # A token of a commercial thread may be an offer; those of the behaviour tests stay unseen.
        tokens = {
            turn.text
            for i in items
            if i.label is Label.INTERACTIVE and i.attributes.get("creator_response") == "token"
            for turn in i.thread.turns
            if turn.role is Role.CREATOR and turn.text.strip()
        }
        self._tokens = sorted(tokens - set(TOKEN_REPLIES))
        lines = (resources.files("intimacy.training") / "descriptions.txt").read_text("utf-8")
        self._boilerplate = lines.splitlines()

    def of(self, item: AnnotatedThread, rng: random.Random) -> AnnotatedThread:
        """One variation, drawn afresh."""
        if hangs_on_answer(item) and rng.random() < self._config.unanswered:
            item = self._unanswered(item, rng)
        return replace(item, thread=self._otherwise(item, rng))

    def label_shares(self) -> dict[str, float]:
        """Shares of the labels among the variations, which is what a model learns to expect."""
        totals = dict.fromkeys(map(str, Label) if self._codebook else self._labels, 0.0)
        for item in self._items:
            lost = self._config.unanswered if hangs_on_answer(item) else 0.0
            for name, share in item.target.items():
                totals[name] += (1 - lost) * share
            if lost:
                totals[str(Label.INTERACTIVE)] += lost
        whole = sum(totals.values())
        return {name: value / whole for name, value in totals.items()}

    def _unanswered(self, item: AnnotatedThread, rng: random.Random) -> AnnotatedThread:
        turns, response = item.thread.turns, "none"
        if self._tokens and rng.random() < 0.5:
            response = "token"
            turns = tuple(
                replace(turn, text=rng.choice(self._tokens)) if turn.role is Role.CREATOR else turn
                for turn in turns
            )
        else:
            turns = tuple(turn for turn in turns if turn.role is not Role.CREATOR)
        kept = {k: item.attributes[k] for k in _OF_FOLLOWERS if k in item.attributes}
        return replace(
            item,
            thread=replace(item.thread, turns=turns),
            label=Label.INTERACTIVE,
            secondary=None,
            target={str(Label.INTERACTIVE): 1.0},
            attributes=kept | {"creator_response": response},
            votes=(),
        )

    def _otherwise(self, item: AnnotatedThread, rng: random.Random) -> Thread:
        thread, informally = item.thread, self._config.informal
        turns = tuple(
            replace(turn, text=informal(turn.text, rng)) if rng.random() < informally else turn
            for turn in thread.turns
        )
        caption = self._caption(item, thread.post.text, rng)
        return replace(thread, turns=turns, post=replace(thread.post, text=caption))

    def _caption(
        self, item: AnnotatedThread, caption: str | None, rng: random.Random
    ) -> str | None:
        config = self._config
        if self._codebook and not _needs_caption(item):
            draw = rng.random()
            if draw < config.drop_caption:
                return None
            if draw < config.drop_caption + config.swap_caption and self._captions:
                caption = rng.choice(self._captions)
        if caption and rng.random() < config.boilerplate:
            extra = rng.sample(self._boilerplate, rng.randint(1, 5))
            caption = "\n".join([caption, *extra])
        return caption


_TELLING = 12
"""Words of the creator from which the answer may be what tells."""


def _needs_caption(item: AnnotatedThread) -> bool:
    """Whether the label may hang on the caption: on what it tells, or on the product it shows."""
    turns = item.thread.turns
    if Label.DISCLOSIVE in (item.label, item.secondary):
        said = " ".join(turn.text for turn in turns if turn.role is Role.CREATOR)
        return len(said.split()) < _TELLING
    if Label.COMMERCIAL in (item.label, item.secondary):
        return not any(names_product(turn.text) for turn in turns)
    return False
