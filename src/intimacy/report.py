"""A profile as text, JSON, CSV and one HTML page that needs nothing from the network.

What leaves the library here holds no text of a comment and no count of threads or people from 1 to
4, nor what such a count can be reckoned from: it can point at somebody. All forms are made of what
`intimacy.wording.told` leaves of a profile; JSON and CSV have null for the rest and say so.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from intimacy.profiling.behaviours import WINDOW_DAYS
from intimacy.profiling.comparison import LIKELY, Difference, compare
from intimacy.profiling.evaluate import INTERVAL
from intimacy.schema import Label, Measure, Period, Profile, Share
from intimacy.wording import (
    FEW,
    MAIN_INDICES,
    SUPPRESSED,
    UNTOLD,
    Words,
    discreet,
    hidden,
    told,
    words,
)

_COUNTS = ("n_threads", "n_labelled", "n_followers", "n_incomplete", "n_minors", "n_effective")


# -- for terminals and programs


def text(profile: Profile) -> str:
    """A few lines for a terminal."""
    profile = told(profile)
    who = profile.creator_id or "creator unknown"
    known = [(profile.n_posts or None, "post"), (profile.n_followers, "follower")]
    counts = [_plural(n, noun) for n, noun in known if n is not None]
    lines = [
        f"{who}: {', '.join([_plural(profile.n_threads, 'thread'), *counts])}; {_window(profile)}",
        f"{'':24}{'share':>7}  {f'{profile.interval:.0%} interval':<15}{'counted':>8}",
    ]
    for name, share in profile.shares.items():
        lines.append(f"{name:<24}{_figures(share, _plain(profile.counts.get(name, 0)))}")
    shown = [m for m in profile.indices.values() if _shown(m)]
    for measure in shown:
        if not measure.experimental:
            name = measure.name.replace("_", " ")
            unit = "" if measure.unit == "share" else f"  {measure.unit}"
            lines.append(f"{name:<24}{_figures(measure)}{unit}")
    n_experimental = sum(m.experimental for m in shown)
    lines.append(
        f"{n_experimental} experimental indices and {len(profile.indices) - len(shown)} that are "
        "not measurable here are left out; --html, --format json and --format csv have them"
    )
    abstained = ", ".join(f"{_plain(n)} {reason}" for reason, n in profile.abstentions.items())
    coverage = "" if profile.coverage is None else f"; coverage {profile.coverage:.0%}"
    lines.append(f"abstained: {abstained or 'none'}{coverage}")
    lines += [f"note: {discreet(note)}" for note in profile.notes]
    lines.append(f"model {profile.model_id or 'unknown'}; an estimate, not a measurement")
    return "\n".join(lines)


def to_json(profiles: Sequence[Profile]) -> str:
    """An array of profiles; ``suppressed`` lists what is null or left out to hide small counts."""
    return json.dumps([_plain_values(p) for p in profiles], ensure_ascii=False, indent=2)


def to_csv(profiles: Sequence[Profile]) -> str:
    """One row a measure; where a count is empty because it is not told, ``reason`` says so."""
    rows = [
        _quieten(row, before)
        for profile in profiles
        for row, before in zip(told(profile).rows(), profile.rows(), strict=True)
    ]
    columns = list(rows[0]) if rows else ["creator_id", "kind", "name"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _plain_values(profile: Profile) -> dict[str, Any]:
    """What JSON says of a profile."""
    data, whole = told(profile).to_dict(), profile.to_dict()
    for name in _COUNTS:
        data[name] = None if hidden(data[name]) else data[name]
    groups = [(data[name], whole[name]) for name in ("shares", "raw_shares", "indices")]
    periods = list(zip(data["mix_over_time"], whole["mix_over_time"], strict=True))
    groups += [(period["shares"], before["shares"]) for period, before in periods]
    for group, before in groups:
        for name, share in group.items():
            _quieten(share, before[name])
    data["notes"] = [discreet(note) for note in data["notes"]]
    gone = [name for name in (*_COUNTS, "coverage") if _lost(name, data, whole)]
    for group in ("abstentions", "counts"):
        gone += [f"{group}.{name}" for name in data[group] if data[group][name] is None]
    for i, (period, before) in enumerate(periods):
        gone += [f"mix_over_time.{i}.n_threads"] if _lost("n_threads", period, before) else []
    methods = [m for m in whole["other_estimates"] if m not in data["other_estimates"]]
    gone += [f"other_estimates.{method}" for method in methods]
    gone += ["reply_curve"] if len(data["reply_curve"]) < len(whole["reply_curve"]) else []
    data["suppressed"] = gone
    return data


def _lost(name: str, row: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return row[name] is None and before[name] is not None


def _quieten(row: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A figure without small counts, and with the reason why a count is missing."""
    numbers = [name for name in ("n", "n_threads") if name in row]
    for name in numbers:
        row[name] = None if hidden(row[name]) else row[name]
    reasons = [discreet(row["reason"])] if row["reason"] else []
    if SUPPRESSED not in reasons and any(_lost(name, row, before) for name in numbers):
        reasons.append(SUPPRESSED)
    row["reason"] = "; ".join(reasons) or None
    return row


