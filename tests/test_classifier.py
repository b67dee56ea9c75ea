"""One path for one thread and for many: shapes, facts, abstention, invariance, concurrency."""

from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from conftest import EXPORTS, thread
from hypothesis import given, settings
from hypothesis import strategies as st

import intimacy
from intimacy import annotation, classifier, intake
from intimacy.errors import BundleError, IntimacyWarning, RoleError, ThreadError
from intimacy.prediction import Prediction
from intimacy.schema import Label, Reason, Thread

WORDS = "ciao grazie quanto costa la crema ieri ho pianto bello video 😂 codice mamma".split()  # noqa: SIM905
TWENTY = {"role": "CREATOR", "text": "20 euro"}


def some_threads(n: int, seed: int = 0) -> list[Thread]:
    rng = random.Random(seed)

    def words() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 60)))

    return [
        thread(
            *[(rng.choice(["follower", "creator"]), words()) for _ in range(rng.randint(1, 5))],
            caption=words() if rng.random() < 0.5 else None,
            id=str(i),
        )
        for i in range(n)
    ]


# -- what goes in


@pytest.mark.parametrize(
    "item",
    [
        [("follower", "quanto costa?"), ("creator", "20 euro")],
        [{"role": "follower", "text": "quanto costa?"}, {"role": "creator", "text": "20 euro"}],
        [{"role": "follower", "content": "quanto costa?"}, ("creator", "20 euro")],
        {
            "turns": [
                {"role": "follower", "text": "quanto costa?"},
                {"role": "CREATOR", "text": "20 euro"},
            ]
        },
        thread(("follower", "quanto costa?"), ("creator", "20 euro")),
    ],
)
def test_all_shapes_of_one_thread_agree(item: object) -> None:
    expected = intimacy.classify_thread([("follower", "quanto costa?"), ("creator", "20 euro")])
    assert intimacy.classify_thread(item).scores == expected.scores


def test_a_string_is_a_followers_comment_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_warned", False)
    with pytest.warns(IntimacyWarning, match="one follower's comment"):
        said = intimacy.classify_thread("bellissimo video")
    assert intimacy.classify_thread("bellissimo video") == said
    assert said.scores == intimacy.classify_thread([("follower", "bellissimo video")]).scores


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (3, ThreadError, "int received; expected a Thread"),
        (None, ThreadError, "NoneType received"),
        ([("influencer", "ciao")], RoleError, "role 'influencer'; expected one of: creator"),
        ([("follower", 3)], ThreadError, "text of turn 0 is int"),
        ([("follower",)], ThreadError, "turn 0 is tuple"),
        ({"turns": 3}, ThreadError, "'turns' is int"),
        ({}, ThreadError, "'turns' is null"),
    ],
)
def test_what_is_not_a_thread_is_refused(item: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        intimacy.classify_thread(item)


def test_a_bad_item_is_flagged_and_the_rest_go_on() -> None:
    found = intimacy.classify_threads(
        [[("follower", "ciao a tutti")], 3, [("boss", "x")], [("follower", "ok dai")]]
    )
    assert [p.reason == Reason.INVALID for p in found] == [False, True, True, False]
    assert found[1].error is not None and "int received" in found[1].error
    assert found[0].scores == intimacy.classify_thread([("follower", "ciao a tutti")]).scores


@pytest.mark.parametrize("one", ["ciao", {"turns": []}, thread(("follower", "ciao"))])
def test_one_thread_is_not_a_list_of_threads(one: object) -> None:
    with pytest.raises(ThreadError, match="For one call classify_thread"):
        intimacy.classify_threads(one)  # type: ignore[arg-type]


def test_a_data_frame_is_not_read_by_its_column_names() -> None:
    with pytest.raises(ThreadError, match="read_export"):
        intimacy.classify_threads(pd.DataFrame({"role": ["follower"], "text": ["ciao"]}))


def test_no_threads() -> None:
    assert intimacy.classify_threads([]) == []


# -- what comes out


def test_scores_are_named_and_sum_to_one() -> None:
    for prediction in intimacy.classify_threads(some_threads(50)):
        assert list(prediction.scores) == [str(label) for label in Label]
        assert sum(prediction.scores.values()) == pytest.approx(1)
        assert prediction.scope is not None and 0 <= prediction.scope <= 1
        assert (prediction.label is None) == (prediction.reason is not None)
        if prediction.label is not None:
            assert prediction.scores[prediction.label] == max(prediction.scores.values())


def test_facts_are_never_predicted_against() -> None:
    for item in some_threads(200, seed=3):
        scores = intimacy.classify_thread(item).scores
        if not item.has_creator_turn:
            assert scores["reciprocal"] == 0
            assert item.post.text or scores["disclosive"] == 0


@pytest.mark.parametrize(
    ("turns", "caption", "allowed"),
    [
        ([("follower", "a")], None, "CI"),
        ([("follower", "a")], "caption", "CID"),
        ([("follower", "a"), ("staff", "b")], None, "CI"),
        ([("follower", "a"), ("creator", "b")], None, "CIRD"),
        ([("follower", "a"), ("creator", " ")], None, "CI"),
        ([("creator", "b")], None, "CID"),
        ([("creator", "b"), ("follower", "a")], None, "CID"),
    ],
)
def test_labels_that_a_structure_leaves_open(
    turns: list[tuple[str, str]], caption: str | None, allowed: str
) -> None:
    open_ = annotation.possible(thread(*turns, caption=caption))
    assert {label[0].upper() for label in open_} == set(allowed)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "empty"),
        ([("follower", "")], "empty"),
        ([("follower", " \n")], "empty"),
        ([("follower", "...")], "too_short"),
        ([("follower", "!!!"), ("creator", "?")], "too_short"),
        ([("follower", "привет, как дела у тебя сегодня")], "not_italian"),
        ([("follower", "素敵な動画ですね")], "not_italian"),
    ],
)
def test_reasons_that_need_no_model(turns: list[tuple[str, str]], reason: str) -> None:
    prediction = intimacy.classify_thread(turns)
    assert prediction.label is None and prediction.reason == reason and prediction.scores == {}


