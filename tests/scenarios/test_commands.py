"""Every command as every kind of person types it, over Slack's wire."""

from __future__ import annotations

import pytest

from bot.domain.command import SUBCOMMANDS
from tests.scenarios.play import (
    ALICE,
    BOB,
    CAROL,
    ERIN,
    GONE,
    MALLORY,
    MOVE,
    OSCAR,
    RENAME,
    ROBOT,
    Person,
    Play,
    head_cut_off,
)

GUEST = "You are a guest in this workspace; only full members may do this."
STRANGER = "You are not a member of this workspace; only its members may do this."
ONLY_PEOPLE = "Bots may not do this; a person must."
DEACTIVATED = "Your account in this workspace is deactivated."
NOT_REQUESTER = (
    "You are not among those who may ask for changes. Ask whoever runs mailcfg to add your Slack id "
    "U0ERIN to MAILCFG_REQUESTERS."
)
NOBODIES = [(MALLORY, GUEST), (OSCAR, STRANGER), (ROBOT, ONLY_PEOPLE), (GONE, DEACTIVATED)]
ASKING = [MOVE, 'reset reason="x"', 'accept reason="x"']
LOOKING = ["show", "pending", "check", "dns"]

each_nobody = pytest.mark.parametrize(
    ("nobody", "why"), NOBODIES, ids=["guest", "stranger", "bot", "deactivated"]
)


@each_nobody
async def test_who_is_no_full_member_may_neither_look_nor_ask(play: Play, nobody: Person, why: str):
    answers = {command: await play.types(nobody, command) for command in (*LOOKING, *ASKING)}
    assert answers == dict.fromkeys((*LOOKING, *ASKING), why)
    assert play.texts("C0MAILADMIN") == []


@pytest.mark.parametrize(("nobody", "why"), NOBODIES[:2], ids=["guest", "stranger"])
async def test_who_is_no_full_member_gets_no_form(play: Play, nobody: Person, why: str):
    view = await play.asks_in_form(nobody)
    assert why in play.slack.plain_text(view)
    assert "scott@acme.example" not in play.slack.plain_text(view)


@each_nobody
async def test_help_is_for_everybody(play: Play, nobody: Person, why: str):
    for command in ("help", ""):
        answer = await play.types(nobody, command)
        assert f"You may do nothing here. Your Slack id is {nobody.id}." in answer


async def test_a_member_who_is_not_listed_may_not_ask(play: Play):
    answers = [await play.types(ERIN, command) for command in ASKING]
    assert answers == [NOT_REQUESTER] * 3


async def test_a_member_who_is_not_listed_gets_no_form(play: Play):
    assert NOT_REQUESTER in play.slack.plain_text(await play.asks_in_form(ERIN))


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (ALICE, "look, ask for changes"),
        (BOB, "look, ask for changes, approve what others ask for"),
        (ERIN, "look"),
    ],
    ids=["requester", "approver", "member"],
)
async def test_help_says_what_this_person_may_do(play: Play, who: Person, may: str):
    answer = await play.types(who, "help")
    assert f"You may {may}. Your Slack id is {who.id}." in answer
    assert "Can ask: @Alice, @Bob, @Carol\nCan approve: @Bob, @Carol" in answer
    assert all(f"/mailcfg {row.usage}" in answer for row in SUBCOMMANDS)


@pytest.mark.parametrize("who", [ALICE, BOB, ERIN], ids=["requester", "approver", "member"])
async def test_a_member_sees_what_is_live(play: Play, who: Person):
    live = play.cliq.configuration
    assert live is not None
    answer = await play.types(who, "show")
    assert "Display name: Scott Fisher\nAddress: scott@acme.example\n" in answer
    assert "DKIM status: not verified\nCNAME status: verified\n" in answer
    assert f"DKIM host: {live['dkim_host']}\nDKIM key: 1024 bits, …" in answer
    assert "Nothing approved yet DKIM record not published yet; right at 0 of 2 servers" in answer
    assert "· last checked " in answer


async def test_show_says_when_the_system_sender_is_in_use(play: Play):
    play.cliq.edit()
    answer = await play.types(ALICE, "show")
    assert "Cliq's system sender is in use: no custom sender is set." in answer


async def test_show_says_who_approved_last(play: Play):
    card = await play.approved()
    await play.says(card, "In force")
    assert "Approved last as #1 by @Bob, @Carol, today at" in await play.types(ERIN, "show")


