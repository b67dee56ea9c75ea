"""The bundled corpus is what its datasheet says it is."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

from intimacy import annotation, audit, corpus
from intimacy import text as texts
from intimacy.annotation import AnnotatedThread
from intimacy.schema import Label

DATA = ROOT / "data"
SHEET = (DATA / "README.md").read_text("utf-8")
# Words of buying and selling: enough to see that the commercial label does not live on them.
_GOODS = re.compile(r"€|\beuro\b|\bcodice\b|\bcrema\b|\blibro\b|\bcorso\b|\bprezz", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"\b(?:io|mi|mia|mio|ho|sono)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def items() -> list[AnnotatedThread]:
    return corpus.load_corpus()


def kind(item: AnnotatedThread) -> str:
    return str(item.label or item.flags[0])


def test_size_and_balance(items: list[AnnotatedThread]) -> None:
    counts = Counter(map(kind, items))
    inside = sum(counts[str(label)] for label in Label)
    assert len(items) >= 4_000
    for label in Label:
        assert 0.18 <= counts[str(label)] / inside <= 0.35, f"{label}: {counts[str(label)]}"
    assert counts["out_of_scope"] + counts["not_italian"] >= 250
    for name, n in counts.items():
        assert f"| {name} | {n:,} |" in SHEET, f"the datasheet does not say {name}: {n}"


def test_creators_are_many_and_different(items: list[AnnotatedThread]) -> None:
    with (DATA / "personas.tsv").open(encoding="utf-8", newline="") as stream:
        personas = list(csv.DictReader(stream, delimiter="\t"))
    assert {p["persona"] for p in personas} == {item.persona for item in items}
    assert {(p["persona"], p["split"]) for p in personas} == {(i.persona, i.split) for i in items}
    assert len({p["platform"] for p in personas}) >= 12
    assert len({p["subject"] for p in personas}) >= 35
    followers = sorted(int(p["followers"]) for p in personas)
    assert followers[0] < 4_000 and followers[-1] > 2_500_000


def test_splits(items: list[AnnotatedThread]) -> None:
    parts = Counter(item.split for item in items)
    assert set(parts) == set(annotation.SPLITS) and parts["test"] >= 600
    for name, n in parts.items():
        assert re.search(rf"\| {name} \| {n:,} \|", SHEET), f"the datasheet lacks {name}: {n}"
    cases = Counter(item.case for item in items if item.split == "challenge")
    assert set(cases) == set(range(1, 41)) and min(cases.values()) >= 15
    assert not audit.leaks(items, [])


def test_every_thread_was_judged_twice_and_the_record_follows_from_the_votes(
    items: list[AnnotatedThread],
) -> None:
    labels = [r for r in corpus.read_corpus(corpus.bundled_corpus())]
    records = [r.record for r in labels if isinstance(r, corpus.TextlessLabel)]
    records += [annotation.annotated_to_dict(item) for item in items]
    for record in records:
        blind = [v["annotator"] for v in record["votes"] if not v.get("adjudicates")]
        assert len(blind) == len(set(blind)) == 2
        settled = annotation.settle(record["votes"])
        for field in ("label", "secondary", *annotation.ATTRIBUTES):
            assert record.get(field) == settled[field], (record["id"], field)


def test_twins_break_shortcuts(items: list[AnnotatedThread]) -> None:
    pairs: dict[str, list[AnnotatedThread]] = defaultdict(list)
    for item in items:
        if item.pair_id:
            pairs[item.pair_id].append(item)
    contrast = [pair for pair in pairs.values() if len(set(map(kind, pair))) > 1]
    assert len(contrast) >= 500
    changes = Counter(tuple(sorted(map(kind, pair))) for pair in contrast)
    for couple in (
        ("interactive", "reciprocal"),
        ("disclosive", "reciprocal"),
        ("commercial", "disclosive"),
        ("commercial", "interactive"),
        ("commercial", "reciprocal"),
        ("disclosive", "interactive"),
    ):
        assert changes[couple] >= 15, f"{couple}: {changes[couple]}"


def test_no_label_hangs_on_one_sign(items: list[AnnotatedThread]) -> None:
    signs = {
        "caption": lambda i: bool(i.thread.post.text),
        "creator turn": lambda i: i.thread.has_creator_turn,
        "goods named": lambda i: i.attributes["product_salience"] > 0,
        "words of trade": lambda i: any(_GOODS.search(t.text) for t in i.thread.turns),
        "emoji": lambda i: any(texts.has_emoji(t.text) for t in i.thread.turns),
        "first person": lambda i: any(_FIRST_PERSON.search(t.text) for t in i.thread.turns),
    }
    by_definition = {
        (Label.RECIPROCAL, "creator turn"),
        (Label.COMMERCIAL, "goods named"),
        (Label.INTERACTIVE, "words of trade"),
    }
    for label in Label:
        mine = [item for item in items if item.label is label]
        for name, sign in signs.items():
            if (label, name) not in by_definition:
                share = sum(map(sign, mine)) / len(mine)
                assert 0.05 <= share <= 0.95, f"{label} with {name}: {share:.0%}"


def test_labels_of_real_comments_come_without_a_word_of_them() -> None:
    lines = (corpus.bundled_corpus() / "real.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert not any({"text", "turns", "caption"} & set(record) for record in records)
    sources = Counter(record["source"] for record in records)
    assert sources.pop("multipico_pairs") == 137
    assert set(sources) == {
        "youtube_podcasts",
        "multiemotions_it",
        "news_pages_fb_ig",
        "tagit_forums",
    }
    assert sum(sources.values()) >= 3_700
    for source in sources:
        mine = [r for r in records if r["source"] == source]
        assert sum(r["split"] == "test" for r in mine) >= 200
    captions: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        captions[str(record["caption_sha256"])].add(record["split"])
    captions.pop("None")
    assert all(len(splits) == 1 for splits in captions.values()), "a post stands in two splits"
    labels = Counter(r["label"] or r["flags"][0] for r in records)
    for name, n in labels.items():
        assert re.search(rf"\| {name} \|.*\| {n:,} \|", SHEET), f"the datasheet lacks {name}: {n}"


def test_agreement_in_the_datasheet_is_what_the_library_computes(
    items: list[AnnotatedThread],
) -> None:
    for field, share in audit.agreement(items).items():
        assert f"| {field} | {share} |" in SHEET, f"{field} {share}"


@pytest.mark.slow
def test_the_folder_is_a_dataset_of_the_datasets_library(
    items: list[AnnotatedThread], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(DATA), cache_dir=str(tmp_path))
    assert {name: len(part) for name, part in loaded.items()} == Counter(i.split for i in items)
    first = next(item for item in items if item.split == "test")
    assert loaded["test"][0]["turns"][0]["text"] == first.thread.turns[0].text
    labels = datasets.load_dataset(str(DATA), "real_labels", cache_dir=str(tmp_path))
    assert len(labels["labels"]) == 3_867
