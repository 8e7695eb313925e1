"""The real Bolt app behind its HTTP server, reached by the emulated Slack with signed requests."""

from __future__ import annotations

import time
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from slack_bench import ADMIN, acknowledge, actions, bolt_app, button

from bot.sandbox.listening import listen
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.serving import start


@pytest.fixture
async def slack():
    running = await start(SlackWorkspace(ack_within=30))
    yield running.workspace
    await running.close()


@pytest.fixture
def bolt(slack):
    return bolt_app(slack)


@pytest.fixture
async def url(slack, bolt):
    listening = await listen(bolt.web_app("/slack/events"), "127.0.0.1", 0)
    slack.delivery.request_url = f"{listening.url}/slack/events"
    yield slack.delivery.request_url
    await listening.close()


async def test_a_command_comes_signed_and_its_answer_is_the_acknowledgement(slack, bolt, url):
    @bolt.command("/mailcfg")
    async def show(ack, body):
        await ack(f"You said {body['text']}")

    slack.clock.advance(timedelta(days=365))  # signatures go by the machine's clock
    outcome = await slack.command("U0ALICE", "show <a&b>")
    assert outcome.message.text == "You said show <a&b>"
    assert outcome.message.ephemeral_to == "U0ALICE"


async def test_a_click_comes_as_a_form_with_a_payload(slack, bolt, url):
    seen = []

    @bolt.action("go")
    async def go(ack, action):
        seen.append(action)
        await ack()

    blocks = [actions(button(value="1"))]
    await bolt.client.chat_postMessage(channel=ADMIN, text="card", blocks=blocks)
    card = slack.sees("U0BOB", ADMIN)[0]
    assert (await slack.click("U0BOB", ADMIN, card.ts, "go")).ok
    assert seen[0]["value"] == "1"


async def test_an_app_that_nobody_listens_for_fails_to_be_reached(slack):
    slack.delivery.request_url = "http://127.0.0.1:9/slack/events"
    outcome = await slack.command("U0ALICE", "show")
    assert outcome.failure == '/mailcfg failed with the error "dispatch_failed"'


async def test_a_slow_app_times_out(slack):
    async def never(request):
        await slack.changes.wait_for(lambda: slack.interactions, what="the failure")
        return web.Response()

    slow = web.Application()
    slow.add_routes([web.post("/", never)])
    listening = await listen(slow, "127.0.0.1", 0)
    slack.delivery.request_url, slack.delivery.ack_within = listening.url, 0.05
    outcome = await slack.command("U0ALICE", "show")
    await listening.close()
    assert outcome.failure == '/mailcfg failed with the error "operation_timeout"'


@pytest.mark.parametrize(
    ("body", "signed", "age", "status"),
    [
        ("command=%2Fmailcfg", "command=%2Fmailcfg", 0, 200),
        ("command=%2Fmailcfg", "command=%2Fother", 0, 401),
        ("command=%2Fmailcfg", "command=%2Fmailcfg", 3600, 401),
    ],
)
async def test_a_test_can_sign_forge_and_replay(slack, bolt, url, body, signed, age, status):
    bolt.command("/mailcfg")(acknowledge)
    headers = slack.delivery.http.sign(signed, int(time.time()) - age)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with aiohttp.ClientSession() as http:
        assert (await http.post(url, data=body, headers=headers)).status == status
