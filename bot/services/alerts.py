"""People's part of an alert: to have it checked again, and to be left alone for a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain import policy as rules
from bot.domain.audit import AuditEntry
from bot.domain.incident import AlertBody, Incident
from bot.domain.organisation import Organisation
from bot.domain.policy import Actor, Facts, Verdict
from bot.domain.stored import whole
from bot.domain.watched import CheckResult
from bot.errors import AlreadySettled, Refusal
from bot.ports import Clock, Store
from bot.services.admission import Admission
from bot.services.approvers import NOBODY
from bot.services.race import until_won
from bot.services.watch import Watch


class Alerts:
    """All raise NotAllowed and CouldNotCheck."""

    def __init__(
        self,
        organisation: Organisation,
        admission: Admission,
        store: Store,
        clock: Clock,
        watch: Watch,
    ) -> None:
        self.org = organisation.id
        self._policy = organisation.policy
        self._admission = admission
        self._store = store
        self._clock = clock
        self._watch = watch

    async def check_again(self, actor: Actor) -> tuple[CheckResult, datetime | None]:
        """What is so now, for any full member, and until when an open alert is watched if all is good.

        Raises Refusal while a change is being written.
        """
        await self._admission.admit(actor, "check", rules.may_show)
        check = await self._watch.check_now()
        if check is None:
            raise Refusal(
                "A change is being written to Cliq just now. Check again once its card says how it "
                "ended."
            )
        row = await self._store.open_incident(self.org, AlertBody)
        return check, None if row is None else row.body.ends_at

    async def snooze(self, actor: Actor, incident_id: str, span: timedelta) -> datetime:
        """Silence the reminders of an open alert, and nothing else; until when. Raises AlreadySettled."""
        await self._admission.admit(actor, "snooze", self._may_snooze)
        until = whole(self._clock.now() + span)
        await until_won(lambda: self._snooze(actor, incident_id, until))
        return until

    async def _snooze(self, actor: Actor, incident_id: str, until: datetime) -> None:
        row = await self._open(incident_id)
        known = await self._store.watch(self.org)
        alert = known.alert.snooze(until)
        edited = row.edited(row.body.standing(alert, row.body.ends_at))
        body = {"event": "snoozed", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        async with self._store.begin(self.org) as tx:
            await tx.replace_watch(known, replace(known, alert=alert))
            await tx.save_incident(edited)
            await tx.record(self._entry(actor, "incident", body))

    async def _open(self, incident_id: str) -> Incident[AlertBody]:
        row = await self._store.open_incident(self.org, AlertBody)
        if row is None or row.id != incident_id:
            raise AlreadySettled("This alert has ended, so there is nothing to snooze.")
        return row

    def _may_snooze(self, facts: Facts) -> Verdict:
        """Approvers, also where nobody may ask; and whoever may ask."""
        decides = rules.may_decide(facts, self._policy, NOBODY)
        return decides if decides.is_allowed else rules.may_propose(facts, self._policy)

    def _entry(self, actor: Actor, kind: str, body: dict[str, Any]) -> AuditEntry:
        return AuditEntry(self.org, self._clock.now(), actor.principal, kind, None, body)
