"""The house: layers, what importing loads, one public surface."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import intimacy

SOURCE = ROOT / "src" / "intimacy"
LAYERS = [
    {"errors", "display"},
    {"schema"},
    {"text"},
    {"cues", "disclosure"},
    {"prediction"},
    {"store"},
    {"annotation"},
    {"frames", "textless", "shelf"},
    {"threads", "corpus", "render", "evaluation"},
    {"importers", "bundle"},
    {"backends", "evidence", "intake", "prevalence"},
    {"classifier"},
    {"profiling"},
    {"wording"},
    {"plots", "report", "audit", "assessment", "behaviour"},
    {"scorecard", "paired", "labelling"},
    {"training"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Rooms of the package that a file imports when it is loaded or later."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("intimacy"):
            parts = (node.module or "").split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            out.update(names)
    return out & set(LEVEL)


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_only_point_down(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert room in LEVEL, f"{room} has no layer"
    if room == "__init__":
        return
    above = {name for name in imports(path) if name != room and LEVEL[name] >= LEVEL[room]}
    assert not above, f"{room} imports {above} from its own layer or above"


def loaded(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``code``."""
    script = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines()[-1].split())


HEAVY = {
    "torch",
    "transformers",
    "numpy",
    "onnxruntime",
    "tokenizers",
    "pandas",
    "polars",
    "pyarrow",
    "datasets",
    "sklearn",
    "msgspec",
}


def test_importing_loads_nothing_heavy() -> None:
    assert not loaded("import intimacy") & (HEAVY | {"click", "jinja2", "tqdm", "logging"})


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['intimacy', '--help']\nfrom intimacy.cli import main\n"
    assert not loaded(code + "main(standalone_mode=False)") & (HEAVY | {"jinja2", "tqdm"})


def test_classifying_needs_no_training_package() -> None:
    code = "import intimacy; intimacy.classify_thread([('follower', 'ciao')])"
    assert not loaded(code) & {"torch", "transformers", "pandas", "sklearn", "datasets"}


def test_running_the_model_leaves_no_file_and_no_identifier(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry would write to the home folder on import."""
    code = "import intimacy; intimacy.classify_thread([('follower', 'ciao')])"
    env = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_exists_and_nothing_else_does() -> None:
    for name in intimacy.__all__:
        assert getattr(intimacy, name) is not None
    assert callable(intimacy.profiles) and callable(intimacy.profile)
    with pytest.raises(AttributeError, match="no attribute 'classify'"):
        intimacy.classify  # noqa: B018


def test_what_results_are_only_compared_with_is_never_imported() -> None:
    for path in SOURCE.rglob("*.py"):
        assert not {"ppi_py", "quapy"} & set(re.findall(r"\w+", path.read_text("utf-8"))), path.name


def test_no_module_grows_too_long() -> None:
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


def test_the_readme_names_the_test_command_that_ci_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text("utf-8")
