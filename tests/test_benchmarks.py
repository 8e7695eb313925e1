"""The benchmarks run, each with tiny counts; what they measure is no test's business."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import ack, check, history, job, load, processes, start, table
from benchmarks.load import Promises
from benchmarks.people import People
from benchmarks.rows import SqliteFile
from bot.ports import Purpose
from tests.conftest import database_url


async def test_the_people_of_the_benchmarks_are_answered_by_a_real_bot(
    database: Path, tmp_path: Path
):
    """One bot for all of it, since its start is what takes long."""
    async with (
        processes.far_end() as far,
        processes.bot(far, database_url(database)) as bot,
        processes.session() as session,
    ):
        people = People(session, bot.url, far.url)
        form = await load.form_of(people, session, far.url)
        with closing(SqliteFile(str(database))) as file:
            scene = load.Scene(people, file, form, Promises())
            await load.play(scene, 0, seconds=0.15, rate=100)
            lost = scene.promises.lost(file)
            clicked = await ack.clicks(people, file, form, 1)
        measured = await ack.commands({ack.OURS: bot}, {ack.OURS: people}, rounds=1, each=2)

    assert len(scene.acks) >= load.STEPS
    played = load.Result("sqlite", scene.acks, 100, 0.15, lost, growth=0, cores=0)
    assert (lost, len(played.cells())) == (0, len(load.COLUMNS))
    assert {each.status for each in scene.acks} == {200}
    assert measured[ack.OURS].cpu[0] > 0
    floor = {ack.FLOOR: measured[ack.OURS]}
    synced = ack.fdatasync_seconds(tmp_path, 1)
    assert [row[0] for row in ack.Results(measured | floor, clicked, synced, []).rows()] == [
        "ack p50 / bare endpoint",
        "click committed / ack + 3 fdatasync",
    ]


async def test_the_history_has_its_length_and_its_acts_are_timed():
    taken = await history.run(short=3, long=12, rounds=1)
    assert set(history.TARGETED) <= set(taken)
    assert all(len(short) == len(long) == 1 for short, long in taken.values())


@pytest.mark.soak
async def test_every_door_does_the_whole_job_as_often_as_it_is_asked():
    """More often than Zoho would let the bot ask: `jobs` raises for any message but the sender."""
    found = await job.run(rounds=1, seconds=0.2, clients=2 * Purpose.LOOK.value)
    rows = job.rows(found)
    assert [row[0] for row in rows] == [job.OURS, job.RAW, job.TUTORIAL]
    assert {len(row) for row in rows} == {len(job.COLUMNS)}
    assert min(min(each.cpu + each.rate) for each in found.values()) > 0


@pytest.mark.soak
async def test_every_start_is_timed_and_the_memory_after_requests_is_weighed(tmp_path: Path):
    started = await start.starts(tmp_path, rounds=1, settled_seconds=0)
    grown = await start.growth(tmp_path, requests=8, clients=2, warm_up=8)
    rows = start.rows(started, grown)
    assert {len(row) for row in rows} == {len(start.COLUMNS)}
    assert all(min(each.seconds + each.memory) > 0 for each in started.values())
    assert grown.before > 0


def test_each_program_of_the_check_is_started_and_timed():
    taken = check.run(rounds=1)
    assert list(taken) == [check.PYTHON, check.CHECK, check.BOT]
    assert min(taken.values()) > 0


def test_a_promise_that_the_database_does_not_hold_is_lost(database: Path):
    promises = Promises(proposed={1}, approved={1, 2}, rejected=set(), withdrawn=set())
    with closing(SqliteFile(str(database))) as file:
        assert promises.lost(file) == 3


def test_percentiles_are_of_the_nearest_rank():
    assert table.percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert table.percentile(list(range(1, 101)), 99) == 99
    assert table.percentile([7.0], 99) == 7.0
