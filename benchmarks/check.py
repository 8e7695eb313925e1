"""How fast `mailcfg check --live` starts, against Python alone and against the whole bot's imports.

    python -m benchmarks.check [--rounds 20]

Each round starts every program once, in turn. The sender given to it is unset, so no DNS server is
asked: what is measured is the way to the first answer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import table

PYTHON, CHECK, BOT = "python alone", "mailcfg check --live", "importing the bot"
PROGRAMS = {
    PYTHON: ("-c", "pass"),
    CHECK: ("-m", "bot", "check", "--live", "live.json"),
    BOT: ("-c", "import bot.app"),
}
ROOT = str(Path(__file__).parents[1])


def run(rounds: int) -> dict[str, float]:
    """Median seconds of each program."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="mailcfg-") as folder:
        Path(folder, "live.json").write_text("{}", encoding="utf-8")
        for _ in range(rounds):
            for name, words in PROGRAMS.items():
                seconds[name].append(_timed(words, folder))
    return {name: median(taken) for name, taken in seconds.items()}


def _timed(words: tuple[str, ...], folder: str) -> float:
    began = time.perf_counter()
    subprocess.run(  # noqa: S603  # our own words
        [sys.executable, *words],
        cwd=folder,
        env={"PYTHONPATH": ROOT},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    found = run(parser.parse_args().rounds)
    head = ("program", "median", "against importing the bot")
    rows = [(name, table.ms(taken), f"{taken / found[BOT]:.2f}") for name, taken in found.items()]
    sys.stdout.write(table.drawn(head, rows))


if __name__ == "__main__":
    main()
