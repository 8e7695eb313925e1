"""What is told once beside a card: sentences for the ear, and nothing that can be smuggled in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.adapters.slack.cards import parts, telling
from bot.adapters.slack.cards import request as cards
from bot.adapters.slack.cards.parts import Rendered
from bot.domain.change import ChangeRequest
from bot.domain.mail_config import Patch
from bot.domain.sender_plans import plan_set
from tests.adapters.slack.every_card import LIVE, ORGANISATION, REQUESTS, pending, rejected
from tests.adapters.slack.hostile import ALLOWED_TOKENS, HOSTILE
from tests.adapters.slack.reading import buttons, header, live_tokens, plain, problems

CALLING = replace(
    ORGANISATION,
    channels=replace(ORGANISATION.channels, notify=("S0MAIL",), escalate_to=("U0DANA", "S0HEADS")),
)
LINK = "https://acme.slack.example/archives/C1/p1"
ENDED = {name: each for name, each in REQUESTS.items() if not each.is_open}


def everything(request: ChangeRequest) -> list[Rendered]:
    """All that is posted about a request beside its thread lines."""
    return [
        cards.card(request, CALLING),
        cards.card(request, CALLING, quiet=True),
        parts.elsewhere(cards.card(request, CALLING), "C0GONE"),
        telling.mention(request, CALLING),
        telling.reminder(request, CALLING, escalates=True),
        telling.outcome(request, LINK),
    ]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_slack_takes_it_and_a_screen_reader_hears_a_whole_sentence(request_: ChangeRequest):
    for shown in everything(request_):
        assert problems(shown) == []
        assert shown.text[0].isupper()
        assert shown.text.endswith(".")
        assert "<" not in shown.text


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_was_typed_mentions_anyone(hostile: str):
    mine = {"<!subteam^S0MAIL>", "<!subteam^S0HEADS>", "<@U0DANA>", "<#C0GONE>", f"<{LINK}|#42>"}
    named = pending(plan_set(Patch(name=hostile), LIVE), hostile)
    for request in (named, rejected(reason=hostile)):
        for shown in everything(request):
            assert problems(shown) == []
            assert live_tokens(shown) <= ALLOWED_TOKENS | mine


@pytest.mark.parametrize("request_", ENDED.values(), ids=ENDED.keys())
def test_the_outcome_begins_with_the_word_of_the_card(request_: ChangeRequest):
    word = header(cards.card(request_, ORGANISATION)).partition(":")[0]
    assert plain(telling.outcome(request_, None)).startswith(f"{word}: your request #42 to ")


def test_a_quiet_card_names_none_of_those_it_calls():
    assert "Approvers" in plain(cards.card(pending(), ORGANISATION))
    assert "@Bob" not in plain(cards.card(pending(), ORGANISATION, quiet=True))


def test_only_the_reminder_that_escalates_calls_for_help():
    quiet = telling.reminder(pending(), CALLING, escalates=False)
    loud = telling.reminder(pending(), CALLING, escalates=True)
    assert live_tokens(loud) - live_tokens(quiet) == {"<@U0DANA>", "<!subteam^S0HEADS>"}


def test_a_button_says_what_it_does_to_what():
    shown = buttons(cards.card(pending(), ORGANISATION))
    labels = {name: button["accessibility_label"] for name, button in shown.items()}
    assert labels == {
        "approve": "Approve request #42: change sender address",
        "reject": "Reject request #42: change sender address",
        "details": "Details of request #42",
        "withdraw": "Withdraw request #42: change sender address",
    }
