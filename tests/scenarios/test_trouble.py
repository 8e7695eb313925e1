"""Whole sentences for bad input and trouble, as the person reads them in Slack."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import structlog

from bot.adapters.slack.cards import forms
from bot.adapters.slack.cards.parts import actions, button
from bot.errors import DatabaseError
from bot.sandbox.cliq.faults import Fault, FaultKind
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from tests.scenarios.play import ADMIN, ALERTS, ALICE, BOB, CAROL, MOVE, RENAME, Play

REASON = 'reason="x"'
A_MINUTE_OF_CALLS = timedelta(seconds=75)
"""After it our own limit on calls counts from nought again."""
BAD_INPUT = {
    "an unknown subcommand": (
        "pendig",
        "I do not know pendig. Did you mean /mailcfg pending?",
    ),
    "a word like nothing": ("xyzzy", "I do not know xyzzy. Try /mailcfg help."),
    "an unknown field": (
        f"set emial=a@b.example {REASON}",
        "I do not know the field emial. Did you mean email=…?",
    ),
    "a field like nothing": (
        f"set colour=red {REASON}",
        "I do not know the field colour. There are name, email, dkim, cname and reason.",
    ),
    "a key size that Zoho does not offer": (
        f"set dkim=512 {REASON}",
        "512 is no DKIM key size that Zoho offers. It is dkim=2048 or dkim=1024.",
    ),
    "an address without a domain": (
        f"set email=scott {REASON}",
        "scott is no address. Try email=scott@acme.example.",
    ),
    "a domain without a dot": (
        f"set email=scott@acme {REASON}",
        "The domain acme has no dot. Try email=scott@acme.example.",
    ),
    "a CNAME status that there is not": (
        f"set cname=maybe {REASON}",
        "maybe is no CNAME status. It is cname=verified or cname=not_verified.",
    ),
    "an invisible character": (
        f'set name="Sc\u202eott" {REASON}',
        "The display name contains an invisible character (U+202E); retype it without.",
    ),
    "an empty name": (
        f'set name="" {REASON}',
        'The display name is empty. Try name="Scott Fisher".',
    ),
    "a missing reason": (
        "set email=it@acme.example",
        'A reason is needed. Add reason="…": approvers read it.',
    ),
    "a reset without a reason": (
        "reset",
        'A reason is needed. Add reason="…": approvers read it.',
    ),
    "no field at all": (
        f"set {REASON}",
        "Nothing to change is named. Try /mailcfg set email=scott@acme.example.",
    ),
    "a quote never closed": (
        'set name="Scott',
        "A quote is opened before Scott and never closed.",
    ),
    "a field given twice": (
        f"set name=A name=B {REASON}",
        "name is given twice. Which one is meant?",
    ),
    "a field for reset": (
        f"reset name=IT {REASON}",
        '/mailcfg reset takes a reason only: /mailcfg reset reason="…". To change a field, use '
        "/mailcfg set.",
    ),
    "a word after show": (
        "show me",
        "/mailcfg show takes nothing after it; leave out me.",
    ),
    "a room's mention": (
        "<!everyone>",
        "I do not know <!everyone>. Try /mailcfg help.",
    ),
}


@pytest.mark.parametrize(("typed", "said"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
async def test_bad_input_is_answered_privately_and_reaches_nobody(
    play: Play, typed: str, said: str
):
    reads = play.stage.reads
    assert await play.types(ALICE, typed) == said
    assert play.texts(ADMIN) == []
    assert play.stage.reads == reads


REFUSED = {
    "an empty diff": (
        f'set name="Scott Fisher" {REASON}',
        "Nothing would change: the live configuration already has these values.",
    ),
    "nothing to withdraw": ("withdraw", "No request is open, so there is nothing to withdraw."),
}


@pytest.mark.parametrize(("typed", "said"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_makes_no_sense_now_is_refused(play: Play, typed: str, said: str):
    assert await play.types(ALICE, typed) == said
    assert play.texts(ADMIN) == []


async def test_a_reset_of_nothing_is_refused(play: Play):
    play.cliq.edit()
    assert await play.types(ALICE, f"reset {REASON}") == (
        "Nothing would change: Cliq's system sender is already in use."
    )


async def test_a_first_sender_needs_name_and_address(play: Play):
    play.cliq.edit()
    assert await play.types(ALICE, f"set dkim=2048 {REASON}") == (
        "No custom sender is set yet, so email=… and name=… are needed as well."
    )


async def test_what_is_approved_already_cannot_be_accepted(play: Play):
    await play.says(await play.approved(f"accept {REASON}"), "In force")
    assert await play.types(ALICE, f"accept {REASON}") == (
        "Nothing to accept: what is live is what was approved."
    )


async def test_a_second_request_is_refused_with_a_link_to_the_first(play: Play):
    await play.asks()
    answer = await play.types(BOB, RENAME)
    assert re.fullmatch(
        r"Request #1 is still open, and there is one at a time\. See it with /mailcfg pending; "
        r"whoever asked for it can /mailcfg withdraw it\. "
        r"Go to #1 \(http://127\.0\.0\.1:\d+/archives/C0MAILADMIN/p\d+\)",
        answer,
    )
    assert len(play.texts(ADMIN)) == 1


SERVER = "Zoho Cliq has a fault of its own (it answered with a server error). Try again later."
TROUBLE = {
    "401": (
        Fault(FaultKind.STATUS, 2, "GET", code=401),
        "Zoho Cliq refuses mailcfg's access token. Ask whoever runs mailcfg to authorise it again.",
    ),
    "403": (
        Fault(FaultKind.STATUS, 1, "GET", code=403),
        "Zoho Cliq says that mailcfg's Zoho user may not do this: it must be a full Admin of the "
        "organisation, and its token needs all three ZohoCliq.Organisation scopes.",
    ),
    "500": (Fault(FaultKind.STATUS, 3, "GET", code=500), SERVER),
    "503": (Fault(FaultKind.STATUS, 3, "GET", code=503), SERVER),
    "time-out": (
        Fault(FaultKind.TIMEOUT_BEFORE_EFFECT, 3, "GET"),
        "Zoho Cliq did not answer in time. Try again later.",
    ),
    "a web page": (
        Fault(FaultKind.HTML, 3, "GET"),
        "Zoho Cliq gave an answer that makes no sense. Try again later.",
    ),
}
each_trouble = pytest.mark.parametrize(("fault", "said"), TROUBLE.values(), ids=TROUBLE.keys())


@each_trouble
async def test_trouble_at_zoho_is_one_sentence_wherever_it_strikes(
    play: Play, fault: Fault, said: str
):
    play.be_impatient()
    for command in ("show", "dns", MOVE):
        play.cliq.faults.plan(fault)
        assert await play.types(ALICE, command) == said
        play.cliq.faults.clear()
        play.passes(A_MINUTE_OF_CALLS)
    assert play.texts(ADMIN) == []


@each_trouble
async def test_a_form_says_what_the_trouble_is(play: Play, fault: Fault, said: str):
    play.be_impatient()
    play.cliq.faults.plan(fault)
    assert said in play.slack.plain_text(await play.asks_in_form(ALICE))


async def test_a_locked_api_says_when_it_goes_on(play: Play):
    play.spoil(FaultKind.STATUS, code=429)
    answer = await play.types(ALICE, "show")
    assert re.fullmatch(
        r"Zoho Cliq has locked its API because of too many calls; mailcfg goes on at "
        r"\d\d:\d\d UTC\.",
        answer,
    )
    reads = len(play.cliq.log.all())
    assert await play.types(ALICE, "show") == answer
    assert len(play.cliq.log.all()) == reads

    play.passes(timedelta(minutes=11))
    assert "Scott Fisher" in await play.types(ALICE, "show")


async def test_our_own_limit_says_when_it_is_free_again(play: Play):
    for _ in range(7):
        assert "Scott Fisher" in await play.types(ALICE, "show")
    assert re.fullmatch(
        r"mailcfg has used up its calls to Zoho Cliq for this minute; try again at "
        r"\d\d:\d\d:\d\d UTC\.",
        await play.types(ALICE, "show"),
    )


async def test_zoho_out_of_reach_is_one_sentence(play: Play):
    play.be_impatient()
    await play.stage.cliq_at.close()
    assert await play.types(ALICE, "show") == (
        "Zoho Cliq cannot be reached; nothing was sent. Try again later."
    )


async def test_a_revoked_refresh_token_says_who_must_act(play: Play):
    play.passes(timedelta(hours=2))
    await play.until(lambda: play.stage.card("Last checked", ALERTS), "the check")
    play.cliq.state.refresh_tokens.clear()
    play.passes(timedelta(hours=2))
    assert await play.types(ALICE, "show") == (
        "Zoho no longer accepts mailcfg's refresh token. Ask whoever runs mailcfg to authorise it "
        "again with mailcfg connect --code 1000.…."
    )


async def test_who_cannot_be_looked_up_may_do_nothing(play: Play):
    card = await play.asks()
    play.slack.faults.plan(SlackFault("users.info", SlackFaultKind.SERVER_ERROR, times=2))
    could_not = (
        "Could not check with Slack who you are, so nothing was done. Try again in a minute."
    )
    assert await play.clicks(BOB, "approve", card) == could_not
    assert await play.types(BOB, "show") == could_not
    assert "0 of 2 approvals" in play.stage.read(play.card())


FORM_FAULTS = {
    "an address without a dot": (
        {"email_id": "scott@acme", "reason": "x"},
        {"email_id": "The domain acme has no dot. Try email=scott@acme.example."},
    ),
    "an invisible character": (
        {"name": "Sc\u200bott", "reason": "x"},
        {"name": "The display name contains an invisible character (U+200B); retype it without."},
    ),
    "nothing changed": (
        {"reason": "x"},
        {
            "reason": "Nothing would change: the live configuration already has these values.",
        },
    ),
    "an invisible character in the reason": (
        {"name": "IT", "reason": "a\u202eb"},
        {"reason": "The reason contains an invisible character (U+202E); retype it without."},
    ),
}


@pytest.mark.parametrize(("typed", "errors"), FORM_FAULTS.values(), ids=FORM_FAULTS.keys())
async def test_a_form_says_beside_the_field_what_is_wrong(
    play: Play, typed: dict[str, str], errors: dict[str, str]
):
    view = await play.asks_in_form(ALICE)
    outcome = await play.slack.submit(ALICE.id, view.id, typed)
    said = {
        field: words.replace("“", "").replace("”", "") for field, words in outcome.errors.items()
    }
    assert said == errors
    assert "`" not in "".join(outcome.errors.values())
    assert play.texts(ADMIN) == []


async def test_a_form_that_was_mended_goes_through(play: Play):
    view = await play.asks_in_form(ALICE)
    await play.slack.submit(ALICE.id, view.id, {"email_id": "scott@acme", "reason": "x"})
    outcome = await play.slack.submit(ALICE.id, view.id, {"email_id": "it@acme.example"})
    assert outcome.ok
    assert "Address: scott@acme.example → it@acme.example" in await play.shows("Waiting for")


async def test_a_form_older_than_ten_minutes_is_refused(play: Play):
    view = await play.asks_in_form(ALICE)
    play.passes(timedelta(minutes=11))
    outcome = await play.slack.submit(ALICE.id, view.id, {"name": "IT", "reason": "x"})
    assert outcome.errors == {
        "reason": "This form is older than ten minutes. Close the form and open it again with "
        "“/mailcfg set”."
    }


async def test_a_form_beside_an_open_request_is_refused(play: Play):
    view = await play.asks_in_form(ALICE)
    await play.asks(who=ALICE)
    outcome = await play.slack.submit(ALICE.id, view.id, {"name": "IT", "reason": "x"})
    assert outcome.errors["reason"].startswith("Request #1 is still open")
    assert len(play.texts(ADMIN)) == 1


async def test_a_rejection_needs_a_reason(play: Play):
    await play.asks()
    view = await play.opens(CAROL, "reject")
    outcome = await play.slack.submit(CAROL.id, view.id, {"reason": "   "})
    assert not outcome.ok
    assert "reason" in outcome.errors
    assert "0 of 2 approvals" in play.stage.read(play.card())

    await play.slack.submit(CAROL.id, view.id, {"reason": "Customers know <!channel>"})
    shown = await play.shows("Rejected: change sender address")
    assert "Reason for rejecting\n> Customers know <!channel>" in shown


async def test_a_rejection_of_what_has_ended_meanwhile_says_so(play: Play):
    await play.asks()
    view = await play.opens(CAROL, "reject")
    await play.types(ALICE, "withdraw")
    outcome = await play.slack.submit(CAROL.id, view.id, {"reason": "no"})
    assert outcome.errors == {"reason": "#1 has ended: it was cancelled."}


async def test_a_request_that_is_not_known_is_refused_neutrally(play: Play):
    card = await play.asks()
    for action in ("approve", "reject", "details", "withdraw", "again"):
        click = play.slack.click(BOB.id, card.channel, card.ts, action, value="else", stale=True)
        assert await play.hears(BOB, click) == (
            "I do not know that request. See the open one with /mailcfg pending."
        )
    assert "0 of 2 approvals" in play.stage.read(play.card())


OF_ANOTHER_VERSION = (
    "This is of another version of mailcfg, so nothing was done. /mailcfg help lists what there is."
)


async def test_a_button_of_another_version_is_answered(play: Play):
    card = await play.asks()
    assert play.bot is not None
    old = actions("gone", [button("gone", "Gone", "x")]).to_dict()
    await play.bot.deployment.workspace.call(
        "chat.update", channel=card.channel, ts=card.ts, text="Old", blocks=[old]
    )

    assert await play.clicks(BOB, "gone", card) == OF_ANOTHER_VERSION


async def test_a_form_of_another_version_asks_for_nothing(play: Play):
    await play.asks()
    await play.types(ALICE, "withdraw")
    view = await play.opens(CAROL, "details")
    assert play.bot is not None
    old = forms.note("gone", "Gone", "Why?", "Ask", channel=ADMIN).to_dict()
    await play.bot.deployment.workspace.call("views.update", view_id=view.id, view=old)

    assert (await play.slack.submit(CAROL.id, view.id, {"reason": "x"})).ok
    left = play.slack.open_view(CAROL.id)
    assert left is not None
    assert OF_ANOTHER_VERSION in play.slack.plain_text(left).replace("`", "")


async def test_a_fault_of_our_own_gives_a_reference_that_is_in_the_log(play: Play):
    bot = play.bot
    assert bot is not None
    async with bot.deployment.store._engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE request RENAME TO lost")
    with structlog.testing.capture_logs() as logged:
        assert await play.types(ALICE, "pending") == (
            "mailcfg could not do this because of a fault of its own. Try again, or ask whoever "
            "runs it."
        )
        (entry,) = [line for line in logged if line["event"] == "could not be done"]
        assert play.private(ALICE)[-1].endswith(f"(ref {entry['ref']})")
        assert "lost" not in play.private(ALICE)[-1]
        await play.stop()


async def test_a_database_of_another_organisation_is_refused(play: Play):
    await play.asks()
    await play.stop()

    with pytest.raises(DatabaseError) as refused:
        await play.start(MAILCFG_ORG="globex")

    assert str(refused.value) == (
        "The database holds the requests of the organisation “acme”, and MAILCFG_ORG is “globex”. "
        "Set MAILCFG_ORG=acme, or give each organisation a database of its own."
    )
