"""The words and numbers of reports and figures, in Italian and English, and what they keep to
themselves.

All that a page says stands in ``resources/report_it.json`` and ``report_en.json``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

import numpy as np

from intimacy import prevalence
from intimacy.errors import ConfigError
from intimacy.schema import Measure, Period, Profile, Reason, Share

LANGUAGES = ("it", "en")
MAIN_INDICES = (
    "reply_rate",
    "contingent_reply_rate",
    "supportive_share",
    "critical_share",
    "returning_share",
    "transparency",
)
"""The indices that stand beside the shares where creators are compared at a glance."""
FEWEST = 5
"""Counts of threads or people below it, but for 0, can point at somebody and are not told."""
FEW = f"< {FEWEST}"
UNTOLD = "—"
"""Stands for a count that is not told, small or not: a small one could be reckoned from it."""
SUPPRESSED = f"suppressed: 1 to {FEWEST - 1}, or it would give such a count away"
"""Stands in JSON and CSV where a count is not told."""

_SMALL = re.compile(rf"(?<![\d.,])[1-{FEWEST - 1}](?= (?:threads|cases|followers|development)\b)")
_HOLES = {
    "n": rf"\d+|{FEW}|{UNTOLD}",
    "m": r"\d+",
    "k": r"\d+",
    "p": r"\d+%",
    "a": ".+?",
    "b": ".+",
}
_HOLES |= {"part": r"\w+"}
_DIGITS = {"hours": 1, "per 100 threads": 1}
_DIGITS |= {"0 to 1": 2, "elasticity": 2}
_LARGE = 100
"""Figures from which no digit after the mark says anything."""


def hidden(n: float | None) -> bool:
    """Whether a count is too small to be told."""
    return n is not None and 0 < n < FEWEST


def discreet(text: str) -> str:
    """What a profile says in words, without counts too small to be told."""
    return _SMALL.sub(FEW, text)


# -- what may be passed on


_SCOPE = "scope"
_TOLD = (_SCOPE, "n_threads")
_INSIDE = f"abstentions.{Reason.LOW_CONFIDENCE}"
"""The one reason for which a thread in scope has no label."""
OF_POSTS = {
    "transparency",
    "label_in_position",
    "credential_share",
    "credit_share",
    "lasting_brand_share",
}
"""Shares of the creator's own posts, which are neither threads nor people."""
_PER = {"share": 1.0, "per 100 threads": 100.0}
MADE_OF = {
    "criticism_gap": {"reply_rate_criticism", "reply_rate_praise"},
    "social_presence": {"reply_rate", "asks_back_share", "first_person_share", "emoji_share"},
    "quality_content": {"explained_share", "sourced_share"},
    "quality_creator": {"reply_rate", "transparency", "consistency"},
    "quality_community": {"supportive_share", "returning_share"},
    "credibility": {"sourced_share", "correction_share", "transparency"},
}
"""Measures from which a part of theirs can be reckoned when the others are told."""

_Figure = TypeVar("_Figure", bound=Share)


def told(profile: Profile) -> Profile:
    """The profile as it may be passed on: without what gives a small count away.

    Counts that are kept back so that no sum gives a small one away are None, the small one too.
    Small counts that stand in no sum remain: whoever writes one asks `hidden`.
    """
    gone = _kept_back(profile)
    n_scope = profile.n_labelled + profile.abstentions.get(Reason.LOW_CONFIDENCE, 0)
    split = any(name.startswith("counts.") or name == _INSIDE for name in gone)
    unlabelled = "n_labelled" in gone
    counted = profile.other_estimates.get("counted", {})
    split_by_score = any(hidden(round(share * n_scope)) for share in counted.values())
    # Undone by a matrix that everybody has, "acc" is "counted".
    exact = {"counted", "acc"} if split or split_by_score else set()
    changes: dict[str, Any] = {
        "n_labelled": None if unlabelled else profile.n_labelled,
        "coverage": None if unlabelled or _INSIDE in gone else profile.coverage,
        "abstentions": _without(profile.abstentions, "abstentions", gone),
        "counts": _without(profile.counts, "counts", gone),
        "raw_shares": {
            name: _as_counted(share, f"counts.{name}" in gone, unlabelled)
            for name, share in profile.raw_shares.items()
        },
        "other_estimates": {k: v for k, v in profile.other_estimates.items() if k not in exact},
        "mix_over_time": _stretches(profile, gone),
        "reply_curve": _curve(profile),
        "indices": _indices(profile),
    }
    return replace(profile, **changes)


