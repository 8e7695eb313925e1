"""The approvers in the settings as people: who they are, and whether there are enough of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain import policy as rules
from bot.domain.policy import Actor, Facts, Policy
from bot.errors import CouldNotCheck, GroupTrouble, NotAllowed, SettingsError
from bot.ports import Directory

NOBODY = Actor(team="", user="")
"""The requester of nothing, to ask whether somebody is an approver at all."""


@dataclass(frozen=True, slots=True)
class Muster:
    """The approvers as people, as far as they were looked up.

    `eligible` may decide, each person once; `unfit` may do nothing here. `unread` is why somebody
    could not be looked up, if so.
    """

    known: tuple[Facts, ...] = ()
    eligible: tuple[Actor, ...] = ()
    unfit: tuple[str, ...] = ()
    unread: CouldNotCheck | None = None


class Approvers:
    """Those whom one policy lets approve, looked up afresh each time."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        self._directory = directory

    async def check_settings(self) -> list[str]:
        """Whether the approvers in the settings can ever be enough; what an operator should know.

        Raises SettingsError where Slack's answer shows that they cannot, and CouldNotCheck.
        """
        if self._policy.watch_only:
            return []
        for group in self._policy.groups:
            await self._check_group(group)
        needed = self._policy.quorum(is_sensitive=True)
        found = await self.muster(NOBODY, max(needed + 1, len(self._policy.approvers)))
        if len(found.eligible) < needed:
            if found.unread is not None:
                raise found.unread
            raise SettingsError([_too_few(len(found.eligible), needed)])
        return _warnings(found, self._policy, needed)

    async def _check_group(self, group: str) -> None:
        try:
            await self._directory.named(group)
        except GroupTrouble as trouble:
            fault = f"MAILCFG_APPROVERS has the group {group}: {trouble.cure}"
            raise SettingsError([fault]) from trouble

    async def muster(self, requester: Actor, enough: int) -> Muster:
        """Who may decide on a request of `requester`; once there are `enough`, nobody else is asked.

        Whoever is gone is passed over. Raises CouldNotCheck if a group cannot be read.
        """
        found = Muster()
        for actor in await self._candidates():
            found = await self._with(found, actor, requester)
            if len(found.eligible) >= enough:
                break
        return found

    async def _candidates(self) -> list[Actor]:
        """Everybody whom the approvers' ids stand for, each id once."""
        people: list[Actor] = []
        for entry in self._policy.approvers:
            try:
                people += await self._directory.named(entry)
            except GroupTrouble as trouble:
                if not trouble.is_missing:
                    raise
        return list(dict.fromkeys(people))

    async def _with(self, found: Muster, actor: Actor, requester: Actor) -> Muster:
        try:
            facts = await self._directory.look_up(actor, self._policy.groups)
        except CouldNotCheck as unread:
            return replace(found, unread=unread)
        except NotAllowed:
            return replace(found, unfit=(*found.unfit, actor.user))
        known = (*found.known, facts)
        eligible = rules.who_may_decide(known, (self._policy,), requester)
        is_fit = rules.may_show(facts).is_allowed
        unfit = found.unfit if is_fit else (*found.unfit, actor.user)
        return replace(found, known=known, eligible=eligible, unfit=unfit)


def _too_few(eligible: int, needed: int) -> str:
    who = "nobody who" if eligible == 0 else f"only {eligible} who"
    return (
        f"MAILCFG_APPROVERS names {who} may approve, but a change can need {needed} approvals: add "
        "full, active members of this workspace, or lower MAILCFG_APPROVALS_SENSITIVE."
    )


def _warnings(found: Muster, policy: Policy, needed: int) -> list[str]:
    said = [
        f"MAILCFG_APPROVERS lists {user}, who is gone, a guest or a bot and cannot approve."
        for user in found.unfit
        if user in policy.approvers
    ]
    if len(found.eligible) == needed:
        said.append(
            f"MAILCFG_APPROVERS names just {needed} who may approve, as many as a change can need: "
            "one that an approver asks for cannot be approved."
        )
    return said
