"""The card of a request in every state: within Slack's limits, true to the row, safe to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.adapters.slack.cards import request as cards
from bot.domain.audit import AuditHead
from bot.domain.change import ChangeRequest
from bot.domain.mail_config import Patch
from bot.domain.sender_plans import AcceptPlan, ResetPlan, SetPlan, plan_set
from bot.domain.undo import Undoing
from bot.ports import Message
from tests.adapters.slack.every_card import (
    ADDRESS,
    LIVE,
    MOVED,
    NAME,
    ORGANISATION,
    REQUEST_ID,
    REQUESTS,
    applied,
    claimed,
    pending,
    rejected,
)
from tests.adapters.slack.hostile import ALLOWED_TOKENS, HOSTILE
from tests.adapters.slack.reading import (
    buttons,
    header,
    live_tokens,
    mrkdwn,
    plain,
    problems,
    rich_texts,
)

every_request = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
every_hostile = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())

LONGEST_ADDRESS = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 53}.example"


def card(request: ChangeRequest):
    return cards.card(request, ORGANISATION)


def details(request: ChangeRequest):
    return cards.details(request, ORGANISATION)


@every_request
def test_slack_takes_the_card_of_every_state(request_: ChangeRequest):
    assert problems(card(request_)) == []


@every_request
def test_slack_takes_the_details_of_every_state(request_: ChangeRequest):
    assert problems(details(request_)) == []


@every_request
def test_a_screen_reader_gets_one_whole_sentence(request_: ChangeRequest):
    text = card(request_).text
    assert text.startswith(f"Request #42 to {request_.plan.title} ")
    assert text.endswith(".")
    assert live_tokens(replace(card(request_), blocks=())) == set()


@every_request
def test_the_header_leaves_the_word_verified_to_zoho(request_: ChangeRequest):
    assert "verified" not in header(card(request_)).lower()


@every_request
def test_every_card_has_its_number_its_label_and_no_stranger_in_it(request_: ChangeRequest):
    assert "#42 · production" in plain(card(request_))
    assert live_tokens(card(request_)) <= ALLOWED_TOKENS
    assert live_tokens(details(request_)) <= ALLOWED_TOKENS


@every_request
def test_buttons_carry_the_request_id_alone_and_say_what_they_are_about(request_: ChangeRequest):
    found = buttons(card(request_)).values()
    assert {button["value"] for button in found} == {REQUEST_ID}
    assert all("#42" in button["accessibility_label"] for button in found)


@every_request
def test_the_id_of_a_request_is_nowhere_but_in_its_buttons(request_: ChangeRequest):
    assert REQUEST_ID not in plain(card(request_)) + card(request_).text


UNDECIDED = ["approve", "reject", "details", "withdraw"]
BUTTONS = {
    "pending, no votes": UNDECIDED,
    "pending, one vote": UNDECIDED,
    "approved": ["reject", "details", "withdraw"],
    "approved and parked": ["reject", "details", "withdraw"],
    "applying": ["details"],
    "sent, checking": ["details"],
    "unknown": ["details"],
    "in force": ["details", "undo"],
    "in force already": ["details", "undo"],
    "in force, reset": ["details", "undo"],
    "in force, accepted": ["details"],
    "no longer eligible": ["details", "again"],
    "expired while approved": ["details", "again"],
    "rejected": ["details", "again"],
    "withdrawn": ["details", "again"],
    "expired while pending": ["details", "again"],
    "stale": ["details", "again"],
    "failed": ["details", "again"],
    "conflict": ["details"],
}


@pytest.mark.parametrize(("name", "offered"), BUTTONS.items(), ids=BUTTONS.keys())
def test_each_state_offers_only_what_is_possible_in_it(name: str, offered: list[str]):
    assert list(buttons(card(REQUESTS[name]))) == offered


STATE_SENTENCES = {
    "pending, no votes": "0 of 2 approvals · the address changes",
    "pending, one vote": "1 of 2 approvals · the address changes",
    "pending, ordinary": "0 of 1 approvals · somebody other than the requester must agree",
    "pending, stated CNAME": "@Alice states that the CNAME is in place; mailcfg cannot check it.",
    "pending, another domain": "The CNAME status starts as not verified because the domain changes.",
    "pending, first sender": "The CNAME status starts as not verified because the sender is new.",
    "pending, punycode": "The domain has letters beyond a to z: compare it character by character.",
    "pending, reset": "Address: scott@acme.example → not set",
    "pending, accept": "Nothing is written to Cliq: what is live counts as approved from then on.",
    "approved": "It will be applied now.",
    "approved and parked": "Waits until today at 9:30 AM: Zoho Cliq cannot be reached",
    "applying": "Writing to Cliq.",
    "applying an accept": "Comparing with what is live.",
    "sent, checking": "Accepted by Cliq, being checked.",
    "in force": "Confirmed by reading it back today at 9:30 AM.",
    "in force already": "Already in place, confirmed today at 9:30 AM; nothing had to be written.",
    "in force with a warning": "Cliq made a key of 1024 bits, 2048 were asked for.",
    "in force, accepted": "Live configuration accepted today at 9:30 AM.",
    "unknown": "Not known yet whether the write took effect; next look today at 9:30 AM.",
    "rejected": "Rejected by @Carol today at 9:30 AM\nNothing was changed.",
    "withdrawn": "Withdrawn by the requester. Nothing was changed.",
    "no longer eligible": "An approver is no longer eligible. Nothing was changed.",
    "expired while pending": "The approvals did not come in time. Nothing was changed.",
    "expired while approved": "It could not be applied in time. Nothing was changed.",
    "stale": "The configuration changed meanwhile. Nothing was written.",
    "stale accept": "When it was asked → now\nAddress: it@acme.example → scott@acme.example",
    "failed": "Zoho Cliq refused the values that were sent. The configuration is unchanged.",
    "conflict": "Please look in the Cliq admin panel.\nWhen it was asked → now\nDisplay name: Scott "
    "Fisher → Accounts Payable",
    "conflict, nothing set": "Now: no custom sender is set.",
    "conflict, nothing read": "Now: not known, since nothing could be read.",
    "about to remove the kept address": "Being applied: change sender address",
    "removing the kept address": "Removing the old configuration, since Cliq kept the old address.",
    "setting the new one": "Setting the new configuration.",
    "setting the new one, waiting": "Cliq kept the old address: old configuration removed, new one "
    "not set yet; next look today at 9:30 AM.\nZoho Cliq is locked.",
    "set anew": "Confirmed by reading it back today at 9:30 AM. Cliq kept the old address, so the "
    "configuration was deleted and created again.",
    "conflict, removed and refused": "The old configuration is removed, and the new one is not set: "
    "Zoho Cliq said no. Please look in the Cliq admin panel.\nNow: no custom sender is set.",
}

LOST = (
    "The old configuration, as it was\n"
    "Address: scott@acme.example\n"
    "Display name: Scott Fisher\n"
    "CNAME status: verified\n"
    f"DKIM host: {LIVE.dkim_host}\n"
    f"{LIVE.dkim_value}\n"
)
LOSING = ("removed the kept address", "setting the new one", "conflict, removed and refused")


@pytest.mark.parametrize("name", REQUESTS)
def test_the_old_values_are_named_once_they_are_lost_until_the_new_ones_are_there(name: str):
    is_lost = name in {*LOSING, "setting the new one, waiting"}

    assert (LOST in plain(card(REQUESTS[name]))) is is_lost


def test_the_thread_names_the_lost_values_too():
    assert LOST.strip() in plain(cards.result_line(REQUESTS["conflict, removed and refused"]))


@pytest.mark.parametrize("name", ["removed the kept address", "setting the new one"])
def test_between_the_steps_the_headline_says_what_is_missing(name: str):
    assert plain(card(REQUESTS[name])).startswith(
        "Old configuration removed, new one not set yet: change sender address\n"
    )


@pytest.mark.parametrize(("name", "said"), STATE_SENTENCES.items(), ids=STATE_SENTENCES.keys())
def test_each_card_says_how_it_stands(name: str, said: str):
    assert said in plain(card(REQUESTS[name]))


def test_a_waiting_card_reads_like_this():
    assert plain(card(REQUESTS["pending, one vote"])) == (
        "Waiting for approval: change sender address\n"
        "@Alice asks to change sender address · default · Zoho EU\n"
        "Approvers: @Bob, @Carol\n"
        "Address: scott@acme.example → it@acme.example\n"
        "Unchanged: display name, CNAME status\n"
        "What follows\n"
        "• If Cliq keeps the old address, the configuration is deleted and created again; DKIM "
        "records change.\n"
        "Approved by @Bob today at 9:30 AM\n"
        "1 of 2 approvals · the address changes\n"
        "Waiting until tomorrow at 9:00 AM\n"
        "Reason for asking\n"
        "> Scott has left\n"
        "[Approve] [Reject…] [Details] [Withdraw]\n"
        "#42 · production · Emergency? Change it in the Cliq admin panel; mailcfg will report it "
        "and ask for acceptance."
    )


def test_success_is_not_announced_before_the_change_was_read_back():
    assert "In force" not in plain(card(claimed().mark_sent()))


@every_hostile
def test_a_name_can_neither_mention_nor_link_nor_break_a_limit(hostile: str):
    request = pending(SetPlan(LIVE, replace(NAME.wanted, name=hostile)))
    assert problems(card(request)) == []
    assert problems(details(request)) == []
    assert live_tokens(card(request)) | live_tokens(details(request)) <= ALLOWED_TOKENS


@every_hostile
def test_values_from_the_api_can_neither_mention_nor_link_nor_break_a_limit(hostile: str):
    strange = replace(
        LIVE,
        name=hostile,
        email_id=hostile,
        cname_status=hostile,
        dkim_status=hostile,
        dkim_host=hostile,
        dkim_value=hostile,
    )
    requests = [
        pending(SetPlan(strange, ADDRESS.wanted)),
        pending(ResetPlan(strange)),
        pending(AcceptPlan(LIVE, strange)),
        claimed().go_stale(pending().created_at, strange),
        applied(ADDRESS, replace(strange, email_id=MOVED.email_id)),
    ]
    cards_and_details = [show(request) for request in requests for show in (card, details)]
    cards_and_details.append(cards.result_line(requests[-1]))
    assert [problems(shown) for shown in cards_and_details] == [[]] * 11
    assert set().union(*map(live_tokens, cards_and_details)) <= ALLOWED_TOKENS


def test_damage_that_keeps_a_request_from_being_applied_is_shown():
    ended = claimed().go_stale(pending().created_at, replace(LIVE, dkim_value=""))

    assert "When it was asked → now\nDKIM key: 1024 bits" in plain(card(ended))


@every_hostile
def test_reasons_are_quoted_without_being_interpreted(hostile: str):
    asked, refused = pending(reason=hostile), rejected(reason=hostile)
    assert problems(card(asked)) + problems(card(refused)) == []
    assert problems(details(asked)) + problems(details(refused)) == []
    assert hostile in rich_texts(card(asked))
    assert hostile in rich_texts(card(refused))
    assert live_tokens(card(refused)) <= ALLOWED_TOKENS


@every_hostile
def test_what_the_api_said_of_a_failure_is_no_markup(hostile: str):
    failed = claimed().fail(pending().created_at, hostile)
    parked = claimed().park(pending().created_at, hostile)
    for request in (failed, parked):
        assert problems(card(request)) == []
        assert live_tokens(card(request)) <= ALLOWED_TOKENS


@every_hostile
def test_both_values_of_a_change_can_be_read_in_full(hostile: str):
    request = pending(SetPlan(replace(LIVE, name=hostile), replace(NAME.wanted, name=hostile * 2)))
    spelt = hostile.replace("\n", "\\u000a").replace("\r", "\\u000d")
    spelt = spelt.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c")
    spelt = spelt.replace("\u200d", "\\u200d")
    assert f"from  {spelt}\nto    {spelt * 2}" in rich_texts(details(request))


def test_a_value_too_long_for_the_card_says_where_it_is_whole():
    request = pending(SetPlan(LIVE, replace(NAME.wanted, name="n" * 3000)))
    assert "nnn… (Details)" in plain(card(request))


def test_formatting_in_a_value_stays_inside_its_code():
    request = pending(SetPlan(LIVE, replace(NAME.wanted, name="*IT* `x`\n*In force*")))
    assert "→ `*IT* ˋxˋ\\u000a*In force*`" in mrkdwn(card(request))


def test_the_dialog_of_approve_names_the_longest_address_in_full():
    assert len(LONGEST_ADDRESS) == 254
    requests = [
        pending(plan_set(Patch(email_id=LONGEST_ADDRESS, name="n" * 200), LIVE)),
        pending(ResetPlan(replace(LIVE, email_id=LONGEST_ADDRESS))),
        pending(AcceptPlan(LIVE, replace(LIVE, email_id=LONGEST_ADDRESS))),
    ]
    for request in requests:
        dialog = buttons(card(request))["approve"]["confirm"]
        assert LONGEST_ADDRESS in dialog["text"]["text"]
        assert dialog["text"]["text"][-1] in ")."
        assert problems(card(request)) == []


def test_a_card_names_the_request_that_it_undoes_and_what_cannot_be_undone():
    since = Undoing(17, ((21, ("email_id",)),), loses_key=True)
    text = plain(card(pending(replace(ADDRESS, undoes=since))))
    assert "@Alice asks to change sender address · undoes #17 · default · Zoho EU" in text
    assert (
        "• #21 changed the address since; this sets back what was there before #17.\n"
        "• The DKIM key from before #17 cannot be brought back, so the record of the new one must "
        "be published anew."
    ) in text


def test_undo_asks_before_it_asks_others():
    dialog = buttons(card(REQUESTS["in force"]))["undo"]["confirm"]
    assert dialog["title"]["text"] == "Undo #42?"
    assert dialog["text"]["text"] == (
        "This asks others to approve setting back what it changed, as far as that can be done. "
        "Nothing changes before they have."
    )


def test_details_have_the_whole_head_of_the_audit():
    head = AuditHead(7, "3f2a" * 16)
    shown = cards.details(REQUESTS["in force"], ORGANISATION, head)
    assert f"Audit head 7:{'3f2a' * 16}" in plain(shown)
    assert problems(shown) == []


ENDED = {
    "rejected": {"user": "U0CAROL", "reason": "no"},
    "withdrawn": {"user": "U0ALICE"},
    "expired": {"why": "the approvals did not come in time"},
    "result": {},
}


@pytest.mark.parametrize(("kind", "facts"), ENDED.items())
def test_each_end_is_told_with_the_head_of_the_audit(kind: str, facts: dict[str, object]):
    message = Message("key", kind, facts | {"head": "7:3f2a9c0d1e5b8a47"}, subject=REQUEST_ID)
    line = cards.thread_line(REQUESTS["in force"], message)
    assert plain(line).endswith("\nAudit head 7:3f2a9c0d1e5b8a47")
    assert problems(line) == []


LINES = {
    "approved": ({"user": "U0BOB", "given": 1, "needed": 2}, "@Bob approved #42: 1 of 2."),
    "rejected": (
        {"user": "U0CAROL", "reason": "<!channel> no"},
        "@Carol rejected #42. Nothing was changed.\n> <!channel> no",
    ),
    "withdrawn": ({"user": "U0ALICE"}, "@Alice withdrew #42. Nothing was changed."),
    "expired": (
        {"why": "the approvals did not come in time"},
        "#42 expired. The approvals did not come in time. Nothing was changed.",
    ),
}


@pytest.mark.parametrize(("kind", "facts", "said"), [(k, f, s) for k, (f, s) in LINES.items()])
def test_each_move_is_one_line_in_the_thread(kind: str, facts: dict[str, object], said: str):
    line = cards.thread_line(pending(), Message("key", kind, facts, subject=REQUEST_ID))
    assert plain(line) == said
    assert problems(line) == []
    assert live_tokens(line) <= ALLOWED_TOKENS


def test_the_result_of_a_change_that_made_a_key_has_the_record_to_publish():
    line = cards.result_line(REQUESTS["in force"])
    assert "Publish this record now" in plain(line)
    assert MOVED.dkim_value in rich_texts(line)
    assert problems(line) == []


def test_the_result_of_a_change_that_kept_the_key_has_no_record():
    request = applied(NAME, replace(LIVE, name="Acme Support"))
    line = cards.result_line(request)
    assert plain(line) == (
        "#42 In force: change display name. Confirmed by reading it back today at 9:30 AM."
    )