@pytest.mark.parametrize("text", ["❤️", "🔥🔥🔥", "B!!", "1", "primo"])
def test_emoji_and_single_words_are_labelled_like_any_other(text: str) -> None:
    assert intimacy.classify_thread([("follower", text)]).scores


def test_what_is_dropped_for_length_is_counted() -> None:
    turns = [("follower", "parola " * 300)] + [("follower", "ciao")] * 10_000 + [("creator", "sì")]
    prediction = intimacy.classify_thread(turns)
    assert prediction.truncated and prediction.n_dropped_turns > 9_000
    assert prediction.n_dropped_chars > 500
    assert prediction.scores["reciprocal"] > 0, "the creator's turn was seen"


def test_the_model_is_stamped() -> None:
    model_id = intimacy.classify_thread([("follower", "ciao")]).model_id
    assert model_id == intimacy.load_model().bundle.model_id
    assert model_id is not None and "+sha256:" in model_id


# -- nothing about a call changes a result


def bare(prediction: Prediction) -> tuple[object, ...]:
    return prediction.label, prediction.reason, tuple(prediction.scores.values()), prediction.scope


def test_batch_order_and_neighbours_change_nothing() -> None:
    threads = some_threads(300, seed=1)
    one_by_one = [bare(intimacy.classify_thread(item)) for item in threads]
    assert [bare(p) for p in intimacy.classify_threads(threads)] == one_by_one
    shuffled = list(enumerate(threads))
    random.Random(5).shuffle(shuffled)
    again = intimacy.classify_threads([item for _, item in shuffled])
    assert {i: bare(p) for (i, _), p in zip(shuffled, again, strict=True)} == dict(
        enumerate(one_by_one)
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=8))
def test_any_text_gives_the_same_alone_and_in_company(texts: list[str]) -> None:
    items = [[("follower", text)] for text in texts]
    assert [bare(p) for p in intimacy.classify_threads(items)] == [
        bare(intimacy.classify_thread(item)) for item in items
    ]


def test_thirty_two_threads_at_once() -> None:
    threads = some_threads(64, seed=2)
    expected = [bare(intimacy.classify_thread(item)) for item in threads]
    barrier = threading.Barrier(32)

    def work(_: int) -> list[tuple[object, ...]]:
        barrier.wait()
        return [bare(intimacy.classify_thread(item)) for item in threads]

    with ThreadPoolExecutor(32) as pool:
        assert all(found == expected for found in pool.map(work, range(32)))


def _in_child(queue: multiprocessing.Queue[object]) -> None:
    queue.put([bare(p) for p in intimacy.classify_threads(some_threads(20))])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork() -> None:
    expected = [bare(p) for p in intimacy.classify_threads(some_threads(20))]
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[object] = context.Queue()
    with classifier._lock:  # another thread is loading the model while we fork
        child = context.Process(target=_in_child, args=(queue,))
        child.start()
    assert queue.get(timeout=60) == expected
    child.join(timeout=10)
    assert child.exitcode == 0


def test_progress_is_on_stderr_and_only_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    intimacy.classify_threads(some_threads(5))
    assert capfd.readouterr() == ("", "")
    intimacy.classify_threads(some_threads(5), progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "classify" in err


def test_missing_model_says_what_to_do(tmp_path: object) -> None:
    with pytest.raises(BundleError, match="intimacy train"):
        intimacy.load_model(tmp_path)  # type: ignore[arg-type]


def test_one_export_end_to_end() -> None:
    threads, _ = intimacy.read_export(EXPORTS / "ytdlp/flat.info.json", key=b"k" * 16)
    found = intimacy.classify_threads(threads)
    assert [p.thread_id for p in found] == [t.id for t in threads]
    assert found[0].structure.roles == tuple(turn.role for turn in threads[0].turns)


@pytest.mark.slow
def test_memory_stays_flat_over_a_hundred_thousand_calls() -> None:
    code = """
import gc, resource, intimacy
thread = [("follower", "ciao"), ("creator", "ciao")]
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
for i in range(100_000):
    intimacy.classify_thread(thread)
    if i == 5_000:
        gc.collect(); start = rss()
gc.collect()
print((rss() - start) / 1e6)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 20, "megabytes grown"
