"""The annotation tools themselves: installed, started, filled, answered, exported and read.

Label Studio and doccano are served from a folder of their own on a port of this machine and
spoken to through their API; Argilla's SDK makes records without a server. Each is installed from
PyPI into a cache folder at its first run (minutes), unless a variable names an installation:
``INTIMACY_LABEL_STUDIO``, ``INTIMACY_DOCCANO`` and ``INTIMACY_ARGILLA``, each a virtual
environment. Where nothing can be installed the test is skipped.
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
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import thread

import intimacy
from intimacy import labelling

pytestmark = pytest.mark.tools

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PASSWORD = "segreta-123"
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
IDS = [item.id for item in THREADS]
CHOICES = [
    intimacy.Choice(
        thread_id=name, position=n, creator_id=None, by="random", score=0, probability=1 / 3
    )
    for n, name in enumerate(IDS)
]


def environment(variable: str, *requirements: str) -> Path:
    """A virtual environment with a tool, made in a cache folder where no variable names one."""
    if named := os.environ.get(variable):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "intimacy-tests" / requirements[0].replace("==", "-")
    done = home / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        made = subprocess.run([*pip, *requirements], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"{requirements[0]} cannot be installed: {made.stderr[-300:]}")
        done.touch()
    return home


class Server:
    """A tool that listens on a port of this machine."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.token = token

    def send(
        self, method: str, path: str, body: bytes | None, kind: str
    ) -> tuple[bytes, Mapping[str, str]]:
        headers = {"Content-Type": kind}
        if self.token is not None:
            headers["Authorization"] = f"Token {self.token}"
        request = urllib.request.Request(
            f"{self.address}{path}", method=method, data=body, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as exc:
            raise AssertionError(f"{method} {path}: {exc.code} {exc.read()[:500]!r}") from exc

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        data, _ = self.send(method, path, sent, "application/json")
        return json.loads(data) if data[:1] in (b"{", b"[", b'"') else data

    def upload(self, path: str, name: str, data: bytes) -> bytes:
        line = uuid.uuid4().hex
        head = f'Content-Disposition: form-data; name="{name}"; filename="file"\r\n\r\n'
        body = f"--{line}\r\n{head}".encode() + data + f"\r\n--{line}--\r\n".encode()
        return self.send("POST", path, body, f"multipart/form-data; boundary={line}")[0]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running(home: Path, env: Mapping[str, str], *commands: list[Any]) -> Iterator[None]:
    """Processes that end with the block."""
    with (home / "log").open("ab") as log:
        common: dict[str, Any] = {"env": env, "stdout": log, "stderr": log, "cwd": home}
        processes = [subprocess.Popen(command, **common) for command in commands]
    try:
        yield
    except AssertionError:
        print((home / "log").read_text("utf-8", "replace")[-3000:])
        raise
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


def patiently(ask: Callable[[], Any], minutes: int = 15) -> Any:
    """The first answer that is something."""
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except OSError:  # not yet listening, or too busy to answer
            pass
        time.sleep(1)
    raise AssertionError(f"no answer within {minutes} minutes")


def surroundings(venv: Path, home: Path, **more: str) -> dict[str, str]:
    path = f"{venv / 'bin'}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **more}


def expected(found: intimacy.Annotations, queue: list[str]) -> None:
    """What every tool must give back of the answers below."""
    assert [item.thread for item in found.threads] == [THREADS[i] for i in (0, 1, 3)]
    assert [item.label for item in found.threads] == ["commercial", "interactive", None]
    assert [item.thread.id for item in found.queue] == queue
    assert found.report.excluded["unsure"] == 1
    assert {(i.chosen_by, i.draw_probability) for i in found.threads} == {("random", 1 / 3)}


# -- Label Studio


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    venv = environment("INTIMACY_LABEL_STUDIO", "label-studio==1.23.2")
    home = tmp_path_factory.mktemp("label-studio")
    server = Server(free_port(), TOKEN)
    command = [venv / "bin" / "label-studio", "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", server.address.rpartition(":")[2]]
    command += ["--data-dir", home, "--username", "anna@example.org", "--password", PASSWORD]
    command += ["--user-token", TOKEN]
    env = surroundings(
        venv,
        home,
        DJANGO_DB="sqlite",
        COLLECT_ANALYTICS="false",
        LATEST_VERSION_CHECK="false",
        SENTRY_DSN="",
        LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN="true",
    )
    with running(home, env, command):
        patiently(lambda: server.ask("GET", "/api/version"))
        yield server


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


def test_a_round_through_label_studio(label_studio: Server, tmp_path: Path) -> None:
    server = label_studio
    config = labelling.label_config("label-studio", attributes=True)
    project = server.ask("POST", "/api/projects", {"title": "giro", "label_config": config})["id"]
    tasks = intimacy.export_for("label-studio", THREADS, choices=CHOICES, attributes=True)
    imported = server.ask("POST", f"/api/projects/{project}/import", tasks)
    assert imported["task_count"] == len(THREADS)
    assert imported["prediction_count"] == sum("predictions" in task for task in tasks) > 0

    anna = server.ask("GET", "/api/current-user/whoami")["id"]
    address = {"email": f"bruno{project}@example.org", "username": f"bruno{project}"}
    bruno = server.ask("POST", "/api/users/", address)["id"]

    def numbers(project: int) -> dict[str, int]:
        found = server.ask("GET", f"/api/tasks?project={project}&page_size=100")["tasks"]
        return {task["data"]["thread_id"]: task["id"] for task in found}

    def annotate(who: int, task: int, *result: dict[str, Any], **more: Any) -> None:
        body = {"result": list(result), "completed_by": who, **more}
        server.ask("POST", f"/api/tasks/{task}/annotations/", body)

    def exported(project: int, kind: str, path: Path) -> Path:
        data, _ = server.send(
            "GET", f"/api/projects/{project}/export?exportType={kind}", None, "application/json"
        )
        path.write_bytes(data)
        return path

    a, b, c, d = (numbers(project)[name] for name in IDS)
    depth = choice("disclosure_depth", "0")
    annotate(anna, a, choice("intimacy", "commercial"), EVIDENCE, depth)
    annotate(bruno, a, choice("intimacy", "commercial"), choice("secondary", "reciprocal"))
    annotate(anna, b, choice("intimacy", "interactive"))
    annotate(bruno, b, choice("intimacy", "unsure"))
    annotate(anna, c, choice("intimacy", "disclosive"))
    annotate(bruno, c, choice("intimacy", "reciprocal"))
    annotate(anna, d, choice("intimacy", "out_of_scope"))
    annotate(bruno, d, choice("intimacy", "commercial"), was_cancelled=True)
    draft = {"result": [choice("intimacy", "commercial")]}
    server.ask("POST", f"/api/tasks/{d}/drafts", draft)

    whole = exported(project, "JSON", tmp_path / "whole.json")
    for path in (
        whole,
        exported(project, "JSON_MIN", tmp_path / "min.json"),
        exported(project, "CSV", tmp_path / "table.csv"),
    ):
        read = intimacy.read_annotations(path)
        expected(read, ["UgC"])
        assert read.threads[0].secondary == "reciprocal"
        assert read.threads[0].attributes["disclosure_depth"] == 0
        span = read.threads[0].votes[0]["evidence"][0]
        assert THREADS[0].turns[span["turn"]].text[span["start"] : span["end"]] == "fatemi sapere"
        assert sum(read.report.annotators.values()) == 6
    found = intimacy.read_annotations(whole)
    assert found.report.excluded["cancelled"] == 1 and found.report.excluded["draft"] == 1

    queue = tmp_path / "queue.json"
    assert found.write_queue(queue) == 1
    second = server.ask("POST", "/api/projects", {"title": "terzo", "label_config": config})["id"]
    server.ask("POST", f"/api/projects/{second}/import", json.loads(queue.read_bytes()))
    (task,) = numbers(second).values()
    carla = {"email": f"carla{project}@example.org", "username": f"carla{project}"}
    annotate(server.ask("POST", "/api/users/", carla)["id"], task, choice("intimacy", "disclosive"))
    both = intimacy.read_annotations([whole, exported(second, "JSON", tmp_path / "third.json")])
    assert not both.queue and both.threads[2].label == "disclosive"
    assert both.threads[2].votes[-1]["adjudicates"]
    assert both.agreement() == found.agreement()


# -- doccano

# What it was made with; newer ones break it.
DOCCANO = ("doccano==1.8.4", "marshmallow<4", "numpy<2", "setuptools<81")
PROJECT = {
    "name": "giro",
    "description": "giro",
    "guideline": "",
    "project_type": "DocumentClassification",
    "resourcetype": "TextClassificationProject",
    "single_class_classification": True,
    "random_order": False,
    "tags": [],
}


@pytest.fixture(scope="module")
def doccano(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """doccano for two users."""
    venv = environment("INTIMACY_DOCCANO", *DOCCANO)
    home = tmp_path_factory.mktemp("doccano")
    (package,) = venv.glob("lib/python*/site-packages/backend")
    env = surroundings(
        venv,
        home,
        STANDALONE="True",
        DJANGO_SETTINGS_MODULE="config.settings.production",
        DATABASE_URL=f"sqlite:///{home}/db.sqlite3",
        MEDIA_ROOT=str(home / "media"),
        PYTHONPATH=str(package),
    )
    program = venv / "bin" / "doccano"
    setup: dict[str, Any] = {"env": env, "cwd": home, "check": True, "capture_output": True}
    subprocess.run([program, "init"], **setup)
    for name in ("anna", "bruno"):
        user = ["--username", name, "--password", PASSWORD, "--email", f"{name}@example.org"]
        subprocess.run([program, "createuser", *user], **setup)
    port = free_port()
    # Its own command would listen on every address of the machine.
    web = [venv / "bin" / "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    web += ["--threads", "2", "--chdir", package, "config.wsgi"]
    work = [venv / "bin" / "celery", "--app=config", f"--workdir={package}", "worker"]
    with running(home, env, web, [*work, "--concurrency=1", "--pool=solo"]):
        users = []
        for name in ("anna", "bruno"):
            body = {"username": name, "password": PASSWORD}
            nobody = Server(port)
            key = patiently(lambda: nobody.ask("POST", "/v1/auth/login/", body)["key"])  # noqa: B023
            users.append(Server(port, key))
        yield users[0], users[1]


@pytest.mark.parametrize("together", [False, True])
def test_a_round_through_doccano(
    doccano: tuple[Server, Server], tmp_path: Path, together: bool
) -> None:
    anna, bruno = doccano
    body = PROJECT | {"collaborative_annotation": together}
    at = f"/v1/projects/{anna.ask('POST', '/v1/projects', body)['id']}"
    users = {user["username"]: user["id"] for user in anna.ask("GET", "/v1/users")}
    roles = {role["name"]: role["id"] for role in anna.ask("GET", "/v1/roles")}
    member = {"user": users["bruno"], "role": roles["annotator"]}
    anna.ask("POST", f"{at}/members", member)
    anna.upload(f"{at}/category-type-upload", "file", labelling.label_config("doccano").encode())
    types = {x["text"]: x["id"] for x in anna.ask("GET", f"{at}/category-types")}
    assert list(types) == [x["text"] for x in json.loads(labelling.label_config("doccano"))]

    tasks = tmp_path / "tasks.jsonl"
    labelling.write_tasks(
        tasks, "doccano", intimacy.export_for("doccano", THREADS, choices=CHOICES)
    )
    sent = anna.upload("/v1/fp/process/", "filepond", tasks.read_bytes()).decode().strip('"')
    order = {
        "format": "JSONL",
        "task": "DocumentClassification",
        "uploadIds": [sent],
        "column_data": "text",
        "column_label": "label",
        "encoding": "utf_8",
        "delimiter": "",
    }
    job = anna.ask("POST", f"{at}/upload", order)["task_id"]

    def ready() -> Any:
        said = anna.ask("GET", f"/v1/tasks/status/{job}")
        return said if said["ready"] else None

    assert patiently(ready, 2)["result"] == {"error": []}
    examples = anna.ask("GET", f"{at}/examples?limit=100")["results"]
    numbers = {example["meta"]["thread_id"]: example["id"] for example in examples}

    def annotate(who: Server, *words: str) -> None:
        for name, word in zip(IDS, words, strict=False):
            who.ask("POST", f"{at}/examples/{numbers[name]}/categories", {"label": types[word]})

    annotate(anna, "commercial", "interactive", "disclosive", "out_of_scope")
    if not together:
        annotate(bruno, "commercial", "unsure", "reciprocal")
    job = anna.ask("POST", f"{at}/download", {"format": "JSONL", "exportApproved": False})[
        "task_id"
    ]

    def file() -> bytes | None:
        data, headers = anna.send("GET", f"{at}/download?taskId={job}", None, "application/json")
        return data if headers.get("Content-Disposition") else None

    path = tmp_path / "export.zip"
    path.write_bytes(patiently(file, 2))
    found = intimacy.read_annotations(path)
    if together:
        assert [item.thread for item in found.threads] == THREADS
        assert found.report.annotators == {"a1": 4} and not found.report.excluded
    else:
        expected(found, ["UgC"])
        assert found.report.annotators == {"anna": 4, "bruno": 2}
        assert found.report.excluded["empty"] == 1


# -- Argilla

IN_ARGILLA = """
import json, sys, uuid
from unittest.mock import MagicMock
from argilla import Record, Response, Settings
from argilla.client import Argilla
from argilla.records._io import GenericIO, JsonIO
from argilla.responses import ResponseStatus

Argilla._default_client = MagicMock()  # settings look for a server that they do not need
settings = Settings.from_json("settings.json")
questions = {question.name for question in settings.questions}
assert {field.name for field in settings.fields} == {"caption", "thread"}
answers, out = json.load(open("answers.json")), []
for number, record in enumerate(JsonIO._records_from_json("tasks.json")):
    assert {suggestion.question_name for suggestion in record.suggestions} <= questions
    responses = [
        Response(question, value, user_id=uuid.UUID(int=who), status=ResponseStatus[status])
        for who, status, given in answers[record.id]
        for question, value in given.items()
    ]
    out.append(
        Record(
            id=record.id,
            fields=dict(record.fields),
            metadata=dict(record.metadata),
            suggestions=list(record.suggestions),
            responses=responses,
            _server_id=uuid.UUID(int=100 + number),
        )
    )
for flat in (True, False):
    json.dump(GenericIO.to_list(out, flatten=flat), open(f"{flat}.json", "w"))
"""


def test_a_round_through_the_sdk_of_argilla(tmp_path: Path) -> None:
    venv = environment("INTIMACY_ARGILLA", "argilla==2.8.0", "requests")
    tasks = intimacy.export_for("argilla", THREADS, choices=CHOICES, attributes=True)
    labelling.write_tasks(tmp_path / "tasks.json", "argilla", tasks)
    config = labelling.label_config("argilla", attributes=True)
    (tmp_path / "settings.json").write_text(config, "utf-8")

    def said(who: int, word: str, status: str = "submitted", **more: str) -> list[Any]:
        return [who, status, {"intimacy": word, **more}]

    answers = {
        "UgA": [
            said(1, "commercial", disclosure_depth="0", secondary="reciprocal"),
            said(2, "commercial"),
            said(3, "disclosive", "draft"),
        ],
        "UgB": [said(1, "interactive"), said(2, "unsure")],
        "UgC": [said(1, "disclosive"), said(2, "reciprocal"), said(3, "reciprocal", "discarded")],
        "UgD": [said(1, "out_of_scope")],
    }
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    command = [venv / "bin" / "python", "-c", IN_ARGILLA]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = intimacy.read_annotations(tmp_path / "True.json")
    expected(found, ["UgC"])
    assert found.report.excluded == {"draft": 1, "unsure": 1, "discarded": 1}
    assert found.threads[0].secondary == "reciprocal"
    assert found.threads[0].attributes["disclosure_depth"] == 0
    with pytest.warns(intimacy.IntimacyWarning, match="nested form"):
        nested = intimacy.read_annotations(tmp_path / "False.json")
    assert nested.report.n_votes == found.report.n_votes + 2, "drafts look like votes"
