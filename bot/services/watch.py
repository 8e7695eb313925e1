"""The watch: gather, diagnose, record, tell.

A tick, once in each interval, reads the API, asks DNS, and steps the alerts; what follows from it is
stored in one transaction with what the watch then knows, or not at all. A check that somebody asks
for does the same, but never steps the alerts. While a change is being written nothing is checked,
since our own change is no drift.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain import alert, notices
from bot.domain.alert import AlertState, Event
from bot.domain.case import Case, Graces, History, Snapshot
from bot.domain.change import IN_FLIGHT, ChangeRequest
from bot.domain.findings import Severity, diagnose
from bot.domain.incident import ChecklistBody, WatchLine
from bot.domain.mail_config import MailConfig
from bot.domain.organisation import Organisation
from bot.domain.sender_plans import SENDER
from bot.domain.steps import is_late_effect
from bot.domain.stored import from_milliseconds, milliseconds
from bot.domain.watched import CheckResult
from bot.errors import FarEndError, Tampered
from bot.ports import Clock, MailConfigApi, Purpose, Resolver, Store, WatchState
from bot.services.dns_pass import ask_dns
from bot.services.race import until_won
from bot.services.tell_watch import Told, WatchTeller

JOB = "drift"
RETRY = timedelta(minutes=1)
"""When the API is read again after it could not be, without waiting for the next interval."""

LATE_AMONG = 5
"""Of so many newest requests one may have had an effect after it was given up."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The open request and the last one that was applied to the sender.

    Compared before and after a check: one that began before a write and ends after it would hold
    the old configuration against the new approval, so its findings are dropped.
    """

    open_id: str | None
    approved: ChangeRequest | None


class Watch:
    """The check of one organisation."""

    def __init__(
        self,
        organisation: Organisation,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self.org = organisation.id
        self._every = organisation.check_every
        self._parameters = organisation.alerts
        self._store = store
        self._api = api
        self._resolver = resolver
        self._clock = clock
        self._teller = WatchTeller(organisation, store, new_id)
        self._last_slot: datetime | None = None
        self._open_slot: datetime | None = None
        self._retry_at: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def tick(self) -> None:
        """Check once in each interval, whoever ticks and however often; late slots fall together.

        A tick that could not read the API is repeated after a minute, for the same slot. What was
        applied meanwhile is looked at without waiting for the next interval.
        """
        now = self._clock.now()
        slot = self._slot(now)
        if slot != self._last_slot:
            async with self._store.begin(self.org) as tx:
                is_ours = await tx.take_slot(f"{JOB}:{self.org}", slot)
            self._last_slot, self._open_slot = slot, slot if is_ours else None
            self._retry_at = None
            if is_ours:
                await self._check(slot)
        elif self._retry_at is not None and now < self._retry_at:
            return
        elif self._open_slot is not None:
            await self._check(self._open_slot)
        elif await self._was_applied():
            await self._check(None)

    async def check_now(self) -> CheckResult | None:
        """A check that somebody asks for; None while a change is being written.

        It tells what is told at once and renders everything anew, but opens and resolves nothing.
        """
        return await self._check(None)

    async def look(self) -> CheckResult:
        """What is so now, for whoever asks while a change is being written; nothing follows from it."""
        known = await self._store.watch(self.org)
        approved = await self._store.last_applied(self.org, SENDER)
        return await self._gather(known, approved, None, is_in_flight=True)

    async def _was_applied(self) -> bool:
        """Whether a change came into force since the last check."""
        line = await self._store.open_incident(self.org, WatchLine)
        approved = await self._store.last_applied(self.org, SENDER)
        if line is None or approved is None:
            return False
        return line.body.number != approved.number

    async def _check(self, slot: datetime | None) -> CheckResult | None:
        """One check; one after the other if several are asked for at once."""
        async with self._one_at_a_time:
            self._retry_at = self._clock.now() + RETRY
            before = await self._standing()
            if before is None:
                return None
            known = await self._store.watch(self.org)
            check = await self._gather(known, before.approved, slot)
            if not await self._record(check, before):
                return None
            if not check.unread:
                self._retry_at = None
                self._open_slot = None if slot else self._open_slot
            return check

    async def _standing(self) -> Standing | None:
        """Where the requests stand; None while a change of the sender is being written."""
        try:
            current = await self._store.open_request(self.org)
        except Tampered as damage:
            # Nobody applies what cannot be read, so it is no reason not to look.
            approved = await self._store.last_applied(self.org, SENDER)
            return Standing(f"unreadable #{damage.number}", approved)
        if current is not None and current.state in IN_FLIGHT and current.plan.subject == SENDER:
            return None
        approved = await self._store.last_applied(self.org, SENDER)
        return Standing(None if current is None else current.id, approved)

    async def _gather(
        self,
        known: WatchState,
        approved: ChangeRequest | None,
        slot: datetime | None,
        *,
        is_in_flight: bool = False,
    ) -> CheckResult:
        unread, live = "", None
        try:
            live = await self._api.read(Purpose.LOOK)
        except FarEndError as error:
            unread = str(error)
        at = self._clock.now()
        answers = await ask_dns(self._resolver, live, known.last_pass.apex)
        case = Case(
            live=live,
            answers=answers,
            snapshot=_snapshot(approved, known.last_pass.apex),
            history=_history(known, slot or at, at),
            graces=Graces(self._parameters.pending_grace, self._parameters.propagation_grace),
            unread=unread,
            is_in_flight=is_in_flight,
        )
        following = self._slot(at) + self._every
        next_at = min(at + RETRY, following) if unread and slot else following
        found = diagnose(case)
        late = None if case.is_approved else await self._late_effect(live)
        is_followed = await self._is_followed(approved)
        return CheckResult(at, slot, approved, found, next_at, is_followed, late)

    async def _late_effect(self, live: MailConfig | None) -> ChangeRequest | None:
        """The request whose write Zoho has carried out after it was given up, if it looks so."""
        try:
            newest = await self._store.newest(self.org, LATE_AMONG, SENDER)
        except Tampered:  # it is told elsewhere; this would only be a hint
            return None
        for request in newest:
            if is_late_effect(request, await self._store.attempts(request), live):
                return request
        return None

    async def _is_followed(self, approved: ChangeRequest | None) -> bool:
        rows = await self._store.open_incidents(self.org, ChecklistBody)
        return approved is not None and approved.id in {row.key for row in rows}

    async def _record(self, check: CheckResult, before: Standing) -> bool:
        """Store and tell what follows; whoever loses a race looks at what the winner left.

        False if that makes the check worthless: a change of ours, or a newer reading.
        """

        async def attempt() -> bool:
            if await self._standing() != before:
                return False
            known = await self._store.watch(self.org)
            if known.read_at is not None and known.read_at > check.at:
                return False
            await self._record_and_tell(check, known)
            return True

        return await until_won(attempt)

    async def _record_and_tell(self, check: CheckResult, known: WatchState) -> None:
        state, events = self._step(known.alert, check)
        after, is_news = self._after(known, check, state)
        told = Told(check, known, after, events, is_news, self._ends_at(state, check))
        rows = await self._teller.rows()
        async with self._store.begin(self.org) as tx:
            await tx.replace_watch(known, after)
            await self._teller.tell(tx, rows, told)

    def _step(self, state: AlertState, check: CheckResult) -> tuple[AlertState, tuple[Event, ...]]:
        if check.slot is None:
            return state, ()
        return alert.step(state, check.observation(), check.slot, self._parameters)

    def _after(
        self, known: WatchState, check: CheckResult, state: AlertState
    ) -> tuple[WatchState, bool]:
        """What the watch then knows, and whether a change outside approval is news."""
        last_pass = known.last_pass.after(check.found, check.at)
        after = replace(known, last_error=check.unread, alert=state, last_pass=last_pass)
        if check.unread:
            return after, False
        is_approved = check.found.case.is_approved
        told, is_news = notices.outside_approval(known.told, check.undamaged, is_approved)
        after = replace(after, has_reading=True, reading=check.live, read_at=check.at, told=told)
        return after, is_news

    def _ends_at(self, state: AlertState, check: CheckResult) -> datetime | None:
        """Until when an open incident is watched, if all is good now."""
        seen = check.observation()
        is_good = seen.severity is Severity.INFO
        if state.incident is None or not is_good:
            return None
        return state.incident.ends_at(check.at, self._parameters)

    def _slot(self, at: datetime) -> datetime:
        """The start of the interval that holds `at`; intervals count from 1970, in UTC."""
        length = self._every // timedelta(milliseconds=1)
        return from_milliseconds(milliseconds(at) // length * length)


def _snapshot(approved: ChangeRequest | None, apex: str | None) -> Snapshot | None:
    if approved is None:
        return None
    return Snapshot(approved.approved_config, approved.ended_at, apex)


def _history(known: WatchState, now: datetime, at: datetime) -> History:
    """How long what lasts has lasted, by the times of ticks."""
    state = known.alert
    return History(
        waiting=now - (state.pending_since or now),
        disagreeing=now - (state.propagating_since or now),
        unknown_since=state.unknown_since,
        last_known=known.last_pass.last_known(at),
    )