def _kept_back(profile: Profile) -> set[str]:
    """Names of the counts that are not told: the small ones, and what would give them away.

    Of each sum either no part is kept back, or at least two are (the total may be one of them),
    which make at least `FEWEST` together. How many threads there are and how many of them are in
    scope is always told, as n of everything: so is, by their difference, how many texts were left
    out, though not for which reason.
    """
    counts = {f"counts.{name}": n for name, n in profile.counts.items()}
    reasons = {f"abstentions.{reason}": n for reason, n in profile.abstentions.items()}
    outside = [name for name in reasons if name != _INSIDE]
    inside = [name for name in reasons if name == _INSIDE]
    stretches = {f"stretch.{i}": _n_scope(p) or 0 for i, p in enumerate(profile.mix_over_time)}
    n = {
        **counts,
        **reasons,
        **stretches,
        "n_labelled": profile.n_labelled,
        "n_threads": profile.n_threads,
        _SCOPE: profile.n_labelled + reasons.get(_INSIDE, 0),
    }
    # Every sum that holds among them, those that follow from two others as well.
    sums = (
        ([*counts], "n_labelled"),
        ([*inside, "n_labelled"], _SCOPE),
        ([*counts, *inside], _SCOPE),
        ([*stretches], _SCOPE),
        ([*outside, _SCOPE], "n_threads"),
    )
    gone = {name for name, number in n.items() if hidden(number)}
    while (more := next(_exposing(n, sums, gone), None)) is not None:
        gone.add(more)
    return gone


def _exposing(
    n: Mapping[str, int], sums: Sequence[tuple[list[str], str]], gone: set[str]
) -> Iterator[str]:
    """What else must go: of each sum that gives something away the smallest part, or the total."""
    for parts, total in sums:
        lost = gone & {*parts, total}
        together = math.inf if total in gone else sum(n[name] for name in lost)
        if not lost or (len(lost) > 1 and together >= FEWEST):
            continue
        left = [name for name in parts if n[name] and name not in {*gone, *_TOLD}]
        more = min(left, key=n.__getitem__) if left else total
        if more not in {*gone, *_TOLD}:
            yield more


def _n_scope(period: Period) -> int | None:
    return next((share.n for share in period.shares.values()), None)


def _without(counts: Mapping[str, int], group: str, gone: set[str]) -> dict[str, int | None]:
    return {name: None if f"{group}.{name}" in gone else n for name, n in counts.items()}


def _as_counted(share: Share, small: bool, unlabelled: bool) -> Share:
    if share.measurable and (small or unlabelled):
        # The share as counted, times the labelled threads, would give the count away.
        share = _bare(share, SUPPRESSED)
    return replace(share, n=None) if unlabelled and not hidden(share.n) else share


def _bare(share: _Figure, reason: str) -> _Figure:
    """A figure without any of its numbers."""
    return replace(share, estimate=None, low=None, high=None, quantiles=(), reason=reason)


def _stretches(profile: Profile, gone: set[str]) -> list[Period]:
    """Labelled threads of the stretches are told of all or of none, beside those in scope."""
    shy = "n_labelled" in gone or _INSIDE in gone
    for period in profile.mix_over_time:
        rest = (_n_scope(period) or period.n_threads) - period.n_threads
        shy = shy or hidden(period.n_threads) or hidden(rest)
    out = []
    for i, period in enumerate(profile.mix_over_time):
        changes: dict[str, Any] = {"n_threads": None} if shy else {}
        if f"stretch.{i}" in gone:
            changes["shares"] = {name: _uncounted(s) for name, s in period.shares.items()}
        out.append(replace(period, **changes))
    return out


