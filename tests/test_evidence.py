"""Evidence: spans of the original text, weights that anybody can check, faithful on dev."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from intimacy import backends, evidence, store
from intimacy import text as texts
from intimacy.annotation import annotated_from_dict
from intimacy.bundle import open_bundle
from intimacy.classifier import Classifier, _of_best, load_model
from intimacy.errors import ThreadError
from intimacy.prediction import CAPTION, Evidence, Prediction
from intimacy.schema import Label, Post, Role, Thread, Turn

TOLD = (
    ("follower", "come sta il tuo papà?"),
    ("creator", "meglio, ieri ha fatto le scale da solo. poi in macchina ho pianto"),
)


def dev(n: int) -> list[Thread]:
    items = list(store.read_jsonl(ROOT / "data" / "threads" / "dev.jsonl", annotated_from_dict))
    random.Random(0).shuffle(items)
    return [item.thread for item in items if item.label is not None][:n]


def best(prediction: Prediction) -> str:
    return str(prediction.best)


def removed(thread: Thread, spans: list[evidence.Span]) -> Thread:
    for span in sorted(spans, key=lambda s: -s[1]):
        thread = evidence.without(thread, span)
    return thread


def elsewhere(thread: Thread, n: int, rng: random.Random) -> list[evidence.Span]:
    """As many characters at a random place of the thread."""
    parts = [(CAPTION, thread.post.text or "")]
    parts += [(i, turn.text) for i, turn in enumerate(thread.turns)]
    at, passed, out = rng.randint(0, max(0, sum(len(t) for _, t in parts) - n)), 0, []
    for turn, text in parts:
        start, end = max(at - passed, 0), min(at + n - passed, len(text))
        if start < end:
            out.append((turn, start, end))
        passed += len(text)
    return out


def test_evidence_is_faithful() -> None:
    """Without its evidence a score falls more than without as much text from anywhere."""
    model, threads = load_model(), dev(150)
    predictions = model.classify_threads(threads, progress=False)
    inputs = [model._renderer.render(thread) for thread in threads]
    _, added = model._explained(inputs)
    rng = random.Random(1)
    without, other = [], []
    for i, (thread, prediction) in enumerate(zip(threads, predictions, strict=True)):
        # Before those that lower nothing are dropped: that alone would look like faithfulness.
        tokens = _of_best(prediction, added[i])
        spans = evidence.spans(thread, inputs[i], tokens, limit=model._renderer.limit)
        n = sum(end - start for _, start, end in spans)
        without.append(removed(thread, spans))
        other.append(removed(thread, elsewhere(thread, n, rng)))
    falls = []
    for changed in (without, other):
        scored = model.classify_threads(changed, progress=False)
        falls.append(
            np.mean(
                [
                    p.scores[best(p)] - q.scores.get(best(p), 0.0)
                    for p, q in zip(predictions, scored, strict=True)
                    if p.scores
                ]
            )
        )
    assert falls[0] > 2 * falls[1] > 0
    asked = model.classify_threads(threads, evidence=True, progress=False)
    assert np.mean([bool(p.evidence) for p in asked]) > 0.9


def test_a_weight_is_what_the_score_loses() -> None:
    model = load_model()
    for thread in dev(20):
        prediction = model.classify_thread(thread, evidence=True)
        for found in prediction.evidence:
            span = (found.turn, found.start, found.end)
            less = model.classify_thread(evidence.without(thread, span))
            if not less.scores:
                continue  # nothing is left that a model would be asked about
            lost = prediction.scores[best(prediction)] - less.scores[best(prediction)]
            assert found.weight == pytest.approx(lost, abs=1e-9)


def test_evidence_changes_nothing_else_and_batches_change_no_evidence() -> None:
    model, threads = load_model(), dev(40)
    asked = model.classify_threads(threads, evidence=True, progress=False)
    plain = model.classify_threads(threads, progress=False)
    assert [replace(p, evidence=()) for p in asked] == plain
    alone = [model.classify_thread(thread, evidence=True) for thread in threads[:10]]
    assert alone == asked[:10]


class Counting:
    """The real network, counting the rows it is given."""

    def __init__(self) -> None:
        self.rows, self._inner = 0, backends.OnnxBackend(open_bundle().onnx)

    def logits(self, batch: backends.Batch) -> object:
        self.rows += len(batch.input_ids)
        return self._inner.logits(batch)

    def explain(self, batch: backends.Batch) -> object:
        self.rows += len(batch.input_ids)
        return self._inner.explain(batch)


def test_three_passes_at_most() -> None:
    backend = Counting()
    model = Classifier(open_bundle(), backend)  # type: ignore[arg-type]
    model.classify_thread(TOLD)
    assert backend.rows == 1
    model.classify_thread(TOLD, evidence=True)
    assert 1 < backend.rows - 1 <= 3


def test_what_each_token_adds_makes_up_the_logits() -> None:
    """The label logits of two threads differ by what their tokens add, up to rounding to 8 bits."""
    torch = pytest.importorskip("torch")
    from intimacy.bundle import HEADS
    from intimacy.training.model import load

    network = load(open_bundle().path, HEADS)
    model = load_model()
    batch = backends.Batch.of([model._renderer.render(t) for t in dev(4)])
    inputs = (batch.input_ids, batch.attention_mask, batch.segments)
    with torch.inference_mode():
        logits, added = network.explain(*map(torch.from_numpy, inputs))
        assert torch.allclose(logits, network(*map(torch.from_numpy, inputs)), atol=1e-4)
    exported, exported_added = backends.OnnxBackend(open_bundle().onnx).explain(batch)
    assert np.abs(exported - logits.numpy()).max() < 0.5
    assert np.corrcoef(exported_added.ravel(), added.numpy().ravel())[0, 1] > 0.99


def test_spans_point_into_the_original_text() -> None:
    text = "scrivimi a anna.b@posta.it 📦 quanto costa la crema su www.negozio.it/crema ??"
    thread = Thread(
        id="x",
        turns=(Turn(role=Role.FOLLOWER, text=text),),
        post=Post(text="la mia nuova crema"),
    )
    prediction = load_model().classify_thread(thread, evidence=True)
    assert prediction.label is Label.COMMERCIAL
    for found in prediction.evidence:
        source = thread.post.text if found.turn == CAPTION else text
        assert source and 0 <= found.start < found.end <= len(source)
        # Whole words: a mask stands for all that it hides.
        assert found.start == 0 or source[found.start - 1].isspace()
        assert found.end == len(source) or source[found.end].isspace()


@pytest.mark.parametrize(
    "text",
    [
        "ciao a tutti",
        "tel 333 123 4567 ok",
        "@a @b https://x.it/y?z=1 fine",
        "a\x00b\x1f c@d.it",
        "",
    ],
)
def test_masked_offsets_say_where_characters_come_from(text: str) -> None:
    masked, offsets = texts.mask_pii(texts.clean(text)), texts.masked_offsets(text)
    assert len(masked) == len(offsets)
    for character, (start, end) in zip(masked, offsets, strict=True):
        assert character == text[start:end] or end - start > 1


def test_threads_without_scores_have_no_evidence() -> None:
    for thread in ([("follower", "…")], [("follower", "")], [("follower", "Привет всем")]):
        assert load_model().classify_thread(thread, evidence=True).evidence == ()


def test_a_megabyte_is_explained_too() -> None:
    text = "quanto costa? " * 80_000
    found = load_model().classify_thread([("follower", text)], evidence=True)
    assert found.n_dropped_chars and all(e.end <= len(text) for e in found.evidence)


def test_evidence_survives_the_disk() -> None:
    prediction = load_model().classify_thread(TOLD, evidence=True)
    assert prediction.evidence and isinstance(prediction.evidence[0], Evidence)
    again = store.prediction_from_dict(prediction.to_dict())
    assert again.evidence == prediction.evidence
    assert "pianto" not in prediction.to_json()


def test_show_marks_the_spans_and_escapes_the_rest() -> None:
    thread = Thread(
        id="x",
        turns=(
            Turn(role=Role.FOLLOWER, text="quanto costa <b>la crema</b>?"),
            Turn(role=Role.CREATOR, text="venti euro"),
        ),
    )
    prediction = load_model().classify_thread(thread, evidence=True)
    with pytest.raises(ThreadError, match="another thread"):
        prediction.show(replace(thread, id="y"))
    html = prediction.show(thread)._repr_html_()
    assert html.count("<mark>") == len(prediction.evidence) > 0
    assert "<b>" not in html and "&lt;b&gt;" in html


@pytest.mark.parametrize(
    ("attributes", "roles", "follower", "creator"),
    [
        ({"follower_disclosure": 2}, ("follower",), "disclosive", None),
        (
            {"follower_disclosure": 2, "product_salience": 3, "creator_response": "contingent"},
            ("follower", "creator"),
            "disclosive",
            "commercial",
        ),
        ({"disclosure_depth": 3, "product_salience": 3}, ("creator",), None, "disclosive"),
        (
            {"creator_response": "contingent", "purchase_signal": "intent"},
            ("follower", "creator"),
            "commercial",
            "reciprocal",
        ),
        ({"creator_response": "token"}, ("follower", "creator"), "interactive", "interactive"),
        ({}, ("follower", "creator"), None, None),
        ({"disclosure_depth": 2, "product_salience": 3}, ("staff",), None, None),
    ],
)
def test_sides(
    attributes: dict[str, object],
    roles: tuple[str, ...],
    follower: str | None,
    creator: str | None,
) -> None:
    from intimacy.prediction import Structure

    prediction = Prediction(
        thread_id="x",
        label=None,
        attributes=attributes,
        structure=Structure(roles=tuple(map(Role, roles))),
    )
    assert prediction.sides == {"follower": follower, "creator": creator}
