"""Whether labels can be guessed without reading: ``python benchmarks/shortcuts.py``.

On the held-out splits of the authored corpus: the majority, the structure rules and a bag of
words (TF-IDF of words and characters, logistic regression, trained on the train split) beside
one annotator held against the other. Macro-F1 with 95 % intervals by bootstrap over personas.
In contrast pairs, threads that differ in one thing and in the label, both must be right.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from intimacy import evaluation, load_corpus
from intimacy.annotation import AnnotatedThread
from intimacy.schema import Label
from intimacy.training import baselines

LABELS = tuple(str(label) for label in Label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="corpus with splits; else the bundled one")
    items = load_corpus(parser.parse_args().corpus)
    train = [item for item in items if item.split == "train" and item.label is not None]
    held = [item for item in items if item.split in ("test", "challenge")]
    whole = [item for item in held if item.label is not None]
    words = dict(
        zip(map(id, whole), baselines.tfidf_logistic_regression(train, whole), strict=True)
    )
    most = str(evaluation.majority([str(item.label) for item in train]))
    guesses = {
        "majority": lambda item: most,
        "structure rules": lambda item: str(evaluation.structure_rules(item.thread)),
        "TF-IDF + logistic regression": lambda item: words[id(item)],
        "one annotator against the other": lambda item: str(item.votes[0]["label"]),
    }
    columns = {
        "test": [item for item in whole if item.split == "test"],
        "challenge": [item for item in whole if item.split == "challenge"],
    }
    pairs = contrast_pairs(whole)
    print(f"| macro-F1 | {' | '.join(f'{k} ({len(v)})' for k, v in columns.items())} ", end="")
    print(f"| contrast pairs, both right ({len(pairs)}) |\n|---|---|---|---|")
    for name, guess in guesses.items():
        second = 1 if name.startswith("one annotator") else None
        cells = []
        for part in columns.values():
            truth = [truth_of(item, second) for item in part]
            said = [guess(item) for item in part]

            def score(
                rows: Sequence[int], truth: list[str] = truth, said: list[str] = said
            ) -> float:
                return evaluation.macro_f1(
                    [truth[i] for i in rows], [said[i] for i in rows], LABELS
                )

            cells.append(str(evaluation.cluster_interval(score, [i.persona for i in part])))
        right = [all(guess(i) == truth_of(i, second) for i in pair) for pair in pairs]
        share = evaluation.cluster_interval(
            lambda rows, right=right: sum(right[i] for i in rows) / len(rows),
            [pair[0].persona for pair in pairs],
        )
        print(f"| {name} | {' | '.join(cells)} | {share} |")


def truth_of(item: AnnotatedThread, vote: int | None) -> str:
    return str(item.label if vote is None else item.votes[vote]["label"])


def contrast_pairs(items: Sequence[AnnotatedThread]) -> list[list[AnnotatedThread]]:
    """Twins whose labels differ."""
    pairs: dict[str, list[AnnotatedThread]] = defaultdict(list)
    for item in items:
        if item.pair_id:
            pairs[item.pair_id].append(item)
    return [pair for pair in pairs.values() if len({item.label for item in pair}) > 1]


if __name__ == "__main__":
    main()
