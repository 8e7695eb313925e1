"""The list of requests and the story of one: what they say, Slack's limits, nothing smuggled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.adapters.slack.cards import history
from bot.domain.audit import AuditEntry, AuditRow
from bot.domain.change import ChangeRequest
from bot.domain.sender_plans import SetPlan
from bot.services.look import Story
from tests.adapters.slack.every_card import (
    ADDRESS,
    LIVE,
    MOVED,
    NAME,
    REQUESTS,
    applied,
    pending,
    rejected,
)
from tests.adapters.slack.hostile import ALLOWED_TOKENS, HOSTILE
from tests.adapters.slack.reading import live_tokens, plain, problems
from tests.fakes import MORNING
from tests.office import ALICE, BOB, CAROL, ORG

every_hostile = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())

LINK = "https://acme.slack.com/archives/C0MAILADMIN/p1"
DONE = applied(ADDRESS, MOVED)


def told(request: ChangeRequest, *moves: tuple[str, str, dict[str, Any]], start: int = 1) -> Story:
    entries = [
        AuditRow(
            AuditEntry(ORG, MORNING + timedelta(minutes=n), actor, kind, request.id, body),
            n,
            "0" * 64,
            f"{n:064x}",
        )
        for n, (kind, actor, body) in enumerate(moves, start=start)
    ]
    return Story(request, tuple(entries))


MOVES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("proposed", ALICE.principal, {"digest": "0"}),
    ("refused", ALICE.principal, {"action": "approve"}),
    ("approved", BOB.principal, {"given": 1, "needed": 2}),
    ("approved", CAROL.principal, {"given": 2, "needed": 2}),
    ("claimed", "mailcfg", {"why": ""}),
    ("intent", "mailcfg", {"method": "PUT", "n": 1}),
    ("uncertain", "mailcfg", {"why": "Zoho Cliq did not answer in time"}),
    ("claimed", "mailcfg", {"why": ""}),
    ("applied", "mailcfg", {"why": "", "effect": "written"}),
)


def test_the_list_says_who_asked_who_decided_and_what_changed():
    shown = history.newest([rejected(NAME), DONE], {})
    assert plain(shown) == (
        "#42  Rejected: change display name\n"
        "Display name: Scott Fisher → Acme Support\n"
        "Asked by @Alice today at 9:00 AM · approved by @Bob · rejected by @Carol · ended today at "
        "9:30 AM\n"
        "#42  In force: change sender address\n"
        "Address: scott@acme.example → it@acme.example\n"
        "Asked by @Alice today at 9:00 AM · approved by @Bob, @Carol · in force today at 9:30 AM\n"
        "/mailcfg history #42 tells the whole story of one. /mailcfg undo with a number asks to "
        "set back what that one changed."
    )
    assert shown.text == "The newest 2 requests, from #42 on."
    assert problems(shown) == []
    assert f"<{LINK}|#42>" in live_tokens(history.newest([DONE], {DONE.id: LINK}))


def test_an_empty_list_is_a_sentence():
    assert plain(history.newest([], {})) == "Nobody has asked for a change yet."


def test_twenty_requests_in_whatever_state_fit_into_one_answer():
    assert len(REQUESTS) > 20
    for start in range(len(REQUESTS) - 19):
        assert problems(history.newest(list(REQUESTS.values())[start : start + 20], {})) == []


def test_the_story_goes_from_the_wish_to_the_end():
    shown = history.story(told(DONE, *MOVES), LINK)
    assert plain(shown) == (
        "#42 In force: change sender address\n"
        "Address: scott@acme.example → it@acme.example\n"
        "Unchanged: display name, CNAME status\n"
        "today at 9:01 AM · asked by @Alice\n"
        "today at 9:03 AM · approved by @Bob, 1 of 2\n"
        "today at 9:04 AM · approved by @Carol, 2 of 2\n"
        "today at 9:05 AM · taken up to be applied\n"
        "today at 9:06 AM · being sent to Cliq (PUT)\n"
        "today at 9:07 AM · outcome unknown: Zoho Cliq did not answer in time\n"
        "today at 9:08 AM · taken up to be applied\n"
        "today at 9:09 AM · read back, in force\n"
        "Reason for asking\n"
        "> Scott has left\n"
        "1 attempt was refused Audit head 9:0000000000000000 Go to its card "
        f"({LINK})"
    )
    assert shown.text == "The story of request #42 to change sender address, in 8 moves."
    assert problems(shown) == []
    assert live_tokens(shown) <= ALLOWED_TOKENS | {f"<{LINK}|Go to its card>"}


def test_a_story_of_hundreds_of_moves_says_where_the_rest_is():
    waiting = [("uncertain", "mailcfg", {"why": "no answer " * 20})] * 300
    shown = history.story(told(DONE, *waiting), None)
    assert "… 240 moves in between: mailcfg audit export has them all …" in plain(shown)
    assert problems(shown) == []


@every_hostile
def test_nothing_in_a_story_is_markup(hostile: str):
    strange = pending(SetPlan(replace(LIVE, name=hostile), NAME.wanted), reason=hostile)
    body = {"why": hostile, "method": hostile, "given": hostile, "needed": hostile}
    moves = [(kind, hostile, body) for kind in (hostile, "{who.x}", *history._WORDS)]
    shown = [history.story(told(strange, *moves), None), history.newest([strange], {})]
    assert [problems(each) for each in shown] == [[], []]
    assert set().union(*map(live_tokens, shown)) <= ALLOWED_TOKENS


def test_the_head_of_a_story_is_that_of_its_newest_move():
    story = told(DONE, *MOVES, ("refused", BOB.principal, {}))
    assert story.head is not None
    assert story.head.seq == 9
    assert told(DONE).head is None
