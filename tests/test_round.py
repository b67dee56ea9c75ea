"""What to label next, out to a tool and back: the draw is known when shares are reckoned."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT, thread
from test_labelling import EXPORTS, TOOLS, lines, of_label_studio, run, saved, written
from test_selection import many

import intimacy
from intimacy import store
from intimacy.annotation import AnnotatedThread
from intimacy.cli import labelling as commands
from intimacy.cli import main
from intimacy.errors import ConfigError, IntimacyWarning, RecordError, SourceError
from intimacy.labelling.selection import STRATEGIES, Choice
from intimacy.prediction import Prediction

PREDICTIONS = many(90)
THREADS = [thread(("follower", "ciao"), id=str(item.thread_id)) for item in PREDICTIONS]
WORDS = ("commercial", "interactive", "disclosive", "out_of_scope")


def answers(choices: Sequence[Choice]) -> dict[str, list[str]]:
    """One annotator's, which differ from thread to thread."""
    return {"anna": [WORDS[choice.position % 4] for choice in choices]}


def chosen(n: int = 40, **how: Any) -> list[Choice]:
    return intimacy.label_next(THREADS, n, predictions=PREDICTIONS, **{"by": "profile", **how})


def told(choices: Sequence[Choice]) -> dict[str, tuple[str, float | None]]:
    return {choice.thread_id: (choice.by, choice.probability) for choice in choices}


def stated(items: Sequence[AnnotatedThread]) -> dict[str, tuple[str | None, float | None]]:
    return {item.thread.id: (item.chosen_by, item.draw_probability) for item in items}


def labelled(tmp_path: Path, choices: Sequence[Choice], tool: str = "csv") -> Any:
    tasks = intimacy.export_for(tool, THREADS, choices=choices, blind=True)
    return intimacy.read_annotations(EXPORTS[tool](tmp_path, tasks, answers(choices)))


# -- there and back


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("by", STRATEGIES)
def test_how_threads_were_chosen_comes_back(tool: str, by: Any, tmp_path: Path) -> None:
    choices = chosen(by=by)
    found = labelled(tmp_path, choices, tool)
    assert [item.thread.id for item in found.threads] == [c.thread_id for c in choices]
    assert stated(found.threads) == told(choices), "to the last digit"
    assert not [note for note in found.report.notes if "chose" in note or "drawn" in note]
    found.write_corpus(tmp_path / "corpus.jsonl")
    assert intimacy.load_corpus(tmp_path / "corpus.jsonl") == list(found.threads)


def test_the_flat_exports_of_label_studio_keep_it_too(tmp_path: Path) -> None:
    choices = chosen(5)
    tasks = intimacy.export_for("label-studio", THREADS, choices=choices, blind=True)
    more = {"intimacy": "interactive", "annotator": 1, "annotation_id": 7, "lead_time": 4.2}
    rows = [{**task["data"], "id": n, **more} for n, task in enumerate(tasks)]
    flat = saved(tmp_path / "min.json", rows)
    assert stated(intimacy.read_annotations(flat).threads) == told(choices)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, "dialogue": json.dumps(row["dialogue"])} for row in rows)
    (tmp_path / "ls.csv").write_text(buffer.getvalue(), "utf-8")
    assert stated(intimacy.read_annotations(tmp_path / "ls.csv").threads) == told(choices)


def test_tasks_are_of_the_chosen_threads_in_their_order() -> None:
    choices = chosen(7, by="random")
    tasks = intimacy.export_for("doccano", THREADS, choices=choices, predictions=PREDICTIONS)
    assert [task["thread_id"] for task in tasks] == [c.thread_id for c in choices]
    assert intimacy.export_for("csv", THREADS, choices=[], blind=True) == []
    plain = intimacy.export_for("doccano", THREADS, blind=True)
    assert len(plain) == 90 and "chosen" not in plain[0]
    with pytest.raises(ConfigError, match=f"thread '{choices[0].thread_id}' was chosen and is not"):
        intimacy.export_for("csv", THREADS[:0], choices=choices, blind=True)
    with pytest.raises(ConfigError, match="a str among the choices; expected what label_next"):
        intimacy.export_for("csv", THREADS, choices=["t1"], blind=True)  # type: ignore[list-item]


