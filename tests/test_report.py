"""The report: what it says in both languages, what it keeps back, how it stands in a browser."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from intimacy import prevalence, report
from intimacy.annotation import VALUES
from intimacy.bundle import open_bundle
from intimacy.disclosure import Disclosure
from intimacy.prediction import Prediction, Signs, Structure
from intimacy.profiling import composites, evaluate, sampling, tally
from intimacy.profiling.indices import BY_NAME
from intimacy.schema import Label, Measure, Period, Profile, Reason, Role, Share
from intimacy.wording import (
    FEW,
    LANGUAGES,
    MADE_OF,
    MAIN_INDICES,
    OF_POSTS,
    SUPPRESSED,
    hidden,
    told,
    words,
)

SOURCE = ROOT / "src" / "intimacy"
RESOURCES = SOURCE / "resources"
START = datetime(2026, 1, 10, 9, tzinfo=timezone.utc)
DAY = date(2026, 11, 26)
EVIL = "<script>alert(1)</script>"


def example(
    creator: str | None = "giulia", n: int = 240, *, answered: float = 0.6, seed: int = 1
) -> Profile:
    """A profile of made-up predictions over ten months, whose mix changes half way."""
    rng = random.Random(seed)
    labels = [*Label]
    predictions = []
    for i in range(n):
        late = i > n / 2
        label = rng.choices(labels, [5, 2, 2, 1] if late else [1, 2, 5, 3])[0]
        replies = rng.random() < answered
        roles = (Role.FOLLOWER, Role.CREATOR) if replies else (Role.FOLLOWER,)
        asked = START + timedelta(hours=i * 7_200 / n)
        times = (asked, asked + timedelta(hours=rng.expovariate(0.2)))[: len(roles)]
        reason = {7: Reason.OUT_OF_SCOPE, 11: Reason.LOW_CONFIDENCE}.get(i % 40)
        cues = {name: 1 for name in ("question", "emoji", "trust", "source") if rng.random() < 0.4}
        sure = {str(name): 0.94 if name == label else 0.02 for name in labels}
        predictions.append(
            Prediction(
                thread_id=f"t{i}",
                label=None if reason else label,
                reason=reason,
                scores=sure,
                attributes={
                    "product_salience": 3 if label is Label.COMMERCIAL else 0,
                    "creator_response": rng.choice(("token", "contingent")) if replies else "none",
                    "stance": rng.choices(VALUES["stance"], [5, 5, 2, 0])[0],
                    "cocreation": rng.random() < 0.2,
                    "parasocial": False,
                    "informs": replies and rng.random() < 0.5,
                    "purchase_signal": "none",
                    "follower_disclosure": 0,
                    "disclosure_depth": 0,
                },
                structure=Structure(
                    roles=roles,
                    author_ids=(f"f{rng.randrange(60)}", creator)[: len(roles)],
                    created_at=times,
                    has_caption=True,
                    published_at=asked,
                    signs=Signs(
                        cues=cues,
                        templates=(None, i)[: len(roles)],
                        readability=(300, 60, 4),
                        disclosure=Disclosure(
                            tier=("none", "cue", "sufficient")[i % 3], in_position=True
                        ),
                    ),
                ),
                creator_id=creator,
                post_id=f"p{i * 20 // n}",
                model_id="m@1",
            )
        )
    return evaluate(tally(predictions), open_bundle(), frame="newest")


@pytest.fixture(scope="module")
def three() -> list[Profile]:
    return [example("giulia"), example("paola", answered=0.2, seed=2), example(EVIL, 30, seed=3)]


def page_of(*profiles: Profile, language: str = "it", **more: Any) -> str:
    return report.html(profiles, language=language, created=DAY, **more)


def seen(page: str) -> str:
    """What a page says, without its marks."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    plain = re.sub(r"<[^>]+>", " ", body)
    for code, sign in (("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&amp;", "&")):
        plain = plain.replace(code, sign)
    return re.sub(r"\s+", " ", plain)


# -- the page

ENGLISH = re.compile(
    r"\b(?:the|of|not|threads|with|interval|reply|share|and|shown|measurable|estimate)\b", re.I
)


