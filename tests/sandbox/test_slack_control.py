"""The control endpoint of the emulated Slack, and what `mailcfg emulate slack` prints."""

from __future__ import annotations

import aiohttp
import pytest

from bot.errors import PortInUse
from bot.sandbox.slack.serving import start

ADMIN = "C0MAILADMIN"


@pytest.fixture
async def running():
    running = await start()
    yield running
    await running.close()


@pytest.fixture
def slack(running):
    return running.workspace


@pytest.fixture
async def http(running):
    headers = {"Authorization": f"Bearer {running.control_token}"}
    async with aiohttp.ClientSession(f"{running.url}/__control/", headers=headers) as session:
        yield session


async def sent(http, verb, path, **body):
    answer = await http.request(verb, path, json=body)
    return answer.status, await answer.json()


async def seen(http, path):
    return await (await http.get(path)).json()


def test_the_dotenv_lines_are_all_that_the_bot_needs(running):
    settings = dict(line.split("=", 1) for line in running.dotenv())
    assert list(settings) == [
        "SLACK_API_URL",
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_CONTROL_URL",
        "SLACK_CONTROL_TOKEN",
        "MAILCFG_REQUESTERS",
        "MAILCFG_APPROVERS",
        "MAILCFG_APPROVAL_CHANNEL",
        "MAILCFG_ALERT_CHANNEL",
    ]
    assert settings["SLACK_API_URL"] == f"{running.url}/api/"
    assert settings["SLACK_CONTROL_URL"] == f"{running.url}/__control"
    assert settings["MAILCFG_APPROVERS"] == "U0BOB,U0CAROL"


async def test_a_port_in_use_is_said_plainly(running):
    with pytest.raises(PortInUse):
        await start(port=running.listening.port)


async def test_the_state_shows_no_secret(slack, http):
    text = await (await http.get("state")).text()
    assert slack.state.credentials.bot_token not in text
    assert slack.state.credentials.signing_secret not in text
    assert "mail-admin" in text


async def test_a_command_through_the_control_endpoint_is_seen_by_its_person_alone(http):
    status, outcome = await sent(http, "POST", "command", user="U0ALICE", text="show")
    assert (status, outcome["ok"]) == (200, False)
    (notice,) = await seen(http, f"sees?user=U0ALICE&channel={ADMIN}")
    assert notice["plain_text"] == "/mailcfg failed because the app did not respond"
    assert notice["is_ephemeral"] is True
    assert await seen(http, f"sees?user=U0BOB&channel={ADMIN}") == []
    (interaction,) = await seen(http, "interactions")
    assert (interaction["kind"], interaction["user"]) == ("command", "U0ALICE")


async def test_people_are_listed_changed_and_added(slack, http):
    status, bob = await sent(http, "PUT", "users/U0BOB", flags={"is_restricted": True})
    assert (status, bob["is_restricted"]) == (200, True)
    eve = {"id": "U1EVE", "real_name": "Eve Far", "team_id": "T1OTHER"}
    status, added = await sent(http, "POST", "users", **eve)
    assert (status, added["is_stranger"]) == (200, True)
    assert "U1EVE" in [user["id"] for user in await seen(http, "users")]


async def test_channels_are_archived_and_their_members_changed(slack, http):
    await sent(http, "PUT", f"channels/{ADMIN}", is_archived=True, members=["U0ALICE"])
    channel = (await seen(http, "channels"))[0]
    assert (channel["is_archived"], channel["members"]) == (True, ["U0ALICE"])


async def test_faults_are_planned_listed_and_cleared(http):
    fault = {"method": "chat.update", "kind": "ratelimited", "times": 2, "retry_after": 30}
    _, planned = await sent(http, "POST", "faults", **fault)
    assert planned == [fault | {"error": "internal_error", "skip": 0}]
    await http.delete("faults")
    assert await seen(http, "faults") == []


async def test_ghosts_come_and_go(http):
    assert (await sent(http, "POST", "ghost"))[1] == {"connections": 1}
    assert (await (await http.delete("ghost")).json()) == {"connections": 0}


async def test_the_clock_is_moved(slack, http):
    before = slack.clock.now()
    await sent(http, "POST", "clock", advance_seconds=3600)
    assert (slack.clock.now() - before).total_seconds() >= 3600
    status, moved = await sent(http, "POST", "clock", set="2099-01-31T12:00:00Z")
    assert (status, moved["now"][:16]) == (200, "2099-01-31T12:00")


async def test_the_request_url_chooses_the_transport(slack, http):
    url = "http://127.0.0.1:3000/slack/events"
    assert await sent(http, "PUT", "request_url", request_url=url) == (200, {"request_url": url})
    assert slack.delivery.request_url == url


async def test_a_user_group_is_made_and_its_members_are_changed(http):
    path = "usergroups/S0NEW"
    status, made = await sent(http, "PUT", path, handle="news", users=["U0BOB"])
    assert (status, made["handle"], made["users"]) == (200, "news", ["U0BOB"])
    await sent(http, "PUT", path, users=["U0CAROL"])
    groups = {group["id"]: group for group in await seen(http, "usergroups")}
    assert set(groups) == {"S0MAILAPPROVERS", "S0NEW"}
    assert (groups["S0NEW"]["handle"], groups["S0NEW"]["users"]) == ("news", ["U0CAROL"])
