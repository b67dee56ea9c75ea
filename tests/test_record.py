"""What a model folder says of the run that made it: threads by digest, commands as typed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import intimacy
from intimacy import corpus
from intimacy.annotation import AnnotatedThread, annotated_to_dict
from intimacy.schema import Label

pytest.importorskip("torch")
from intimacy.training import record
from intimacy.training.config import TrainConfig, from_dict


@pytest.fixture(scope="module")
def items() -> list[AnnotatedThread]:
    return corpus.load_corpus()[::200]


def test_a_command_is_what_was_typed_and_names_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    words = [
        "intimacy",
        "train",
        "/home/ada/my corpus",
        "-o",
        "/home/ada",
        "--text-root=/home/ada/t",
    ]
    words += ["/home/adam/x", "it's", "$(id)", "../home/ada/x", "--name", "a b", ""]
    line = record.command_line(words)
    assert "/home/ada/my" not in line and '"$HOME"/t' in line and "/home/adam/x" in line
    run = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == words
    monkeypatch.setenv("HOME", "/")
    assert record.command_line(["intimacy", "/data/x"]) == "intimacy /data/x"


def test_a_digest_is_of_the_threads_and_of_nothing_else(
    items: list[AnnotatedThread], tmp_path: Path
) -> None:
    found = record.digest_of(items)
    lines = [json.dumps(annotated_to_dict(item), sort_keys=True) for item in items]
    assert found == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    for name in ("c.jsonl", "c.jsonl.xz", "c.parquet"):
        intimacy.save_corpus(items, tmp_path / name)
        assert record.digest_of(intimacy.load_corpus(tmp_path / name)) == found, name
    assert record.digest_of(items[::-1]) != found
    other = Label.COMMERCIAL if items[0].label is not Label.COMMERCIAL else Label.INTERACTIVE
    assert record.digest_of([replace(items[0], label=other), *items[1:]]) != found
    # A half of an emoji, as some exports hold it, is no reason to stop.
    turn = replace(items[0].thread.turns[0], text="bella \ud83d")
    broken = replace(items[0], thread=replace(items[0].thread, turns=(turn,)))
    assert record.digest_of([broken]) != record.digest_of(items[:1])


def test_a_record_is_whole_and_holds_no_text(items: list[AnnotatedThread], tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    intimacy.save_corpus(items, tmp_path / "c.jsonl")
    config = TrainConfig(epochs=3, seeds=4)
    nobody = [replace(i.thread, post=replace(i.thread.post, creator_id=None)) for i in items[:3]]
    unknown = [
        replace(item, persona=None, thread=thread)
        for item, thread in zip(items, nobody, strict=False)
    ]
    made = record.of_run(
        config,
        {"train": items, "dev": unknown},
        encoder=str(tmp_path / "encoder"),
        device="cpu",
        corpus=[tmp_path / "c.jsonl"],
        weights=[1.0] * len(items),
    )
    again = json.loads(json.dumps(made))
    assert from_dict(TrainConfig, again["config"], where="record") == config
    assert made["encoder"] == "encoder" and made["encoder_digest"] is None
    assert record.name_of("dbmdz/bert-base") == "dbmdz/bert-base"
    digest = hashlib.sha256((tmp_path / "c.jsonl").read_bytes()).hexdigest()
    assert made["corpus"] == {"c.jsonl": digest}
    assert made["threads"] == {"train": len(items), "dev": 3}
    assert made["personas"] == {"train": len({item.persona for item in items}), "dev": 0}
    assert made["groups"]["dev"] == len({item.cluster for item in unknown})
    assert made["threads_sha256"]["train"] == record.digest_of(items)
    said = json.dumps(made)
    assert str(tmp_path) not in said
    texts = [turn.text for item in items for turn in item.thread.turns if len(turn.text) > 9]
    assert not any(text in said for text in texts)
