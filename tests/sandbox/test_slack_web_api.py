"""The emulated Web API and response_url, over real HTTP, with the real SDK client."""

from __future__ import annotations

import json
from datetime import timedelta

import aiohttp
import pytest
from slack_bench import ADMIN, client_of, modal
from slack_sdk.errors import SlackApiError

from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.slack.serving import start

MODAL = modal(callback_id="form", blocks=[{"type": "divider"}])
EVERY_SCOPE = (
    *("commands", "chat:write", "users:read"),
    *("usergroups:read", "channels:read"),
)


@pytest.fixture
async def slack():
    workspace = SlackWorkspace(ack_within=0.1, scopes=EVERY_SCOPE)
    running = await start(workspace)
    yield workspace
    await running.close()


@pytest.fixture
def client(slack):
    return client_of(slack)


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def error_of(call):
    return (await refusal(call))["error"]


async def refusal(call):
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


def new_trigger(slack, user="U0ALICE"):
    return slack.state.new_trigger(user)


def new_response_url(slack, message=None):
    kind = "commands" if message is None else "actions"
    return slack.state.new_response_url(kind, ADMIN, "U0ALICE", message)


async def test_auth_test_says_who_the_app_is_and_which_scopes_it_has(slack, client):
    answer = await client.auth_test()
    assert answer["user_id"] == "U0MAILCFG"
    assert answer["team_id"] == "T0ACME"
    assert answer.headers["X-OAuth-Scopes"] == ",".join(EVERY_SCOPE)


@pytest.mark.parametrize(
    ("kind", "method", "error"),
    [
        ("no", "auth.test", "not_authed"),
        ("someone else's", "auth.test", "invalid_auth"),
        ("app", "auth.test", "not_allowed_token_type"),
        ("bot", "apps.connections.open", "not_allowed_token_type"),
    ],
)
async def test_each_token_works_only_for_its_own_methods(slack, kind, method, error):
    mine = slack.state.credentials
    tokens = {"no": "", "someone else's": "xoxb-x", "app": mine.app_token, "bot": mine.bot_token}
    assert await error_of(client_of(slack, tokens[kind]).api_call(method)) == error


async def test_a_method_that_is_not_emulated_is_refused_by_name(client):
    answer = await refusal(client.api_call("views.push"))
    assert (answer["error"], answer["errors"]) == ("unknown_method", ["not emulated: views.push"])


async def test_a_method_without_its_scope_says_which_one_it_needs(slack, client):
    slack.state.scopes = ("commands", "chat:write")
    answer = await refusal(client.usergroups_users_list(usergroup="S0MAILAPPROVERS"))
    assert answer["error"] == "missing_scope"
    assert answer["needed"] == "usergroups:read"
    assert answer["provided"] == "commands,chat:write"


async def test_users_info_tells_a_guest_a_stranger_and_a_deactivated_account(slack, client):
    slack.add_user("U1EVE", "Eve Far", team_id="T1OTHER")
    slack.set_flags("U0BOB", deleted=True)
    mallory = (await client.users_info(user="U0MALLORY"))["user"]
    eve = (await client.users_info(user="U1EVE"))["user"]
    bob = (await client.users_info(user="U0BOB"))["user"]
    assert (mallory["is_restricted"], mallory["is_admin"]) == (True, False)
    assert "is_stranger" not in mallory
    assert (eve["is_stranger"], eve["team_id"]) == (True, "T1OTHER")
    assert bob["deleted"] is True
    assert await error_of(client.users_info(user="U0NO")) == "user_not_found"


async def test_a_channel_tells_whether_the_app_is_in_it_and_whether_it_is_archived(slack, client):
    slack.set_channel(ADMIN, is_archived=True)
    info = (await client.conversations_info(channel=ADMIN))["channel"]
    assert (info["name"], info["is_archived"], info["is_member"]) == ("mail-admin", True, True)
    slack.set_channel(ADMIN, is_private=True)
    refused = await refusal(client.conversations_info(channel=ADMIN))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "groups:read")


async def test_a_channel_tells_with_whom_it_is_shared(slack, client):
    usual = (await client.conversations_info(channel=ADMIN))["channel"]
    slack.set_channel(ADMIN, is_pending_ext_shared=True)
    invited = (await client.conversations_info(channel=ADMIN))["channel"]
    slack.set_channel(ADMIN, is_pending_ext_shared=False, is_ext_shared=True)
    shared = (await client.conversations_info(channel=ADMIN))["channel"]
    flags = ("is_shared", "is_ext_shared", "is_pending_ext_shared")
    told = [[each[flag] for flag in flags] for each in (usual, invited, shared)]
    assert told == [[False, False, False], [False, False, True], [True, True, False]]


