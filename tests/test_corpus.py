"""Labelled corpora: what the loader refuses, how votes are settled, how parts are divided."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from conftest import ROOT

import intimacy
from intimacy import annotation, audit, corpus, store
from intimacy.errors import CorpusError, IntimacyWarning, RecordError, SourceError

CORPUS = ROOT / "data" / "threads"


def record(
    id: str, persona: str, label: str | None = "interactive", **more: object
) -> dict[str, object]:
    turns = [{"role": "follower", "text": f"ciao da {id} che vive a {persona}"}]
    return {"id": id, "turns": turns, "persona": persona, "label": label, **more}


def written(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"".join(store.encode_line(r) for r in records))
    return path


# -- the loader


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": "friendly"}, "'label' has 'friendly'; expected one of: commercial"),
        ({"label": None}, "'label' is null and 'flags' names no reason"),
        ({"label": None, "flags": ["boring"]}, "'flags' has \\['boring'\\]; expected a list"),
        ({"flags": ["out_of_scope"]}, "'flags' has .*; expected none beside a label"),
        ({"disclosure_depth": 4}, "'disclosure_depth' has 4; expected one of: 0, 1, 2, 3"),
        ({"disclosure_depth": True}, "'disclosure_depth' has True"),
        ({"cocreation": 1}, "'cocreation' has 1; expected one of: False, True"),
        ({"stance": "angry"}, "'stance' has 'angry'; expected one of: supportive"),
        ({"votes": [{"label": "interactive"}, {"stance": 3}]}, "'votes\\[1\\].stance' has 3"),
        ({"votes": ["interactive"]}, "'votes\\[0\\]' is str; expected an object"),
        ({"votes": "two"}, "'votes' is str; expected a list"),
        ({"target": {"interactive": 0.4}}, "'target' sums to 0.400; expected 1"),
        (
            {"target": {"friendly": 1.0}},
            "'target' names 'friendly'; expected shares of: commercial",
        ),
        ({"target": {"interactive": "all"}}, "'target.interactive' is 'all'; expected a share"),
        ({"target": {"interactive": True}}, "'target.interactive' is True; expected a share"),
        ({"target": 0}, "'target' is 0; expected an object"),
        ({"label": "è buonissimo davvero"}, "'label' has a text of 20 characters; expected one of"),
        ({"flags": [["out_of_scope"]]}, "'flags' has list; expected a list of some of"),
        ({"votes": [{"lable": "interactive"}]}, "'votes\\[0\\]' has neither 'label' nor an"),
        ({"votes": [{"label": "interactive", "adjudicates": "no"}]}, "adjudicates' is 'no'"),
        ({"votes": 0}, "'votes' is int; expected a list"),
        ({"persona": ["x"]}, "'persona' is list; expected a string"),
        ({"platform": True}, "'platform' is bool; expected a string"),
        ({"id": None}, "no 'id'; expected a string of its own"),
        ({"turns": []}, "'turns' is empty"),
        ({"case": True}, "'case' has True"),
        ({"turns": [{"role": "ma che bello", "text": ""}]}, "role a text of 12 characters"),
        ({"split": "validation"}, "'split' has 'validation'; expected one of: train, dev"),
        ({"case": "nine"}, "'case' has 'nine'"),
        ({"draw_probability": 0}, "'draw_probability' is 0; expected a number above 0 and at most"),
        ({"draw_probability": 1.2}, "'draw_probability' is 1.2"),
        ({"draw_probability": True}, "'draw_probability' is True"),
        ({"draw_probability": "0.5"}, "'draw_probability' is '0.5'"),
        ({"chosen_by": ["profile"]}, "'chosen_by' is list; expected a string"),
        ({"turns": "ciao"}, "'turns' is str; expected a list"),
        ({"turns": [{"role": "friend", "text": "ciao"}]}, "turn 0 has role 'friend'"),
    ],
)
def test_a_wrong_value_is_refused_with_file_line_and_field(
    tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    path = written(tmp_path, record("a", "p"), record("b", "p") | wrong)
    with pytest.raises(RecordError, match=message) as caught:
        corpus.load_corpus(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_corpus_as_a_whole_can_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no records"):
        corpus.load_corpus(written(tmp_path))
    twice = written(tmp_path, record("a", "p"), record("b", "p"), record("a", "p"))
    with pytest.raises(RecordError, match=r"c\.jsonl:3: 'id' is 'a', as at c\.jsonl:1"):
        corpus.load_corpus(twice)
    for name in ("no\0thing", "x" * 300):
        with pytest.raises(SourceError, match="cannot be read"):
            corpus.load_corpus(tmp_path / name)


def test_a_folder_is_read_with_its_compressed_files(tmp_path: Path) -> None:
    written(tmp_path, record("a", "p"))
    with lzma.open(tmp_path / "d.jsonl.xz", "wb") as stream:
        stream.write(store.encode_line(record("b", "p")))
    (tmp_path / "notes.txt").write_text("not a corpus")
    assert [item.thread.id for item in corpus.load_corpus(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"text": 5}, "no text; expected 'text'"),
        ({"foo": 1}, "no text"),
        ({"turns": 3}, "no text"),
        ({"turns": ["x"]}, "no text"),
        ({"turns": [{"role": "x"}]}, "no text"),
        ({"text": "x", "caption": ["x"]}, "'caption' is \\['x'\\]; expected a string or null"),
    ],
)
def test_texts_that_are_none_are_refused(
    tmp_path: Path, line: dict[str, object], message: str
) -> None:
    (tmp_path / "forum.jsonl").write_bytes(store.encode_line(line))
    path = written(tmp_path, textless("t", ["ciao"]))
    with pytest.raises(RecordError, match=f"forum.jsonl:1: {message}"):
        corpus.load_corpus(path, text_root=tmp_path)


def test_a_check_tells_votes_that_settle_nothing(tmp_path: Path) -> None:
    def voted(name: str, *labels: str | None, **more: object) -> dict[str, object]:
        votes = [{"annotator": f"a{i}", "label": label} for i, label in enumerate(labels)]
        return record(name, name, votes=votes, **more)

    twice = voted("e", "interactive", "interactive")
    twice["votes"] = [{"annotator": "a", "label": "interactive"}] * 2
    path = written(
        tmp_path,
        voted("a", "commercial", "interactive"),
        voted("b", "commercial", "commercial"),
        voted("c", "interactive", None),
        voted("d", "interactive", "interactive", target={"commercial": 1.0}),
        twice,
    )
    report = audit.check_corpus(path)
    assert set(report.contradictions) == {
        "a: two annotators differ and no third decided",
        "b: no annotator gave the label",
        "b: target without the label",
        "c: votes[1]: neither label nor flag",
        "c: two annotators differ and no third decided",
        "d: target without the label",
        "e: one annotator voted twice",
    }
    half = written(tmp_path, record("a", "p", split="train"), record("b", "q"))
    assert audit.check_corpus(half).leaks == ("only 1 of 2 records state a split",)
    assert "0 threads" in str(audit.check_corpus(written(tmp_path, {"id": "x"})))


def test_a_record_survives_the_round_trip() -> None:
    source = record(
        "a",
        "p",
        secondary="reciprocal",
        stance="neutral",
        flags=[],
        votes=[{"label": "interactive"}],
        target={"interactive": 0.7, "reciprocal": 0.3},
        split="challenge",
        case=7,
        pair_id="p1",
    ) | {"platform": "youtube", "caption": None}
    assert annotation.annotated_to_dict(annotation.annotated_from_dict(source)) == source


def test_the_authored_corpus_loads_by_default_and_contradicts_nothing() -> None:
    items = intimacy.load_corpus()
    assert len(items) == len(corpus.load_corpus(CORPUS)) > 500
    report = intimacy.check_corpus()
    assert report.sound and not report.contradictions and report.n_threads == len(items)


# -- votes


def vote(label: str | None, **more: object) -> dict[str, object]:
    return {"label": label, **more}


def test_two_who_agree_settle_it() -> None:
    votes = [vote("reciprocal", disclosure_depth=0), vote("reciprocal", disclosure_depth=1)]
    settled = annotation.settle([*votes])
    assert settled["label"] == "reciprocal" and settled["secondary"] is None
    assert settled["disclosure_depth"] == 1 and settled["target"] == {"reciprocal": 1.0}


def test_a_third_decides_also_alone() -> None:
    votes = [
        vote("reciprocal", stance="critical"),
        vote("interactive", secondary="reciprocal", stance="hostile"),
        vote("commercial", stance="neutral"),
    ]
    settled = annotation.settle(votes)
    assert settled["label"] == "commercial" and settled["stance"] == "neutral"
    assert settled["target"] == pytest.approx(
        {"commercial": 1 / 3, "interactive": 0.7 / 3, "reciprocal": 1.3 / 3}, abs=1e-4
    )
    assert settled["secondary"] == "reciprocal"
    with pytest.raises(CorpusError, match="a third annotator must decide"):
        annotation.settle(votes[:2])
    with pytest.raises(CorpusError, match="no votes"):
        annotation.settle([])


def test_attributes_come_from_the_votes_for_the_label_that_stands() -> None:
    votes = [
        vote("commercial", product_salience=3, creator_response="none"),
        vote("interactive", product_salience=1, creator_response="none"),
        vote("interactive", product_salience=2, creator_response="none"),
    ]
    assert annotation.settle(votes)["product_salience"] == 2
    out = annotation.settle([vote(None, flags=["out_of_scope"])] * 2)
    assert out["label"] is None and out["flags"] == ["out_of_scope"] and out["target"] == {}


def test_a_secondary_label_weighs_thirty_percent() -> None:
    item = annotation.annotated_from_dict(record("a", "p", secondary="reciprocal"))
    assert item.target == {"interactive": 0.7, "reciprocal": 0.3}
    # A secondary label that repeats the label takes nothing from it.
    item = annotation.annotated_from_dict(record("a", "p", secondary="interactive"))
    assert item.target == {"interactive": 1.0}
    votes = [vote("interactive"), vote("interactive", secondary="reciprocal")]
    item = annotation.annotated_from_dict(record("a", "p", votes=votes))
    assert item.target == {"interactive": 0.85, "reciprocal": 0.15}


@pytest.mark.parametrize(
    ("answer", "roles", "why"),
    [
        ({"label": "reciprocal", "creator_response": "token"}, "fc", "without an answer"),
        ({"label": "interactive", "creator_response": "contingent"}, "fc", "with an answer"),
        ({"label": "interactive", "creator_response": "token"}, "f", "against the turns"),
        ({"label": "commercial", "product_salience": 2}, "f", "salience under 3"),
        ({"label": "disclosive", "disclosure_depth": 1}, "fc", "depth under 2"),
        ({"label": "commercial", "disclosure_depth": 3}, "fc", "commercial with depth 3"),
        ({"label": "disclosive", "disclosure_depth": 2}, "f", "without turn or caption"),
        ({"label": "commercial", "secondary": "commercial"}, "f", "repeats the label"),
    ],
)
def test_what_the_codebook_cannot_give_is_named(
    answer: dict[str, object], roles: str, why: str
) -> None:
    words = [{"f": "follower", "c": "creator"}[r] for r in roles]
    (found,) = annotation.contradictions(answer, words, caption=False)
    assert why in found


# -- labels without text


def textless(id: str, texts: list[str], caption: str | None = None, **more: object) -> dict:
    return {
        "id": id,
        "source": "forum",
        "text_sha256": corpus.text_hash(texts),
        "caption_sha256": None if caption is None else corpus.text_hash([caption]),
        "roles": ["follower", "creator"][: len(texts)],
        "label": "interactive",
        **more,
    }


def test_labels_are_joined_with_texts_that_are_present(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    rows = [
        {"text": "perche\u0301 no", "caption": "il post", "platform": "forum"},
        {"turns": [{"role": "a", "text": "uno"}, {"role": "b", "text": "due"}]},
    ]
    with lzma.open(texts / "forum.jsonl.xz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    path = written(
        tmp_path,
        textless("t1", ["perch\u00e9 no"], "il post"),
        textless("t2", ["uno", "due"], label="reciprocal"),
    )
    one, two = corpus.load_corpus(path, text_root=texts)
    assert one.source == "forum" and one.thread.post.text == "il post"
    assert one.thread.turns[0].text == rows[0]["text"]
    assert [str(t.role) for t in two.thread.turns] == ["follower", "creator"]
    with pytest.raises(CorpusError, match="2 labels without their texts \\(forum: 2\\); pass"):
        corpus.load_corpus(path)
    # The same words under another post are another thread.
    elsewhere = written(tmp_path, textless("t1", ["perch\u00e9 no"]), record("a", "p"))
    with pytest.warns(IntimacyWarning, match="1 labelled texts are not in .* \\(forum: 1\\)"):
        assert [i.thread.id for i in corpus.load_corpus(elsewhere, text_root=texts)] == ["a"]
    with pytest.raises(SourceError, match="is not a folder"):
        corpus.load_corpus(path, text_root=tmp_path / "no")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": None}, "'source' is None; a label without text needs"),
        ({"roles": "follower"}, "'roles' is 'follower'"),
        ({"roles": ["friend"]}, "turn 0 has role 'friend'"),
        ({"label": "friendly"}, "'label' has 'friendly'"),
    ],
)
def test_labels_without_text_are_checked_all_the_same(
    tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    path = written(tmp_path, textless("t1", ["uno"]) | wrong)
    with pytest.raises(RecordError, match=message):
        corpus.load_corpus(path)


def test_a_damaged_text_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "forum.jsonl.xz").write_bytes(b"\xfd7zXZ\x00broken")
    path = written(tmp_path, textless("t1", ["uno"]))
    with pytest.raises(SourceError, match="damaged compressed file"):
        corpus.load_corpus(path, text_root=tmp_path)


# -- splits


def test_a_corpus_is_split_by_persona(tmp_path: Path) -> None:
    path = written(tmp_path, *(record(f"{p}{i}", f"p{p}") for p in range(10) for i in range(7)))
    items = corpus.load_corpus(path)
    parts = corpus.split(items, dev=0.2, test=0.2, seed=1)
    personas = {name: {item.persona for item in part} for name, part in parts.items()}
    assert sum(map(len, parts.values())) == len(items)
    assert not personas["train"] & personas["test"] and not personas["dev"] & personas["test"]
    assert parts == corpus.split(items, dev=0.2, test=0.2, seed=1)
    assert len(parts["test"]) == 14


def test_stated_splits_are_kept(tmp_path: Path) -> None:
    words = [("a", "train"), ("b", "dev"), ("c", "test"), ("d", "challenge")]
    path = written(tmp_path, *(record(i, f"p{i}", split=s) for i, s in words))
    parts = corpus.split(corpus.load_corpus(path), dev=0.5, test=0.5, seed=0)
    assert {name: [i.thread.id for i in part] for name, part in parts.items()} == {
        "train": ["a"],
        "dev": ["b"],
        "test": ["c"],
        "challenge": ["d"],
    }
    some = written(tmp_path, record("a", "p", split="train"), record("b", "p"))
    with pytest.raises(CorpusError, match="1 of 2 records state a split; expected all or none"):
        corpus.split(corpus.load_corpus(some), dev=0.5, test=0.5, seed=0)


# -- the check


def test_near_duplicates_are_grouped() -> None:
    def item(text: str) -> object:
        return annotation.annotated_from_dict(
            {"id": "x", "turns": [{"role": "follower", "text": text}], "label": "interactive"}
        ).thread

    long = "questa mattina sono andata al mercato con mia sorella e pioveva a dirotto"
    texts = [
        long,
        long.upper() + "!",
        long.replace("sorella", "sorelle"),
        "tutt'altra cosa, qui si parla di motori e di gomme da neve",
        "primo",
        "Primo",
    ]
    assert audit.near_duplicates([item(t) for t in texts]) == [[0, 1, 2], [4, 5]]
    assert audit.near_duplicates([item("a")]) == audit.near_duplicates([]) == []


def test_leaks_between_splits_are_found(tmp_path: Path) -> None:
    same = {"turns": [{"role": "follower", "text": "lo stesso commento parola per parola"}]}
    path = written(
        tmp_path,
        record("a", "p1", split="train", pair_id="x"),
        record("b", "p1", split="test"),
        record("c", "p2", split="dev", pair_id="x"),
        record("d", "p3", split="train") | same,
        record("e", "p4", split="test") | same,
        record("f", "p5", split="test") | same,
    )
    report = intimacy.check_corpus(path)
    assert not report.sound and report.near_duplicates == (("d", "e", "f"),)
    persona, pair, near = report.leaks
    assert persona == "persona 'p1' is in test and train"
    assert pair == "pair 'x' is in dev and train"
    assert near.startswith("near-duplicates: ") and "d (train)" in near
    assert "parola" not in str(report)


def test_the_check_goes_past_malformed_records(tmp_path: Path) -> None:
    path = written(tmp_path, record("a", "p"), {"id": "b"}, record("c", "p", "friendly"))
    path.write_bytes(path.read_bytes() + b"{broken\n")
    report = intimacy.check_corpus(path)
    assert report.n_threads == 1 and not report.sound
    assert [e.split(": ")[0] for e in report.errors] == [f"{path}:{n}" for n in (2, 3, 4)]


def test_agreement_counts_independent_votes_only(tmp_path: Path) -> None:
    def voted(i: int, *labels: str | None) -> dict[str, object]:
        votes = [
            vote(label, disclosure_depth=0) | ({"adjudicates": True} if n == 2 else {})
            for n, label in enumerate(labels)
        ]
        return record(f"t{i}", f"p{i % 5}", votes=votes)

    rows = [voted(i, "interactive", "interactive") for i in range(10)]
    rows += [voted(i + 10, "commercial", "commercial") for i in range(10)]
    rows += [voted(20, "commercial", None, "commercial"), voted(21, None, None)]
    found = intimacy.agreement(corpus.load_corpus(written(tmp_path, *rows)))
    # 21 of 22 agree; by hand from the coincidences of {interactive 20, commercial 21, null 3}.
    expected = 1 - 43 * 2 / (44**2 - 20**2 - 21**2 - 3**2)
    assert found["label"].estimate == pytest.approx(expected)
    assert found["label"].low <= expected <= found["label"].high
    assert "all answers are the same" in found["disclosure_depth"].reason
    assert intimacy.agreement([annotation.annotated_from_dict(record("a", "p"))]) == {}
