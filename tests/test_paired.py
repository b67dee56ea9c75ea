"""`intimacy evaluate --compare`: two models on the same threads, what differs and by how much."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from intimacy import assessment, corpus, evaluation, paired, scorecard, store
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import bundled_path
from intimacy.classifier import load_model
from intimacy.cli import main
from intimacy.errors import BundleError, ConfigError, CorpusError, RecordError, SourceError
from intimacy.prediction import Prediction
from intimacy.schema import Label, Turn

ORDER = tuple(map(str, Label))


@pytest.fixture(scope="module")
def items() -> list[AnnotatedThread]:
    """Threads of every test creator, out of scope ones among them."""
    return assessment.sets(corpus.load_corpus())["test"][::5]


@pytest.fixture(scope="module")
def inside(items: list[AnnotatedThread]) -> list[AnnotatedThread]:
    return [item for item in items if item.label is not None]


@pytest.fixture(scope="module")
def first(items: list[AnnotatedThread]) -> list[Prediction]:
    return load_model().classify_threads([item.thread for item in items], progress=False)


@pytest.fixture(scope="module")
def second(first: list[Prediction]) -> list[Prediction]:
    """Another model: every third answer of the first, moved by one label."""
    out = []
    for n, found in enumerate(first):
        scores = dict(found.scores)
        if n % 3 == 0 and scores:
            scores = dict(zip(scores, [*scores.values()][1:] + [*scores.values()][:1], strict=True))
        out.append(replace(found, scores=scores, label=None, model_id="other"))
    return out


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of shares is measured on hundreds of samples; a test needs some."""
    monkeypatch.setattr(assessment, "_MIXES", 2)


def truth_and_said(
    items: Sequence[AnnotatedThread], found: Sequence[Prediction]
) -> tuple[list[str], list[str]]:
    rows = [(str(i.label), str(p.best)) for i, p in zip(items, found, strict=True) if i.label]
    return [t for t, _ in rows], [s for _, s in rows]


def test_figures_are_those_of_scikit_learn_and_differences_those_of_the_figures(
    items: list[AnnotatedThread], first: list[Prediction], second: list[Prediction]
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = paired.compare(items, first, second)
    assert found["labels"] == [n for n in ORDER if found["n_by_label"][n] >= assessment.ENOUGH]
    for side, predictions in (("first", first), ("second", second)):
        truth, said = truth_and_said(items, predictions)
        values = metrics.f1_score(truth, said, average=None, labels=ORDER)
        each = dict(zip(ORDER, values, strict=True))
        assert {n: row[side] for n, row in found["f1"].items()} == pytest.approx(each, abs=1e-4)
        macro = np.mean([each[name] for name in found["labels"]])
        assert found["figures"]["macro_f1"][side] == pytest.approx(macro, abs=1e-4)
        accuracy = metrics.accuracy_score(truth, said)
        assert found["figures"]["accuracy"][side] == pytest.approx(accuracy, abs=1e-4)
    for row in (*found["figures"].values(), *found["f1"].values()):
        assert row["difference"] == pytest.approx(row["second"] - row["first"], abs=2e-4)
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    assert found["figures"]["macro_f1"]["interval"][1] < 0, "a third of its answers are moved"
    # The same as where one model is measured alone.
    alone = assessment.assess(load_model(), items)
    assert found["figures"]["macro_f1"]["first"] == alone["macro_f1"]["model"]["macro_f1"]
    assert found["figures"]["brier"]["first"] == alone["brier"]
    assert found["figures"]["ece"]["first"] == alone["ece"]


def test_the_interval_is_a_paired_bootstrap_over_creators(
    items: list[AnnotatedThread],
    inside: list[AnnotatedThread],
    first: list[Prediction],
    second: list[Prediction],
) -> None:
    found = paired.compare(items, first, second)
    truth, said = truth_and_said(items, first)
    other = truth_and_said(items, second)[1]
    creators: dict[str, list[int]] = {}
    for row, item in enumerate(inside):
        creators.setdefault(item.cluster, []).append(row)
    assert found["clusters"] == len(creators) > 10
    rng, draws = np.random.default_rng(5), []
    for _ in range(2_000):
        drawn = rng.integers(len(creators), size=len(creators))
        rows = [row for n in drawn for row in [*creators.values()][n]]
        right = np.mean([(other[r] == truth[r]) - (said[r] == truth[r]) for r in rows])
        draws.append(right)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found["figures"]["accuracy"]["interval"] == pytest.approx([low, high], abs=0.01)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (5, 5), (3, 12), (1, 30), (700, 900)])
