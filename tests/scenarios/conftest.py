"""A stage with a custom sender that nobody has approved yet, and the bot on it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.stage import open_stage
from tests.scenarios.play import SCOTT, Play, a_minute_after_a_check


@pytest.fixture
async def empty_play(migrated: Path, tmp_path: Path) -> AsyncIterator[Play]:
    """Everything but the bot."""
    shutil.copy(migrated, tmp_path / "mailcfg.db")
    stage = await open_stage(started=a_minute_after_a_check())
    stage.cliq.edit(**SCOTT)
    play = Play(stage, tmp_path)
    yield play
    await play.stop()
    await stage.close()


@pytest.fixture
async def play(empty_play: Play) -> Play:
    await empty_play.start()
    return empty_play
