"""How much the soak tests do, with which seed, and the line of figures that each suite ends in.

`pytest -m soak` selects them; `--share=ci` is the bounded share that every change pays for, with one
seed for all of them, so that a change fails by what it changed. A full run has a fresh seed. A count
given by name wins over the share.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

COUNTS = {
    "kills": ("kills for each database; 0 sweeps every crash point", {"ci": 13, "full": 0}),
    "pairs": ("pairs of an outside call and a fault; 0 is all of them", {"ci": 40, "full": 0}),
    "runs": ("random plays of the model", {"ci": 150, "full": 5000}),
    "steps": ("steps of each play of the model", {"ci": 40, "full": 40}),
    "rounds": ("rounds of six changes with several replicas", {"ci": 2, "full": 20}),
    "zombies": ("replicas that are stopped and wake up too late", {"ci": 3, "full": 20}),
    "moves": ("times that the base moves at each point before a write", {"ci": 1, "full": 5}),
    "fuzz": ("seconds that the emulated Cliq is fuzzed on each profile", {"ci": 10, "full": 300}),
}

SEED = 1129


@dataclass
class Soak:
    """What was asked for on the command line; `figures` are what the suites have to say."""

    share: str
    seed: int
    counts: dict[str, int]
    figures: list[str] = field(default_factory=list)

    def count(self, name: str) -> int:
        return self.counts[name]

    def random(self, suite: str) -> random.Random:
        """Equal for equal seeds, whichever other suites run."""
        return random.Random(f"{self.seed} {suite}")

    def report(self, suite: str, figures: str) -> None:
        self.figures.append(f"{suite}: seed {self.seed}, share {self.share}; {figures}")


SOAK = pytest.StashKey[Soak]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak", "long runs (-m soak)")
    group.addoption("--share", choices=["ci", "full"], default="ci", help="how much of each suite")
    group.addoption("--seed", type=int, default=None, help="of everything random")
    for name, (sentence, _) in COUNTS.items():
        group.addoption(f"--{name}", type=int, default=None, help=sentence)


def pytest_configure(config: pytest.Config) -> None:
    share, seed = config.getoption("--share"), config.getoption("--seed")
    seed = getattr(config, "workerinput", {}).get("seed", seed)
    counts = {}
    for name, (_, by_share) in COUNTS.items():
        given = config.getoption(f"--{name}")
        counts[name] = by_share[share] if given is None else given
    if seed is None:
        seed = SEED if share == "ci" else random.randrange(10**6)
    config.stash[SOAK] = Soak(share, seed, counts)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """One seed for the tests of every worker process."""
    node.workerinput["seed"] = node.config.stash[SOAK].seed


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process has ended: what its suites have to say is said with the others'."""
    node.config.stash[SOAK].figures += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash[SOAK].figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash[SOAK].figures
    if figures:
        terminalreporter.section("soak")
        for line in figures:
            terminalreporter.write_line(line)