def test_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    scipy = pytest.importorskip("scipy.stats")
    first = np.array([True] * b + [False] * c + [True, False])
    second = np.array([False] * b + [True] * c + [True, False])
    found = evaluation.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (b, c)
    assert found.p == pytest.approx(scipy.binomtest(b, b + c).pvalue if b + c else 1.0, rel=1e-9)
    assert found.p == evaluation.mcnemar(second, first).p
    if b + c < 50 and b != c:
        tail = sum(comb(b + c, k) for k in range(min(b, c) + 1))
        assert found.p == pytest.approx(2 * tail / 2 ** (b + c))


def test_mcnemar_needs_the_same_threads() -> None:
    with pytest.raises(ConfigError, match="3 answers and 2"):
        evaluation.mcnemar(np.ones(3, dtype=bool), np.ones(2, dtype=bool))


def test_clustered_threads_fool_mcnemar_and_not_the_interval() -> None:
    """Of two models that are as good, each better with other creators: why the interval counts."""
    rng, n, size = np.random.default_rng(3), 25, 20
    clusters = np.repeat(np.arange(n), size)
    surprised = missed = 0
    for run in range(150):
        better = np.repeat(rng.random(n) < 0.5, size)
        first = rng.random(n * size) < np.where(better, 0.9, 0.6)
        second = rng.random(n * size) < np.where(better, 0.6, 0.9)
        surprised += evaluation.mcnemar(first, second).p < 0.05
        gap = second.astype(float) - first
        found = evaluation.cluster_intervals(
            lambda rows, gap=gap: [gap[rows].mean()], clusters.tolist(), draws=200, seed=run
        )[0]
        assert found.low is not None and found.high is not None
        missed += not found.low <= 0 <= found.high
    assert surprised > 40, "instead of 8 of 150"
    assert missed < 20


def test_a_model_against_itself(items: list[AnnotatedThread], first: list[Prediction]) -> None:
    found = paired.compare(items, load_model(), first)
    rows = [*found["figures"].values(), *found["f1"].values()]
    assert all(row["difference"] == 0 and row["interval"] == [0, 0] for row in rows)
    assert found["mcnemar"] == {"only_first": 0, "only_second": 0, "p": 1.0}


