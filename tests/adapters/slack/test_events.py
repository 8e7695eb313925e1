"""What Slack tells by itself: which of it matters, and to whom."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.slack.events import Events


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "subteam_members_changed", "subteam_id": "S0MAIL"}, ["group"]),
        ({"type": "subteam_updated", "subteam": {"id": "S0MAIL"}}, ["group"]),
        ({"type": "subteam_updated", "subteam": {"id": "S0OTHER"}}, []),
        ({"type": "subteam_updated"}, []),
        ({"type": "app_uninstalled"}, ["app_uninstalled"]),
        ({"type": "tokens_revoked", "tokens": {"bot": ["U0MAILCFG"]}}, ["tokens_revoked"]),
        ({"type": "tokens_revoked", "tokens": {"oauth": ["U0ALICE"]}}, []),
        ({"type": "something_new"}, []),
    ],
)
async def test_an_event_is_heard_by_whom_it_concerns(event: dict[str, Any], expected: list[str]):
    heard: list[str] = []
    events = Events(
        groups=("S0MAIL",),
        group_changed=lambda: heard.append("group"),
        access_withdrawn=heard.append,
    )

    await events.on_event(event)

    assert heard == expected
