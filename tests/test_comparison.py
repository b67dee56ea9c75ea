"""Two profiles side by side, many before a brief, one among references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from conftest import thread
from test_profiling import prediction, profile_of, timed

from intimacy.errors import ConfigError
from intimacy.prediction import Prediction, Structure
from intimacy.profiling.comparison import (
    LIKELY,
    MIN_REFERENCES,
    Brief,
    Candidate,
    compare,
    compare_sponsored,
    percentiles,
    rank,
)
from intimacy.profiling.evaluate import NO_REPLIES, measures
from intimacy.schema import Post, Profile, Share, Thread


def creator(name: str, answers: int, n: int = 60) -> Profile:
    """A creator who answers in so many of the threads, each of a post of its own."""
    answered = [prediction("reciprocal", post_id=f"p{i}") for i in range(answers)]
    silent = [
        prediction("commercial", ["follower", "follower"], post_id=f"q{i}")
        for i in range(n - answers)
    ]
    return replace(profile_of(*answered, *silent), creator_id=name)


OPEN, MIDDLE, SHUT = creator("aperta", 58), creator("media", 30), creator("chiusa", 2)
WORDLESS = replace(
    profile_of(*[prediction("commercial", ["follower"])] * 60), creator_id="senza risposte"
)
WAITING = profile_of(*timed(120))


# -- two profiles


def test_a_profile_is_not_larger_than_itself() -> None:
    for profile in (OPEN, WAITING):
        found = compare(profile, profile)
        given = [d for d in found.differences.values() if d.estimate is not None]
        assert len(given) >= 8 and found.notes == ()
        for one in given:
            assert one.probability == 0.5 and one.estimate == 0 and not one.clear, one.name
            assert one.low is not None and one.high is not None and one.low <= 0 <= one.high


def test_what_differs_is_clear_and_leaves_out_zero() -> None:
    found = compare(OPEN, SHUT).differences
    assert (found["reply_rate"].probability or 0) > 0.99
    assert (found["commercial"].probability or 0) < 0.01
    for name in ("reply_rate", "commercial"):
        one = found[name]
        assert one.clear and one.low is not None and one.high is not None
        assert one.low > 0 or one.high < 0
    rate = found["reply_rate"]
    assert rate.estimate == pytest.approx(56 / 60)
    assert rate.low is not None and rate.low < 56 / 60
    assert not found["disclosive"].clear, "neither tells of itself"


def test_the_other_way_round_is_the_opposite() -> None:
    there, back = compare(OPEN, MIDDLE).differences, compare(MIDDLE, OPEN).differences
    assert list(there) == list(back)
    for name, one in there.items():
        other = back[name]
        assert one.reason == other.reason and one.clear == other.clear
        if one.estimate is None:
            assert other.estimate is None
            continue
        assert one.estimate == pytest.approx(-(other.estimate or 0.0))
        assert one.low == pytest.approx(-(other.high or 0.0))
        assert one.probability == pytest.approx(1 - (other.probability or 0.0))
        assert (one.first, one.second) == (other.second, other.first)


def test_every_measure_is_there_once() -> None:
    found = compare(OPEN, WORDLESS)
    assert list(found.differences) == list(measures(OPEN))
    rows = found.rows()
    assert [row["name"] for row in rows] == list(found.differences)
    assert rows[0] == {
        "name": "commercial",
        "first": OPEN.shares["commercial"].estimate,
        "second": WORDLESS.shares["commercial"].estimate,
        "difference": found.differences["commercial"].estimate,
        "low": found.differences["commercial"].low,
        "high": found.differences["commercial"].high,
        "probability": found.differences["commercial"].probability,
        "clear": True,
        "reason": None,
    }


@pytest.mark.parametrize("pair", [(OPEN, WORDLESS), (WORDLESS, OPEN)], ids=["second", "first"])
def test_what_one_side_lacks_carries_its_reason(pair: tuple[Profile, Profile]) -> None:
    found = compare(*pair).differences
    rate = found["reply_rate"]
    assert rate.reason == NO_REPLIES
    assert rate.estimate is rate.low is rate.high is rate.probability is None
    assert not rate.clear
    assert all(d.reason for d in found.values() if d.estimate is None)
    assert found["commercial"].estimate is not None


def test_a_caveat_stands_beside_the_difference() -> None:
    few = creator("poche", 15, n=30)
    for pair in ((few, OPEN), (OPEN, few)):
        one = compare(*pair).differences["reply_rate"]
        assert one.estimate is not None and one.reason == "indicative: 30 cases"


def test_different_models_are_noted() -> None:
    other = replace(SHUT, model_id="other@1")
    assert compare(OPEN, other).notes == ("models differ: m, other@1",)
    assert compare(OPEN, SHUT).notes == ()


def test_clear_is_from_a_probability_of_ninety() -> None:
    one = compare(OPEN, SHUT).differences["reply_rate"]
    for probability, clear in ((LIKELY, True), (0.89, False), (0.5, False), (0.11, False)):
        assert replace(one, probability=probability).clear is clear
    assert replace(one, probability=0.09).clear
    assert not replace(one, probability=None).clear


def test_the_interval_holds_the_difference() -> None:
    rate = compare(creator("tutte", 60), creator("nessuna", 0)).differences["reply_rate"]
    assert rate.estimate is not None and rate.low is not None and rate.high is not None
    assert rate.low <= rate.estimate <= rate.high


# -- sponsored against the rest

CAPTIONS = (
    "#adv @lumea la crema",
    "#gifted la teiera",
    "Una giornata al mare",
    "Link in bio",
    None,
)


def under_captions(
    n: int,
    answered: Sequence[str | None],
    silence: tuple[str, str] | None = ("follower", "davvero"),
) -> tuple[list[Thread], list[Prediction]]:
    """Threads under captions in turn, answered under some, with predictions that saw no text."""
    threads, predictions = [], []
    for i in range(n):
        caption = CAPTIONS[i % len(CAPTIONS)]
        second = ("creator", "grazie a te") if caption in answered else silence
        turns = [("follower", "che bella"), *([second] if second else [])]
        one = thread(*turns, caption=caption, id=f"t{i}")
        one = replace(one, post=replace(one.post, id=f"p{i}"))
        threads.append(one)
        item = prediction("interactive", [turn.role for turn in one.turns], post_id=f"p{i}")
        predictions.append(replace(item, thread_id=one.id, structure=Structure.of(one)))
    return threads, predictions


def test_labelled_posts_stand_against_the_rest() -> None:
    found = compare_sponsored(*under_captions(200, answered=CAPTIONS[:2]))
    assert found.first.n_threads == 80 and found.second.n_threads == 80
    rate = found.differences["reply_rate"]
    assert rate.first.estimate == 1 and rate.second.estimate == 0
    assert rate.clear and rate.probability is not None and rate.probability > 0.99
    assert found.notes == ("40 threads have no caption that is known and are in neither part",)


def test_who_answers_under_labelled_posts_alone_answers_nowhere_else() -> None:
    found = compare_sponsored(*under_captions(200, answered=CAPTIONS[:2], silence=None))
    assert found.differences["reply_rate"].second.estimate == 0


def test_answering_everywhere_alike_is_no_difference() -> None:
    found = compare_sponsored(*under_captions(200, answered=CAPTIONS), interval=0.8)
    assert not found.differences["reply_rate"].clear
    assert found.differences["reply_rate"].probability == 0.5
    assert found.first.interval == found.second.interval == 0.8


def test_predictions_without_text_are_in_neither_part() -> None:
    found = compare_sponsored(under_captions(30, answered=CAPTIONS)[1])
    assert found.first.n_threads == found.second.n_threads == 0
    assert found.notes == ("30 threads have no caption that is known and are in neither part",)


def test_no_note_where_every_caption_is_known() -> None:
    threads, predictions = under_captions(50, answered=CAPTIONS)
    known = [(t, p) for t, p in zip(threads, predictions, strict=True) if t.post.text]
    assert compare_sponsored([t for t, _ in known], [p for _, p in known]).notes == ()


# -- a brand's brief

BY_RATE = Brief(text="chi risponde", weights={"reply_rate": 1.0})


def names(found: Sequence[Candidate]) -> list[str | None]:
    return [candidate.creator_id for candidate in found]


def test_without_weights_nothing_is_ordered() -> None:
    given = [SHUT, OPEN, WORDLESS, MIDDLE]
    found = rank(given, Brief(text="chiunque"))
    assert names(found) == [profile.creator_id for profile in given]
    assert [candidate.score for candidate in found] == [None] * 4
    assert all(candidate.missing == () for candidate in found)
    assert list(found[0].parts) == ["relevance", *measures(SHUT)]
    assert rank([], Brief(text="chiunque")) == []


@pytest.mark.parametrize("given", [[SHUT, OPEN, MIDDLE], [MIDDLE, SHUT, OPEN]])
def test_weights_make_the_order(given: list[Profile]) -> None:
    found = rank(given, BY_RATE)
    assert names(found) == ["aperta", "media", "chiusa"]
    scores = [candidate.score for candidate in found]
    assert scores[0] == pytest.approx(1, abs=0.01)
    assert scores[1] == pytest.approx(0.5, abs=0.01)
    assert scores[2] == pytest.approx(0, abs=0.01)
    assert list(found[0].parts) == ["reply_rate"]
    assert found[0].parts["reply_rate"] == OPEN.indices["reply_rate"]


def test_standings_are_between_nought_and_one() -> None:
    found = rank([OPEN, MIDDLE, SHUT, WAITING, WORDLESS], Brief(text="chiunque"))
    standings = [s for candidate in found for s in candidate.standing.values() if s is not None]
    assert len(standings) > 40
    assert all(0 <= standing <= 1 for standing in standings)
    assert rank([OPEN], BY_RATE)[0].standing == {"reply_rate": 0.5}
    assert {c.score for c in rank([OPEN, OPEN, OPEN], BY_RATE)} == {0.5}


def test_a_negative_weight_turns_the_order() -> None:
    turned = rank([OPEN, SHUT, MIDDLE], replace(BY_RATE, weights={"reply_rate": -2.0}))
    assert names(turned) == ["chiusa", "media", "aperta"]
    assert turned[0].score == pytest.approx(1, abs=0.01)
    assert turned[0].standing["reply_rate"] == pytest.approx(0, abs=0.01), "as it stands"


def test_a_score_is_the_weighted_mean_of_its_parts() -> None:
    weights = {"reply_rate": 3.0, "commercial": -1.0, "interactive": 0.5}
    for candidate in rank([MIDDLE, SHUT, OPEN], Brief(text="misto", weights=weights)):
        at = candidate.standing
        assert None not in at.values() and list(at) == list(weights)
        said = 3 * at["reply_rate"] + (1 - at["commercial"]) + 0.5 * at["interactive"]  # type: ignore[operator]
        assert candidate.score == pytest.approx(said / 4.5)


def test_an_unknown_weight_is_named() -> None:
    brief = Brief(text="veloce", weights={"reply_rate": 1.0, "reply_speed": 1.0})
    with pytest.raises(ConfigError, match=r"weighs 'reply_speed'.*expected some of: .*reply_rate"):
        rank([OPEN, SHUT], brief)


def test_what_cannot_be_measured_stands_last_without_a_score() -> None:
    weights = {"commercial": 1.0, "reply_rate": 1.0, "relevance": 1.0}
    threads = {name: about(20, "crema") for name in ("chiusa", "aperta", "senza risposte")}
    brief = Brief(text="risponde", subjects=("crema",), weights=weights)
    found = rank([WORDLESS, MIDDLE, SHUT, OPEN], brief, threads=threads)
    assert set(names(found)[:2]) == {"chiusa", "aperta"}
    assert names(found)[2:] == ["senza risposte", "media"], "in the order given"
    assert [candidate.score is None for candidate in found] == [False, False, True, True]
    assert found[2].missing == ("reply_rate",) and found[3].missing == ("relevance",)
    assert found[2].standing["reply_rate"] is None
    assert found[2].parts["reply_rate"].reason == NO_REPLIES
    assert found[2].standing["commercial"] is not None


def test_nobody_before_a_brief_is_nobody() -> None:
    assert rank([], BY_RATE) == []


# -- relevance


def about(n: int, *texts: str, caption: str | None = None, start: int = 0) -> list[Thread]:
    """Threads in which follower and creator in turn say these texts."""
    turns = [(("follower", "creator")[i % 2], text) for i, text in enumerate(texts)]
    return [
        replace(
            thread(*turns, id=f"t{start + i}"),
            post=Post(id=f"p{start + i}", creator_id="aperta", text=caption),
        )
        for i in range(n)
    ]


def relevance(threads: Sequence[Thread], *subjects: str) -> tuple[Share, Mapping[str, int]]:
    found = rank([OPEN], Brief(text="creme", subjects=subjects), threads={"aperta": threads})
    return found[0].parts["relevance"], found[0].evidence


@pytest.mark.parametrize(
    ("text", "subject", "used"),
    [
        ("che crema usi?", "crema", True),
        ("quante creme usi?", "crema", False),
        ("quante creme usi?", "crem*", True),
        ("la crem", "crem*", True),
        ("lo scrematore", "crem*", False),
        ("CREMA", "crema", True),
        ("crema", "Crema", True),
        ("un CAFFE\u0300", "caffè", True),
        ("un caffè", "caffe\u0300", True),
        ("l’olio buono", "l'olio", True),
        ("la crema\nviso", "crema viso", True),
        ("cremaXviso", "crema.viso", False),
        ("ciao", "crema", False),
        ("il mio #skincare", "#skincare", True),
    ],
)
def test_subject_words(text: str, subject: str, used: bool) -> None:
    share, evidence = relevance(about(20, text), subject)
    assert evidence == {subject: 20 * used}
    assert share.estimate == used and share.n == 20
    assert share.low is not None and share.high is not None and share.low < share.high


def test_evidence_counts_threads_by_word() -> None:
    threads = [
        *about(10, "crema crema e profumo"),
        *about(5, "ciao", "una crema", start=10),
        *about(5, "ciao", caption="il profumo nuovo", start=15),
        *about(20, "ciao", start=20),
    ]
    share, evidence = relevance(threads, "crema", "profum*", "rossetto")
    assert evidence == {"crema": 15, "profum*": 15, "rossetto": 0}
    assert share.estimate == 0.5 and share.n == 40


def test_staff_says_nothing_about_the_subject() -> None:
    threads = [thread(("follower", "ciao"), ("staff", "la crema"), id=f"t{i}") for i in range(20)]
    assert relevance(threads, "crema")[1] == {"crema": 0}


def test_threads_of_minors_are_left_out() -> None:
    child = "ho 13 anni e amo la crema"
    threads = [*about(20, "ciao"), *about(10, child, start=20)]
    share, evidence = relevance(threads, "crema")
    assert share.n == 20 and share.estimate == 0 and evidence == {"crema": 0}
    share, evidence = relevance([*about(19, "crema"), *about(10, child, start=19)], "crema")
    assert str(share) == "not shown: 19 threads, at least 20 needed" and evidence == {}


def test_the_age_that_a_creator_tells_leaves_nothing_out() -> None:
    assert relevance(about(20, "crema", "ho 15 anni"), "crema")[0].n == 20


def test_relevance_needs_twenty_threads_and_a_subject() -> None:
    assert "19 threads, at least 20" in str(relevance(about(19, "crema"), "crema")[0])
    assert relevance(about(20, "crema"), "crema")[0].measurable
    assert "names no subject words" in str(relevance(about(20, "crema"))[0])
    assert "were not passed" in str(relevance([], "crema")[0])
    unknown = rank([OPEN], Brief(text="creme", subjects=("crema",)))[0]
    assert "were not passed" in str(unknown.parts["relevance"])


def test_threads_of_one_post_say_less() -> None:
    threads = [*about(30, "crema"), *about(30, "ciao", start=30)]
    together = [replace(t, post=replace(t.post, id=f"p{i // 15}")) for i, t in enumerate(threads)]
    apart, close = relevance(threads, "crema")[0], relevance(together, "crema")[0]
    assert apart.estimate == close.estimate == 0.5
    assert close.high - close.low > 1.5 * (apart.high - apart.low)  # type: ignore[operator]


def test_relevance_is_weighed_like_the_rest() -> None:
    threads = {"chiusa": about(40, "crema"), "aperta": about(40, "ciao")}
    brief = Brief(text="creme", subjects=("crema",), weights={"relevance": 1.0})
    found = rank([OPEN, SHUT], brief, threads=threads)
    assert names(found) == ["chiusa", "aperta"]
    assert found[0].evidence == {"crema": 40} and found[1].evidence == {"crema": 0}


def test_a_long_caption_hides_no_turn() -> None:
    assert relevance(about(20, "crema", caption="parole " * 400), "crema")[1] == {"crema": 20}


# -- among references


def test_thirty_references_are_needed() -> None:
    few = percentiles(OPEN, [SHUT] * (MIN_REFERENCES - 1))["reply_rate"]
    assert few.estimate is None and few.n == 29
    assert few.reason == "not shown: 29 reference profiles have it, at least 30 needed"
    assert percentiles(OPEN, [SHUT] * MIN_REFERENCES)["reply_rate"].n == 30
    assert percentiles(OPEN, [])["reply_rate"].n == 0


@pytest.mark.parametrize(
    ("reference", "place"),
    [(SHUT, 1.0), (MIDDLE, 1.0), (OPEN, 0.5)],
)
def test_ahead_of_lower_profiles(reference: Profile, place: float) -> None:
    found = percentiles(OPEN, [reference] * 40)["reply_rate"]
    assert found.estimate == pytest.approx(place, abs=0.01)
    assert found.low is not None and found.high is not None and found.n == 40
    assert 0 <= found.low <= (found.estimate or 0) <= found.high <= 1


def test_behind_higher_profiles() -> None:
    found = percentiles(SHUT, [OPEN] * 40)
    assert found["reply_rate"].estimate == pytest.approx(0, abs=0.01)
    assert (found["commercial"].estimate or 0) > 0.99
    half = percentiles(MIDDLE, [OPEN] * 20 + [SHUT] * 20)["reply_rate"]
    assert half.estimate == pytest.approx(0.5, abs=0.01)
    assert half.low is not None and 0.3 < half.low < 0.5


def test_references_that_lack_a_measure_do_not_count() -> None:
    found = percentiles(OPEN, [SHUT] * 29 + [WORDLESS] * 10)
    assert found["reply_rate"].n == 29 and found["reply_rate"].estimate is None
    assert found["commercial"].n == 39 and found["commercial"].estimate is not None


def test_what_is_not_measured_has_its_own_reason() -> None:
    found = percentiles(WORDLESS, [OPEN] * 40)
    assert list(found) == list(measures(WORDLESS))
    assert found["reply_rate"] == Share(reason=NO_REPLIES)
    assert all(share.measurable or share.reason for share in found.values())


@pytest.mark.parametrize("subject", ["", "*", " "])
def test_a_subject_without_letters_is_refused(subject: str) -> None:
    with pytest.raises(ConfigError, match="expected a word"):
        relevance(about(20, "ciao"), subject)
