"""People's part of a change: ask, approve, reject, withdraw; and the clock's: remind, expire.

Each use case reads, asks the domain for the next value, and stores it with its audit entry in one
transaction. Whoever loses a race reads again and decides anew. Refusals are audited too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from structlog.contextvars import bind_contextvars

from bot.domain import messages
from bot.domain import policy as rules
from bot.domain.audit import AuditEntry
from bot.domain.change import ChangeRequest, Decision, State, VoteKind
from bot.domain.command import Accept, Reset, Set
from bot.domain.dns_answers import Answers
from bot.domain.mail_config import SENDER_FIELDS, MailConfig, Patch
from bot.domain.messages import Approved, Expired, MessageKind, Rejected, Withdrawn
from bot.domain.organisation import Organisation
from bot.domain.plan import Baseline, Plan, Wish
from bot.domain.policy import Actor, Facts, Verdict
from bot.domain.reminders import MENTION_EVERY, alarm
from bot.domain.sender_plans import SENDER
from bot.domain.stored import canonical, from_milliseconds, milliseconds
from bot.domain.typed import CNAME_STATUSES, REASON_MAX, clean_reason
from bot.errors import (
    AlreadyOpen,
    NotAllowed,
    Refusal,
    Tampered,
    UnknownRequest,
)
from bot.ports import Card, Clock, FarEnds, LostRace, Purpose, Resolver, Store
from bot.services.admission import Admission
from bot.services.race import until_won

BASE_MAX_AGE = timedelta(minutes=10)
"""How old the live value may be on which a request is built."""
LOOKS_AHEAD = 2.0
"""Seconds in which DNS may say what a new key will meet; what it does not say by then is unknown."""
FORM_LOOKS_AHEAD = 0.5
"""The same for a form, which Slack wants answered at once."""
UNDO_LOOKS_AT = 20
"""How many of the requests applied since an undo names, where they changed the same."""


class Changes:
    """The requests of one organisation."""

    def __init__(
        self,
        organisation: Organisation,
        store: Store,
        far_ends: FarEnds,
        resolver: Resolver,
        admission: Admission,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._organisation = organisation
        self.org = organisation.id
        self.policy = organisation.policy
        self._seal = organisation.seal
        self._store = store
        self._far_ends = far_ends
        self._resolver = resolver
        self._admission = admission
        self._clock = clock
        self._new_id = new_id
        self._raised: tuple[str, int] | None = None
        self._told_unreadable: set[int] = set()

    async def propose(self, actor: Actor, command: Set | Reset | Accept) -> ChangeRequest:
        """Ask for what somebody typed; raises as `ask`."""
        return await self.ask(actor, command, command.reason)

    async def ask(self, actor: Actor, wish: Wish, reason: str) -> ChangeRequest:
        """Ask for a change of what is live now.

        The same wish of the same person while it is open returns that request. Raises NotAllowed,
        AlreadyOpen, NoChange, InputError, CouldNotCheck or FarEndError.
        """
        facts = await self._allowed(actor, "propose", self._may_propose)
        live = await self._far_ends.of(wish.subject).read(Purpose.LOOK)
        async with self._admission.auditing_refusals(actor, "propose"):
            approved = await self.baseline(wish.subject) if wish.needs_approved else None
            return await self._ask_for(facts, wish.over(live, approved), reason)

    async def propose_over(self, actor: Actor, wish: Set, base: str) -> ChangeRequest:
        """Ask for a change of the configuration that a form showed: `base` is `sealed_base()`'s."""
        facts = await self._allowed(actor, "propose", self._may_propose)
        async with self._admission.auditing_refusals(actor, "propose"):
            live = self._unseal(base)
            plan = replace(wish, patch=wish.patch.beyond(live)).over(live, None)
            return await self._ask_for(facts, plan, wish.reason, FORM_LOOKS_AHEAD)

    async def propose_again(self, actor: Actor, request_id: str) -> ChangeRequest:
        """Ask anew for what an ended request wanted, over what is live now; raises as `ask`."""
        earlier = await self._found(request_id)
        reason = f"Again: {earlier.reason.removeprefix('Again: ')}"
        if earlier.plan.undone is not None:
            return await self.propose_undo(actor, earlier.plan.undone, reason)
        return await self.ask(actor, earlier.plan, reason[:REASON_MAX])

    async def propose_restore(self, actor: Actor, reason: str) -> ChangeRequest:
        """Ask to set the sender back to what was approved last; raises as `ask`."""
        approved = await self.baseline()
        if approved is None:
            raise Refusal("Nothing has been approved yet, so there is nothing to restore.")
        return await self.propose(actor, _restoring(approved.config, clean_reason(reason)))

    async def check_may_propose(self, actor: Actor) -> None:
        """Refuse early what `ask` would refuse; raises NotAllowed or CouldNotCheck."""
        await self._allowed(actor, "propose", self._may_propose)

    async def propose_undo(
        self, actor: Actor, number: int, reason: str | None = None
    ) -> ChangeRequest:
        """Ask to set back what request `number` changed; its reason is quoted where none is given.

        Raises as `ask`, and Refusal or UnknownRequest where there is nothing to undo.
        """
        facts = await self._allowed(actor, "propose", self._may_propose)
        async with self._admission.auditing_refusals(actor, "propose"):
            earlier = await self._store.numbered(self.org, number)
            if earlier is None:
                raise UnknownRequest(number)
            live = await self._far_ends.of(earlier.plan.subject).read(Purpose.LOOK)
            later = await self._store.applied_after(earlier, UNDO_LOOKS_AT)
            why = reason or f"Undo #{number}: {earlier.reason}"
            return await self._ask_for(facts, earlier.undo(later, live), why[:REASON_MAX])

    async def check_may_decide(self, actor: Actor, request_id: str, kind: VoteKind) -> None:
        """Refuse early what `decide` would refuse; raises as `decide`."""
        await self._allowed_to_decide(actor, kind, request_id)

    async def sealed_base(self, actor: Actor) -> tuple[MailConfig | None, str]:
        """The live configuration and a signed copy of it, to travel through a form and back."""
        await self._allowed(actor, "propose", self._may_propose)
        live = await self._far_ends.sender.read(Purpose.LOOK)
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
        facts, request = await self._allowed_to_decide(actor, kind, request_id)
        seen = [request]  # as it was before Slack was asked; whoever loses a race reads again

        async def attempt() -> ChangeRequest:
            current = seen.pop() if seen else await self._found(request_id)
            return await self._decide(facts, current, kind, reason)

        return await until_won(attempt)

    async def withdraw(self, actor: Actor, request_id: str | None = None) -> ChangeRequest:
        """Take one's own request back; without an id, the open one."""
        return await until_won(lambda: self._withdraw(actor, request_id))

    async def expire(self) -> None:
        """End the open request if its time has run out."""
        request = await self._store.open_request(self.org)
        if request is not None and request.is_overdue(self._clock.now()):
            moved = request.expire(self._clock.now())
            why = moved.end_reason
            entry = self._entry(moved, "expired", "mailcfg", {"why": why})
            # Whoever was faster has moved it to where time may no longer matter; look again later.
            with suppress(LostRace):
                await self._store_move(request, moved, entry, lambda head: Expired(why, head))

    async def show_todays_rules(self) -> None:
        """Have the card of the open request shown anew, since its quorum may have been raised."""
        request = await self._store.open_request(self.org)
        card = await self._store.card(self.org, request.id) if request is not None else None
        if card is not None and card.ts:
            async with self._store.begin(self.org) as tx:
                await tx.save_card(replace(card, shown_rev=0))

    async def remind(self) -> None:
        """Remind of the open request, if it still waits for approvals and it is time.

        Its card is shown again as well: whoever deleted it has not made the request go away.
        """
        request = await self._store.open_request(self.org)
        if request is None or request.state is not State.PENDING:
            return
        told = messages.reminded_of(
            await self._store.told(self.org, request.id, MessageKind.REMINDER)
        )
        reminders = self._organisation.reminders
        due = reminders.due(request.created_at, request.expires_at, told, self._clock.now())
        if due is not None:
            async with self._store.begin(self.org) as tx:
                await tx.tell(messages.reminder(request, due))
                await tx.show_again(request.id)

    async def raise_alarm(self) -> None:
        """Say in the alert channel that an outcome has been unknown for long: once, then hourly."""
        request = await self._store.open_request(self.org)
        since = None if request is None else request.uncertain_since
        if request is None or since is None:
            return
        due = alarm(since, self._clock.now())
        if due is not None and self._raised != (request.id, due):
            async with self._store.begin(self.org) as tx:
                await tx.tell(messages.unknown_outcome(request, due, since))
            self._raised = (
                request.id,
                due,
            )  # a commit for nothing would wake the loops for nothing

    async def tell_unreadable(self, damage: Tampered) -> None:
        """Say once, in the alert channel, that a stored request cannot be read, and what to do."""
        if damage.number is None or damage.number in self._told_unreadable:
            return
        async with self._store.begin(self.org) as tx:
            await tx.tell(messages.unreadable(self.org, damage.number))
        self._told_unreadable.add(damage.number)

    async def pending(self) -> ChangeRequest | None:
        return await self._store.open_request(self.org)

    async def baseline(self, subject: str = SENDER) -> Baseline | None:
        """What was approved last, or None if nothing ever was."""
        last = await self._store.last_applied(self.org, subject)
        return None if last is None else Baseline(last.approved_config)

    async def _ask_for(
        self, facts: Facts, plan: Plan, reason: str, look_ahead: float = LOOKS_AHEAD
    ) -> ChangeRequest:
        """Store the request; DNS may take `look_ahead` seconds to say what its key will meet."""
        request = self._new_request(facts, await self._look_ahead(plan, look_ahead), reason)
        await self._admission.check_enough_approvers(request)
        await self.expire()  # or one whose time has just run out would stand in the way
        try:
            return await self._add(request)
        except AlreadyOpen:
            current = await self._store.open_request(self.org)
            if current is not None and current.intent() == request.intent():
                return current
            raise

    async def _look_ahead(self, plan: Plan, seconds: float) -> Plan:
        """The plan with what DNS says now, where a new key will need a new record."""
        domain = plan.survey()
        if domain is None:
            return plan
        try:
            async with asyncio.timeout(seconds):
                seen = await self._resolver.survey(domain)
        except TimeoutError:
            seen = Answers(domain, self._clock.now())
        return plan.foreseeing(seen)

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
            requester_evidence=rules.evidence(facts, self.policy),
            reason=reason,
            created_at=now,
            expires_at=now + self.policy.approval_deadline,
        )
        return replace(bare, digest=bare.compute_digest())

    async def _add(self, request: ChangeRequest) -> ChangeRequest:
        mention_at = await self._mention_at(request)
        async with self._store.begin(self.org) as tx:
            stored = await tx.add_request(request)
            await tx.save_card(
                Card(stored.id, self._organisation.channels.approval, mention_at=mention_at)
            )
            if mention_at > stored.created_at:
                await tx.tell(messages.mention(stored), after=mention_at)
            await tx.record(
                self._entry(
                    stored,
                    "proposed",
                    stored.requester.principal,
                    {
                        "number": stored.number,
                        "digest": stored.digest,
                        "operation": stored.plan.operation,
                    },
                )
            )
        bind_contextvars(change=stored.number)
        return stored

    async def _mention_at(self, request: ChangeRequest) -> datetime:
        """At once, with the card, unless the approvers were mentioned a moment ago."""
        last = await self._store.last_mention(self.org, request.created_at)
        return request.created_at if last is None else max(request.created_at, last + MENTION_EVERY)

    async def _decide(
        self, facts: Facts, request: ChangeRequest, kind: VoteKind, reason: str
    ) -> ChangeRequest:
        vote = self._vote(request, facts, kind, reason)
        async with self._admission.auditing_refusals(facts.actor, kind, request):
            moved = self._count(request, vote)
        user, given, needed = (
            facts.actor.user,
            len(moved.approvals),
            self._organisation.needed(moved),
        )
        body = {"user": user, "reason": reason, "given": given, "needed": needed}
        body |= {"at": milliseconds(vote.at), "evidence": vote.evidence}
        is_yes = kind is VoteKind.APPROVE
        word = "approved" if is_yes else "rejected"
        entry = self._entry(moved, word, facts.actor.principal, body)

        def line(head: str) -> Approved | Rejected:
            return Approved(user, given, needed) if is_yes else Rejected(user, reason, head)

        await self._store_move(request, moved, entry, line)
        return moved

    def _count(self, request: ChangeRequest, vote: Decision) -> ChangeRequest:
        if vote.kind is VoteKind.APPROVE:
            return request.approve(vote, vote.at, self._organisation.needed(request))
        return request.reject(vote, vote.at)

    def _vote(self, request: ChangeRequest, facts: Facts, kind: VoteKind, reason: str) -> Decision:
        """Never from before a vote that it follows, though another process's clock be ahead of ours:
        from the last one the time to apply is counted, and that is checked later."""
        now = from_milliseconds(milliseconds(self._clock.now()))
        at = max([now, *(earlier.at for earlier in request.decisions)])
        mac = self._seal.sign(request, facts.actor, kind, at)
        grounds = rules.evidence(facts, self.policy)
        return Decision(facts.actor, kind, at, reason, grounds, mac)

    async def _withdraw(self, actor: Actor, request_id: str | None) -> ChangeRequest:
        request = await (self.pending() if request_id is None else self._found(request_id))
        if request is None:
            raise Refusal("No request is open, so there is nothing to withdraw.")
        async with self._admission.auditing_refusals(actor, "withdraw", request):
            if not request.requester.is_same_person(actor):
                raise NotAllowed(
                    "not_own_request",
                    f"Only the person who asked for #{request.number} can withdraw it; an approver "
                    "can reject it.",
                )
        await self._allowed(actor, "withdraw", rules.may_show, request)
        async with self._admission.auditing_refusals(actor, "withdraw", request):
            moved = request.withdraw(self._clock.now())
        entry = self._entry(moved, "withdrawn", actor.principal, {"user": actor.user})
        await self._store_move(request, moved, entry, lambda head: Withdrawn(actor.user, head))
        return moved

    async def _store_move(
        self,
        old: ChangeRequest,
        new: ChangeRequest,
        entry: AuditEntry,
        line: Callable[[str], Approved | Rejected | Withdrawn | Expired],
    ) -> None:
        """One move with its line for the thread, which may say where the audit ends with it."""
        async with self._store.begin(self.org) as tx:
            await tx.replace(old, new)
            said = line((await tx.record(entry)).short)
            await tx.tell(messages.moved(new, said))
            if not new.is_open and not isinstance(said, Withdrawn):
                await tx.tell(messages.outcome(new))

    async def _found(self, request_id: str) -> ChangeRequest:
        request = await self._store.request(self.org, request_id)
        if request is None:
            raise UnknownRequest
        bind_contextvars(change=request.number)
        return request

    def _may_propose(self, facts: Facts) -> Verdict:
        return rules.may_propose(facts, self.policy)

    async def _allowed_to_decide(
        self, actor: Actor, kind: VoteKind, request_id: str
    ) -> tuple[Facts, ChangeRequest]:
        """The actor's facts, if they may, and the request as it was before Slack was asked.

        It may have moved since then; whoever stores a vote on it notices.
        """
        request = await self._store.request(self.org, request_id)

        def may(facts: Facts) -> Verdict:
            if request is None:
                raise UnknownRequest
            return self._may_decide(facts, request)

        facts = await self._allowed(actor, kind, may, request)
        assert request is not None  # or `may` would have raised
        return facts, request

    def _may_decide(self, facts: Facts, request: ChangeRequest) -> Verdict:
        """A vote must be valid under the frozen rules and under today's."""
        frozen = rules.may_decide(facts, request.policy, request.requester)
        today = rules.may_decide(facts, self.policy, request.requester)
        return today if frozen.is_allowed else frozen

    async def _allowed(
        self,
        actor: Actor,
        action: str,
        may: Callable[[Facts], Verdict],
        request: ChangeRequest | None = None,
    ) -> Facts:
        """The actor's facts, if they may."""
        if request is not None:  # on every line that this task logs from here on
            bind_contextvars(change=request.number)
        return await self._admission.admit(actor, action, may, request)

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


def _restoring(approved: MailConfig | None, reason: str) -> Set | Reset:
    if approved is None:
        return Reset(reason)
    status = approved.cname_status if approved.cname_status in CNAME_STATUSES else None
    decided = {name: getattr(approved, name) for name in SENDER_FIELDS}
    return Set(Patch.of(**decided, cname_status=status), reason)