def test_the_italian_page_holds_no_english(three: list[Profile]) -> None:
    for profiles in (three, three[:2], three[:1]):
        page = page_of(*profiles)
        assert 'lang="en"' not in page and '<html lang="it">' in page
        assert not ENGLISH.findall(seen(page))
    assert "stima, non misura certa" in page
    assert "an estimate, not a certain measurement" in page_of(*three, language="en")


def test_what_nobody_translated_is_marked() -> None:
    odd = replace(example(n=30), notes=("something new",))
    assert '<span lang="en">something new</span>' in page_of(odd)
    assert "something new" in page_of(odd, language="en")


def test_the_page_needs_no_network_and_escapes(three: list[Profile]) -> None:
    for profiles in (three, three[1:]):
        page = page_of(*profiles, responsible=EVIL)
        assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert not re.search(r"\bsrc=|url\(|@import|https?://|<link|<img", page)
        assert set(re.findall(r'href="([^"]*)"', page)) <= {"#c1", "#c2", "#c3", "#compare"}


def test_the_page_states_what_it_rests_on(three: list[Profile]) -> None:
    first = three[0]
    page = seen(page_of(first, responsible="Ufficio ricerca"))
    for said in (
        f"240 thread · 20 post · {first.n_followers} follower (pseudonimi)",
        "10 gennaio 2026",
        "i commenti più recenti",
        "26 novembre 2026",
        "Ufficio ricerca",
        "m@1",
        "codebook 2",
        words("it").percent(first.coverage or 0),
        words("it").count(first.n_effective),
        "fuori ambito: spam, follower tra loro, illeggibile 6",
        "12 thread, 5\u00a0% del totale",
    ):
        assert said.replace("\u00a0", " ") in page, said
    assert first.changes and words("it").month(first.changes[0]) in page
    assert "Il mix cambia, al mese" in page and "Tempo mediano" in page
    for measure in first.indices.values():
        assert words("it").data["indices"][measure.name]["name"] in page
    assert page.count("sperimentale ") >= sum(m.experimental for m in first.indices.values())
    assert "Responsabile" not in seen(page_of(first))


def test_every_table_and_drawing_has_a_name(three: list[Profile]) -> None:
    for profiles in (three, three[:2]):
        page = page_of(*profiles)
        assert page.count("<table") == page.count("<caption>") > 20
        for drawing in re.findall(r"<svg[^>]*>\s*<title>[^<]+</title>|<svg", page):
            assert 'role="img"' in drawing and "<title>" in drawing
        for cell in re.findall(r"<th\b[^>]*>", page):
            assert "scope=" in cell


def test_two_profiles_are_compared_measure_by_measure(three: list[Profile]) -> None:
    page = seen(page_of(*three[:2], language="en"))
    assert "giulia (A) and paola (B)" in page and "Difference A − B" in page
    rate = page.rindex("Reply rate ")
    assert "clear: A higher, > 99%" in page[rate : rate + 200].replace("\u00a0", " ")
    assert "not clear:" in page and "Not compared:" in page


def test_more_profiles_stand_side_by_side_without_a_score(three: list[Profile]) -> None:
    page = page_of(*three, language="en")
    assert page.count('<table class="index"><caption><h3>') == len(MAIN_INDICES)
    for name in MAIN_INDICES:
        assert f"<h3>{words('en').data['indices'][name]['name']}</h3>" in page
    assert "no ranking" in page and "probability of being" not in page
    assert 'id="compare"' not in page_of(three[0]) and "Difference" not in page_of(three[0])


def test_a_profile_with_nothing_in_it_still_makes_a_page() -> None:
    empty = evaluate(tally([]), open_bundle())
    bare = replace(empty, versions={}, notes=("7 threads may speak of self-harm: a person should "
                                              "read them, today",))  # fmt: skip
    for profiles in ([], [empty], [bare, empty], [bare, empty, empty]):
        for language in LANGUAGES:
            assert report.html(profiles, language=language)
    page = page_of(bare)
    assert page.index("Da leggere subito") < page.index("Le quattro intimità")
    assert "Creator non identificato" in page


# -- what is too small to be told


