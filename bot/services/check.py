"""`check`: one pass for whoever asks, with everything that is found.

It is the watch's own check, so what it finds is shown anew everywhere; but a check by hand is never a
tick: no alert opens or ends by it. The diagnosis is that of `mailcfg check` on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.case import Case, Graces, Snapshot, api_problem, key_host
from bot.domain.change import State, from_milliseconds, milliseconds
from bot.domain.dns_answers import Answers
from bot.domain.findings import Diagnosis, diagnose
from bot.domain.mail_config import MailConfig
from bot.domain.policy import Actor
from bot.ports import Clock, MailConfigApi, Purpose, Resolver, Store
from bot.services.look import Look
from bot.services.watch import Watch

IN_FLIGHT = frozenset({State.APPLYING, State.UNCERTAIN})


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found at `at`, and when the next check is made by itself.

    `is_approved` is False while nothing has been approved yet, too.
    """

    diagnosis: Diagnosis
    is_approved: bool
    at: datetime
    next_at: datetime


class Check:
    """The check by hand of one organisation."""

    def __init__(
        self,
        *,
        org: str,
        look: Look,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        watch: Watch,
        clock: Clock,
        every: timedelta,
        graces: Graces | None = None,
    ) -> None:
        self.org = org
        self._look = look
        self._store = store
        self._api = api
        self._resolver = resolver
        self._watch = watch
        self._clock = clock
        self._every = every
        self._graces = graces or Graces()

    async def check(self, actor: Actor) -> Checked:
        """Read the API, ask DNS, diagnose; for whoever may `show`.

        Raises NotAllowed, CouldNotCheck, CliqError and OAuthError.
        """
        await self._look.check_member(actor, "check")
        seen = await self._watch.check_now()
        if seen is not None:
            return _checked(seen.found, seen.at, seen.next_at)
        now = self._clock.now()
        return _checked(diagnose(await self._gather()), now, self._next(now))

    async def _gather(self) -> Case:
        """For a look while a change is being written, when the watch looks away."""
        live = await self._api.read(Purpose.LOOK)
        current = await self._store.open_request(self.org)
        return Case(
            live=live,
            answers=await ask_dns(self._resolver, live),
            snapshot=await self._snapshot(),
            graces=self._graces,
            is_in_flight=current is not None and current.state in IN_FLIGHT,
        )

    async def _snapshot(self) -> Snapshot | None:
        last = await self._store.last_applied(self.org)
        return None if last is None else Snapshot(last.approved_config, last.ended_at)

    def _next(self, now: datetime) -> datetime:
        """The end of the interval that holds `now`; intervals count from 1970, in UTC."""
        length = self._every // timedelta(milliseconds=1)
        return from_milliseconds((milliseconds(now) // length + 1) * length)


def _checked(found: Diagnosis, at: datetime, next_at: datetime) -> Checked:
    is_approved = found.case.snapshot is not None and found.case.is_approved
    return Checked(found, is_approved, at, next_at)


async def ask_dns(resolver: Resolver, live: MailConfig | None) -> Answers | None:
    """One pass, if there is a key to look for."""
    if live is None or api_problem(live):
        return None
    host = key_host(live)
    assert host is not None
    return await resolver.examine(host, live.dkim_value, live.domain)