def _shown(share: Share) -> bool:
    """Whether there is a figure to show, if only an interval."""
    return share.measurable or share.low is not None


def _plain(n: float | None) -> str:
    return UNTOLD if n is None else FEW if hidden(n) else f"{n:.0f}"


def _plural(n: int | None, noun: str) -> str:
    # Posts are no people: how many there are is told.
    return f"{n if noun == 'post' else _plain(n)} {noun}{'' if n == 1 and noun == 'post' else 's'}"


def _figures(share: Share, counted: str = "") -> str:
    reason = discreet(share.reason or "")
    between = "" if share.low is None else f"[{share.low:.2f}, {share.high:.2f}]"
    if share.estimate is None:
        return "  ".join(filter(None, ("", between, reason, counted)))
    caveat = f"  ({reason})" if reason else ""
    return f"{share.estimate:>7.2f}  {between:<15}{counted:>8}".rstrip() + caveat


def _window(profile: Profile) -> str:
    first, last = profile.window
    if first is None or last is None:
        return "no dates"
    return f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"


# -- the page


def html(
    profiles: Sequence[Profile],
    *,
    language: str = "it",
    responsible: str | None = None,
    created: date | None = None,
) -> str:
    """One self-contained page: a section a creator, and a comparison where there are several.

    Args:
        profiles: In the order of the page.
        language: ``it`` or ``en``.
        responsible: Who answers for the profiles.
        created: Date of the profiles; today when None.

    Raises:
        ConfigError: When there is no such language.
    """
    w = words(language)
    profiles = [told(profile) for profile in profiles]
    page: str = _template(language).render(
        profiles=profiles,
        comparison=compare(*profiles) if len(profiles) == 2 else None,
        created=w.day(created or datetime.now(timezone.utc)),
        responsible=responsible,
        interval=w.percent(profiles[0].interval if profiles else INTERVAL),
        likely=w.percent(LIKELY),
    )
    return page


@lru_cache
def _template(language: str) -> Any:
    import jinja2  # here, because most runs never make a page

    w = words(language)
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.PackageLoader("intimacy", "resources"),
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        w=w,
        t=w.data["page"],
        labels=[str(label) for label in Label],
        main_indices=MAIN_INDICES,
        hidden=hidden,
        shown=_shown,
        suppressed=SUPPRESSED,
        without_label=_without_label,
        bar=_bar,
        by_concept=_by_concept,
        said=lambda text: _said(text, w),
        named=lambda name: _named(name, w),
        over_time=_over_time,
        curve=_curve,
        gap=lambda difference: _gap(difference, w),
    )
    return environment.get_template("profile.html.j2")


def _without_label(profile: Profile) -> int | None:
    """How many threads have no label; None where it is not told."""
    whole, labelled = profile.n_threads, profile.n_labelled
    return None if None in (whole, labelled) else whole - labelled


def _said(text: str, w: Words) -> dict[str, str]:
    """What a profile says in words; in those of the code, marked, where nobody translated it."""
    told = w.say(text) or w.data["caveats"].get(text)
    return {"text": told or discreet(text), "lang": w.language if told else "en"}