def few(profile: Profile) -> Profile:
    """The profile with small counts everywhere."""
    return replace(
        profile,
        n_followers=3,
        n_minors=2,
        n_incomplete=1,
        n_effective=3.4,
        abstentions={"out_of_scope": 4, "not_italian": 7},
        counts={**profile.counts, "disclosive": 3},
        indices={
            **profile.indices,
            "trust_per_100": replace(
                profile.indices["trust_per_100"],
                estimate=None,
                n=2,
                reason="not shown: 2 cases, at least 20 needed",
            ),
        },
        mix_over_time=(replace(profile.mix_over_time[0], n_threads=4),),
        notes=("1 threads younger than 72 hours are left out of reply rates",),
    )


def least(profile: Profile) -> str:
    """The label, but for disclosive, that the fewest threads have."""
    counts = {name: n for name, n in profile.counts.items() if name != "disclosive"}
    return min(counts, key=lambda name: counts[name])


def test_small_counts_are_not_told(three: list[Profile]) -> None:
    profile = few(three[0])
    (data,) = json.loads(report.to_json([profile]))
    gone = ["n_followers", "n_incomplete", "n_minors", "n_effective", "abstentions.out_of_scope"]
    gone += ["abstentions.not_italian", f"counts.{least(three[0])}", "counts.disclosive"]
    gone += ["mix_over_time.0.n_threads", "other_estimates.counted", "other_estimates.acc"]
    gone += ["reply_curve"]
    assert data["suppressed"] == gone
    assert data["n_minors"] is data["counts"]["disclosive"] is data["n_effective"] is None
    assert data["abstentions"] == {"out_of_scope": None, "not_italian": None}
    raw, trust = data["raw_shares"]["disclosive"], data["indices"]["trust_per_100"]
    assert raw["estimate"] is None and raw["reason"] == SUPPRESSED
    assert trust["n"] is None
    assert trust["reason"] == f"not shown: {FEW} cases, at least 20 needed; {SUPPRESSED}"
    assert data["notes"] == [f"{FEW} threads younger than 72 hours are left out of reply rates"]
    assert data["shares"]["disclosive"]["estimate"] == three[0].shares["disclosive"].estimate

    rows = {
        (r["kind"], r["name"]): r for r in csv.DictReader(io.StringIO(report.to_csv([profile])))
    }
    assert rows["raw_share", "disclosive"]["estimate"] == ""
    assert SUPPRESSED in rows["raw_share", "disclosive"]["reason"]
    assert rows["index", "trust_per_100"]["n"] == ""
    assert SUPPRESSED in rows["index", "trust_per_100"]["reason"]
    tiny = list(csv.DictReader(io.StringIO(report.to_csv([replace(profile, n_threads=4)]))))
    assert all(row["n_threads"] == "" and SUPPRESSED in row["reason"] for row in tiny)

    text = report.text(profile)
    assert f"{FEW} followers" in text and "— out_of_scope, — not_italian" in text
    for language in LANGUAGES:
        page = seen(page_of(profile, language=language))
        assert page.count(FEW) >= 5 and page.count(words(language).data["page"]["hidden"]) == 2
        assert not re.search(r"(?<![\d.,–])[1-4] (?:threads?|follower|casi|cases)\b", page)
    assert f"Senza etichetta {FEW}" not in seen(page_of(profile)), "eleven are told"


def test_a_curve_of_too_few_threads_is_not_drawn() -> None:
    little = example(n=8)
    assert little.reply_curve and "<polygon" not in page_of(little)
    (data,) = json.loads(report.to_json([little]))
    assert data["reply_curve"] == [] and "reply_curve" in data["suppressed"]


# -- what gives away what is too small to be told

REST = {"low_confidence": 8, "out_of_scope": 9}
FOUR = (60, 50, 70, 40)


def mixed(profile: Profile, counts: tuple[int, ...] = FOUR, rest: dict[str, int] = REST) -> Profile:
    """The profile with other counts, and with all that says the same as they do."""
    n, n_scope = sum(counts), sum(counts) + rest.get("low_confidence", 0)
    by_label = dict(zip(map(str, Label), counts, strict=True))
    counted = {name: round(k / n_scope, 4) for name, k in by_label.items()}
    return replace(
        profile,
        n_threads=n + sum(rest.values()),
        n_labelled=n,
        abstentions=rest,
        counts=by_label,
        coverage=n / n_scope,
        shares={name: replace(share, n=n_scope) for name, share in profile.shares.items()},
        raw_shares={name: prevalence.rate(k, n) for name, k in by_label.items()},
        other_estimates={"counted": counted, "acc": counted, "pcc": dict.fromkeys(by_label, 0.25)},
        mix_over_time=(Period(start=START, n_threads=n, shares=profile.shares),),
    )


