"""Thread building: the rules that all importers share."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from intimacy.schema import Comment, ImportReport, Post, Role, Thread
from intimacy.threads import CreatorRule, build, staff_rule

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
POST = Post(id="P", creator_id="giulia")
KEY = b"0123456789abcdef"


def comment(
    id: str, parent: str | None = None, *, at: int | None = None, **fields: object
) -> Comment:
    values: dict[str, object] = {
        "post": POST,
        "author_name": "anna",
        "text": f"testo {id}",
        "created_at": None if at is None else NOON + timedelta(minutes=at),
    }
    return Comment(id=id, parent_id=parent, **(values | fields))  # type: ignore[arg-type]


def threads_of(*comments: Comment, **rule: object) -> tuple[list[Thread], ImportReport]:
    creator = CreatorRule(**(rule or {"hints": {"giulia": "hint"}}))  # type: ignore[arg-type]
    return build(comments, format="test", creator=creator, key=KEY)


def ids(thread: Thread) -> list[str | None]:
    return [turn.id for turn in thread.turns]


@pytest.mark.parametrize("root", [None, "root", "0", "", "P"])
def test_what_opens_a_thread(root: str | None) -> None:
    threads, report = threads_of(comment("a", root), comment("b", "a"))
    assert [ids(thread) for thread in threads] == [["a", "b"]]
    assert report.n_orphans == 0


def test_duplicates_are_merged_and_the_pinned_copy_is_kept() -> None:
    threads, report = threads_of(
        comment("a", text="prima"), comment("a", text="fissato", pinned=True), comment("a")
    )
    assert [turn.text for turn in threads[0].turns] == ["fissato"]
    assert report.n_rows == 3 and report.n_duplicates == 2


def test_same_id_under_two_posts_is_two_comments() -> None:
    threads, report = threads_of(comment("a"), comment("a", post=Post(id="Q", creator_id="giulia")))
    assert len(threads) == 2 and report.n_duplicates == 0


def test_cycles_and_self_parents_are_cut_and_counted() -> None:
    threads, report = threads_of(
        comment("a", "b"), comment("b", "a"), comment("c", "c"), comment("d", "b")
    )
    assert sorted(map(ids, threads)) == [["a", "b", "d"], ["c"]]
    assert report.n_cycles == 2


def test_orphans_join_the_ancestor_in_their_id_or_stand_alone() -> None:
    threads, report = threads_of(
        comment("a"), comment("a.2", "a.1"), comment("x", "lost"), comment("y", "lost")
    )
    assert sorted(map(ids, threads)) == [["a", "a.2"], ["x", "y"]]
    assert report.n_orphans == 3
    lost = next(thread for thread in threads if thread.id == "lost")
    assert lost.complete is False, "its root is missing"


def test_exact_times_order_siblings_estimated_ones_do_not() -> None:
    exact, _ = threads_of(comment("a", at=0), comment("c", "a", at=9), comment("b", "a", at=5))
    assert ids(exact[0]) == ["a", "b", "c"]
    rough, _ = threads_of(
        comment("a", at=0),
        comment("c", "a", at=9, created_at_is_estimate=True),
        comment("b", "a", at=5),
    )
    assert ids(rough[0]) == ["a", "c", "b"]


def test_a_parent_stands_before_its_replies_whatever_the_file_says() -> None:
    threads, _ = threads_of(comment("c", "b", at=1), comment("b", "a", at=2), comment("a", at=3))
    assert ids(threads[0]) == ["a", "b", "c"]


def test_deleted_comment_keeps_its_place() -> None:
    threads, _ = threads_of(comment("a", text=""), comment("b", "a"))
    assert [turn.text for turn in threads[0].turns] == ["", "testo b"]


def test_completeness_compares_with_what_the_platform_declares() -> None:
    threads, report = threads_of(
        comment("a", declared_replies=2),
        comment("b", "a"),
        comment("c"),
        comment("d", declared_replies=0),
    )
    assert [thread.complete for thread in threads] == [False, None, True]
    assert report.n_incomplete == 1


@pytest.mark.parametrize(
    ("text", "staff"),
    [
        ("Ciao, sono Marco dello staff di Giulia, scrivici il numero d'ordine", True),
        ("Siamo il team di Giulia, ti rispondiamo in privato", True),
        ("Grazie per averci scritto! Lo staff di Giulia", True),
        ("Io e il mio staff siamo stanchissimi oggi", False),
        ("sono Marco e adoro i gatti", False),
        ("che bello lavorare in team", False),
    ],
)
def test_staff_signatures(text: str, staff: bool) -> None:
    assert staff_rule().signs(text) is staff
    threads, _ = threads_of(comment("a", author_name="giulia", text=text))
    assert threads[0].turns[0].role is (Role.STAFF if staff else Role.CREATOR)


def test_a_follower_who_signs_as_staff_stays_a_follower() -> None:
    threads, _ = threads_of(comment("a", text="sono Marco dello staff di Giulia"))
    assert threads[0].turns[0].role is Role.FOLLOWER


def test_each_creator_is_one_only_under_their_own_posts() -> None:
    other = Post(id="Q", creator_id="paola")
    threads, _ = build(
        [comment("a", author_name="paola"), comment("b", author_name="paola", post=other)],
        format="test",
        creator=CreatorRule(hints={"giulia": "hint", "paola": "hint"}, several=True),
    )
    assert [thread.turns[0].role for thread in threads] == [Role.FOLLOWER, Role.CREATOR]


def test_building_is_linear() -> None:
    """A chain of replies, as many cycles, and as many duplicates, of 100,000 comments in all."""
    n = 30_000
    chain = [comment(f"c{i}", None if i == 0 else f"c{i - 1}") for i in range(n)]
    cycles = [comment(f"x{i}", f"x{i ^ 1}") for i in range(n)]
    started = time.process_time()
    threads, report = threads_of(*chain, *cycles, *chain)
    assert time.process_time() - started < 20
    assert report.n_cycles == n // 2 and report.n_duplicates == n
    assert max(thread.n_turns for thread in threads) == n
