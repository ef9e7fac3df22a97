"""The mistakes, put one at a time into a copy of the source: the suite sees each of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .mistakes import MISTAKES, Mistake

ROOT = Path(__file__).parents[2]
COPIED = ("event_store", "projections", "backoffice", "producer_api", "tests", "pyproject.toml", "hatch_build.py")


SEEDS = "1-12"
"""Of them the mistaken simulation has to break a law; without a mistake they are among the suite's own."""


def _copy(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.csv*"))
        else:
            shutil.copy(source, folder / name)
    return folder


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for name in [name for name in environment if name.startswith(("PYTEST_", "COV_"))]:
        del environment[name]
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _tested(folder: Path, *selection: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line", *selection)


def _make(mistake: Mistake, folder: Path) -> None:
    for replacement in mistake.replacements:
        path = folder / replacement.file
        source = path.read_text()
        found = source.count(replacement.old)
        assert found == 1, f"{replacement.file} has {found} times what {mistake.name!r} replaces: write it anew"
        path.write_text(source.replace(replacement.old, replacement.new))
    if any(replacement.file.endswith((".c", ".h")) for replacement in mistake.replacements):
        made = _run(folder, "-c", "import hatch_build as b; print(b.compile_c(b.LIBRARY))")
        assert made.stdout == "None\n", made.stdout + made.stderr


def test_the_copy_without_a_mistake_is_green(tmp_path: Path) -> None:
    """And the copy is what runs, not the source it was made from."""
    folder = _copy(tmp_path / "house")
    selection = sorted({test for mistake in MISTAKES for test in mistake.selection})
    ended = _tested(folder, *selection)
    assert ended.returncode == 0, ended.stdout
    assert re.search(rf"^{len(selection)} passed", ended.stdout, re.MULTILINE), ended.stdout
    where = _run(folder, "-c", "import event_store; print(event_store.__file__)")
    assert where.stdout.strip() == str(folder / "event_store" / "__init__.py")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_the_suite_sees_the_mistake(tmp_path: Path, mistake: Mistake) -> None:
    folder = _copy(tmp_path / "house")
    _make(mistake, folder)
    ended = _tested(folder, *mistake.selection)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.search(rf"^{len(mistake.selection)} failed", ended.stdout, re.MULTILINE), ended.stdout
    if mistake.simulated:
        simulated = _run(folder, "-m", "tests.simulation", SEEDS)
        assert "broke a law" in simulated.stderr, simulated.stdout
