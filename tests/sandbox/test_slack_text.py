"""Messages as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.sandbox.slack.records import Channel, Message, User, Usergroup, View
from bot.sandbox.slack.text import Reader

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STAMP = int(NOON.timestamp())
READER = Reader(
    {"U0ALICE": User("U0ALICE", "alice", "Alice Ng")},
    {"C0MAILADMIN": Channel("C0MAILADMIN", "mail-admin", ())},
    NOON,
    {"S0MAIL": Usergroup("S0MAIL", "mail-approvers", "Mail approvers", ())},
)


@pytest.mark.parametrize(
    ("markup", "read"),
    [
        ("<@U0ALICE> asks in <#C0MAILADMIN>", "@Alice asks in #mail-admin"),
        ("<@U0NOBODY> and <!here>", "@U0NOBODY and @here"),
        ("<!subteam^S0MAIL>, <!subteam^S0NO>", "@mail-approvers, @S0NO"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("&amp;lt;", "&lt;"),
        ("*bold*, _slanted_ and ~gone~.", "bold, slanted and gone."),
        ("it_admin_team@acme.example and 2*3*4", "it_admin_team@acme.example and 2*3*4"),
        ("`selector._domainkey` and ```p=*x*```", "selector._domainkey and p=*x*"),
        ("<https://acme.example/a|the card>", "the card (https://acme.example/a)"),
        ("<https://acme.example/a>", "https://acme.example/a"),
        ("<mailto:it@acme.example|it@acme.example>", "it@acme.example"),
        (f"<!date^{STAMP}^{{date_num}} {{time}}|noon>", "2026-03-02 12:00 PM"),
        (f"<!date^{STAMP}^{{date_short_pretty}} at {{time_secs}}|noon>", "today at 12:00:00 PM"),
        (f"<!date^{STAMP}^{{date_long}}|noon>", "Monday, March 2nd, 2026"),
        (f"<!date^{STAMP - 7200}^checked {{ago}}|earlier>", "checked 2 hours ago"),
        (f"<!date^{STAMP + 60}^{{ago}}|soon>", "in 1 minute"),
        ("<!date^soon^{date}|at some time>", "at some time"),
    ],
)
def test_markup_is_read_as_slack_shows_it(markup, read):
    assert READER.mrkdwn(markup) == read


def test_a_card_reads_as_lines_with_its_buttons_in_brackets():
    approve = {"type": "button", "text": {"type": "plain_text", "text": "Approve"}}
    reject = {"type": "button", "text": {"type": "plain_text", "text": "Reject"}}
    card = Message(
        "C0MAILADMIN",
        "1.000001",
        "U0MAILCFG",
        "fallback",
        [
            {"type": "header", "text": {"type": "plain_text", "text": "Waiting"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "by <@U0ALICE>"}},
            {"type": "actions", "elements": [approve, reject]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "#42"}]},
        ],
    )
    assert READER.message(card) == "Waiting\nby @Alice\n[Approve] [Reject]\n#42"


def test_paragraphs_and_lists_of_rich_text_stand_on_lines_of_their_own():
    def said(text: str) -> dict[str, object]:
        return {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}

    bullets = {"type": "rich_text_list", "style": "bullet", "elements": [said("one"), said("two")]}
    blocks = [{"type": "rich_text", "elements": [said("Seen:"), bullets, said("Done.")]}]
    assert READER.message(Message("C", "1.0", "U", "", blocks)) == "Seen:\n• one\n• two\nDone."


def test_a_menu_reads_as_what_it_is_for_and_one_behind_dots_as_its_choices():
    options = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in "ab"]
    placeholder = {"type": "plain_text", "text": "Snooze…"}
    menu = {"type": "static_select", "placeholder": placeholder, "options": options}
    actions = {"type": "actions", "elements": [menu, {"type": "overflow", "options": options}]}
    card = Message("C0MAILADMIN", "1.000001", "U0MAILCFG", "fallback", [actions])
    assert READER.message(card) == "[Snooze… ▾] [a | b]"


def test_a_message_without_blocks_reads_as_its_text():
    assert READER.message(Message("C", "1.0", "U", "hello <@U0ALICE>")) == "hello @Alice"


def test_a_form_shows_its_errors_below_the_inputs():
    label = {"type": "plain_text", "text": "Address"}
    view = View(
        "V1",
        "U0ALICE",
        "h",
        {
            "title": {"type": "plain_text", "text": "Change"},
            "submit": {"type": "plain_text", "text": "Send"},
            "blocks": [
                {
                    "type": "input",
                    "block_id": "email",
                    "label": label,
                    "element": {"type": "plain_text_input", "action_id": "email"},
                }
            ],
        },
        "V1",
        errors={"email": "Not an address."},
    )
    assert READER.view(view) == "Change\nAddress: [____]\n⚠ Not an address.\n[Send]"
