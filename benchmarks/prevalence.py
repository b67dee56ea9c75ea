"""Do nominal 90 % intervals of the shares cover, where counting fails?

    python benchmarks/prevalence.py                          # simulated classifier, seeded
    python benchmarks/prevalence.py --corpus data/threads    # the model, held-out creators

Creators with mixes drawn far from the training mix (Dirichlet 0.8), n = 50, 100, 200, 400 threads
each, through the estimator of profiles (`intimacy.profiling.evaluate.mix`). In the simulation the
classifier errs differently on every creator, in part on each label in its own way, and threads of
one post are alike; development threads are drawn in the same way, 30 a label from 12 creators. On
the corpus threads of the test split are drawn with replacement to match each mix; the errors are
those that the manifest carries from the development creators.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

import intimacy
from intimacy import prevalence
from intimacy.bundle import Errors
from intimacy.prediction import Prediction, Structure
from intimacy.profiling import tally
from intimacy.profiling.evaluate import mix as mix_of
from intimacy.schema import Label, Role
from intimacy.training.calibration import errors_of

LABELS = tuple(str(label) for label in Label)
SIZES = (50, 100, 200, 400)
INTERVAL = 0.90
K = len(LABELS)

Floats = np.ndarray
Draw = Callable[[Floats, int, np.random.Generator], Sequence[Prediction]]
Model = Callable[[np.random.Generator], tuple[Mapping[str, Errors], Floats]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="labelled threads; else a simulation")
    parser.add_argument("--model", help="model folder; else the bundled one")
    parser.add_argument("--creators", type=int, default=200)
    given = parser.parse_args()
    draw, model = (
        of_corpus(given.corpus, given.model)
        if given.corpus
        else (simulated_threads, simulated_model)
    )
    print(
        "| n | corrected: covered | width | error | counted: covered | error "
        "| pcc | acc | pacc | emq |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for size, row in coverage(draw, model, given.creators).items():
        e = row["error"]
        print(
            f"| {size} | {row['covered']:.3f} | {row['width']:.3f} | {e['corrected']:.3f} "
            f"| {row['counted_covered']:.3f} | {e['counted']:.3f} | {e['pcc']:.3f} "
            f"| {e['acc']:.3f} | {e['pacc']:.3f} | {e['emq']:.3f} |"
        )


def coverage(draw: Draw, model: Model, creators: int) -> dict[int, dict[str, object]]:
    """Coverage and errors by number of threads."""
    mixes = np.random.default_rng(0).dirichlet(np.full(K, 0.8), creators)
    out: dict[int, dict[str, object]] = {}
    for size in SIZES:
        covered, counted, width = [], [], []
        wrong: dict[str, list[Floats]] = {}
        for number, true in enumerate(mixes):
            rng = np.random.default_rng(1_000 * size + number)
            errors, prior = model(rng)
            facts = tally(draw(true, size, rng)).facts()
            shares, _ = mix_of(facts, errors, INTERVAL, blind=None)
            found = [shares[name] for name in LABELS]
            low, middle, high = (
                np.array([getattr(s, end) for s in found]) for end in ("low", "estimate", "high")
            )
            covered.append((low <= true) & (true <= high))
            width.append(high - low)
            points = prevalence.point_estimates(facts.threads["scores"], errors["label"], prior)
            for name, values in {"corrected": middle, **points}.items():
                wrong.setdefault(name, []).append(np.abs(values - true))
            said = np.bincount(facts.threads["scores"].argmax(1), minlength=K)
            ends = [np.quantile(prevalence.rate_draws(c, size), [0.05, 0.95]) for c in said]
            counted.append([a <= t <= b for (a, b), t in zip(ends, true, strict=True)])
        out[size] = {
            "covered": float(np.mean(covered)),
            "width": float(np.mean(width)),
            "counted_covered": float(np.mean(counted)),
            "error": {name: float(np.mean(values)) for name, values in wrong.items()},
        }
    return out


# -- simulated

_SIGNAL = 2.0
_CREATOR = 0.2
"""Spread of a creator's own shift of the logits: one for all labels, and one for each label."""
_ALIKE = 12.0
"""Concentration of a post's mix about its creator's: threads of a post are alike."""
_ANSWERED = Structure(roles=(Role.FOLLOWER, Role.CREATOR), author_ids=(None, None))


def _shift(rng: np.random.Generator) -> Floats:
    """Of every label as said, by true label."""
    return _CREATOR * (rng.normal(size=K) + rng.normal(size=(K, K))) / np.sqrt(2)


def _scores(labels: np.ndarray, shift: Floats, rng: np.random.Generator) -> Floats:
    logits = rng.normal(size=(len(labels), K)) + _SIGNAL * np.eye(K)[labels] + shift[labels]
    posterior = np.exp(_SIGNAL * logits)
    return posterior / posterior.sum(1, keepdims=True)


def simulated_threads(mix: Floats, size: int, rng: np.random.Generator) -> list[Prediction]:
    """One creator's threads, about ten a post."""
    return simulated_creator(mix, size, rng)[0]


def simulated_creator(
    mix: Floats, size: int, rng: np.random.Generator
) -> tuple[list[Prediction], np.ndarray]:
    """One creator's threads, about ten a post, and the true label of each, as a number."""
    n_posts = max(5, size // 10)
    posts = rng.integers(1, n_posts + 1, size)
    of_posts = rng.dirichlet(np.maximum(_ALIKE * mix, 1e-3), n_posts + 1)
    labels = np.array([rng.choice(K, p=of_posts[post]) for post in posts])
    scores = _scores(labels, _shift(rng), rng).tolist()
    return [
        Prediction(
            thread_id=str(number),
            label=None,
            scores=dict(zip(LABELS, row, strict=True)),
            structure=_ANSWERED,
            post_id=f"p{post}",
        )
        for number, (row, post) in enumerate(zip(scores, posts, strict=True))
    ], labels


def simulated_model(rng: np.random.Generator) -> tuple[dict[str, Errors], Floats]:
    """What thirty development threads a label, of twelve creators, say of the classifier."""
    truth = np.repeat(np.arange(K), 30)
    creators = rng.integers(0, 12, len(truth))
    shifts = [_shift(rng) for _ in range(12)]
    scores = np.concatenate([_scores(truth[[i]], shifts[c], rng) for i, c in enumerate(creators)])
    names = [str(c) for c in creators]
    errors = errors_of(truth, scores.argmax(1), names, size=K, scores=scores)
    return {"label": errors}, np.full(K, 1 / K)


# -- the corpus


def of_corpus(corpus: str, model: str | None) -> tuple[Draw, Model]:
    """Threads of the test split, to be drawn by label; their posts are not those of one creator."""
    classifier = intimacy.load_model(model)
    items = [i for i in intimacy.load_corpus(corpus) if i.split == "test" and i.label is not None]
    found = classifier.classify_threads([i.thread for i in items], progress=None)
    kept = [(i, p) for i, p in zip(items, found, strict=True) if p.scores]
    truth = np.array([LABELS.index(str(i.label)) for i, _ in kept])

    def draw(mix: Floats, size: int, rng: np.random.Generator) -> list[Prediction]:
        labels = rng.choice(K, size, p=mix)
        rows = [rng.choice(np.flatnonzero(truth == k)) for k in labels]
        return [
            replace(kept[row][1], thread_id=str(number), post_id=None, reason=None)
            for number, row in enumerate(rows)
        ]

    manifest = classifier.manifest
    prior = np.array([manifest.prior.get(name, 0.0) for name in LABELS])
    return draw, lambda rng: (manifest.errors, prior)


if __name__ == "__main__":
    main()
