"""A usergroup as approvers, and Slack's word about groups and access, over the real wires."""

from __future__ import annotations

import asyncio

import pytest

from bot import settings
from bot.app import build
from bot.errors import SettingsError
from bot.sandbox import world
from bot.sandbox.slack.faults import Fault, FaultKind
from tests.scenarios.play import ALICE, BOB, CAROL, ERIN, OSCAR, RENAME, Play

GROUP = world.MAIL_APPROVERS
NOT_APPROVER = "You are not among the approvers of this workspace's sender."
STRANGER = "You are not a member of this workspace; only its members may do this."


@pytest.fixture
def may_read_groups(empty_play: Play) -> Play:
    empty_play.slack.state.scopes = (*empty_play.slack.state.scopes, "usergroups:read")
    return empty_play


@pytest.fixture
async def grouped(may_read_groups: Play) -> Play:
    """The bot with a group as its only approvers."""
    await may_read_groups.start(MAILCFG_APPROVERS=GROUP.id)
    return may_read_groups


async def test_the_members_of_a_group_approve(grouped: Play):
    card = await grouped.asks()
    assert "Approvers: @mail-approvers" in grouped.stage.read(card)

    await grouped.clicks(BOB, "approve", card)
    await grouped.clicks(CAROL, "approve", card)

    await grouped.says(card, "In force")


async def test_whoever_leaves_the_group_is_refused_at_the_next_click(grouped: Play):
    card = await grouped.asks()
    await grouped.clicks(BOB, "approve", card)

    await grouped.slack.set_members(GROUP.id, [BOB.id])

    assert await grouped.clicks(CAROL, "approve", card) == NOT_APPROVER
    await grouped.says(card, "1 of 2 approvals")


async def test_whoever_joins_the_group_approves_at_once(grouped: Play):
    card = await grouped.asks(RENAME)
    assert await grouped.clicks(ERIN, "approve", card) == NOT_APPROVER

    await grouped.slack.set_members(GROUP.id, [BOB.id, ERIN.id])
    await grouped.clicks(ERIN, "approve", card)

    await grouped.says(card, "In force")


async def test_a_group_that_cannot_be_read_refuses_the_click(grouped: Play):
    card = await grouped.asks()
    assert grouped.bot is not None
    grouped.bot.served.directory.forget_groups()
    grouped.slack.faults.plan(Fault("usergroups.users.list", FaultKind.RATELIMITED, times=5))

    answer = await grouped.clicks(BOB, "approve", card)

    assert answer.startswith("Could not check with Slack who you are, so nothing was done.")
    assert "0 of 2 approvals" in grouped.stage.read(grouped.card())


@pytest.mark.parametrize(
    ("scopes", "approvers", "fault"),
    [
        (
            (),
            GROUP.id,
            f"MAILCFG_APPROVERS has the group {GROUP.id}: mailcfg may not read groups. Add the scope "
            "usergroups:read to the Slack app (`mailcfg manifest --groups` prints it) and install "
            "the app again.",
        ),
        (
            ("usergroups:read",),
            "S0NEVER",
            "MAILCFG_APPROVERS has the group S0NEVER: Slack knows no such group, or it is disabled. "
            "Give the id (S…) of one that exists.",
        ),
        (
            (),
            "U0BOB,U0MALLORY",
            "MAILCFG_APPROVERS names only 1 who may approve, but a change can need 2 approvals: add "
            "full, active members of this workspace, or lower MAILCFG_APPROVALS_SENSITIVE.",
        ),
    ],
)
async def test_the_bot_does_not_start_with_approvers_who_can_never_approve(
    empty_play: Play, scopes: tuple[str, ...], approvers: str, fault: str
):
    empty_play.slack.state.scopes = (*empty_play.slack.state.scopes, *scopes)
    values = empty_play.environment() | {"MAILCFG_APPROVERS": approvers}
    async with await build(settings.from_values(values), empty_play.stage.clock) as app:
        with pytest.raises(SettingsError) as refused:
            await app.wait()
        assert not (await app.readiness())["slack"]

    assert refused.value.faults == (fault,)


async def test_the_bot_waits_for_slack_to_say_who_is_in_the_group(may_read_groups: Play):
    fault = Fault("usergroups.users.list", FaultKind.SERVER_ERROR)
    may_read_groups.slack.faults.plan(fault)

    app = await may_read_groups.start(MAILCFG_APPROVERS=GROUP.id)

    assert (await app.readiness())["slack"]
    assert may_read_groups.slack.faults.planned == []


UNINSTALLED = {"type": "app_uninstalled"}
REVOKED = {"type": "tokens_revoked", "tokens": {"bot": [world.BOT_USER_ID]}}


@pytest.mark.parametrize("event", [UNINSTALLED, REVOKED], ids=lambda e: e["type"])
async def test_without_access_the_bot_is_not_ready_and_begins_nothing(
    play: Play, event: dict[str, object], capsys: pytest.CaptureFixture[str]
):
    assert play.bot is not None
    play.slack.faults.plan(Fault("auth.test", FaultKind.ERROR, error="account_inactive"))

    await play.slack.event(event)
    await asyncio.wait(play.bot._tasks, timeout=0.2)

    assert play.slack.faults.planned == []
    assert not (await play.bot.readiness())["slack"]
    said = capsys.readouterr().out
    assert "Slack has withdrawn mailcfg's access; paused until it works again" in said


async def test_a_call_that_is_refused_tells_that_access_is_withdrawn_as_well(play: Play):
    card = await play.asks()
    assert play.bot is not None
    for method in ("users.info", "auth.test"):
        play.slack.faults.plan(Fault(method, FaultKind.ERROR, error="token_revoked", times=99))

    assert (await play.clicks(BOB, "approve", card)).startswith("Could not check with Slack")

    assert not (await play.bot.readiness())["slack"]


async def test_access_that_works_again_ends_the_pause(play: Play, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bot.app.RESUME_SECONDS", 0.01)
    assert play.bot is not None
    refused = Fault("auth.test", FaultKind.ERROR, error="account_inactive", times=3)
    play.slack.faults.plan(refused)

    await play.slack.event(REVOKED)
    await play.slack.event(UNINSTALLED)
    await asyncio.gather(*play.bot._tasks, return_exceptions=True)

    assert (await play.bot.readiness())["slack"]
    await play.asks()


async def test_access_that_still_works_is_found_out_by_asking(play: Play):
    assert play.bot is not None
    before = len(asked(play))

    await play.slack.event(REVOKED)
    await asyncio.gather(*play.bot._tasks)

    assert len(asked(play)) == before + 1
    assert (await play.bot.readiness())["slack"]
    await play.asks()


def asked(play: Play) -> list[str]:
    return [r.method for r in play.slack.requests if r.method == "auth.test"]


async def test_a_click_from_another_workspace_is_refused_without_a_look_up(play: Play):
    card = await play.asks()

    assert await play.clicks(OSCAR, "approve", card) == STRANGER

    looked_up = [r.arguments.get("user") for r in play.slack.requests if r.method == "users.info"]
    assert OSCAR.id not in looked_up
    assert any("other_team" in body for body in play.stored("SELECT body FROM audit"))


async def test_a_quorum_that_was_raised_is_on_the_card_of_the_open_request(play: Play):
    card = await play.asks(RENAME)
    await play.stop()

    await play.start(MAILCFG_APPROVALS="2")

    await play.says(card, "0 of 2 approvals")
    assert "0 of 2 approvals, until" in await play.types(ALICE, "pending")
    assert (await play.clicks(BOB, "approve", card)).endswith("is recorded: 1 of 2.")
