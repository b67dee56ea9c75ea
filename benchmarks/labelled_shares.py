"""What are some labels of one creator worth: do nominal 90 % intervals cover, how wide are they?

    python benchmarks/labelled_shares.py                          # simulated classifier, seeded
    python benchmarks/labelled_shares.py --corpus data/threads    # the model, held-out creators
    python benchmarks/labelled_shares.py --rounds                 # labels of several draws

Creators with mixes drawn far from the training mix (Dirichlet 0.8), N = 500 or 2,000 threads each,
30 to 200 of them labelled. In the simulation the classifier errs differently on every creator
than on the development ones, threads of one post are alike (benchmarks/prevalence.py), and a
tenth is out of scope. On the corpus threads of the test split are drawn with replacement to match
each mix. Beside `intimacy.labelled_shares` with labels of a random sample, and with those of one
that `label_next` draws for the profile: labels alone, PPI++ with normal intervals, and the
profile's own correction by development errors, which needs no label. Each cell: covered, width,
mean absolute error, and covered where the true share is under 5 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import intimacy
from intimacy.bundle import Errors
from intimacy.prediction import Prediction
from intimacy.profiling import tally
from intimacy.profiling.evaluate import mix as mix_of
from intimacy.schema import Label, Share

sys.path.insert(0, str(Path(__file__).parent))
import prevalence as simulation

LABELS = simulation.LABELS
SIZES = (500, 2_000)
N_LABELS = (30, 60, 100, 200)
RARE = 0.05
_OUT = 0.1
"""Threads out of scope, in the simulation."""

Floats = np.ndarray
Truth = dict[str, "Label | None"]
Draw = Callable[[Floats, int, np.random.Generator], "tuple[list[Prediction], Truth]"]
Model = Callable[[np.random.Generator], "tuple[Mapping[str, Errors], Floats]"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="labelled threads; else a simulation")
    parser.add_argument("--model", help="model folder; else the bundled one")
    parser.add_argument("--creators", type=int, default=200)
    parser.add_argument("--rounds", action="store_true", help="40 and 40 labels, not at once")
    given = parser.parse_args()
    draw, model = (
        of_corpus(given.corpus, given.model)
        if given.corpus
        else (simulated_creator, simulation.simulated_model)
    )
    if given.rounds:
        for name, row in in_rounds(draw, model, given.creators, SIZES[0]).items():
            print(f"| {name} | {cell(row)} |", flush=True)
        return
    print(HEAD)
    for size in SIZES:
        print(*lines(size, coverage(draw, model, given.creators, size)), sep="\n", flush=True)


def cell(row: Mapping[str, float]) -> str:
    """Covered, width, error, and covered where the true share is rare."""
    told = " · ".join(f"{row[name]:.3f}" for name in ("covered", "width", "error"))
    return f"{told} · {row['rare_covered']:.2f}"


METHODS = ("labels alone", "PPI++", "random", "drawn for the profile")
HEAD = f"| N | labels | {' | '.join(METHODS)} |\n|---|---|---|---|---|---|"


def lines(size: int, found: Mapping[tuple[int, str], Mapping[str, float]]) -> list[str]:
    """Lines of the table, one a number of labels."""
    without = f"| {size:,} | 0 | development errors: {cell(found[0, 'development errors'])} | | | |"
    return [without] + [
        f"| {size:,} | {n} | {' | '.join(cell(found[n, name]) for name in METHODS)} |"
        for n in sorted({n for n, _ in found} - {0})
    ]


def coverage(
    draw: Draw,
    model: Model,
    creators: int,
    size: int,
    n_labels: Sequence[int] = N_LABELS,
) -> dict[tuple[int, str], dict[str, float]]:
    """Coverage, mean width and mean error by number of labels and method."""
    mixes = np.random.default_rng(0).dirichlet(np.full(len(LABELS), 0.8), creators)
    found: dict[tuple[int, str], list[Floats]] = {}
    for number, true in enumerate(mixes):
        rng = np.random.default_rng(1_000 * size + number)
        errors, _ = model(rng)
        predictions, truth = draw(true, size, rng)
        for key, shares in of_creator(predictions, truth, errors, n_labels, number).items():
            found.setdefault(key, []).append(ends(shares))
    return summary(found, mixes)


def ends(shares: Mapping[str, Share]) -> Floats:
    """Low end, estimate and high end of each label, shape (labels, 3)."""
    rows = [[getattr(shares[k], e) for e in ("low", "estimate", "high")] for k in LABELS]
    return np.array(rows, dtype=np.float64)


def in_rounds(
    draw: Draw, model: Model, creators: int, size: int, n: int = 40
) -> dict[str, dict[str, float]]:
    """The same where labels are of two draws, or of a draw after labels that were picked."""
    mixes = np.random.default_rng(0).dirichlet(np.full(len(LABELS), 0.8), creators)
    found: dict[tuple[int, str], list[Floats]] = {}
    for number, true in enumerate(mixes):
        rng = np.random.default_rng(1_000 * size + number)
        model(rng)
        predictions, truth = draw(true, size, rng)
        first = drawn(predictions, n, number)
        picked = [c.thread_id for c in intimacy.label_next(predictions, n, by="uncertainty")]
        for name, told in {
            f"{2 * n} in one draw": drawn(predictions, 2 * n, number),
            f"{n}, and {n} more of the rest": first | drawn(predictions, n, number, list(first)),
            f"{n} picked for uncertainty, then {n} drawn": (
                dict.fromkeys(picked, 1.0) | drawn(predictions, n, number, picked)
            ),
            f"{n} in one draw": first,
        }.items():
            labels = {name: truth[name] for name in told}
            shares = intimacy.labelled_shares(predictions, labels, probabilities=told)
            found.setdefault((0, name), []).append(ends(shares))
    return {name: row for (_, name), row in summary(found, mixes).items()}


def drawn(
    predictions: list[Prediction], n: int, seed: int, labelled: Sequence[str] = ()
) -> dict[str, float]:
    """Probabilities of the threads that a draw for the profile takes."""
    seed += 7 * len(labelled)
    chosen = intimacy.label_next(predictions, n, by="profile", labelled=labelled, seed=seed)
    return {c.thread_id: c.probability for c in chosen}


def of_creator(
    predictions: list[Prediction],
    truth: Truth,
    errors: Mapping[str, Errors],
    n_labels: Sequence[int],
    number: int,
) -> dict[tuple[int, str], Mapping[str, Share]]:
    """Shares of one creator by number of labels and method."""
    out = {
        (0, "development errors"): mix_of(tally(predictions).facts(), errors, 0.9, blind=None)[0]
    }
    for n in n_labels:
        seed = 10_000 * n + number
        even = intimacy.label_next(predictions, n, by="random", seed=seed)
        labels = {c.thread_id: truth[c.thread_id] for c in even}
        for name, method in (("labels alone", "labels"), ("PPI++", "ppi"), ("random", "posterior")):
            out[n, name] = intimacy.labelled_shares(predictions, labels, method=method)
        drawn = intimacy.label_next(predictions, n, by="profile", seed=seed)
        out[n, "drawn for the profile"] = intimacy.labelled_shares(
            predictions,
            {c.thread_id: truth[c.thread_id] for c in drawn},
            probabilities={c.thread_id: c.probability for c in drawn},
        )
    return out


def summary(
    found: Mapping[tuple[int, str], Sequence[Floats]], mixes: Floats
) -> dict[tuple[int, str], dict[str, float]]:
    """Of intervals, shape (labels, 3) for each creator, what the table holds."""
    out = {}
    for key, rows in sorted(found.items(), key=lambda item: item[0][0]):
        low, middle, high = np.moveaxis(np.array(rows), 2, 0)
        covered, rare = (low <= mixes) & (mixes <= high), mixes < RARE
        out[key] = {
            "covered": float(covered.mean()),
            "width": float((high - low).mean()),
            "error": float(np.abs(middle - mixes).mean()),
            "rare_covered": float(covered[rare].mean()),
            "rare_width": float((high - low)[rare].mean()),
        }
    return out


def simulated_creator(
    mix: Floats, size: int, rng: np.random.Generator
) -> tuple[list[Prediction], Truth]:
    """One creator's threads, a tenth of them out of scope, and their true labels."""
    inside, labels = simulation.simulated_creator(mix, size, rng)
    scope = rng.random(size) >= _OUT
    # The scope head errs on this creator in its own way as well.
    seen = 2.4 * (rng.normal(size=size) + np.where(scope, 1.2, -1.2) + 0.3 * rng.normal())
    read = 1 / (1 + np.exp(-seen) * _OUT / (1 - _OUT))
    predictions = [replace(p, scope=float(s)) for p, s in zip(inside, read, strict=True)]
    truth = {
        str(p.thread_id): Label(LABELS[k]) if within else None
        for p, k, within in zip(predictions, labels, scope, strict=True)
    }
    return predictions, truth


