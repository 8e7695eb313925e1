"""People: what Slack says about somebody, read afresh each time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from bot.adapters.slack.workspace import Identity, SlackFault, Workspace
from bot.domain.policy import Actor, Facts
from bot.errors import CouldNotCheck, NotAllowed
from bot.ports import Clock

LOOK_UP_SECONDS = 2.0
"""A click must be answered within three seconds, so a slower look-up is none."""

UNKNOWN = frozenset({"user_not_found", "user_not_visible"})
SLACKBOT = "USLACKBOT"


class SlackDirectory:
    """`ports.Directory` over `users.info`.

    A flag that is absent from a successful answer counts as false; a failed look-up refuses, and so
    does one that takes longer than `within_seconds`.
    """

    def __init__(
        self, workspace: Workspace, clock: Clock, *, within_seconds: float = LOOK_UP_SECONDS
    ) -> None:
        self._workspace = workspace
        self._clock = clock
        self._within_seconds = within_seconds

    async def look_up(self, actor: Actor) -> Facts:
        """Raises NotAllowed for somebody whom Slack does not know, else CouldNotCheck."""
        us = self._workspace.identity
        if us is None:
            raise CouldNotCheck(_COULD_NOT)
        try:
            async with asyncio.timeout(self._within_seconds):
                person = await self._workspace.user(actor.user)
        except SlackFault as fault:
            if fault.error in UNKNOWN:
                raise NotAllowed("unknown_person", "Slack does not know you here.") from fault
            raise CouldNotCheck(_COULD_NOT) from fault
        except TimeoutError as error:
            raise CouldNotCheck(_COULD_NOT) from error
        return facts_of(actor, person, us, f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}")


def facts_of(actor: Actor, person: dict[str, Any], us: Identity, fetched_at: str) -> Facts:
    """What `users.info` says about `actor`, seen from our workspace."""
    grid = person.get("enterprise_user") or {}
    known = replace(actor, enterprise_user=grid.get("id") or actor.enterprise_user)
    return Facts(
        actor=known,
        is_deleted=bool(person.get("deleted")),
        is_bot=person.get("id") == SLACKBOT
        or any(person.get(f) for f in ("is_bot", "is_workflow_bot", "is_connector_bot")),
        is_guest=bool(person.get("is_restricted") or person.get("is_ultra_restricted")),
        is_stranger=_is_stranger(actor, person, grid, us),
        fetched_at=fetched_at,
    )


def _is_stranger(actor: Actor, person: dict[str, Any], grid: dict[str, Any], us: Identity) -> bool:
    """Of another workspace by the payload, by the account, or by Slack's own word."""
    if person.get("is_stranger"):
        return True
    if us.enterprise is not None and grid.get("enterprise_id") == us.enterprise:
        return us.team not in grid.get("teams", [us.team])
    return actor.team != us.team or person.get("team_id", us.team) != us.team


_COULD_NOT = "Could not check with Slack who you are, so nothing was done. Try again in a minute."
