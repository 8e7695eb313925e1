"""The services of one organisation, over its ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.organisation import Organisation
from bot.ports import Clock, Directory, FarEnds, Resolver, Store
from bot.services.admission import Admission
from bot.services.alerts import Alerts
from bot.services.apply import Applier
from bot.services.audit import DailyHead
from bot.services.changes import Changes
from bot.services.check import ManualCheck
from bot.services.look import Look
from bot.services.watch import Watch


@dataclass(frozen=True, slots=True)
class Services:
    """What people can do, and what is done by itself."""

    admission: Admission
    changes: Changes
    look: Look
    checks: ManualCheck
    alerts: Alerts
    applier: Applier
    watch: Watch
    daily_head: DailyHead

    @classmethod
    def of(
        cls,
        organisation: Organisation,
        store: Store,
        far_ends: FarEnds,
        resolver: Resolver,
        directory: Directory,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> Services:
        admission = Admission(organisation, store, directory, clock)
        look = Look(organisation, store, far_ends.sender, resolver, directory, admission)
        watch = Watch(organisation, store, far_ends.sender, resolver, clock, new_id)
        return cls(
            admission=admission,
            changes=Changes(organisation, store, far_ends, resolver, admission, clock, new_id),
            look=look,
            checks=ManualCheck(look, watch),
            alerts=Alerts(organisation, admission, store, clock, watch),
            applier=Applier(organisation, store, far_ends, directory, clock),
            watch=watch,
            daily_head=DailyHead(organisation, store, clock),
        )
