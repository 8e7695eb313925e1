"""People's part of a change: ask, approve, reject, withdraw; and the clock's: expire.

Each use case reads, asks the domain for the next value, and stores it with its audit entry in one
transaction. Whoever loses a race reads again and decides anew. Refusals are audited too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.domain import policy as rules
from bot.domain.change import (
    ChangeRequest,
    Decision,
    Seal,
    VoteKind,
    canonical,
    from_milliseconds,
    milliseconds,
)
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import CNAME_STATUSES, REASON_MAX, MailConfig, Patch, clean_reason
from bot.domain.plan import (
    AcceptPlan,
    Baseline,
    Plan,
    ResetPlan,
    SetPlan,
    plan_accept,
    plan_reset,
    plan_set,
)
from bot.domain.policy import Actor, Facts, Policy, Verdict
from bot.domain.preflight import Preflight
from bot.errors import (
    AlreadyOpen,
    CouldNotCheck,
    MailcfgError,
    NotAllowed,
    Refusal,
    UnknownRequest,
)
from bot.ports import (
    AuditEntry,
    Card,
    Clock,
    Directory,
    LostRace,
    MailConfigApi,
    Message,
    Purpose,
    Resolver,
    Store,
)

BASE_MAX_AGE = timedelta(minutes=10)
"""How old the live value may be on which a request is built."""

Wish = Set | Reset | Accept


class Changes:
    """The requests of one organisation."""

    def __init__(
        self,
        *,
        org: str,
        policy: Policy,
        approval_channel: str,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        directory: Directory,
        clock: Clock,
        seal: Seal,
        new_id: Callable[[], str],
    ) -> None:
        self.org = org
        self.policy = policy
        self._channel = approval_channel
        self._store = store
        self._api = api
        self._resolver = resolver
        self._directory = directory
        self._clock = clock
        self._seal = seal
        self._new_id = new_id

    async def propose(self, actor: Actor, wish: Wish) -> ChangeRequest:
        """Ask for a change of what is live now.

        The same wish of the same person while it is open returns that request. Raises NotAllowed,
        AlreadyOpen, NoChange, InputError, CouldNotCheck, CliqError or OAuthError.
        """
        facts = await self._allowed(actor, "propose", self._may_propose)
        live = await self._api.read(Purpose.LOOK)
        async with self._auditing_refusals(actor, "propose"):
            return await self._propose(facts, wish, live)

    async def propose_over(self, actor: Actor, wish: Wish, base: str) -> ChangeRequest:
        """Ask for a change of the configuration that a form showed: `base` is `sealed_base()`'s."""
        facts = await self._allowed(actor, "propose", self._may_propose)
        async with self._auditing_refusals(actor, "propose"):
            live = self._unseal(base)
            if isinstance(wish, Set):
                wish = replace(wish, patch=wish.patch.beyond(live))
            return await self._propose(facts, wish, live)

    async def propose_again(self, actor: Actor, request_id: str) -> ChangeRequest:
        """Ask anew for what an ended request wanted, over what is live now; raises as `propose`."""
        earlier = await self._found(request_id)
        reason = f"Again: {earlier.reason.removeprefix('Again: ')}"
        return await self.propose(actor, _wish_of(earlier, reason))

    async def propose_restore(self, actor: Actor, reason: str) -> ChangeRequest:
        """Ask to set the sender back to what was approved last; raises as `propose`."""
        approved = await self.baseline()
        if approved is None:
            raise Refusal("Nothing has been approved yet, so there is nothing to restore.")
        return await self.propose(actor, _restoring(approved.config, clean_reason(reason)))

    async def check_may_decide(self, actor: Actor, request_id: str, kind: VoteKind) -> None:
        """Refuse early what `decide` would refuse; raises as `decide`."""
        await self._allowed(actor, kind, self._may_decide(request_id), request_id)

    async def sealed_base(self, actor: Actor) -> tuple[MailConfig | None, str]:
        """The live configuration and a signed copy of it, to travel through a form and back."""
        await self._allowed(actor, "propose", self._may_propose)
        live = await self._api.read(Purpose.LOOK)
        at = milliseconds(self._clock.now())
        text = canonical({"org": self.org, "at": at, "live": live and live.as_dict()})
        return live, canonical({"base": text, "mac": self._seal.sign_text(text)})

    async def decide(
        self, actor: Actor, request_id: str, kind: VoteKind, reason: str = ""
    ) -> ChangeRequest:
        """Approve or reject; returns the request as it then is.

        Raises NotAllowed, AlreadySettled, UnknownRequest, CouldNotCheck, or BadValue for a reject
        without a reason.
        """
        if kind is VoteKind.REJECT:
            reason = clean_reason(reason)
        facts = await self._allowed(actor, kind, self._may_decide(request_id), request_id)
        return await self._race(lambda: self._decide(facts, request_id, kind, reason))

    async def withdraw(self, actor: Actor, request_id: str | None = None) -> ChangeRequest:
        """Take one's own request back; without an id, the open one."""
        return await self._race(lambda: self._withdraw(actor, request_id))

    async def expire(self) -> None:
        """End the open request if its time has run out."""
        request = await self._store.open_request(self.org)
        if request is not None and request.is_overdue(self._clock.now()):
            moved = request.expire(self._clock.now())
            facts = {"why": moved.end_reason}
            # Whoever was faster has moved it to where time may no longer matter; look again later.
            with suppress(LostRace):
                await self._store_move(request, moved, "expired", "mailcfg", facts)

    async def pending(self) -> ChangeRequest | None:
        return await self._store.open_request(self.org)

    async def baseline(self) -> Baseline | None:
        """What was approved last, or None if nothing ever was."""
        last = await self._store.last_applied(self.org)
        return None if last is None else Baseline(last.approved_config)

    async def _propose(self, facts: Facts, wish: Wish, live: MailConfig | None) -> ChangeRequest:
        plan = await self._look_ahead(await self._plan(wish, live))
        request = self._new_request(facts, plan, wish.reason)
        self._check_enough_approvers(request)
        try:
            return await self._add(request)
        except AlreadyOpen:
            current = await self._store.open_request(self.org)
            if current is not None and current.intent() == request.intent():
                return current
            raise

    async def _plan(self, wish: Wish, live: MailConfig | None) -> Plan:
        match wish:
            case Set():
                return plan_set(wish.patch, live)
            case Reset():
                return plan_reset(live)
            case Accept():
                return plan_accept(live, await self.baseline())

    async def _look_ahead(self, plan: Plan) -> Plan:
        """The plan with what DNS says now, where a new key will need a new record."""
        if not isinstance(plan, SetPlan) or not plan.issues_new_key:
            return plan
        seen = await self._resolver.survey(plan.domain)
        return replace(plan, preflight=Preflight.of(plan.domain, seen))

    def _new_request(self, facts: Facts, plan: Plan, reason: str) -> ChangeRequest:
        now = self._clock.now()
        bare = ChangeRequest(
            id=self._new_id(),
            org=self.org,
            number=0,
            plan=plan,
            policy=self.policy,
            quorum=self.policy.quorum(is_sensitive=plan.sensitive_because is not None),
            requester=facts.actor,
            requester_evidence=facts.as_dict(),
            reason=reason,
            created_at=now,
            expires_at=now + self.policy.approval_deadline,
        )
        return replace(bare, digest=bare.compute_digest())

    def _check_enough_approvers(self, request: ChangeRequest) -> None:
        others = len(self.policy.approvers_for(request.requester))
        if others < request.quorum:
            raise NotAllowed(
                "too_few_approvers",
                f"This change needs {request.quorum} approvals, and besides you there "
                f"{'is 1 approver' if others == 1 else f'are {others} approvers'}. Let somebody "
                "who is no approver ask, or have whoever runs mailcfg add one to "
                "MAILCFG_APPROVERS.",
            )

    async def _add(self, request: ChangeRequest) -> ChangeRequest:
        async with self._store.begin() as tx:
            stored = await tx.add_request(request)
            await tx.save_card(Card(stored.id, self._channel))
            await tx.record(
                self._entry(
                    stored,
                    "proposed",
                    stored.requester.principal,
                    {"digest": stored.digest, "operation": stored.plan.operation},
                )
            )
        return stored

    async def _decide(
        self, facts: Facts, request_id: str, kind: VoteKind, reason: str
    ) -> ChangeRequest:
        request, now = await self._found(request_id), self._clock.now()
        vote = self._vote(request, facts, kind, reason)
        async with self._auditing_refusals(facts.actor, kind, request):
            moved = self._count(request, vote)
        said = {"user": facts.actor.user, "reason": reason, "given": len(moved.approvals)}
        said |= {"needed": self._quorum(request), "at": milliseconds(now)}
        word = "approved" if kind is VoteKind.APPROVE else "rejected"
        await self._store_move(request, moved, word, facts.actor.principal, said)
        return moved

    def _count(self, request: ChangeRequest, vote: Decision) -> ChangeRequest:
        if vote.kind is VoteKind.APPROVE:
            return request.approve(vote, vote.at, self._quorum(request))
        return request.reject(vote, vote.at)

    def _vote(self, request: ChangeRequest, facts: Facts, kind: VoteKind, reason: str) -> Decision:
        at = from_milliseconds(milliseconds(self._clock.now()))
        mac = self._seal.sign(request, facts.actor, kind, at)
        return Decision(facts.actor, kind, at, reason, facts.as_dict(), mac)

    def _quorum(self, request: ChangeRequest) -> int:
        """The larger of what was asked for when it was proposed and what is asked for now."""
        is_sensitive = request.plan.sensitive_because is not None
        return max(request.quorum, self.policy.quorum(is_sensitive=is_sensitive))

    async def _withdraw(self, actor: Actor, request_id: str | None) -> ChangeRequest:
        request = await (self.pending() if request_id is None else self._found(request_id))
        if request is None:
            raise Refusal("No request is open, so there is nothing to withdraw.")
        async with self._auditing_refusals(actor, "withdraw", request):
            if not request.requester.is_same_person(actor):
                raise NotAllowed(
                    "not_own_request",
                    f"Only the person who asked for #{request.number} can withdraw it; an approver "
                    "can reject it.",
                )
            moved = request.withdraw(self._clock.now())
        await self._store_move(request, moved, "withdrawn", actor.principal, {"user": actor.user})
        return moved

    async def _store_move(
        self,
        old: ChangeRequest,
        new: ChangeRequest,
        kind: str,
        actor: str,
        facts: dict[str, Any],
    ) -> None:
        async with self._store.begin() as tx:
            await tx.replace(old, new)
            await tx.tell(Message(f"{kind}:{new.id}:{new.rev}", kind, facts, subject=new.id))
            await tx.record(self._entry(new, kind, actor, facts))

    async def _race(self, attempt: Callable[[], Any]) -> ChangeRequest:
        """Repeat until nobody was faster; each round some other move has won, so rounds are few."""
        while True:
            try:
                done: ChangeRequest = await attempt()
            except LostRace:
                continue
            return done

    async def _found(self, request_id: str) -> ChangeRequest:
        request = await self._store.request(request_id)
        if request is None:
            raise UnknownRequest
        return request

    async def _may_propose(self, facts: Facts) -> Verdict:
        return rules.may_propose(facts, self.policy)

    def _may_decide(self, request_id: str) -> Callable[[Facts], Any]:
        async def may(facts: Facts) -> Verdict:
            """A vote must be valid under the frozen rules and under today's."""
            request = await self._found(request_id)
            frozen = rules.may_decide(facts, request.policy, request.requester)
            today = rules.may_decide(facts, self.policy, request.requester)
            return today if frozen.is_allowed else frozen

        return may

    async def _allowed(
        self,
        actor: Actor,
        action: str,
        may: Callable[[Facts], Any],
        request_id: str | None = None,
    ) -> Facts:
        """The actor's facts, if they may."""
        request = await self._store.request(request_id) if request_id else None
        async with self._auditing_refusals(actor, action, request):
            facts = await self._directory.look_up(actor)
            verdict: Verdict = await may(facts)
            if not verdict.is_allowed:
                raise NotAllowed(verdict.code, verdict.sentence)
        return facts

    @asynccontextmanager
    async def _auditing_refusals(
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
        body = {"action": str(action), "code": code, "sentence": str(refusal)}
        subject = None if request is None else request.id
        now = self._clock.now()
        async with self._store.begin() as tx:
            await tx.record(AuditEntry(self.org, now, actor.principal, "refused", subject, body))

    def _entry(
        self, request: ChangeRequest, kind: str, actor: str, body: dict[str, Any]
    ) -> AuditEntry:
        return AuditEntry(self.org, self._clock.now(), actor, kind, request.id, body)

    def _unseal(self, sealed: str) -> MailConfig | None:
        """What `sealed_base` sealed. Raises Refusal if it is not ours or too old."""
        again = "Close the form and open it again with `/mailcfg set`."
        try:
            outer = json.loads(sealed)
            text, mac = str(outer["base"]), str(outer["mac"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(f"This form is damaged. {again}") from error
        base = json.loads(text) if self._seal.holds_text(text, mac) else {}
        if base.get("org") != self.org:
            raise Refusal(f"This form is damaged. {again}")
        if self._clock.now() - from_milliseconds(base["at"]) > BASE_MAX_AGE:
            raise Refusal(f"This form is older than ten minutes. {again}")
        return MailConfig.from_dict(base["live"])


def _wish_of(request: ChangeRequest, reason: str) -> Wish:
    """The wish behind a request; its reason is cut to what a reason may be."""
    short = reason[:REASON_MAX]
    match request.plan:
        case SetPlan(wanted=wanted):
            asked = {field: getattr(wanted, field) for field in wanted.asked}
            return Set(Patch(**asked), short)
        case ResetPlan():
            return Reset(short)
        case AcceptPlan():
            return Accept(short)


def _restoring(approved: MailConfig | None, reason: str) -> Wish:
    if approved is None:
        return Reset(reason)
    patch = Patch.of(
        name=approved.name,
        email_id=approved.email_id,
        cname_status=approved.cname_status if approved.cname_status in CNAME_STATUSES else None,
    )
    return Set(patch, reason)
