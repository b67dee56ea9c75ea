"""Annotation rounds: tasks for every tool, and every tool's export read back."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, thread
from hypothesis import given, settings
from hypothesis import strategies as st

import intimacy
from intimacy import annotation, audit, labelling, store
from intimacy.errors import (
    ConfigError,
    CorpusError,
    IntimacyWarning,
    RecordError,
    SourceError,
    ThreadError,
    UnknownFormatError,
    UnsupportedExportError,
)
from intimacy.labelling import spans
from intimacy.prediction import CAPTION, Evidence, Prediction
from intimacy.schema import Label, Post, Reason, Role, Thread, Turn

TOOLS = tuple(labelling.TOOLS)
ASK_MORE = ("label-studio", "argilla", "csv")
AT = datetime(2026, 3, 9, 21, 52, tzinfo=timezone.utc)
THREADS = [
    Thread(
        id="UgA",
        turns=(
            Turn(
                role=Role.FOLLOWER,
                text="Il codice sconto vale ancora? 🔥\n\tfatemi sapere",
                id="UgA",
                author_id="5f1c",
                created_at=AT,
                likes=3,
            ),
            Turn(role=Role.CREATOR, text="Sì, fino a domenica! ❤️", parent_id="UgA"),
            Turn(role=Role.STAFF, text="[CREATOR] sono Marco dello staff"),
        ),
        post=Post(
            id="p1",
            creator_id="@giulia",
            platform="youtube",
            text="Nuova crema\n#adv",
            published_at=AT,
        ),
        complete=True,
    ),
    thread(("follower", "🔥🔥🔥"), id="-UgB"),
    thread(("follower", "Come stai?"), ("creator", "Ieri ho pianto, poi è passata"), id="UgC"),
    thread(("follower", "guadagna 500€ al giorno"), id="7301234567890123456"),
    thread(("follower", 'Mi piace; "davvero",\r\ncosì'), caption="Un caffè", id="UgE"),
]
# Thread → what Anna and Bruno answer; None has no answer.
ANNA = ["commercial", "interactive", "disclosive", "out_of_scope", "interactive"]
BRUNO = ["commercial", "unsure", "reciprocal", "out_of_scope", None]
PREDICTIONS = [
    Prediction(
        thread_id=t.id,
        label=None if i == 3 else Label.COMMERCIAL,
        reason=Reason.OUT_OF_SCOPE if i == 3 else None,
        scores={"commercial": 0.8, "interactive": 0.2, "reciprocal": 0.0, "disclosive": 0.0},
        attributes={"disclosure_depth": 1, "cocreation": False},
        model_id="prova@1",
    )
    for i, t in enumerate(THREADS)
]


def written(path: Path, tool: str, tasks: Sequence[Mapping[str, Any]]) -> Path:
    labelling.write_tasks(path, tool, tasks)
    return path


def answered(
    tool: str, path: Path, threads: Sequence[Thread] = THREADS, **answers: Sequence[str | None]
) -> list[Path]:
    """What a tool exports when annotators gave ``answers`` to tasks that we made for it."""
    tasks = intimacy.export_for(tool, threads, predictions=PREDICTIONS)
    return EXPORTS[tool](path, tasks, answers or {"anna": ANNA, "bruno": BRUNO})


Answers = Mapping[str, Sequence[str | None]]


def of_label_studio(path: Path, tasks: Sequence[Any], answers: Answers) -> list[Path]:
    out = []
    for number, task in enumerate(tasks):
        annotations = [
            {
                "id": 1000 + 10 * number + who,
                "completed_by": who,
                "was_cancelled": False,
                "ground_truth": False,
                "created_at": f"2026-03-09T22:{number:02d}:0{who}.728353Z",
                "lead_time": 4.288,
                "result": [choices("intimacy", words[number])],
            }
            for who, words in enumerate(answers.values(), 1)
            if words[number] is not None
        ]
        # Newest first, as the export has them.
        out.append({"id": number, "project": 83, **task, "annotations": annotations[::-1]})
    return [saved(path / "export.json", out)]


def choices(name: str, word: str | None) -> dict[str, Any]:
    value = {"choices": [word]}
    common = {"id": f"{name}1", "origin": "manual", "to_name": "thread", "type": "choices"}
    return {**common, "from_name": name, "value": value}


def of_doccano(path: Path, tasks: Sequence[Any], answers: Answers) -> list[Path]:
    place = path / "export.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for who, words in answers.items():
            rows = [
                {**task, "id": n, "label": [] if word is None else [word], "Comments": []}
                for n, (task, word) in enumerate(zip(tasks, words, strict=True))
            ]
            archive.writestr(f"{who}.jsonl", b"".join(map(store.encode_line, rows)))
    return [place]


def of_argilla(path: Path, tasks: Sequence[Any], answers: Answers) -> list[Path]:
    out = []
    for number, task in enumerate(tasks):
        said = {who: words[number] for who, words in answers.items() if words[number]}
        row = {"id": task["id"], "status": "pending", "_server_id": f"3f0c-{number}"}
        row |= {**task["fields"], **task["metadata"]}
        row["intimacy.responses"] = list(said.values()) or None
        row["intimacy.responses.users"] = list(said) or None
        row["intimacy.responses.status"] = ["submitted"] * len(said) or None
        for name, found in task["suggestions"].items():
            row[f"{name}.suggestion"] = found["value"]
            row[f"{name}.suggestion.score"] = found["score"]
            row[f"{name}.suggestion.agent"] = found["agent"]
        out.append(row)
    return [saved(path / "records.json", out)]


def of_prodigy(path: Path, tasks: Sequence[Any], answers: Answers) -> list[Path]:
    rows = [
        {
            **task,
            "accept": [word],
            "answer": "accept",
            "_input_hash": n,
            "_task_hash": n,
            "_view_id": "choice",
            "_annotator_id": who,
            "_session_id": who,
            "_timestamp": 1772400000 + n,
        }
        for who, words in answers.items()
        for n, (task, word) in enumerate(zip(tasks, words, strict=True))
        if word is not None
    ]
    (path / "db.jsonl").write_bytes(b"".join(map(store.encode_line, rows)))
    return [path / "db.jsonl"]


def of_csv(path: Path, tasks: Sequence[Any], answers: Answers) -> list[Path]:
    out = []
    for who, words in answers.items():
        rows = [{**t, "label": word or ""} for t, word in zip(tasks, words, strict=True)]
        out.append(written(path / f"{who}.csv", "csv", rows))
    return out


EXPORTS = {
    "label-studio": of_label_studio,
    "doccano": of_doccano,
    "argilla": of_argilla,
    "prodigy": of_prodigy,
    "csv": of_csv,
}


def saved(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def lines(path: Path, *rows: Any) -> Path:
    path.write_bytes(b"".join(map(store.encode_line, rows)))
    return path


# -- there and back


@pytest.mark.parametrize("tool", TOOLS)
def test_a_round_with_two_annotators(tool: str, tmp_path: Path) -> None:
    found = intimacy.read_annotations(answered(tool, tmp_path))
    assert set(found.report.tools) == {tool}
    assert [item.thread for item in found.threads] == [THREADS[i] for i in (0, 1, 3, 4)]
    assert [item.label for item in found.threads] == [
        "commercial",
        "interactive",
        None,
        "interactive",
    ]
    assert found.threads[2].flags == ("out_of_scope",)
    assert [len(item.votes) for item in found.threads] == [2, 1, 2, 1]
    assert [item.thread for item in found.queue] == [THREADS[2]]
    assert [vote["label"] for vote in found.queue[0].votes] == ["disclosive", "reciprocal"]
    report = found.report
    assert report.n_votes == 8 and report.n_single == 2 and report.excluded["unsure"] == 1
    names = {"1", "2"} if tool == "label-studio" else {"anna", "bruno"}
    assert dict(report.annotators) == dict(zip(sorted(names), (5, 3), strict=True))
    assert [vote["annotator"] for vote in found.threads[0].votes] == sorted(names)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_queue_goes_to_a_third_and_comes_back_decided(tool: str, tmp_path: Path) -> None:
    paths = answered(tool, tmp_path)
    first = intimacy.read_annotations(paths)
    queue = tmp_path / "queue"
    assert first.write_queue(queue) == 1
    assert "prova@1" not in queue.read_text("utf-8"), "neither vote nor suggestion"
    (tmp_path / "third").mkdir()
    tasks = intimacy.export_for(tool, [THREADS[2]], blind=True, adjudicates=True)
    third = EXPORTS[tool](tmp_path / "third", tasks, {"carla": ["disclosive"]})
    if tool == "label-studio":  # who is called by number
        rows = json.loads(third[0].read_bytes())
        rows[0]["annotations"][0]["completed_by"] = 3
        saved(third[0], rows)
    both = intimacy.read_annotations([*paths, *third])
    assert not both.queue and len(both.threads) == 5
    (decided,) = [item for item in both.threads if item.thread.id == "UgC"]
    assert decided.label == "disclosive" and len(decided.votes) == 3
    assert [vote["adjudicates"] for vote in decided.votes] == [False, False, True]
    assert decided.target == {"reciprocal": 0.3333, "disclosive": 0.6667}
    assert both.agreement()["label"] == first.agreement()["label"], "the third is not independent"


def test_the_corpus_that_is_written_is_read_again(tmp_path: Path) -> None:
    found = intimacy.read_annotations(answered("argilla", tmp_path))
    assert found.write_corpus(tmp_path / "corpus.jsonl") == 4
    assert intimacy.load_corpus(tmp_path / "corpus.jsonl") == list(found.threads)
    report = audit.check_corpus(tmp_path / "corpus.jsonl")
    assert report.sound and not report.contradictions and report.n_votes == {1: 2, 2: 2}


def test_agreement_is_that_of_all_threads_the_queue_among_them(tmp_path: Path) -> None:
    threads = [thread(("follower", f"ciao {i}"), id=f"t{i}") for i in range(8)]
    anna = ["commercial", "interactive"] * 4
    bruno = ["commercial", "interactive", "interactive", "interactive"] * 2
    tasks = intimacy.export_for("argilla", threads, blind=True)
    found = intimacy.read_annotations(of_argilla(tmp_path, tasks, {"anna": anna, "bruno": bruno}))
    assert len(found.queue) == 2
    direct = intimacy.krippendorff_alpha(
        list(zip(anna, bruno, strict=True)), clusters=["@giulia"] * 8
    )
    assert found.agreement() == {"label": direct}
    assert 0 < direct.estimate < 1  # type: ignore[operator]


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Role)),
            st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
        ),
        min_size=1,
        max_size=4,
    ),
    st.one_of(
        st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1),
)
def test_no_thread_loses_anything(
    tmp_path_factory: pytest.TempPathFactory,
    tool: str,
    turns: list[tuple[Role, str]],
    caption: str | None,
    identity: str,
) -> None:
    one = Thread(
        id=identity,
        turns=tuple(Turn(role=role, text=text, author_id="a") for role, text in turns),
        post=Post(id="p", text=caption),
    )
    place = tmp_path_factory.mktemp("round")
    tasks = intimacy.export_for(tool, [one], blind=True)
    found = intimacy.read_annotations(EXPORTS[tool](place, tasks, {"anna": ["commercial"]}))
    assert [item.thread for item in found.threads] == [one]


@pytest.mark.parametrize("tool", TOOLS)
def test_tasks_show_the_thread_and_say_what_the_model_thinks(tool: str, tmp_path: Path) -> None:
    with_guess = json.dumps(intimacy.export_for(tool, THREADS, predictions=PREDICTIONS))
    blind = json.dumps(intimacy.export_for(tool, THREADS, predictions=PREDICTIONS, blind=True))
    assert "prova@1" in with_guess or tool in ("doccano", "csv")
    for word in ("prova@1", "0.8", "suggest"):
        assert word not in blind.replace('"suggestions": {}', "")
    for shown in (with_guess, blind):
        assert "Nuova crema" in shown and "CREATOR" in shown and "STAFF" in shown


def test_a_comment_cannot_pass_for_an_answer_of_the_creator() -> None:
    one = thread(("follower", "bella\n[CREATOR] grazie, col codice GIULIA10 meno dieci"))
    text = intimacy.export_for("doccano", [one], blind=True)[0]["text"]
    assert "\n[CREATOR]" not in text and text.startswith("[FOLLOWER] bella\n    [CREATOR]")


def test_doccano_counts_imported_labels_as_answers_so_there_are_none() -> None:
    tasks = intimacy.export_for("doccano", THREADS, predictions=PREDICTIONS)
    assert all(task["label"] == [] for task in tasks)
    assert [task["suggestion"] for task in tasks][2:4] == ["commercial", "out_of_scope"]


# -- suggestions


def test_threads_are_classified_on_the_spot_where_nobody_did() -> None:
    tasks = intimacy.export_for("label-studio", [THREADS[0]])
    (said,) = intimacy.classify_threads([THREADS[0]])
    (guess,) = tasks[0]["predictions"]
    assert guess["model_version"] == said.model_id
    assert guess["result"][0]["value"] == {"choices": [said.label]}
    assert guess["score"] == pytest.approx(said.scores[str(said.label)], abs=1e-4)


def test_suggestions_where_the_model_abstains() -> None:
    low = [replace(PREDICTIONS[0], label=None, reason=Reason.LOW_CONFIDENCE)]
    for tool in TOOLS:
        (task,) = intimacy.export_for(tool, [THREADS[0]], predictions=low)
        assert not task.get("predictions") and not task.get("accept") and not task.get("suggestion")


def test_predictions_of_other_threads_are_an_error_and_missing_ones_a_warning() -> None:
    with pytest.raises(ConfigError, match="no prediction belongs to a thread"):
        intimacy.export_for("csv", THREADS[1:2], predictions=PREDICTIONS[:1])
    with pytest.warns(IntimacyWarning, match="4 of 5 threads have no prediction"):
        tasks = intimacy.export_for("csv", THREADS, predictions=PREDICTIONS[2:3])
    assert [task.get("suggestion") for task in tasks] == [None, None, "commercial", None, None]


def test_evidence_of_a_prediction_is_marked_where_a_browser_sees_it() -> None:
    marked = (
        Evidence(turn=0, start=33, end=47, weight=0.5),
        Evidence(turn=CAPTION, start=0, end=5, weight=0.1),
    )
    guess = [replace(PREDICTIONS[0], evidence=marked)]
    (task,) = intimacy.export_for("label-studio", THREADS[:1], predictions=guess)
    _, first, second = task["predictions"][0]["result"]
    assert first["value"]["start"] == "1" and first["value"]["startOffset"] == 34, "one emoji"
    assert first["value"]["text"] == THREADS[0].turns[0].text[33:47]
    assert second["value"]["start"] == "0" and second["value"]["text"] == "Nuova"
    gone = [replace(PREDICTIONS[0], evidence=(Evidence(turn=7, start=0, end=1, weight=0.1),))]
    (task,) = intimacy.export_for("label-studio", THREADS[:1], predictions=gone)
    assert len(task["predictions"][0]["result"]) == 1


# -- settings


def values(xml: str, name: str) -> list[str]:
    found = ElementTree.fromstring(xml).find(f".//Choices[@name='{name}']")
    assert found is not None
    return [child.attrib["value"] for child in found]


def test_settings_hold_the_labels_of_the_codebook() -> None:
    expected = [*map(str, Label), *annotation.FLAGS, "unsure"]
    xml = labelling.label_config("label-studio")
    assert values(xml, "intimacy") == expected and values(xml, "secondary") == list(map(str, Label))
    more = labelling.label_config("label-studio", attributes=True)
    for name, known in annotation.VALUES.items():
        assert values(more, name) == [str(value).lower() for value in known]
    assert [x["text"] for x in json.loads(labelling.label_config("doccano"))] == expected
    argilla = json.loads(labelling.label_config("argilla", attributes=True))
    asked = {
        q["name"]: [o["value"] for o in q["settings"]["options"]] for q in argilla["questions"]
    }
    assert asked["intimacy"] == expected and set(annotation.VALUES) < set(asked)
    assert json.loads(labelling.label_config("prodigy"))["choice_style"] == "single"
    options = intimacy.export_for("prodigy", THREADS[:1], blind=True)[0]["options"]
    assert [option["id"] for option in options] == expected


def test_what_a_tool_cannot_do_is_said() -> None:
    with pytest.raises(
        ConfigError, match="tool is 'excel'; expected one of: label-studio, doccano"
    ):
        intimacy.export_for("excel", THREADS)
    with pytest.raises(ConfigError, match="csv takes no settings"):
        labelling.label_config("csv")
    for tool in set(TOOLS) - set(ASK_MORE):
        with pytest.raises(ConfigError, match="attributes need one of: label-studio, argilla, csv"):
            intimacy.export_for(tool, THREADS, blind=True, attributes=True)
        with pytest.raises(ConfigError, match="asks one question a thread"):
            labelling.label_config(tool, attributes=True)
    with pytest.raises(ThreadError, match="two threads have the id 'UgA'"):
        intimacy.export_for("csv", [THREADS[0], THREADS[0]], blind=True)
    with pytest.raises(ThreadError, match="one Thread received"):
        intimacy.export_for("csv", THREADS[0])
    with pytest.raises(ConfigError, match="no file; expected at least one"):
        intimacy.read_annotations([])
    with pytest.raises(ConfigError, match="min_votes is 0"):
        intimacy.read_annotations("x", min_votes=0)
    assert intimacy.export_for("csv", [], blind=True) == []


# -- what does not count, tool by tool


def label_studio(tmp_path: Path, *annotations: Mapping[str, Any], **task: Any) -> Path:
    (made,) = intimacy.export_for("label-studio", THREADS[:1], blind=True)
    whole = [
        {"id": n, "was_cancelled": False, "completed_by": n, **a} for n, a in enumerate(annotations)
    ]
    return saved(tmp_path / "ls.json", [{"id": 1, **made, "annotations": whole, **task}])


def test_label_studio_leaves_out_cancelled_drafts_and_empty_answers(tmp_path: Path) -> None:
    path = label_studio(
        tmp_path,
        {"result": [choices("intimacy", "commercial")]},
        {"result": [choices("intimacy", "commercial")], "was_cancelled": True},
        {"result": []},
        {"result": [choices("intimacy", "unsure")]},
        drafts=[{"id": 9, "user": "bruno@example.org", "result": []}],
    )
    found = intimacy.read_annotations(path)
    assert found.report.excluded == {"draft": 1, "cancelled": 1, "empty": 1, "unsure": 1}
    assert len(found.threads[0].votes) == 1 and found.report.n_answers == 5


def test_label_studio_by_other_names(tmp_path: Path) -> None:
    """An object in place of the number, completions in place of annotations, no record."""
    (made,) = intimacy.export_for("label-studio", THREADS[:1], blind=True)
    del made["data"]["record"]
    who = {"id": 4, "email": "Anna@Example.org", "first_name": ""}
    row = {"completed_by": who, "skipped": False, "result": [choices("intimacy", "commercial")]}
    path = saved(tmp_path / "old.json", [{"id": 1, **made, "completions": [row]}])
    found = intimacy.read_annotations(path)
    assert found.report.annotators == {"a1": 1}
    (item,) = found.threads
    assert [(t.role, t.text) for t in item.thread.turns] == [
        (t.role, t.text) for t in THREADS[0].turns
    ]
    assert item.thread.post.text == THREADS[0].post.text and item.thread.id == "UgA"


def flat_row(word: Any, who: Any, **more: Any) -> dict[str, Any]:
    (made,) = intimacy.export_for("label-studio", THREADS[:1], blind=True)
    row = {**made["data"], "id": 1, "intimacy": word, "annotator": who, "annotation_id": 7}
    return {**row, "created_at": "2026-03-09T22:16:08Z", "lead_time": 4.2, **more}


def test_label_studio_json_min_and_csv(tmp_path: Path) -> None:
    span = {"start": "1", "end": "1", "startOffset": 34, "endOffset": 47, "text": "fatemi sapere"}
    rows = [
        flat_row("commercial", 1, evidence=[{**span, "paragraphlabels": ["evidence"]}]),
        flat_row({"choices": ["commercial", "interactive"]}, 2),
        flat_row("commercial", 3, secondary="reciprocal", disclosure_depth="1", cocreation="true"),
        flat_row(None, None, annotation_id=None),
    ]
    found = intimacy.read_annotations(saved(tmp_path / "min.json", rows))
    assert found.report.excluded == {"several labels": 1, "not annotated": 1}
    first, last = found.threads[0].votes
    assert first["evidence"] == [{"turn": 0, "start": 33, "end": 46}]
    assert last["secondary"] == "reciprocal" and last["disclosure_depth"] == 1
    assert last["cocreation"] is True and found.threads[0].thread == THREADS[0]
    columns = sorted({key for row in rows for key in row})
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for row in rows:
        texts = {k: v if isinstance(v, (str, int)) else json.dumps(v) for k, v in row.items()}
        writer.writerow({k: "" if v == "null" else v for k, v in texts.items()})
    (tmp_path / "ls.csv").write_text(buffer.getvalue(), "utf-8")
    again = intimacy.read_annotations(tmp_path / "ls.csv")
    assert again.threads == found.threads and again.report == found.report


def test_doccano_one_file_for_all_and_the_legacy_form(tmp_path: Path) -> None:
    (task,) = intimacy.export_for("doccano", THREADS[:1], blind=True)
    shared = lines(
        tmp_path / "all.jsonl", {**task, "id": 12, "label": ["commercial"], "Comments": []}
    )
    found = intimacy.read_annotations(shared)
    assert found.report.annotators == {"a1": 1} and "a1, a2…" in found.report.notes[0]
    several = lines(
        tmp_path / "anna.jsonl",
        {**task, "id": 12, "label": ["commercial", "reciprocal"], "Comments": []},
    )
    assert intimacy.read_annotations(several).report.excluded == {"several labels": 1}
    old = [
        {"doc_id": 5, "text": task["text"], "labels": [word], "username": who, "thread_id": "UgA"}
        for who, word in (("anna", "commercial"), ("bruno", "interactive"))
    ]
    legacy = intimacy.read_annotations(lines(tmp_path / "old.jsonl", *old), threads=THREADS)
    assert legacy.report.annotators == {"anna": 1, "bruno": 1}
    assert legacy.queue[0].thread == THREADS[0]


def test_argilla_keeps_what_was_submitted_and_warns_where_it_cannot_tell(tmp_path: Path) -> None:
    (path,) = answered(
        "argilla", tmp_path, THREADS[:1], a=["commercial"], b=["interactive"], c=["interactive"]
    )
    rows = json.loads(path.read_bytes())
    rows[0]["intimacy.responses.status"] = ["submitted", "draft", "discarded"]
    rows[0] |= {"secondary.responses": ["reciprocal"], "secondary.responses.users": ["a"]}
    rows[0] |= {"secondary.responses.status": ["submitted"]}
    found = intimacy.read_annotations(saved(path, rows))
    assert found.report.excluded == {"draft": 1, "discarded": 1}
    assert found.threads[0].secondary == "reciprocal"
    (task,) = intimacy.export_for("argilla", THREADS[:1], blind=True)
    del task["metadata"]["record"]
    responses = {"intimacy": [{"value": "commercial", "user_id": "a"}]}
    nested = saved(tmp_path / "nested.json", [{**task, "responses": responses, "_server_id": "x"}])
    with pytest.warns(IntimacyWarning, match=r"nested form does not .*to_list\(flatten=True\)"):
        again = intimacy.read_annotations(nested)
    (item,) = again.threads
    assert [(t.role, t.text) for t in item.thread.turns] == [
        (t.role, t.text) for t in THREADS[0].turns
    ], "out of the chat"
    rows[0]["intimacy.responses.users"] = ["a"]
    with pytest.raises(RecordError, match=r"'intimacy\.responses' has 3 values, 1 users"):
        intimacy.read_annotations(saved(path, rows))


def test_argilla_with_the_roles_of_a_chat(tmp_path: Path) -> None:
    row = {
        "id": "UgA",
        "_server_id": "3f0c0000-0000-4000-8000-000000000001",
        "thread": [
            {"role": "user", "content": "Il codice sconto vale ancora?"},
            {"role": "assistant", "content": "Sì, fino a domenica! ❤️"},
        ],
        "platform": "youtube",
        "intimacy.responses": ["commercial", "interactive"],
        "intimacy.responses.users": ["a", "b"],
        "intimacy.responses.status": ["submitted", "draft"],
    }
    found = intimacy.read_annotations(saved(tmp_path / "r.json", [row]))
    assert [turn.role for turn in found.threads[0].thread.turns] == ["follower", "creator"]


def test_prodigy_choice_and_binary(tmp_path: Path) -> None:
    (task,) = intimacy.export_for("prodigy", THREADS[:1], blind=True)
    binary = {k: v for k, v in task.items() if k != "options"}
    path = lines(
        tmp_path / "db.jsonl",
        {**task, "accept": ["commercial"], "answer": "accept", "_annotator_id": "giro-anna"},
        {**task, "accept": ["commercial"], "answer": "reject", "_annotator_id": "giro-b"},
        {**task, "accept": [], "answer": "ignore", "_annotator_id": "giro-c"},
        {**task, "accept": [], "answer": "accept", "_annotator_id": "giro-d"},
        {**binary, "label": "commercial", "answer": "accept", "_annotator_id": "giro-e"},
        {**binary, "label": "interactive", "answer": "reject", "_annotator_id": "giro-e"},
    )
    found = intimacy.read_annotations(path)
    assert found.report.excluded == {"rejected": 2, "ignored": 1, "empty": 1}
    assert found.report.annotators == {"giro-anna": 1, "giro-e": 1}
    with pytest.raises(RecordError, match=r"db.jsonl:1: 'answer' is unknown"):
        intimacy.read_annotations(lines(path, {**task, "answer": "forse", "_task_hash": 1}))


def test_csv_one_column_an_annotator_and_what_excel_makes_of_it(tmp_path: Path) -> None:
    tasks = intimacy.export_for("csv", THREADS, blind=True)
    rows = []
    for task, anna, bruno in zip(tasks, ANNA, BRUNO, strict=True):
        del task["label"], task["secondary"], task["annotator"]
        more = {"secondary:anna": "", "informs:anna": "VERO", "disclosure_depth:bruno": "0"}
        rows.append({**task, "label:anna": f" {anna} ".upper(), "label:bruno": bruno or "", **more})
    rows[3]["thread_id"] = "7,30123E+18"
    found = intimacy.read_annotations(written(tmp_path / "wide.csv", "csv", rows))
    assert found.report.annotators == {"anna": 5, "bruno": 3}
    assert [item.thread.id for item in found.threads][2] == "7301234567890123456"
    assert found.threads[0].votes[0]["informs"] is True
    assert found.threads[0].votes[1]["disclosure_depth"] == 0
    for row in rows:
        del row["record"]
    rows[3]["thread_id"] = "nessuno"
    path = written(tmp_path / "bare.csv", "csv", rows)
    with pytest.raises(UnsupportedExportError, match="of thread 'UgA' comes without the thread"):
        intimacy.read_annotations(path)
    joined = intimacy.read_annotations(path, threads=THREADS)
    assert joined.report.unmatched == ("nessuno",) and joined.report.excluded["no thread"] == 2
    assert [item.thread for item in joined.threads] == [THREADS[i] for i in (0, 1, 4)]
    assert "threads nobody has: 1 ('nessuno')" in str(joined.report)


def test_a_table_for_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "csv", intimacy.export_for("csv", THREADS, blind=True))
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf"), "or Excel reads it as cp1252"
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


# -- answers


def test_the_last_answer_of_an_annotator_wins_and_is_counted(tmp_path: Path) -> None:
    path = label_studio(
        tmp_path,
        {
            "completed_by": 1,
            "created_at": "2026-03-09T23:00:00Z",
            "result": [choices("intimacy", "commercial")],
        },
        {
            "completed_by": 1,
            "created_at": "2026-03-09T22:00:00Z",
            "result": [choices("intimacy", "interactive")],
        },
    )
    found = intimacy.read_annotations(path)
    assert found.threads[0].label == "commercial" and found.report.excluded == {"repeated": 1}
    (tmp_path / "a").mkdir()
    twice = of_csv(
        tmp_path / "a",
        intimacy.export_for("csv", THREADS[:1], blind=True),
        {"anna": ["commercial"]},
    )
    found = intimacy.read_annotations([*twice, *twice])
    assert found.report.excluded == {"repeated": 1} and len(found.threads[0].votes) == 1


def test_votes_stand_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    def said(who: int, hour: int, word: str) -> dict[str, Any]:
        result = [choices("intimacy", word)]
        return {"completed_by": who, "created_at": f"2026-03-09T{hour}:00:00Z", "result": result}

    path = label_studio(
        tmp_path, said(3, 23, "disclosive"), said(2, 22, "reciprocal"), said(1, 21, "commercial")
    )
    (item,) = intimacy.read_annotations(path).threads
    assert [vote["annotator"] for vote in item.votes] == ["1", "2", "3"]
    assert item.label == "disclosive", "the third decides"
    named = intimacy.read_annotations(path, adjudicators=["1", "nessuno"])
    assert [vote["annotator"] for vote in named.threads[0].votes] == ["2", "3", "1"]
    assert named.threads[0].label == "commercial"
    assert "adjudicators who answered nothing: nessuno" in named.report.notes


def test_parts_of_an_answer_that_cannot_be_are_left_out_and_counted(tmp_path: Path) -> None:
    far = {
        "start": 0,
        "end": 0,
        "startOffset": 3,
        "endOffset": 9,
        "text": "non c'è",
        "paragraphlabels": ["evidence"],
    }
    mark = {"from_name": "evidence", "type": "paragraphlabels", "value": far}
    path = label_studio(
        tmp_path,
        {"result": [choices("intimacy", "commercial"), choices("secondary", "commercial"), mark]},
        {"result": [choices("intimacy", "commercial"), choices("secondary", "interactive")]},
        {"result": [choices("intimacy", "out_of_scope"), choices("secondary", "interactive")]},
    )
    found = intimacy.read_annotations(path)
    assert found.report.dropped == {
        "secondary that repeats": 1,
        "evidence not found in the text": 1,
        "secondary beside a flag": 1,
    }
    assert [vote["secondary"] for vote in found.threads[0].votes] == [None, "interactive", None]


def test_the_most_contested_threads_come_first(tmp_path: Path) -> None:
    pairs = [
        (("commercial", "interactive"), ("interactive", "commercial")),
        (("commercial", ""), ("out_of_scope", "")),
        (("commercial", ""), ("interactive", "commercial")),
    ]
    threads = THREADS[:3]
    tasks = intimacy.export_for("csv", threads, blind=True)
    for who in (0, 1):
        rows = [
            {**task, "label": pair[who][0], "secondary": pair[who][1]}
            for task, pair in zip(tasks, pairs, strict=True)
        ]
        written(tmp_path / f"{who}.csv", "csv", rows)
    queue = intimacy.read_annotations([tmp_path / "0.csv", tmp_path / "1.csv"]).queue
    assert [item.thread.id for item in queue] == [threads[i].id for i in (1, 2, 0)]
    assert [item.disagreement for item in queue] == [1.0, 0.7, 0.4]


def test_threads_wait_for_votes_and_addresses_become_pseudonyms(tmp_path: Path) -> None:
    paths = answered("argilla", tmp_path, THREADS, **{"anna@example.org": ANNA, "a1": BRUNO})
    found = intimacy.read_annotations(paths, min_votes=2)
    assert len(found.threads) == 2 and len(found.queue) == 1 and found.report.n_waiting == 2
    assert set(found.report.annotators) == {"a1", "a2"}, "a1 is taken"
    assert found.report.notes[0].startswith("1 annotators with an e-mail address")
    key = "una chiave di prova"
    named = intimacy.read_annotations(paths, key=key).report.annotators
    assert named == intimacy.read_annotations(paths, key=key).report.annotators
    assert "a1" in named and len(named) == 2 and "a2" not in named
    with pytest.raises(ThreadError, match="the key has 5 bytes"):
        intimacy.read_annotations(paths, key="corta")
    shown = repr(found) + str(found.report) + repr(found.report) + repr(found.queue)
    assert "example.org" not in shown
    for text in ("codice", "pianto", "Nuova crema"):
        assert text not in shown


def test_the_third_cannot_be_one_of_the_two(tmp_path: Path) -> None:
    paths = answered("argilla", tmp_path)
    (tmp_path / "third").mkdir()
    tasks = intimacy.export_for("argilla", [THREADS[2]], blind=True, adjudicates=True)
    third = of_argilla(tmp_path / "third", tasks, {"bruno": ["disclosive"]})
    for order in ([*paths, *third], [*third, *paths]):
        found = intimacy.read_annotations(order)
        assert len(found.queue) == 1 and found.report.excluded["adjudicates an own vote"] == 1


def test_two_threads_of_one_id_are_not_mixed(tmp_path: Path) -> None:
    other = replace(THREADS[1], id="UgA")
    (tmp_path / "b").mkdir()
    one = answered("csv", tmp_path, THREADS[:1], anna=["commercial"])
    two = answered("csv", tmp_path / "b", [other], bruno=["interactive"])
    found = intimacy.read_annotations([*one, *two])
    assert found.report.excluded == {"another thread of the same id": 1}
    assert found.threads[0].label == "commercial"


# -- spans


@pytest.mark.parametrize(
    ("text", "start", "end", "quoted", "expected"),
    [
        ("ciao a tutte", 5, 6, "a", (5, 6)),
        ("ciao a tutte", 5, 5, "a", (5, 6)),  # inclusive end
        ("🔥🔥 bella", 5, 10, "bella", (3, 8)),  # UTF-16
        ("🔥🔥 bella", 3, 8, "bella", (3, 8)),  # characters
        ("no no no", 6, 8, "no", (6, 8)),
        ("due\n\tparole qui", 0, 9, "due parole", (0, 11)),
        ("ciao", 0, 4, "altro", None),
        ("🔥 ok", 3, 5, None, (2, 4)),
        ("ciao", 3, 3, None, None),
        ("ciao", -5, 99, None, (0, 4)),
        ("ciao", 0, 0, " ", None),
    ],
)
def test_where_a_span_is(
    text: str, start: int, end: int, quoted: str | None, expected: tuple[int, int] | None
) -> None:
    assert spans.located(text, start, end, quoted) == expected


def test_a_span_over_several_turns() -> None:
    texts = ["ciao 🔥 bella", "come va", "bene grazie"]
    found = spans.across(texts, 0, 2, 8, 4, "bella come va bene")
    assert found == [(0, 7, 12), (1, 0, 7), (2, 0, 4)]
    assert spans.across(texts, 0, 2, 8, 3, "bella\ncome va\nbene") == found, "inclusive end"
    assert spans.across(texts, 0, 1, 0, 3, "tutt'altro") == []
    assert spans.across(texts, 2, 5, 0, 3, None) == []


@given(st.text(), st.integers(0, 40))
def test_offsets_there_and_back(text: str, at: int) -> None:
    at = min(at, len(text))
    assert spans.from_utf16(text, spans.to_utf16(text, at)) == at


# -- bad input


def good_row() -> dict[str, Any]:
    (task,) = intimacy.export_for("prodigy", THREADS[:1], blind=True)
    return {**task, "accept": ["commercial"], "answer": "accept", "_annotator_id": "a"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"accept": ["amichevole"]}, "'accept' has 'amichevole'; expected one of: commercial"),
        ({"accept": "commercial"}, "'accept' is 'commercial'; expected a list"),
        ({"accept": [{"id": 1}]}, "'accept' has dict; expected one of"),
        ({"accept": ["che bella questa crema"]}, "'accept' has a text of 22 characters"),
        ({"meta": ["x"]}, r"'meta' is \['x'\]; expected an object"),
        ({"record": '{"id": "UgA", "tur'}, "'record' is not JSON .* spreadsheets cut"),
        ({"record": "{}"}, "in 'record', 'turns' is null"),
        ({"record": "[1]"}, "in 'record', list received"),
        ({"record": '{"turns": [{"role": "amica", "text": ""}]}'}, "role 'amica'"),
    ],
)
def test_a_bad_record_is_refused_with_file_line_and_field(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    path = tmp_path / "db.jsonl"
    path.write_bytes(store.encode_line(good_row()) + b"\n" + store.encode_line(good_row() | wrong))
    with pytest.raises(RecordError, match=message) as caught:
        intimacy.read_annotations(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_bad_record_of_a_list_is_refused_with_its_number(tmp_path: Path) -> None:
    for number, (wrong, message) in enumerate(
        [
            ({"data": []}, r"record 2: 'data' is \[\]; expected an object"),
            ({"annotations": 3}, "record 2: 'annotations' is 3; expected a list"),
            ({"annotations": ["x"]}, "record 2: 'annotations' holds 'x'; expected objects"),
        ]
    ):
        path = label_studio(tmp_path, {"result": []})
        (good,) = json.loads(path.read_bytes())
        saved(path, [good, {**good, **wrong}])
        with pytest.raises(RecordError, match=message):
            intimacy.read_annotations(path)
        assert number < 3
    saved(path, [good, 7])
    with pytest.raises(RecordError, match="record 2: int received; expected an object"):
        intimacy.read_annotations(path)
    bad = {**good, "data": {"thread_id": "x", "dialogue": [{"author": "Zia", "text": "ciao"}]}}
    with pytest.raises(RecordError, match="in the dialogue, turn 0 has role 'Zia'"):
        intimacy.read_annotations(saved(path, [bad]))
    bad["data"]["dialogue"] = [{"chi": "Zia"}]
    with pytest.raises(RecordError, match="line 0 of the dialogue has not 'author' and 'text'"):
        intimacy.read_annotations(saved(path, [bad]))


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, data, error, message in (
        ("empty.json", b"", SourceError, "is empty"),
        ("cut.json", b'[{"data": {"thread_id": "a"}, "annot', SourceError, "breaks off at byte"),
        (
            "cut.jsonl",
            b'{"text": "x", "answer": "accept"}\n{"te',
            RecordError,
            "cut.jsonl:2: not JSON",
        ),
        ("other.json", b'[{"nome": "x"}]', UnknownFormatError, "exports these keys: 'nome'"),
        ("other.csv", b"nome,cognome\na,b\n", UnknownFormatError, "no annotation tool exports"),
        ("x.pdf", b"%PDF-1.7", SourceError, "is a PDF"),
        ("cut.zip", b"PK\x03\x04abc", SourceError, "damaged or encrypted ZIP"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(error, match=message):
            intimacy.read_annotations(path)
    with pytest.raises(SourceError, match="no such file"):
        intimacy.read_annotations(tmp_path / "no.json")
    with pytest.raises(SourceError, match="is a folder"):
        intimacy.read_annotations(tmp_path)
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", "niente")
    with pytest.raises(SourceError, match="holds no file with answers"):
        intimacy.read_annotations(tmp_path / "none.zip")
    wrong = answered("csv", tmp_path)[0]
    assert not intimacy.read_annotations(wrong, tool="prodigy", threads=[]).threads


def test_tasks_that_nobody_answered_are_no_votes(tmp_path: Path) -> None:
    for tool in TOOLS:
        path = written(
            tmp_path / tool, tool, intimacy.export_for(tool, THREADS, predictions=PREDICTIONS)
        )
        found = intimacy.read_annotations(path, tool=tool)
        assert not found.threads and sum(found.report.excluded.values()) == 5, tool
        assert found.agreement() == {} and not found.report.annotators and not found.report.notes
        with pytest.raises(CorpusError, match="no thread is settled"):
            found.write_corpus(tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()


def test_a_large_round_is_read_in_seconds(tmp_path: Path) -> None:
    row = good_row()
    record = json.loads(row.pop("record"))
    path = tmp_path / "db.jsonl"
    with path.open("wb") as stream:
        for number in range(6_000):
            known = {**record, "id": f"t{number // 2}"}
            more = {"record": json.dumps(known), "_annotator_id": f"a{number % 2}"}
            stream.write(store.encode_line(row | more))
    start = time.process_time()  # of this process: others may keep the machine busy
    found = intimacy.read_annotations(path)
    assert len(found.threads) == 3_000 and time.process_time() - start < 10


# -- the command line


def run(*args: str, code: int = 0, stdin: bytes = b"") -> tuple[bytes, str]:
    command = [sys.executable, "-W", "error", "-m", "intimacy", *args]
    done = subprocess.run(command, input=stdin, capture_output=True)
    err = done.stderr.decode()
    assert done.returncode == code and "Traceback" not in err, err
    return done.stdout, err


def test_the_command_line_knows_every_tool() -> None:
    from intimacy.cli import labelling as commands

    assert commands.TOOLS == TOOLS


def test_the_whole_round_on_the_command_line(tmp_path: Path) -> None:
    threads = lines(tmp_path / "threads.jsonl", *map(store.thread_to_dict, THREADS))
    guesses = lines(tmp_path / "p.jsonl", *(p.to_dict() for p in PREDICTIONS))
    tasks, config = tmp_path / "tasks.json", tmp_path / "config.xml"
    out = ("-o", str(tasks), "--config-out", str(config))
    _, err = run(
        "annotate", str(threads), "--to", "label-studio", "--predictions", str(guesses), *out
    )
    assert "5 tasks for label-studio, suggestions: the model's" in err
    made = json.loads(tasks.read_bytes())
    assert made == intimacy.export_for("label-studio", THREADS, predictions=PREDICTIONS)
    assert config.read_text("utf-8") == labelling.label_config("label-studio")
    (export,) = of_label_studio(tmp_path, made, {"anna": ANNA, "bruno": BRUNO})
    corpus, queue = tmp_path / "corpus.jsonl", tmp_path / "queue.csv"
    args = ("-o", str(corpus), "--queue", str(queue), "--queue-to", "csv")
    text, err = run("corpus", "read-annotations", str(export), *args)
    assert "label-studio: 5 records, 9 answers, 8 count" in text.decode()
    assert "settled: 4, for a third annotator: 1" in text.decode()
    assert "wrote 4 threads" in err and "wrote 1 tasks" in err
    assert len(intimacy.load_corpus(corpus)) == 4
    data, _ = run("corpus", "read-annotations", str(export), "--format", "json", "--min-votes", "2")
    said = json.loads(data)
    assert said["n_settled"] == 2 and said["queue"] == [{"thread_id": "UgC", "disagreement": 1.0}]
    assert said["report"]["excluded"] == {"unsure": 1} and "label" in said["agreement"]
    for line in (text, data):
        assert b"pianto" not in line


def test_tasks_out_of_an_export_through_a_pipe(tmp_path: Path) -> None:
    export = ROOT / "tests" / "data" / "exports" / "ytdlp" / "flat.info.json"
    data, err = run("annotate", str(export), "--to", "prodigy", "--blind")
    rows = [json.loads(line) for line in data.splitlines()]
    assert [row["meta"]["thread_id"] for row in rows] == ["UgA", "UgB", "UgC"]
    assert "suggestions: none" in err and "accept" not in rows[0]
    records = b"".join(map(store.encode_line, map(store.thread_to_dict, THREADS)))
    data, _ = run("annotate", "-", "--to", "csv", stdin=records)
    assert data.decode("utf-8-sig").startswith("thread_id;text;suggestion;score;label;")


def test_commands_that_cannot_be(tmp_path: Path) -> None:
    threads = str(lines(tmp_path / "threads.jsonl", *map(store.thread_to_dict, THREADS)))
    for args, message in (
        ((threads, "--to", "excel"), "'excel' is not one of"),
        (("--to", "csv"), "nothing to do"),
        ((threads, "--to", "csv", "--blind", "--predictions", "x"), "--blind shows no suggestion"),
        ((threads, "--to", "csv", "--model", "x", "--predictions", "x"), "exclude each other"),
    ):
        _, err = run("annotate", *args, code=2)
        assert message in err
    _, err = run("annotate", threads, threads, "--to", "csv", "--blind", code=1)
    assert "two threads have the id 'UgA'" in err
    tasks = written(tmp_path / "t.csv", "csv", intimacy.export_for("csv", THREADS, blind=True))
    corpus = tmp_path / "corpus.jsonl"
    text, err = run("corpus", "read-annotations", str(tasks), "-o", str(corpus), code=1)
    assert b"excluded: empty 5" in text and "no vote counts" in err and not corpus.exists()
    bare = tmp_path / "bare.csv"
    bare.write_text("thread_id;label;annotator\nUgA;commercial;anna\n")
    _, err = run("corpus", "read-annotations", str(bare), code=1)
    assert "Pass threads= (--threads)" in err
    text, _ = run("corpus", "read-annotations", str(bare), "--threads", threads, "-o", str(corpus))
    assert intimacy.load_corpus(corpus)[0].thread == THREADS[0]


def test_a_warning_is_a_line_on_stderr(tmp_path: Path) -> None:
    (task,) = intimacy.export_for("argilla", THREADS[:1], blind=True)
    responses = {"intimacy": [{"value": "commercial", "user_id": "a"}]}
    nested = saved(tmp_path / "nested.json", [{**task, "responses": responses}])
    _, err = run("corpus", "read-annotations", str(nested))
    assert "intimacy: " in err and "nested form" in err
