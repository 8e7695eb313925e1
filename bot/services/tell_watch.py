"""What follows from a check for people: living messages, lines in their threads, and notices.

Everything is written inside the transaction that stores the check, so that it is told if and only if
the check counts. When something is told is decided by `alert`, `notices` and `checklist`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain import checklist, notices
from bot.domain.alert import Event, EventKind
from bot.domain.audit import AuditEntry
from bot.domain.change import milliseconds
from bot.domain.checklist import Checklist, News
from bot.domain.findings import ROLES, Diagnosis, FindingId, Role
from bot.domain.headlines import dns_line, topmost_bad
from bot.domain.incident import (
    Facts,
    Incident,
    Kind,
    alert_facts,
    outside_facts,
    standing_facts,
    watch_facts,
)
from bot.domain.mail_config import fingerprint
from bot.domain.moment import stamp
from bot.domain.notices import Reading
from bot.domain.organisation import Organisation
from bot.domain.report import explanation, headline
from bot.domain.watched import CheckResult
from bot.ports import Card, Message, Store, Transaction, WatchState

FOLLOWED, FOLLOWED_DM = "followed", "followed_dm"
"""The end of a checklist, told in the thread and to the requester alone."""
DMARC = "dmarc"
"""What receivers may do to the mail until a checklist is through."""


@dataclass(frozen=True, slots=True)
class Told:
    """A check, what was known before and after it, and what is to be told."""

    check: CheckResult
    before: WatchState
    after: WatchState
    events: tuple[Event, ...]
    is_news: bool
    ends_at: datetime | None

    @property
    def times(self) -> Facts:
        return {
            "checked_at": milliseconds(self.check.at),
            "next_at": milliseconds(self.check.next_at),
        }

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that an alert could be about. Unread is no statement on that."""
        is_calm = not self.check.unread and self.check.found.case.is_approved
        return self.after.alert.incident is None and is_calm


@dataclass(frozen=True, slots=True)
class Rows:
    """The living messages that are open."""

    watch: Incident | None
    alert: Incident | None
    checklists: tuple[Incident, ...]


