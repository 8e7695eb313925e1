"""How long to wait for what, where only we can know it: no operator has a reason to turn these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.domain.steps import SENDS_MAX

CALL_TIMEOUT = timedelta(seconds=10)
"""How long a call to Zoho may take."""
SLACK_WAITS = timedelta(seconds=3)
"""docs.slack.dev/interactivity/handling-user-interaction: an interaction fails after this."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The relations between these are what makes a write safe; they are held when it is made."""

    call_timeout: timedelta = CALL_TIMEOUT
    quiet: timedelta = timedelta(seconds=20)
    """How long after its time-out a write may still take effect; nothing is read before."""
    margin: timedelta = timedelta(seconds=5)
    """What clocks may differ by, and how long after it was stored a write may be sent."""
    lease: timedelta = timedelta(seconds=60)
    """How long one process may work on a change or a message before another one takes it over.

    A claim is never renewed, since one claim makes at most one write.
    """
    retry: timedelta = timedelta(seconds=30)
    """How long a change waits, at least, after a call that failed."""
    retry_max: timedelta = timedelta(minutes=5)
    give_up: timedelta = timedelta(hours=24)
    """How long an unknown outcome may stay unknown before a person must look."""
    sends: int = SENDS_MAX
    """How often one step may be sent; what surely had no effect does not count."""
    shutdown_grace: timedelta = timedelta(seconds=20)
    """How long a stopping process finishes what it began."""
    pace: timedelta = timedelta(seconds=1)
    """Between two new messages in one channel (docs.slack.dev/apis/web-api/rate-limits)."""
    commit_budget: timedelta = timedelta(seconds=1)
    """How long a click may take to be recorded before its person is told that it takes longer."""

    def __post_init__(self) -> None:
        assert self.lease >= self.call_timeout + self.quiet + self.margin, "two could write at once"
        assert self.shutdown_grace >= self.call_timeout + self.margin, "a write could be cut off"
        assert self.commit_budget < SLACK_WAITS, "Slack would show a failure first"

    @property
    def send_window(self) -> timedelta:
        """How long after its claim a write may still be sent: a call must end within the lease."""
        return self.lease - self.call_timeout - self.margin


USUAL = Timing()
