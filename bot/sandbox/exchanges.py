"""What went over the sandbox's wires lately, in one order: who called whom, for what, and what came back.

The emulators write it and people read it. It holds no tokens: whoever notes an exchange leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.sandbox.clock import AdjustableClock

MOST_EXCHANGES = 200
LONGEST_DETAIL = 600


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. `outcome` None: no answer yet. `revision` grows with each thing learnt."""

    number: int
    at: datetime
    caller: str
    callee: str
    what: str
    detail: str
    outcome: str | None
    revision: int


class WireLog:
    """The last exchanges, in the order of their beginning."""

    def __init__(self, clock: AdjustableClock) -> None:
        self._clock = clock
        self._exchanges: dict[int, Exchange] = {}
        self._listeners: list[Callable[[], None]] = []
        self._begun = 0
        self.revision = 0

    def began(
        self, caller: str, callee: str, what: str, *, detail: str = "", outcome: str | None = None
    ) -> int:
        """Note a request; the number returned stands for it in `ended`."""
        self._begun += 1
        self._exchanges.pop(self._begun - MOST_EXCHANGES, None)
        now = self._clock.now()
        shown = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}…"
        self._put(Exchange(self._begun, now, caller, callee, what, shown, outcome, 0))
        return self._begun

    def ended(self, number: int, outcome: str) -> None:
        if number in self._exchanges:
            self._put(replace(self._exchanges[number], outcome=outcome))

    def changed_since(self, revision: int) -> list[Exchange]:
        """What began or ended after that revision, oldest first; 0 gives everything kept."""
        return [each for each in self._exchanges.values() if each.revision > revision]

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _put(self, exchange: Exchange) -> None:
        self.revision += 1
        self._exchanges[exchange.number] = replace(exchange, revision=self.revision)
        for listener in self._listeners:
            listener()