def test_nothing_shown_to_annotators_says_what_the_model_thinks() -> None:
    for tool in TOOLS:
        text = json.dumps(intimacy.export_for(tool, THREADS, choices=chosen(), blind=True))
        assert not re.search(r"[a-z_]+ 0\.\d\d, [a-z_]+ 0\.\d\d", text), "why a thread was chosen"
        assert "model" not in text


# -- what a tool lost


def bared(tool: str, path: Path) -> Path:
    """The same export without what tasks carry."""
    if tool == "doccano":
        import zipfile

        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            rows = [json.loads(line) for line in archive.read(names[0]).splitlines()]
        path = path.with_name(names[0])
    elif tool == "csv":
        text = path.read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
    elif tool == "prodigy":
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    else:
        rows = json.loads(path.read_bytes())
    for row in rows:
        for place in (row, row.get("data") or {}):
            place.pop("record", None)
            place.pop("chosen", None)
    if tool == "csv":
        return written(path, tool, rows)
    return lines(path, *rows) if tool in ("doccano", "prodigy") else saved(path, rows)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_file_of_tasks_gives_back_what_a_tool_lost(tool: str, tmp_path: Path) -> None:
    choices = chosen()
    tasks = intimacy.export_for(tool, THREADS, choices=choices, blind=True)
    given_out = written(tmp_path / "tasks", tool, tasks)
    (export,) = EXPORTS[tool](tmp_path, tasks, answers(choices))
    bare = bared(tool, export)
    found = intimacy.read_annotations(bare, tasks=given_out)
    assert stated(found.threads) == told(choices)
    by_id = {item.id: item for item in THREADS}
    assert [item.thread for item in found.threads] == [by_id[c.thread_id] for c in choices]
    without = intimacy.read_annotations(bare, threads=THREADS)
    assert set(stated(without.threads).values()) == {(None, None)}
    (note,) = [note for note in without.report.notes if "tasks" in note]
    assert note.startswith("40 threads came back without what their tasks carried")


def test_what_is_lost_for_some_is_warned_of(tmp_path: Path) -> None:
    choices = chosen()
    tasks = intimacy.export_for("csv", THREADS, choices=choices, blind=True)
    for task in tasks[:3]:
        del task["chosen"]
    (path,) = EXPORTS["csv"](tmp_path, tasks, answers(choices))
    with pytest.warns(
        IntimacyWarning, match=r"3 of 40 answered threads .* Pass tasks= \(--tasks\)"
    ):
        found = intimacy.read_annotations(path)
    assert sum(item.draw_probability is None for item in found.threads) == 3


def test_other_files_are_not_taken_for_tasks(tmp_path: Path) -> None:
    choices = chosen(5)
    tasks = intimacy.export_for("csv", THREADS, choices=choices, blind=True)
    (path,) = EXPORTS["csv"](tmp_path, tasks, answers(choices))
    other = saved(tmp_path / "other.json", [{"nome": "x"}])
    with pytest.raises(
        SourceError, match="holds no tasks; expected what 'intimacy annotate --to csv'"
    ):
        intimacy.read_annotations(path, tasks=other)
    with pytest.raises(SourceError, match="no such file"):
        intimacy.read_annotations(path, tasks=tmp_path / "none.csv")


@pytest.mark.parametrize(
    "said", ["profile 0", "profile 1,5", "profile molto", "profile nan", " ", 3]
)
def test_a_probability_that_somebody_edited_is_refused(said: Any, tmp_path: Path) -> None:
    (task,) = intimacy.export_for("doccano", THREADS, choices=chosen(1), blind=True)
    row = {**task, "chosen": said, "label": ["commercial"], "id": 1}
    with pytest.raises(RecordError, match=r"anna.jsonl:1: 'chosen' is .*do not edit that column"):
        intimacy.read_annotations(lines(tmp_path / "anna.jsonl", row))


