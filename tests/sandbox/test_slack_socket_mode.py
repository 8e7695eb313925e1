"""The real Bolt app over Socket Mode in the emulated workspace, with persons who type and click."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from slack_bench import (
    ADMIN,
    acknowledge,
    actions,
    bolt_app,
    button,
    form_input,
    modal,
    mrkdwn,
    plain,
    section,
)
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.records import PersonCannot
from bot.sandbox.slack.serving import start

CARD = [
    section(text=mrkdwn("Change?")),
    actions(
        button(action_id="approve", value="r1", text=plain("Approve")),
        block_id="decide",
    ),
]
SIZES = [{"text": plain(f"{size} bits"), "value": size} for size in ("1024", "2048")]
EMAIL = {"type": "plain_text_input", "action_id": "email_id", "initial_value": "old@acme.example"}
REASON = {"type": "plain_text_input", "action_id": "why", "max_length": 20}
BITS = {"type": "static_select", "action_id": "bits", "options": SIZES}
FORM = modal(
    callback_id="form",
    private_metadata="secret",
    submit=plain("Send"),
    blocks=[
        form_input(EMAIL, block_id="email"),
        form_input(REASON, block_id="reason"),
        form_input(BITS, block_id="size", optional=True),
        actions(button(action_id="check")),
    ],
)


@pytest.fixture
async def slack():
    workspace = SlackWorkspace(ack_within=30, trigger_lifetime=30)
    running = await start(workspace)
    yield workspace
    await running.close()


@pytest.fixture
def bolt(slack):
    return bolt_app(slack)


@contextlib.asynccontextmanager
async def connected(slack, bolt):
    base_url = f"{slack.state.origin}/api/"
    web_client = AsyncWebClient(base_url=base_url, retry_handlers=[])
    handler = AsyncSocketModeHandler(bolt, slack.state.credentials.app_token, web_client=web_client)
    await handler.connect_async()
    await slack.changes.wait_for(lambda: slack.delivery.sockets.count, what="a connection")
    yield handler.client
    await handler.close_async()


@pytest.fixture
async def app(slack, bolt):
    """A bot that knows one command, one button and one form; it keeps what it was sent."""
    sent = SimpleNamespace(bodies=[], answer={})

    @bolt.command("/mailcfg")
    async def command(ack, body, client):
        sent.bodies.append(body)
        await ack("Checking…")
        if body["text"] == "set":
            await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    @bolt.action("approve")
    async def approve(ack, body, respond):
        sent.bodies.append(body)
        await ack()
        await respond("Thank you", response_type="ephemeral", replace_original=False)

    @bolt.action("check")
    async def check(ack, body):
        sent.bodies.append(body)
        await ack()

    @bolt.view("form")
    async def submitted(ack, body):
        sent.bodies.append(body)
        await ack(sent.answer or "")

    async with connected(slack, bolt):
        yield sent


async def post_card(bolt, slack):
    await bolt.client.chat_postMessage(
        channel=ADMIN,
        text="Change?",
        blocks=CARD,
        metadata={"event_type": "card", "event_payload": {"n": 1}},
    )
    return slack.sees("U0BOB", ADMIN)[0]


async def open_form(slack):
    await slack.command("U0ALICE", "set")
    return await slack.changes.wait_for(lambda: slack.open_view("U0ALICE"), what="the form")


@pytest.mark.parametrize(
    ("answer", "alice", "bob"),
    [
        ({"text": "Checking…"}, "Checking…", None),
        ({"text": "For all", "response_type": "in_channel"}, "For all", "For all"),
        (
            {"text": "x", "blocks": [{"type": "knob"}]},
            *('/mailcfg failed with the error "invalid_blocks"', None),
        ),
    ],
)
async def test_the_answer_to_a_command_is_private_unless_it_says_otherwise(
    slack, bolt, answer, alice, bob
):
    @bolt.command("/mailcfg")
    async def command(ack):
        await ack(**answer)

    async with connected(slack, bolt):
        outcome = await slack.command("U0ALICE", "show")
    assert outcome.ok is ("blocks" not in answer)
    assert [m.text for m in slack.sees("U0ALICE", ADMIN)] == [outcome.message.text] == [alice]
    assert [m.text for m in slack.sees("U0BOB", ADMIN)] == ([bob] if bob else [])


async def test_a_command_comes_with_all_that_slack_sends(slack, app):
    await slack.command("U0ALICE", "show")
    (body,) = app.bodies
    assert body["response_url"].startswith(slack.state.origin)
    assert {name: body[name] for name in body if name not in ("token", "response_url")} == {
        "team_id": "T0ACME",
        "team_domain": "acme",
        "channel_id": ADMIN,
        "channel_name": "mail-admin",
        "user_id": "U0ALICE",
        "user_name": "alice",
        "command": "/mailcfg",
        "text": "show",
        "api_app_id": "A0MAILCFG",
        "is_enterprise_install": "false",
        "trigger_id": body["trigger_id"],
    }


async def test_a_click_comes_with_the_message_and_is_answered_through_its_url(slack, bolt, app):
    card = await post_card(bolt, slack)
    assert (await slack.click("U0BOB", ADMIN, card.ts, "approve")).ok
    whisper = await slack.changes.wait_for(
        lambda: [m for m in slack.sees("U0BOB", ADMIN) if m.is_ephemeral], what="the answer"
    )
    (body,) = app.bodies
    assert whisper[0].text == "Thank you"
    assert body["user"] == {
        "id": "U0BOB",
        "username": "bob",
        "name": "bob",
        "team_id": "T0ACME",
    }
    assert body["container"] == {
        "type": "message",
        "message_ts": card.ts,
        "channel_id": ADMIN,
        "is_ephemeral": False,
    }
    assert body["message"]["blocks"] == card.blocks
    assert body["message"]["metadata"] == {"event_type": "card", "event_payload": {"n": 1}}
    assert body["channel"] == {"id": ADMIN, "name": "mail-admin"}
    assert (body["enterprise"], body["is_enterprise_install"]) == (None, False)
    action = body["actions"][0]
    assert (action["type"], action["block_id"], action["value"]) == ("button", "decide", "r1")


@pytest.mark.parametrize(
    ("whose", "user", "channel", "action_id", "value"),
    [
        ("all", "U0BOB", ADMIN, "launch", None),
        ("all", "U0BOB", ADMIN, "approve", "another"),
        ("all", "U0NOBODY", ADMIN, "approve", None),
        ("all", "U0BOB", "C0NOWHERE", "approve", None),
        ("all", "U0MAILCFG", ADMIN, "approve", None),
        ("U0ALICE", "U0BOB", ADMIN, "approve", None),
    ],
)
async def test_a_person_cannot_click_what_is_not_on_their_screen(
    slack, bolt, app, whose, user, channel, action_id, value
):
    card, whisper = await post_card(bolt, slack), await whispered(bolt)
    ts = {"all": card.ts, "U0ALICE": whisper}[whose]
    with pytest.raises(PersonCannot):
        await slack.click(user, channel, ts, action_id, value=value)
    assert app.bodies == []


async def whispered(bolt):
    ephemeral = {"channel": ADMIN, "user": "U0ALICE", "text": "x", "blocks": CARD}
    return (await bolt.client.chat_postEphemeral(**ephemeral))["message_ts"]


async def test_a_click_on_an_ephemeral_comes_without_the_message(slack, bolt, app):
    await slack.click("U0ALICE", ADMIN, await whispered(bolt), "approve")
    assert app.bodies[0]["container"]["is_ephemeral"] is True
    assert "message" not in app.bodies[0]


async def test_a_click_on_a_button_that_is_just_gone_still_arrives(slack, bolt, app):
    card = await post_card(bolt, slack)
    await bolt.client.chat_update(channel=ADMIN, ts=card.ts, text="Done", blocks=[])
    await slack.click("U0BOB", ADMIN, card.ts, "approve", value="r1", stale=True)
    assert app.bodies[0]["actions"][0]["value"] == "r1"


async def test_a_form_is_submitted_with_its_values_and_closes(slack, app):
    form = await open_form(slack)
    outcome = await slack.submit("U0ALICE", form.id, {"why": "new domain", "size": "2048"})
    assert (outcome.ok, outcome.closed, outcome.errors) == (True, True, {})
    view = app.bodies[-1]["view"]
    assert (view["callback_id"], view["private_metadata"]) == ("form", "secret")
    values = view["state"]["values"]
    assert values["email"]["email_id"]["value"] == "old@acme.example"
    assert values["reason"]["why"]["value"] == "new domain"
    assert values["size"]["bits"]["selected_option"]["value"] == "2048"


async def test_a_form_sent_back_shows_its_errors_and_keeps_what_was_typed(slack, app):
    app.answer = {"response_action": "errors", "errors": {"email": "Not an address."}}
    form = await open_form(slack)
    outcome = await slack.submit("U0ALICE", form.id, {"email": "x", "reason": "y"})
    assert (outcome.ok, outcome.closed) == (False, False)
    assert outcome.errors == slack.open_view("U0ALICE").errors == {"email": "Not an address."}
    app.answer = {}
    assert (await slack.submit("U0ALICE", form.id)).closed
    assert app.bodies[-1]["view"]["state"]["values"]["reason"]["why"]["value"] == "y"


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({}, {"reason": "Please complete this required field."}),
        ({"reason": "x" * 21}, {"reason": "Please use no more than 20 characters."}),
    ],
)
async def test_slack_itself_sends_back_a_form_with_missing_values(slack, app, values, errors):
    form = await open_form(slack)
    outcome = await slack.submit("U0ALICE", form.id, values)
    assert outcome.errors == errors
    assert len(app.bodies) == 1


async def test_a_person_cannot_fill_in_what_the_form_does_not_have(slack, app):
    form = await open_form(slack)
    with pytest.raises(PersonCannot, match="no input `colour`"):
        await slack.submit("U0ALICE", form.id, {"colour": "red"})
    with pytest.raises(PersonCannot, match="no option `4096`"):
        await slack.submit("U0ALICE", form.id, {"bits": "4096"})
    with pytest.raises(PersonCannot):
        await slack.submit("U0BOB", form.id, {})


async def test_a_submission_may_update_or_clear_the_view(slack, app):
    form = await open_form(slack)
    second = FORM | {"title": plain("Second")}
    app.answer = {"response_action": "update", "view": second}
    updated = (await slack.submit("U0ALICE", form.id, {"reason": "x"})).view
    assert (updated.title, updated.id) == ("Second", form.id)
    app.answer = {"response_action": "clear"}
    assert (await slack.submit("U0ALICE", updated.id, {"reason": "x"})).closed
    assert slack.open_view("U0ALICE") is None


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"nowhere": "of a block that is no input"}},
        {"response_action": "push", "view": FORM},
        {"text": "Thank you"},
    ],
)
async def test_a_submission_answered_with_anything_else_is_trouble(slack, app, answer):
    app.answer = answer
    form = await open_form(slack)
    outcome = await slack.submit("U0ALICE", form.id, {"reason": "x"})
    assert outcome.failure == "We had some trouble connecting. Try again?"
    assert (outcome.ok, outcome.view.id) == (False, form.id)


async def test_a_button_in_a_form_brings_what_is_typed_so_far(slack, app):
    form = await open_form(slack)
    typed = {"email_id": "new@acme.example"}
    assert (await slack.click_in_view("U0ALICE", form.id, "check", typed=typed)).ok
    body = app.bodies[-1]
    assert body["container"] == {"type": "view", "view_id": form.id}
    assert body["view"]["state"]["values"]["email"]["email_id"]["value"] == "new@acme.example"


async def test_a_form_is_closed_by_whoever_has_it(slack, app):
    form = await open_form(slack)
    with pytest.raises(PersonCannot):
        slack.close_view("U0BOB", form.id)
    slack.close_view("U0ALICE", form.id)
    assert slack.open_view("U0ALICE") is None


async def test_without_a_connection_the_person_reads_that_the_app_did_not_respond(slack):
    outcome = await slack.command("U0ALICE", "show")
    assert outcome.failure == "/mailcfg failed because the app did not respond"
    assert [m.text for m in slack.sees("U0ALICE", ADMIN)] == [outcome.failure]
    assert slack.sees("U0BOB", ADMIN) == []


async def test_a_late_acknowledgement_is_a_failure_that_the_person_sees(slack, bolt):
    awaited = asyncio.Event()

    @bolt.command("/mailcfg")
    async def late(ack):
        await awaited.wait()
        await ack("too late")

    slack.delivery.ack_within = 0.05
    async with connected(slack, bolt):
        outcome = await slack.command("U0ALICE", "show")
        awaited.set()
        assert outcome.failure == '/mailcfg failed with the error "operation_timeout"'
    assert slack.interactions[0].failure == "operation_timeout"
    assert [m.text for m in slack.sees("U0ALICE", ADMIN)] == [outcome.failure]


async def test_a_click_in_vain_leaves_a_mark_until_the_next_one_works(slack, bolt):
    card = await post_card(bolt, slack)
    assert (await slack.click("U0BOB", ADMIN, card.ts, "approve")).ok is False
    marked = slack.plain_text(slack.sees("U0BOB", ADMIN)[0])
    assert marked == "Change?\n[Approve]\n⚠ mailcfg did not respond."
    bolt.action("approve")(acknowledge)
    async with connected(slack, bolt):
        assert (await slack.click("U0BOB", ADMIN, card.ts, "approve")).ok
    assert slack.plain_text(slack.sees("U0BOB", ADMIN)[0]) == "Change?\n[Approve]"


async def test_a_stranger_in_a_shared_channel_clicks_with_their_own_team(slack, bolt, app):
    slack.add_user("U1EVE", "Eve Far", team_id="T1OTHER")
    slack.join("U1EVE", ADMIN)
    card = await post_card(bolt, slack)
    await slack.click("U1EVE", ADMIN, card.ts, "approve")
    assert app.bodies[0]["user"]["team_id"] == "T1OTHER"
    assert app.bodies[0]["team"]["id"] == "T0ACME"


@pytest.mark.parametrize("ends", ["disconnect", "close"])
async def test_after_the_end_of_its_connection_the_sdk_comes_back_by_itself(slack, app, ends):
    sockets = slack.delivery.sockets

    def opened():
        return [r.method for r in slack.requests].count("apps.connections.open")

    before = opened()
    await getattr(sockets, ends)()
    await slack.changes.wait_for(lambda: opened() > before and sockets.count == 1, what="a new one")
    assert (await slack.command("U0ALICE", "show")).ok


async def test_a_ghost_connection_swallows_its_share_of_the_envelopes(slack, app):
    slack.delivery.sockets.add_ghost()
    assert slack.delivery.sockets.count == 2
    slack.delivery.ack_within = 0.05
    swallowed = await slack.command("U0ALICE", "show")
    slack.delivery.ack_within = 30
    answered = await slack.command("U0ALICE", "show")
    assert (swallowed.ok, answered.ok) == (False, True)
    slack.delivery.sockets.remove_ghosts()
    assert (await slack.command("U0ALICE", "show")).ok


async def test_hello_counts_the_connections_and_names_the_app(slack, bolt):
    slack.delivery.sockets.add_ghost()
    hellos = []

    async def listen(client, message, raw):
        hellos.append(message)

    async with connected(slack, bolt) as client:
        client.message_listeners.append(listen)
        await slack.delivery.sockets.disconnect()
        await slack.changes.wait_for(
            lambda: slack.delivery.sockets.count == 2 and hellos, what="hello"
        )
    assert hellos[0]["num_connections"] == 2
    assert hellos[0]["connection_info"] == {"app_id": "A0MAILCFG"}


async def test_each_envelope_goes_to_one_connection_only(slack, bolt):
    seen = []

    @bolt.command("/mailcfg")
    async def once(ack, body):
        seen.append(body["trigger_id"])
        await ack()

    async with connected(slack, bolt), connected(slack, bolt):
        await slack.changes.wait_for(
            lambda: slack.delivery.sockets.count == 2, what="both connections"
        )
        for _ in range(4):
            await slack.command("U0ALICE", "show")
    assert len(seen) == len(set(seen)) == 4


@pytest.mark.parametrize("scopes", [("usergroups:read",), ()])
async def test_an_app_that_may_read_user_groups_is_told_who_came_and_went(slack, bolt, scopes):
    seen = []
    slack.state.scopes = (*slack.state.scopes, *scopes)

    @bolt.event("subteam_members_changed")
    async def changed(event):
        seen.append((event["subteam_id"], event["added_users"], event["removed_users"]))

    async with connected(slack, bolt):
        await slack.set_members("S0MAILAPPROVERS", ["U0BOB", "U0ALICE"])
    assert seen == [("S0MAILAPPROVERS", ["U0ALICE"], ["U0CAROL"])] * len(scopes)


async def test_waiting_in_vain_says_for_what(slack):
    with pytest.raises(TimeoutError, match="in vain for the card"):
        await slack.changes.wait_for(
            lambda: slack.sees("U0BOB", ADMIN), timeout=0.01, what="the card"
        )


@pytest.mark.parametrize("user", ["U0BOB", "U1EVE", "U0MAILCFG"])
async def test_who_is_gone_elsewhere_or_a_bot_cannot_type_commands(slack, user):
    slack.set_flags("U0BOB", deleted=True)
    slack.add_user("U1EVE", "Eve Far", team_id="T1OTHER")
    with pytest.raises(PersonCannot):
        await slack.command(user, "show")
