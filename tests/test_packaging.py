"""The wheel, installed alone in a fresh environment: light, whole, and working without network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
EXAMPLES = sorted((ROOT / "data" / "examples").glob("*.info.json"))


def sh(*args: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in args], check=True, capture_output=True, text=True, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    sh(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the base install and nothing else."""
    venv = tmp_path_factory.mktemp("venv")
    sh(sys.executable, "-m", "venv", venv)
    sh(venv / "bin" / "pip", "install", "--quiet", wheel)
    return venv


def test_the_wheel_carries_model_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("model.onnx", "model.safetensors", "tokenizer.json", "manifest.json", "README.md"):
        assert f"intimacy/models/intimacy-it/{name}" in names
    assert any(name.startswith("intimacy/data/threads/") for name in names)
    assert {"intimacy/py.typed", "intimacy/resources/profile.html.j2"} <= names
    assert not any(name.startswith(("tests", "data", "notebooks")) for name in names)
    assert wheel.stat().st_size < 60e6


def test_the_base_install_is_light(installed: Path) -> None:
    (site,) = (installed / "lib").glob("python*/site-packages")
    size = sum(f.stat().st_size for f in site.rglob("*") if f.is_file() and not f.is_symlink())
    pip = sum(f.stat().st_size for f in (site / "pip").rglob("*") if f.is_file())
    assert size - pip < 330e6
    assert not (site / "torch").exists() and not (site / "transformers").exists()


def test_the_main_job_runs_offline(installed: Path, tmp_path: Path) -> None:
    # A network namespace of its own has no route anywhere; where that is not allowed, a proxy
    # that does not exist serves for whatever honours it.
    cut = ["unshare", "-rn"] if shutil.which("unshare") else []
    if cut and subprocess.run([*cut, "true"], capture_output=True).returncode:
        cut = []
    env = {"PATH": os.environ["PATH"], "https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    intimacy = installed / "bin" / "intimacy"
    out, page = tmp_path / "p.jsonl", tmp_path / "profile.html"
    sh(*cut, intimacy, "classify", *EXAMPLES, "-o", out, cwd=tmp_path, env=env)
    done = sh(*cut, intimacy, "profile", out, "--html", page, cwd=tmp_path, env=env)
    assert "75 threads" in done.stdout and "reply rate" in done.stdout
    assert "stima, non misura certa" in page.read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.jsonl", "profile.html"]


def test_training_without_its_extra_says_how_to_get_it(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "bin" / "intimacy", "train", ROOT / "data", "-o", "m", "--encoder", "x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "pip install 'intimacy[train]'" in done.stderr and "Traceback" not in done.stderr


def test_example_export_is_what_the_readme_says() -> None:
    rows = [len(json.loads(path.read_text("utf-8"))["comments"]) for path in EXAMPLES]
    assert sum(rows) == 106 and len(rows) == 3
