"""Small pieces of HTML for notebooks; everything that comes from data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Any


@dataclass(frozen=True, slots=True)
class HTML:
    """A piece of HTML that notebooks render."""

    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


def when(time: datetime | None) -> str:
    """A time as people read it; empty when unknown."""
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M")


def bar(fraction: float) -> HTML:
    """A bar as long as the fraction."""
    width = round(120 * max(0.0, min(1.0, fraction)))
    return HTML(
        f'<div style="width:{width}px;height:.8em;background:#4c72b0" role="presentation"></div>'
    )


def marked(text: str, spans: Iterable[tuple[int, int]]) -> HTML:
    """A text with some of its characters marked."""
    out, at = [], 0
    for start, end in sorted(spans):
        out += [escape(text[at:start]), f"<mark>{escape(text[start:end])}</mark>"]
        at = end
    return HTML("".join([*out, escape(text[at:])]))


def table(head: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with a caption; cells that are `HTML` go in as they are."""
    cells = [
        "<tr>"
        + "".join(
            f"<td style='text-align:left'>{v.html if isinstance(v, HTML) else escape(str(v))}</td>"
            for v in row
        )
        + "</tr>"
        for row in rows
    ]
    titles = "".join(f"<th style='text-align:left'>{escape(c)}</th>" for c in columns)
    return (
        f"<table><caption style='text-align:left'>{escape(head)}</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(cells)}</tbody></table>"
    )
