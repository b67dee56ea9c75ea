"""Corpora as frames, tables, data sets and files: nothing is lost, any names, clear refusals."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import intimacy
from intimacy import annotation, corpus, store
from intimacy.annotation import FLAGS, VALUES, AnnotatedThread, annotated_from_dict
from intimacy.errors import ConfigError, CorpusError, MissingExtraError, RecordError, SourceError
from intimacy.frames.rows import COLUMNS, MORE, pack, unpack
from intimacy.schema import Label

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")
parquet = pytest.importorskip("pyarrow.parquet")

# -- threads of every kind

WORDS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)
TIMES = st.datetimes(
    datetime(2004, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc)
) | st.just(datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=2))))
LABELS = st.sampled_from([str(label) for label in Label])


def sometimes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def answers(draw: st.DrawFn, *, label: str | None) -> dict[str, Any]:
    """Attributes: all, some or none, with nulls among them."""
    out: dict[str, Any] = {}
    for name, values in VALUES.items():
        if draw(st.booleans()):
            out[name] = draw(sometimes(st.sampled_from(values)))
    if label is None:
        out["flags"] = draw(st.lists(st.sampled_from(FLAGS), min_size=1, max_size=2, unique=True))
    elif draw(st.booleans()):
        out["flags"] = draw(st.sampled_from([None, []]))
    return out


@st.composite
def votes(draw: st.DrawFn) -> dict[str, Any]:
    label = draw(sometimes(LABELS))
    out = draw(answers(label=label))
    out["label"] = label
    for name, values in (
        ("annotator", sometimes(WORDS | st.integers(0, 9))),
        ("secondary", sometimes(LABELS)),
        ("adjudicates", st.booleans()),
        ("note", WORDS | st.lists(st.integers()) | st.none()),
    ):
        if draw(st.booleans()):
            out[name] = draw(values)
    if draw(st.booleans()) and len(out) > 1 and set(out) & set(annotation.ATTRIBUTES):
        del out["label"]
    return out


@st.composite
def turns(draw: st.DrawFn) -> dict[str, Any]:
    out = {"role": draw(st.sampled_from(["creator", "follower", "staff"])), "text": draw(st.text())}
    for name, values in (
        ("id", WORDS),
        ("author_id", WORDS),
        ("created_at", TIMES),
        ("created_at_is_estimate", st.booleans()),
        ("parent_id", WORDS),
        ("likes", st.integers(0, 2**65)),
        ("creator_liked", st.booleans()),
    ):
        if draw(st.booleans()):
            out[name] = draw(values)
    return out


@st.composite
def items(draw: st.DrawFn) -> AnnotatedThread:
    label = draw(sometimes(LABELS))
    record = draw(answers(label=label)) | {
        "id": draw(WORDS),
        "turns": draw(st.lists(turns(), min_size=1, max_size=3)),
        "label": label,
        "caption": draw(sometimes(st.text())),
        "published_at": draw(sometimes(TIMES)),
        "complete": draw(sometimes(st.booleans())),
        "votes": draw(st.lists(votes(), max_size=3)),
        "split": draw(sometimes(st.sampled_from(annotation.SPLITS))),
        "case": draw(sometimes(st.integers(1, 40))),
        "secondary": draw(sometimes(LABELS)),
        "target": draw(st.sampled_from([None, {"interactive": 0.25, "disclosive": 0.75}])),
        "draw_probability": draw(sometimes(st.floats(0, 1, exclude_min=True) | st.just(1))),
    }
    for name in ("platform", "creator_id", "post_id", "persona", "pair_id", "source", "chosen_by"):
        record[name] = draw(sometimes(WORDS))
    return annotated_from_dict(record)


CORPORA = st.lists(items(), min_size=1, max_size=4, unique_by=lambda item: item.thread.id)


def through(form: str, threads: list[AnnotatedThread], folder: Path) -> Any:
    """The threads in another form, which `load_corpus` takes."""
    if form in ("pandas", "polars", "arrow"):
        return intimacy.to_frame(threads, kind=form)
    if form == "datasets":
        return intimacy.to_dataset(threads)
    if form == "records":
        return [annotation.annotated_to_dict(item) for item in threads]
    path = folder / f"c{form}"
    assert intimacy.save_corpus(threads, path) == len(threads)
    return path


FORMS = ["pandas", "polars", "arrow", "datasets", "records", ".parquet", ".jsonl", ".jsonl.xz"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_threads_back(form: str, tmp_path: Path) -> None:
    threads = intimacy.load_corpus(ROOT / "data" / "threads" / "dev.jsonl")[:30]
    threads[3] = replace(threads[3], chosen_by="profile", draw_probability=0.1 + 0.2)
    threads[4] = replace(threads[4], chosen_by="uncertainty")
    assert intimacy.load_corpus(through(form, threads, tmp_path)) == threads


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(threads=CORPORA)
def test_every_form_keeps_everything_and_the_order(
    form: str, threads: list[AnnotatedThread], tmp_path: Path
) -> None:
    if form not in (".parquet", "pandas", "polars", "arrow", "datasets"):
        # JSON holds no whole numbers above 64 bits.
        threads = [t for t in threads if all((u.likes or 0) < 2**63 for u in t.thread.turns)]
        if not threads:
            return
    back = intimacy.load_corpus(through(form, threads, tmp_path))
    assert back == threads
    assert [kinds(item) for item in back] == [kinds(item) for item in threads]


def kinds(item: AnnotatedThread) -> list[Any]:
    """Types of the answers: True is not 1, null is not missing."""
    given = [item.attributes, *item.votes, item.target]
    turn = [(type(t.likes), type(t.creator_liked), type(t.text)) for t in item.thread.turns]
    return [{k: type(v) for k, v in answer.items()} for answer in given] + turn


@settings(max_examples=20, deadline=None)
@given(item=items())
@example(
    item=annotated_from_dict(
        {"id": "a", "turns": [{"role": "staff", "text": "\ud83d"}], "label": "interactive"}
    )
)
def test_a_row_is_the_record(item: AnnotatedThread) -> None:
    row = pack(item)
    assert list(row) == list(COLUMNS)
    assert annotated_from_dict(unpack(row)) == item


def test_what_libraries_do_to_a_table_on_the_way_is_undone(tmp_path: Path) -> None:
    threads = intimacy.load_corpus(ROOT / "data" / "threads" / "dev.jsonl")[:40]
    frame = intimacy.to_frame(threads)
    frame.to_parquet(tmp_path / "pandas.parquet")
    intimacy.to_frame(threads, kind="polars").write_parquet(tmp_path / "polars.parquet")
    intimacy.to_dataset(threads).to_parquet(tmp_path / "datasets.parquet")
    intimacy.to_frame(threads, kind="polars").write_ndjson(tmp_path / "polars.jsonl")
    for name in ("pandas.parquet", "polars.parquet", "datasets.parquet", "polars.jsonl"):
        assert intimacy.load_corpus(tmp_path / name) == threads, name
    # Read by pandas, lists are arrays of numpy and whole numbers beside nulls are fractions.
    assert intimacy.load_corpus(pandas.read_parquet(tmp_path / "polars.parquet")) == threads
    assert intimacy.load_corpus(frame.astype({"case": "float64"}, errors="ignore")) == threads
    assert intimacy.load_corpus(frame.convert_dtypes()) == threads
    assert (
        intimacy.load_corpus(
            polars.from_pandas(frame[["id", "label"]])
            .join(polars.read_parquet(tmp_path / "polars.parquet").drop("label"), on="id")
            .lazy()
        )
        == threads
    )
    assert intimacy.load_corpus(frame.set_index("post_id", drop=False).iloc[::-1]) == threads[::-1]


def test_columns_keep_their_type_where_nothing_is_known() -> None:
    bare = annotated_from_dict(
        {"id": "a", "turns": [{"role": "follower", "text": "ciao"}], "label": "interactive"}
    )
    full = intimacy.load_corpus(ROOT / "data" / "threads" / "dev.jsonl")[:5]
    for kind in ("polars", "arrow"):
        assert (
            intimacy.to_frame([bare], kind=kind).schema == intimacy.to_frame(full, kind=kind).schema
        )
    assert intimacy.to_dataset([bare]).features == intimacy.to_dataset(full).features
    assert list(intimacy.to_frame([bare]).dtypes) == list(intimacy.to_frame(full).dtypes)
    assert intimacy.to_frame([], kind="polars").is_empty()


def test_splits_of_a_dataset_dict_become_split() -> None:
    threads = intimacy.load_corpus(ROOT / "data" / "threads" / "dev.jsonl")[:6]
    data = intimacy.to_dataset(threads).remove_columns("split")
    parts = datasets.DatasetDict({"train": data.select([3, 1]), "validation": data.select([0])})
    found = [(i.thread.id, i.split) for i in intimacy.load_corpus(parts)]
    ids = [item.thread.id for item in threads]
    assert found == [(ids[3], "train"), (ids[1], "train"), (ids[0], "dev")]
    with pytest.raises(CorpusError, match="split 'unsupervised' received; expected some of: train"):
        intimacy.load_corpus(datasets.DatasetDict({"unsupervised": data}))
    with pytest.raises(CorpusError, match="a row of split 'train' has 'split' 'dev'"):
        intimacy.load_corpus(datasets.DatasetDict({"train": intimacy.to_dataset(threads)}))
    with pytest.raises(CorpusError, match="dict received; expected data sets by split"):
        intimacy.load_corpus({"id": "a", "turns": []})


@pytest.mark.slow
def test_a_streamed_data_set_is_read_as_it_comes() -> None:
    threads = intimacy.load_corpus(ROOT / "data" / "threads" / "dev.jsonl")[:6]
    assert intimacy.load_corpus(intimacy.to_dataset(threads).to_iterable_dataset()) == threads


def test_class_labels_of_a_data_set_are_read_as_words() -> None:
    label = datasets.ClassLabel(names=["commercial", "interactive"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    data = datasets.Dataset.from_dict({"text": ["ciao", "compra"], "label": [1, 0]}, features)
    assert [str(i.label) for i in intimacy.load_corpus(data)] == ["interactive", "commercial"]
    none = datasets.Dataset.from_dict({"text": ["ciao"], "label": [-1]}, features)
    with pytest.raises(RecordError, match="data frame:1: 'label' is null"):
        intimacy.load_corpus(none)


@pytest.mark.slow
def test_the_bundled_corpus_survives_every_form_within_seconds(tmp_path: Path) -> None:
    threads = intimacy.load_corpus()
    for form in ("pandas", "polars", "datasets", ".parquet", ".jsonl"):
        start = time.process_time()
        assert intimacy.load_corpus(through(form, threads, tmp_path)) == threads, form
        assert time.process_time() - start < 20, form
    written = store.read_jsonl(tmp_path / "c.jsonl", lambda record, path, line: record)
    assert list(written) == [annotation.annotated_to_dict(item) for item in threads]
    rows = intimacy.to_frame(threads, kind="polars")
    assert rows[MORE].null_count() == len(threads)


def test_labels_without_text_may_be_rows_of_a_table(tmp_path: Path) -> None:
    records = [
        {
            "id": f"r{i}",
            "source": "forum",
            "text_sha256": corpus.text_hash([f"ciao {i}"]),
            "roles": ["follower"],
            "label": "interactive",
        }
        for i in range(3)
    ]
    polars.DataFrame(records).write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "texts").mkdir()
    store.write_jsonl(tmp_path / "texts" / "forum.jsonl", ({"text": f"ciao {i}"} for i in range(3)))
    found = intimacy.load_corpus(tmp_path, text_root=tmp_path / "texts")
    assert [(i.thread.turns[0].text, i.source) for i in found] == [
        (f"ciao {i}", "forum") for i in range(3)
    ]
    # A text that was joined from elsewhere stays known as such, so that nobody prints it.
    again = intimacy.load_corpus(intimacy.to_frame(found))
    assert [item.source for item in again] == ["forum"] * 3


# -- any column names

MAKERS: list[Callable[[dict[str, list[Any]]], Any]] = [
    pandas.DataFrame,
    polars.DataFrame,
    arrow.table,
    datasets.Dataset.from_dict,
    lambda columns: polars.DataFrame(columns).to_dicts(),
]


@pytest.mark.parametrize("make", MAKERS)
def test_one_comment_a_row(make: Callable[[dict[str, list[Any]]], Any]) -> None:
    frame = make(
        {
            "codice": [11, 12],
            "frase": ["che bello", "quanto costa?"],
            "classe": ["int", "comm"],
            "Didascalia": ["il mio orto", None],
            "utente": ["@anna", "@ugo"],
            "stance": ["supportive", None],
        }
    )
    names = {"text": "frase", "label": "classe", "id": "codice"}
    words = {"int": "interactive", "comm": "commercial"}
    one, two = intimacy.load_corpus(frame, columns=names, labels=words)
    assert (one.thread.id, str(one.label), one.thread.post.text) == (
        "11",
        "interactive",
        "il mio orto",
    )
    assert (two.thread.turns[0].text, str(two.thread.turns[0].role)) == (
        "quanto costa?",
        "follower",
    )
    assert one.attributes == {"stance": "supportive"} and two.attributes == {}
    # Names in clear are nobody's pseudonym unless the caller says that they are.
    assert one.thread.turns[0].author_id is None
    named = intimacy.load_corpus(frame, columns={**names, "author": "utente"}, labels=words)
    assert named[0].thread.turns[0].author_id == "@anna"


LONG = {
    "conversazione": ["t1", "t2", "t1", "t1"],
    "ruolo": ["follower", "follower", "influencer", "follower"],
    "testo": ["ciao", "compro", "a te!", None],
    "etichetta": ["reciprocal", "commercial", None, "reciprocal"],
    "autore": ["a", "b", "c", "a"],
    "data": ["2026-03-01T10:00:00", None, "2026-03-01T11:00:00+01:00", None],
    "mi_piace": [3, None, None, 1],
    "account": ["giulia"] * 4,
    "persona": ["p", "q", "p", "p"],
}


@pytest.mark.parametrize("make", MAKERS)
def test_one_turn_a_row(make: Callable[[dict[str, list[Any]]], Any]) -> None:
    one, two = intimacy.load_corpus(make(LONG), roles={"influencer": "creator"})
    assert [(str(t.role), t.text) for t in one.thread.turns] == [
        ("follower", "ciao"),
        ("creator", "a te!"),
        ("follower", ""),
    ]
    assert str(one.label) == "reciprocal" and two.persona == "q" and two.thread.id == "t2"
    assert [t.likes for t in one.thread.turns] == [3, None, 1]
    assert one.thread.turns[0].created_at == one.thread.turns[1].created_at
    assert one.thread.post.creator_id == "giulia"


def test_turns_in_a_column_of_another_name() -> None:
    frame = pandas.DataFrame(
        {
            "chiave": ["a", "b"],
            "battute": [[{"role": "follower", "text": "ciao"}]] * 2,
            "classe": ["interattiva", "fuori tema"],
            "id": [7, 8],
            "votes": [[{"label": "interattiva", "secondary": "commerciale"}], None],
        }
    )
    one, two = intimacy.load_corpus(
        frame,
        columns={"thread_id": "chiave", "turns": "battute", "label": "classe"},
        labels={
            "interattiva": "interactive",
            "commerciale": "commercial",
            "fuori tema": "out_of_scope",
        },
    )
    assert one.thread.id == "a" and one.target == {"interactive": 0.7, "commercial": 0.3}
    assert two.label is None and two.flags == ("out_of_scope",)


def test_a_column_called_turns_may_be_something_else() -> None:
    frame = pandas.DataFrame(flat(turns=[3, 4]))
    with pytest.raises(RecordError, match="data frame:1: 'turns' is int; expected a list"):
        intimacy.load_corpus(frame)
    assert len(intimacy.load_corpus(frame, columns={"text": "text"})) == 2


def test_the_example_of_the_documentation_runs() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    # The first is run on the whole bundled corpus elsewhere.
    assert "to_frame" in first and "save_corpus" in first
    found: dict[str, Any] = {"intimacy": intimacy}
    exec(second, found)
    one, two = found["items"]
    assert (str(one.label), str(two.label)) == ("reciprocal", "commercial")
    assert [str(turn.role) for turn in one.thread.turns] == ["follower", "creator"]


def test_lines_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    store.write_jsonl(path, [{"frase": "ciao", "classe": 1}, {"frase": "compra", "classe": 0}])
    found = intimacy.load_corpus(
        path,
        columns={"text": "frase", "label": "classe"},
        labels={0: "commercial", 1: "interactive"},
    )
    assert [(i.thread.id, str(i.label)) for i in found] == [
        ("row 1", "interactive"),
        ("row 2", "commercial"),
    ]


# -- what is refused


def flat(**columns: list[Any]) -> dict[str, list[Any]]:
    return {"id": ["a", "b"], "text": ["ciao", "ehi"], "label": ["interactive"] * 2, **columns}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (flat(label=["interactive", "bella"]), r"data frame:2: 'label' has 'bella'; expected one"),
        (flat(label=["interactive", None]), r"data frame:2: 'label' is null and 'flags' names"),
        (flat(id=["a", "a"]), r"data frame:2: 'id' is 'a', as at data frame:1; ids must be unique"),
        (flat(id=["a", None]), r"data frame:2: no 'id'; expected a string of its own"),
        (flat(text=["ciao", None]), r"data frame:2: 'text' is None; expected the text of a comm"),
        (flat(likes=["1.2K", "3"]), r"data frame:1: 'likes' is '1.2K'; expected a whole number"),
        (flat(date=["ieri", None]), r"data frame:1: 'date' is 'ieri'; expected a time in ISO"),
        (flat(role=["follower", "amica"]), r"data frame:2: turn 0 has role 'amica'; expected one"),
        (flat(split=["train", "val"]), r"data frame:2: 'split' has 'val'; expected one of: train"),
        (flat(stance=["supportive", "?"]), r"data frame:2: 'stance' has '\?'; expected one of"),
        (flat(thread_id=["x", None]), r"data frame:2: 'thread_id' is None; expected the id of a"),
        (
            flat(
                thread_id=["x", "x"],
                role=["follower", "creator"],
                label=["commercial", "disclosive"],
            ),
            r"data frame:2: 'label' is 'disclosive', but 'commercial' in row 1 of the same thread",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_row_and_column(
    columns: dict[str, list[Any]], message: str
) -> None:
    for make in (pandas.DataFrame, polars.DataFrame):
        with pytest.raises(RecordError, match=message) as caught:
            intimacy.load_corpus(make(columns))
        assert isinstance(caught.value.line, int)


def test_a_table_as_a_whole_can_be_wrong(tmp_path: Path) -> None:
    frame = pandas.DataFrame(flat())
    for wrong, message in (
        ({"text": "frase"}, "columns maps 'text' to 'frase', which is not there; found: 'id', 'te"),
        ({"testo": "text"}, "columns names the field 'testo'; expected some of: text, id, parent_"),
    ):
        with pytest.raises(CorpusError, match=message):
            intimacy.load_corpus(frame, columns=wrong)
    with pytest.raises(CorpusError, match="no column holds turns or texts; found: 'id', 'label'"):
        intimacy.load_corpus(frame[["id", "label"]])
    with pytest.raises(CorpusError, match="data frame: no rows; expected labelled threads"):
        intimacy.load_corpus(frame[:0])
    with pytest.raises(CorpusError, match="two columns called 'text'"):
        intimacy.load_corpus(frame.set_axis(["id", "text", "text"], axis=1))
    with pytest.raises(CorpusError, match="rows 1 and 2 are turns of one thread and no column"):
        intimacy.load_corpus(frame.assign(thread_id="x"))
    for odd in (3, b"ciao", object()):
        with pytest.raises(CorpusError, match="received; expected a path, a pandas or polars fram"):
            intimacy.load_corpus(odd)
    with pytest.raises(RecordError, match="records:1: str received; expected a record"):
        intimacy.load_corpus(["ciao"])
    with pytest.raises(ConfigError, match="kind is 'spark'; expected 'pandas', 'polars' or 'arr"):
        intimacy.to_frame([], kind="spark")
    with pytest.raises(ConfigError, match=r"c\.csv: expected a name that ends in \.jsonl, \.jso"):
        intimacy.save_corpus([], tmp_path / "c.csv")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"c\.parquet: not a whole Parquet file"):
        intimacy.load_corpus(tmp_path / "c.parquet")
    with pytest.raises(SourceError, match="cannot be read"):
        intimacy.load_corpus(tmp_path / "no.parquet")
    parquet.write_table(arrow.table(flat(label=["interactive", "x"])), tmp_path / "c.parquet")
    with pytest.raises(RecordError, match=r"c\.parquet:2: 'label' has 'x'"):
        intimacy.load_corpus(tmp_path / "c.parquet")
    report = intimacy.check_corpus(tmp_path / "c.parquet")
    assert report.n_threads == 1 and len(report.errors) == 1
    more = pandas.DataFrame({**flat(), "turns": [[{"role": "staff", "text": "x"}]] * 2, MORE: "x"})
    with pytest.raises(RecordError, match="data frame:1: '_more' is not what to_frame wrote"):
        intimacy.load_corpus(more)


def test_no_text_stands_in_an_error() -> None:
    secret = "una confidenza che nessuno deve leggere"
    for columns in (
        flat(label=[secret, secret]),
        flat(date=[secret, None]),
        {secret: ["x"], "label": ["interactive"]},
        flat(thread_id=["x", "x"], role=["follower"] * 2, caption=[secret, secret + "!"]),
    ):
        with pytest.raises((RecordError, CorpusError)) as caught:
            intimacy.load_corpus(pandas.DataFrame(columns))
        assert "confidenza" not in str(caught.value)


def test_types_of_frames_that_hold_the_same() -> None:
    names = ["commercial", "interactive"]
    plain = intimacy.load_corpus(pandas.DataFrame(flat(label=names)))
    for frame in (
        pandas.DataFrame(flat(label=pandas.Categorical(names))),
        pandas.DataFrame(flat(label=names)).convert_dtypes(),
        pandas.DataFrame(flat(label=names), index=["z", "y"]),
        pandas.DataFrame(flat(label=names), index=[5, 5]),
        pandas.DataFrame(flat(label=names)).convert_dtypes(dtype_backend="pyarrow"),
        polars.DataFrame(flat(label=names)).cast({"label": polars.Enum(names)}),
        polars.DataFrame(flat(label=names)).cast({"label": polars.Categorical}),
    ):
        assert intimacy.load_corpus(frame) == plain
    with pytest.raises(RecordError, match="data frame:2: 'label' is null"):
        intimacy.load_corpus(
            pandas.DataFrame(flat(label=pandas.Categorical.from_codes([0, -1], names)))
        )
    with pytest.raises(RecordError, match="data frame:2: 'label' is null"):
        intimacy.load_corpus(pandas.DataFrame(flat(label=["interactive", float("nan")])))
    ids = pandas.DataFrame(flat(id=[1.0, 2.0]))
    assert [item.thread.id for item in intimacy.load_corpus(ids)] == ["1", "2"]


def test_half_a_character_goes_into_parquet_and_is_refused_as_lines(tmp_path: Path) -> None:
    item = annotated_from_dict(
        {"id": "a", "turns": [{"role": "follower", "text": "\ud83d"}], "label": "interactive"}
    )
    intimacy.save_corpus([item], tmp_path / "c.parquet")
    assert intimacy.load_corpus(tmp_path / "c.parquet") == [item]
    with pytest.raises(CorpusError, match="thread 'a' holds half a surrogate pair"):
        intimacy.save_corpus([item], tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()


def test_other_labels_than_the_four_have_their_share_too() -> None:
    item = AnnotatedThread(
        thread=intimacy.Thread(id="a", turns=(intimacy.Turn(role=intimacy.Role.STAFF, text="x"),)),
        label=None,
        target={"spam": 0.4, "ham": 0.6},
    )
    row = intimacy.to_frame([item], kind="polars").to_dicts()[0]
    assert row["target"] == {"ham": 0.6, "spam": 0.4}


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match="polars is not installed; run: pip install polars"):
        intimacy.to_frame([], kind="polars")
