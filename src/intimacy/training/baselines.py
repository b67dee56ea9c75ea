"""What a model without a transformer makes of the same threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intimacy.annotation import AnnotatedThread
from intimacy.classifier import possible
from intimacy.errors import require


def tfidf_logistic_regression(
    train: Sequence[AnnotatedThread], test: Sequence[AnnotatedThread]
) -> list[str]:
    """Labels for ``test`` from words and characters of the turns, tagged by role.

    Args:
        train: Labelled threads in scope.
        test: Threads to label.

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
    scores = model.predict_proba([_flat(i) for i in test])
    # The same facts bind every candidate.
    names = [str(name) for name in model.classes_]
    open_ = [possible(i.thread) for i in test]
    mask = np.array([[name in allowed for name in names] for allowed in open_])
    return [names[i] for i in np.where(mask, scores, -1.0).argmax(1)]


def _flat(item: AnnotatedThread) -> str:
    turns = [f"role{turn.role} {turn.text}" for turn in item.thread.turns]
    return "\n".join([f"rolecaption {item.thread.post.text or ''}", *turns])
