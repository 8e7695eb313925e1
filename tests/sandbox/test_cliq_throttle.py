"""The emulated Cliq's limit: 20 calls a minute for each user and method, then locked ten minutes."""

from __future__ import annotations

from cliq_bench import Zoho


async def gets(zoho: Zoho, times: int) -> list[int]:
    return [(await zoho.get()).status_code for _ in range(times)]


async def test_the_21st_call_of_a_minute_starts_a_lock_of_ten_minutes(zoho: Zoho) -> None:
    assert await gets(zoho, 21) == [200] * 20 + [429]
    zoho.advance(599)
    assert await gets(zoho, 1) == [429]
    zoho.advance(1)
    assert await gets(zoho, 21) == [200] * 20 + [429]


async def test_a_throttled_answer_is_the_pages_message_and_says_no_time(zoho: Zoho) -> None:
    await gets(zoho, 20)
    answer = await zoho.get()

    assert answer.json() == {"message": "Too many requests within a certain time frame."}
    assert "Retry-After" not in answer.headers
    assert not any(name.lower().startswith("x-ratelimit") for name in answer.headers)


async def test_the_minute_slides(zoho: Zoho) -> None:
    await gets(zoho, 10)
    zoho.advance(59)
    assert await gets(zoho, 10) == [200] * 10
    zoho.advance(1)
    assert await gets(zoho, 11) == [200] * 10 + [429]


async def test_locked_calls_do_not_prolong_the_lock(zoho: Zoho) -> None:
    await gets(zoho, 21)
    zoho.advance(300)
    assert await gets(zoho, 30) == [429] * 30
    zoho.advance(300)
    assert await gets(zoho, 1) == [200]


async def test_a_locked_write_has_no_effect(zoho: Zoho) -> None:
    for number in range(21):
        last = await zoho.put({"name": f"Name {number}"})

    assert last.status_code == 429
    assert (await zoho.data())["name"] == "Name 19"
    assert len(zoho.emulator.writes()) == 20


async def test_each_method_and_each_user_has_a_count_of_its_own(zoho: Zoho) -> None:
    member = zoho.emulator.issue_access_token("member").token
    await gets(zoho, 21)

    assert (await zoho.put({"name": "IT"})).status_code == 200
    assert (await zoho.get(token=member)).status_code == 403


async def test_another_token_of_the_same_user_shares_the_count(zoho: Zoho) -> None:
    await gets(zoho, 20)
    other = zoho.emulator.issue_access_token("admin").token

    assert (await zoho.get(token=other)).status_code == 429


async def test_refused_calls_count_but_unauthenticated_ones_do_not(zoho: Zoho) -> None:
    for _ in range(30):
        await zoho.get(token="1000.dead.token")
    for _ in range(20):
        await zoho.get(headers={"Accept": "text/html"})

    assert await gets(zoho, 1) == [429]


async def test_a_lock_is_said_before_anything_but_the_token(zoho: Zoho) -> None:
    for _ in range(20):
        await zoho.call("PATCH", "/nowhere")
    await gets(zoho, 20)

    assert (await zoho.call("PATCH", "/nowhere")).status_code == 429
    assert (await zoho.get(headers={"Accept": "text/html"})).status_code == 429
    assert (await zoho.get(token="1000.dead.token")).status_code == 401


async def test_a_fixed_window_starts_anew_with_the_calendar_minute(zoho: Zoho) -> None:
    zoho.switch(fixed_window=True)
    zoho.advance(59)
    assert await gets(zoho, 20) == [200] * 20
    zoho.advance(1)
    assert await gets(zoho, 21) == [200] * 20 + [429]


async def test_with_extend_lock_each_locked_call_starts_it_again(zoho: Zoho) -> None:
    zoho.switch(extend_lock=True)
    await gets(zoho, 21)
    zoho.advance(599)
    assert await gets(zoho, 1) == [429]
    zoho.advance(599)
    assert await gets(zoho, 1) == [429]
    zoho.advance(600)
    assert await gets(zoho, 1) == [200]


async def test_with_retry_after_the_seconds_left_are_said(zoho: Zoho) -> None:
    zoho.switch(retry_after=True)
    await gets(zoho, 20)
    first = await zoho.get()
    zoho.advance(240)
    later = await zoho.get()

    assert (first.headers["Retry-After"], later.headers["Retry-After"]) == ("600", "360")


async def test_with_throttle_off_there_is_no_limit(zoho: Zoho) -> None:
    zoho.switch(throttle=False)

    assert await gets(zoho, 25) == [200] * 25


async def test_the_control_endpoint_locks_all_of_a_users_calls_and_lifts_it(zoho: Zoho) -> None:
    await zoho.control("POST", "lock", {"user": "admin", "locked": True})
    assert await gets(zoho, 1) == [429]
    assert (await zoho.delete()).status_code == 429

    await zoho.control("POST", "lock", {"user": "admin", "locked": False})
    assert await gets(zoho, 20) == [200] * 20


async def test_a_lock_set_by_hand_ends_after_ten_minutes_with_clear_counts(zoho: Zoho) -> None:
    await gets(zoho, 15)
    await zoho.control("POST", "lock", {"user": "admin", "locked": True})
    zoho.advance(600)

    assert await gets(zoho, 21) == [200] * 20 + [429]


async def test_lifting_also_clears_the_counts(zoho: Zoho) -> None:
    await gets(zoho, 15)
    await zoho.control("POST", "lock", {"user": "admin", "locked": False})

    assert await gets(zoho, 20) == [200] * 20
