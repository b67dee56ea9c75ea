"""What is too big, too long or hostile: answered or refused within two gigabytes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run(*args: str, code: int = 0) -> tuple[bytes, str, float]:
    """stdout, stderr and peak memory in GB of a command in a process of its own."""
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "sys.stdout.buffer.write(done.stdout)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(f'peak {peak}', file=sys.stderr)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, sys.executable, "-m", "intimacy", *args],
        capture_output=True,
        timeout=500,
    )
    err = done.stderr.decode()
    assert done.returncode == code, err[-2000:]
    *lines, last = err.strip().splitlines()
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return done.stdout, "\n".join(lines), int(last.split()[1]) / unit


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid export of 200 MB on a single line."""
    path = tmp_path_factory.mktemp("huge") / "huge.info.json"
    filler = "parola sempre uguale " * 26
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"id": "V", "extractor": "youtube", "channel_id": "UC1", "comments": [')
        for i in range(290_000):
            row = {"id": f"c{i}", "parent": "root", "text": f"{i} {filler}", "author": f"@f{i}"}
            row |= {"author_id": f"UC{i:06d}", "author_is_uploader": False, "timestamp": i + 10**9}
            stream.write((", " if i else "") + json.dumps(row))
        stream.write('], "comment_count": 290000}')
    assert path.stat().st_size > 200e6
    return path


def test_an_export_of_200_megabytes_on_one_line(huge: Path, tmp_path: Path) -> None:
    out = tmp_path / "threads.jsonl"
    _, err, peak = run("import", str(huge), "-o", str(out))
    assert "290000 rows → 290000 threads" in err
    assert peak < 2.0
    with out.open("rb") as stream:
        assert sum(1 for _ in stream) == 290_000


def test_a_broken_one_names_the_byte(huge: Path, tmp_path: Path) -> None:
    data = bytearray(huge.read_bytes())
    at = data.index(b'"parent"', 150_000_000)
    data[at : at + 1] = b"!"
    broken = tmp_path / "broken.info.json"
    broken.write_bytes(data)
    _, err, peak = run("import", str(broken), code=1)
    assert f"byte {at}" in err and peak < 2.0
    broken.write_bytes(data[:100_000_000])
    _, err, peak = run("import", str(broken), code=1)
    assert "byte" in err and peak < 2.0


def test_ten_thousand_turns_in_one_thread(tmp_path: Path) -> None:
    turns = [{"role": "follower", "text": f"risposta numero {i}"} for i in range(10_000)]
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"id": "t", "turns": turns}) + "\n")
    out, _, peak = run("classify", str(path))
    found = json.loads(out)
    assert found["n_dropped_turns"] > 9_800 and peak < 2.0


def test_hostile_texts(tmp_path: Path) -> None:
    texts = [
        "a" * 3_000_000,
        "@" * 100_000,
        "@a" * 100_000,
        "http://" * 50_000,
        "1 " * 200_000,
        "<" * 100_000,
        "❤️" * 100_000,
        "\u202e\u200b\ufeff" * 10_000,
        "a.b@" * 50_000,
        "e\u0301" * 100_000,
    ]
    path = tmp_path / "t.jsonl"
    lines = [
        json.dumps({"id": str(i), "turns": [{"role": "follower", "text": text}]})
        for i, text in enumerate(texts)
    ]
    path.write_text("\n".join(lines))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    out, _, peak = run("classify", str(path))
    assert len(out.splitlines()) == len(texts) and peak < 2.0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60
