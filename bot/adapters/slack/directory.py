"""People: what Slack says about somebody, and which usergroups they are in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot.adapters.slack.workspace import Identity, SlackFault, Workspace
from bot.domain.policy import Actor, Facts, is_group
from bot.errors import CouldNotCheck, GroupTrouble, NotAllowed
from bot.ports import Clock

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 2.0
"""A click must be answered within three seconds, so a slower look-up is none."""

KEPT_SECONDS = 60.0
"""How long it is remembered for clicks who is in a group: Slack allows some twenty such calls a minute,
and who has left must not go on approving for longer."""
NO_SUCH_GROUP = "no_such_subteam"
NEVER = {
    NO_SUCH_GROUP: "Slack knows no such group, or it is disabled. Give the id (S…) of one that "
    "exists.",
    "missing_scope": "mailcfg may not read groups. Add the scope usergroups:read to the Slack app "
    "(`mailcfg manifest --groups` prints it) and install the app again.",
    "plan_upgrade_required": "this workspace's Slack plan has no groups. List user ids (U…) instead.",
}
"""What Slack says of a group that trying again will not mend, with the cure
(docs.slack.dev/reference/methods/usergroups.users.list)."""

UNKNOWN = frozenset({"user_not_found", "user_not_visible"})
SLACKBOT = "USLACKBOT"


class SlackDirectory:
    """`ports.Directory` over `users.info` and `usergroups.users.list`.

    A flag that is absent from a successful answer counts as false; a failed look-up refuses, and so
    does one that takes longer than `within_seconds`. Flags are never kept.
    """

    def __init__(
        self, workspace: Workspace, clock: Clock, *, within_seconds: float = LOOK_UP_SECONDS
    ) -> None:
        self._workspace = workspace
        self._clock = clock
        self._within_seconds = within_seconds
        self._kept: dict[str, _Members] = {}

    async def look_up(
        self, actor: Actor, groups: Sequence[str] = (), *, afresh: bool = False
    ) -> Facts:
        """Raises NotAllowed for somebody whom Slack does not know, else CouldNotCheck."""
        us = self._us()
        with _said_plainly():
            async with asyncio.timeout(self._within_seconds):
                person = await self._person(actor.user)
                facts = facts_of(actor, person, us, f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}")
                return replace(facts, groups=await self._groups_of(facts.actor, groups, afresh))

    async def named(self, entry: str) -> tuple[Actor, ...]:
        us = self._us()
        if not is_group(entry):
            return (Actor(us.team, entry),)
        with _said_plainly():
            async with asyncio.timeout(self._within_seconds):
                members = await self._members(entry, afresh=False)
        return tuple(Actor(us.team, user) for user in members)

    def forget_groups(self) -> None:
        """Somebody has joined or left a group: the next look reads anew."""
        self._kept.clear()

    def _us(self) -> Identity:
        if self._workspace.identity is None:
            raise CouldNotCheck(_COULD_NOT)
        return self._workspace.identity

    async def _person(self, user: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._workspace.user(user)
        except SlackFault as fault:
            if fault.error in UNKNOWN:
                raise NotAllowed("unknown_person", "Slack does not know you here.") from fault
            raise
        return found

    async def _groups_of(
        self, person: Actor, groups: Sequence[str], afresh: bool
    ) -> tuple[str, ...]:
        mine = {person.user, person.enterprise_user}
        return tuple([g for g in groups if mine & {*await self._members_if_any(g, afresh)}])

    async def _members_if_any(self, group: str, afresh: bool) -> tuple[str, ...]:
        try:
            return await self._members(group, afresh=afresh)
        except GroupTrouble as trouble:
            if not trouble.is_missing:
                raise
            log.warning("no such group of approvers", group=group)
            return ()

    async def _members(self, group: str, *, afresh: bool) -> tuple[str, ...]:
        kept, now = self._kept.get(group), self._clock.elapsed()
        if not afresh and kept is not None and now - kept.read_at < KEPT_SECONDS:
            return kept.users
        try:
            users = await self._workspace.group_members(group)
        except SlackFault as fault:
            if fault.error in NEVER:
                is_missing = fault.error == NO_SUCH_GROUP
                raise GroupTrouble(group, NEVER[fault.error], is_missing=is_missing) from fault
            raise
        self._kept[group] = _Members(users, now)
        return users


@dataclass(frozen=True, slots=True)
class _Members:
    """Who was in a group at `read_at`, in the clock's elapsed seconds."""

    users: tuple[str, ...]
    read_at: float


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Slack's faults and silence as one sentence for whoever asked."""
    try:
        yield
    except (SlackFault, TimeoutError) as error:
        raise CouldNotCheck(_COULD_NOT) from error


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
