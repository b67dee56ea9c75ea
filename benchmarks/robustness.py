"""How much each index moves when the export, or the model, is another one.

    python benchmarks/robustness.py [EXPORT] [--other MODEL] [--write]

For every creator of the export (else the six of data/examples): odd against even threads, a random
half, the top fifth as platforms sort (most replies first), a fifth more comments that were bought
(plain praise by new accounts, never answered), and another model. A move is told in half-widths of
the interval of the index itself: 1 is as far as that reaches. Split halves are compared by the
intraclass correlation over creators, ICC(1,1), stepped up to the whole by Spearman-Brown.
``--write`` puts the table into docs/measures.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import intimacy
from intimacy.prediction import Prediction
from intimacy.profiling import evaluate, tally
from intimacy.profiling.evaluate import measures
from intimacy.schema import Profile, Role, Share, Thread, Turn

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- robustness -->"
KEY = "robustness-needs-no-secret"
BOUGHT = (
    "bellissima", "Top!", "complimenti ❤️", "adoro 😍😍", "sempre il migliore", "Grande!!", "wow",
    "che spettacolo", "la numero uno", "stupendo", "fantastica come sempre", "🔥🔥🔥",
)  # fmt: skip

Found = dict[str, Share]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", nargs="?", default=ROOT / "data/examples/sei-creator.csv")
    parser.add_argument("--other", help="model folder to swap in")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    threads, _ = intimacy.read_export(given.export, key=KEY)
    rows = table(threads, given.other)
    print(rows)
    if given.write:
        page = ROOT / "docs" / "measures.md"
        text = page.read_text("utf-8")
        before, after = text.split(MARK)[0], text.split(MARK)[-1]
        page.write_text(f"{before}{MARK}\n\n{rows}\n\n{MARK}{after}", "utf-8")


def table(threads: Sequence[Thread], other: str | None) -> str:
    """The Markdown table of all creators together."""
    model = intimacy.load_model()
    by_creator: dict[str | None, list[Prediction]] = {}
    for prediction in model.classify_threads(threads, signs=True):
        by_creator.setdefault(prediction.creator_id, []).append(prediction)
    swapped: dict[str | None, list[Prediction]] = {}
    if other:
        rival = intimacy.load_model(other)
        for prediction in rival.classify_threads(threads, signs=True):
            swapped.setdefault(prediction.creator_id, []).append(prediction)
    base, halves = {}, {}
    moves: dict[str, dict[str, list[float]]] = {}
    for creator, found in by_creator.items():
        base[creator] = figures(found)
        halves[creator] = (figures(found[::2]), figures(found[1::2]))
        changed: dict[str, Callable[[], Found]] = {
            "half": lambda found=found: figures(thinned(found)),
            "top fifth": lambda found=found: figures(top(found)),
            "bought": lambda found=found: figures([*found, *bought(found, threads, model)]),
        }
        if other:
            changed["other model"] = lambda creator=creator: figures(swapped[creator], rival.bundle)
        for kind, compute in changed.items():
            for name, share in compute().items():
                if (move := moved(base[creator][name], share)) is not None:
                    moves.setdefault(kind, {}).setdefault(name, []).append(move)
    kinds = list(moves)
    lines = [
        "| measure | creators | split halves agree | " + " | ".join(kinds) + " |",
        "|---|---|---|" + "---|" * len(kinds),
    ]
    for name in next(iter(base.values())):
        n = sum(found[name].measurable for found in base.values())
        if n:
            cells = [
                f"{np.mean(values):.1f}" if (values := moves[kind].get(name)) else "–"
                for kind in kinds
            ]
            agree = agreement([(a[name], b[name]) for a, b in halves.values()])
            lines.append(f"| `{name}` | {n} | {agree} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figures(predictions: Sequence[Prediction], bundle: object = None) -> Found:
    """All measures of these threads."""
    found: Profile = evaluate(
        tally(predictions), bundle or intimacy.load_model().bundle, frame="all"
    )
    return measures(found)


def moved(before: Share, after: Share) -> float | None:
    """How far an estimate went, in half-widths of its interval."""
    if before.estimate is None or after.estimate is None:
        return None
    half = ((before.high or 0.0) - (before.low or 0.0)) / 2
    return abs(after.estimate - before.estimate) / half if half > 0 else None


def agreement(pairs: Sequence[tuple[Share, Share]]) -> str:
    """ICC(1,1) of the halves over creators, for the whole; a dash below four creators."""
    both = np.array([(a.estimate, b.estimate) for a, b in pairs if a.measurable and b.measurable])
    if len(both) < 4 or np.ptp(both) == 0:
        return "–"
    between = 2 * both.mean(1).var(ddof=1)
    within = ((both[:, 0] - both[:, 1]) ** 2).mean() / 2
    icc = (between - within) / (between + within)
    return f"{max(0.0, 2 * icc / (1 + icc)):.2f}"


def thinned(found: Sequence[Prediction]) -> list[Prediction]:
    """A random half."""
    rng = np.random.default_rng(1)
    return [found[i] for i in sorted(rng.choice(len(found), len(found) // 2, replace=False))]


def top(found: Sequence[Prediction]) -> list[Prediction]:
    """The fifth with most replies."""
    order = sorted(range(len(found)), key=lambda i: (-len(found[i].structure.roles), i))
    return [found[i] for i in sorted(order[: len(found) // 5])]


def bought(
    found: Sequence[Prediction], threads: Sequence[Thread], model: intimacy.Classifier
) -> list[Prediction]:
    """Plain praise by accounts that were never there, a fifth of the threads."""
    rng = np.random.default_rng(2)
    mine = [t for t in threads if t.post.creator_id == found[0].creator_id]
    fake = []
    for number, i in enumerate(rng.choice(len(mine), len(mine) // 5)):
        root = mine[i].turns[0]
        text = BOUGHT[int(rng.integers(len(BOUGHT)))]
        turn = Turn(
            role=Role.FOLLOWER, text=text, author_id=f"bought{number}", created_at=root.created_at
        )
        fake.append(replace(mine[i], id=f"bought{number}", turns=(turn,), complete=None))
    return model.classify_threads(fake, signs=True)


if __name__ == "__main__":
    main()