def _uncounted(share: Share) -> Share:
    reason = re.sub(r"\d+(?= threads in scope)", UNTOLD, share.reason or "")
    return replace(share, n=None, reason=reason or None)


def _indices(profile: Profile) -> dict[str, Measure]:
    out = {name: _veiled(m, profile.interval) for name, m in profile.indices.items()}
    veiled = {name for name, m in out.items() if m.estimate != profile.indices[name].estimate}
    for name, parts in MADE_OF.items():
        if name in out and out[name].measurable and veiled & parts:
            reason = f"not shown: a part of it rests on fewer than {FEWEST} cases"
            out[name] = _bare(out[name], reason)
    latency = out.get("reply_latency_hours")
    found = re.match(r"not reached: (\d+)% of", latency.reason or "") if latency else None
    if latency and found and (int(found[1]) - 0.5) / 100 * _n_waiting(profile) < FEWEST:
        reason = "not reached: few of the threads were ever answered"
        out["reply_latency_hours"] = replace(latency, reason=reason)
    return out


def _veiled(m: Measure, interval: float) -> Measure:
    """A plain share that rests on few cases, or on all but few, without its estimate.

    Estimate times n would be the count, and so would what its own interval can be solved for. The
    interval told is the same for all small counts, at its widest: they hang together as one case.
    """
    if m.estimate is None or not m.n or m.unit not in _PER or m.name in OF_POSTS | MADE_OF.keys():
        return m
    scale = _PER[m.unit]
    hits = m.estimate / scale * m.n
    below = hidden(round(hits))
    # Turns for a hundred threads may be more than a hundred: then they are no part of them.
    above = hidden(m.n - round(hits)) and (m.high or 0.0) <= scale
    if abs(hits - round(hits)) > 1e-6 or not (below or above):
        return m
    most = float(np.quantile(prevalence.rate_draws(1, m.n / (FEWEST - 1)), (1 + interval) / 2))
    edge = math.ceil(100 * FEWEST / m.n)
    return replace(
        m,
        estimate=None,
        low=0.0 if below else scale * (1 - most),
        high=scale * most if below else scale,
        quantiles=(),
        reason=f"< {edge} in 100: rests on fewer than {FEWEST} cases"
        if below
        else f"> {100 - edge} in 100: all but fewer than {FEWEST} cases",
    )


def _n_waiting(profile: Profile) -> int:
    """Threads that the curve of replies speaks of, as far as the profile says."""
    told = [profile.indices.get(name, Share()) for name in ("reply_latency_hours", "reply_rate")]
    return next((share.n for share in told if share.n), profile.n_threads)


def _curve(profile: Profile) -> tuple[tuple[float, float], ...]:
    """The curve of replies without points that few threads, or all but few, have reached anew."""
    n, last, out = _n_waiting(profile), 0.0, []
    for hours, share in reply_curve(profile):
        if not hidden(round((share - last) * n)) and not hidden(round((1 - share) * n)):
            out.append((hours, share))
            last = share
    return tuple(out)


def reply_curve(profile: Profile) -> tuple[tuple[float, float], ...]:
    """The curve of replies; none where the threads are too few for a figure of replies."""
    told = [profile.indices.get(name, Share()) for name in ("reply_rate", "reply_latency_hours")]
    few = any((share.reason or "").startswith("not shown:") for share in told)
    return () if few else profile.reply_curve


