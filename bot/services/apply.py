"""Applies the approved request: claim, read, write, read back; and settles what is unclear by reading.

`settle` is the whole of it, and recovery too: it looks at the row, never at what happened before.
A write is stored before it is sent; it is never sent again unless a read after the quiet time shows
the base still in place. What follows from a read is decided in `domain/steps`; one claim makes at
most one write. Nothing here writes to Cliq for a request that is not approved.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from bot.domain import checklist
from bot.domain.audit import AuditEntry
from bot.domain.change import (
    Attempt,
    ChangeRequest,
    State,
    is_untouched,
    milliseconds,
    people_still_for,
)
from bot.domain.incident import CHECKLIST_ID, Incident
from bot.domain.incident import Kind as Living
from bot.domain.mail_config import MailConfig
from bot.domain.organisation import Organisation
from bot.domain.policy import Actor, Facts, may_propose
from bot.domain.sender_plans import SENDER
from bot.domain.steps import (
    Move,
    Next,
    first_move,
    move_if_reached,
    next_move,
    why_given_up,
    without_effect,
)
from bot.errors import (
    CouldNotCheck,
    Effect,
    FarEndError,
    NotAllowed,
    NotApplied,
)
from bot.logs import about_change
from bot.ports import (
    Card,
    Clock,
    Directory,
    FarEnd,
    FarEnds,
    LostRace,
    Message,
    Purpose,
    Store,
    Transaction,
    WatchState,
)
from bot.services import telling
from bot.services.admission import groups_of
from bot.services.audit import doubt

ENDED = {
    State.APPLIED: "applied",
    State.CANCELLED: "ineligible",
    State.STALE: "stale",
    State.FAILED: "failed",
    State.CONFLICT: "conflict",
}
"""The audit's word for how applying ended."""