def test_threads_that_were_drawn_and_have_no_label_are_counted(tmp_path: Path) -> None:
    choices = chosen()
    tasks = intimacy.export_for("csv", THREADS, choices=choices, blind=True)
    said = answers(choices)["anna"]
    other = ["unsure", "reciprocal", "", *said[3:]]
    paths = EXPORTS["csv"](tmp_path, tasks, {"anna": ["unsure", "commercial", "", *said[3:]]})
    (tmp_path / "b").mkdir()
    paths += EXPORTS["csv"](tmp_path / "b", tasks, {"bruno": other})
    found = intimacy.read_annotations(paths)
    assert len(found.threads) == 37 and len(found.queue) == 1
    assert found.report.notes == (
        "3 of 40 threads that were drawn have no label: shares from the others are biased if "
        "these are harder, so finish them first",
    )


def test_a_thread_of_two_draws_keeps_the_first(tmp_path: Path) -> None:
    first, second = chosen(60), chosen(30)
    both = sorted({c.thread_id for c in first} & {c.thread_id for c in second})
    (tmp_path / "b").mkdir()
    paths = []
    for place, choices in ((tmp_path, first), (tmp_path / "b", second)):
        tasks = intimacy.export_for("csv", THREADS, choices=choices, blind=True)
        said = answers(choices)["anna"]
        paths += EXPORTS["csv"](place, tasks, {"anna" if choices is first else "bruno": said})
    found = intimacy.read_annotations(paths)
    assert both and f"{len(both)} threads were chosen twice, unlike" in str(found.report)
    assert stated(found.threads) == told(second) | told(first)


# -- shares


def test_shares_find_the_probabilities_in_the_labels(tmp_path: Path) -> None:
    choices = chosen()
    labels = labelled(tmp_path, choices).threads
    probabilities = {c.thread_id: c.probability for c in choices}
    found = intimacy.labelled_shares(PREDICTIONS, iter(labels))
    assert found == intimacy.labelled_shares(PREDICTIONS, labels, probabilities=probabilities)
    bare = [replace(item, chosen_by=None, draw_probability=None) for item in labels]
    assert found != intimacy.labelled_shares(PREDICTIONS, bare), "as if drawn evenly"
    with pytest.raises(ConfigError, match="method 'ppi' with probabilities"):
        intimacy.labelled_shares(PREDICTIONS, labels, method="ppi")
    given = dict.fromkeys(probabilities, 0.5)
    assert intimacy.labelled_shares(
        PREDICTIONS, labels, probabilities=given
    ) == intimacy.labelled_shares(PREDICTIONS, bare, probabilities=given), "the caller knows better"


def test_an_even_draw_is_a_random_sample(tmp_path: Path) -> None:
    labels = labelled(tmp_path, chosen(by="random")).threads
    bare = [replace(item, chosen_by=None, draw_probability=None) for item in labels]
    for method in ("posterior", "ppi", "labels"):
        found = intimacy.labelled_shares(PREDICTIONS, labels, method=method)  # type: ignore[arg-type]
        assert found == intimacy.labelled_shares(PREDICTIONS, bare, method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["uncertainty", "diversity"])
def test_labels_that_were_not_drawn_do_not_pass_for_a_sample(by: Any, tmp_path: Path) -> None:
    labels = labelled(tmp_path, chosen(by=by)).threads
    message = rf"40 of 40 labels were not drawn by chance \({by} 40\).* annotate -n 80 --by profile"
    with pytest.warns(IntimacyWarning, match=message):
        found = intimacy.labelled_shares(PREDICTIONS, labels)
    reason = "not shown: 0 labels drawn by chance, at least 20 needed"
    assert {share.reason for share in found.values()} == {reason}
    plain = intimacy.profile(PREDICTIONS)
    with pytest.warns(IntimacyWarning, match="not drawn by chance"):
        profile = intimacy.with_labels(plain, PREDICTIONS, labels)
    assert profile.shares == plain.shares and reason in profile.notes[-1]