def forms(*profiles: Profile) -> list[str]:
    """All that is passed on of profiles."""
    pages = [page_of(*profiles, language=language) for language in LANGUAGES]
    texts = [report.text(profile) for profile in profiles]
    return [report.to_json(profiles), report.to_csv(profiles), *texts, *pages]


@pytest.mark.parametrize(
    ("counts", "rest", "counts_too", "rest_too"),
    [
        ((3, 7, 100, 118), REST, (2, 8, 100, 118), REST),
        ((1, 1, 100, 120), REST, (2, 1, 99, 120), REST),
        ((4, 4, 100, 120), REST, (3, 5, 100, 120), REST),
        ((0, 0, 4, 224), REST, (0, 0, 3, 225), REST),
        (
            FOUR,
            {**REST, "empty": 1, "invalid": 1},
            FOUR,
            {**REST, "out_of_scope": 8, "empty": 2, "invalid": 1},
        ),
        (FOUR, {**REST, "empty": 3, "invalid": 6}, FOUR, {**REST, "empty": 2, "invalid": 7}),
        (FOUR, {**REST, "low_confidence": 3}, (60, 50, 70, 41), {**REST, "low_confidence": 2}),
        (FOUR, {"low_confidence": 1}, (60, 50, 70, 39), {"low_confidence": 2}),
        (
            (1, 50, 70, 40),
            {"low_confidence": 1, "out_of_scope": 1},
            (2, 50, 70, 39),
            {"low_confidence": 1, "out_of_scope": 1},
        ),
        ((9, 5, 2, 6), {"low_confidence": 3}, (9, 5, 3, 6), {"low_confidence": 2}),
    ],
)
def test_other_counts_would_be_told_alike(
    three: list[Profile],
    counts: tuple[int, ...],
    rest: dict[str, int],
    counts_too: tuple[int, ...],
    rest_too: dict[str, int],
) -> None:
    """What two profiles with different small counts have in common tells neither."""
    one, other = mixed(three[0], counts, rest), mixed(three[0], counts_too, rest_too)
    assert (one.counts, one.abstentions) != (other.counts, other.abstentions)
    assert forms(one) == forms(other)
    assert forms(one, three[1]) == forms(other, three[1])
    (data,) = json.loads(report.to_json([one]))
    assert data["suppressed"]


def test_larger_counts_are_told(three: list[Profile]) -> None:
    whole = mixed(three[0])
    (data,) = json.loads(report.to_json([whole]))
    assert data["suppressed"] == ["reply_curve"]
    assert list(data["counts"].values()) == [*FOUR] and data["abstentions"] == REST
    assert set(data["other_estimates"]) == {"counted", "acc", "pcc"} and data["coverage"]
    assert data["mix_over_time"][0]["n_threads"] == data["n_labelled"] == 220
    assert forms(whole) != forms(mixed(three[0], (61, 49, 70, 40)))


