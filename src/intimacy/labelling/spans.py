"""Spans that were marked in a text, wherever a tool's offsets point.

Browsers count UTF-16 units, so that every emoji moves what follows; ends were inclusive in some
versions of Label Studio and are exclusive in others. What was marked is known from its text, so
the text decides and the offsets only say which of several places is meant.
"""

from __future__ import annotations

from collections.abc import Sequence


def to_utf16(text: str, at: int) -> int:
    """An offset in characters as an offset in UTF-16 units."""
    return at + sum(c > "\uffff" for c in text[:at])


def from_utf16(text: str, at: int) -> int:
    """An offset in UTF-16 units as an offset in characters; inside an emoji, its beginning."""
    units = 0
    for number, c in enumerate(text):
        units += 2 if c > "\uffff" else 1
        if units > at:
            return number
    return len(text)


def located(text: str, start: int, end: int, quoted: str | None) -> tuple[int, int] | None:
    """Where in a text a span is.

    Args:
        text: Of one turn.
        start: Offset of the tool.
        end: Offset of the tool, inclusive or exclusive.
        quoted: What was marked, as the tool quotes it; None where it does not.

    Returns: Offsets in characters, the end exclusive; None when the span cannot be found.
    """
    first = from_utf16(text, max(0, start))
    if not quoted:
        last = from_utf16(text, max(0, end))
        return (first, last) if first < last else None
    places = [i for i in range(len(text)) if text.startswith(quoted, i)]
    if places:
        found = min(places, key=lambda i: min(abs(i - first), abs(i - start)))
        return found, found + len(quoted)
    # Line breaks and runs of spaces are shown, and quoted, in other ways than they are written.
    kept = [i for i, c in enumerate(text) if not c.isspace()]
    bare, sought = "".join(text[i] for i in kept), "".join(quoted.split())
    places = [i for i in range(len(bare)) if sought and bare.startswith(sought, i)]
    if not places:
        return None
    found = min(places, key=lambda i: abs(kept[i] - first))
    return kept[found], kept[found + len(sought) - 1] + 1


def across(
    texts: Sequence[str], first: int, last: int, start: int, end: int, quoted: str | None
) -> list[tuple[int, int, int]]:
    """Where a span is that may run over several texts.

    Args:
        texts: Of all turns.
        first: Number of the text in which it begins.
        last: Number of the text in which it ends.
        start: Offset in the first.
        end: Offset in the last.
        quoted: What was marked.

    Returns: For each text its number and the offsets in it; nothing when it cannot be found.
    """
    if not 0 <= first <= last < len(texts):
        return []
    if first == last:
        found = located(texts[first], start, end, quoted)
        return [] if found is None else [(first, *found)]
    said = "".join((quoted or "").split())
    head, tail = texts[first], texts[last]
    for begin in (from_utf16(head, start), start):
        for stop in (from_utf16(tail, end), end, from_utf16(tail, end) + 1):
            bounds = [(first, begin, len(head))]
            bounds += [(i, 0, len(texts[i])) for i in range(first + 1, last)]
            bounds.append((last, 0, min(stop, len(tail))))
            whole = "".join("".join(texts[i][a:b].split()) for i, a, b in bounds)
            if not said or whole == said:
                return [(i, a, b) for i, a, b in bounds if a < b]
    return []
