"""What everything simpler makes of the same threads: learnt from ``train``, asked about the others.

Every baseline is bound by the facts that bind the model (`intimacy.annotation.possible`).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from intimacy.annotation import AnnotatedThread, possible
from intimacy.backends import Batch, batches
from intimacy.errors import require
from intimacy.render import SEGMENTS, RenderConfig, Renderer
from intimacy.training.model import POOLED, open_encoder, open_tokenizer
from intimacy.training.progress import Progress

Predictor = Callable[[Sequence[AnnotatedThread]], list[str]]
"""Labels for threads."""


def tfidf_logistic_regression(train: Sequence[AnnotatedThread]) -> Predictor:
    """Words and characters of the turns, tagged by role, under a logistic regression.

    Raises:
        MissingExtraError: When scikit-learn is not installed.
    """
    text = require("sklearn.feature_extraction.text", extra="train")
    linear = require("sklearn.linear_model", extra="train")
    pipeline = require("sklearn.pipeline", extra="train")
    features = pipeline.make_union(
        text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = pipeline.make_pipeline(features, linear.LogisticRegression(max_iter=2_000, C=10.0))
    model.fit([_flat(i) for i in train], [str(i.label) for i in train])

    def predict(items: Sequence[AnnotatedThread]) -> list[str]:
        return _decided(model.predict_proba([_flat(i) for i in items]), model.classes_, items)

    return predict


def frozen_encoder(
    train: Sequence[AnnotatedThread], *, encoder: str, render: RenderConfig
) -> Predictor:
    """A logistic regression on the states of an encoder that is left as it is.

    The views are those of the model (whole thread, caption, each side), the strength is chosen
    by cross-validation over creators.

    Args:
        train: Labelled threads in scope.
        encoder: transformers folder or hub name, or a model folder.
        render: Budget of the threads.
    """
    linear = require("sklearn.linear_model", extra="train")
    pipeline = require("sklearn.pipeline", extra="train")
    scaling = require("sklearn.preprocessing", extra="train")
    selection = require("sklearn.model_selection", extra="train")
    tokenizer = open_tokenizer(encoder)
    network = open_encoder(encoder, tokenizer).eval()
    renderer = Renderer(tokenizer, render)
    classifier = pipeline.make_pipeline(
        scaling.StandardScaler(), linear.LogisticRegression(max_iter=1_000)
    )
    groups = [item.cluster for item in train]
    folds = min(3, len(set(groups)))
    if folds > 1:
        strengths = {"logisticregression__C": [1e-4, 1e-3, 1e-2]}
        cv = selection.GroupKFold(folds)
        search = selection.GridSearchCV(classifier, strengths, scoring="f1_macro", cv=cv)
    else:  # one creator: nothing to choose by
        cv = selection.KFold(2)
        search = selection.GridSearchCV(classifier, {"logisticregression__C": [1e-3]}, cv=cv)
    search.fit(_views(network, renderer, train), [str(i.label) for i in train], groups=groups)

    def predict(items: Sequence[AnnotatedThread]) -> list[str]:
        found = search.predict_proba(_views(network, renderer, items))
        return _decided(found, search.classes_, items)

    return predict


@torch.inference_mode()
def _views(
    network: Any, renderer: Renderer, items: Sequence[AnnotatedThread]
) -> npt.NDArray[np.float32]:
    """Mean states of every view side by side, shape ``(n, views * width)``."""
    inputs = [renderer.render(item.thread) for item in items]
    out = np.zeros((len(items), len(POOLED) * network.config.hidden_size), np.float32)
    for rows in batches([len(item.ids) for item in inputs]):
        batch = Batch.of([inputs[i] for i in rows])
        mask = torch.from_numpy(batch.attention_mask)
        hidden = network(torch.from_numpy(batch.input_ids), mask).last_hidden_state
        segments = torch.from_numpy(batch.segments)
        views = torch.stack(
            [mask.bool(), *(segments == SEGMENTS.index(view) for view in POOLED[1:])], 1
        ).float()
        pooled = views @ hidden / views.sum(-1, keepdim=True).clamp(min=1)
        out[rows] = pooled.flatten(1).numpy()
    return out


def spacy_textcat(train: Sequence[AnnotatedThread], *, epochs: int = 8, seed: int = 0) -> Predictor:
    """spaCy's text classifier as it comes (bag of words and a small CNN), trained from nothing.

    Args:
        train: Labelled threads in scope.
        epochs: Passes over them.
        seed: Of the weights and the order.

    Raises:
        MissingExtraError: When spaCy is not installed.
    """
    spacy = require("spacy", extra="spacy")
    training = require("spacy.training", extra="spacy")
    util = require("spacy.util", extra="spacy")
    util.fix_random_seed(seed)
    nlp = spacy.blank("it")
    nlp.add_pipe("textcat")
    names = sorted({str(i.label) for i in train})
    examples = [
        training.Example.from_dict(
            nlp.make_doc(_flat(i)), {"cats": {name: float(name == i.label) for name in names}}
        )
        for i in train
    ]
    optimizer = nlp.initialize(lambda: examples)
    rng = random.Random(seed)
    with warnings.catch_warnings(), Progress("spaCy textcat", total=epochs, unit="epoch") as bar:
        warnings.simplefilter("ignore")
        for _ in range(epochs):
            rng.shuffle(examples)
            losses: dict[str, float] = {}
            for some in util.minibatch(examples, size=32):
                nlp.update(some, drop=0.2, sgd=optimizer, losses=losses)
            bar.step(loss=f"{losses['textcat']:.3f}")

    def predict(items: Sequence[AnnotatedThread]) -> list[str]:
        found = [doc.cats for doc in nlp.pipe([_flat(i) for i in items])]
        return _decided(np.array([[c[n] for n in names] for c in found]), names, items)

    return predict


def _decided(
    scores: npt.NDArray[np.float64], names: Sequence[str], items: Sequence[AnnotatedThread]
) -> list[str]:
    """The best label that the structure of each thread allows."""
    open_ = [possible(i.thread, list(map(str, names))) for i in items]
    mask = np.array([[name in allowed for name in names] for allowed in open_])
    return [str(names[i]) for i in np.where(mask, scores, -1.0).argmax(1)]


def _flat(item: AnnotatedThread) -> str:
    turns = [f"role{turn.role} {turn.text}" for turn in item.thread.turns]
    return "\n".join([f"rolecaption {item.thread.post.text or ''}", *turns])