def reckoned(profile: Profile) -> list[str]:
    """Small counts that follow from the sums of what a report tells."""
    (data,) = json.loads(report.to_json([profile]))
    names = [*(f"c.{n}" for n in data["counts"]), *(f"a.{n}" for n in data["abstentions"])]
    names += [
        "labelled",
        "threads",
        "scope",
        *(f"s.{i}" for i in range(len(profile.mix_over_time))),
    ]
    rows = []

    def equal(total: str, parts: list[str]) -> None:
        rows.append([(n in parts) - (n == total) for n in names])

    low = [n for n in names if n == "a.low_confidence"]
    equal("labelled", [n for n in names if n.startswith("c.")])
    equal("threads", ["labelled", *(n for n in names if n.startswith("a."))])
    equal("scope", ["labelled", *low])
    equal("scope", [n for n in names if n.startswith("s.")])
    seen = {f"c.{n}": k for n, k in data["counts"].items()}
    seen |= {f"a.{n}": k for n, k in data["abstentions"].items()}
    seen |= {"labelled": data["n_labelled"], "threads": data["n_threads"]}
    for name, share in data["raw_shares"].items():
        # A share as counted tells the count where the whole is told, and the other way round.
        if share["estimate"] and (seen[f"c.{name}"] or seen["labelled"]):
            seen |= {f"c.{name}": profile.counts[name], "labelled": profile.n_labelled}
    for i, period in enumerate(data["mix_over_time"]):
        seen[f"s.{i}"] = next(iter(period["shares"].values()))["n"]
    # Either makes labelled threads of those in scope, and so tells both.
    if data["coverage"]:
        assert seen["labelled"] is not None and None not in {seen[n] for n in low}
    if {"counted", "acc"} & set(data["other_estimates"]):
        assert None not in data["counts"].values()
    # Figures have the threads in scope as their n, so that these are always known.
    known = {"scope", *(n for n, k in seen.items() if k is not None)}
    rows += [[int(n == name) for n in names] for name in known]
    rank = np.linalg.matrix_rank(np.array(rows))
    true = {f"c.{n}": k for n, k in profile.counts.items()}
    true |= {f"a.{n}": k for n, k in profile.abstentions.items()}
    true |= {f"s.{i}": next(iter(p.shares.values())).n or 0
             for i, p in enumerate(profile.mix_over_time)}  # fmt: skip
    true |= {"labelled": profile.n_labelled, "threads": profile.n_threads}
    return [
        name
        for name, k in true.items()
        if hidden(k)
        and np.linalg.matrix_rank(np.array([*rows, [int(n == name) for n in names]])) == rank
    ]


