"""Every bug that is planted is caught by the suite named for it; a green run without that is worth less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.options import SOAK
from tests.soak.planted import PATCHES, DoesNotApply, plant, run_suite

pytestmark = pytest.mark.soak


def model(seed: int) -> list[str]:
    """The model, with a seed that comes upon the bug soon; any other does later."""
    return ["tests/soak/test_model.py", "--runs=600", f"--seed={seed}"]


ZOMBIES = ["tests/soak/test_zombies.py", "--zombies=1"]
RACE = ["tests/adapters/test_store.py", "-k", "two_processes_that_vote_at_once and postgresql"]

BUGS = {
    "blind-retry": model(1),
    "index-without-a-state": model(1),
    "lost-outbox": model(1),
    "no-base-check": model(1),
    "no-compare-and-set": model(1),
    "no-expiry": model(1),
    "no-lease-guard": model(2),
    "no-quiet-time": model(1),
    "no-send-deadline": ZOMBIES,
    "one-person-twice": model(1),
    "parked-as-approved-after-the-delete": model(3),
    "policy-widened": model(1),
    "reject-ignored": model(5),
    "second-id": model(1),
    "self-approve": model(1),
    "sent-long-after-it-was-stored": model(2),
    "stale-digest": model(1),
    "vote-without-the-row": RACE,
}


@pytest.fixture(scope="module")
def score(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    found = Counter[str]()
    yield found
    figures = f"{found['planted']} planted, {found['caught']} caught"
    request.config.stash[SOAK].report("planted bugs", figures)


def test_every_patch_has_a_suite_that_must_catch_it():
    assert {file.stem for file in PATCHES.iterdir()} == set(BUGS)


def test_a_patch_that_does_not_apply_any_more_fails(tmp_path: Path):
    stale = tmp_path / "stale.patch"
    stale.write_text((PATCHES / "no-expiry.patch").read_text().replace("expires_at", "ends_at"))
    with pytest.raises(DoesNotApply, match="does not apply any more"):
        plant(stale, tmp_path)


@pytest.mark.parametrize("suite", [[*model(1), "--runs=5"], RACE])
def test_without_a_bug_the_suites_pass(suite: list[str], tmp_path: Path):
    assert not run_suite(plant(None, tmp_path), suite).is_caught


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_caught(bug: str, score: Counter[str], tmp_path: Path):
    score["planted"] += 1
    found = run_suite(plant(PATCHES / f"{bug}.patch", tmp_path), BUGS[bug])
    score["caught"] += found.is_caught
    assert found.is_caught, f"{bug} is not noticed by {' '.join(BUGS[bug])}"
