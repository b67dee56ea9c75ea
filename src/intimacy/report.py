"""A profile as text, JSON, CSV and one HTML page that needs nothing from the network."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from intimacy import profiling
from intimacy.schema import Label, Profile, Share

_REASONS = {
    "low_confidence": "punteggio troppo basso",
    "out_of_scope": "fuori ambito (spam, follower tra loro, illeggibile)",
    "not_italian": "non in italiano",
    "too_short": "senza lettere, cifre né emoji",
    "empty": "senza testo",
    "invalid": "non leggibile come thread",
}
_INDICES = {"reply_rate": "Tasso di risposta"}


def text(profile: Profile) -> str:
    """A few lines for a terminal."""
    who = profile.creator_id or "creator unknown"
    lines = [
        f"{who}: {profile.n_threads} threads"
        + (f", {profile.n_posts} posts" if profile.n_posts else "")
        + (f", {profile.n_followers} followers" if profile.n_followers else "")
        + f"; {_window(profile)}",
        f"{'':14}{'share':>7}  {f'{profile.interval:.0%} interval':<15}{'counted':>7}",
    ]
    for name, share in profile.shares.items():
        lines.append(f"{name:<14}{_figures(share)}{profile.counts.get(name, 0):>9}")
    lines += [f"{name.replace('_', ' '):<14}{_figures(s)}" for name, s in profile.indices.items()]
    abstained = ", ".join(f"{n} {reason}" for reason, n in profile.abstentions.items()) or "none"
    coverage = "" if profile.coverage is None else f"; coverage {profile.coverage:.0%}"
    lines.append(f"abstained: {abstained}{coverage}")
    lines += [f"note: {note}" for note in profile.notes]
    lines.append(f"model {profile.model_id or 'unknown'}; an estimate, not a measurement")
    return "\n".join(lines)


def to_json(profiles: Sequence[Profile]) -> str:
    """An array of profiles."""
    return json.dumps([p.to_dict() for p in profiles], ensure_ascii=False, indent=2)


def to_csv(profiles: Sequence[Profile]) -> str:
    """One row a measure."""
    stream = io.StringIO()
    rows = [row for profile in profiles for row in profile.rows()]
    columns = ("creator_id", "kind", "name", "estimate", "low", "high", "n_threads", "reason")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def html(profiles: Sequence[Profile]) -> str:
    """One self-contained page in Italian; no text of any comment is in it."""
    import jinja2  # here, because most runs never make a page

    source = (resources.files("intimacy") / "resources" / "profile.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(profiles=[_view(p) for p in profiles])


_WHY = (
    (profiling.NO_REPLIES, "non misurabile: nessuna risposta in questo export"),
    (profiling.NO_CREATOR, "non misurabile: il creator non è identificato in questo export"),
    ("not shown:", "non mostrato: troppo pochi thread in ambito, ne servono almeno 20"),
    ("indicative:", "indicativo: meno di 50 thread in ambito"),
)


def _italian(reason: str | None) -> str | None:
    """The reason of a missing figure, for the page; unknown ones stay as they are."""
    if reason is None:
        return None
    return next((words for start, words in _WHY if reason.startswith(start)), reason)


def _view(profile: Profile) -> dict[str, Any]:
    measures = [
        {"name": Label(name).italian.capitalize(), "label": name, **_drawn(share)}
        | {"n": profile.counts.get(name, 0)}
        for name, share in profile.shares.items()
    ]
    indices = [
        {"name": _INDICES.get(name, name), "label": "index", **_drawn(share)}
        for name, share in profile.indices.items()
    ]
    return {
        "profile": profile,
        "measures": measures,
        "indices": indices,
        "abstentions": [(_REASONS.get(r, r), n) for r, n in profile.abstentions.items()],
        "window": _window(profile, "senza date"),
        "interval": f"{profile.interval:.0%}",
        "coverage": None if profile.coverage is None else f"{profile.coverage:.0%}",
    }


def _drawn(share: Share) -> dict[str, Any]:
    """A share with what a bar needs, in hundredths."""
    if share.estimate is None:
        return {"reason": _italian(share.reason), "measurable": False}
    low = share.estimate if share.low is None else share.low
    high = share.estimate if share.high is None else share.high
    return {
        "measurable": True,
        "reason": _italian(share.reason),
        "estimate": 100 * share.estimate,
        "low": 100 * low,
        "high": 100 * high,
    }


def _figures(share: Share) -> str:
    if share.estimate is None:
        return f"  {share.reason}  "
    between = "" if share.low is None else f"[{share.low:.2f}, {share.high:.2f}]"
    caveat = f"  ({share.reason})" if share.reason else ""
    return f"{share.estimate:>7.2f}  {between:<15}{caveat}"


def _window(profile: Profile, unknown: str = "no dates") -> str:
    first, last = profile.window
    if first is None or last is None:
        return unknown
    return f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"
