"""Figures of profiles for notebooks.

Every function draws on the axes given, or on new ones, and returns them. Colours are those of Okabe
and Ito, which people with any colour vision tell apart; intervals are drawn, titles say n.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from intimacy.errors import require
from intimacy.profiling.behaviours import WINDOW_DAYS
from intimacy.profiling.comparison import Difference, compare
from intimacy.schema import Label, Profile, Share
from intimacy.wording import MAIN_INDICES, Words, reply_curve, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# -- figures

_COLOURS = {
    Label.COMMERCIAL: "#d55e00",
    Label.INTERACTIVE: "#0072b2",
    Label.RECIPROCAL: "#009e73",
    Label.DISCLOSIVE: "#cc79a7",
}
_MARKS = {
    Label.COMMERCIAL: "o",
    Label.INTERACTIVE: "s",
    Label.RECIPROCAL: "^",
    Label.DISCLOSIVE: "D",
}
_INK, _SOFT = "#222222", "#666666"


def plot_mix(profile: Profile, *, ax: Axes | None = None, language: str = "it") -> Axes:
    """Bars of the four shares, corrected, with their intervals.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    w, axes = words(language), _axes(ax)
    for row, label in enumerate(Label):
        share = profile.shares[label]
        if share.estimate is None:
            axes.text(0.01, row, _why(share, w), va="center", color=_SOFT, fontsize="small")
            continue
        axes.barh(row, share.estimate, height=0.6, color=_COLOURS[label])
        axes.errorbar(share.estimate, row, xerr=_arms(share), color=_INK, capsize=4, lw=1.5)
    axes.set_yticks(range(len(Label)), [_name(label, w) for label in Label])
    axes.invert_yaxis()
    axes.set_xlabel(f"{w.data['plot']['share']}, {_interval(profile, w)}")
    _percent(axes.xaxis, w)
    axes.set_xlim(0, 1)
    n = next(iter(profile.shares.values())).n
    axes.set_title(w.data["plot"]["mix"].format(who=_who(profile, w), n=w.count(n)))
    return axes


def plot_mix_over_time(profile: Profile, *, ax: Axes | None = None, language: str = "it") -> Axes:
    """The four shares in stretches of 90 days, and where the mix changes.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    w, axes = words(language), _axes(ax)
    for row, label in enumerate(Label):
        # Side by side within the stretch, so that intervals do not hide each other.
        shift = timedelta(days=WINDOW_DAYS * (0.32 + 0.12 * row))
        known = [p for p in profile.mix_over_time if p.shares[label].estimate is not None]
        if not known:
            continue
        shares = [p.shares[label] for p in known]
        axes.errorbar(
            [p.start + shift for p in known],  # type: ignore[arg-type]  # dates are plotted
            [s.estimate or 0.0 for s in shares],
            yerr=[[_arms(s)[end][0] for s in shares] for end in (0, 1)],
            color=_COLOURS[label],
            marker=_MARKS[label],
            capsize=3,
            label=_name(label, w),
        )
    for number, change in enumerate(profile.changes):
        said = w.data["plot"]["change"] if number == 0 else None
        axes.axvline(change, color=_INK, ls="--", lw=1, label=said)  # type: ignore[arg-type]
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))
    else:
        _nothing(axes, w)
    axes.set_xlabel(w.data["plot"]["start"])
    axes.set_ylabel(f"{w.data['plot']['value']}, {_interval(profile, w)}")
    _percent(axes.yaxis, w)
    axes.set_ylim(0, 1)
    starts = [p.start for p in profile.mix_over_time]
    axes.set_xticks(starts, [f"{start:%Y-%m-%d}" for start in starts], rotation=30, ha="right")  # type: ignore[arg-type]
    n = sum(p.n_threads for p in profile.mix_over_time)
    axes.set_title(w.data["plot"]["over_time"].format(who=_who(profile, w), n=w.count(n)))
    return axes


def plot_reply_latency(profile: Profile, *, ax: Axes | None = None, language: str = "it") -> Axes:
    """Share of threads answered after so many hours, and the median wait with its interval.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    w, axes = words(language), _axes(ax)
    median = profile.indices.get("reply_latency_hours")
    if curve := reply_curve(profile):
        hours, answered = zip(*curve, strict=True)
        axes.plot(hours, answered, color=_COLOURS[Label.INTERACTIVE], marker="o")
        axes.set_xscale("log")
        axes.set_xticks(hours, [w.number(h) for h in hours])
        axes.minorticks_off()
    else:
        _nothing(axes, w, median)
    if median is not None and median.estimate is not None:
        said = f"{w.value(median.estimate, 'hours')} "
        said += f"[{w.between(median.low, median.high, 'hours')}]"
        label = w.data["plot"]["median"].format(value=said)
        axes.axvline(median.estimate, color=_INK, ls="--", lw=1, label=label)
        if median.low is not None and median.high is not None:
            axes.axvspan(median.low, median.high, color=_INK, alpha=0.12, lw=0)
        axes.legend(frameon=False, fontsize="small", loc="upper left")
    axes.set_xlabel(w.data["plot"]["hours"])
    axes.set_ylabel(w.data["plot"]["answered"])
    _percent(axes.yaxis, w)
    axes.set_ylim(0, 1)
    n = profile.n_threads if median is None or median.n is None else median.n
    axes.set_title(w.data["plot"]["latency"].format(who=_who(profile, w), n=w.count(n)))
    return axes


