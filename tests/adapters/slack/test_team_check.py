"""Whose payloads are let through: those of our own workspace, whatever Slack says of the channel."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.slack.team_check import is_ours
from bot.adapters.slack.workspace import Identity

ALONE = Identity("T0ACME", None, "U0MAILCFG", "B0MAILCFG")
GRID = Identity("T0ACME", "E0ACME", "U0MAILCFG", "B0MAILCFG")
FLATTERY = {
    "is_ext_shared_channel": True,
    "authorizations": [{"team_id": "T0ACME", "enterprise_id": "E0ACME"}],
}


def click(team: str, persons: str | None, enterprise: str | None = None) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "team": {"id": team},
        "user": {"id": "U0ALICE", "team_id": persons},
        "enterprise": enterprise and {"id": enterprise},
    }


@pytest.mark.parametrize(
    ("us", "body", "expected"),
    [
        (ALONE, click("T0ACME", "T0ACME"), True),
        (ALONE, click("T0ACME", None), True),
        (ALONE, click("T0ACME", "T0OTHER"), False),
        (ALONE, click("T0OTHER", "T0OTHER"), False),
        (ALONE, click("T0OTHER", "T0ACME"), False),
        (ALONE, click("T0ACME", "T0ACME", "E0OTHER"), False),
        (ALONE, {"type": "block_actions", "team": None, "user": {"id": "U0ALICE"}}, False),
        (ALONE, {"command": "/mailcfg", "team_id": "T0ACME", "user_id": "U0ALICE"}, True),
        (ALONE, {"command": "/mailcfg", "team_id": "T0OTHER", "user_id": "U0ALICE"}, False),
        (ALONE, {"command": "/mailcfg", "user_id": "U0ALICE"}, False),
        (ALONE, {"type": "event_callback", "team_id": "T0ACME", "event": {}}, True),
        (ALONE, {"type": "event_callback", "team_id": "T0OTHER", "event": {}}, False),
        (ALONE, {"type": "event_callback", "event": {}}, False),
        (GRID, click("T0ACME", "T0ACME", "E0ACME"), True),
        (GRID, click("T0SECOND", "T0SECOND", "E0ACME"), True),
        (GRID, click("T0ACME", "T0ACME"), True),
        (GRID, click("T0SECOND", "T0SECOND"), False),
        (GRID, click("T0ACME", "T0ACME", "E0OTHER"), False),
        (GRID, {"team_id": "T0ACME", "enterprise_id": "E0OTHER", "command": "/m"}, False),
    ],
)
def test_only_our_own_workspace_is_heard(us: Identity, body: dict[str, Any], expected: bool):
    assert is_ours(body, us) is expected
    assert is_ours(body | FLATTERY, us) is expected
