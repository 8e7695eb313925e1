"""Who may do something now: looks people up, asks the policy, and keeps every refusal in the audit.

A refusal is stored before the person is told, with what it rests on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from bot.domain import policy as rules
from bot.domain.change import ChangeRequest
from bot.domain.policy import Actor, Facts, Policy, Verdict
from bot.errors import (
    CouldNotCheck,
    GroupTrouble,
    MailcfgError,
    NotAllowed,
    Refusal,
    SettingsError,
)
from bot.ports import AuditEntry, Clock, Directory, Store

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


class Admission:
    """The door to one organisation's services."""

    def __init__(
        self, *, org: str, policy: Policy, store: Store, directory: Directory, clock: Clock
    ) -> None:
        self._org = org
        self._policy = policy
        self._store = store
        self._directory = directory
        self._clock = clock

    async def admit(
        self,
        actor: Actor,
        action: str,
        may: Callable[[Facts], Awaitable[Verdict]],
        request: ChangeRequest | None = None,
    ) -> Facts:
        """The actor's facts, if they may. Raises NotAllowed and CouldNotCheck."""
        async with self.auditing_refusals(actor, action, request):
            facts = await self._directory.look_up(actor, groups_of(self._policy, request))
            verdict = await may(facts)
            if not verdict.is_allowed:
                grounds = rules.evidence(facts, self._policy, verdict)
                raise NotAllowed(verdict.code, verdict.sentence, grounds)
        return facts

    async def turn_away(self, actor: Actor, action: str, verdict: Verdict) -> NoReturn:
        """Refuse somebody by their payload alone, without a look-up. Raises NotAllowed."""
        async with self.auditing_refusals(actor, action):
            grounds = actor.as_dict() | {"verdict": verdict.code}
            raise NotAllowed(verdict.code, verdict.sentence, grounds)

    @asynccontextmanager
    async def auditing_refusals(
        self, actor: Actor, action: str, request: ChangeRequest | None = None
    ) -> AsyncIterator[None]:
        """Whatever is refused inside goes to the audit before the person is told."""
        try:
            yield
        except (Refusal, CouldNotCheck) as refusal:
            await self._audit_refusal(actor, action, refusal, request)
            raise

    async def _audit_refusal(
        self, actor: Actor, action: str, refusal: MailcfgError, request: ChangeRequest | None
    ) -> None:
        code = refusal.code if isinstance(refusal, NotAllowed) else type(refusal).__name__
        body: dict[str, Any] = {"action": str(action), "code": code, "sentence": str(refusal)}
        if isinstance(refusal, NotAllowed) and refusal.evidence is not None:
            body["evidence"] = dict(refusal.evidence)
        subject = None if request is None else request.id
        now = self._clock.now()
        async with self._store.begin() as tx:
            await tx.record(AuditEntry(self._org, now, actor.principal, "refused", subject, body))

    async def check_enough_approvers(self, request: ChangeRequest) -> None:
        """Whether enough people could approve this. Raises NotAllowed and CouldNotCheck."""
        found = await self.muster(request.requester, request.quorum)
        others = len(found.eligible)
        if others >= request.quorum:
            return
        if found.unread is not None:
            raise found.unread
        raise NotAllowed(
            "too_few_approvers",
            f"This change needs {request.quorum} approvals, and besides you there "
            f"{'is 1 approver' if others == 1 else f'are {others} approvers'}. Let somebody "
            "who is no approver ask, or have whoever runs mailcfg add one to "
            "MAILCFG_APPROVERS.",
        )

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


def groups_of(policy: Policy, request: ChangeRequest | None) -> tuple[str, ...]:
    """The usergroups that matter: those of today's rules and those frozen into the request."""
    frozen = () if request is None else request.policy.groups
    return tuple(dict.fromkeys((*policy.groups, *frozen)))


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
