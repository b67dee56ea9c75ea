"""Paths and small builders that several tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from intimacy.schema import Post, Role, Thread, Turn

ROOT = Path(__file__).resolve().parents[1]
EXPORTS = Path(__file__).parent / "data" / "exports"


def thread(*turns: tuple[str, str], caption: str | None = None, id: str = "t") -> Thread:
    """A thread out of (role, text) pairs."""
    return Thread(
        id=id,
        turns=tuple(Turn(role=Role(role), text=text) for role, text in turns),
        post=Post(id="p", creator_id="@giulia", text=caption),
    )


@pytest.fixture
def exports() -> Path:
    return EXPORTS


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/, as a module: what it measures is what a test holds."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
