"""The control endpoint of the emulated Slack: what people do, and what is changed around them."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_bench import ADMIN

from bot.sandbox.slack.serving import start

URL = {"request_url": "http://127.0.0.1:3000/slack/events"}
EVE = {"id": "U1EVE", "real_name": "Eve Far", "team_id": "T1OTHER"}
FAULT = {"method": "chat.update", "kind": "ratelimited", "times": 2, "retry_after": 30}
NEWS = {"handle": "news", "users": ["U0BOB"]}


@pytest.fixture
async def running():
    running = await start()
    yield running
    await running.close()


@pytest.fixture
async def http(running):
    headers = {"Authorization": f"Bearer {running.control_token}"}
    async with aiohttp.ClientSession(f"{running.url}/__control/", headers=headers) as session:
        yield session


async def sent(http, call, body=None) -> Any:
    verb, path = call.split()
    answer = await http.request(verb, path, json=body or {})
    assert answer.status == 200
    return await answer.json()


async def test_the_state_shows_no_secret(running, http):
    text = str(await sent(http, "GET state"))
    mine = running.workspace.state.credentials
    assert mine.bot_token not in text
    assert mine.signing_secret not in text
    assert "mail-admin" in text


async def test_a_command_through_the_control_endpoint_is_seen_by_its_person_alone(http):
    outcome = await sent(http, "POST command", {"user": "U0ALICE", "text": "show"})
    assert outcome["ok"] is False
    (notice,) = await sent(http, f"GET sees?user=U0ALICE&channel={ADMIN}")
    assert notice["plain_text"] == "/mailcfg failed because the app did not respond"
    assert notice["is_ephemeral"] is True
    assert await sent(http, f"GET sees?user=U0BOB&channel={ADMIN}") == []
    (interaction,) = await sent(http, "GET interactions")
    assert (interaction["kind"], interaction["user"]) == ("command", "U0ALICE")


@pytest.mark.parametrize(
    ("call", "body", "shown", "holds"),
    [
        ("PUT users/U0BOB", {"flags": {"is_restricted": True}}, "users", {"is_restricted": True}),
        ("POST users", EVE, "users", {"id": "U1EVE", "is_stranger": True}),
        (
            f"PUT channels/{ADMIN}",
            {"is_archived": True, "members": ["U0ALICE"]},
            "channels",
            {"id": ADMIN, "is_archived": True, "members": ["U0ALICE"]},
        ),
        ("PUT usergroups/S0NEW", NEWS, "usergroups", NEWS | {"id": "S0NEW"}),
        (
            "PUT usergroups/S0MAILAPPROVERS",
            {"users": ["U0CAROL"]},
            "usergroups",
            {"handle": "mail-approvers", "users": ["U0CAROL"]},
        ),
        ("POST faults", FAULT, "faults", FAULT | {"error": "internal_error", "skip": 0}),
        ("PUT request_url", URL, "request_url", URL),
        ("POST clock", {"set": "2099-01-31T12:00:00Z"}, "clock", {}),
    ],
)
async def test_what_is_changed_is_answered_and_shown(http, call, body, shown, holds):
    for seen in (await sent(http, call, body), await sent(http, f"GET {shown}")):
        listed = seen if isinstance(seen, list) else [seen]
        assert any(holds.items() <= each.items() for each in listed)
        if shown == "clock":
            assert seen["now"].startswith("2099-01-31T12:00")


async def test_faults_are_cleared_and_ghosts_come_and_go(http):
    await sent(http, "POST faults", FAULT)
    assert await sent(http, "DELETE faults") == await sent(http, "GET faults") == []
    assert await sent(http, "POST ghost") == {"connections": 1}
    assert await sent(http, "DELETE ghost") == {"connections": 0}
