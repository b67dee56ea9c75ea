"""Words and numbers of both languages; figures, drawn with Agg and looked at by their parts."""

from __future__ import annotations

import ast
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from test_report import DAY, example

from intimacy import plots
from intimacy.annotation import VALUES
from intimacy.errors import ConfigError, MissingExtraError
from intimacy.profiling.evaluate import FRAMES
from intimacy.profiling.indices import INDICES
from intimacy.schema import Label, Profile, Reason, Share
from intimacy.wording import FEW, LANGUAGES, MAIN_INDICES, discreet, words

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
SOURCE = ROOT / "src" / "intimacy"
RESOURCES = SOURCE / "resources"
Draw = Callable[..., Any]
ONE: list[Draw] = [plots.plot_mix, plots.plot_mix_over_time, plots.plot_reply_latency]


# -- words


def keys(value: Any, at: str = "") -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield at
        return
    for key, inner in value.items():
        yield from keys(inner, f"{at}/{key}")


def test_both_languages_have_the_same_words() -> None:
    italian, english = (words(language).data for language in LANGUAGES)
    assert list(keys(italian)) == list(keys(english))

    def holes(text: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    for group in ("page", "plot", "sayings", "number"):
        for key, said in italian[group].items():
            assert holes(said) == holes(english[group][key]), f"{group}: {key}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_index_concept_unit_and_frame_has_its_words(language: str) -> None:
    data = words(language).data
    assert set(data["indices"]) == {index.name for index in INDICES}
    assert set(data["concepts"]) == {index.concept for index in INDICES}
    assert set(data["caveats"]) == {index.caveat for index in INDICES}
    assert set(data["units"]) == {index.unit for index in INDICES}
    assert set(data["sources"]) == {index.source for index in INDICES}
    assert set(data["labels"]) == {str(label) for label in Label}
    assert set(data["abstentions"]) == {str(reason) for reason in Reason}
    assert set(data["frames"]) == set(FRAMES) and set(MAIN_INDICES) <= set(data["indices"])
    known = {head for head in VALUES} | {f"{h} {v}" for h, vs in VALUES.items() for v in vs}
    assert set(data["heads"]) == known
    for entry in (*data["indices"].values(), *data["labels"].values()):
        assert entry["name"] and entry["meaning"] and "\n" not in entry["meaning"]


def test_every_word_of_the_page_is_used() -> None:
    used = "".join(path.read_text("utf-8") for path in RESOURCES.glob("*.j2"))
    used += (
        (SOURCE / "report.py").read_text("utf-8")
        + (SOURCE / "wording.py").read_text("utf-8")
        + (SOURCE / "plots.py").read_text("utf-8")
    )
    data = words("it").data
    for name in data["page"]:
        assert re.search(rf'\bt\.{name}\b|"{name}"', used), name
    for name in data["plot"]:
        assert re.search(rf"""\[["']{name}["']\]""", used), name


def spoken() -> set[str]:
    """All that profiling can say as a reason or a note, holes filled with numbers."""
    out = set()
    for path in (SOURCE / "profiling").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                  for part in node.values}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                out.add("".join(_filled(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                out.add("" if id(node) in inside else node.value)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "share":
                for argument in node.args[2:]:
                    out.add(f"not measurable: no {ast.literal_eval(argument)}")
    starts = ("not measurable:", "not shown:", "not reached:", "indicative:", "the model brings")
    return {said for said in out if said.startswith(starts)} | notes()


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    code = ast.unparse(part)
    filled = {"{head}": "stance", "{few[0]}": "hostile", "{what}": "threads it applies to"}
    return "17%" if ":.0%" in code else next((v for k, v in filled.items() if k in code), "17")


def notes() -> set[str]:
    """What `_notes` and `_NOTE_OF_FRAME` of evaluate can say."""
    tree = ast.parse((SOURCE / "profiling" / "evaluate.py").read_text("utf-8"))
    out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and isinstance(node.value, (ast.Constant, ast.JoinedStr)):
            parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
            out.add("".join(_filled(part) for part in parts))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_NOTE_OF_FRAME":
            out |= {note for said in ast.literal_eval(node.value).values() for note in said}
    return out


OF_BRIEFS = ("subject words", "not passed", "reference profiles", "not shown: 17 threads, ")
"""`rank` and `percentiles` say these, which the page does not show."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_and_note_is_translated(language: str) -> None:
    said = {text for text in spoken() if not any(part in text for part in OF_BRIEFS)}
    assert len(said) > 40
    missing = [text for text in sorted(said) if words(language).say(text) is None]
    assert not missing, "put them in report_it.json and report_en.json, under sayings"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of: it, en"):
        words("fr")


def test_numbers_follow_the_language() -> None:
    it, en = words("it"), words("en")
    assert it.number(1234.5, 1) == "1.234,5" and en.number(1234.5, 1) == "1,234.5"
    assert it.percent(0.414) == "41\u00a0%" and en.percent(0.414) == "41%"
    assert en.percent(0.001) == "<\u00a01%" and en.percent(0.999) == ">\u00a099%"
    assert en.percent(0) == "0%" and en.percent(1) == "100%" and en.number(-0.2) == "0"
    assert (
        it.value(-0.47, "difference") == "−47\u00a0p.p."
        and it.value(7.58, "hours") == "7,6\u00a0ore"
    )
    assert it.between(-0.68, 0.2, "difference") == "da −68 a +20\u00a0p.p."
    assert en.between(0.333, 0.49, "share") == "33–49%" and en.between(None, 1, "share") == ""
    assert it.day(DAY) == "26 novembre 2026" and en.month(DAY) == "November 2026"
    assert it.say("1204 threads were longer than the model reads") == (
        "1.204 thread erano più lunghi di quanto il modello legga"
    )


def test_counts_that_point_at_nobody_are_told() -> None:
    assert discreet("0 threads, 5 cases, 34 threads, at least 3 posts") == (
        "0 threads, 5 cases, 34 threads, at least 3 posts"
    )
    assert discreet("4 threads have 1 followers, 2.4 threads") == (
        f"{FEW} threads have {FEW} followers, 2.4 threads"
    )


# -- figures


@pytest.fixture(scope="module")
def pair() -> tuple[Profile, Profile]:
    return example("giulia"), example("$paola$", answered=0.2, seed=2)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def bars_of_error(axes: Any) -> list[Any]:
    from matplotlib.container import ErrorbarContainer

    return [c for c in axes.containers if isinstance(c, ErrorbarContainer)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mix(pair: tuple[Profile, Profile], language: str) -> None:
    axes = plots.plot_mix(pair[0], language=language)
    names = [words(language).data["labels"][label]["name"] for label in Label]
    assert ticks(axes.yaxis) == names and len(axes.patches) == len(bars_of_error(axes)) == 4
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [pair[0].shares[label].estimate for label in Label]
    assert f"giulia: {'il mix' if language == 'it' else 'the mix'}, n = 234" in axes.get_title()
    assert "90" in axes.get_xlabel() and axes.get_xlim() == (0, 1)


def test_a_share_that_is_missing_says_why(pair: tuple[Profile, Profile]) -> None:
    reason = "not measurable: no replies in this export"
    shares = {**pair[0].shares, "reciprocal": Share(reason=reason)}
    axes = plots.plot_mix(replace(pair[0], shares=shares))
    assert len(axes.patches) == 3
    assert [t.get_text() for t in axes.texts] == [words("it").say(reason)]


def test_the_mix_over_time(pair: tuple[Profile, Profile]) -> None:
    axes = plots.plot_mix_over_time(pair[0], language="en")
    lines = bars_of_error(axes)
    assert [line.get_label() for line in lines] == [
        words("en").data["labels"][label]["name"] for label in Label
    ]
    n_measured = sum(p.shares[Label.COMMERCIAL].measurable for p in pair[0].mix_over_time)
    assert all(len(line.lines[0].get_xdata()) == n_measured > 1 for line in lines)
    assert len({line.lines[0].get_marker() for line in lines}) == 4, "not by colour alone"
    assert "the mix changes" in axes.get_legend_handles_labels()[1] and pair[0].changes
    assert ticks(axes.xaxis)[0] == "2026-01-10" and "n = 228 labelled" in axes.get_title()


def test_the_reply_times(pair: tuple[Profile, Profile]) -> None:
    axes = plots.plot_reply_latency(pair[0])
    curve, median = axes.lines[0], pair[0].indices["reply_latency_hours"]
    assert list(zip(*curve.get_data(), strict=True)) == list(pair[0].reply_curve)
    assert axes.lines[1].get_xdata()[0] == median.estimate and len(axes.patches) == 1
    assert axes.get_legend().get_texts()[0].get_text().startswith("mediana ")
    assert ticks(axes.xaxis)[:3] == ["1", "3", "6"] and f"n = {median.n}" in axes.get_title()


def test_two_profiles(pair: tuple[Profile, Profile]) -> None:
    axes = plots.plot_comparison(*pair, language="en")
    rows = ticks(axes.yaxis)
    assert len(bars_of_error(axes)) == 2 * len(rows) and len(rows) >= 7
    assert "Reply rate\n(clear difference)" in rows
    assert axes.get_legend_handles_labels()[1] == ["giulia", r"\$paola\$"]
    assert axes.get_title() == r"giulia (n = 240) and \$paola\$ (n = 240)"
    marks = {line.lines[0].get_marker() for line in bars_of_error(axes)}
    assert marks == {"o", "s"}, "not by colour alone"


def test_figures_are_saved_and_axes_given_are_used(
    pair: tuple[Profile, Profile], tmp_path: Path
) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(14, 9), layout="constrained")
    for draw, ax in zip(ONE, axes.flat, strict=False):
        assert draw(pair[0], ax=ax) is ax
    assert plots.plot_comparison(*pair, ax=axes[1, 1]) is axes[1, 1]
    out = tmp_path / "figures.png"
    figure.savefig(out)
    assert out.read_bytes().startswith(b"\x89PNG") and out.stat().st_size > 30_000


def test_nothing_to_draw_is_said(pair: tuple[Profile, Profile]) -> None:
    little = example("giulia", 6)
    for draw in ONE:
        assert any(text.get_text() for text in draw(little).texts), draw.__name__
    blank = plots.plot_comparison(little, pair[1])
    assert [text.get_text() for text in blank.texts] == ["nessuna cifra da mostrare"]
    assert "n = < 5" in plots.plot_mix(example("giulia", 3)).get_title()


def test_without_matplotlib_the_extra_is_named(
    pair: tuple[Profile, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"intimacy\[plot\]"):
        plots.plot_mix(pair[0])
    with pytest.raises(ConfigError, match="expected one of: it, en"):
        plots.plot_mix(pair[0], language="fr")