async def test_user_groups_are_listed_with_their_people(slack, client):
    slack.add_usergroup("S0MAIL", "mail-approvers", ["U0BOB", "U0CAROL"])
    listed = await client.usergroups_users_list(usergroup="S0MAIL")
    assert listed["users"] == ["U0BOB", "U0CAROL"]
    slack.disable_usergroup("S0MAIL")
    for group in ("S0NO", "S0MAIL"):
        gone = await refusal(client.usergroups_users_list(usergroup=group))
        assert gone["error"] == "no_such_subteam"
    listed = await client.usergroups_users_list(usergroup="S0MAIL", include_disabled=True)
    assert listed["users"] == ["U0BOB", "U0CAROL"]


async def test_posts_are_seen_in_order_with_a_ts_that_follows_the_clock(slack, client):
    first = await client.chat_postMessage(channel=ADMIN, text="one")
    slack.clock.advance(timedelta(days=3))
    second = await client.chat_postMessage(channel=ADMIN, text="two")
    assert [m.text for m in slack.sees("U0BOB", ADMIN)] == ["one", "two"]
    assert 0 < float(second["ts"]) - float(first["ts"]) - 3 * 86_400 < 60


async def test_a_post_may_be_a_form_with_blocks_as_a_json_string(slack, http):
    blocks = json.dumps([{"type": "divider"}])
    form = {
        "channel": ADMIN,
        "text": "x",
        "blocks": blocks,
        "token": slack.state.credentials.bot_token,
    }
    answer = await http.post(f"{slack.state.origin}/api/chat.postMessage", data=form)
    assert (await answer.json())["ok"] is True
    assert slack.sees("U0BOB", ADMIN)[0].blocks[0]["type"] == "divider"


async def test_a_post_to_a_person_goes_to_their_direct_messages_alone(slack, client):
    posted = await client.chat_postMessage(channel="U0ALICE", text="for you")
    assert posted["channel"] == slack.state.dm_with("U0ALICE").id == "D0ALICE"
    assert [m.text for m in slack.sees("U0ALICE", "D0ALICE")] == ["for you"]
    assert slack.sees("U0BOB", "D0ALICE") == []


async def test_replies_stand_in_the_thread_and_are_counted(slack, client):
    root = await client.chat_postMessage(channel=ADMIN, text="card")
    await client.chat_postMessage(channel=ADMIN, text="vote", thread_ts=root["ts"])
    (card,) = slack.sees("U0BOB", ADMIN)
    assert card.reply_count == 1
    thread = slack.sees("U0BOB", ADMIN, thread_ts=root["ts"])
    assert [m.text for m in thread] == ["card", "vote"]


async def test_only_the_addressee_sees_an_ephemeral_and_not_for_ever(slack, client):
    await client.chat_postEphemeral(channel=ADMIN, user="U0MALLORY", text="You may not.")
    assert [m.is_ephemeral for m in slack.sees("U0MALLORY", ADMIN)] == [True]
    assert slack.sees("U0BOB", ADMIN) == []
    slack.forget_ephemerals()
    assert slack.sees("U0MALLORY", ADMIN) == []


async def test_an_update_without_blocks_keeps_them_and_an_empty_list_takes_them_away(slack, client):
    blocks = [{"type": "divider"}]
    posted = await client.chat_postMessage(channel=ADMIN, text="one", blocks=blocks)
    await client.chat_update(channel=ADMIN, ts=posted["ts"], text="two")
    (kept,) = slack.sees("U0BOB", ADMIN)
    assert (kept.text, len(kept.blocks), kept.edited is None) == ("two", 1, False)
    await client.chat_update(channel=ADMIN, ts=posted["ts"], text="three", blocks=[])
    assert slack.sees("U0BOB", ADMIN)[0].blocks == []


async def test_only_the_apps_own_lasting_messages_can_be_updated(slack, client):
    said = slack.say("U0BOB", ADMIN, "hello")
    whisper = await client.chat_postEphemeral(channel=ADMIN, user="U0BOB", text="psst")
    for ts in (said.ts, whisper["message_ts"]):
        error = await error_of(client.chat_update(channel=ADMIN, ts=ts, text="x"))
        assert error == "cant_update_message"
    assert (
        await error_of(client.chat_update(channel=ADMIN, ts="1.000000", text="x"))
        == "message_not_found"
    )


