"""The command line, as a process: files, pipes, exit codes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from conftest import EXPORTS

FLAT = str(EXPORTS / "ytdlp/flat.info.json")
RECORDS = str(EXPORTS / "record/threads.jsonl")


def run(*args: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """stdout and stderr of a command that must end with ``code``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "intimacy", *args], input=stdin, capture_output=True
    )
    err = done.stderr.decode()
    assert done.returncode == code, err
    assert "Traceback" not in err
    return done.stdout, err


def lines(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def test_import_classify_profile_through_files(tmp_path: Path) -> None:
    threads, out, page = (str(tmp_path / n) for n in ("t.jsonl", "p.jsonl", "profile.html"))
    _, err = run("import", FLAT, "-o", threads)
    assert "5 rows → 3 threads" in err
    run("classify", threads, "-o", out)
    text, err = run("profile", out, "--html", page)
    assert text.decode().startswith("UC0000000000000000000001: < 5 threads")
    assert "stima, non misura certa" in Path(page).read_text("utf-8")


def test_the_same_through_pipes() -> None:
    threads, _ = run("import", FLAT)
    predictions, _ = run("classify", "-", stdin=threads)
    data, _ = run("profile", "-", "--format", "json", stdin=predictions)
    (found,) = json.loads(data)
    assert found["n_threads"] is None and "n_threads" in found["suppressed"], "three of them"


def test_classify_takes_any_export_and_keeps_the_order() -> None:
    data, _ = run("classify", FLAT)
    found = lines(data)
    assert [line["thread_id"] for line in found] == ["UgA", "UgB", "UgC"]
    for line in found:
        assert {"thread_id", "label", "scores", "reason"} <= set(line)
    assert b"codice sconto" not in data, "no text of a comment comes out"
    export = Path(FLAT).read_bytes()
    assert [x["scores"] for x in lines(run("classify", "-", stdin=export)[0])] == [
        x["scores"] for x in found
    ]


def test_one_line_out_for_every_record_duplicates_included() -> None:
    found = lines(run("classify", RECORDS)[0])
    assert [line["thread_id"] for line in found] == ["r1", "r2", "r1"]


BROKEN = (
    b'{"id": "a", "turns": [{"role": "follower", "text": "ciao"}]}\n'
    b'{"id": "b", "turns": [\n'
    b'{"id": "c", "turns": [{"role": "follower", "text": "grazie"}]}\n'
)


def test_a_broken_line_stops_after_the_earlier_lines(tmp_path: Path) -> None:
    source, out = tmp_path / "t.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(BROKEN)
    _, err = run("classify", str(source), "-o", str(out), code=1)
    assert "t.jsonl:2: not JSON" in err and len(err.strip().splitlines()) == 2
    assert not out.exists(), "what is not whole is not there"
    partial = tmp_path / "out.jsonl.partial"
    assert str(partial) in err
    assert [line["thread_id"] for line in lines(partial.read_bytes())] == ["a"]


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("earlier")
    run("classify", str(tmp_path / "typo.jsonl"), "-o", str(out), code=1)
    assert out.read_text() == "earlier" and list(tmp_path.iterdir()) == [out]
    own = tmp_path / "own.jsonl"
    own.write_bytes(Path(RECORDS).read_bytes())
    run("classify", str(own), "-o", str(own))
    assert lines(own.read_bytes())[0]["scores"], "read before it was replaced"
    _, err = run("profile", str(own), "--html", str(own), code=1)
    assert "name another file" in err


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    link.symlink_to(page)
    run("profile", "-", "--html", str(link), stdin=run("classify", FLAT)[0])
    assert link.is_symlink() and "stima, non misura certa" in page.read_text("utf-8")


def test_broken_lines_can_be_skipped() -> None:
    data, err = run("classify", "-", "--on-error", "skip", stdin=BROKEN)
    assert [line["thread_id"] for line in lines(data)] == ["a", "c"]
    assert "1 broken lines skipped" in err


def test_the_first_line_may_be_the_broken_one() -> None:
    data, err = run("classify", "-", "--on-error", "skip", stdin=b'{"id": \n' + BROKEN)
    assert [line["thread_id"] for line in lines(data)] == ["a", "c"]
    assert "stdin>:1: not JSON" in err and "2 broken lines skipped" in err


def test_wrong_data_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_bytes(b"")
    for args in (
        ("classify", str(empty)),
        ("classify", str(tmp_path)),
        ("classify", str(tmp_path / "no.json")),
        ("import", str(EXPORTS / "apify_tiktok/short_link.json")),
        ("profile", FLAT),
        ("profile", os.devnull),
        ("model", "verify", str(tmp_path)),
        ("classify", FLAT, "-o", str(tmp_path / "no" / "out.jsonl")),
        ("train", str(empty), "-o", str(tmp_path / "m"), "--encoder", "x"),
    ):
        out, err = run(*args, code=1)
        assert out == b"" and err.startswith("intimacy: ") and len(err.splitlines()) == 1, args


def test_a_full_disk_is_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        return
    _, err = run("classify", FLAT, "-o", str(full), code=1)
    assert err.splitlines()[-1] == "intimacy: cannot go on: No space left on device"


def test_an_interrupted_run_keeps_what_it_wrote(tmp_path: Path) -> None:
    source, out = tmp_path / "t.jsonl", tmp_path / "out.jsonl"
    partial = tmp_path / "out.jsonl.partial"
    source.write_bytes(Path(RECORDS).read_bytes() * 20_000)
    command = [sys.executable, "-m", "intimacy", "classify", str(source), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, restore_signals=True) as process:
        while not (partial.exists() and partial.stat().st_size > 100_000):
            assert process.poll() is None, "it ended before it was interrupted"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = process.stderr.read().decode()
        assert process.wait(timeout=30) == 1 and "Traceback" not in err
    whole = partial.read_bytes().rpartition(b"\n")[0]
    assert len(lines(whole)) > 100


def test_wrong_usage_is_exit_code_2() -> None:
    for args in (
        ("classify",),
        ("classify", FLAT, "--creator", "x", "--no-creator"),
        ("classify", FLAT, "--column", "text"),
        ("profile", FLAT, "--format", "xml"),
        ("nonsense",),
    ):
        run(*args, code=2)


def test_creator_columns_and_post_reach_the_importer() -> None:
    table = str(EXPORTS / "table/comma.csv")
    data, _ = run(
        "import", table, "--creator", "giulia", "--post-id", "P", "--column", "text=author"
    )
    assert lines(data)[0]["turns"][1] == {  # type: ignore[index]
        "role": "creator",
        "text": "giulia",
        "id": "2",
        "author_id": "giulia",
        "created_at": "2026-03-01T11:00:00+00:00",
        "parent_id": "1",
    }
    data, _ = run("import", table, "--no-creator")
    assert {turn["role"] for line in lines(data) for turn in line["turns"]} == {"follower"}  # type: ignore[attr-defined]


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    first, err = run("import", FLAT, "--key-file", str(key))
    assert "made a key" in err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    second, err = run("import", FLAT, "--key-file", str(key))
    assert first == second and "made a key" not in err and "cannot be merged" not in err
    other, err = run("import", FLAT)
    assert other != first and "cannot be merged by follower" in err


def test_profile_formats() -> None:
    predictions, _ = run("classify", FLAT)
    table, _ = run("profile", "-", "--format", "csv", stdin=predictions)
    assert table.decode().startswith("creator_id,kind,name,estimate")


def test_model_commands() -> None:
    out, _ = run("model", "verify")
    assert b"files intact, network runs" in out
    path = Path(run("model", "path")[0].decode().strip())
    assert (path / "model.onnx").is_file()
    assert json.loads(run("model", "show")[0])["heads"]["label"][0] == "commercial"


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    import shutil

    source = Path(run("model", "path")[0].decode().strip())
    copy = tmp_path / "m"
    shutil.copytree(source, copy)
    with (copy / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    _, err = run("model", "verify", str(copy), code=1)
    assert "model.safetensors" in err and "the manifest says" in err
    (copy / "model.onnx").write_bytes(b"broken")
    _, err = run("classify", FLAT, "--model", str(copy), code=1)
    assert "not a network that can be run" in err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_bytes(Path(RECORDS).read_bytes() * 1_000)
    with subprocess.Popen(
        [sys.executable, "-m", "intimacy", "classify", str(many)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait(timeout=60) == 0 and "Traceback" not in err


def test_corpus_check_reports_and_exits_by_what_it_found(tmp_path: Path) -> None:
    out, _ = run("corpus", "check")
    assert b"malformed records: 0" in out and b"leaks between splits: 0" in out
    path = tmp_path / "c.jsonl"
    line = {"id": "a", "turns": [{"role": "follower", "text": "segreto"}], "label": "interactive"}
    path.write_text(json.dumps(line) + "\n{broken\n")
    out, _ = run("corpus", "check", str(path), "--format", "json", code=1)
    report = json.loads(out)
    assert report["n_threads"] == 1 and len(report["errors"]) == 1 and report["sound"] is False
    assert b"segreto" not in out
    _, err = run("corpus", "check", str(tmp_path / "no.jsonl"), code=1)
    assert "cannot be read" in err
    _, err = run("corpus", "check", str(tmp_path), "--text-root", str(tmp_path / "no"), code=1)
    assert "is not a folder" in err