async def test_dns_gives_the_record_ready_to_copy_and_shares_it_on_request(play: Play):
    live = play.cliq.configuration
    assert live is not None
    answer = await play.types(ERIN, "dns")
    assert live["dkim_value"] in answer
    assert "Do not publish until accepted: what is live was not approved." in answer

    mine = [m for m in play.slack.sees(ERIN.id, "C0MAILADMIN") if m.ephemeral_to][-1]
    await play.slack.click(ERIN.id, mine.channel, mine.ts, "share")

    shared = await play.shows("Shared by @Erin")
    assert live["dkim_value"] in shared


async def test_dns_says_when_there_is_no_record_to_publish(play: Play):
    play.cliq.edit()
    assert await play.types(ALICE, "dns") == (
        "Cliq's system sender is in use, so there is no record to publish."
    )


async def test_pending_tells_of_the_open_request_with_a_link(play: Play):
    assert await play.types(ERIN, "pending") == "No request is open."
    await play.asks()
    answer = await play.types(ERIN, "pending")
    assert answer.startswith("Request #1 (http://127.0.0.1:")
    assert (
        ") to change sender address, asked by @Alice: waiting for approval, 0 of 2 approvals, "
        "until tomorrow at"
    ) in answer


@pytest.mark.parametrize("word", ["withdraw", "cancel"])
async def test_who_asked_takes_the_request_back(play: Play, word: str):
    card = await play.asks()
    assert await play.types(ALICE, word) == "Request #1 is withdrawn; nothing was changed."
    assert "Withdrawn by the requester. Nothing was changed." in await play.says(card, "Withdrawn")
    await play.until(
        lambda: (
            [head_cut_off(line) for line in play.thread(card)]
            == ["@Alice withdrew #1. Nothing was changed."]
        ),
        "the line",
    )


async def test_an_approver_may_ask_and_the_other_approver_agrees(play: Play):
    card = await play.asks(RENAME, BOB)
    assert "Approvers: @Carol" in play.stage.read(card)
    await play.clicks(CAROL, "approve")
    await play.says(card, "In force: change display name")


async def test_an_approver_cannot_ask_for_what_would_need_more_approvers_than_there_are(play: Play):
    assert await play.types(BOB, MOVE) == (
        "This change needs 2 approvals, and besides you there is 1 approver. Let somebody who is no "
        "approver ask, or have whoever runs mailcfg add one to MAILCFG_APPROVERS."
    )


async def test_a_form_asks_for_a_change_of_what_was_changed_in_it(play: Play):
    view = await play.asks_in_form(ALICE)
    assert "Display name: [Scott Fisher]\nAddress: [scott@acme.example]" in play.slack.plain_text(
        view
    )

    typed = {"name": "IT", "dkim_key_size": "2048", "reason": "Nobody knows Scott"}
    outcome = await play.slack.submit(ALICE.id, view.id, typed)

    assert outcome.view is not None
    assert "Request #1 is posted for approval." in play.slack.plain_text(outcome.view)
    card = await play.shows("Waiting for approval")
    assert "Display name: Scott Fisher → IT\nDKIM key size: 1024 bits → 2048 bits" in card
    assert "Unchanged: address, CNAME status" in card


async def test_a_reset_removes_the_sender_once_two_have_agreed(play: Play):
    card = await play.approved('reset reason="Back to the system sender"')
    await play.says(card, "In force: remove the custom sender")
    assert play.cliq.configuration is None
    assert [write.method for write in play.cliq.writes()] == ["DELETE"]


async def test_accepting_what_is_live_writes_nothing(play: Play):
    card = await play.approved('accept reason="It has always been so"')
    await play.says(card, "Live configuration accepted")
    assert play.cliq.writes() == []
    assert "Approved last as #1" in await play.types(ALICE, "show")


async def test_everybody_may_ask_where_requesters_is_a_star(empty_play: Play):
    await empty_play.start(MAILCFG_REQUESTERS="*")
    await empty_play.asks(who=ERIN)
    assert await empty_play.types(MALLORY, MOVE) == GUEST


async def test_a_deployment_that_only_watches_takes_no_wishes(empty_play: Play):
    await empty_play.start(MAILCFG_WATCH_ONLY="true", MAILCFG_APPROVERS="")
    answers = [await empty_play.types(ALICE, command) for command in ASKING]
    assert answers == ["This deployment only watches: nobody can ask for changes here."] * 3


async def test_two_commands_in_a_row_show_the_same_request(play: Play):
    await play.asks()
    assert "Request #1 " in await play.types(ALICE, MOVE)
    assert len(play.texts("C0MAILADMIN")) == 1
