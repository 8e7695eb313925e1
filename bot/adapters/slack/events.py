"""What Slack tells without anybody having done something here: groups change, access is withdrawn.

Nothing rests on an event: one that is lost costs a minute of an old answer, or the next call fails.
Bolt answers Slack once the listener returns, so nothing slow is done in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from slack_bolt.async_app import AsyncApp

Event = dict[str, Any]


class Events:
    """`groups` are those whose members may approve; both callbacks must return at once."""

    def __init__(
        self,
        *,
        groups: Collection[str],
        group_changed: Callable[[], None],
        access_withdrawn: Callable[[str], None],
    ) -> None:
        self._groups = groups
        self._group_changed = group_changed
        self._access_withdrawn = access_withdrawn

    def register(self, app: AsyncApp) -> None:
        app.event(re.compile(".*", re.DOTALL))(self.on_event)

    async def on_event(self, event: Event) -> None:
        kind = event["type"]
        if kind in {"subteam_members_changed", "subteam_updated"}:
            if group_of(event) in self._groups:
                self._group_changed()
        elif kind == "app_uninstalled" or (kind == "tokens_revoked" and _has_bot_token(event)):
            self._access_withdrawn(kind)


def group_of(event: Event) -> str | None:
    """The usergroup that an event is about (docs.slack.dev/reference/events/subteam_updated)."""
    found = event.get("subteam_id") or (event.get("subteam") or {}).get("id")
    return None if found is None else str(found)


def _has_bot_token(event: Event) -> bool:
    """Whether it is ours; a person's token is none of our business."""
    return bool((event.get("tokens") or {}).get("bot"))
