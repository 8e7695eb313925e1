"""The senders: what one process took to send and never sent is another one's after the lease."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.slack.notifier import Notifier
from tests.fakes import Killed
from tests.office import ALICE, RENAME, Office


class FakeWorkspace:
    """Posts, and dies in the middle of its first call."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.is_about_to_die = True

    async def call(self, method: str, **arguments: Any) -> dict[str, str]:
        if self.is_about_to_die:
            self.is_about_to_die = False
            raise Killed
        self.posted.append(arguments["text"])
        return {"channel": arguments["channel"], "ts": "1.0"}


async def test_a_card_whose_sender_died_is_shown_once_the_lease_has_ended(office: Office):
    slack = FakeWorkspace()
    notifier = Notifier(office.organisation, slack, office.store, office.clock)
    await office.changes.propose(ALICE, RENAME)
    with pytest.raises(Killed):
        await notifier.send_due()

    office.clock.advance(seconds=59)
    await notifier.send_due()
    too_early = list(slack.posted)
    office.clock.advance(seconds=1)
    await notifier.send_due()

    assert too_early == []
    assert slack.posted == ["Request #1 to change display name waits for approval: 0 of 1 so far."]
