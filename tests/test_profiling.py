"""Profiles and their report."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import intimacy
from intimacy.bundle import Bundle, Errors, Manifest
from intimacy.disclosure import Disclosure
from intimacy.errors import ConfigError, ThreadError
from intimacy.prediction import Prediction, Signs, Structure
from intimacy.profiling import Tally, evaluate, tally
from intimacy.profiling.evaluate import NO_CREATOR, NO_REPLIES
from intimacy.profiling.index import NO_TEXT
from intimacy.profiling.indices import INDICES
from intimacy.schema import Label, Profile, Reason, Role

BUNDLE = Bundle(
    Path(),
    Manifest(
        name="m",
        version="0",
        prior={str(label): 0.25 for label in Label},
        errors={
            "label": Errors(
                counts=[[50 * (i == j) + (i != j) for j in range(4)] for i in range(4)], spread=0.3
            ),
            "stance": Errors(
                counts=[[40, 5, 0, 0], [5, 40, 0, 0], [0, 5, 20, 0], [0, 0, 0, 3]], spread=0.3
            ),
            "creator_response": Errors(counts=[[0, 0, 0], [0, 40, 2], [0, 2, 40]], spread=0.3),
        },
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
        signs=Signs(),
    )
    values: dict[str, object] = {
        "thread_id": "t",
        "creator_id": "giulia",
        "scores": {} if reason in ("empty", "invalid", "too_short") else sure,
        "structure": structure,
        "model_id": "m",
        "post_id": "p",
    }
    return Prediction(
        label=None if label is None or reason else Label(label),
        reason=None if reason is None else Reason(reason),
        **(values | more),  # type: ignore[arg-type]
    )


def profile_of(*predictions: Prediction, **more: Any) -> Profile:
    return evaluate(tally(predictions), BUNDLE, **more)


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
    items = []
    for i, item in enumerate(timed(200)):
        said = Disclosure(tier="weak", in_position=True, brands=(f"b{i % 5}", f"b{i % 2}"))
        signs = Signs(disclosure=said, readability=(40 + i % 10, 10, 1))
        structure = replace(item.structure, signs=signs)
        sure = MIX[i % 60]
        items.append(replace(item, structure=structure, label=sure.label, scores=sure.scores))
    whole = profile_of(*items)
    assert whole.n_posts == 10 and whole.n_followers == 25
    assert whole.indices["brand_concentration"].measurable
    rng = random.Random(11)
    for size in (1, 7, 90):
        rng.shuffle(items)
        parts = [tally(items[start : start + size]) for start in range(0, len(items), size)]
        rng.shuffle(parts)
        total = Tally()
        for part in parts:
            total = total.merge(part)
        assert evaluate(total, BUNDLE) == whole


def test_profile_takes_threads_predictions_or_both() -> None:
    threads = [
        intimacy.classifier.as_thread([("follower", "ciao"), ("creator", "a te")], i)
        for i in range(25)
    ]
    predictions = intimacy.classify_threads(threads)
    signed = intimacy.classify_threads(threads, signs=True)
    assert intimacy.profile(threads) == intimacy.profile(signed)
    assert intimacy.profile(threads, predictions) == intimacy.profile(signed)
    bare = intimacy.profile(predictions)
    assert bare.shares == intimacy.profile(signed).shares
    assert bare.indices["second_person_share"].reason == NO_TEXT
    assert any("minors cannot be left out" in note for note in bare.notes)
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


def timed(n: int, **more: Any) -> list[Prediction]:
    """Threads of many posts and followers, an hour apart; two in three answered after an hour."""
    out = []
    for i in range(n):
        start = NOON + timedelta(hours=i)
        roles = ("follower", "creator") if i % 3 else ("follower",)
        item = prediction("reciprocal" if i % 3 else "interactive", roles, post_id=f"p{i % 10}")
        structure = replace(
            item.structure,
            author_ids=tuple(f"f{i % 25}" if r == "follower" else "giulia" for r in roles),
            created_at=tuple(start + timedelta(hours=k) for k in range(len(roles))),
            published_at=NOON + timedelta(days=20 * (i % 10)),
        )
        out.append(replace(item, thread_id=f"t{i}", structure=structure, **more))
    return out


def test_waiting_is_measured_with_those_who_still_wait() -> None:
    found = profile_of(*timed(240))
    latency = found.indices["reply_latency_hours"]
    assert latency.estimate == 1.0 and latency.unit == "hours"
    assert dict(found.reply_curve)[24.0] == pytest.approx(2 / 3, abs=0.02)
    assert found.indices["reply_rate"].estimate == pytest.approx(2 / 3, abs=0.01)
    assert any("younger than 72 hours" in note for note in found.notes)
    assert found.indices["replies_per_100"].estimate == pytest.approx(200 / 3, abs=0.5)


def test_heads_are_corrected_and_what_they_never_met_is_refused() -> None:
    read = timed(120, attributes={"stance": "supportive", "creator_response": "contingent"})
    found = profile_of(*read)
    assert 0.8 < (found.indices["supportive_share"].estimate or 0) < 1
    assert "3 development threads are stance hostile" in str(found.indices["hostile_share"])
    contingent, rate = found.indices["contingent_reply_rate"], found.indices["reply_rate"]
    assert contingent.estimate is not None and rate.estimate is not None
    assert 0.55 < contingent.estimate < rate.estimate


def test_threads_that_hang_together_say_less() -> None:
    mixed = [
        replace(item, scores=other.scores, label=other.label)
        for item, other in zip(timed(200), [*MIX[:60]] * 4, strict=False)
    ]
    apart = profile_of(*mixed)
    # The same threads, but each post holds one label alone.
    posts = [replace(item, post_id=f"{item.label}{i % 3}") for i, item in enumerate(mixed)]
    together = profile_of(*posts)
    assert together.n_effective is not None and apart.n_effective is not None
    assert together.n_effective < 0.3 * apart.n_effective
    wide, narrow = together.shares["commercial"], apart.shares["commercial"]
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)  # type: ignore[operator]


def test_minors_are_left_out_of_everything() -> None:
    items = timed(60)
    child = replace(items[0].structure, signs=Signs(cues={"minor": 1}))
    found = profile_of(*items, replace(items[0], thread_id="child", structure=child))
    assert found.n_minors == 1 and found.n_threads == 60
    assert found == replace(profile_of(*items), n_minors=1)


def test_disclosure_of_posts_and_its_position() -> None:
    def under(item: Prediction, tier: str, placed: bool | None) -> Prediction:
        said = Disclosure(tier=tier, in_position=placed, brands=("vetrella",))
        signs = Signs(disclosure=said, readability=(50, 10, 1))
        return replace(item, structure=replace(item.structure, signs=signs))

    kinds = [("sufficient", True)] * 3 + [("sufficient", False), ("weak", True), ("cue", False)]
    kinds += [("none", None)] * 4
    items = [under(item, *kinds[i % 10]) for i, item in enumerate(timed(100))]
    found = profile_of(*items)
    assert found.indices["transparency"].estimate == pytest.approx(3 / 6)
    assert found.indices["label_in_position"].estimate == pytest.approx(4 / 5)
    assert found.indices["gulpease"].estimate == pytest.approx(89 + (300 - 500) / 10)
    parts = intimacy.compare_sponsored(items)
    assert parts.first.n_threads == 50 and parts.second.n_threads == 50
    assert not parts.differences["reply_rate"].clear


def test_followers_against_engagement_needs_their_number() -> None:
    """Comments a post are as the number of followers to the power of 0.7."""
    sizes = [1_000, 2_000, 4_000, 8_000, 9_000, 9_200, 9_300, 6_000, 5_000, 7_000, 9_000, 9_500]
    dates = [NOON + timedelta(days=20 * k) for k in range(len(sizes))]
    dated = []
    for k, (date, size) in enumerate(zip(dates, sizes, strict=True)):
        item = prediction("interactive", ["follower"], post_id=f"p{k}")
        item = replace(item, structure=replace(item.structure, published_at=date))
        comments = round(0.1 * size**0.7)
        dated += [replace(item, thread_id=f"t{k}-{i}") for i in range(comments)]
    assert "audience=" in str(profile_of(*dated).indices["engagement_elasticity"].reason)
    grown = {date: float(size) for date, size in zip(dates, sizes, strict=True)}
    slope = profile_of(*dated, audience=grown).indices["engagement_elasticity"]
    assert slope.n == 12 and slope.estimate == pytest.approx(0.7, abs=0.02)
    assert slope.low is not None and slope.high is not None
    assert 0.6 < slope.low < slope.high < 0.8


def test_a_frame_is_stated_or_noted() -> None:
    assert any("not stated" in note for note in profile_of(*MIX).notes)
    assert any("only top comments" in note for note in profile_of(*MIX, frame="top").notes)
    with pytest.raises(ConfigError, match="expected one of: all, newest, top, unknown"):
        profile_of(*MIX, frame="some")


def test_mix_over_time_finds_the_change() -> None:
    early, late = timed(150), timed(150, label=Label.COMMERCIAL, scores=MIX[0].scores)
    moved = [
        replace(
            item,
            thread_id=f"late{i}",
            structure=replace(
                item.structure,
                created_at=tuple(t + timedelta(days=180) for t in item.structure.created_at if t),
            ),
        )
        for i, item in enumerate(late)
    ]
    found = profile_of(*early, *moved)
    assert len(found.changes) == 1
    assert timedelta(days=100) < found.changes[0] - NOON < timedelta(days=185)
    assert found.mix_over_time[0].n_threads == 150 and found.mix_over_time[-1].n_threads == 150
    assert (found.indices["consistency"].estimate or 1) < 0.5


def test_every_index_is_there_once_and_says_what_it_is() -> None:
    found = profile_of(*MIX)
    assert list(found.indices) == [index.name for index in INDICES]
    assert len(set(found.indices)) == len(INDICES) > 50
    for measure in found.indices.values():
        assert measure.caveat and measure.concept
        assert measure.source in {"metadata", "lexicon", "model"}
        assert measure.measurable or measure.reason
    assert all(i.experimental for i in INDICES if i.source == "lexicon")
    documented = (ROOT / "docs" / "measures.md").read_text("utf-8")
    assert not [i.name for i in INDICES if f"`{i.name}`" not in documented]


def test_profile_in_a_notebook() -> None:
    html = profile_of(*MIX)._repr_html_()
    assert "stima, non misura certa" in html and "reply_rate" in html
