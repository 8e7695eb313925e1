"""The tour holds, and notices each step that is left out or goes wrong."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from bot.errors import OperatorError
from bot.sandbox.run import play_tour, sandbox
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.stage import Stage
from bot.sandbox.tour import Tour

STEPS = [
    "show",
    "ask",
    "own-approval",
    "guest",
    "bob",
    "bob-again",
    "carol",
    "wrong-name",
    "publish",
    "resolved",
    "outside",
    "reset",
    "reject",
]


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world in which three weeks have passed, as it was left on disk."""
    folder = tmp_path_factory.mktemp("world")
    asyncio.run(_live(folder))
    return folder


async def _live(folder: Path) -> None:
    async with sandbox("socket", folder):
        pass


@pytest.fixture
async def stage(lived_in: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    folder = shutil.copytree(lived_in, tmp_path / "world")
    async with sandbox("socket", folder) as opened:
        yield opened


class Play:
    """One tour and what it printed."""

    def __init__(self, stage: Stage, skip: str | None = None) -> None:
        self._printed = io.StringIO()
        console = Console(file=self._printed, width=140, highlight=False)
        self.tour = Tour(stage, console, skip, skip_seconds=0.3)

    @property
    def printed(self) -> str:
        return self._printed.getvalue()


async def test_the_whole_story_holds(stage: Stage):
    play = Play(stage)
    assert play.tour.step_ids == STEPS
    assert await play.tour.play()
    score = play.printed.splitlines()[-1]
    assert "22 checks held" in score
    assert "1 write to Cliq · 3 clicks refused · 0 unapproved effects" in score
    assert "✗" not in play.printed


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_it_exits_0_over_either_transport(transport: str, capsys: pytest.CaptureFixture[str]):
    assert await play_tour(transport=transport) == 0
    assert "0 unapproved effects" in capsys.readouterr().out


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_left_out_is_noticed_and_named(stage: Stage, step: str):
    play = Play(stage, skip=step)
    assert not await play.tour.play()
    assert f"Step “{step}” failed: " in play.printed
    assert f"FAILED at “{step}” · " in play.printed


async def test_it_exits_1_when_a_step_does_not_hold(capsys: pytest.CaptureFixture[str]):
    assert await play_tour(transport="socket", skip="show") == 1
    assert "FAILED at “show”" in capsys.readouterr().out


async def test_a_step_that_is_not_there_cannot_be_left_out():
    with pytest.raises(OperatorError, match="`lunch` is no step"):
        await play_tour(transport="socket", skip="lunch")


async def test_a_write_that_nobody_approved_is_noticed(stage: Stage):
    play = Play(stage)
    token = stage.cliq.issue_access_token().token
    async with httpx.AsyncClient() as client:
        await client.put(
            f"{stage.cliq_at.url}/api/v2/mailconfigurations/global",
            json={"name": "X", "email_id": "scott@acme.example", "cname_status": "verified"},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert not await play.tour.play()
    assert "1 unapproved effects" in play.printed
    assert "FAILED at “" in play.printed


async def test_a_click_that_nobody_can_make_is_a_failed_step_and_no_crash(stage: Stage):
    play = Play(stage)
    stage.workspace.faults.plan(
        Fault("chat.postMessage", FaultKind.ERROR, times=1000, error="channel_not_found")
    )
    stage.workspace.set_channel("C0MAILADMIN", members=["U0MAILCFG", "U0BOB"])
    assert not await play.tour.play()
    assert "FAILED at “show”" in play.printed
