"""A profile as text, JSON, CSV and one HTML page that needs nothing from the network.

What leaves the library here holds no text of a comment, and no count of threads or people from 1 to
4: such a count can point at somebody. JSON and CSV have null in its place and say so.
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
    FEWEST,
    MAIN_INDICES,
    Words,
    discreet,
    hidden,
    reply_curve,
    words,
)

SUPPRESSED = f"suppressed: 1 to {FEWEST - 1}"
"""Stands in JSON and CSV where a count is too small to be told."""
_COUNTS = ("n_threads", "n_labelled", "n_followers", "n_incomplete", "n_minors", "n_effective")


# -- for terminals and programs


def text(profile: Profile) -> str:
    """A few lines for a terminal."""
    who = profile.creator_id or "creator unknown"
    told = [(profile.n_threads, "thread"), (profile.n_posts or None, "post")]
    told.append((profile.n_followers, "follower"))
    counts = [_plural(n, noun) for n, noun in told if n is not None]
    lines = [
        f"{who}: {', '.join(counts)}; {_window(profile)}",
        f"{'':24}{'share':>7}  {f'{profile.interval:.0%} interval':<15}{'counted':>8}",
    ]
    for name, share in profile.shares.items():
        lines.append(f"{name:<24}{_figures(share, _plain(profile.counts.get(name, 0)))}")
    shown = [m for m in profile.indices.values() if m.measurable]
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
    """An array of profiles; ``suppressed`` lists what is null because the count is too small."""
    return json.dumps([_told(p) for p in profiles], ensure_ascii=False, indent=2)


def to_csv(profiles: Sequence[Profile]) -> str:
    """One row a measure; where a count is empty because it is too small, ``reason`` says so."""
    rows = [_told_row(row, profile) for profile in profiles for row in profile.rows()]
    columns = list(rows[0]) if rows else ["creator_id", "kind", "name"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _told(profile: Profile) -> dict[str, Any]:
    """Plain values of a profile, without what is too small to be told."""
    data = profile.to_dict()
    gone = []
    for name in _COUNTS:
        if hidden(data[name]):
            data[name] = None
            gone.append(name)
    for group in ("abstentions", "counts"):
        for name, n in data[group].items():
            if hidden(n):
                data[group][name] = None
                gone.append(f"{group}.{name}")
    for name, share in data["raw_shares"].items():
        if hidden(profile.counts.get(name)):
            # The share as counted, times the labelled threads, would give the count away.
            share.update(estimate=None, low=None, high=None, quantiles=[], reason=SUPPRESSED)
    for i, period in enumerate(data["mix_over_time"]):
        if hidden(period["n_threads"]):
            period["n_threads"] = None
            gone.append(f"mix_over_time.{i}.n_threads")
    if data["reply_curve"] and not reply_curve(profile):
        data["reply_curve"] = []
        gone.append("reply_curve")
    shares = [data["shares"], data["raw_shares"], data["indices"]]
    for group_of in [*shares, *(period["shares"] for period in data["mix_over_time"])]:
        for share in group_of.values():
            _quieten(share)
    data["notes"] = [discreet(note) for note in data["notes"]]
    data["suppressed"] = gone
    return data


def _quieten(share: dict[str, Any]) -> None:
    reasons = [discreet(share["reason"])] if share["reason"] else []
    if hidden(share["n"]):
        share["n"] = None
        reasons += [] if SUPPRESSED in reasons else [SUPPRESSED]
    share["reason"] = "; ".join(reasons) or None


def _told_row(row: dict[str, Any], profile: Profile) -> dict[str, Any]:
    row = dict(row)
    if row["kind"] == "raw_share" and hidden(profile.counts.get(row["name"])):
        row.update(estimate=None, low=None, high=None, reason=SUPPRESSED)
    if hidden(row["n_threads"]):
        row["n_threads"] = None
        row["reason"] = "; ".join(filter(None, (row["reason"], SUPPRESSED)))
    _quieten(row)
    return row


def _plain(n: float) -> str:
    return FEW if hidden(n) else f"{n:.0f}"


def _plural(n: int, noun: str) -> str:
    # Posts are no people: how many there are is told.
    return f"{n if noun == 'post' else _plain(n)} {noun}{'' if n == 1 and noun == 'post' else 's'}"


def _figures(share: Share, counted: str = "") -> str:
    reason = discreet(share.reason or "")
    if share.estimate is None:
        return f"  {reason}  {counted}".rstrip()
    between = "" if share.low is None else f"[{share.low:.2f}, {share.high:.2f}]"
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
        bar=_bar,
        by_concept=_by_concept,
        said=lambda text: _said(text, w),
        named=lambda name: _named(name, w),
        over_time=_over_time,
        curve=_curve,
        gap=lambda difference: _gap(difference, w),
    )
    return environment.get_template("profile.html.j2")


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
    found = reply_curve(profile)
    if not found:
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
