"""Figures of `intimacy.assessment` and `intimacy.paired`, for people: lines and reports."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

TITLES = {
    "test": "held-out creators",
    "challenge": "boundary cases of the codebook",
    "real": "real comments",
}
"""What the sets of the bundled corpus are."""


def text(found: Mapping[str, Any]) -> str:
    """A few lines for a terminal."""
    names = tuple(found["n_by_label"])
    wide = max(len(_candidate(*entry)) for entry in found["macro_f1"].items()) + 2
    lines = [
        f"{found['n']} threads in scope of {found['clusters']} creators; macro-F1 over "
        + ", ".join(found["labels"]),
        f"{'':{wide}}{'macro-F1':<24}" + "".join(f"{name:>13}" for name in names),
    ]
    for name, row in found["macro_f1"].items():
        cells = "".join(f"{row['f1'][label]:>13.3f}" for label in names)
        lines.append(f"{_candidate(name, row):{wide}}{_figure(row):<24}{cells}")
    return "\n".join([*lines, *_prose(found)])


def markdown(found: Mapping[str, Any], *, title: str) -> str:
    """A section of a report: the table, the reliability diagram, the confusion matrix."""
    names = tuple(found["n_by_label"])
    head = " | ".join(names)
    rows = [
        f"| {_candidate(name, row)} | {_figure(row)} | "
        + " | ".join(f"{row['f1'][label]:.3f}" for label in names)
        + " |"
        for name, row in found["macro_f1"].items()
    ]
    counts = " | ".join(str(found["n_by_label"][label]) for label in names)
    diagram = [
        f"| {b['confidence']:.2f} | {b['accuracy']:.2f} | {b['n']} | `{_bar(b)}` |"
        for b in found["reliability"]
    ]
    matrix = [
        f"| **{name}** | " + " | ".join(map(str, row)) + " |"
        for name, row in zip(names, found["confusion"], strict=True)
    ]
    return "\n".join(
        [
            f"### {found['n']} threads in scope: {title}",
            "",
            f"| | macro-F1 over {', '.join(found['labels'])} | {head} |",
            "|---" * (len(names) + 2) + "|",
            f"| threads | {found['n']} | {counts} |",
            *rows,
            "",
            *_prose(found),
            *_sources(found),
            "",
            "Reliability: in each bin the bar is the accuracy, the mark what was promised.",
            "",
            "| confidence | accuracy | threads | |",
            "|---|---|---|---|",
            *diagram,
            "",
            "Truth in rows, best score in columns:",
            "",
            f"| | {head} |",
            "|---" * (len(names) + 1) + "|",
            *matrix,
        ]
    )


_WIDTH = 40


def _bar(found: Mapping[str, Any]) -> str:
    cells = ["█" if i < found["accuracy"] * _WIDTH else "·" for i in range(_WIDTH)]
    cells[min(_WIDTH - 1, int(found["confidence"] * _WIDTH))] = "|"
    return "".join(cells)


def _prose(found: Mapping[str, Any]) -> list[str]:
    brier = "" if found["brier"] is None else f"; Brier {found['brier']:.3f}"
    at = ", ".join(f"{value:.3f} at {share}" for share, value in found["macro_f1_at"].items())
    errors = ", ".join(
        f"{row['corrected']:.3f} ({row['counted']:.3f}) at {size}"
        for size, row in found["share_error"].items()
    )
    lines = [
        f"Expected calibration error (15 bins of equal mass) {found['ece']:.3f}, of which a "
        f"perfect model of this size has {found['ece_by_chance']:.3f}{brier}; area under the "
        f"risk–coverage curve {found['aurc']:.3f}.",
        f"Answers {found['coverage']:.0%} of the threads in scope, and is right on "
        f"{found['accuracy_where_labelled']:.0%} of those. Macro-F1 of the most confident: {at}.",
        f"Distance of a creator's shares from the truth, corrected (and counted), by threads: "
        f"{errors}.",
        f"Out of scope or not Italian: F1 {found['scope']['f1_out']:.2f} over "
        f"{found['scope']['n_out']} such threads.",
    ]
    if found["pairs"]["n"]:
        shares = ", ".join(
            f"{name.replace('_', ' ')} {share:.0%}"
            for name, share in found["pairs"]["consistent"].items()
        )
        lines.append(f"Both twins right, of {found['pairs']['n']} contrast pairs: {shares}.")
    if seeds := found.get("seeds"):
        lines.append(
            f"Macro-F1 over {len(seeds)} seeds: mean {statistics.fmean(seeds):.3f}, standard "
            f"deviation {statistics.stdev(seeds):.3f}, from {min(seeds):.3f} to {max(seeds):.3f}; "
            "the one here has the lowest loss on the development creators."
        )
    if mixes := found["prevalence"]:
        effects = "; ".join(
            f"{name} ({', '.join(f'{share:.2f}' for share in row['mix'].values())}): macro-F1 "
            f"{row['macro_f1']:.3f}, calibration error {row['ece']:.3f}, Brier {row['brier']:.3f}"
            for name, row in mixes.items()
            if name != "declared"
        )
        lines.append(f"Under other assumed shares of {', '.join(found['n_by_label'])}: {effects}.")
    return lines


def _figure(row: Mapping[str, Any]) -> str:
    between = (
        "no interval" if row["interval"] is None else "{:.3f}, {:.3f}".format(*row["interval"])
    )
    return f"{row['macro_f1']:.3f} [{between}]"


def _candidate(name: str, row: Mapping[str, Any]) -> str:
    said = name.replace("_", " ")
    return f"{said} (n = {row['n']})" if "n" in row else said


def _sources(found: Mapping[str, Any]) -> list[str]:
    """A table by source, where there are several."""
    if len(found["by_source"]) < 2:
        return []
    rows = []
    for name, row in found["by_source"].items():
        figure = "—" if row["macro_f1"] is None else _figure(row)
        labels = ", ".join(row["labels"]) or "none has enough"
        rows.append(f"| {name} | {row['n']} | {row['accuracy']:.3f} | {figure} | {labels} |")
    return ["", "| source | threads | accuracy | macro-F1 | over |", "|---" * 5 + "|", *rows]


def report(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Sections of several sets, in Markdown."""
    return "\n\n".join(
        markdown(found, title=TITLES.get(name, name)) for name, found in figures.items()
    )


