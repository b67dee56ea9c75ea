"""Profiles and their report."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

import intimacy
from intimacy import report
from intimacy.bundle import Bundle, Manifest
from intimacy.errors import ThreadError
from intimacy.prediction import Prediction, Structure
from intimacy.profiling import NO_CREATOR, NO_REPLIES, Tally
from intimacy.schema import Label, Profile, Reason, Role

BUNDLE = Bundle(
    Path(),
    Manifest(
        name="m",
        version="0",
        prior={str(label): 0.25 for label in Label},
        dev_confusion=[[50 * (i == j) + (i != j) for j in range(4)] for i in range(4)],
    ),
    model_id="m",
)
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def prediction(
    label: str | None,
    roles: Sequence[str] = ("follower", "creator"),
    *,
    reason: str | None = None,
    **more: object,
) -> Prediction:
    sure = {str(name): 0.97 if str(name) == label else 0.01 for name in Label}
    structure = Structure(
        roles=tuple(map(Role, roles)),
        author_ids=tuple("f1" if role == "follower" else None for role in roles),
        created_at=tuple(NOON for _ in roles),
    )
    values: dict[str, object] = {
        "creator_id": "giulia",
        "scores": {} if reason in ("empty", "invalid", "too_short") else sure,
        "structure": structure,
        "model_id": "m",
        "post_id": "p",
    }
    return Prediction(
        thread_id="t",
        label=None if label is None or reason else Label(label),
        reason=None if reason is None else Reason(reason),
        **(values | more),  # type: ignore[arg-type]
    )


def profile_of(*predictions: Prediction) -> Profile:
    tally = Tally()
    for item in predictions:
        tally.add(item)
    return tally.profile(BUNDLE)


MIX = [
    *[prediction("commercial")] * 20,
    *[prediction("interactive", ["follower"])] * 30,
    *[prediction("reciprocal")] * 10,
    prediction("interactive", reason="low_confidence"),
    prediction(None, reason="out_of_scope"),
    prediction(None, [], reason="empty"),
]


def test_counts_abstentions_coverage_and_rates() -> None:
    found = profile_of(*MIX)
    assert found.n_threads == 63 and found.n_labelled == 60 and found.n_abstained == 3
    assert found.counts == {"commercial": 20, "interactive": 30, "reciprocal": 10, "disclosive": 0}
    assert found.abstentions == {"low_confidence": 1, "out_of_scope": 1, "empty": 1}
    assert found.coverage == pytest.approx(60 / 61)
    rate = found.indices["reply_rate"]
    assert rate.estimate == pytest.approx(31 / 61), "out of scope and empty do not count"
    assert rate.low is not None and rate.low < 31 / 61
    assert found.n_posts == 1 and found.n_followers == 1 and found.window == (NOON, NOON)
    assert sum(s.estimate or 0 for s in found.shares.values()) == pytest.approx(1)


def test_too_few_threads_give_no_shares() -> None:
    found = profile_of(*MIX[:10])
    assert all(share.estimate is None for share in found.shares.values())
    assert "10 threads in scope, at least 20 needed" in str(found.shares["commercial"])
    thirty = profile_of(*MIX[:30])
    assert thirty.shares["commercial"].reason == "indicative: 30 threads in scope"


def test_an_export_without_replies_cannot_say() -> None:
    found = profile_of(*[prediction("interactive", ["follower"])] * 40)
    assert found.indices["reply_rate"].reason == NO_REPLIES
    assert found.shares["reciprocal"].reason == NO_REPLIES
    assert found.shares["interactive"].estimate is not None


def test_replies_without_an_answer_are_a_rate_of_zero() -> None:
    found = profile_of(*[prediction("interactive", ["follower", "follower"])] * 40)
    assert found.indices["reply_rate"].estimate == 0
    assert any("answers in no thread" in note for note in found.notes)


def test_unknown_creator_cannot_have_answered() -> None:
    item = prediction("interactive", ["follower", "follower"], creator_id=None)
    assert profile_of(*[item] * 40).indices["reply_rate"].reason == NO_CREATOR


def test_predictions_of_another_model_are_named() -> None:
    found = profile_of(*[replace(item, model_id="other@1") for item in MIX])
    assert "predictions of other@1, corrected as if of m" in found.notes
    assert not any("corrected as if" in note for note in profile_of(*MIX).notes)


def test_threads_opened_by_the_creator_do_not_count_as_answered() -> None:
    own = prediction("interactive", ["creator", "follower"])
    found = profile_of(*MIX, *[own] * 5)
    assert found.indices["reply_rate"].estimate == pytest.approx(31 / 61)


def test_tallies_add_up_exactly_in_any_order() -> None:
    whole = profile_of(*MIX)
    for size in (1, 7, 40):
        parts = []
        for start in range(0, len(MIX), size):
            part = Tally()
            for item in MIX[start : start + size]:
                part.add(item)
            parts.append(part)
        total = Tally()
        for part in reversed(parts):
            total = total.merge(part)
        assert total.profile(BUNDLE) == whole


def test_profile_takes_threads_predictions_or_both() -> None:
    threads = [
        intimacy.classifier.as_thread([("follower", "ciao"), ("creator", "a te")], i)
        for i in range(25)
    ]
    predictions = intimacy.classify_threads(threads)
    assert intimacy.profile(threads) == intimacy.profile(predictions)
    assert intimacy.profile(threads, predictions) == intimacy.profile(predictions)
    with pytest.raises(ThreadError, match="25 threads and 24 predictions"):
        intimacy.profile(threads, predictions[1:])
    with pytest.raises(ThreadError, match="same order"):
        intimacy.profile(threads, predictions[::-1])


def test_one_profile_a_creator() -> None:
    other = [replace(item, creator_id="paola") for item in MIX]
    found = intimacy.profiles([*MIX, *other])
    assert [p.creator_id for p in found] == ["giulia", "paola"]
    together = intimacy.profile([*MIX, *other])
    assert together.creator_id is None and together.n_threads == 126
    assert "threads of 2 creators together" in together.notes


def test_text_and_tables() -> None:
    found = profile_of(*MIX)
    text = report.text(found)
    assert "giulia: 63 threads" in text and "reply rate" in text and "1 out_of_scope" in text
    rows = list(csv.DictReader(io.StringIO(report.to_csv([found]))))
    assert [row["name"] for row in rows if row["kind"] == "share"] == [str(n) for n in Label]
    assert float(rows[0]["estimate"]) == found.shares["commercial"].estimate
    (data,) = json.loads(report.to_json([found]))
    assert data["shares"]["commercial"]["estimate"] == found.shares["commercial"].estimate
    assert data["window"][0] == "2026-03-01T12:00:00+00:00"


def test_page_needs_no_network_and_escapes() -> None:
    evil = replace(profile_of(*MIX), creator_id="<script>alert(1)</script>")
    page = report.html([evil, profile_of(*MIX[:10])])
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", page)
    assert "stima, non misura certa" in page and '<html lang="it">' in page
    assert page.count("<section>") == 2
    assert "non mostrato: troppo pochi thread" in page and "not shown" not in page


def test_profile_in_a_notebook() -> None:
    html = profile_of(*MIX)._repr_html_()
    assert "stima, non misura certa" in html and "reply_rate" in html