def test_beside_a_draw_of_the_rest_they_count_as_known(tmp_path: Path) -> None:
    picked = chosen(20, by="uncertainty")
    drawn = chosen(30, labelled=[c.thread_id for c in picked])
    (tmp_path / "b").mkdir()
    labels = [*labelled(tmp_path, picked).threads, *labelled(tmp_path / "b", drawn).threads]
    with pytest.warns(IntimacyWarning, match=r"20 of 50 labels .*\(uncertainty 20\)"):
        found = intimacy.labelled_shares(PREDICTIONS, labels)
    known = dict.fromkeys([c.thread_id for c in picked], 1.0)
    known |= {c.thread_id: c.probability for c in drawn}
    assert found == intimacy.labelled_shares(PREDICTIONS, labels, probabilities=known)
    unsaid = [replace(i, chosen_by=None) if i.draw_probability is None else i for i in labels]
    with pytest.warns(IntimacyWarning, match=r"\(nobody says how 20\)"):
        assert found == intimacy.labelled_shares(PREDICTIONS, unsaid)


def test_of_several_creators_each_has_their_own_draw(tmp_path: Path) -> None:
    others = many(90, seed=1, creator="@piero")
    threads = [thread(("follower", "ciao"), id=str(p.thread_id)) for p in others]
    mine = labelled(tmp_path, chosen(by="random")).threads
    choices = intimacy.label_next(others, 40, by="uncertainty")
    theirs = [
        replace(mine[0], thread=t, chosen_by=c.by, draw_probability=None)
        for c in choices
        for t in threads
        if t.id == c.thread_id
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = intimacy.labelled_shares(
            [*PREDICTIONS, *others], [*mine, *theirs], creator_id="@giulia"
        )
    assert found == intimacy.labelled_shares(PREDICTIONS, mine)


# -- the command line


def files(tmp_path: Path, predictions: Sequence[Prediction] = PREDICTIONS) -> tuple[str, ...]:
    threads = lines(tmp_path / "threads.jsonl", *map(store.thread_to_dict, THREADS))
    guesses = lines(tmp_path / "p.jsonl", *(p.to_dict() for p in predictions))
    return (str(threads), "--predictions", str(guesses))


def test_the_command_line_knows_every_strategy() -> None:
    assert commands.STRATEGIES == STRATEGIES


def test_a_round_of_what_to_label_next(tmp_path: Path) -> None:
    source = files(tmp_path, PREDICTIONS[::-1])  # found by id
    tasks, corpus = tmp_path / "t.csv", tmp_path / "corpus.jsonl"
    how = ("-n", "40", "--by", "profile", "--seed", "3", "--to", "csv", "-o", str(tasks))
    _, err = run("annotate", *source, *how, "--blind", "--creator", "@giulia")
    assert "chose 40 of 90 threads by profile\n" in err and "suggestions: none" in err
    choices = chosen(seed=3)
    rows = list(csv.DictReader(io.StringIO(tasks.read_text("utf-8-sig")), delimiter=";"))
    assert [row["thread_id"] for row in rows] == [f"'{c.thread_id}" for c in choices]
    assert "suggestion" not in rows[0]
    run("annotate", *source, *how)
    assert "suggestion" in tasks.read_text("utf-8-sig").splitlines()[0]

    (answered,) = EXPORTS["csv"](tmp_path, rows, answers(choices))
    run("corpus", "read-annotations", str(answered), "-o", str(corpus))
    data, _ = run("profile", source[2], "--labels", str(corpus), "--format", "json")
    (profile,) = json.loads(data)
    probabilities = {c.thread_id: c.probability for c in choices}
    labels = dict(zip(probabilities, answers(choices)["anna"], strict=True))
    shares = intimacy.labelled_shares(
        PREDICTIONS,
        {name: None if word == "out_of_scope" else word for name, word in labels.items()},
        probabilities=probabilities,
    )
    assert profile["shares"]["commercial"]["estimate"] == shares["commercial"].estimate

    again = ("-n", "20", "--to", "doccano", "--labelled", str(corpus))
    data, err = run("annotate", *source, *again, "--by", "random")
    assert "chose 20 of 90 threads by random, 40 labelled left out\n" in err
    second = {json.loads(line)["thread_id"] for line in data.splitlines()}
    assert len(second) == 20 and not second & set(probabilities)


def test_labels_that_were_not_drawn_are_warned_of_on_the_command_line(tmp_path: Path) -> None:
    source, tasks = files(tmp_path), tmp_path / "t.csv"
    _, err = run("annotate", *source, "-n", "40", "--to", "csv", "-o", str(tasks))
    assert "chose 40 of 90 threads by uncertainty; no draw: no shares can rest on" in err
    found = labelled(tmp_path, chosen(by="uncertainty"))
    found.write_corpus(tmp_path / "corpus.jsonl")
    _, err = run("profile", source[2], "--labels", str(tmp_path / "corpus.jsonl"))
    assert "intimacy: 40 of 40 labels were not drawn by chance (uncertainty 40)" in err


def test_threads_are_classified_where_nobody_did(tmp_path: Path) -> None:
    texts = ["Quanto costa la crema?", "Che bella ricetta!", "Ieri ho pianto tutto il giorno", "🔥"]
    threads = [thread(("follower", text), id=f"t{n}") for n, text in enumerate(texts)]
    path = lines(tmp_path / "threads.jsonl", *map(store.thread_to_dict, threads))
    data, err = run("annotate", str(path), "-n", "2", "--by", "random", "--to", "prodigy")
    rows = [json.loads(line) for line in data.splitlines()]
    choices = intimacy.label_next(threads, 2, by="random")
    assert [(row["meta"]["thread_id"], row["chosen"]) for row in rows] == [
        (c.thread_id, f"random {c.probability!r}") for c in choices
    ]
    assert "suggestions: the model's" in err and "accept" in rows[0]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("-n", "91"), 1, "n is 91; of 90 threads 90 can be chosen"),
        (("-n", "0"), 2, "0 is not in the range x>=1"),
        (("-n", "9", "--by", "margin"), 2, "'margin' is not one of 'uncertainty', 'diversity'"),
        (("-n", "9", "--creator", "@nobody"), 1, "no thread of creator '@nobody' among 90"),
        (("-n", "9", "--labelled", "none.jsonl"), 1, "none.jsonl: cannot be read: No such file"),
        (("-n", "9", "--labelled", "cut.jsonl"), 1, "cut.jsonl:1: not JSON"),
        (("-n", "9", "--labelled", "threads.jsonl"), 1, "threads.jsonl:1: 'label' is null"),
        (("-n", "9", "--labelled", "empty.jsonl"), 1, "empty.jsonl holds no records"),
        (("--by", "random"), 2, "--by, --labelled and --seed choose threads: pass -n"),
        (("--seed", "0"), 2, "pass -n, how many"),
        (("-n", "9", "--model", "x"), 2, "--predictions and --model exclude each other"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: Any, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = files(tmp_path)
    Path("cut.jsonl").write_text('{"id": "x", "tur')
    Path("empty.jsonl").touch()
    done = CliRunner().invoke(main, ["annotate", *source, "--to", "csv", "-o", "t.csv", *args])
    assert done.exit_code == code and message in done.stderr and not Path("t.csv").exists()


def test_predictions_of_some_threads_are_not_enough(tmp_path: Path) -> None:
    source = files(tmp_path, PREDICTIONS[:80])
    done = CliRunner().invoke(main, ["annotate", *source, "-n", "9", "--to", "csv"])
    assert done.exit_code == 1 and "10 of 90 threads have no prediction" in done.stderr
    assert "choosing needs them all" in done.stderr


# -- the page


@pytest.mark.slow
def test_the_round_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/annotation.md, as it stands, on the test accounts of the corpus as one."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "annotation.md").read_text("utf-8")
    section = page.split("## Eighty labels for one creator")[1].split("\n## ")[0]
    commands = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert commands and code
    items = {i.thread.id: i for i in intimacy.load_corpus(ROOT / "data" / "threads" / "test.jsonl")}
    threads = [
        replace(i.thread, post=replace(i.thread.post, creator_id="esempio")) for i in items.values()
    ]
    lines(Path("threads.jsonl"), *map(store.thread_to_dict, threads))
    printed = []
    for line in commands.group(1).splitlines():
        if line.startswith("intimacy "):
            data, _ = run(*shlex.split(line)[1:])
            printed.append(data.decode())
        elif "two annotators" in line:
            annotated(items, "tasks.json", 0, 1).rename("export.json")
        else:
            assert "a third annotates" in line
            annotated(items, "queue.json", 2).rename("third.json")
    assert "of 80 threads that were drawn have no label" in printed[3]
    assert "drawn have no label" not in printed[4]

    rows = re.findall(r"^\| (\w+) \| (0\.\d\d) \| (0\..*?) \| (0\..*?) \|$", section, re.MULTILINE)
    assert [name for name, *_ in rows] == [str(label) for label in intimacy.Label]
    true = [i.label for i in items.values() if i.label]
    for name, all_of_them, before, after in rows:
        assert float(all_of_them) == pytest.approx(true.count(name) / len(true), abs=0.006)
        # Processors and versions of ONNX Runtime differ in the last bits, which may change the
        # draw and every step of a chain: with other seeds ends without labels spread by 0.03.
        for said, text, ends in ((before, printed[1], 0.1), (after, printed[-1], 0.05)):
            (line,) = re.findall(rf"^{name} .*\]", text, re.MULTILINE)
            share, low, high = (float(number) for number in re.findall(r"\d\.\d\d", line))
            middle, *around = map(float, re.findall(r"\d\.\d\d", said))
            assert share == pytest.approx(middle, abs=0.05)
            assert [low, high] == pytest.approx(around, abs=ends)
        low, high = map(float, re.findall(r"\d\.\d\d", after)[1:])
        assert low <= float(all_of_them) <= high

    names: dict[str, Any] = {"threads": threads}
    exec(code.group(1), names)
    assert len(names["labels"]) == 80 and names["after"].notes[-1].startswith("the shares of the")
    for name, share in names["after"].shares.items():
        assert f"{share.estimate:.2f}  [{share.low:.2f}, {share.high:.2f}]" in printed[-1], name


def _answer(vote: Any) -> str:
    return str(vote["label"] or vote["flags"][0])


def annotated(items: dict[str, AnnotatedThread], tasks: str, *who: int) -> Path:
    """Label Studio's export with the answers of some of the corpus' own annotators."""
    given = json.loads(Path(tasks).read_bytes())
    votes = [items[task["data"]["thread_id"]].votes for task in given]
    # A third read only what the first two differed about.
    said = {str(n): [_answer(v[n if n < len(v) else 0]) for v in votes] for n in who}
    if len(who) > 1:  # they differ about one thread in a hundred: too few to count on
        second = said[str(who[1])]
        second[:3] = ["interactive" if s == "commercial" else "commercial" for s in second[:3]]
    folder = Path(tasks).with_suffix("")
    folder.mkdir()
    (path,) = of_label_studio(folder, given, said)
    if who == (2,):  # whom the export calls by number
        rows = json.loads(path.read_bytes())
        for row in rows:
            row["annotations"][0]["completed_by"] = 3
        saved(path, rows)
    return path
