"""Label Studio itself: installed, started, filled, answered and exported through its API.

Runs where a network can install it (about four minutes, kept in a cache folder), or where
``INTIMACY_LABEL_STUDIO`` names its executable.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import thread

import intimacy
from intimacy import labelling

pytestmark = pytest.mark.slow

VERSION = "1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
ANNA = "anna@example.org"
THREADS = [
    thread(
        ("follower", "Il codice sconto vale ancora? 🔥\n\tfatemi sapere"),
        ("creator", "Sì, fino a domenica! ❤️"),
        caption="Nuova crema",
        id="UgA",
    ),
    thread(("follower", "🔥🔥🔥"), id="UgB"),
    thread(("follower", "Come stai?"), ("creator", "Ieri ho pianto tutto il giorno"), id="UgC"),
    thread(("follower", "guadagna 500€ al giorno"), id="UgD"),
]


def executable() -> Path:
    """Label Studio's, installed into a cache folder where nobody names one."""
    named = os.environ.get("INTIMACY_LABEL_STUDIO")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "intimacy-tests" / f"label-studio-{VERSION}"
    found = home / "bin" / "label-studio"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        done = subprocess.run([*pip, f"label-studio=={VERSION}"], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"label-studio {VERSION} cannot be installed: {done.stderr[-300:]}")
    return found


class Server:
    """A Label Studio of its own: a port of this machine, a folder, a user."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            data = answer.read()
        return json.loads(data) if data[:1] in (b"{", b"[") else data


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("label-studio")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = executable()
    command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1"]
    command += ["--port", str(port), "--data-dir", home, "--username", ANNA]
    command += ["--password", "segreta-123", "--user-token", TOKEN]
    env = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DJANGO_DB": "sqlite",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=home)
    found = Server(port)
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail((home / "log").read_text("utf-8")[-2000:])
            try:
                found.ask("GET", "/api/version")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(2)
        else:
            pytest.fail("Label Studio did not start within ten minutes")
        yield found
    finally:
        process.terminate()
        process.wait(timeout=60)


def choice(name: str, word: str) -> dict[str, Any]:
    value = {"choices": [word]}
    return {"from_name": name, "to_name": "thread", "type": "choices", "value": value}


EVIDENCE = {
    "from_name": "evidence",
    "to_name": "thread",
    "type": "paragraphlabels",
    "value": {
        # The second line of the second paragraph; an emoji counts as two in a browser.
        "start": "1",
        "end": "1",
        "startOffset": 34,
        "endOffset": 47,
        "text": "fatemi sapere",
        "paragraphlabels": ["evidence"],
    },
}


def test_a_round_through_label_studio(server: Server, tmp_path: Path) -> None:
    config = labelling.label_config("label-studio", attributes=True)
    project = server.ask("POST", "/api/projects", {"title": "giro", "label_config": config})["id"]
    tasks = intimacy.export_for("label-studio", THREADS, attributes=True)
    imported = server.ask("POST", f"/api/projects/{project}/import", tasks)
    assert imported["task_count"] == len(THREADS)
    assert imported["prediction_count"] == sum("predictions" in task for task in tasks) > 0

    me = server.ask("GET", "/api/current-user/whoami")["id"]
    bruno = server.ask("POST", "/api/users/", {"email": "bruno@example.org", "username": "bruno"})[
        "id"
    ]
    numbers = {
        task["data"]["thread_id"]: task["id"]
        for task in server.ask("GET", f"/api/tasks?project={project}&page_size=100")["tasks"]
    }

    def annotate(who: int, name: str, *result: dict[str, Any], **more: Any) -> None:
        body = {"result": list(result), "completed_by": who, **more}
        server.ask("POST", f"/api/tasks/{numbers[name]}/annotations/", body)

    depth = choice("disclosure_depth", "0")
    annotate(me, "UgA", choice("intimacy", "commercial"), EVIDENCE, depth)
    annotate(bruno, "UgA", choice("intimacy", "commercial"), choice("secondary", "reciprocal"))
    annotate(me, "UgB", choice("intimacy", "interactive"))
    annotate(bruno, "UgB", choice("intimacy", "unsure"))
    annotate(me, "UgC", choice("intimacy", "disclosive"))
    annotate(bruno, "UgC", choice("intimacy", "reciprocal"))
    annotate(me, "UgD", choice("intimacy", "out_of_scope"))
    annotate(bruno, "UgD", choice("intimacy", "commercial"), was_cancelled=True)
    server.ask(
        "POST",
        f"/api/tasks/{numbers['UgD']}/drafts",
        {"result": [choice("intimacy", "commercial")]},
    )

    found = {}
    for kind, suffix in (("JSON", "json"), ("JSON_MIN", "json"), ("CSV", "csv")):
        data = server.ask("GET", f"/api/projects/{project}/export?exportType={kind}")
        path = tmp_path / f"{kind}.{suffix}"
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        found[kind] = intimacy.read_annotations(path)

    for kind, read in found.items():
        assert [item.thread.id for item in read.threads] == ["UgA", "UgB", "UgD"], kind
        assert [item.thread for item in read.threads] == [THREADS[i] for i in (0, 1, 3)], kind
        assert [item.label for item in read.threads] == ["commercial", "interactive", None], kind
        assert read.threads[0].secondary == "reciprocal", kind
        assert read.threads[0].attributes["disclosure_depth"] == 0, kind
        span = read.threads[0].votes[0]["evidence"][0]
        text = THREADS[0].turns[span["turn"]].text
        assert text[span["start"] : span["end"]] == "fatemi sapere", kind
        assert [item.thread.id for item in read.queue] == ["UgC"], kind
        assert read.report.excluded["unsure"] == 1, kind
        assert sum(read.report.annotators.values()) == 6, kind
    whole = found["JSON"].report
    assert whole.excluded["cancelled"] == 1 and whole.excluded["draft"] == 1

    queue = tmp_path / "queue.json"
    assert found["JSON"].write_queue(queue) == 1
    second = server.ask("POST", "/api/projects", {"title": "terzo", "label_config": config})["id"]
    server.ask("POST", f"/api/projects/{second}/import", json.loads(queue.read_bytes()))
    (task,) = server.ask("GET", f"/api/tasks?project={second}")["tasks"]
    body = {"result": [choice("intimacy", "disclosive")]}
    server.ask("POST", f"/api/tasks/{task['id']}/annotations/", body)
    third = tmp_path / "third.json"
    data = server.ask("GET", f"/api/projects/{second}/export?exportType=JSON")
    third.write_bytes(json.dumps(data).encode())
    # The third was user 1 as well, who may not decide between themself and another.
    both = intimacy.read_annotations([tmp_path / "JSON.json", third])
    assert both.report.excluded["adjudicates an own vote"] == 1 and len(both.queue) == 1
