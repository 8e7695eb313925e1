"""What follows from a check for people: living messages, lines in their threads, and notices.

Everything is written inside the transaction that stores the check, so that it is told if and only if
the check counts. When something is told is decided by `alert`, `notices` and `checklist`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never

from bot.domain import checklist, messages, notices
from bot.domain.alert import Event, EventKind
from bot.domain.audit import AuditEntry
from bot.domain.checklist import News
from bot.domain.findings import ROLES, Diagnosis, FindingId, Role
from bot.domain.headlines import dns_line, topmost_bad
from bot.domain.incident import (
    AlertBody,
    ChecklistBody,
    Incident,
    Says,
    WatchLine,
)
from bot.domain.mail_config import fingerprint
from bot.domain.messages import AlertChannel, Message, Recipient, Thread
from bot.domain.notices import Reading
from bot.domain.organisation import Organisation
from bot.domain.report import explanation
from bot.domain.stored import milliseconds
from bot.domain.watched import CheckResult
from bot.ports import Card, Store, Transaction, WatchState

Alert = Incident[AlertBody]


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
    def is_over(self) -> bool:
        """Whether nothing is left that an alert could be about. Unread is no statement on that."""
        is_calm = not self.check.unread and self.check.found.case.is_approved
        return self.after.alert.incident is None and is_calm


@dataclass(frozen=True, slots=True)
class Rows:
    """The living messages that are open."""

    watch: Incident[WatchLine] | None
    alert: Alert | None
    checklists: tuple[Incident[ChecklistBody], ...]


class WatchTeller:
    """Writes for one organisation."""

    def __init__(self, organisation: Organisation, store: Store, new_id: Callable[[], str]) -> None:
        self._org = organisation.id
        self._channel = organisation.channels.alert
        self._store = store
        self._new_id = new_id

    async def rows(self) -> Rows:
        return Rows(
            await self._store.open_incident(self._org, WatchLine),
            await self._store.open_incident(self._org, AlertBody),
            tuple(await self._store.open_incidents(self._org, ChecklistBody)),
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

    async def _show_watch(
        self, tx: Transaction, row: Incident[WatchLine] | None, told: Told
    ) -> None:
        check = told.check
        if row is not None:
            line = row.body.unread(check) if check.unread else WatchLine.of(check)
            await tx.save_incident(row.edited(line))
        elif not check.unread:
            await self._open(tx, WatchLine.of(check), check.at)

    async def _show_alert(self, tx: Transaction, row: Alert | None, told: Told) -> Alert | None:
        """The alert as it then is; None if there is none."""
        check, state = told.check, told.after.alert
        if told.is_over:
            return None if row is None else await self._close(tx, row, told)
        if row is not None:
            edited = row.edited(row.body.after(check, state, told.ends_at))
            await tx.save_incident(edited)
            return edited
        if check.unread:
            return None
        first_seen = state.incident.first_seen_at if state.incident else check.at
        return await self._open(tx, AlertBody.of(check, state, told.ends_at), first_seen)

    async def _close(self, tx: Transaction, row: Alert, told: Told) -> Alert:
        closed = row.edited(row.body.end(told.check), resolved_at=told.check.at)
        await tx.save_incident(closed)
        if not any(event.kind is EventKind.RESOLVED for event in told.events):
            body = closed.body
            line = messages.AlertResolved(body.ended, body.was_outside, body.is_confirmed)
            await tx.tell(Message(f"{closed.id}:ended", line, Thread(closed.id)))
        return closed

    async def _open(self, tx: Transaction, body: Says, opened_at: datetime) -> Incident[Says]:
        opened = Incident(self._new_id(), self._org, "", opened_at, body)
        await tx.save_incident(opened)
        await tx.save_card(Card(opened.id, self._channel))
        return opened

    async def _tell_outside(
        self, tx: Transaction, before: Alert | None, alert: Alert | None, told: Told
    ) -> None:
        """The living message says it; where that stood already, a line says so too.

        In the channel where the message was about something else, or it would go unseen.
        """
        assert alert is not None
        assert alert.body.outside is not None
        await self._audit(tx, told, "outside", _marks(told.check))
        if before is None:
            return
        body = messages.ChangedOutside(alert.body.outside.approved, alert.body.outside.live)
        to = Thread(alert.id) if before.body.outside else AlertChannel()
        await tx.tell(Message(f"{self._org}:outside:{milliseconds(told.check.at)}", body, to))

    async def _tell_event(
        self, tx: Transaction, event: Event, alert: Alert | None, told: Told, *, is_new: bool
    ) -> None:
        """Whatever opened its own message needs no line; nor does what that said already."""
        await self._audit(tx, told, str(event), {})
        is_said = is_new or ROLES.get(event.finding) is Role.DRIFT
        match event.kind:
            case EventKind.OPENED if is_said:
                return
            case EventKind.FLAPPING if is_new:
                return
            case EventKind.CANNOT_CHECK | EventKind.CHECKS_RESUMED:
                to: Recipient = AlertChannel()
            case _:
                assert alert is not None
                to = Thread(alert.id)
        body = _news(event.kind, alert, told.check.found)
        await tx.tell(Message(f"{self._org}:{event.key}", body, to))

    async def _tell_statuses(self, tx: Transaction, rows: Rows, told: Told) -> None:
        """Zoho moved a status by itself: said once, at once, in both directions."""
        before, check = told.before, told.check
        if not before.has_reading or before.read_at is None:
            return
        awaited = any(row.body.checklist.waits_for_zoho for row in rows.checklists)
        moved = notices.status_changes(
            Reading(before.read_at, before.reading),
            Reading(check.at, check.live),
            is_awaited=awaited,
        )
        at, dns, is_right = check.at, dns_line(check.found), _is_right(check.found)
        for change in moved:
            body = messages.StatusMoved(
                change.field, change.before, change.after, at, dns, is_right
            )
            sealed = asdict(body) | {"at": milliseconds(at)}
            await tx.tell(Message(f"status:{self._org}:{change.field}:{milliseconds(at)}", body))
            await tx.record(AuditEntry(self._org, at, "cliq", "status", None, sealed))

    async def _step_checklist(
        self, tx: Transaction, row: Incident[ChecklistBody], told: Told
    ) -> None:
        if FindingId.DMARC_AT_RISK in told.check.found.ids:
            risk = messages.DmarcAtRisk(_at_risk(told.check.found))
            await tx.tell(Message(f"dmarc:{row.key}", risk, Thread(row.key)))
        moved, news = checklist.step(row.body.checklist, told.check.for_checklist())
        if news is None:
            return
        body = ChecklistBody(row.body.number, moved)
        await tx.save_incident(row.edited(body, resolved_at=moved.ended_at))
        if news is News.COMPLETE and moved.verified_at is not None:
            for message in messages.followed(row.key, moved.verified_at):
                await tx.tell(message)

    async def _audit(self, tx: Transaction, told: Told, event: str, more: dict[str, Any]) -> None:
        body = {"event": event} | more
        await tx.record(AuditEntry(self._org, told.check.at, "mailcfg", "incident", None, body))


def _news(kind: EventKind, alert: Alert | None, found: Diagnosis) -> messages.Body:
    """What has happened to the checks, or to the alert."""
    match kind:
        case EventKind.CANNOT_CHECK:
            return messages.CannotCheck(_explained(found))
        case EventKind.CHECKS_RESUMED:
            return messages.ChecksResumed(dns_line(found))
    assert alert is not None
    heading, said = alert.body.heading, _explained(found)
    match kind:
        case EventKind.OPENED:
            return messages.AlertOpened(heading, said)
        case EventKind.FLAPPING:
            return messages.AlertFlapping(heading, said)
        case EventKind.CHANGED:
            return messages.AlertChanged(heading, said)
        case EventKind.REMINDER:
            return messages.AlertReminder(heading, said, alert.opened_at)
        case EventKind.RESOLVED:
            return messages.AlertResolved(alert.body.ended, alert.body.was_outside)
        case _:
            assert_never(kind)


def _marks(check: CheckResult) -> dict[str, Any]:
    """What the audit says of a change outside approval."""
    late = {"late": check.late.number} if check.late else {}
    return {"live": fingerprint(check.undamaged)} | late


def _explained(found: Diagnosis) -> str:
    """The finding that alerts, and what to do."""
    worst = topmost_bad(found)
    if worst is not None and worst.role is Role.DRIFT:
        return f"{worst.sentence} {worst.fix}"
    return explanation(found)


def _is_right(found: Diagnosis) -> bool:
    verdict = found.case.verdict
    return verdict is not None and verdict.is_right_everywhere


def _at_risk(found: Diagnosis) -> str:
    return next(f.sentence for f in found.findings if f.id is FindingId.DMARC_AT_RISK)
