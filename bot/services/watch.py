"""The drift check: gather, judge, record, tell.

Each check reads the API and the DKIM record and compares them with what was approved. A failed
reading is never reported as drift: it only says that the check could not be made. While a change is
being written nothing is judged, since our own change is no drift.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain import incident as incidents
from bot.domain.change import ChangeRequest, State, canonical, from_milliseconds, milliseconds
from bot.domain.dkim import Publication, TxtAnswer, judge
from bot.domain.incident import Event, Incident, Kind, Observation
from bot.domain.mail_config import MailConfig, drift
from bot.domain.plan import Baseline
from bot.errors import CliqError, OAuthError, Tampered
from bot.ports import (
    AuditEntry,
    Card,
    Clock,
    MailConfigApi,
    Message,
    Purpose,
    Resolver,
    Store,
    Transaction,
    WatchState,
)

JOB = "drift"
RETRY = timedelta(minutes=1)
"""When a check that could not be made is tried again, without waiting for the next interval."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one check gathered, before anything is decided."""

    at: datetime
    live: MailConfig | None
    approved: ChangeRequest | None
    answers: tuple[TxtAnswer, ...]
    zone: str | None
    next_at: datetime

    @property
    def publication(self) -> Publication:
        return judge(self.live.dkim_value, self.answers) if self.live else Publication.UNKNOWN

    @property
    def baseline(self) -> Baseline | None:
        return None if self.approved is None else Baseline(self.approved.approved_config)

    @property
    def is_drifted(self) -> bool:
        return self.baseline is not None and bool(drift(self.baseline.config, self.live))


@dataclass(frozen=True, slots=True)
class Standing:
    """The open request and the last applied one.

    Compared before and after a check: one that began before a write and ends after it would hold
    the old configuration against the new approval, so its findings are dropped.
    """

    open_id: str | None
    approved: ChangeRequest | None


