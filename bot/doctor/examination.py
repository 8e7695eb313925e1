"""`mailcfg doctor`: every check of a deployment, side by side, within one deadline; nothing is changed.

Each far end has its module, which gathers and judges; here it is decided who waits for whom. Zoho
waits for the database, which counts its calls; DNS waits for Zoho, which names the sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.adapters.store.inspection import DatabaseFacts
from bot.adapters.store.version import Tables
from bot.clock import SystemClock
from bot.doctor import database, dns, record, zoho
from bot.doctor.findings import Finding, Mark, NotChecked, Sheet
from bot.doctor.slack import SlackCheckup
from bot.doctor.zoho import Sender
from bot.ports import Clock
from bot.settings import Partial

Value = TypeVar("Value")
USUAL_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for one call, for all checks of one far end, and for everything."""

    call: float
    far_end: float
    whole: float

    @classmethod
    def within(cls, seconds: float) -> Limits:
        """Zoho may need two calls after the database's, so a call has less than half of the time."""
        return cls(call=0.45 * seconds, far_end=seconds - 0.1, whole=seconds)


class Examination:
    """One run of every check on one deployment."""

    def __init__(
        self, found: Partial, clock: Clock | None = None, limits: Limits | None = None
    ) -> None:
        self._found = found
        self._clock = clock or SystemClock()
        self._limits = limits or Limits.within(USUAL_SECONDS)
        loop = asyncio.get_running_loop()
        self._database: asyncio.Future[DatabaseFacts] = loop.create_future()
        self._sender: asyncio.Future[Sender] = loop.create_future()

    async def run(self) -> list[Finding]:
        """Every finding in a fixed order; ends within the limit, whatever is silent."""
        slack = SlackCheckup(self._found, self._clock, self._limits.call)
        visits: list[tuple[Sheet, Callable[[Sheet], Awaitable[None]]]] = [
            (database.sheet(), self._visit_database),
            (slack.sheet(), slack.run),
            (zoho.sheet(), self._visit_zoho),
            (dns.sheet(), self._visit_dns),
            (record.sheet(), self._visit_record),
        ]
        tasks = [asyncio.create_task(self._visit(sheet, work)) for sheet, work in visits]
        _, late = await asyncio.wait(tasks, timeout=self._limits.whole)
        for task in late:
            task.cancel()
        for sheet, _work in visits:
            sheet.close(TimeoutError())
        return [*judge_settings(self._found), *(f for sheet, _ in visits for f in sheet.findings)]

    async def _visit(self, sheet: Sheet, work: Callable[[Sheet], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self._limits.far_end):
                await work(sheet)
        except Exception as error:  # the outermost: one far end must not hide the others
            sheet.close(error)

    async def _visit_database(self, sheet: Sheet) -> None:
        try:
            facts = await database.check(self._found, sheet, self._limits.call)
        except BaseException:
            self._database.cancel()
            raise
        self._database.set_result(facts)

    async def _visit_zoho(self, sheet: Sheet) -> None:
        try:
            sender = await self._ask_zoho(sheet)
        except BaseException:
            self._sender.cancel()
            raise
        self._sender.set_result(sender)

    async def _ask_zoho(self, sheet: Sheet) -> Sender:
        facts = await self._usable_database()
        return await zoho.check(
            self._found,
            sheet,
            self._clock,
            self._limits.call,
            has_database=facts.tables is Tables.CURRENT,
        )

    async def _visit_dns(self, sheet: Sheet) -> None:
        async def sender() -> Sender:
            return await _known(self._sender, "Zoho did not say what the sender is")

        await dns.check(self._found, sheet, self._clock, sender, self._limits.call)

    async def _visit_record(self, sheet: Sheet) -> None:
        facts = await _known(self._database, "the database comes first")
        await record.check(self._found, sheet, facts.tables)

    async def _usable_database(self) -> DatabaseFacts:
        """Calls to Zoho are counted in the database, unless there is none yet. Raises NotChecked."""
        facts = await _known(self._database, "calls are counted in the database, so it comes first")
        if facts.refusal or facts.tables in {Tables.OLDER, Tables.UNKNOWN}:
            raise NotChecked("calls are counted in the database, so it comes first")
        return facts


async def _known(future: asyncio.Future[Value], otherwise: str) -> Value:
    """What another check found out. Raises NotChecked where it did not."""
    await asyncio.wait({future})
    if future.cancelled():
        raise NotChecked(otherwise)
    return future.result()


def judge_settings(found: Partial) -> Sequence[Finding]:
    """One finding a fault, so that all are told at once."""
    warnings = [Finding("settings", Mark.WARNING, said) for said in found.settings.warnings()]
    if not found.faults:
        return [Finding("settings", Mark.OK, "Every setting has a possible value."), *warnings]
    return [*(Finding("settings", Mark.FAILURE, fault) for fault in found.faults), *warnings]