def test_no_sum_gives_a_small_count_away(three: list[Profile]) -> None:
    rng = random.Random(7)
    sizes = [0, 1, 2, 3, 4, 5, 6, 9, 40, 80]
    n_small = 0
    for _ in range(400):
        counts = tuple(rng.choice(sizes) for _ in Label)
        rest = {str(r): n for r in Reason if (n := rng.choice(sizes)) and rng.random() < 0.5}
        profile = mixed(three[0], counts, rest)
        n_scope = profile.n_labelled + rest.get("low_confidence", 0)
        first = min(rng.choice(sizes), n_scope)
        second = min(rng.choice(sizes), n_scope - first)
        periods = tuple(
            Period(start=START, n_threads=n // 2, shares={"commercial": Share(n=n)})
            for n in (first, second, n_scope - first - second)
        )
        profile = replace(profile, mix_over_time=periods)
        if n_scope >= 5:
            # How many were left out is told; where one reason left them all out, so is that one.
            outside = [f"a.{name}" for name in rest if name != "low_confidence"]
            known = set(reckoned(profile)) - set(outside if len(outside) == 1 else ())
            assert not known, (counts, rest, periods)
            n_small += any(map(hidden, (*counts, *rest.values())))
    assert n_small > 300


def shared(measure: Measure, hits: int, n: int) -> Measure:
    """The measure of so many hits, as `intimacy.profiling` makes it."""
    hit = np.arange(n) < hits
    scale = 100 if measure.unit != "share" else 1
    draws = scale * sampling.proportion(hit, np.arange(n) % 7 + 1, np.arange(n) + 1)
    middle, low, high = prevalence.summary(draws, 0.9, estimate=scale * hits / n)
    return replace(measure, estimate=middle, low=low, high=high, n=n,
                   quantiles=Share.grid(draws), reason=None)  # fmt: skip


SHARES = ("reply_rate", "emoji_share", "returning_share", "trust_per_100", "sourced_share")


def with_hits(profile: Profile, hits: int, n: int) -> Profile:
    found = {name: shared(profile.indices[name], hits, n) for name in SHARES}
    for name, parts in MADE_OF.items():
        estimates = [found[part].estimate or 0.0 for part in parts if part in found]
        if estimates:
            found[name] = replace(profile.indices[name], estimate=sum(estimates), low=0.0,
                                  high=1.0, n=n, quantiles=(0.5,) * 32)  # fmt: skip
    curve = tuple((hours, round(hits / n, 4)) for hours, _ in profile.reply_curve)
    found["reply_latency_hours"] = replace(
        profile.indices["reply_latency_hours"], estimate=None, low=None, high=None, quantiles=(),
        n=None, reason=f"not reached: {hits / n:.0%} of the threads were ever answered",
    )  # fmt: skip
    return replace(profile, indices={**profile.indices, **found}, reply_curve=curve)


@pytest.mark.parametrize("n", [20, 100, 234])
def test_shares_of_few_cases_are_told_alike(three: list[Profile], n: int) -> None:
    """Neither an estimate, an interval, a mean of parts nor the curve of replies tells them."""
    first, other = three[0], with_hits(three[1], 10, n)
    few = [with_hits(first, hits, n) for hits in range(1, 5)]
    assert all(forms(profile) == forms(few[0]) for profile in few[1:])
    assert forms(few[0], other) == forms(few[3], other)
    assert forms(few[0], other, other) == forms(few[3], other, other)
    lacking = [with_hits(first, n - hits, n) for hits in range(1, 5)]
    lacking = [replace(p, indices={**p.indices, "reply_latency_hours": few[0].indices[
        "reply_latency_hours"]}) for p in lacking]  # fmt: skip
    assert all(forms(profile) == forms(lacking[0]) for profile in lacking[1:])
    assert forms(with_hits(first, 5, n)) != forms(with_hits(first, 6, n)), "five are told"
    assert forms(with_hits(first, 0, n)) != forms(few[0]), "none is told"


def test_few_cases_keep_an_interval_and_say_so(three: list[Profile]) -> None:
    profile = with_hits(three[0], 2, 100)
    (data,) = json.loads(report.to_json([profile]))
    trust = data["indices"]["trust_per_100"]
    assert trust["estimate"] is None and trust["quantiles"] == [] and trust["n"] == 100
    assert trust["reason"] == "< 5 in 100: rests on fewer than 5 cases" and trust["low"] == 0
    own = profile.indices["trust_per_100"]
    assert own.high is not None and own.high < trust["high"] < 20
    assert data["indices"]["social_presence"]["reason"].startswith("not shown: a part of it")
    assert data["indices"]["social_presence"]["high"] is None
    assert "reply_curve" in data["suppressed"] and data["reply_curve"] == []
    page = page_of(profile)
    assert "&lt; 5 su 100: si basa su meno di 5 casi" in page and 'lang="en"' not in page
    assert "reply rate" in report.text(profile) and "< 5 in 100: rests on" in report.text(profile)
    assert "> 95 in 100: all but fewer than 5 cases" in report.text(with_hits(three[0], 98, 100))


def test_parts_of_means_are_known() -> None:
    assert {index.name for index in composites.INDICES} <= set(MADE_OF)
    assert {*MADE_OF, *itertools.chain(*MADE_OF.values()), *OF_POSTS} <= set(BY_NAME)


def test_nothing_that_a_profile_tells_is_a_small_part_of_its_cases(three: list[Profile]) -> None:
    for data in json.loads(report.to_json(three)):
        for group in (data["shares"], data["raw_shares"], data["indices"]):
            for name, share in group.items():
                scale = 100 if share.get("unit", "share").startswith("per 100") else 1
                hits = (share["estimate"] or 0) / scale * (share["n"] or 0)
                whole = abs(hits - round(hits)) < 1e-6 and share.get("unit") != "0 to 1"
                assert not (whole and hidden(round(hits))) or name in OF_POSTS | {*MADE_OF}, name
    for row in csv.DictReader(io.StringIO(report.to_csv(three))):
        if row["estimate"] and row["n"] and row["unit"] in ("share", "per 100 threads"):
            hits = float(row["estimate"]) / (1 if row["unit"] == "share" else 100) * int(row["n"])
            whole = abs(hits - round(hits)) < 1e-6 and row["name"] not in OF_POSTS | {*MADE_OF}
            assert not (whole and hidden(round(hits))), row["name"]


# -- for terminals and programs


def test_the_text_is_compact(three: list[Profile]) -> None:
    first = three[0]
    text = report.text(first)
    assert text.startswith(
        f"giulia: 240 threads, 20 posts, {first.n_followers} followers; 2026-01-10 "
    )
    assert re.search(r"^reply rate +0\.\d\d  \[0\.\d\d, 0\.\d\d\]$", text, re.M)
    measured = [m for m in told(first).indices.values() if m.measurable or m.low is not None]
    left = sum(m.experimental for m in measured)
    assert f"{left} experimental indices and {len(first.indices) - len(measured)} that are" in text
    for measure in told(first).indices.values():
        line = re.search(rf"^{measure.name.replace('_', ' ')} +-?\d", text, re.M)
        assert bool(line) == (measure.measurable and not measure.experimental), measure.name
    assert text.endswith("an estimate, not a measurement") and len(text.splitlines()) < 50
    assert "1 post;" in report.text(replace(first, n_posts=1, n_followers=None))


def test_tables_carry_every_measure(three: list[Profile]) -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv(three))))
    assert len(rows) == sum(len(p.rows()) for p in three)
    assert {row["creator_id"] for row in rows} == {"giulia", "paola", EVIL}
    assert float(rows[0]["estimate"]) == three[0].shares["commercial"].estimate
    data = json.loads(report.to_json(three))
    assert data[0]["window"][0] == "2026-01-10T09:00:00+00:00"
    assert data[1]["indices"]["reply_rate"]["caveat"] and report.to_csv([]).startswith("creator_id")


