"""`intimacy evaluate`: figures, their intervals, the report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from intimacy import assessment, corpus, evaluation, scorecard
from intimacy.classifier import load_model
from intimacy.cli import main
from intimacy.errors import CorpusError


def test_a_perfect_model_errs_by_chance() -> None:
    rng = np.random.default_rng(1)
    promised = rng.uniform(0.4, 1.0, 300)
    found = [evaluation.calibration_error(promised, rng.random(300) < promised) for _ in range(200)]
    by_chance = evaluation.calibration_error_by_chance(promised)
    assert by_chance == pytest.approx(float(np.mean(found)), abs=0.005) and by_chance > 0.03
    assert evaluation.calibration_error_by_chance(np.repeat(promised, 100)) < 0.01
    bins = evaluation.reliability(promised, rng.random(300) < promised)
    assert len(bins) == 15 and sum(b.n for b in bins) == 300
    assert [b.confidence for b in bins] == sorted(b.confidence for b in bins)


def test_risk_falls_where_doubts_are_right() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, False])
    assert evaluation.risk_coverage_area(confidence, right) == pytest.approx((1 / 3 + 2 / 4) / 4)
    assert evaluation.risk_coverage_area(confidence, ~right) == pytest.approx(
        (1 + 1 + 2 / 3 + 2 / 4) / 4
    )
    assert evaluation.most_confident(confidence[::-1], 0.5).tolist() == [3, 2]


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of shares is measured on hundreds of samples; a test needs some."""
    monkeypatch.setattr(assessment, "_MIXES", 8)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some threads of the test split and of the train split, as a corpus of its own."""
    path = tmp_path_factory.mktemp("corpus") / "few.jsonl"
    lines = []
    for name, n in (("test", 120), ("train", 40)):
        lines += (corpus.bundled_corpus() / f"{name}.jsonl").read_text("utf-8").splitlines()[:n]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_the_figures_are_those_of_the_predictions(few: Path) -> None:
    items = assessment.sets(corpus.load_corpus(few))["test"]
    found = assessment.assess(load_model(), items, rivals=assessment.simple_rivals(items, []))
    inside = [item for item in items if item.label is not None]
    said = load_model().classify_threads([item.thread for item in inside])
    best = [max(p.scores, key=p.scores.__getitem__) for p in said]
    truth = [str(item.label) for item in inside]
    row = found["macro_f1"]["model"]
    assert row["macro_f1"] == round(evaluation.macro_f1(truth, best, found["labels"]), 4)
    assert row["interval"][0] <= row["macro_f1"] <= row["interval"][1]
    assert row["macro_f1"] > found["macro_f1"]["structure_rules"]["macro_f1"]
    matrix = np.array(found["confusion"])
    assert matrix.sum() == len(inside) == found["n"]
    assert matrix.trace() == sum(t == b for t, b in zip(truth, best, strict=True))
    errors = found["share_error"]
    assert errors["200"]["corrected"] < errors["20"]["corrected"]
    assert all(0 <= value <= 1 for row in errors.values() for value in row.values())


def test_twins_sources_annotators_and_mixes(few: Path) -> None:
    items = assessment.sets(corpus.load_corpus(few))["test"]
    twins = Counter(i.pair_id for i in items if i.pair_id and i.label is not None)
    rivals = assessment.simple_rivals(items, [])
    perfect = [str(i.label) for i in items if i.label is not None]
    found = assessment.assess(load_model(), items, rivals=rivals | {"perfect": perfect})
    pairs = found["pairs"]
    assert pairs["n"] == sum(n > 1 for n in twins.values()) > 5
    assert pairs["consistent"]["perfect"] == 1.0
    assert pairs["consistent"]["majority"] < pairs["consistent"]["model"] < 1.0
    row = found["macro_f1"]["one_annotator_by_another"]
    assert row["interval"][0] < row["macro_f1"] < 1.0 and row["n"] > 50
    mixes = found["prevalence"]
    assert mixes["declared"]["macro_f1"] == found["macro_f1"]["model"]["macro_f1"]
    assert mixes["declared"]["ece"] == found["ece"] and mixes["declared"]["brier"] == found["brier"]
    shares = [n / found["n"] for n in found["n_by_label"].values()]
    assert list(mixes["of this set"]["mix"].values()) == pytest.approx(shares, abs=1e-4)
    assert found["by_source"] == {}
    joined = [replace(i, source="video" if n % 4 else "forum") for n, i in enumerate(items)]
    by_source = assessment.assess(load_model(), joined)["by_source"]
    assert list(by_source) == ["video", "forum"]
    assert sum(row["n"] for row in by_source.values()) == found["n"]
    assert by_source["forum"]["macro_f1"] is None, "too few of any label for a mean"
    section = scorecard.markdown({**found, "by_source": by_source, "seeds": [0.8, 0.9]}, title="x")
    assert "| forum |" in section and "Macro-F1 over 2 seeds: mean 0.850" in section
    assert "contrast pairs" in section and "other assumed shares" in section


def test_the_command_prints_json_and_a_report(few: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.md"
    run = CliRunner().invoke(
        main, ["evaluate", str(few), "--format", "json", "--report", str(page)]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert set(found["sets"]) == {"test"} and "@" in found["model_id"]
    assert "tfidf_logistic_regression" in found["sets"]["test"]["macro_f1"]
    text = page.read_text("utf-8")
    for word in ("Reliability", "Truth in rows", "█", "structure rules"):
        assert word in text
    plain = CliRunner().invoke(main, ["evaluate", str(few)])
    assert plain.exit_code == 0 and "== test" in plain.stdout and "[" in plain.stdout


def test_a_corpus_without_splits_is_measured_whole(few: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [json.loads(line) for line in few.read_text("utf-8").splitlines()[:40]]
    for row in rows:
        row.pop("split")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    run = CliRunner().invoke(main, ["evaluate", str(path)])
    assert run.exit_code == 0 and "== corpus" in run.stdout


def test_nothing_to_measure_is_said(few: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(few.read_text("utf-8").splitlines()[120:]) + "\n", "utf-8")
    run = CliRunner().invoke(main, ["evaluate", str(path)])
    assert run.exit_code == 1 and "outside the train and dev splits" in run.output
    with pytest.raises(CorpusError, match="none of 0 threads has a label"):
        assessment.assess(load_model(), [])
