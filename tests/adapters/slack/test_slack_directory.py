"""Who people are, by what Slack says of them; whoever cannot be looked up may do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bot.adapters.slack.directory import SlackDirectory, facts_of
from bot.adapters.slack.workspace import Identity, SlackFault, Workspace, web_client
from bot.domain.policy import Actor, Facts
from bot.errors import CouldNotCheck, GroupTrouble, NotAllowed
from bot.sandbox import world
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from tests.fakes import FakeClock

ALICE = Actor("T0ACME", "U0ALICE")
COULD_NOT = "Could not check with Slack who you are, so nothing was done. Try again in a minute."


@pytest.fixture
def directory(workspace: Workspace, clock: FakeClock) -> SlackDirectory:
    return SlackDirectory(workspace, clock)


async def test_a_full_member_has_no_flag_and_the_time_of_the_look_up(directory: SlackDirectory):
    assert await directory.look_up(ALICE) == Facts(ALICE, fetched_at="2026-03-02T09:00:00Z")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("is_restricted", "is_guest"),
        ("is_ultra_restricted", "is_guest"),
        ("is_bot", "is_bot"),
        ("is_workflow_bot", "is_bot"),
        ("is_connector_bot", "is_bot"),
        ("deleted", "is_deleted"),
        ("is_stranger", "is_stranger"),
    ],
)
async def test_each_of_slacks_flags_is_seen_at_the_next_look(
    directory: SlackDirectory, slack: SlackWorkspace, flag: str, said: str
):
    await directory.look_up(ALICE)
    slack.set_flags("U0ALICE", **{flag: True})
    facts = await directory.look_up(ALICE)
    flags = {"is_guest", "is_bot", "is_deleted", "is_stranger"}
    assert {name for name in flags if getattr(facts, name)} == {said}


async def test_an_app_user_is_an_ordinary_member(directory: SlackDirectory, slack: SlackWorkspace):
    slack.set_flags("U0ALICE", is_app_user=True, is_admin=False)
    assert await directory.look_up(ALICE) == Facts(ALICE, fetched_at="2026-03-02T09:00:00Z")


async def test_somebody_of_another_team_is_a_stranger(
    directory: SlackDirectory, slack: SlackWorkspace
):
    slack.add_user("U0OTHER", "Oscar Other", team_id="T0OTHER")
    assert (await directory.look_up(Actor("T0OTHER", "U0OTHER"))).is_stranger


async def test_a_payload_from_another_team_is_a_strangers(directory: SlackDirectory):
    assert (await directory.look_up(Actor("T0OTHER", "U0ALICE"))).is_stranger


async def test_somebody_whom_slack_does_not_know_may_not(directory: SlackDirectory):
    with pytest.raises(NotAllowed, match=r"^Slack does not know you here\.$"):
        await directory.look_up(Actor("T0ACME", "U0NOBODY"))


@pytest.fixture
def grouped(slack: SlackWorkspace) -> SlackWorkspace:
    """A workspace with a group of approvers that the app may read."""
    slack.state.scopes = (*slack.state.scopes, "usergroups:read")
    slack.add_usergroup("S0MAIL", "mail-approvers", ["U0ALICE", "U0BOB"])
    slack.add_usergroup("S0OTHER", "others", ["U0BOB"])
    return slack


async def test_the_groups_that_are_asked_about_are_said(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    assert (await directory.look_up(ALICE, ("S0MAIL", "S0OTHER"))).groups == ("S0MAIL",)
    assert (await directory.look_up(ALICE)).groups == ()
    assert read_groups(grouped) == ["S0MAIL", "S0OTHER"]


def read_groups(slack: SlackWorkspace) -> list[str]:
    asked = [r for r in slack.requests if r.method == "usergroups.users.list"]
    return [request.arguments["usergroup"] for request in asked]


async def test_who_is_in_a_group_is_kept_for_a_minute_and_read_anew_where_it_must_be(
    directory: SlackDirectory, grouped: SlackWorkspace, clock: FakeClock
):
    await directory.look_up(ALICE, ("S0MAIL",))
    grouped.add_usergroup("S0MAIL", "mail-approvers", ["U0BOB"])
    clock.advance(seconds=59)

    assert (await directory.look_up(ALICE, ("S0MAIL",))).groups == ("S0MAIL",)
    assert (await directory.look_up(ALICE, ("S0MAIL",), afresh=True)).groups == ()
    assert read_groups(grouped) == ["S0MAIL", "S0MAIL"]


async def test_a_minute_later_a_group_is_read_again(
    directory: SlackDirectory, grouped: SlackWorkspace, clock: FakeClock
):
    await directory.look_up(ALICE, ("S0MAIL",))
    grouped.add_usergroup("S0MAIL", "mail-approvers", ["U0BOB"])
    clock.advance(seconds=60)

    assert (await directory.look_up(ALICE, ("S0MAIL",))).groups == ()


async def test_a_group_that_was_forgotten_is_read_again(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    await directory.look_up(ALICE, ("S0MAIL",))
    grouped.add_usergroup("S0MAIL", "mail-approvers", ["U0BOB"])
    directory.forget_groups()

    assert (await directory.look_up(ALICE, ("S0MAIL",))).groups == ()


async def test_a_group_is_known_by_either_id_of_its_member(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    grouped.set_flags("U0ALICE", enterprise_user={"id": "W0ALICE", "teams": ["T0ACME"]})
    grouped.add_usergroup("S0MAIL", "mail-approvers", ["W0ALICE"])

    assert (await directory.look_up(ALICE, ("S0MAIL",))).groups == ("S0MAIL",)


async def test_nobody_is_in_a_group_that_does_not_exist_or_is_disabled(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    grouped.disable_usergroup("S0MAIL")

    assert (await directory.look_up(ALICE, ("S0MAIL", "S0NEVER"))).groups == ()
    with pytest.raises(GroupTrouble) as missing:
        await directory.named("S0MAIL")
    assert missing.value.cure == (
        "Slack knows no such group, or it is disabled. Give the id (S…) of one that exists."
    )


async def test_a_group_that_may_not_be_read_refuses_and_says_the_cure_to_the_operator(
    directory: SlackDirectory, slack: SlackWorkspace
):
    with pytest.raises(CouldNotCheck) as refused:
        await directory.look_up(ALICE, (world.MAIL_APPROVERS.id,))
    assert str(refused.value) == (
        "Could not check with Slack who is in the group of approvers, so nothing was done. Tell "
        "whoever runs mailcfg."
    )
    assert isinstance(refused.value, GroupTrouble)
    assert refused.value.cure == (
        "mailcfg may not read groups. Add the scope usergroups:read to the Slack app "
        "(`mailcfg manifest --groups` prints it) and install the app again."
    )


async def test_a_group_that_cannot_be_read_now_refuses(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    grouped.faults.plan(Fault("usergroups.users.list", FaultKind.RATELIMITED))
    with pytest.raises(CouldNotCheck) as refused:
        await directory.look_up(ALICE, ("S0MAIL",))
    assert str(refused.value) == COULD_NOT


async def test_an_id_stands_for_a_person_or_for_the_members_of_a_group(
    directory: SlackDirectory, grouped: SlackWorkspace
):
    bob = Actor("T0ACME", "U0BOB")
    assert await directory.named("U0BOB") == (bob,)
    assert await directory.named("S0MAIL") == (ALICE, bob)


FAULTS = {
    "rate limited": Fault("users.info", FaultKind.RATELIMITED),
    "a server error": Fault("users.info", FaultKind.SERVER_ERROR),
    "a dropped connection": Fault("users.info", FaultKind.DROPPED, times=2),
    "a lost answer": Fault("users.info", FaultKind.LOST_ANSWER, times=2),
    "a missing scope": Fault("users.info", FaultKind.ERROR, error="missing_scope"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_failed_look_up_refuses(
    directory: SlackDirectory, slack: SlackWorkspace, fault: Fault
):
    slack.faults.plan(fault)
    with pytest.raises(CouldNotCheck) as refusal:
        await directory.look_up(ALICE)
    assert str(refusal.value) == COULD_NOT


@pytest.fixture
async def silent_slack() -> AsyncIterator[str]:
    """An address where connections are taken and never answered."""

    async def wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait_for_ever, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/"
    server.close()


async def test_a_look_up_that_takes_too_long_refuses(
    silent_slack: str, session: aiohttp.ClientSession, clock: FakeClock
):
    workspace = Workspace(web_client(SecretStr("xoxb-1"), silent_slack, session), session)
    workspace.identity = Identity("T0ACME", None, "U0MAILCFG", "B0MAILCFG")
    with pytest.raises(CouldNotCheck):
        await SlackDirectory(workspace, clock, within_seconds=0.05).look_up(ALICE)


HALF_ANSWERS: dict[str, Any] = {
    "nothing": {},
    "no person": {"user": None},
    "an empty person": {"user": {}},
    "a list": {"user": ["U0ALICE"]},
}


@pytest.mark.parametrize("answer", HALF_ANSWERS.values(), ids=HALF_ANSWERS.keys())
async def test_half_an_answer_is_none(
    session: aiohttp.ClientSession, clock: FakeClock, answer: dict[str, Any]
):
    async def answered(_: web.Request) -> web.Response:
        return web.json_response({"ok": True} | answer)

    far_end = web.Application()
    far_end.router.add_get("/api/users.info", answered)
    far_end.router.add_get("/api/usergroups.users.list", answered)
    far_end.router.add_post("/api/auth.test", answered)
    async with TestServer(far_end) as server:
        base_url = str(server.make_url("/api/"))
        workspace = Workspace(web_client(SecretStr("xoxb-1"), base_url, session), session)
        with pytest.raises(SlackFault):
            await workspace.introduce()
        workspace.identity = Identity("T0ACME", None, "U0MAILCFG", "B0MAILCFG")
        with pytest.raises(CouldNotCheck):
            await SlackDirectory(workspace, clock).look_up(ALICE)
        with pytest.raises(CouldNotCheck):
            await SlackDirectory(workspace, clock).named("S0ADMINS")


async def test_nobody_is_known_before_slack_has_said_who_we_are(
    silent_slack: str, session: aiohttp.ClientSession, clock: FakeClock
):
    workspace = Workspace(web_client(SecretStr("xoxb-1"), silent_slack, session), session)
    with pytest.raises(CouldNotCheck):
        await SlackDirectory(workspace, clock).look_up(ALICE)


ALONE = Identity("T0ACME", None, "U0MAILCFG", "B0MAILCFG")
GRID = Identity("T0ACME", "E0ACME", "U0MAILCFG", "B0MAILCFG")
HERE = {"id": "E0ACME", "enterprise_id": "E0ACME", "teams": ["T0ACME", "T0OTHER"]}


@pytest.mark.parametrize(
    ("us", "actor", "person", "is_stranger"),
    [
        (ALONE, ALICE, {"team_id": "T0ACME"}, False),
        (ALONE, ALICE, {}, False),
        (ALONE, ALICE, {"team_id": "T0OTHER"}, True),
        (ALONE, ALICE, {"team_id": "T0ACME", "is_stranger": True}, True),
        (ALONE, Actor("", "U0ALICE"), {"team_id": "T0ACME"}, True),
        (GRID, Actor("T0OTHER", "U0ALICE"), {"team_id": "T0OTHER", "enterprise_user": HERE}, False),
        (GRID, ALICE, {"enterprise_user": HERE | {"teams": ["T0OTHER"]}}, True),
        (GRID, ALICE, {"enterprise_user": HERE | {"enterprise_id": "E0OTHER"}}, False),
        (
            GRID,
            Actor("T0OTHER", "U0ALICE"),
            {"team_id": "T0OTHER", "enterprise_user": HERE | {"enterprise_id": "E0OTHER"}},
            True,
        ),
    ],
)
def test_who_counts_as_a_stranger(us: Identity, actor: Actor, person: dict, is_stranger: bool):
    assert facts_of(actor, person, us, "").is_stranger is is_stranger


def test_the_id_across_the_enterprise_makes_one_person_of_two_accounts():
    person = {"enterprise_user": {"id": "W0ALICE", "enterprise_id": "E0ACME"}}
    known = facts_of(ALICE, person, GRID, "").actor
    assert known.principal == "W0ALICE"
    assert known.is_same_person(Actor("T0OTHER", "U0SECOND", "W0ALICE"))


def test_slackbot_is_a_bot_though_it_has_no_flag():
    assert facts_of(Actor("T0ACME", "USLACKBOT"), {"id": "USLACKBOT"}, ALONE, "").is_bot
