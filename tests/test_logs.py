"""The log: one line for each event, plain ASCII for machines, without secrets."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from bot import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_each_event_is_one_ascii_line_of_json_whoever_logs_it(capsys: pytest.CaptureFixture[str]):
    logging.captureWarnings(False)  # pytest undoes what an earlier test had `configure` do
    logs.configure("DEBUG", "json")
    structlog.get_logger("bot").info("asked", reason="für\nimmer \u2028 ✓")
    logging.getLogger("a library").warning("two\nlines of ünïcode")
    try:
        raise ValueError("broken\nin two – or three")
    except ValueError:
        logging.getLogger("asyncio").exception("task failed")
    warnings.warn("old\nthing", stacklevel=1)

    printed = capsys.readouterr().err
    assert printed.isascii()
    events = [json.loads(line) for line in printed.splitlines()]
    assert [event["event"].partition("\n")[0] for event in events[:3]] == [
        "asked",
        "two",
        "task failed",
    ]
    assert events[0]["reason"] == "für\nimmer \u2028 ✓"
    assert "broken\nin two – or three" in events[2]["exception"]
    assert "old\nthing" in events[3]["event"]


def test_lines_about_a_change_carry_its_number_and_later_ones_do_not(
    capsys: pytest.CaptureFixture[str],
):
    logs.configure("INFO", "json")
    log = structlog.get_logger("bot")
    with logs.about_change(42):
        log.info("inside")
    log.info("after")

    inside, after = map(json.loads, capsys.readouterr().err.splitlines())
    assert inside["change"] == 42
    assert "change" not in after


def test_whoever_catches_an_error_of_a_change_still_logs_its_number(
    capsys: pytest.CaptureFixture[str],
):
    logs.configure("INFO", "json")
    try:
        with logs.about_change(42):
            raise RuntimeError
    except RuntimeError:
        structlog.get_logger("bot").error("failed")

    assert json.loads(capsys.readouterr().err)["change"] == 42