def _named(name: str, w: Words) -> Mapping[str, str]:
    """Name and meaning of a measure."""
    known: Mapping[str, str] | None = w.data["labels"].get(name) or w.data["indices"].get(name)
    return known or {"name": name, "meaning": ""}


def _by_concept(measures: Mapping[str, Measure]) -> Mapping[str, list[Measure]]:
    out: dict[str, list[Measure]] = {}
    for measure in measures.values():
        out.setdefault(measure.concept, []).append(measure)
    return out


_SCALES = {"share": 100.0, "0 to 1": 100.0, "difference": 50.0, "0 to 100": 1.0}
_SCALES |= {"per 100 threads": 1.0, "per 100 threads about goods": 1.0}


def _bar(share: Share, unit: str) -> dict[str, float] | None:
    """Where a bar begins and ends, in hundredths; None for units without an end."""
    if share.estimate is None or unit not in _SCALES:
        return None
    zero = 50.0 if unit == "difference" else 0.0
    middle, low, high = (
        zero + _SCALES[unit] * (share.estimate if end is None else end)
        for end in (share.estimate, share.low, share.high)
    )
    if high > 100:
        return None
    # Solid from zero to the nearer end of the interval, where it does not hold zero.
    near = low if low > zero else high if high < zero else zero
    ends = {"from": min(zero, near), "to": max(zero, near)}
    return {"low": low, "high": high, "middle": middle, "zero": zero, **ends}


def _over_time(profile: Profile) -> dict[str, Any]:
    """Boxes of the mix over time in a square of a hundred, by label, and where the mix changes."""
    periods, width = profile.mix_over_time, timedelta(days=WINDOW_DAYS)
    start, last = periods[0].start, periods[-1].start
    end = min(last + width, profile.window[1] or last + width)
    whole = end - start if end > last else last + width - start
    highest = max(s.high or 0.0 for p in periods for s in p.shares.values())
    top = next((step for step in (0.2, 0.4, 0.6, 0.8) if highest <= step), 1.0)

    def across(moment: datetime) -> float:
        return 100 * min(max((moment - start) / whole, 0.0), 1.0)

    def box(period: Period, share: Share) -> dict[str, float]:
        low, middle, high = (
            100 - 100 * (end or 0.0) / top for end in (share.low, share.estimate, share.high)
        )
        x, to = across(period.start), across(period.start + width)
        return {"x": x, "to": to, "low": low, "middle": middle, "high": high}

    return {
        "boxes": {
            str(label): [
                box(p, p.shares[label]) for p in periods if p.shares[label].estimate is not None
            ]
            for label in Label
        },
        "changes": [across(change) for change in profile.changes],
        "top": top,
        "first": start,
        "last": start + whole,
    }


def _curve(profile: Profile) -> dict[str, Any] | None:
    """Points of the curve of replies in a square of a hundred, hours by their logarithm."""
    found = profile.reply_curve
    if len(found) < 2:
        return None
    furthest = math.log(max(hours for hours, _ in found))

    def across(hours: float) -> float:
        return 100 * min(max(math.log(max(hours, 1.0)) / furthest, 0.0), 1.0)

    latency = profile.indices.get("reply_latency_hours")
    median = None if latency is None else latency.estimate
    return {
        "points": [
            {"x": across(hours), "y": 100 - 100 * share, "hours": hours, "share": share}
            for hours, share in found
        ],
        "median": None if median is None else across(median),
    }


def _gap(difference: Difference, w: Words) -> dict[str, str]:
    """A difference in its unit, and in words which is larger."""
    unit = getattr(difference.first, "unit", "share")
    beyond = "difference" if unit == "share" else unit
    p = difference.probability or 0.0
    verdict: str = w.data["page"]["clear" if difference.clear else "unclear"]
    return {
        "unit": unit,
        "estimate": w.value(difference.estimate or 0.0, beyond, sign=True),
        "between": w.between(difference.low, difference.high, beyond),
        "verdict": verdict.format(
            who="A" if p >= 0.5 else "B", p=w.percent(min(max(p, 1 - p), 0.999))
        ),
    }
