"""`python -m tests.golden record` writes what people see; `compare` says where it differs by now."""

from __future__ import annotations

import asyncio
import difflib
import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import structlog

from tests.golden.cards import rendered
from tests.golden.plays import PLAYS

RECORDED = Path(__file__).parent / "recorded"


def recorded() -> dict[str, list[str]]:
    """The lines of every play, by its name; each has a process of its own."""
    with ProcessPoolExecutor(max_workers=3) as pool:
        return dict(zip(PLAYS, pool.map(_played, PLAYS), strict=True)) | {"cards": rendered()}


def _played(name: str) -> list[str]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(PLAYS[name]())


def differences(now: dict[str, list[str]]) -> list[str]:
    said: list[str] = []
    for name, lines in now.items():
        before = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        said += difflib.unified_diff(before, lines, f"{name}, recorded", f"{name}, now", n=0)
    return said


def main() -> int:
    now = recorded()
    if sys.argv[1:] == ["record"]:
        RECORDED.mkdir(exist_ok=True)
        for name, lines in now.items():
            (RECORDED / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return 0
    said = differences(now)
    print("\n".join(said) or "equal")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
