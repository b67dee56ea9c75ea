"""One thing where many are expected: the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import intimacy
from intimacy import Brief, IntimacyError, Role, Thread, Turn
from intimacy.errors import require_many

THREAD = Thread(id="1", turns=(Turn(role=Role.FOLLOWER, text="Che bella cucina"),))
CALLS: dict[str, Callable[[Any], object]] = {
    "classify_threads": intimacy.classify_threads,
    "profile": intimacy.profile,
    "profiles": intimacy.profiles,
    "compare_sponsored": intimacy.compare_sponsored,
    "rank": lambda given: intimacy.rank(given, Brief(text="cucina")),
    "percentiles": lambda given: intimacy.percentiles(intimacy.profile([THREAD]), given),
    "label_next": lambda given: intimacy.label_next(given, 1),
    "labelled_shares": lambda given: intimacy.labelled_shares(given, {}),
    "export_for": lambda given: intimacy.export_for("csv", given),
    "to_frame": intimacy.to_frame,
    "agreement": intimacy.agreement,
    "save_corpus": lambda given: intimacy.save_corpus(given, "never.jsonl"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("given", [THREAD, None, "ciao", 3, {"id": "1"}], ids=str)
def test_one_thing_where_many_are_expected(
    name: str, given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntimacyError, match="received; expected a list of") as caught:
        CALLS[name](given)
    assert str(caught.value).startswith(("one ", "None ")) and "ciao" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["to_frame", "agreement", "save_corpus"])
def test_threads_without_a_label_field_are_no_labelled_threads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntimacyError, match="Thread received; expected a labelled thread"):
        CALLS[name]([THREAD])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [[THREAD], "ciao", None, 3])
def test_profiles_are_profiles(given: Any) -> None:
    one = intimacy.profile([THREAD])
    with pytest.raises(IntimacyError, match="received; expected what"):
        intimacy.compare(one, given)


def test_a_corpus_is_checked_by_its_path() -> None:
    with pytest.raises(IntimacyError, match="list received; expected the path of a file"):
        intimacy.check_corpus([THREAD])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "many", [[], (), iter([1]), {1}, range(3)], ids=lambda given: type(given).__name__
)
def test_many_things_pass(many: Any) -> None:
    require_many(many, "a list")


@pytest.mark.parametrize("name", ["classify_threads", "profile", "to_frame", "save_corpus"])
def test_a_frame_is_no_list(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntimacyError, match="one DataFrame received; expected a list of"):
        CALLS[name](pandas.DataFrame({"text": ["ciao"]}))
    assert not list(tmp_path.iterdir())
