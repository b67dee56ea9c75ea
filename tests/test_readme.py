"""The README's example prints what the README says it prints."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT


def test_the_example_is_true() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    expected = re.search(r"```text\n(.*?)```", readme, re.DOTALL)
    assert code and expected
    done = subprocess.run(
        [sys.executable, "-c", code.group(1)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    number = re.compile(r"\d+\.\d+")
    assert number.sub("#", done.stdout) == number.sub("#", expected.group(1))
    # Versions of ONNX Runtime differ in the last bits, which can tip the second decimal.
    found, said = (list(map(float, number.findall(t))) for t in (done.stdout, expected.group(1)))
    assert found == pytest.approx(said, abs=0.02)


def test_what_the_readme_links_to_exists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / target).exists(), target


def test_figures_are_those_of_the_shipped_model() -> None:
    import json

    manifest = json.loads((ROOT / "models" / "intimacy-it" / "manifest.json").read_text("utf-8"))
    made = manifest["training"]
    readme = (ROOT / "README.md").read_text("utf-8")
    test, real = made["figures"]["test"], made["figures"]["real"]
    for name, row in test["macro_f1"].items():
        for figures in (row, real["macro_f1"][name]):
            low, high = figures["interval"]
            assert f"{figures['macro_f1']:.2f} [{low:.2f}, {high:.2f}]" in readme
    authored = made["threads"]["train"] - made["real_comments"]
    assert f"trained on {authored:,} synthetic threads" in readme
    assert f"{made['real_comments']:,} labelled real comments" in readme
    assert f"{test['n']} threads of {test['clusters']} creators" in readme