def test_bars_show_where_the_figure_may_lie() -> None:
    def measure(unit: str, *values: float) -> Measure:
        low, middle, high = values
        return Measure(name="m", concept="c", source="model", caveat="", unit=unit,
                       estimate=middle, low=low, high=high)  # fmt: skip

    rising = report._bar(measure("share", 0.2, 0.3, 0.5), "share")
    assert rising is not None and (rising["from"], rising["to"], rising["high"]) == (0, 20, 50)
    falling = report._bar(measure("difference", -0.6, -0.4, -0.2), "difference")
    assert falling is not None and (falling["from"], falling["to"]) == (40, 50)
    across = report._bar(measure("difference", -0.2, 0.0, 0.4), "difference")
    assert across is not None and across["from"] == across["to"] == 50
    assert report._bar(measure("per 100 threads", 80, 120, 160), "per 100 threads") is None
    assert report._bar(measure("hours", 1, 2, 3), "hours") is None
    assert report._bar(Share(), "share") is None


# -- in a browser

DEBIAN = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Where Chromium is; without one there is nothing to test, except where all must be tested."""
    if found := os.environ.get("INTIMACY_CHROMIUM"):
        return found
    if Path(DEBIAN).exists():
        return DEBIAN
    said = f"no {DEBIAN}: install Chromium, or say where it is in INTIMACY_CHROMIUM"
    pytest.fail(said) if os.environ.get("CI") == "1" else pytest.skip(said)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield launched
        launched.close()


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("n", [2, 3])
def test_the_page_in_a_browser(
    browser: Any, three: list[Profile], tmp_path: Path, language: str, n: int
) -> None:
    """Every size and colour scheme: one request, no violation, nothing wider than the screen."""
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "profile.html"
    path.write_text(page_of(*three[-n:], language=language, responsible=EVIL), "utf-8")
    for scheme, width in itertools.product(("light", "dark"), (1280, 360)):
        # The page forbids itself to load anything; that is lifted, to see whether it would try.
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
        )
        page, requests, said = context.new_page(), [], []
        page.on("request", lambda request, to=requests: to.append(request.url))
        page.on("dialog", lambda dialog, to=said: (to.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} px on a screen of {width}"
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        shot = tmp_path / f"{scheme}-{width}.png"
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 50_000
        assert requests == [path.as_uri()] and said == []
        context.close()


@pytest.mark.slow
def test_the_page_in_print(browser: Any, three: list[Profile], tmp_path: Path) -> None:
    path, out = tmp_path / "profile.html", tmp_path / "profile.pdf"
    path.write_text(page_of(three[0]), "utf-8")
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    page.pdf(path=out, format="A4", print_background=True)
    assert out.read_bytes().startswith(b"%PDF-") and out.stat().st_size > 50_000
    page.emulate_media(media="print")
    folded = "[...document.querySelectorAll('details > :not(summary)')]"
    assert page.evaluate(f"{folded}.every(e => e.checkVisibility())"), "on paper nothing is folded"
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)", "paper is white, whatever the screen is"
    page.close()
