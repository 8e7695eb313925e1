"""The emulated Cliq's limit: 20 calls a minute for each user and method, then locked ten minutes."""

from __future__ import annotations

from typing import Any

import pytest
from cliq_bench import Zoho

FULL = "20 200, 1 429"
"""The twenty calls of a fresh minute, and the one that starts a lock."""


async def gets(zoho: Zoho, times: int) -> list[int]:
    return [(await zoho.get()).status_code for _ in range(times)]


@pytest.mark.parametrize(
    ("switches", "play"),
    [
        pytest.param({}, f"{FULL}, +599, 1 429, +1, {FULL}", id="locked for ten minutes"),
        pytest.param({}, "10 200, +59, 10 200, +1, 10 200, 1 429", id="the minute slides"),
        pytest.param({}, f"{FULL}, +300, 30 429, +300, 1 200", id="a locked call prolongs nothing"),
        pytest.param({}, f"15 200, lock, 1 429, +600, {FULL}", id="a lock by hand ends as well"),
        pytest.param({}, "15 200, lock, 1 429, lift, 20 200", id="lifting clears the counts"),
        pytest.param({"fixed_window": True}, f"+59, 20 200, +1, {FULL}", id="a calendar minute"),
        pytest.param(
            {"extend_lock": True},
            f"{FULL}, +599, 1 429, +599, 1 429, +600, 1 200",
            id="each locked call starts it again",
        ),
        pytest.param({"throttle": False}, "25 200", id="no limit"),
    ],
)
async def test_calls_are_served_until_there_are_too_many(
    zoho: Zoho, switches: dict[str, bool], play: str
) -> None:
    """In `play`, `20 200` is twenty calls answered so, `+59` are seconds that pass."""
    zoho.switch(**switches)
    for step in play.split(", "):
        times, _, status = step.partition(" ")
        if status:
            assert await gets(zoho, int(times)) == [int(status)] * int(times), step
        elif step.startswith("+"):
            zoho.advance(int(step))
        else:
            body = {"user": "admin", "locked": step == "lock"}
            await zoho.control("POST", "lock", body)


async def test_a_throttled_answer_is_the_pages_message_and_says_no_time(zoho: Zoho) -> None:
    await gets(zoho, 20)
    answer = await zoho.get()

    assert answer.json() == {"message": "Too many requests within a certain time frame."}
    assert not {"retry-after", "x-ratelimit-limit"} & set(answer.headers)


async def test_with_retry_after_the_seconds_left_are_said(zoho: Zoho) -> None:
    zoho.switch(retry_after=True)
    await gets(zoho, 20)
    first = await zoho.get()
    zoho.advance(240)
    later = await zoho.get()

    assert (first.headers["Retry-After"], later.headers["Retry-After"]) == ("600", "360")


async def test_a_locked_write_has_no_effect(zoho: Zoho) -> None:
    for number in range(21):
        last = await zoho.put({"name": f"Name {number}"})

    assert last.status_code == 429
    assert (await zoho.data())["name"] == "Name 19"
    assert len(zoho.emulator.writes()) == 20


@pytest.mark.parametrize(
    ("method", "user", "status"),
    [("PUT", "admin", 200), ("GET", "member", 403), ("GET", "admin", 429)],
)
async def test_each_method_and_each_user_has_a_count_of_its_own_whatever_the_token(
    zoho: Zoho, method: str, user: str, status: int
) -> None:
    await gets(zoho, 20)
    options: dict[str, Any] = {"json": {"name": "IT"}} if method == "PUT" else {}
    token = zoho.emulator.issue_access_token(user).token

    assert (await zoho.call(method, token=token, **options)).status_code == status


async def test_refused_calls_count_but_unauthenticated_ones_do_not(zoho: Zoho) -> None:
    for _ in range(30):
        await zoho.get(token="1000.dead.token")
    for _ in range(20):
        await zoho.get(headers={"Accept": "text/html"})

    assert await gets(zoho, 1) == [429]


async def test_a_lock_is_said_before_anything_but_the_token(zoho: Zoho) -> None:
    await zoho.control("POST", "lock", {"user": "admin", "locked": True})

    assert (await zoho.call("PATCH", "/nowhere")).status_code == 429
    assert (await zoho.get(headers={"Accept": "text/html"})).status_code == 429
    assert (await zoho.delete()).status_code == 429
    assert (await zoho.get(token="1000.dead.token")).status_code == 401
