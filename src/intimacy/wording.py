"""The words and numbers of reports and figures, in Italian and English, and what they keep to
themselves.

All that a page says stands in ``resources/report_it.json`` and ``report_en.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any

from intimacy.errors import ConfigError
from intimacy.schema import Profile, Share

LANGUAGES = ("it", "en")
MAIN_INDICES = (
    "reply_rate",
    "contingent_reply_rate",
    "supportive_share",
    "critical_share",
    "returning_share",
    "purchases_per_100",
)
"""The indices that stand beside the shares where creators are compared at a glance."""
FEWEST = 5
"""Counts of threads or people below it, but for 0, can point at somebody and are not told."""
FEW = f"< {FEWEST}"

_SMALL = re.compile(rf"(?<![\d.,])[1-{FEWEST - 1}](?= (?:threads|cases|followers|development)\b)")
_HOLES = {"n": rf"\d+|{FEW}", "m": r"\d+", "k": r"\d+", "p": r"\d+%", "a": ".+?", "b": ".+"}
_DIGITS = {"hours": 1, "per 100 threads": 1, "per 100 threads about goods": 1}
_DIGITS |= {"0 to 1": 2, "elasticity": 2}
_LARGE = 100
"""Figures from which no digit after the mark says anything."""


def hidden(n: float | None) -> bool:
    """Whether a count is too small to be told."""
    return n is not None and 0 < n < FEWEST


def discreet(text: str) -> str:
    """What a profile says in words, without counts too small to be told."""
    return _SMALL.sub(FEW, text)


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