class Words:
    """All that the report and the figures say in one language, and how it writes numbers."""

    def __init__(self, language: str) -> None:
        folder = resources.files("intimacy") / "resources"
        self.language = language
        self.data: dict[str, Any] = json.loads(
            (folder / f"report_{language}.json").read_text("utf-8")
        )
        self._style: Mapping[str, str] = self.data["number"]
        self._sayings = [(_pattern(said), to) for said, to in self.data["sayings"].items()]

    def number(self, value: float, digits: int = 0, *, sign: bool = False) -> str:
        """A number with the marks of the language."""
        plain = f"{abs(value):,.{digits}f}".replace(",", " ").replace(".", self._style["decimal"])
        zero = not any(c in "123456789" for c in plain)
        before = "" if zero else "−" if value < 0 else "+" if sign else ""
        return before + plain.replace(" ", self._style["thousands"])

    def count(self, n: float | None) -> str:
        """A count of threads or people; one too small to be told is not."""
        return "—" if n is None else FEW if hidden(n) else self.number(n)

    def percent(self, share: float) -> str:
        """A share in whole hundredths."""
        if 0 < share < 0.005:
            return "<\u00a01" + self._style["percent"]
        if 0.995 <= share < 1:
            return ">\u00a099" + self._style["percent"]
        return self.number(100 * share) + self._style["percent"]

    def value(self, value: float, unit: str, *, sign: bool = False) -> str:
        """A figure in its unit."""
        if unit == "share" and not sign:
            return self.percent(value)
        if unit in ("share", "difference"):
            return self.number(100 * value, sign=True) + self._style["points"]
        return self.number(value, _digits(value, unit), sign=sign) + self._suffix(unit)

    def between(self, low: float | None, high: float | None, unit: str) -> str:
        """An interval in its unit; nothing where there is none."""
        if low is None or high is None:
            return ""
        signed = unit == "difference" or low < 0
        scale = 100 if unit in ("share", "difference") else 1
        ends = [
            self.number(scale * end, _digits(end, unit), sign=signed and end > 0)
            for end in (low, high)
        ]
        kind = self._style["range_signed" if signed else "range"]
        if unit == "share":
            after = self._style["points" if low < 0 else "percent"]
        else:
            after = self._style["points"] if unit == "difference" else self._suffix(unit)
        return kind.format(low=ends[0], high=ends[1]) + after

    def _suffix(self, unit: str) -> str:
        return "\u00a0" + self.data["units"]["hours"] if unit == "hours" else ""

    def day(self, day: date) -> str:
        """A day, the month in words."""
        month = self.data["months"][day.month - 1]
        return self._style["date"].format(day=day.day, month=month, year=day.year)

    def month(self, day: date) -> str:
        """A month and its year."""
        return self._style["month"].format(month=self.data["months"][day.month - 1], year=day.year)

    def say(self, text: str | None) -> str | None:
        """What a profile says in words (a reason, a note); None where nobody translated it."""
        said = discreet(text or "")
        for pattern, to in self._sayings:
            if found := pattern.fullmatch(said):
                return str(to.format(**{k: self._hole(k, v) for k, v in found.groupdict().items()}))
        return None

    def _hole(self, name: str, value: str) -> str:
        if name == "head":
            return str(self.data["heads"].get(value, value))
        if name == "part":
            return str(self.data["indices"].get(value, {"name": value})["name"])
        if name == "p":
            return self.percent(int(value[:-1]) / 100)
        return self.number(int(value)) if name in "nmk" and value.isdecimal() else value


def _digits(value: float, unit: str) -> int:
    return 0 if abs(value) >= _LARGE else _DIGITS.get(unit, 0)


def _pattern(said: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", said)
    return re.compile(
        "".join(
            re.escape(part) if i % 2 == 0 else f"(?P<{part}>{_HOLES.get(part, '.+?')})"
            for i, part in enumerate(parts)
        )
    )


@lru_cache
def words(language: str) -> Words:
    """The words of a language.

    Raises:
        ConfigError: When nobody wrote them.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"language is {language!r}; expected one of: {', '.join(LANGUAGES)}")
    return Words(language)
