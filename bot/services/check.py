"""`check`: one pass for whoever asks, with everything that is found.

It is the watch's own check, so what it finds is shown anew everywhere; but a check by hand is never a
tick: no alert opens or ends by it. The diagnosis is that of `mailcfg check` on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.findings import Diagnosis
from bot.domain.policy import Actor
from bot.services.look import Look
from bot.services.watch import Watch


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found at `at`, and when the next check is made by itself.

    `is_approved` is False while nothing has been approved yet, too.
    """

    diagnosis: Diagnosis
    is_approved: bool
    at: datetime
    next_at: datetime


class ManualCheck:
    """The check by hand of one organisation."""

    def __init__(self, look: Look, watch: Watch) -> None:
        self._look = look
        self._watch = watch

    async def check(self, actor: Actor) -> Checked:
        """Read the API, ask DNS, diagnose; for whoever may `show`.

        While a change is being written the watch looks away; then this is a look and no more. Raises
        NotAllowed and CouldNotCheck.
        """
        await self._look.check_member(actor, "check")
        seen = await self._watch.check_now() or await self._watch.look()
        case = seen.found.case
        is_approved = case.snapshot is not None and case.is_approved
        return Checked(seen.found, is_approved, seen.at, seen.next_at)
