"""Bugs planted on purpose, each in a copy of the source tree: a suite that misses one proves nothing.

A bug is a patch under `planted/`, made for the code as it is: one that no longer applies fails, and
is to be made anew. The copy holds `bot`, `tests` and the settings of pytest, so that the suite that
must catch the bug runs there exactly as it runs here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "planted"
SECONDS = 900


class DoesNotApply(Exception):
    """The code has moved on, and the bug has to be planted anew."""


@dataclass(frozen=True)
class Outcome:
    """Whether the suite failed, and the first thing that it said was wrong."""

    is_caught: bool
    said: str


def plant(patch: Path | None, folder: Path) -> Path:
    """A copy of the tree in `folder` with this bug in it, or with none. Raises DoesNotApply."""
    tree = folder / "tree"
    for part in ("bot", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    if patch is not None:
        apply(patch, tree)
    return tree


def apply(patch: Path, tree: Path) -> None:
    command = ["patch", "-p1", "--batch", "--forward", "--fuzz=0", "-i", str(patch)]
    applied = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if applied.returncode != 0:
        raise DoesNotApply(f"{patch.name} does not apply any more:\n{applied.stdout}")


def run_suite(tree: Path, suite: Sequence[str]) -> Outcome:
    """Run a suite in a planted copy. Raises RuntimeError if it does not even run."""
    command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "-m", "soak or not soak"]
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        command += ["-p", "no:cacheprovider", f"--basetemp={folder}/pytest", *suite]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{' '.join(suite)} does not run:\n{done.stdout[-2000:]}{done.stderr}")
    first = re.search(r"^E +(.*)", done.stdout, re.MULTILINE)
    return Outcome(done.returncode == 1, first[1] if first else "")