@pytest.mark.parametrize(
    ("changes", "arguments", "error"),
    [
        ({"is_archived": True}, {}, "is_archived"),
        ({"members": ("U0ALICE",)}, {}, "not_in_channel"),
        ({"members": ("U0ALICE",), "is_private": True}, {}, "channel_not_found"),
        ({}, {"channel": "C0NOWHERE"}, "channel_not_found"),
        ({}, {"channel": None}, "invalid_arguments"),
        ({}, {"text": ""}, "no_text"),
        ({}, {"text": "x" * 40_001}, "msg_too_long"),
        ({}, {"blocks": "{broken"}, "invalid_blocks_format"),
        ({}, {"blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({}, {"blocks": [{"type": "knob"}]}, "invalid_blocks"),
    ],
)
async def test_a_post_that_slack_would_refuse_is_refused(slack, client, changes, arguments, error):
    slack.set_channel(ADMIN, **changes)
    message = {"channel": ADMIN, "text": "x"} | arguments
    answer = await refusal(client.api_call("chat.postMessage", json=message))
    assert answer["error"] == error
    where = "[ERROR] unsupported type: knob [json-pointer:/blocks/0/type]"
    said = answer.get("response_metadata", {}).get("messages", [])
    assert (where in said) is (error == "invalid_blocks")


async def test_a_permalink_leads_to_the_message(slack, client):
    posted = await client.chat_postMessage(channel=ADMIN, text="x")
    link = await client.chat_getPermalink(channel=ADMIN, message_ts=posted["ts"])
    assert link["permalink"].endswith(f"/archives/{ADMIN}/p{posted['ts'].replace('.', '')}")
    assert (
        await error_of(client.chat_getPermalink(channel=ADMIN, message_ts="1.0"))
        == "message_not_found"
    )


async def test_a_trigger_opens_one_view_for_its_person(slack, client):
    trigger = new_trigger(slack)
    opened = (await client.views_open(trigger_id=trigger, view=MODAL))["view"]
    assert slack.open_view("U0ALICE").id == opened["id"] == opened["root_view_id"]
    assert slack.open_view("U0BOB") is None
    again = await refusal(client.views_open(trigger_id=trigger, view=MODAL))
    made_up = await refusal(client.views_open(trigger_id="1.2.x", view=MODAL))
    assert (again["error"], made_up["error"]) == ("exchanged_trigger_id", "invalid_trigger_id")


async def test_a_trigger_expires_by_real_time_not_by_the_sandbox_clock(slack, client):
    fresh = new_trigger(slack)
    slack.clock.advance(timedelta(hours=5))
    assert (await client.views_open(trigger_id=fresh, view=MODAL))["ok"]
    slack.state.trigger_lifetime = 0
    assert (
        await error_of(client.views_open(trigger_id=new_trigger(slack), view=MODAL))
        == "expired_trigger_id"
    )


async def test_a_view_is_updated_by_id_and_hash_and_refused_after_someone_was_faster(slack, client):
    opened = (await client.views_open(trigger_id=new_trigger(slack), view=MODAL))["view"]
    update = {"view_id": opened["id"], "hash": opened["hash"], "view": MODAL}
    assert (await client.views_update(**update))["view"]["hash"] != opened["hash"]
    assert await error_of(client.views_update(**update)) == "hash_conflict"
    assert await error_of(client.views_update(view_id="V0NO", view=MODAL)) == "not_found"


async def test_a_malformed_or_huge_view_is_refused_and_keeps_the_trigger_fresh(slack, client):
    trigger = new_trigger(slack)
    assert (
        await error_of(client.views_open(trigger_id=trigger, view=MODAL | {"blocks": "x"}))
        == "invalid_arguments"
    )
    huge = MODAL | {"private_metadata": "x" * 250_001}
    assert await error_of(client.views_open(trigger_id=trigger, view=huge)) == "view_too_large"
    assert (await client.views_open(trigger_id=trigger, view=MODAL))["ok"]


@pytest.mark.parametrize(
    ("fault", "meets", "done"),
    [
        (Fault("chat.postMessage", FaultKind.RATELIMITED, times=2, retry_after=7), [429, 429], 1),
        (Fault("chat.postMessage", FaultKind.ERROR, skip=1, error="edit_window_closed"), [200], 2),
        (Fault("chat.postMessage", FaultKind.SERVER_ERROR), [500], 2),
        (Fault("chat.postMessage", FaultKind.LOST_ANSWER), ["cut"], 3),
        (Fault("*", FaultKind.DROPPED), ["cut"], 2),
    ],
)
async def test_a_planned_fault_strikes_as_often_as_planned(slack, http, fault, meets, done):
    slack.faults.plan(fault)
    form = {"channel": ADMIN, "text": "x", "token": slack.state.credentials.bot_token}
    met, said = [], set()
    for _ in range(3):
        try:
            answer = await http.post(f"{slack.state.origin}/api/chat.postMessage", data=form)
            met.append(answer.status)
            said |= {answer.headers.get("Retry-After"), (await answer.text())[:44]}
        except aiohttp.ClientError:
            met.append("cut")
    assert met == [*meets, *[200] * (3 - len(meets))]
    assert len(slack.sees("U0BOB", ADMIN)) == done
    assert ("7" in said) is (fault.kind is FaultKind.RATELIMITED)
    assert ('{"ok": false, "error": "edit_window_closed"}' in said) is (fault.skip == 1)


async def test_the_request_log_has_the_arguments_but_no_token(slack, http):
    form = {"channel": ADMIN, "text": "x", "token": slack.state.credentials.bot_token}
    await http.post(f"{slack.state.origin}/api/chat.postMessage", data=form)
    (request,) = slack.requests
    assert (request.method, request.error) == ("chat.postMessage", None)
    assert request.arguments == {"channel": ADMIN, "text": "x"}


async def test_a_response_url_works_five_times_within_thirty_minutes(slack, http):
    url, unused = new_response_url(slack), new_response_url(slack)
    uses = [(await http.post(url, json={"text": "x"})).status for _ in range(5)]
    sixth = await http.post(url, json={"text": "x"})
    assert uses == [200] * 5
    assert (sixth.status, (await sixth.json())["error"]) == (404, "used_url")
    slack.clock.advance(timedelta(minutes=31))
    late = await http.post(unused, json={"text": "x"})
    assert (late.status, (await late.json())["error"]) == (404, "expired_url")
    assert len(slack.sees("U0ALICE", ADMIN)) == 5


async def test_a_response_url_checks_blocks_and_text(slack, http):
    url = new_response_url(slack)
    knob = await http.post(url, json={"text": "x", "blocks": [{"type": "knob"}]})
    empty = await http.post(url, json={"text": ""})
    assert (knob.status, (await knob.json())["error"]) == (400, "invalid_blocks")
    assert (await empty.json())["error"] == "no_text"


async def test_answers_to_a_command_are_private_unless_they_say_otherwise(slack, http):
    url = new_response_url(slack)
    await http.post(url, json={"text": "private"})
    await http.post(url, json={"text": "public", "response_type": "in_channel"})
    assert [m.text for m in slack.sees("U0ALICE", ADMIN)] == ["private", "public"]
    assert [m.text for m in slack.sees("U0BOB", ADMIN)] == ["public"]


async def test_an_answer_to_a_click_that_forgets_to_say_replaces_the_card(slack, client, http):
    posted = await client.chat_postMessage(channel=ADMIN, text="card")
    card = slack.sees("U0BOB", ADMIN)[0]
    url = new_response_url(slack, card)
    await http.post(url, json={"text": "whisper", "response_type": "ephemeral"})
    await http.post(url, json={"text": "loud", "replace_original": False})
    assert [m.text for m in slack.sees("U0BOB", ADMIN)] == ["card", "loud"]
    await http.post(url, json={"text": "overwritten"})
    assert slack.sees("U0BOB", ADMIN)[0].text == "overwritten"
    await http.post(url, json={"delete_original": True})
    assert posted["ts"] not in [m.ts for m in slack.sees("U0BOB", ADMIN)]


async def test_a_workspace_survives_being_written_to_disk(slack, client):
    await client.chat_postMessage(channel=ADMIN, text="card", blocks=[{"type": "divider"}])
    await client.views_open(trigger_id=new_trigger(slack), view=MODAL)
    dumped = json.loads(json.dumps(slack.state.dump()))
    other = SlackWorkspace(clock=slack.clock)
    other.state.load(dumped)
    assert other.sees("U0BOB", ADMIN) == slack.sees("U0BOB", ADMIN)
    assert other.open_view("U0ALICE") == slack.open_view("U0ALICE")
    assert other.state.credentials.bot_token == slack.state.credentials.bot_token
    assert other.state.dump() == slack.state.dump()
