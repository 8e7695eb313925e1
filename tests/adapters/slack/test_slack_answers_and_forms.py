"""Private answers and modals: what they say, Slack's limits, and nothing smuggled in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bot.adapters.slack.cards import answers, forms
from bot.adapters.slack.cards import request as request_cards
from bot.domain.command import SUBCOMMANDS
from bot.domain.dkim import Record
from bot.domain.findings import Diagnosis
from bot.domain.last_pass import LastPass
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.policy import Facts, Policy
from bot.domain.sender_plans import plan_set
from bot.domain.watched import CheckResult
from bot.errors import AlreadyOpen, UnknownSubcommand
from bot.ports import WatchState
from bot.services.look import Overview, Publishing, Standing
from tests.adapters.slack.every_card import (
    LATER,
    LIVE,
    MOVED,
    NAME,
    ORGANISATION,
    REQUEST_ID,
    applied,
    approved,
    claimed,
    found,
    pending,
    voted,
)
from tests.adapters.slack.hostile import ALLOWED_TOKENS, HOSTILE
from tests.adapters.slack.reading import buttons, live_tokens, plain, problems, rich_texts
from tests.fakes import MORNING, config
from tests.office import ALICE, BOB, MALLORY, POLICY

every_hostile = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())

LINK = "https://acme.slack.com/archives/C0MAILADMIN/p1"
CHECKED = WatchState(
    "default",
    True,
    LIVE,
    LATER,
    last_pass=LastPass(LATER, "DKIM in order at 2 of 2 servers", "in order", "acme.example"),
)
LAST = applied(plan_set(Patch(name=LIVE.name), replace(LIVE, name="Scott")), LIVE)
RECORD = Record(LIVE.dkim_host, LIVE.dkim_value, "acme.example")


def test_show_says_what_is_live_approved_and_checked():
    shown = answers.show(Overview(LIVE, LAST, CHECKED))
    assert plain(shown) == (
        "Display name: Scott Fisher\n"
        "Address: scott@acme.example\n"
        "DKIM status: verified\n"
        "CNAME status: verified\n"
        "DKIM host: 1700000000000._domainkey.acme.example\n"
        "DKIM key: 1024 bits, …Co7EObow\n"
        "Approved last as #42 by @Bob, @Carol, today at 9:30 AM "
        "DKIM in order at 2 of 2 servers · last checked in 30 minutes"
    )
    assert shown.text == "The live sender is Scott Fisher &lt;scott@acme.example&gt;."
    assert problems(shown) == []


def test_show_says_that_the_system_sender_is_in_use():
    shown = answers.show(Overview(None, None, WatchState("default")))
    assert plain(shown) == (
        "Cliq's system sender is in use: no custom sender is set.\n"
        "Nothing approved yet Not checked yet"
    )
    assert problems(shown) == []


def test_show_says_so_when_the_live_configuration_was_not_approved():
    shown = answers.show(Overview(MOVED, LAST, CHECKED))
    assert "Changed outside approval: this is not what was approved." in plain(shown)


def test_show_says_so_when_the_last_check_found_nothing_out():
    unknown = replace(CHECKED.last_pass, unknown="Could not check: Zoho Cliq cannot be reached.")
    shown = plain(answers.show(Overview(LIVE, LAST, replace(CHECKED, last_pass=unknown))))
    assert (
        "Could not check: Zoho Cliq cannot be reached. DKIM in order at 2 of 2 servers · last checked"
    ) in shown


def checked(diagnosis: Diagnosis, ends_at: datetime | None = None) -> str:
    shown = answers.checked(CheckResult(LATER, None, LAST, diagnosis, LATER), ends_at)
    assert problems(shown) == []
    return plain(shown)


def test_check_again_says_what_is_so_and_what_to_do():
    assert checked(found(texts={})).startswith(
        "DKIM of scott@acme.example is broken.\nNo TXT record at 1700000000000._domainkey.acme"
    )
    assert "Add a TXT record: Name 1700000000000._domainkey," in checked(found(texts={}))


def test_check_again_says_until_when_a_mended_alert_is_watched():
    strong = config(bits=2048)
    assert checked(found(strong, approved=strong), LATER) == (
        "DKIM of scott@acme.example is in order: both authoritative servers and one resolver hold "
        "Zoho's key.\nThe alert is watched until 9:30 AM and then ends, if it stays so."
    )


def test_check_again_says_that_somebody_changed_the_sender():
    assert "What is live was changed outside approval." in checked(found(MOVED))


def test_a_snooze_says_how_long_and_that_only_reminders_are_silent():
    assert plain(answers.snoozed(LATER)) == (
        "Reminders of this alert are snoozed until today at 9:30 AM. Whatever else happens to it is "
        "told."
    )


@every_hostile
def test_a_hostile_configuration_is_shown_as_words(hostile: str):
    live = MailConfig(hostile, hostile, hostile, hostile, hostile, hostile)
    record = Record(hostile, hostile, None)
    shown = [
        answers.show(Overview(live, LAST, replace(CHECKED, last_pass=LastPass(unknown=hostile)))),
        answers.checked(CheckResult(LATER, None, LAST, found(live), LATER), None),
        answers.record(Publishing(record, is_approved=True)),
        answers.record(Publishing(record, False, (hostile,) * 9), shared_by="U0ALICE"),
        answers.refusal(hostile),
        answers.refusal(str(UnknownSubcommand(hostile[:80], None))),
    ]
    assert [problems(each) for each in shown] == [[]] * len(shown)
    assert set().union(*map(live_tokens, shown)) <= ALLOWED_TOKENS


def standing(facts: Facts, *may: bool) -> Standing:
    return Standing(facts, *may)


def test_help_lists_every_subcommand_and_says_what_this_person_may_do():
    shown = answers.help_text(standing(Facts(BOB), True, True, True), ORGANISATION)
    assert all(f"/mailcfg {row.usage}\n" in plain(shown) for row in SUBCOMMANDS)
    assert (
        "You may look, ask for changes, approve what others ask for. Your Slack id is U0BOB.\n"
        "Can ask: @Alice, @Bob, @Carol\n"
        "Can approve: @Bob, @Carol, never their own request\n"
        "Emergency? Change it in the Cliq admin panel; mailcfg will report it and ask for "
        "acceptance. production"
    ) in plain(shown)
    assert problems(shown) == []


def test_help_tells_a_guest_that_there_is_nothing_to_do_here():
    shown = answers.help_text(
        standing(Facts(MALLORY, is_guest=True), False, False, False), ORGANISATION
    )
    assert "You may do nothing here. Your Slack id is U0MALLORY." in plain(shown)


def test_help_says_when_everybody_may_ask_and_when_nobody_may():
    everyone = Policy(approvers=("U0BOB",), requesters=("*",))
    nobody = Policy(approvers=(), watch_only=True)
    alice = standing(Facts(ALICE), True, False, False)
    assert "Can ask: every full member, and the approvers" in plain(
        answers.help_text(alice, replace(ORGANISATION, policy=everyone))
    )
    assert "This deployment only watches: nobody can ask for changes." in plain(
        answers.help_text(alice, replace(ORGANISATION, policy=nobody))
    )


def test_a_record_can_be_copied_and_shared():
    shown = answers.record(Publishing(RECORD, is_approved=True))
    assert rich_texts(shown).split("\n") == [
        "1700000000000._domainkey",
        "1700000000000._domainkey.acme.example",
        LIVE.dkim_value,
        f'"{LIVE.dkim_value}"',
    ]
    assert list(buttons(shown)) == ["share"]
    assert problems(shown) == []


def test_a_record_says_which_servers_run_the_zone_or_that_nobody_could_tell():
    names = ("ns1.dnshost.example", "ns2.dnshost.example")
    shown = answers.record(Publishing(RECORD, True, names))
    assert "Publish it where the zone is run now: at ns1.dnshost.example, ns2.dnshost" in plain(
        shown
    )
    unknown = answers.record(Publishing(RECORD, True))
    assert "Which name servers run the zone could not be looked up." in plain(unknown)


def test_each_form_of_a_record_says_for_whom_it_is():
    assert plain(answers.record(Publishing(RECORD, True))).startswith(
        "DKIM record for 1700000000000._domainkey.acme.example\n"
        "Name, relative to the zone acme.example, type TXT, TTL 3600:\n"
        "1700000000000._domainkey\n"
        "Full name, if your panel wants it; a zone file wants a dot after it:\n"
        "1700000000000._domainkey.acme.example\n"
        "Value in one piece, for panels that split by themselves:\n"
    )


def test_a_record_whose_zone_is_unknown_is_named_in_full():
    shown = answers.record(Publishing(replace(RECORD, zone=None), True))
    assert (
        "Name in full, type TXT, TTL 3600; if your panel appends the zone by itself, leave the zone "
        "out:\n1700000000000._domainkey.acme.example\n"
    ) in plain(shown)


def test_a_shared_record_says_by_whom_and_cannot_be_shared_again():
    shown = answers.record(Publishing(RECORD, is_approved=True), shared_by="U0ALICE")
    assert "Shared by @Alice" in plain(shown)
    assert buttons(shown) == {}


def test_the_record_of_an_unapproved_configuration_is_not_to_be_published():
    shown = answers.record(Publishing(RECORD, is_approved=False))
    assert "Do not publish until accepted: what is live was not approved." in plain(shown)


def test_who_asked_is_told_where_the_request_is_and_what_it_needs():
    assert plain(answers.proposed(pending(), LINK)) == (
        f"Request #42 ({LINK}) to change sender address is posted. It needs 2 approvals from @Bob, "
        "@Carol before anything changes."
    )
    assert plain(answers.proposed(pending(NAME), None)) == (
        "Request #42 to change display name is recorded, but its card is not posted yet. It will "
        "be, once Slack lets mailcfg post to the approval channel."
    )


def test_pending_says_how_the_open_request_stands():
    assert plain(answers.pending(None, None)) == "No request is open."
    assert plain(answers.pending(approved(), LINK)) == (
        f"Request #42 ({LINK}) to change sender address, asked by @Alice: approved, 2 of 2 "
        "approvals, until today at 10:30 AM."
    )


def test_pending_names_no_deadline_once_writing_has_begun():
    unknown = claimed().become_uncertain(LATER, LATER, "Cliq did not answer")
    assert plain(answers.pending(unknown, None)) == (
        "Request #42 to change sender address, asked by @Alice: outcome unknown, 2 of 2 approvals."
    )


def test_pending_and_the_card_ask_for_as_many_approvals_as_are_needed_now():
    strict = replace(ORGANISATION, policy=replace(POLICY, approvals_sensitive=3))
    assert "1 of 3 approvals, until" in plain(answers.pending(voted(), None, 3))
    shown = request_cards.card(voted(), strict)
    assert shown.text.endswith("waits for approval: 1 of 3 so far.")
    assert "1 of 3 approvals" in plain(shown)
    assert "1 of 3 approvals" in str(request_cards.details(voted(), strict).to_dict())


def test_a_group_of_approvers_is_mentioned_as_a_group():
    grouped = replace(pending(NAME), policy=replace(POLICY, approvers=("U0BOB", "S0MAIL")))
    assert "<@U0BOB>, <!subteam^S0MAIL>" in answers.proposed(grouped, LINK).text


def test_a_second_request_is_refused_with_a_link_to_the_first():
    shown = answers.already_open(AlreadyOpen(42), LINK)
    assert plain(shown) == (
        "Request #42 is still open, and there is one at a time. See it with /mailcfg pending; "
        f"whoever asked for it can /mailcfg withdraw it. Go to #42 ({LINK})"
    )


def initial_values(view: object) -> dict[str, object]:
    blocks = view.to_dict()["blocks"]  # type: ignore[attr-defined]
    inputs = {b["block_id"]: b["element"] for b in blocks if b["type"] == "input"}
    return {
        name: element.get("initial_value", element.get("initial_option", {}).get("value"))
        for name, element in inputs.items()
    }


def test_the_form_is_filled_with_what_is_live():
    view = forms.set_form(LIVE, "sealed")
    assert initial_values(view) == {
        "name": "Scott Fisher",
        "email_id": "scott@acme.example",
        "dkim_key_size": "keep",
        "cname_status": "keep",
        "reason": None,
    }
    assert "As it is (1024 bits)" in plain(view)
    assert view.to_dict()["private_metadata"] == "sealed"
    assert problems(view) == []


def test_the_form_for_a_first_sender_is_empty():
    view = forms.set_form(None, "sealed")
    assert initial_values(view)["email_id"] is None
    assert "As Zoho chooses" in plain(view)
    assert problems(view) == []


@every_hostile
def test_the_form_takes_whatever_the_api_says(hostile: str):
    live = MailConfig(hostile, hostile, hostile, hostile, hostile, hostile)
    assert problems(forms.set_form(live, "sealed")) == []


@every_hostile
def test_other_forms_take_whatever_is_put_into_them(hostile: str):
    shown = [
        forms.closing("Change the sender", hostile),
        forms.restore_note("C0ALERTS", hostile),
        forms.reject_note(42, "change sender address", REQUEST_ID),
        forms.accept_note("C0ALERTS"),
        forms.loading("Change the sender"),
    ]
    assert [problems(view) for view in shown] == [[]] * len(shown)
    assert set().union(*map(live_tokens, shown)) == set()


def test_a_form_brings_back_nothing_but_ids():
    rejecting = forms.reject_note(42, "change sender address", REQUEST_ID).to_dict()
    accepting = forms.accept_note("C0ALERTS").to_dict()
    assert json.loads(rejecting["private_metadata"]) == {"request": REQUEST_ID}
    assert json.loads(accepting["private_metadata"]) == {"channel": "C0ALERTS"}


def test_what_was_left_as_it_is_is_not_asked_for():
    keep = {"selected_option": {"value": "keep"}}
    state = {
        "values": {
            "name": {"name": {"value": "IT"}},
            "email_id": {"email_id": {"value": None}},
            "dkim_key_size": {"dkim_key_size": {"selected_option": {"value": "2048"}}},
            "cname_status": {"cname_status": keep},
        }
    }
    assert forms.values({"state": state}) == {"name": "IT", "dkim_key_size": "2048"}


def test_pending_counts_days_that_have_passed_by_their_date():
    old = replace(pending(), expires_at=MORNING - timedelta(days=9))
    assert "until Feb 21, 2026 at 9:00 AM" in plain(answers.pending(old, None))
