"""Records on disk."""

from __future__ import annotations

import io
import os
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
from conftest import EXPORTS, thread

import intimacy
from intimacy import store
from intimacy.errors import RecordError, SourceError
from intimacy.prediction import Prediction, Structure
from intimacy.schema import Label, Role


def test_thread_round_trip() -> None:
    threads, _ = intimacy.read_export(EXPORTS / "ytdlp/flat.info.json", key=b"k" * 16)
    for item in threads:
        line = store.encode_line(store.thread_to_dict(item))
        assert store.thread_from_dict(msgspec.json.decode(line)) == item


def test_prediction_round_trip_and_one_form_everywhere() -> None:
    prediction = Prediction(
        thread_id="t",
        label=Label.RECIPROCAL,
        scores={"commercial": 0.1, "interactive": 0.2, "reciprocal": 0.7, "disclosive": 0.0},
        scope=0.9,
        attributes={"stance": "neutral", "informs": False},
        structure=Structure(
            roles=(Role.FOLLOWER, Role.CREATOR),
            author_ids=("x", None),
            created_at=(datetime(2026, 3, 1, tzinfo=timezone.utc), None),
            complete=True,
        ),
        creator_id="giulia",
        n_dropped_turns=1,
        model_id="m",
    )
    line = store.encode_line(prediction)
    assert store.prediction_from_dict(msgspec.json.decode(line)) == prediction
    assert msgspec.json.decode(prediction.to_json()) == msgspec.json.decode(line) | {
        "structure": prediction.to_dict()["structure"]
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "'turns' is null"),
        ({"turns": "ciao"}, "'turns' is str"),
        ({"turns": [3]}, "turn 0 is int"),
        ({"turns": [{"role": "follower"}]}, "turn 0 has no 'text'; found: 'role'"),
        ({"turns": [{"role": "influencer", "text": "a"}]}, "role 'influencer'; expected one of"),
        ({"turns": [{"text": "a"}]}, "role None"),
        ({"turns": [{"role": "follower", "text": 3}]}, "text of turn 0 is int"),
        ({"turns": [], "caption": 3}, "caption is int"),
    ],
)
def test_malformed_records_name_the_field(record: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        store.thread_from_dict(record, path="f.jsonl", line=4)
    assert str(caught.value).startswith("f.jsonl:4: ")


LINES = b'{"id": "a", "turns": []}\n\n{"id": "b", broken}\n[1]\n{"id": "c", "turns": []}\n'


def test_a_broken_line_stops_after_the_earlier_ones() -> None:
    seen = []
    with pytest.raises(RecordError, match="stdin:3: not JSON"):
        for item in store.read_jsonl(io.BytesIO(LINES), store.thread_from_dict):
            seen.append(item.id)
    assert seen == ["a"]


def test_broken_lines_can_be_skipped_and_are_counted() -> None:
    skipped: list[RecordError] = []
    found = store.read_jsonl(
        io.BytesIO(LINES), store.thread_from_dict, on_error="skip", skipped=skipped
    )
    assert [item.id for item in found] == ["a", "c"]
    assert [error.line for error in skipped] == [3, 4]


def test_atomic_write_leaves_nothing_half_done(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    def records() -> object:
        yield {"a": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_jsonl(target, records())  # type: ignore[arg-type]
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["out.jsonl"]
    assert store.write_jsonl(target, [{"a": 1}, {"a": 2}]) == 2
    assert target.read_bytes() == b'{"a":1}\n{"a":2}\n'
    with pytest.raises(SourceError, match="cannot be written"):
        store.write_jsonl(tmp_path / "no" / "out.jsonl", [])


def test_reprs_hide_texts() -> None:
    item = thread(("follower", "segreto"), caption="segretissimo")
    prediction = intimacy.classify_thread(item)
    for thing in (item, item.turns[0], item.post, prediction):
        assert "segret" not in repr(thing)
        assert not hasattr(thing, "_repr_html_") or "segret" not in thing._repr_html_()
    assert "segreto" in item.show()._repr_html_()
    assert "<b>" not in thread(("follower", "<b>")).show()._repr_html_()