# -- two models, from `intimacy.paired.compare`

_NAMES = {
    "accuracy": "accuracy",
    "brier": "Brier score (less is better)",
    "ece": "calibration error (less is better)",
}


def paired_text(found: Mapping[str, Any]) -> str:
    """A few lines for a terminal."""
    rows = [("", "first", "second", "second less first"), *_paired_rows(found)]
    wide = max(len(row[0]) for row in rows) + 2
    lines = [f"{row[0]:{wide}}{row[1]:>8}{row[2]:>8}  {row[3]}" for row in rows]
    return "\n".join([_paired_head(found), *lines, *_paired_prose(found)])


def paired_markdown(found: Mapping[str, Any], *, title: str) -> str:
    """A section of a report."""
    return "\n".join(
        [
            f"### {title}",
            "",
            _paired_head(found),
            "",
            "| | first | second | second less first |",
            "|---" * 4 + "|",
            *("| " + " | ".join(row) + " |" for row in _paired_rows(found)),
            "",
            *_paired_prose(found),
        ]
    )


def paired_report(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Sections of several sets, in Markdown."""
    return "\n\n".join(
        paired_markdown(found, title=TITLES.get(name, name)) for name, found in figures.items()
    )


def _paired_head(found: Mapping[str, Any]) -> str:
    return (
        f"{found['n']} threads in scope of {found['clusters']} creators, read by both; in brackets "
        "the 95 % interval of the difference over creators."
    )


def _paired_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    mean = {f"macro-F1 over {', '.join(found['labels'])}": found["figures"]["macro_f1"]}
    each = {f"F1 of {name} (n = {found['n_by_label'][name]})": r for name, r in found["f1"].items()}
    others = {said: found["figures"][name] for name, said in _NAMES.items()}
    rows = []
    for name, row in (mean | each | others).items():
        if row is None:
            continue
        between = "no interval"
        if row["interval"] is not None:
            between = "{:+.3f}, {:+.3f}".format(*row["interval"])
        difference = f"{row['difference']:+.3f} [{between}]"
        rows.append((name, f"{row['first']:.3f}", f"{row['second']:.3f}", difference))
    return rows


def _paired_prose(found: Mapping[str, Any]) -> list[str]:
    test = found["mcnemar"]
    return [
        f"Right by the first alone {test['only_first']}, by the second alone "
        f"{test['only_second']}: p = {test['p']:.3g} (McNemar, exact, two-sided). It takes threads "
        "for independent, which those of one creator are not: report the intervals.",
        *(f"{note[0].upper()}{note[1:]}." for note in found["notes"]),
    ]
