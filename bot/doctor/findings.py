"""What an examination finds, one finding a check, and how it is told: to people a line, else JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.adapters.slack.workspace import SlackFault
from bot.domain.stored import Stored
from bot.errors import MailcfgError, SettingsError


class Mark(StrEnum):
    """How bad it is; the value is its name in JSON."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


SIGNS = {Mark.OK: "✓", Mark.WARNING: "!", Mark.FAILURE: "✗"}
EXIT_CODES = {Mark.OK: 0, Mark.WARNING: 1, Mark.FAILURE: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is its name, such as `slack.scopes`; `cure` is what to do, "" where nothing is."""

    check: str
    mark: Mark
    found: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The same before it has a name."""

    mark: Mark
    found: str
    cure: str = ""


def ok(found: str) -> Judgement:
    return Judgement(Mark.OK, found)


def warning(found: str, cure: str = "") -> Judgement:
    return Judgement(Mark.WARNING, found, cure)


def failure(found: str, cure: str = "") -> Judgement:
    return Judgement(Mark.FAILURE, found, cure)


class NotChecked(Exception):
    """A check that cannot be made, since something else is missing; its text says what."""


class Sheet:
    """The checks of one far end, filled in as they are made; whoever reads it early sees the gaps."""

    def __init__(self, *checks: str) -> None:
        self.checks = checks
        self._judged: dict[str, Judgement] = {}

    def put(self, check: str, judgement: Judgement) -> None:
        assert check in self.checks, check
        self._judged[check] = judgement

    async def fill(self, check: str, work: Awaitable[Judgement]) -> None:
        """Make one check; whatever goes wrong in it is its finding, and the others go on."""
        try:
            self.put(check, await work)
        except (NotChecked, MailcfgError, TimeoutError) as trouble:
            self.put(check, judge_trouble(trouble))

    def close(self, trouble: Exception) -> None:
        """What has not been filled in never will: the first gap is to blame, the others follow it."""
        gaps = [check for check in self.checks if check not in self._judged]
        for check in gaps[:1]:
            self.put(check, judge_trouble(trouble))
        for check in gaps[1:]:
            is_told = isinstance(trouble, NotChecked)
            why = str(trouble) if is_told else f"{gaps[0]} comes first"
            self.put(check, judge_trouble(NotChecked(why)))

    @property
    def findings(self) -> list[Finding]:
        judged = ((check, self._judged[check]) for check in self.checks if check in self._judged)
        return [Finding(check, each.mark, each.found, each.cure) for check, each in judged]


def judge_trouble(trouble: Exception) -> Judgement:
    """What it means for a check that it ended like this."""
    match trouble:
        case NotChecked():
            return warning(f"Not checked: {trouble}.")
        case TimeoutError():
            return failure(
                "No answer in time.",
                "See whether this machine reaches it: network, proxy, address.",
            )
        case SettingsError():
            return failure(" ".join(trouble.faults))
        case SlackFault():
            return judge_slack_fault(trouble)
        case MailcfgError():
            return failure(str(trouble))
    return failure(f"The check itself failed ({type(trouble).__name__}).", "Please report this.")


def judge_slack_fault(fault: SlackFault) -> Judgement:
    """A call that Slack refused, or that did not reach it."""
    if fault.error == "missing_scope":
        return warning(
            f"The Slack app lacks the scope for {fault.method}.",
            "Bring the app in line with manifest.yml and install it again.",
        )
    if fault.error == "ratelimited":
        return warning(f"Slack was asked {fault.method} too often.", "Try again in a minute.")
    return failure(
        str(fault), "See whether this machine reaches Slack: network, proxy, SLACK_API_URL."
    )


def worst(findings: Iterable[Finding]) -> Mark:
    marks = {finding.mark for finding in findings}
    return next((mark for mark in (Mark.FAILURE, Mark.WARNING) if mark in marks), Mark.OK)


def as_text(findings: Sequence[Finding]) -> str:
    """A line a check, and one that sums them up."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = [
        f"{SIGNS[each.mark]} {each.check:<{width}}  {' '.join(filter(None, (each.found, each.cure)))}"
        for each in findings
    ]
    return "\n".join([*lines, "", _summary(findings)])


def _summary(findings: Sequence[Finding]) -> str:
    failures = sum(finding.mark is Mark.FAILURE for finding in findings)
    warnings = sum(finding.mark is Mark.WARNING for finding in findings)
    if failures:
        return (
            f"This will not work: {_counted(failures, 'fault')}, {_counted(warnings, 'warning')}."
        )
    if warnings:
        return f"This works, with {_counted(warnings, 'warning')}."
    return "All ✓: this deployment is ready to run."


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def as_dict(findings: Sequence[Finding]) -> Stored:
    """For machines: the verdict is that of the worst check."""
    return {
        "verdict": worst(findings).value,
        "checks": [
            {"check": e.check, "mark": e.mark.value, "found": e.found, "cure": e.cure}
            for e in findings
        ],
    }
