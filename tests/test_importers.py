"""Every export format, from fixtures in the exact shape that each exporter writes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from conftest import EXPORTS

import intimacy
from intimacy.errors import (
    CreatorUnknownError,
    RecordError,
    RoleError,
    SourceError,
    UnknownFormatError,
    UnsupportedExportError,
)
from intimacy.importers import FORMATS, sniff
from intimacy.schema import ImportReport, Thread

KEY = b"0123456789abcdef0123456789abcdef"
GIULIA = "UC0000000000000000000001"

FILES = {
    "ytdlp/flat.info.json": "ytdlp",
    "ytdlp/tree.info.json": "ytdlp",
    "ytdlp/bare.json": "ytdlp",
    "ytdlp/disabled.info.json": "ytdlp",
    "ytdlp/interrupted.info.json": "ytdlp",
    "youtube_data_api/threads.json": "youtube_data_api",
    "youtube_data_api/comments.json": "youtube_data_api",
    "youtube_data_api/pages.json": "youtube_data_api",
    "youtube_data_tools/videoinfo_comments.tab": "youtube_data_tools",
    "youtube_comment_downloader/comments.jsonl": "youtube_comment_downloader",
    "instaloader/giuliaesempio/2026-03-01_21-20-00_UTC_comments.json": "instaloader",
    "instagram_graph_api/comments.json": "instagram_graph_api",
    "instagram_graph_api/webhook.json": "instagram_graph_api",
    "instagram_takeout/post_comments_1.json": "instagram_takeout",
    "apify_instagram/dataset.json": "apify_instagram",
    "apify_instagram/old_flat.json": "apify_instagram",
    "apify_tiktok/dataset.json": "apify_tiktok",
    "apify_youtube/dataset.json": "apify_youtube",
    "tiktok_research_api/comments.json": "tiktok_research_api",
    "tiktok_web/comments.json": "tiktok_web",
    "convokit/corpus/utterances.jsonl": "convokit",
    "convokit/corpus": "convokit",
    "table/comma.csv": "table",
    "table/excel.csv": "table",
    "table/cp1252.csv": "table",
    "table/roles.jsonl": "table",
    "record/threads.jsonl": "record",
}


def read(name: str, **options: object) -> tuple[list[Thread], ImportReport]:
    options.setdefault("key", KEY)
    return intimacy.read_export(EXPORTS / name, **options)  # type: ignore[arg-type]


def shape(threads: list[Thread]) -> list[list[str]]:
    return [[str(turn.role) for turn in thread.turns] for thread in threads]


def words(thread: Thread) -> list[str]:
    return [turn.text for turn in thread.turns]


@pytest.mark.parametrize(("name", "expected"), FILES.items())
def test_format_is_recognised_by_content(name: str, expected: str) -> None:
    assert sniff(EXPORTS / name) == expected


def test_every_format_has_a_fixture() -> None:
    assert set(FILES.values()) == set(FORMATS)


def test_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    copy = tmp_path / "export.txt"
    copy.write_bytes((EXPORTS / "apify_tiktok/dataset.json").read_bytes())
    assert sniff(copy) == "apify_tiktok"


# -- yt-dlp


def test_ytdlp_flat() -> None:
    threads, report = read("ytdlp/flat.info.json")
    assert shape(threads) == [["follower", "creator", "follower"], ["follower"], ["staff"]]
    first = threads[0]
    assert first.post.id == "AbCdEfGhIjK"
    assert first.post.creator_id == GIULIA
    assert first.post.platform == "youtube"
    assert first.post.text is not None and first.post.text.startswith("La mia skincare")
    assert first.post.published_at == datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert first.turns[0].creator_liked is True
    assert first.turns[0].likes == 3
    assert first.turns[0].created_at_is_estimate
    assert report.role_source == {"flag": 2}
    assert report.n_rows == 5 and report.n_threads == 3


def test_ytdlp_tree_keeps_replies_under_their_root() -> None:
    threads, _ = read("ytdlp/tree.info.json")
    assert shape(threads) == [["follower", "creator", "follower", "follower"]]
    assert [turn.parent_id for turn in threads[0].turns] == [None, "UgT", "UgT.1", "UgT.2"]


def test_ytdlp_bare_list_keeps_the_flags() -> None:
    threads, report = read("ytdlp/bare.json")
    assert shape(threads)[0] == ["follower", "creator", "follower"]
    assert any("bare comment list" in note for note in report.notes)


def test_ytdlp_says_that_comments_are_disabled_or_the_download_stopped() -> None:
    nothing, report = read("ytdlp/disabled.info.json")
    assert nothing == [] and "switched off" in report.notes[0]
    some, report = read("ytdlp/interrupted.info.json")
    assert len(some) == 1 and "interrupted" in report.notes[0]


def test_ytdlp_playlist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.info.json"
    path.write_text('{"_type": "playlist", "extractor": "youtube", "id": "PL"}')
    with pytest.raises(UnsupportedExportError, match="describes a playlist"):
        intimacy.read_export(path)


# -- the other YouTube exporters


def test_data_api_threads() -> None:
    threads, report = read("youtube_data_api/threads.json")
    assert words(threads[0]) == ["Dove l'hai presa?\nBellissima", "Link in bio & codice GIULIA10"]
    assert shape(threads) == [["follower", "creator"], ["follower"]]
    assert threads[0].complete is False, "7 replies declared, 1 fetched"
    assert threads[1].complete is True
    assert report.n_incomplete == 1
    assert report.role_source == {"channelId": 1}
    assert read("youtube_data_api/pages.json")[0] == threads


def test_data_api_comments_adopt_the_video_of_their_parent() -> None:
    threads, report = read("youtube_data_api/comments.json")
    assert shape(threads) == [["follower", "creator"]]
    assert threads[0].post.id == "AbCdEfGhIjK"
    assert report.n_skipped == 1, "held back by moderation"


def test_data_tools_needs_the_creator_and_unescapes_html() -> None:
    name = "youtube_data_tools/videoinfo_comments.tab"
    with pytest.raises(CreatorUnknownError, match="creator="):
        read(name)
    threads, _ = read(name, creator=GIULIA)
    assert words(threads[0])[0] == "Quant'è costata? tanto immagino"
    assert shape(threads) == [["follower", "creator"]]


def test_comment_downloader() -> None:
    threads, report = read("youtube_comment_downloader/comments.jsonl", creator="@GiuliaEsempio")
    assert shape(threads) == [["follower", "creator"], ["follower"]]
    assert threads[0].turns[0].likes == 1200
    assert threads[0].turns[0].creator_liked is True
    assert [thread.complete for thread in threads] == [True, False]
    assert report.role_source == {"creator=": 1}


# -- Instagram


def test_instaloader_is_sorted_and_finds_the_owner_beside_it() -> None:
    threads, report = read("instaloader/giuliaesempio/2026-03-01_21-20-00_UTC_comments.json")
    assert shape(threads) == [["follower", "creator", "follower"], ["follower"]]
    assert [turn.created_at for turn in threads[0].turns] == sorted(
        turn.created_at for turn in threads[0].turns if turn.created_at
    )
    assert threads[0].post.text == "ieri è stata lunga"
    assert report.role_source == {"sibling_file": 1}
    compressed = read("instaloader/compresso/2026-03-01_21-20-00_UTC_comments.json")
    assert compressed[0] == threads


def test_instaloader_without_sibling_takes_the_folder_and_says_so() -> None:
    _, report = read("instaloader/senza_post/2026-03-02_08-00-00_UTC_comments.json")
    assert any("senza_post" in note for note in report.notes)


def test_graph_api_and_webhooks() -> None:
    threads, report = read("instagram_graph_api/comments.json")
    assert shape(threads) == [["follower", "creator"]]
    assert report.role_source == {"flag": 1}
    assert shape(read("instagram_graph_api/webhook.json")[0]) == [["follower", "creator"]]


def test_apify_instagram_keeps_posts_apart() -> None:
    threads, _ = read("apify_instagram/dataset.json", creator="giuliaesempio")
    assert shape(threads) == [["follower", "creator"], ["follower"]]
    assert len({thread.post.id for thread in threads}) == 2
    assert threads[0].complete is False
    assert read("apify_instagram/old_flat.json", creator=None)[0][0].post.id == "P5"


def test_takeout_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedExportError, match="only the account's own"):
        read("instagram_takeout/post_comments_1.json")


# -- TikTok and Apify YouTube


def test_apify_tiktok_reads_the_handle_in_the_address() -> None:
    threads, report = read("apify_tiktok/dataset.json")
    assert shape(threads) == [["follower", "creator"]]
    assert threads[0].turns[0].creator_liked is True
    assert report.role_source == {"video_url": 1}
    with pytest.raises(CreatorUnknownError, match="short link"):
        read("apify_tiktok/short_link.json")


def test_tiktok_research_api_says_what_is_missing() -> None:
    name = "tiktok_research_api/comments.json"
    with pytest.raises(UnsupportedExportError, match=r"no author field.*roles="):
        read(name)
    assert shape(read(name, roles={"2": "creator"})[0]) == [["follower", "creator"]]
    assert shape(read(name, creator=None)[0]) == [["follower", "follower"]]


def test_tiktok_web() -> None:
    threads, _ = read("tiktok_web/comments.json", creator="90")
    assert shape(threads) == [["follower", "creator"]]


def test_apify_youtube() -> None:
    threads, _ = read("apify_youtube/dataset.json")
    assert shape(threads) == [["follower", "creator"]]
    assert threads[0].post.text == "La mia skincare invernale"


# -- ConvoKit, tables, frames, records


def test_convokit_by_folder_or_file() -> None:
    threads, report = read("convokit/corpus")
    assert shape(threads) == [["follower", "creator"]]
    assert read("convokit/corpus/utterances.jsonl")[0] == threads
    assert report.role_source == {"roles": 1}


@pytest.mark.parametrize("name", ["table/excel.csv", "table/cp1252.csv"])
def test_csv_as_excel_writes_it(name: str) -> None:
    threads, report = read(name, creator="giulia")
    assert shape(threads) == [["follower", "creator"]]
    assert threads[0].turns[1].text.endswith(("è vero", "è lino"))
    assert threads[0].turns[1].created_at == datetime(2026, 3, 1, 11, 30, tzinfo=timezone.utc)
    assert ("cp1252" in name) == any("cp1252" in note for note in report.notes)


def test_table_with_roles_and_thread_ids() -> None:
    threads, _ = read("table/roles.jsonl")
    assert shape(threads) == [["follower", "creator"], ["follower"]]


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, list], ids=["pandas", "polars", "list"]
)
def test_frames_with_a_column_map(make: type) -> None:
    rows = [
        {"chi": "influencer", "cosa": "eccomi", "filo": 1},
        {"chi": "fan", "cosa": "ciao", "filo": 1},
    ]
    threads, _ = intimacy.read_export(
        make(rows),
        columns={"text": "cosa", "role": "chi", "thread_id": "filo"},
        roles={"influencer": "creator", "fan": "follower"},
    )
    assert shape(threads) == [["creator", "follower"]]


def test_frame_with_missing_values() -> None:
    frame = pd.DataFrame(
        {"id": [1, 2], "parent_id": [None, 1.0], "text": ["a", None], "author": ["x", "y"]}
    )
    threads, _ = intimacy.read_export(frame, creator="y")
    assert shape(threads) == [["follower", "creator"]]
    assert threads[0].turns[1].text == "", "a deleted comment keeps its place"


def test_table_errors_name_what_is_there() -> None:
    with pytest.raises(UnknownFormatError, match=r"found: a, b.*columns="):
        intimacy.read_export([{"a": 1, "b": 2}], format="table")
    with pytest.raises(UnknownFormatError, match="'testo', which is not there; found: a"):
        intimacy.read_export([{"a": 1}], columns={"text": "testo"})
    with pytest.raises(UnknownFormatError, match="field 'txt'"):
        intimacy.read_export([{"a": 1}], columns={"txt": "a"})
    with pytest.raises(RoleError, match=r"row 1 has role 'influencer'.*roles="):
        intimacy.read_export([{"text": "a", "role": "influencer"}])


def test_record_file_is_read_as_it_stands() -> None:
    threads, report = read("record/threads.jsonl")
    assert [thread.id for thread in threads] == ["r1", "r2", "r1"], "duplicates are kept"
    assert report.format == "record"


# -- arguments that all formats share


def test_creator_none_makes_everybody_a_follower() -> None:
    threads, _ = read("ytdlp/flat.info.json", creator=None)
    assert {role for thread in shape(threads) for role in thread} == {"follower"}
    assert threads[0].post.creator_id is None


def test_named_creator_overrides_the_flags() -> None:
    threads, _ = read("ytdlp/flat.info.json", creator="@marta.prova")
    assert shape(threads)[0] == ["creator", "follower", "creator"]


def test_named_creator_who_wrote_nothing_is_noted() -> None:
    _, report = read("ytdlp/flat.info.json", creator="@nessuno")
    assert any("wrote none of the 5" in note for note in report.notes)


def test_one_creator_named_for_the_posts_of_several_is_noted() -> None:
    rows = [{"id": str(n), "text": "ciao", "author": "x", "creator": f"@c{n}"} for n in range(3)]
    _, report = intimacy.read_export(rows, creator="@c1")
    assert any("posts are of 3 creators, and creator= puts all" in note for note in report.notes)
    threads, report = intimacy.read_export(rows[:1], creator="@c0")
    assert not any("puts all" in note for note in report.notes)
    threads, report = intimacy.read_export(rows)
    assert [thread.post.creator_id for thread in threads] == ["@c0", "@c1", "@c2"]
    assert not any("puts all" in note for note in report.notes)


def test_roles_by_comment_id() -> None:
    threads, _ = read("ytdlp/flat.info.json", roles={"UgB": "staff"})
    assert shape(threads)[1] == ["staff"]
    with pytest.raises(RoleError, match="expected one of"):
        read("ytdlp/flat.info.json", roles={"UgB": "boss"})


def test_format_and_post_id_can_be_given() -> None:
    threads, _ = read("table/comma.csv", format="table", creator="giulia", post_id="P")
    assert threads[0].post.id == "P"
    with pytest.raises(UnknownFormatError, match="format='xls'"):
        read("table/comma.csv", format="xls")


def test_wrong_format_is_a_source_error() -> None:
    threads, report = read("ytdlp/bare.json", format="youtube_comment_downloader", creator=None)
    assert report.format == "youtube_comment_downloader" and len(threads) == 5


# -- pseudonyms


def test_followers_become_pseudonyms_that_differ_between_creators() -> None:
    one, report = read("ytdlp/flat.info.json")
    again, _ = read("ytdlp/flat.info.json")
    other, _ = read("ytdlp/flat.info.json", creator="UC_somebody_else")
    marta = one[0].turns[0].author_id
    assert marta is not None and "marta" not in marta and len(marta) == 20
    assert marta == one[0].turns[2].author_id == again[0].turns[0].author_id
    assert marta != other[0].turns[0].author_id
    assert one[0].turns[1].author_id == GIULIA
    assert report.mergeable


def test_without_a_key_pseudonyms_change_and_the_report_says_so() -> None:
    one, report = read("ytdlp/flat.info.json", key=None)
    two, _ = read("ytdlp/flat.info.json", key=None)
    assert one[0].turns[0].author_id != two[0].turns[0].author_id
    assert not report.mergeable
    assert any("cannot be merged by follower" in note for note in report.notes)


def test_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        read("ytdlp/flat.info.json", key=b"segreto")


def test_follower_handles_are_masked_in_texts_the_creators_stay() -> None:
    threads, _ = read("ytdlp/flat.info.json")
    assert threads[0].turns[2].text.startswith("@giuliaesempio")
    reply = read("apify_instagram/dataset.json", creator="giuliaesempio")[0][0].turns[1]
    assert reply.text == "@utente ti abbraccio forte"
    raw = read("apify_instagram/dataset.json", creator="giuliaesempio", mask_pii=False)[0][0]
    assert raw.turns[1].text == "@f7 ti abbraccio forte"


# -- bad files


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "export.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b'[{"id": "a", "text": "b"', "breaks off at byte 24"),
        (b'{"a": 1, }', "byte 9"),
        (b'{"text": "a\x00b"}', "byte 11 is a null byte"),
        (b'{"text": "\xff\xfe"}', "byte 10 is not UTF-8"),
        (b"PK\x03\x04rest", "ZIP or Excel"),
        (b"\x1f\x8brest", "gzip"),
        (b"[" * 100_000, "too deep"),
        (b'{"a":' * 100_000, "too deep"),
        (b"solo una riga", "neither JSON nor a table"),
        (b"[]", "no known export"),
        (b'{"id": 1}\n{"id": 2,}\n', r"export\.json:2: not JSON"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        intimacy.read_export(write(tmp_path, data))
    assert "export.json" in str(caught.value)


def test_utf16_is_read(tmp_path: Path) -> None:
    text = (EXPORTS / "table/comma.csv").read_text("utf-8")
    threads, _ = intimacy.read_export(write(tmp_path, text.encode("utf-16")), creator="giulia")
    assert len(threads) == 2


def test_missing_folder_and_forbidden_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        intimacy.read_export(tmp_path / "no.json")
    with pytest.raises(SourceError, match="is a folder"):
        intimacy.read_export(tmp_path)
    path = write(tmp_path, b"[]")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(SourceError, match="no permission"):
        intimacy.read_export(path)


def test_errors_never_quote_comments(tmp_path: Path) -> None:
    path = write(tmp_path, b'[{"id": "a", "parent": "root", "text": "segretissimo", "author_is_upl')
    with pytest.raises(SourceError) as caught:
        intimacy.read_export(path)
    assert "segretissimo" not in str(caught.value)


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith((".json", ".jsonl"))])
def test_wrong_types_in_any_field_never_crash(name: str, tmp_path: Path) -> None:
    """Each leaf of each export is replaced in turn by a value of another type."""
    raw = (EXPORTS / name).read_text("utf-8")
    lines = name.endswith(".jsonl")
    source = [json.loads(line) for line in raw.splitlines()] if lines else json.loads(raw)
    n_leaves = sum(1 for _ in leaves(source))
    for number in range(n_leaves):
        for odd in (None, 3, [1], {"a": 1}, True, "x"):
            value = json.loads(json.dumps(source))
            place = list(leaves(value))[number]
            place[0][place[1]] = odd
            text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value)
            with suppress(SourceError, RecordError, RoleError):
                intimacy.read_export(write(tmp_path, text.encode()), creator="x", key=KEY)


def leaves(value: object) -> list[tuple[object, object]]:
    """(container, key) of every plain value inside ``value``."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[call-overload]
    out: list[tuple[object, object]] = []
    for key, inner in list(pairs):
        if isinstance(inner, (dict, list)):
            out += leaves(inner)
        else:
            out.append((value, key))
    return out