class WatchTeller:
    """Writes for one organisation."""

    def __init__(self, organisation: Organisation, store: Store, new_id: Callable[[], str]) -> None:
        self._org = organisation.id
        self._channel = organisation.channels.alert
        self._store = store
        self._new_id = new_id

    async def rows(self) -> Rows:
        return Rows(
            await self._store.open_incident(self._org, Kind.WATCH),
            await self._store.open_incident(self._org, Kind.ALERT),
            tuple(await self._store.open_incidents(self._org, Kind.CHECKLIST)),
        )

    async def tell(self, tx: Transaction, rows: Rows, told: Told) -> None:
        """Raises LostRace if somebody else wrote meanwhile."""
        if not told.check.unread:
            await self._tell_statuses(tx, rows, told)
            for row in rows.checklists:
                await self._step_checklist(tx, row, told)
        alert = await self._show_alert(tx, rows.alert, told)
        if told.is_news:
            await self._tell_outside(tx, rows.alert, alert, told)
        for event in told.events:
            await self._tell_event(tx, event, alert, told, is_new=rows.alert is None)
        await self._show_watch(tx, rows.watch, told)

    async def _show_watch(self, tx: Transaction, row: Incident | None, told: Told) -> None:
        check = told.check
        if check.unread:
            if row is not None:
                facts = {
                    "error": check.found.findings[0].sentence,
                    "next_at": told.times["next_at"],
                }
                await tx.save_incident(row.edited(row.facts | facts))
            return
        facts = watch_facts(check.found, check.approved) | told.times
        if row is None:
            await self._open(tx, Kind.WATCH, facts, check.at)
        else:
            await tx.save_incident(row.edited(facts))

    async def _show_alert(
        self, tx: Transaction, row: Incident | None, told: Told
    ) -> Incident | None:
        """The alert as it then is; None if there is none."""
        check = told.check
        if told.is_over:
            return None if row is None else await self._close(tx, row, told)
        if row is None and check.unread:
            return None
        facts = self._alert_facts(row, told)
        if row is None:
            return await self._open(tx, Kind.ALERT, facts, self._first_seen(told))
        edited = row.edited(facts)
        await tx.save_incident(edited)
        return edited

    def _alert_facts(self, row: Incident | None, told: Told) -> Facts:
        """An unknown pass leaves standing what the last definite one found."""
        check = told.check
        kept = {} if row is None else row.facts
        standing = standing_facts(told.after.alert, told.ends_at) | {"unknown": ""}
        if check.unread:
            unknown = {"unknown": check.found.findings[0].sentence}
            return kept | standing | unknown | {"next_at": told.times["next_at"]}
        facts = alert_facts(check.found, check.approved)
        if check.is_unknown and row is not None:
            outside = outside_facts(check.found.case, check.approved)
            facts = kept | outside | {"unknown": check.found.findings[0].sentence}
        facts["late"] = check.late and check.late.number
        facts["cause"] = facts["heading"] or kept.get("cause", "")
        facts["was_outside"] = facts["is_outside"] or kept.get("was_outside", False)
        return standing | facts | told.times

    def _first_seen(self, told: Told) -> datetime:
        incident = told.after.alert.incident
        return told.check.at if incident is None else incident.first_seen_at

    async def _close(self, tx: Transaction, row: Incident, told: Told) -> Incident:
        check = told.check
        facts = row.facts | told.times | {"ended": headline(check.found), "unknown": ""}
        closed = row.edited(facts, resolved_at=check.at)
        await tx.save_incident(closed)
        if not any(event.kind is EventKind.RESOLVED for event in told.events):
            await self._line(tx, closed, "alert_resolved", f"{closed.id}:ended", facts)
        return closed

    async def _open(
        self, tx: Transaction, kind: Kind, facts: Facts, opened_at: datetime
    ) -> Incident:
        opened = Incident(self._new_id(), self._org, kind, "", opened_at, facts)
        await tx.save_incident(opened)
        await tx.save_card(Card(opened.id, self._channel))
        return opened

    async def _tell_outside(
        self, tx: Transaction, before: Incident | None, alert: Incident | None, told: Told
    ) -> None:
        """The living message says it; where that stood already, a line says so too.

        In the channel where the message was about something else, or it would go unseen.
        """
        assert alert is not None
        await self._audit(tx, told, "outside", _marks(told.check))
        if before is None:
            return
        subject = alert.id if before.facts.get("is_outside") else None
        key = f"{self._org}:outside:{milliseconds(told.check.at)}"
        await tx.tell(Message(key, "outside", alert.facts, subject=subject))

    async def _tell_event(
        self, tx: Transaction, event: Event, alert: Incident | None, told: Told, *, is_new: bool
    ) -> None:
        """Whatever opened its own message needs no line; nor does what that said already."""
        await self._audit(tx, told, str(event), {})
        facts = {
            "heading": alert.facts.get("heading", "") if alert else "",
            "said": _explained(told.check.found),
            "dns": dns_line(told.check.found),
            "ended": alert.facts.get("ended", "") if alert else "",
            "was_outside": bool(alert and alert.facts.get("was_outside")),
            "first_seen_at": stamp(alert.opened_at) if alert else None,
            "at": milliseconds(told.check.at),
        }
        key = f"{self._org}:{event.key}"
        match event.kind:
            case EventKind.CANNOT_CHECK | EventKind.CHECKS_RESUMED:
                await tx.tell(Message(key, str(event.kind), facts))
            case EventKind.OPENED if is_new or ROLES.get(event.finding) is Role.DRIFT:
                return
            case EventKind.FLAPPING if is_new:
                return
            case kind:
                assert alert is not None
                await self._line(tx, alert, f"alert_{kind}", key, facts)

    async def _line(
        self, tx: Transaction, alert: Incident, kind: str, key: str, facts: Facts
    ) -> None:
        await tx.tell(Message(key, kind, facts, subject=alert.id))

    async def _tell_statuses(self, tx: Transaction, rows: Rows, told: Told) -> None:
        """Zoho moved a status by itself: said once, at once, in both directions."""
        before, check = told.before, told.check
        if not before.has_reading or before.read_at is None:
            return
        awaited = any(_checklist(row).waits_for_zoho for row in rows.checklists)
        moved = notices.status_changes(
            Reading(before.read_at, before.reading),
            Reading(check.at, check.live),
            is_awaited=awaited,
        )
        for change in moved:
            facts: Facts = {
                "field": change.field,
                "before": change.before,
                "after": change.after,
                "at": milliseconds(check.at),
                "dns": dns_line(check.found),
                "is_right": _is_right(check.found),
            }
            key = f"status:{self._org}:{change.field}:{milliseconds(check.at)}"
            await tx.tell(Message(key, "status", facts))
            await tx.record(AuditEntry(self._org, check.at, "cliq", "status", None, facts))

    async def _step_checklist(self, tx: Transaction, row: Incident, told: Told) -> None:
        earlier = _checklist(row)
        if FindingId.DMARC_AT_RISK in told.check.found.ids:
            risk = {"said": _at_risk(told.check.found)}
            await tx.tell(Message(f"{DMARC}:{row.key}", DMARC, risk, subject=row.key))
        moved, news = checklist.step(earlier, told.check.for_checklist())
        if news is None:
            return
        facts = row.facts | {"checklist": moved.as_dict()}
        await tx.save_incident(row.edited(facts, resolved_at=moved.ended_at))
        if news is News.COMPLETE:
            done = {"verified_at": stamp(moved.verified_at)}
            for kind in (FOLLOWED, FOLLOWED_DM):
                await tx.tell(Message(f"{kind}:{row.key}", kind, done, subject=row.key))

    async def _audit(self, tx: Transaction, told: Told, event: str, more: dict[str, Any]) -> None:
        body = {"event": event} | more
        await tx.record(AuditEntry(self._org, told.check.at, "mailcfg", "incident", None, body))


def _marks(check: CheckResult) -> Facts:
    """What the audit says of a change outside approval."""
    late = {"late": check.late.number} if check.late else {}
    return {"live": fingerprint(check.undamaged)} | late


def _explained(found: Diagnosis) -> str:
    """The finding that alerts, and what to do."""
    worst = topmost_bad(found)
    if worst is not None and worst.role is Role.DRIFT:
        return f"{worst.sentence} {worst.fix}"
    return explanation(found)


def _checklist(row: Incident) -> Checklist:
    return Checklist.from_dict(row.facts["checklist"])


def _is_right(found: Diagnosis) -> bool:
    verdict = found.case.verdict
    return verdict is not None and verdict.is_right_everywhere


def _at_risk(found: Diagnosis) -> str:
    return next(f.sentence for f in found.findings if f.id is FindingId.DMARC_AT_RISK)