class Applier:
    """Takes one organisation's open request to its end, one step at each call."""

    def __init__(
        self,
        organisation: Organisation,
        store: Store,
        far_ends: FarEnds,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._organisation = organisation
        self.org = organisation.id
        self._policy = organisation.policy
        self._seal = organisation.seal
        self._timing = organisation.timing
        self._store = store
        self._far_ends = far_ends
        self._directory = directory
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._send_by = 0.0  # of the claim in hand, in the clock's elapsed seconds

    async def settle(self, *, may_begin: bool = True) -> None:
        """Look at the open request and take it as far as it goes now; nothing to do is the rule.

        Without `may_begin` only what was sent already is settled: for as long as nobody can be asked
        who may approve, nothing new is written.
        """
        async with self._one_at_a_time:
            request = await self._store.open_request(self.org)
            if request is not None:
                with about_change(request.number), suppress(LostRace):
                    await self._step(request, may_begin)

    async def _step(self, request: ChangeRequest, may_begin: bool) -> None:
        now = self._clock.now()
        if request.is_orphaned(now):
            await self._take_over(request)
        elif self._is_due(request, now, may_begin):
            await self._claim(request)

    async def _claim(self, request: ChangeRequest) -> None:
        """Noted before the claim is stored, so that the time for sending ends before the lease."""
        self._send_by = self._clock.elapsed() + self._timing.send_window.total_seconds()
        claimed = request.claim(self._clock.now() + self._timing.lease)
        await self._work(await self._move(request, claimed, "claimed"))

    def _is_due(self, request: ChangeRequest, now: datetime, may_begin: bool) -> bool:
        begins = request.state is State.APPROVED
        return request.is_due(now) and not request.is_overdue(now) and (may_begin or not begins)

    async def _take_over(self, request: ChangeRequest) -> None:
        """Whoever was applying it has died: what it may have sent is settled by reading."""
        sent = [a for a in await self._store.attempts(request) if a.may_have_effect]
        if sent:
            until = self._quiet_after(sent[-1].intent_at)
            why = "mailcfg was stopped while the change was being written"
            moved = request.become_uncertain(self._clock.now(), until, why)
        else:
            moved = request.park(self._clock.now(), "")
        await self._move(request, moved, "taken_over")

    async def _work(self, request: ChangeRequest) -> None:
        if not is_untouched(request, self._seal) or await doubt(self._store, request):
            await self._refuse_tampered(request)
        elif request.uncertain_since is not None:
            await self._resolve(request)
        else:
            await self._begin(request)

    async def _refuse_tampered(self, request: ChangeRequest) -> None:
        """What the base and the target were is not known any more, so reading settles nothing."""
        now, why = self._clock.now(), "the stored request is not the one that was approved"
        if request.uncertain_since is not None:
            moved = request.conflict(now, why, None, was_read=False)
            await self._end(request, moved, kind="tampered")
        else:
            await self._end(request, request.fail(now, why), kind="tampered")

    async def _why_no_longer_approved(self, request: ChangeRequest) -> str | None:
        """None while enough people still stand behind it; asked before every write.

        Raises CouldNotCheck. Without the requester nobody's approval counts, and never their own,
        given under an id of theirs that is known only now. Once the old configuration is removed the
        votes as they were cast are enough: whoever has left since then, stopping half-way would
        serve nobody.
        """
        if request.has_removed:
            is_backed = len(request.approvals) >= request.quorum
            return None if is_backed else "it never had the approvals it needs"
        if self._policy.watch_only:
            return "this deployment only watches now"
        needed = self._organisation.needed(request)
        groups = groups_of(self._policy, request)
        requester = await self._facts(request.requester, groups)
        if requester is None or not may_propose(requester, self._policy).is_allowed:
            return "the requester may no longer ask for changes"
        voters = [await self._facts(decision.voter, groups) for decision in request.approvals]
        known = [facts for facts in voters if facts is not None]
        as_known_now = replace(request, requester=requester.actor)
        counting = people_still_for(as_known_now, known, self._policy)
        if len(counting) >= needed:
            return None
        if len(request.approvals) >= needed:
            return "an approver is no longer eligible"
        return "more approvals are asked for now than it had"

    async def _facts(self, actor: Actor, groups: tuple[str, ...]) -> Facts | None:
        """A person's standing now; None if Slack knows of no such person any more."""
        try:
            return await self._directory.look_up(actor, groups, afresh=True)
        except NotAllowed:
            return None

    async def _begin(self, request: ChangeRequest) -> None:
        """The read right before the first write decides: done already, moved, or send."""
        try:
            why = await self._why_no_longer_approved(request)
            if why is not None:
                cancelled = request.cancel_ineligible(self._clock.now(), why)
                return await self._end(request, cancelled)
            live = await self._far_end(request).read(Purpose.APPLY)
        except (FarEndError, CouldNotCheck) as error:
            if isinstance(error, FarEndError) and error.effect is Effect.REFUSED:
                return await self._end(request, request.fail(self._clock.now(), str(error)))
            return await self._park(request, error)
        return await self._go(request, first_move(request, live), live)

    async def _go(self, request: ChangeRequest, move: Move, live: Any) -> None:
        """Do what follows from having read `live`."""
        now = self._clock.now()
        match move.next:
            case Next.WRITE:
                await self._send(request, live)
            case Next.GO_ON:
                await self._move(request, request.go_on(now), "next_step")
            case Next.APPLIED:
                effect = "written" if request.sent or request.uncertain_since else "none"
                await self._end(request, request.apply(now, live, effect))
            case Next.STALE:
                await self._end(request, request.go_stale(now, live))
            case Next.FAILED:
                await self._end(request, request.fail(now, move.why, live))
            case Next.CONFLICT:
                await self._end(request, request.conflict(now, move.why, live))
            case _:
                assert_never(move.next)

    async def _send(self, request: ChangeRequest, live: Any) -> None:
        """One write over `live`: stored, sent, its outcome stored."""
        earlier, step = await self._store.attempts(request), request.step
        method = request.current.method
        attempt = Attempt(request.id, len(earlier) + 1, method, self._clock.now(), step=step)
        send_by = self._clock.elapsed() + self._timing.margin.total_seconds()
        body = {"method": method, "n": attempt.n, "step": step}
        async with self._store.begin(self.org) as tx:
            await tx.hold(request)
            await tx.add_attempt(attempt)
            await tx.record(self._entry(request, "intent", body))
        try:
            # Soon after it was stored or not at all: the quiet time counts from then.
            far_end = self._far_end(request)
            await request.current.send(far_end, send_by=min(send_by, self._send_by))
        except FarEndError as error:
            await self._not_accepted(request, attempt, error, live)
        else:
            sent = await self._accepted(request, self._finished(attempt, "accepted"))
            await self._confirm(sent, attempt.intent_at)

    def _far_end(self, request: ChangeRequest) -> FarEnd:
        return self._far_ends.of(request.plan.subject)

    async def _not_accepted(
        self, request: ChangeRequest, attempt: Attempt, error: FarEndError, live: Any
    ) -> None:
        match error.effect:
            case Effect.NONE:
                await self._park(request, error, self._finished(attempt, "not_sent", error))
            case Effect.UNKNOWN:
                finished = self._finished(attempt, "ambiguous", error)
                await self._wait_and_see(request, attempt.intent_at, error, finished)
            case Effect.REFUSED:
                failed = request.fail(self._clock.now(), str(error), live)
                await self._end(request, failed, self._finished(attempt, "refused", error))

    async def _accepted(self, request: ChangeRequest, attempt: Attempt) -> ChangeRequest:
        moved = request.mark_sent()
        async with self._store.begin(self.org) as tx:
            await tx.replace(request, moved)
            await tx.finish_attempt(attempt)
            await tx.record(self._entry(moved, "accepted", {"n": attempt.n}))
        return moved

    async def _confirm(self, request: ChangeRequest, intent_at: datetime) -> None:
        """Only a read that shows the target makes it "In force"."""
        try:
            live = await self._far_end(request).read(Purpose.CONFIRM)
            move = move_if_reached(request, live)
            if move is None:
                raise NotApplied(request.current.unmet(live))
        except FarEndError as error:
            await self._wait_and_see(request, intent_at, error)
        else:
            await self._go(request, move, live)

    async def _resolve(self, request: ChangeRequest) -> None:
        """Find out by reading what an unclear write did."""
        now, since = self._clock.now(), request.uncertain_since
        assert since is not None
        try:
            live = await self._far_end(request).read(Purpose.CONFIRM)
        except FarEndError as error:
            return await self._still_unknown(request, now - since, error)
        attempts = await self._store.attempts(request)
        move = next_move(request, attempts, live, now, self._timing.sends)
        if move.next is Next.WRITE:
            return await self._send_if_approved(request, live)
        return await self._go(request, move, live)

    async def _send_if_approved(self, request: ChangeRequest, live: Any) -> None:
        """People are asked about again: some time has passed since the last write."""
        try:
            why = await self._why_no_longer_approved(request)
        except CouldNotCheck as error:
            return await self._park(request, error)
        if why is None:
            return await self._send(request, live)
        failed = request.fail(self._clock.now(), f"{without_effect(request)}, and {why}", live)
        return await self._end(request, failed)

    async def _still_unknown(
        self, request: ChangeRequest, age: timedelta, error: Exception
    ) -> None:
        now = self._clock.now()
        if age >= self._timing.give_up:
            ended = request.conflict(now, why_given_up(request), None, was_read=False)
            await self._end(request, ended)
            return
        pause = min(max(age, self._timing.retry), self._timing.retry_max)
        until = max(now + pause, getattr(error, "retry_at", now))
        moved = request.become_uncertain(now, until, str(error))
        await self._move(request, moved, "uncertain")

    async def _wait_and_see(
        self,
        request: ChangeRequest,
        intent_at: datetime,
        error: Exception,
        attempt: Attempt | None = None,
    ) -> None:
        until = max(self._quiet_after(intent_at), getattr(error, "retry_at", intent_at))
        moved = request.become_uncertain(self._clock.now(), until, str(error))
        await self._move(request, moved, "uncertain", attempt)

    async def _park(
        self, request: ChangeRequest, error: Exception, attempt: Attempt | None = None
    ) -> None:
        """Nothing happened, and nothing will until the cause is gone: the approval is kept.

        Between two steps no time limit ends it, so a day is enough: then a person must look.
        """
        now, since = self._clock.now(), request.uncertain_since
        if request.has_removed and since is not None and now - since >= self._timing.give_up:
            ended = request.fail(now, f"it could not be sent for a day. {error}")
            await self._end(request, ended, attempt)
            return
        until = max(now + self._timing.retry, getattr(error, "retry_at", now))
        await self._move(request, request.park(until, str(error)), "parked", attempt)

    def _quiet_after(self, intent_at: datetime) -> datetime:
        """When a write that was stored at `intent_at` has had its effect, if it has any."""
        return intent_at + self._timing.margin + self._timing.call_timeout + self._timing.quiet

    def _finished(
        self, attempt: Attempt, outcome: str, error: FarEndError | None = None
    ) -> Attempt:
        return replace(
            attempt,
            outcome=outcome,
            status=getattr(error, "status", None),
            code=getattr(error, "code", None),
            finished_at=self._clock.now(),
        )

    async def _move(
        self,
        old: ChangeRequest,
        new: ChangeRequest,
        kind: str,
        attempt: Attempt | None = None,
    ) -> ChangeRequest:
        body = {"why": new.waits_for, "state": new.state}
        async with self._store.begin(self.org) as tx:
            await tx.replace(old, new)
            await _finish(tx, attempt)
            await tx.record(self._entry(new, kind, body))
        return new

    async def _end(
        self,
        old: ChangeRequest,
        new: ChangeRequest,
        attempt: Attempt | None = None,
        *,
        kind: str = "",
    ) -> None:
        """The last move: with it the result for all and for one, what is to follow, what it left."""
        now = self._clock.now()
        facts = {"state": new.state, "at": milliseconds(now)}
        seen = await self._store.watch(self.org)
        home = await self._store.card(self.org, new.id)
        async with self._store.begin(self.org) as tx:
            await tx.replace(old, new)
            await _finish(tx, attempt)
            if new.effect == "written" and new.plan.subject == SENDER:
                await tx.save_reading(self.org, _left(seen, new), now)
            head = await tx.record(self._entry(new, kind or ENDED[new.state], _ending(new)))
            facts["head"] = head.short
            await tx.tell(Message(f"result:{new.id}", "result", facts, subject=new.id))
            await tx.tell(telling.outcome(new))
            await _begin_checklist(tx, new, home)

    def _entry(self, request: ChangeRequest, kind: str, body: dict[str, Any]) -> AuditEntry:
        return AuditEntry(self.org, self._clock.now(), "mailcfg", kind, request.id, body)


def _left(seen: WatchState, request: ChangeRequest) -> MailConfig | None:
    """What the next check is to compare with: what we changed ourselves is no news to it.

    The status of a key that we left alone is Zoho's doing, so that stays to be told.
    """
    left: MailConfig | None = request.observed
    old = seen.reading
    if left is not None and old is not None and left.dkim_host == old.dkim_host:
        return replace(left, dkim_status=old.dkim_status)
    return left


def _ending(request: ChangeRequest) -> dict[str, Any]:
    """What the audit seals of an end; what was observed may be the next approved baseline."""
    left = request.observed
    observed = None if left is None else left.as_dict()
    return {"why": request.end_reason, "effect": request.effect, "observed": observed}


async def _finish(tx: Transaction, attempt: Attempt | None) -> None:
    if attempt is not None:
        await tx.finish_attempt(attempt)


async def _begin_checklist(tx: Transaction, ended: ChangeRequest, home: Card | None) -> None:
    """A checklist in the request's thread follows the key of an applied change to its real end."""
    following = checklist.begin(ended) if ended.state is State.APPLIED else None
    if following is None:
        return
    row = Incident(
        id=f"{CHECKLIST_ID}{ended.id}",
        org=ended.org,
        kind=Living.CHECKLIST,
        key=ended.id,
        opened_at=following.in_force_at,
        facts={"number": ended.number, "checklist": following.as_dict()},
    )
    await tx.save_incident(row)
    await tx.save_card(Card(row.id, home.channel if home else ""))
