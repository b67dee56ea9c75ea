"""Estimators of profiles against values computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import comb, log

import numpy as np
import pytest
from test_profiling import BUNDLE, MIX, NOON, prediction, profile_of, timed

from intimacy import prevalence
from intimacy.disclosure import Disclosure
from intimacy.prediction import Prediction, Signs
from intimacy.profiling import behaviours, sampling, tally
from intimacy.profiling.index import Found
from intimacy.schema import Label

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def floats(*values: float) -> sampling.Floats:
    return np.array(values, dtype=np.float64)


def keys(*values: int) -> sampling.Ints:
    return np.array(values, dtype=np.int64)


def bools(*values: int) -> np.ndarray:
    return np.array(values, dtype=bool)


# -- inequality


def test_gini() -> None:
    assert sampling.gini(floats(1, 1, 1, 1)) == pytest.approx(0)
    assert sampling.gini(floats(0, 0, 0, 4)) == pytest.approx(1)
    # 2 · (1·1 + 2·2 + 3·3) / (3 · 6) - 4/3 = 2/9, times 3/2
    assert sampling.gini(floats(3, 1, 2)) == pytest.approx(1 / 3)
    assert sampling.gini(floats(3, 1, 2), floats(7, 7, 7)) == pytest.approx(1 / 3)
    assert np.isnan(sampling.gini(floats(3))) and np.isnan(sampling.gini(floats(0, 0)))


def test_share_of_the_busiest_tenth() -> None:
    assert sampling.top_share(floats(*[1] * 9, 11)) == pytest.approx(11 / 20)
    # A tenth of five people is half of the first.
    five = floats(1, 6, 1, 1, 1)
    assert sampling.top_share(five) == pytest.approx(0.3)
    assert sampling.top_share(five, floats(4, 4, 4, 4, 4)) == pytest.approx(0.3)
    assert sampling.top_share(five, share=1.0) == pytest.approx(1)
    doubled = sampling.top_share(floats(6, 6, 1, 1))
    assert sampling.top_share(floats(6, 1, 1), floats(2, 1, 1)) == pytest.approx(doubled)


# -- waiting


TIMES, EVENTS = floats(1, 2, 2, 2, 3), bools(1, 1, 1, 0, 1)


def test_kaplan_meier_with_ties_and_censoring() -> None:
    # 4/5; then two of the four who are left, one after the other; one leaves; the last one.
    survival = sampling.kaplan_meier(TIMES, EVENTS)
    assert survival == pytest.approx([0.8, 0.6, 0.4, 0.4, 0.0])
    assert sampling.kaplan_meier(TIMES, bools(1, 1, 1, 0, 0))[-1] == pytest.approx(0.4)


def test_a_weight_of_two_is_the_row_twice() -> None:
    weights = keys(1, 2, 1, 2, 1)
    weighted = sampling.kaplan_meier(TIMES, EVENTS, weights.astype(float))
    doubled = sampling.kaplan_meier(np.repeat(TIMES, weights), np.repeat(EVENTS, weights))
    assert weighted == pytest.approx(doubled[weights.cumsum() - 1])


@pytest.mark.parametrize("n", range(2, 101, 2))
def test_the_median_is_reached_at_exactly_one_half(n: int) -> None:
    """Products of many fractions come out a hair above one half."""
    time = np.arange(1.0, n + 1)
    assert sampling._median(time, np.ones(n, dtype=bool)) == n / 2
    # Half happen, the others are never seen to.
    assert sampling._median(time, time <= n / 2) == n / 2
    assert sampling._median(time, time < n / 2) == float("inf")


# -- divergence and cuts


def test_jensen_shannon() -> None:
    same = floats(30, 20, 50)
    assert sampling.jensen_shannon(same, same) <= 0
    # p = (1, 0), q = (½, ½): ½ log2(4/3) + ½ (½ log2(2/3) + ½ log2(2)) = 0.31128, less chance
    first, second = floats(8, 0), floats(10, 10)
    chance = 1 / (8 * log(2)) * (1 / 8 + 1 / 20)
    once = sampling.jensen_shannon(first, second)
    assert once == pytest.approx(0.311278 - chance, abs=1e-6)
    assert sampling.jensen_shannon(second, first) == pytest.approx(once)
    assert sampling.jensen_shannon(first, second, chances=2) == pytest.approx(once - chance)
    far = sampling.jensen_shannon(floats(50_000, 0, 0), floats(0, 30_000, 20_000))
    assert far == pytest.approx(1, abs=1e-3)
    # A category that occurs nowhere adds no chance.
    padded = sampling.jensen_shannon(floats(8, 0, 0), floats(10, 10, 0))
    assert padded == pytest.approx(once)
    assert np.isnan(sampling.jensen_shannon(floats(0, 0), same[:2]))


def test_what_chance_adds_is_taken_off_on_average() -> None:
    rng, mix = np.random.default_rng(1), [0.4, 0.3, 0.2, 0.1]
    pairs = rng.multinomial(60, mix, size=(2_000, 2)).astype(float)
    gaps = [sampling.jensen_shannon(first, second) for first, second in pairs]
    assert np.mean(gaps) == pytest.approx(0, abs=1e-3)


def test_cuts() -> None:
    def cuts(*bins: Sequence[float], least: int = 30) -> list[int]:
        return sampling.change_points(np.array(bins, dtype=np.float64), least=least)

    assert cuts(*[(10, 10, 10)] * 8) == []
    assert cuts(*[(40, 0)] * 3, *[(0, 40)] * 2) == [3]
    assert cuts(*[(40, 5, 5)] * 3, *[(5, 40, 5)] * 2, *[(5, 5, 40)] * 4) == [3, 5]
    assert cuts((200, 0), (0, 30)) == [1]
    assert cuts((200, 0), (0, 29)) == [], "a stretch must hold thirty"
    assert cuts((200, 0), (0, 29), least=29) == [1]
    assert cuts((9, 0), (0, 9)) == [] and cuts((200, 0)) == []


def test_posts_of_alike_comments_are_no_change_of_the_mix() -> None:
    """Ten posts a month, ten threads a post that all have the label of their post."""
    found, naive = [], []
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(4, size=(24, 10)).repeat(10, axis=1)
        counts = np.array([np.bincount(row, minlength=4) for row in labels], dtype=np.float64)
        posts = np.arange(1, 241).repeat(10)
        one_hot = np.eye(4)[labels.ravel()]
        effect = sampling.design_effect(one_hot, posts, np.zeros(2_400, dtype=np.int64))
        assert effect == pytest.approx(10, rel=0.01)
        found.append(len(sampling.change_points(counts / effect)))
        naive.append(len(sampling.change_points(counts)))
    assert sum(found) == 0
    assert min(naive) > 0, "taken as independent it would be one"


# -- threads that hang together


ALIKE = floats(1, 1, 1, 0, 0, 0, 0, 1)
POSTS = keys(1, 1, 1, 1, 2, 2, 2, 2)
AUTHORS = keys(1, 1, 2, 2, 3, 3, 3, 1)
# Residuals are ½ or -½, their squares sum to 2.
# Posts: sums 1 and -1, (1 + 1) · 2/1 = 4. Authors: 1½, 0, -1½, (2¼ + 2¼) · 3/2 = 6¾.
# Both: 1, 0, -1½, ½, (1 + 2¼ + ¼) · 4/3 = 14/3. Alone: 2 · 8/7.
# (4 + 6¾ - 14/3) / (16/7) = 73/24 · 7/8.
EFFECT = 73 / 24 * 7 / 8


def test_two_way_design_effect_by_hand() -> None:
    values = ALIKE
    assert sampling.design_effect(values, POSTS, AUTHORS) == pytest.approx(EFFECT)
    assert sampling.design_effect(values, AUTHORS, POSTS) == pytest.approx(EFFECT)
    assert sampling.design_effect(5 - 3 * values, POSTS, AUTHORS) == pytest.approx(EFFECT)
    columns = np.column_stack([values, 1 - values])
    assert sampling.design_effect(columns, POSTS, AUTHORS) == pytest.approx(EFFECT)
    big = keys(*(AUTHORS * 2**60 // 3))
    assert sampling.design_effect(values, POSTS, big) == pytest.approx(EFFECT), "keys are hashes"


def test_design_effect_of_independent_and_of_alike_threads() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(2, size=4_000).astype(float)
    alone = np.zeros(4_000, dtype=np.int64)
    assert sampling.design_effect(values, alone, alone) == pytest.approx(1, abs=1e-3)
    own = np.arange(1, 4_001)
    assert sampling.design_effect(values, own, own) == pytest.approx(1, abs=1e-3)
    mixed = rng.integers(1, 801, size=4_000), rng.integers(1, 801, size=4_000)
    assert sampling.design_effect(values, *mixed) == pytest.approx(1, abs=0.25)
    # Twenty posts of ten, one value each: ten times the variance, 20/19 for few posts against
    # 200/199 for threads.
    posts = np.arange(1, 21).repeat(10)
    each = (posts % 2).astype(float)
    found = sampling.design_effect(each, posts, alone[:200])
    assert found == pytest.approx(200 / 19 * 199 / 200)
    assert sampling.design_effect(each, alone[:200], posts) == found
    assert sampling.design_effect(np.ones(9), posts[:9], alone[:9]) == 1.0
    assert sampling.design_effect(floats(1), keys(1), keys(1)) == 1.0


def test_a_proportion_counts_cases_for_less_than_one() -> None:
    # Twenty posts of ten alike, ten of them hit: 100 of 200 count as 9½ of 19.
    posts = np.arange(1, 21).repeat(10)
    drawn = sampling.proportion(posts % 2 > 0, posts, np.zeros(200, dtype=np.int64))
    # Beta(10, 10) has variance 1 / (4 · 21).
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.var() == pytest.approx(1 / 84, rel=0.1)
    assert prevalence.rate_draws(0.25, 0.75).mean() == pytest.approx(0.75 / 1.75, abs=0.02)


def test_mean_count() -> None:
    nothing = np.zeros(50, dtype=np.int64)
    none = sampling.mean_count(np.zeros(50), nothing, nothing)
    assert none.min() >= 0 and none.mean() == pytest.approx(0.01, rel=0.1)
    same = sampling.mean_count(np.full(50, 3.0), nothing, nothing)
    assert same == pytest.approx(np.full(len(same), 3.0))
    counts = np.random.default_rng(4).poisson(2, size=400).astype(float)
    alone = np.zeros(400, dtype=np.int64)
    drawn = sampling.mean_count(counts, alone, alone)
    assert drawn.mean() == pytest.approx(counts.mean(), rel=0.01)
    assert drawn.std() == pytest.approx(counts.std() / 20, rel=0.1)
    posts = np.arange(1, 41).repeat(10)
    alike = sampling.mean_count(np.sort(counts), posts, alone)
    assert alike.std() > 2.5 * drawn.std(), "three times, where posts of ten are alike"


# -- through a profile


def spoken(
    turns: Sequence[tuple[str, str, datetime]],
    label: str = "interactive",
    templates: Sequence[int | None] = (),
    **more: object,
) -> Prediction:
    """A thread out of (role, author, time)."""
    item = prediction(label, [role for role, _, _ in turns], **more)
    structure = replace(
        item.structure,
        author_ids=tuple(author for _, author, _ in turns),
        created_at=tuple(time for _, _, time in turns),
        signs=Signs(templates=tuple(templates)),
    )
    return replace(item, structure=structure)


def by(authors: Sequence[str]) -> list[Prediction]:
    """A comment an hour by these followers."""
    return [
        spoken([("follower", author, NOON + i * HOUR)], thread_id=f"t{i}", post_id=f"p{i % 8}")
        for i, author in enumerate(authors)
    ]


def test_size_of_the_core() -> None:
    # Once a, b, c; twice d; thrice e: 5 + 3 · 2 / (2 · 2)
    small = behaviours.core_size(tally(by("abcddeee")).facts(), {})
    assert isinstance(small, Found)
    assert small.n == 5 and small.estimate == 6.5
    assert small.draws.min() >= 5
    # f₁ = 10, f₂ = 5: 25 + 10 · 9 / (2 · 6)
    counts = [1] * 10 + [2] * 5 + [3] * 10
    core = profile_of(*by([f"f{i}" for i, n in enumerate(counts) for _ in range(n)]))
    found = core.indices["core_size"]
    assert found.n == 25 and found.estimate == pytest.approx(32.5)
    assert found.low is not None and found.high is not None
    assert 25 < found.low < 32.5 < found.high
    # Chao's own: C = exp(1.645 √ln(1 + var / unseen²)) with var 7.5 + 25.069 + 7.813 = 40.38
    c = np.exp(1.645 * np.sqrt(np.log1p((7.5 + 3610 / 144 + 40500 / 5184) / 7.5**2)))
    assert found.low == pytest.approx(25 + 7.5 / c, rel=0.03)
    assert found.high == pytest.approx(25 + 7.5 * c, rel=0.03)
    full = behaviours.core_size(tally(by("aabbccd")).facts(), {})
    assert isinstance(full, Found) and full.estimate == 4, "one alone tells of nobody unseen"


def test_who_returns() -> None:
    early, late = [f"f{i}" for i in range(20)], [f"f{i}" for i in range(14, 34)]
    found = profile_of(*by([*early, *late])).indices["returning_share"]
    assert found.n == 20 and found.estimate == pytest.approx(6 / 20)
    assert found.low is not None and found.high is not None
    assert 0.1 < found.low < 0.3 < found.high < 0.55


def replies(hours: Sequence[int], roles: Sequence[str] = ("creator",)) -> list[Prediction]:
    """A thread a day, answered at these hours of the day by these in turn."""
    out = []
    for i, hour in enumerate(hours):
        midnight = NOON + i * DAY - 12 * HOUR
        turns = [
            ("follower", f"f{i}", midnight),
            (roles[i % len(roles)], "giulia", midnight + hour * HOUR),
        ]
        out.append(spoken(turns, thread_id=f"t{i}", post_id=f"p{i % 8}"))
    return out


def test_hours_of_replies() -> None:
    one = profile_of(*replies([9] * 240)).indices["reply_hour_entropy"]
    assert one.n == 240 and one.estimate is not None and one.estimate < 0.05
    all_day = profile_of(*replies([i % 24 for i in range(240)])).indices["reply_hour_entropy"]
    assert all_day.estimate is not None and 0.97 < all_day.estimate <= 1
    # Two hours alike: ln 2 / ln 24 = 0.218
    two = profile_of(*replies([9, 21] * 120)).indices["reply_hour_entropy"]
    assert two.estimate == pytest.approx(log(2) / log(24), abs=0.03)


def test_replies_of_staff_and_of_the_same_words() -> None:
    items = replies([10] * 40, roles=["creator", "creator", "creator", "staff"])
    own = [
        spoken([("creator", "giulia", NOON), ("staff", "team", NOON)], thread_id=f"own{i}")
        for i in range(10)
    ]
    found = profile_of(*items, *own).indices["staff_share"]
    assert found.n == 40 and found.estimate == pytest.approx(10 / 40), "own threads do not count"
    # Twelve of one template, two of another, sixteen of their own, ten too short.
    templates: list[int | None] = [7] * 12 + [8] * 2 + list(range(100, 116)) + [None] * 10
    said = [
        replace(
            item, structure=replace(item.structure, signs=Signs(templates=(None, templates[i])))
        )
        for i, item in enumerate(items)
    ]
    same = profile_of(*said).indices["template_share"]
    assert same.n == 30 and same.estimate == pytest.approx(12 / 30)


def naming(*posts: tuple[int, Sequence[str]]) -> list[Prediction]:
    """A thread a post: the day on which it came out and the brands that it names."""
    out = []
    for i, (day, brands) in enumerate(posts):
        said = Disclosure(tier="sufficient", in_position=True, brands=tuple(brands))
        item = prediction("commercial", ["follower"], post_id=f"p{i}", thread_id=f"t{i}")
        structure = replace(
            item.structure,
            published_at=NOON + day * DAY,
            has_caption=True,
            signs=Signs(disclosure=said, readability=(50, 10, 1)),
        )
        out.append(replace(item, structure=structure))
    return out


def test_concentration_of_brands() -> None:
    # Four and two of six: (4 · 3 + 2 · 1) / (6 · 5)
    found = profile_of(*naming(*[(0, ["a"])] * 4, *[(0, ["b"])] * 2))
    concentration = found.indices["brand_concentration"]
    assert concentration.n == 6 and concentration.estimate == pytest.approx(14 / 30)
    alone = profile_of(*naming(*[(0, ["a"])] * 6)).indices["brand_concentration"]
    assert alone.estimate == pytest.approx(1)
    # Twice under one post is one naming of it.
    again = naming(*[(0, ["a"])] * 4, *[(0, ["b"])] * 2)
    twice = profile_of(*again, *(replace(item, thread_id="more") for item in again))
    assert twice.indices["brand_concentration"] == concentration


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_concentration_does_not_depend_on_how_many_posts(n: int) -> None:
    """Of namings at 0.3 to 0.7 it is 0.3² + 0.7² on average, however few."""
    mean = 0.0
    for k in range(n + 1):
        items = naming(*[(0, ["a"])] * k, *[(0, ["b"])] * (n - k))
        found = behaviours.brand_concentration(tally(items).facts(), {})
        assert isinstance(found, Found) and found.estimate is not None
        mean += comb(n, k) * 0.3**k * 0.7 ** (n - k) * found.estimate
    assert mean == pytest.approx(0.58)


def test_brands_that_last() -> None:
    # a: three posts over 90 days; b: three over 89; c: two over 200; d: once, beside a.
    found = profile_of(
        *naming((0, ["a", "d"]), (40, ["a"]), (90, ["a"])),
        *[
            replace(item, post_id=f"q{i}", thread_id=f"u{i}")
            for i, item in enumerate(
                naming((0, ["b"]), (40, ["b"]), (89, ["b"]), (0, ["c"]), (200, ["c"]))
            )
        ],
    )
    lasting = found.indices["lasting_brand_share"]
    assert lasting.n == 9 and lasting.estimate == pytest.approx(3 / 9)


def labelled(labels: Sequence[int], *, days: float) -> list[Prediction]:
    """Threads of these labels over so many days, in posts and of followers of their own."""
    names = [str(label) for label in Label]
    return [
        spoken(
            [("follower", f"f{i}", NOON + i * days * DAY / len(labels)), ("creator", "g", NOON)],
            names[label],
            thread_id=f"t{i}",
            post_id=f"p{i}",
        )
        for i, label in enumerate(labels)
    ]


def consistency(items: Sequence[Prediction]) -> Found:
    found = behaviours.consistency(tally(items).facts(), {})
    assert isinstance(found, Found) and found.estimate is not None
    return found


def test_consistency_where_nothing_changes_and_where_all_does() -> None:
    estimates, means = [], []
    for seed in range(12):
        labels = np.random.default_rng(seed).choice(4, size=480, p=[0.4, 0.3, 0.2, 0.1])
        found = consistency(labelled(labels, days=360))
        assert found.n == 480
        estimates.append(found.estimate)
        means.append(found.draws.mean())
    assert np.mean(np.array(estimates, dtype=float)) > 0.95
    assert np.mean(means) > 0.9, "what is drawn anew holds chance twice"
    moved = profile_of(*labelled([*[0] * 120, *[1] * 120], days=180)).indices["consistency"]
    assert moved.n == 240 and moved.estimate is not None and moved.estimate < 0.05


def test_the_curve_stops_where_nobody_was_followed_longer() -> None:
    items = [
        spoken(
            [("follower", f"f{i}", NOON), ("creator", "g", NOON + (1 if i else 10) * HOUR)],
            thread_id=f"t{i}",
        )
        for i in range(20)
    ]
    curve = profile_of(*items).reply_curve
    assert curve == ((1.0, 0.95), (3.0, 0.95), (6.0, 0.95))


def test_a_median_whose_upper_end_is_not_reached() -> None:
    """Eleven in twenty are answered after two hours, the others never."""
    items = []
    for i in range(100):
        start = NOON + (i // 10) * HOUR
        turns = [("follower", f"f{i}", start)]
        if i % 20 < 11:
            turns.append(("creator", "g", start + 2 * HOUR))
        items.append(spoken(turns, thread_id=f"t{i}", post_id=f"p{i}"))
    # The last time in the export; the first who wait still have waited an hour less.
    late = spoken([("follower", "z", NOON + 50 * HOUR)], thread_id="late", post_id="p0")
    found = profile_of(*items, late).indices["reply_latency_hours"]
    assert found.estimate == 2.0 and found.reason == "the upper end is not reached"
    assert found.low == 2.0 and found.high == 49.0
    few = [item for i, item in enumerate(items) if i % 20 > 4]
    reason = profile_of(*few, late).indices["reply_latency_hours"].reason
    assert reason == "not reached: 39% of the threads were ever answered"


def test_young_threads_are_left_out_or_said_to_be_in() -> None:
    # The last turn comes at 240 hours: those of hours 169 to 239 are young.
    old = profile_of(*timed(240))
    assert "71 threads younger than 72 hours are left out of reply rates" in old.notes
    assert old.indices["reply_rate"].n == 240 - 71
    new = profile_of(*timed(60))
    assert "60 threads younger than 72 hours are in the reply rates: most are" in new.notes
    assert new.indices["reply_rate"].n == 60
    assert not any("left out of reply rates" in note for note in new.notes)


def test_few_posts_speak_for_themselves_alone() -> None:
    def of(n: int) -> list[Prediction]:
        return [replace(item, post_id=f"p{i % n}") for i, item in enumerate(timed(60))]

    few, enough = profile_of(*of(4)), profile_of(*of(5))
    note = "threads of 4 posts: intervals speak of these posts alone"
    assert few.n_effective is None and note in few.notes
    assert enough.n_effective is not None and 0 < enough.n_effective <= 60
    assert not any("speak of these posts" in text for text in enough.notes)
    assert profile_of(*MIX).n_effective is None
    unknown = profile_of(*[replace(item, post_id=None) for item in timed(60)])
    assert unknown.n_effective is not None, "posts that are unknown are not few"
    assert BUNDLE.model_id == unknown.model_id
