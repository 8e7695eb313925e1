"""Who may do something now: looks people up, asks the policy, and keeps every refusal in the audit.

A refusal is stored before the person is told, with what it rests on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from bot.domain import policy as rules
from bot.domain.audit import AuditEntry
from bot.domain.change import ChangeRequest
from bot.domain.organisation import Organisation
from bot.domain.policy import Actor, Facts, Policy, Verdict
from bot.errors import CouldNotCheck, MailcfgError, NotAllowed, Refusal
from bot.ports import Clock, Directory, Store
from bot.services.approvers import Approvers


class Admission:
    """The door to one organisation's services."""

    def __init__(
        self, organisation: Organisation, store: Store, directory: Directory, clock: Clock
    ) -> None:
        self._org = organisation.id
        self._policy = organisation.policy
        self._store = store
        self._directory = directory
        self._clock = clock
        self._approvers = Approvers(organisation.policy, directory)

    async def admit(
        self,
        actor: Actor,
        action: str,
        may: Callable[[Facts], Verdict],
        request: ChangeRequest | None = None,
    ) -> Facts:
        """The actor's facts, if they may. Raises NotAllowed and CouldNotCheck."""
        async with self.auditing_refusals(actor, action, request):
            facts = await self._directory.look_up(actor, groups_of(self._policy, request))
            verdict = may(facts)
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
        async with self._store.begin(self._org) as tx:
            await tx.record(AuditEntry(self._org, now, actor.principal, "refused", subject, body))

    async def check_settings(self) -> list[str]:
        """What `Approvers.check_settings` finds of the approvers in the settings."""
        return await self._approvers.check_settings()

    async def check_enough_approvers(self, request: ChangeRequest) -> None:
        """Whether enough people could approve this. Raises NotAllowed and CouldNotCheck."""
        found = await self._approvers.muster(request.requester, request.quorum)
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


def groups_of(policy: Policy, request: ChangeRequest | None) -> tuple[str, ...]:
    """The usergroups that matter: those of today's rules and those frozen into the request."""
    frozen = () if request is None else request.policy.groups
    return tuple(dict.fromkeys((*policy.groups, *frozen)))