def of_corpus(corpus: str, model: str | None) -> tuple[Draw, Model]:
    """Threads of the test split, drawn by label, with as many out of scope as it has."""
    classifier = intimacy.load_model(model)
    items = [i for i in intimacy.load_corpus(corpus) if i.split == "test"]
    found = classifier.classify_threads([i.thread for i in items], progress=None)
    kept = [(i.label, p) for i, p in zip(items, found, strict=True) if p.scores]
    truth = np.array([-1 if label is None else LABELS.index(str(label)) for label, _ in kept])
    outside = float((truth < 0).mean())

    def draw(mix: Floats, size: int, rng: np.random.Generator) -> tuple[list[Prediction], Truth]:
        labels = np.where(rng.random(size) < outside, -1, rng.choice(len(LABELS), size, p=mix))
        rows = [rng.choice(np.flatnonzero(truth == k)) for k in labels]
        predictions = [
            replace(kept[row][1], thread_id=str(number), creator_id=None, post_id=None)
            for number, row in enumerate(rows)
        ]
        return predictions, {str(number): kept[row][0] for number, row in enumerate(rows)}

    manifest = classifier.manifest
    prior = np.array([manifest.prior.get(name, 0.0) for name in LABELS])
    return draw, lambda rng: (manifest.errors, prior)


if __name__ == "__main__":
    main()