class Watch:
    """The check of one organisation."""

    def __init__(
        self,
        *,
        org: str,
        every: timedelta,
        alert_channel: str,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self.org = org
        self.every = every
        self._channel = alert_channel
        self._store = store
        self._api = api
        self._resolver = resolver
        self._clock = clock
        self._new_id = new_id
        self._last_slot: datetime | None = None
        self._retry_at: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def tick(self) -> None:
        """Check once in each interval, whoever ticks and however often; late slots fall together.

        A check that could not be made is repeated after a minute.
        """
        now = self._clock.now()
        slot = self._slot(now)
        if slot != self._last_slot:
            async with self._store.begin() as tx:
                is_ours = await tx.take_slot(f"{JOB}:{self.org}", slot)
            self._last_slot = slot
            if is_ours:
                await self.check()
        elif self._retry_at is not None:
            if now >= self._retry_at:
                await self.check()
        elif await self._was_accepted():
            await self.check()

    async def _was_accepted(self) -> bool:
        """Whether what is live was accepted since the last check: an alert that is settled by it
        need not wait for the next interval."""
        line = await self._store.open_incident(self.org, Kind.WATCH)
        approved = await self._store.last_applied(self.org)
        if line is None or approved is None or approved.plan.writes:
            return False
        return bool(line.facts.get("number") != approved.number)

    async def check(self) -> None:
        """One check, now; one after the other if several are asked for at once."""
        async with self._one_at_a_time:
            self._retry_at = self._clock.now() + RETRY
            before = await self._standing()
            if before is None:
                return
            try:
                live = await self._api.read(Purpose.LOOK)
            except (CliqError, OAuthError) as error:
                await self._record_failure(error)
                return
            await self._record(await self._gather(live, before.approved), before)

    async def _standing(self) -> Standing | None:
        """Where the requests stand; None while a change is being written."""
        try:
            current = await self._store.open_request(self.org)
        except Tampered as damage:
            # Nobody applies what cannot be read, so it is no reason not to look.
            approved = await self._store.last_applied(self.org)
            return Standing(f"unreadable #{damage.number}", approved)
        if current is not None and current.state in {State.APPLYING, State.UNCERTAIN}:
            return None
        approved = await self._store.last_applied(self.org)
        return Standing(None if current is None else current.id, approved)

    async def _gather(self, live: MailConfig | None, approved: ChangeRequest | None) -> Findings:
        answers: tuple[TxtAnswer, ...] = ()
        zone = None
        if live is not None and live.dkim_host:
            answers = await self._resolver.txt(live.dkim_host)
            zone = await self._resolver.zone_of(live.dkim_host)
        now = self._clock.now()
        return Findings(now, live, approved, answers, zone, self._slot(now) + self.every)

    async def _record(self, found: Findings, before: Standing) -> None:
        earlier = await self._store.watch(self.org)
        seen = {
            Kind.RECORD: self._see_record(found),
            Kind.OUTSIDE: self._see_outside(found),
            Kind.WATCH: Observation("watch", self._watch_facts(found)),
        }
        current = {kind: await self._store.open_incident(self.org, kind) for kind in seen}
        if await self._standing() != before:
            return
        async with self._store.begin() as tx:
            await tx.save_watch(self._state(found))
            await self._tell_status_changes(tx, earlier, found)
            for kind, observation in seen.items():
                await self._step(tx, kind, current[kind], observation, found.at)
        self._retry_at = None

    def _see_record(self, found: Findings) -> Observation | None:
        if found.live is None:
            return Observation(None, {"removed": True} | self._times(found))
        match found.publication:
            case Publication.UNKNOWN:
                return None
            case Publication.RIGHT:
                return Observation(None, self._record_facts(found))
            case bad:
                key = f"{bad}:{found.live.dkim_host}"
                return Observation(key, self._record_facts(found))

    def _see_outside(self, found: Findings) -> Observation:
        facts = self._times(found) | {
            "live": found.live and found.live.as_dict(),
            "approved": found.baseline
            and found.baseline.config
            and found.baseline.config.as_dict(),
            "number": found.approved and found.approved.number,
            "approved_at": found.approved and _stamp(found.approved.ended_at),
        }
        if not found.is_drifted:
            return Observation(None, facts)
        what = canonical(
            found.live and [found.live.email_id, found.live.name, found.live.dkim_host]
        )
        return Observation(hashlib.sha256(what.encode()).hexdigest(), facts)

    def _watch_facts(self, found: Findings) -> dict[str, Any]:
        return self._times(found) | {
            "live": found.live and found.live.as_dict(),
            "publication": found.publication,
            "number": found.approved and found.approved.number,
            "is_drifted": found.is_drifted,
        }

    def _record_facts(self, found: Findings) -> dict[str, Any]:
        assert found.live is not None
        return self._times(found) | {
            "host": found.live.dkim_host,
            "value": found.live.dkim_value,
            "zone": found.zone,
            "email_id": found.live.email_id,
            "dkim_status": found.live.dkim_status,
            "publication": found.publication,
            "is_drifted": found.is_drifted,
            "answers": [
                {
                    "server": answer.server,
                    "values": None if answer.values is None else list(answer.values),
                    "problem": answer.problem,
                }
                for answer in found.answers
            ],
        }

    def _times(self, found: Findings) -> dict[str, Any]:
        return {"checked_at": milliseconds(found.at), "next_at": milliseconds(found.next_at)}

    async def _step(
        self,
        tx: Transaction,
        kind: Kind,
        current: Incident | None,
        seen: Observation | None,
        now: datetime,
    ) -> None:
        fresh = Incident(self._new_id(), self.org, kind, "", now)
        moved, event = incidents.step(current, seen, now, fresh)
        if moved is None or moved is current:
            return
        await tx.save_incident(moved)
        if event is Event.OPENED:
            await tx.save_card(Card(moved.id, self._channel))
        if event is not None and kind is not Kind.WATCH:
            await self._tell_event(tx, moved, event, now)

    async def _tell_event(
        self, tx: Transaction, moved: Incident, event: Event, now: datetime
    ) -> None:
        if event is not Event.OPENED:
            key = f"{event}:{moved.id}:{moved.rev}"
            await tx.tell(Message(key, f"{moved.kind}_{event}", moved.facts, subject=moved.id))
        body = {"kind": moved.kind, "event": event, "key": moved.key}
        await tx.record(AuditEntry(self.org, now, "mailcfg", "incident", None, body))

    async def _tell_status_changes(
        self, tx: Transaction, earlier: WatchState, found: Findings
    ) -> None:
        """Zoho moved a status by itself: said once, at once, in both directions."""
        old, new = earlier.reading, found.live
        if not earlier.has_reading or old is None or new is None:
            return
        for field, is_same in (
            ("dkim_status", old.dkim_host == new.dkim_host),
            ("cname_status", old.domain == new.domain),
        ):
            before, after = getattr(old, field), getattr(new, field)
            if is_same and before != after:
                facts = {"field": field, "before": before, "after": after}
                facts |= {"publication": found.publication, "at": milliseconds(found.at)}
                key = f"status:{self.org}:{field}:{milliseconds(found.at)}"
                await tx.tell(Message(key, "status", facts))
                await tx.record(AuditEntry(self.org, found.at, "cliq", "status", None, facts))

    async def _record_failure(self, error: Exception) -> None:
        earlier = await self._store.watch(self.org)
        current = await self._store.open_incident(self.org, Kind.WATCH)
        now = self._clock.now()
        next_at = milliseconds(min(now + RETRY, self._slot(now) + self.every))
        async with self._store.begin() as tx:
            await tx.save_watch(replace(earlier, last_error=str(error)))
            if current is not None:
                facts = current.facts | {"error": str(error), "next_at": next_at}
                await tx.save_incident(replace(current, facts=facts, rev=current.rev + 1))

    def _state(self, found: Findings) -> WatchState:
        return WatchState(
            org=self.org,
            has_reading=True,
            reading=found.live,
            read_at=found.at,
            publication=found.publication,
            checked_at=found.at,
        )

    def _slot(self, at: datetime) -> datetime:
        """The start of the interval that holds `at`; intervals count from 1970, in UTC."""
        length = self.every // timedelta(milliseconds=1)
        return from_milliseconds(milliseconds(at) // length * length)


def _stamp(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)