def test_sharper_scores_change_brier_alone(items: list[AnnotatedThread], tmp_path: Path) -> None:
    folder = tmp_path / "sharp"
    shutil.copytree(bundled_path(), folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["temperature"] /= 4
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    found = paired.compare(items, load_model(), load_model(folder))
    assert found["figures"]["accuracy"]["difference"] == 0 and found["mcnemar"]["p"] == 1
    for name in ("brier", "ece"):
        row = found["figures"][name]
        assert row["difference"] != 0 and row["interval"][0] < row["interval"][1]


def test_few_creators_are_noted(items: list[AnnotatedThread], first: list[Prediction]) -> None:
    creators = list(dict.fromkeys(item.cluster for item in items))
    some = [item for item in items if item.cluster in creators[:3]]
    assert "3 creators are too narrow" in paired.compare(some, first, first)["notes"][0]
    one = [item for item in items if item.cluster == creators[0]]
    found = paired.compare(one, first, first)
    assert found["figures"]["accuracy"]["interval"] is None and "one creator" in found["notes"][0]
    for text in (scorecard.paired_text(found), scorecard.paired_report({"test": found})):
        assert "no interval" in text and "None" not in text
    # Where one model is measured alone as well.
    alone = assessment.assess(load_model(), one)
    assert alone["macro_f1"]["model"]["interval"] is None
    assert "no interval" in scorecard.text(alone) and "no interval" in scorecard.report(
        {"x": alone}
    )


def test_threads_without_scores_are_misses(
    items: list[AnnotatedThread], inside: list[AnnotatedThread], first: list[Prediction]
) -> None:
    unread = {inside[0].thread.id, inside[7].thread.id}
    gone = [replace(p, scores={}, label=None) if p.thread_id in unread else p for p in first]
    found = paired.compare(items, first, gone)
    assert found["mcnemar"]["only_second"] == 0 and "2 threads have no scores" in found["notes"][-1]
    assert found["figures"]["brier"]["difference"] == 0, "of the others alone"


def other_turns(found: Prediction) -> Prediction:
    shape = replace(found.structure, roles=(*found.structure.roles, *found.structure.roles))
    return replace(found, structure=shape)


def test_what_cannot_be_paired_is_refused(
    items: list[AnnotatedThread], first: list[Prediction], second: list[Prediction]
) -> None:
    def refused(second: Sequence[Prediction], message: str) -> None:
        with pytest.raises(CorpusError, match=message):
            paired.compare(items, first, second)

    labelled = {item.thread.id for item in items if item.label is not None}
    flagged = [p for p in first if p.thread_id in labelled]
    assert paired.compare(items, first, flagged)["n"] == len(labelled), "they are not read"
    refused(flagged[3:], f"second: no predictions for 3 of {len(labelled)} labelled threads")
    refused([], f"no predictions for {len(labelled)} of")
    refused([*first, first[0]], "several threads have one id")
    refused([*first[:40], *second[40:]], "of 2 models")
    refused([other_turns(p) for p in first], "same id and other turns")
    refused([replace(p, scores={}, label=None) for p in first], "have no scores")
    own = [replace(p, scores={f"x{k}": v for k, v in p.scores.items()}) for p in first]
    refused(own, "the second xcommercial, .* expected two that give the same labels")
    mixed = [own[0], *first[1:]] if first[0].thread_id in labelled else [*first[:-1], own[-1]]
    refused(mixed, "not all of the same labels")
    with pytest.raises(CorpusError, match="none of 0 threads"):
        paired.compare([], load_model(), load_model())
    strange = [replace(items[0], label="vendita"), *items[1:]]
    with pytest.raises(CorpusError, match="labels vendita, which the first does not know"):
        paired.compare(strange, load_model(), load_model())
    twins = [*items, replace(items[0])]
    with pytest.raises(CorpusError, match="several threads have one id"):
        paired.compare(twins, first, first)


# -- the command


@pytest.fixture(scope="module")
def files(
    items: list[AnnotatedThread],
    first: list[Prediction],
    second: list[Prediction],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("files")
    from intimacy.annotation import annotated_to_dict

    store.write_jsonl(folder / "corpus.jsonl", map(annotated_to_dict, items))
    store.write_jsonl(folder / "a.jsonl", (p.to_dict() for p in first))
    lines = b"".join(store.encode_line(p.to_dict()) for p in second)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    return folder


def evaluate(*arguments: object) -> tuple[int, str, str]:
    run = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    return run.exit_code, run.stdout, run.stderr


def test_the_command_compares_folders_and_files(
    files: Path,
    items: list[AnnotatedThread],
    first: list[Prediction],
    second: list[Prediction],
    tmp_path: Path,
) -> None:
    page = tmp_path / "report.md"
    b = files / "b.jsonl.gz"
    code, out, _ = evaluate(
        files / "corpus.jsonl", "--compare", bundled_path(), b, "--format", "json", "--report", page
    )
    assert code == 0
    found = json.loads(out)
    assert found["first"]["model_id"] == first[0].model_id and found["second"]["given"] == str(b)
    assert found["sets"]["test"] == paired.compare(items, first, second)
    text = page.read_text("utf-8")
    assert "### held-out creators" in text and "McNemar" in text and "second less first" in text
    test = found["sets"]["test"]["mcnemar"]
    assert f"Right by the first alone {test['only_first']}, by the second" in text
    code, out, _ = evaluate(files / "corpus.jsonl", "--compare", files / "a.jsonl", b)
    assert code == 0 and "== test" in out and "F1 of disclosive" in out and "(other)" in out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing", "does not exist; expected a model folder, or predictions"),
        ("corpus.jsonl", "not a prediction"),
        (".", "is not a model folder"),
    ],
)
def test_the_command_says_what_is_wrong(files: Path, given: str, message: str) -> None:
    code, _, err = evaluate(files / "corpus.jsonl", "--compare", files / "a.jsonl", files / given)
    assert code == 1 and message in err and "Traceback" not in err


def test_one_model_is_named_once(files: Path) -> None:
    given = (files / "corpus.jsonl", "--model", bundled_path(), "--compare")
    code, _, err = evaluate(*given, bundled_path(), files / "a.jsonl")
    assert code == 2 and "excludes --model" in err
    code, _, err = evaluate(*given, bundled_path())
    assert code == 2 and "requires 2 arguments" in err


def test_candidates_are_told_apart(files: Path, tmp_path: Path) -> None:
    assert len(paired.candidate(files / "a.jsonl")) > 50  # type: ignore[arg-type]
    for place, error in (("none", SourceError), ("corpus.jsonl", RecordError), ("", BundleError)):
        with pytest.raises(error):
            paired.candidate(files / place)


def test_turns_are_what_an_id_is_held_against(items: list[AnnotatedThread]) -> None:
    """A corpus numbered as another one is: only the first thread has as many turns."""
    assert {type(t) for t in items[0].thread.turns} == {Turn}
    moved = [
        replace(item, thread=replace(item.thread, id=other.thread.id))
        for item, other in zip(items, items[1:] + items[:1], strict=True)
    ]
    found = load_model().classify_threads([item.thread for item in moved[:40]], progress=False)
    with pytest.raises(CorpusError, match="same id and other turns"):
        paired.compare(items[1:41], found, found)
