"""In front of every listener: what comes from another workspace goes no further.

Bolt compares no team with ours, and over Socket Mode nothing else does. Whoever passes here is still
looked up by the directory. What Slack says of the app (`authorizations`) and of the channel
(`is_ext_shared_channel`) is no permission for a person, so neither is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp

from bot.adapters.slack.workspace import Identity, Workspace

log = structlog.get_logger(__name__)

Body = dict[str, Any]


def is_ours(body: Body, us: Identity) -> bool:
    """Whether a payload comes from our workspace, and from a person of it.

    A click through Slack Connect has the clicker's team, not that of the channel. Within our own
    Enterprise Grid a person of another workspace passes: whether they are in ours as well is known
    to `users.info` only.
    """
    enterprise = _id(body.get("enterprise")) or body.get("enterprise_id")
    if enterprise:
        return bool(enterprise == us.enterprise)
    team, person = _id(body.get("team")), body.get("user")
    persons = person.get("team_id") if isinstance(person, dict) else None
    named = {body.get("team_id"), team, persons} - {None, ""}
    return named == {us.team}


def _is_anybodys(body: Body) -> bool:
    person = body.get("user")
    return bool(body.get("user_id") or (isinstance(person, dict) and person.get("id")))


def _id(named: Any) -> str | None:
    return named.get("id") if isinstance(named, dict) else named


class TeamCheck:
    """Bolt's global middleware; a person who is turned away is answered by `turn_away`."""

    def __init__(
        self, workspace: Workspace, turn_away: Callable[[Callable[..., Any], Body], Awaitable[Any]]
    ) -> None:
        self._workspace = workspace
        self._turn_away = turn_away

    def register(self, app: AsyncApp) -> None:
        app.middleware(self.on_payload)

    async def on_payload(
        self, ack: Callable[..., Awaitable[Any]], body: Body, next_: Callable[[], Awaitable[Any]]
    ) -> Any:
        us, is_event = self._workspace.identity, body.get("type") == "event_callback"
        if not is_event and not _is_anybodys(body):
            return BoltResponse(status=400, body="")
        if us is not None and is_ours(body, us):
            return await next_()
        log.warning("turned away: of another workspace", type=body.get("type") or "command")
        if is_event:
            return await ack()
        return await self._turn_away(ack, body)
