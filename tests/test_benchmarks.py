"""The benchmarks run, each with tiny counts; what they measure is no test's business."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from benchmarks import ack, history, load, table
from benchmarks.load import Promises
from benchmarks.rows import SqliteFile


async def test_the_load_plays_whole_scenes_and_loses_nothing():
    result = await load.measure("sqlite", seconds=0.15, rate=100, warm_up=0.05)
    assert len(result.acks) >= load.STEPS
    assert {ack.status for ack in result.acks} == {200}
    assert result.lost == 0
    assert len(result.cells()) == len(load.COLUMNS)


async def test_the_acknowledgements_are_held_against_a_bare_endpoint():
    results = await ack.run(1, each=2, click_count=1, burst_count=0, kinds=["floor"])
    assert [row[0] for row in results.rows()] == [
        "ack p50 / bare endpoint",
        "click committed / ack + 3 fdatasync",
    ]
    assert all(measured.cpu[0] > 0 for measured in results.commands.values())


async def test_the_history_has_its_length_and_its_acts_are_timed():
    taken = await history.run(short=3, long=12, rounds=1)
    assert set(history.TARGETED) <= set(taken)
    assert all(len(short) == len(long) == 1 for short, long in taken.values())


def test_a_promise_that_the_database_does_not_hold_is_lost(database: Path):
    promises = Promises(proposed={1}, approved={1, 2}, rejected=set(), withdrawn=set())
    with closing(SqliteFile(str(database))) as file:
        assert promises.lost(file) == 3


def test_percentiles_are_of_the_nearest_rank():
    assert table.percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert table.percentile(list(range(1, 101)), 99) == 99
    assert table.percentile([7.0], 99) == 7.0