def plot_comparison(
    first: Profile, second: Profile, *, ax: Axes | None = None, language: str = "it"
) -> Axes:
    """Shares and main indices of two profiles side by side, with intervals; clear gaps in words.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    w, axes = words(language), _axes(ax)
    wanted = [*map(str, Label), *(n for n in MAIN_INDICES if not n.endswith("_per_100"))]
    found = compare(first, second).differences
    rows = [found[name] for name in wanted if name in found and found[name].estimate is not None]
    styles = (("o", _COLOURS[Label.INTERACTIVE], -0.14), ("s", _COLOURS[Label.COMMERCIAL], 0.14))
    for (mark, colour, shift), profile, which in zip(
        styles, (first, second), ("first", "second"), strict=True
    ):
        for row, difference in enumerate(rows):
            share: Share = getattr(difference, which)
            axes.errorbar(
                share.estimate or 0.0,
                row + shift,
                xerr=_arms(share),
                color=colour,
                marker=mark,
                capsize=3,
                label=None if row else _who(profile, w),
            )
    if rows:
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))
    else:
        _nothing(axes, w)
    axes.set_yticks(range(len(rows)), [_titled(difference, w) for difference in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"{w.data['plot']['value']}, {_interval(first, w)}")
    _percent(axes.xaxis, w)
    axes.set_xlim(0, 1)
    title = w.data["plot"]["comparison"].format(
        one=_who(first, w),
        other=_who(second, w),
        n=w.count(first.n_threads),
        m=w.count(second.n_threads),
    )
    axes.set_title(title)
    return axes


# -- parts of figures


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        require("matplotlib", extra="plot")
        from matplotlib import pyplot

        ax = pyplot.figure(figsize=(7, 4), layout="constrained").add_subplot()
    assert ax is not None
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _percent(axis: Any, w: Words) -> None:
    axis.set_major_formatter(lambda value, _: w.number(100 * value) + w.data["number"]["percent"])


def _arms(share: Share) -> list[list[float]]:
    """How far the interval reaches to either side, as error bars want it."""
    middle = share.estimate or 0.0
    low = middle if share.low is None else share.low
    high = middle if share.high is None else share.high
    return [[middle - low], [high - middle]]


def _who(profile: Profile, w: Words) -> str:
    # A dollar would begin a formula.
    return (profile.creator_id or w.data["page"]["unknown_creator"]).replace("$", r"\$")


def _name(label: Label, w: Words) -> str:
    return str(w.data["labels"][label]["name"])


def _titled(difference: Difference, w: Words) -> str:
    name = difference.name
    told = w.data["labels"].get(name) or w.data["indices"][name]
    return f"{told['name']}\n({w.data['plot']['clear']})" if difference.clear else str(told["name"])


def _interval(profile: Profile, w: Words) -> str:
    return str(w.data["plot"]["interval"].format(p=w.percent(profile.interval)))


def _why(share: Share, w: Words) -> str:
    return w.say(share.reason) or w.data["plot"]["nothing"]


def _nothing(axes: Axes, w: Words, share: Share | None = None) -> None:
    said = w.data["plot"]["nothing"] if share is None else _why(share, w)
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", color=_SOFT, wrap=True)
