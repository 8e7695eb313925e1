"""Messages as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from slack_bench import actions, button, form_input, modal, mrkdwn, options, plain, section

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


BULLETS = {"type": "rich_text_list", "style": "bullet"}


def said(text: str) -> dict[str, object]:
    return {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("blocks", "read"),
    [
        ([], "hello @Alice"),
        (
            [
                {"type": "header", "text": plain("Waiting")},
                section(text=mrkdwn("by <@U0ALICE>")),
                actions(button(text=plain("Approve")), button(text=plain("Reject"))),
                {"type": "context", "elements": [mrkdwn("#42")]},
            ],
            "Waiting\nby @Alice\n[Approve] [Reject]\n#42",
        ),
        (
            [
                {
                    "type": "rich_text",
                    "elements": [
                        said("Seen:"),
                        BULLETS | {"elements": [said("one"), said("two")]},
                        said("Done."),
                    ],
                }
            ],
            "Seen:\n• one\n• two\nDone.",
        ),
        (
            [
                actions(
                    {"type": "static_select", "placeholder": plain("Snooze…"), "options": []},
                    {"type": "overflow", "options": options(1, "a") + options(1, "b")},
                )
            ],
            "[Snooze… ▾] [a | b]",
        ),
    ],
)
def test_a_message_reads_as_lines_with_what_can_be_pressed_in_brackets(blocks, read):
    assert READER.message(Message("C", "1.0", "U", "hello <@U0ALICE>", blocks)) == read


def test_a_form_shows_its_errors_below_the_inputs():
    field = form_input(block_id="email", label=plain("Address"))
    content = modal(title=plain("Change"), submit=plain("Send"), blocks=[field])
    view = View("V1", "U0ALICE", "h", content, errors={"email": "Not an address."})
    assert READER.view(view) == "Change\nAddress: [____]\n⚠ Not an address.\n[Send]"
