"""Why mail from the sender is or is not trusted: the closed list of findings, and who raises them.

`TABLE` is the list, in the order in which findings are shown; the topmost one present is the primary
finding. A row raises its finding at a severity, or not at all; what is said of it is `sentences`'
business. Pure: a `Case` (live configuration, approved one, answers of a pass) goes in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from bot.domain import sentences
from bot.domain.case import BITS_GOOD, BITS_MIN, Case
from bot.domain.dkim import Record
from bot.domain.sentences import Words
from bot.domain.verdict import Outage, RecordKind


class FindingId(StrEnum):
    """What can be found; nothing else is."""

    API_INVALID = "API_INVALID"
    DNS_BROKEN = "DNS_BROKEN"
    CNAME_BROKEN = "CNAME_BROKEN"
    DKIM_MULTIPLE = "DKIM_MULTIPLE"
    DKIM_REVOKED = "DKIM_REVOKED"
    DKIM_TRUNCATED = "DKIM_TRUNCATED"
    DKIM_MALFORMED = "DKIM_MALFORMED"
    DKIM_KEY_MISMATCH = "DKIM_KEY_MISMATCH"
    DKIM_TAG_CONFLICT = "DKIM_TAG_CONFLICT"
    DKIM_WRONG_NAME = "DKIM_WRONG_NAME"
    DKIM_MISSING = "DKIM_MISSING"
    DNS_UNKNOWN = "DNS_UNKNOWN"
    DNS_PROPAGATING = "DNS_PROPAGATING"
    VERIFY_PENDING = "VERIFY_PENDING"
    STATUS_STALE = "STATUS_STALE"
    DMARC_AT_RISK = "DMARC_AT_RISK"
    KEY_REISSUED = "KEY_REISSUED"
    CONFIG_DRIFT = "CONFIG_DRIFT"
    DKIM_TEST_MODE = "DKIM_TEST_MODE"
    KEY_WEAK = "KEY_WEAK"
    POLICY_WEAK = "POLICY_WEAK"


class Severity(StrEnum):
    """Critical and warning may alert; info is for whoever asks; unknown is no statement."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    INFO = "info"


class State(StrEnum):
    """The whole in one word. Drift and policy findings do not change it."""

    OK = "ok"
    BROKEN = "broken"
    PENDING = "pending"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Role(Enum):
    """What a finding is to those who tell of it."""

    RECORD = auto()
    """Zoho's record cures it, so that it is shown ready to publish."""
    CONSEQUENCE = auto()
    """It is said inside the finding that stands above it."""
    DRIFT = auto()
    """What is live was not approved: said before everything else."""
    WAITING = auto()
    """An alert says it though it is no trouble yet."""
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so: what it is, what to do, and what was seen; `heading` heads an alert."""

    id: FindingId
    severity: Severity
    role: Role
    heading: str
    sentence: str
    fix: str
    evidence: tuple[str, ...]


Raise = Callable[[Case], Severity | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One finding: when it is raised and how gravely, what is said, and what it is to who says it."""

    id: FindingId
    severity: Raise
    words: Callable[[Case], Words]
    role: Role


def critical(when: Callable[[Case], object]) -> Raise:
    return lambda case: Severity.CRITICAL if when(case) else None


def warning(when: Callable[[Case], object]) -> Raise:
    return lambda case: Severity.WARNING if when(case) else None


def info(when: Callable[[Case], object]) -> Raise:
    return lambda case: Severity.INFO if when(case) else None


def holds(kind: RecordKind) -> Callable[[Case], bool]:
    """DNS agrees that this is at the host."""
    return lambda case: case.kind is kind


def broken_by(*outages: Outage) -> Callable[[Case], bool]:
    return lambda case: case.verdict is not None and case.verdict.outage in outages


def _multiple(case: Case) -> Severity | None:
    if case.kind is not RecordKind.MULTIPLE:
        return None
    return Severity.WARNING if case.is_harmless_multiple else Severity.CRITICAL


def _unknown(case: Case) -> Severity | None:
    if case.unread or (case.is_judged and (case.verdict is None or case.verdict.is_unknown)):
        return Severity.UNKNOWN
    return None


def _propagating(case: Case) -> Severity | None:
    if case.verdict is None or not case.verdict.stale:
        return None
    is_late = case.history.disagreeing >= case.graces.propagation
    return Severity.WARNING if is_late else Severity.INFO


def _verify_pending(case: Case) -> Severity | None:
    is_right = case.verdict is not None and case.verdict.is_right_everywhere
    if not is_right or case.is_verified:
        return None
    is_late = case.history.waiting >= case.graces.pending
    return Severity.WARNING if is_late else Severity.INFO


def _at_risk(case: Case) -> bool:
    policy = case.posture.dmarc
    if policy is None or not policy.is_enforced:
        return False
    return case.is_broken or (policy.is_strict and not case.is_aligned_strictly)


def _is_short(case: Case) -> bool:
    return case.bits is not None and case.bits < BITS_MIN


def _is_weak(case: Case) -> bool:
    return case.bits is not None and BITS_MIN <= case.bits < BITS_GOOD


def _policy_weak(case: Case) -> bool:
    if case.verdict is None or case.verdict.outage or case.verdict.is_unknown:
        return False
    spf, policy = case.posture.spf_records, case.posture.dmarc
    return spf not in {None, 1} or (policy is not None and policy.records != 1)


def _misplaced(case: Case) -> bool:
    return case.found_at is not None


def _missing(case: Case) -> bool:
    return case.kind is RecordKind.MISSING and case.found_at is None


def _is_test(case: Case) -> bool:
    return case.record is not None and case.record.is_test


ID = FindingId
RECORD, CONSEQUENCE, DRIFT, WAITING, OTHER = Role
TABLE = (
    Row(ID.API_INVALID, critical(lambda case: case.api_problem), sentences.api_invalid, OTHER),
    Row(ID.DNS_BROKEN, critical(broken_by(*Outage)), sentences.dns_broken, OTHER),
    Row(ID.CNAME_BROKEN, critical(holds(RecordKind.BROKEN_ALIAS)), sentences.cname_broken, RECORD),
    Row(ID.DKIM_MULTIPLE, _multiple, sentences.multiple, RECORD),
    Row(ID.DKIM_REVOKED, critical(holds(RecordKind.REVOKED)), sentences.revoked, RECORD),
    Row(ID.DKIM_TRUNCATED, critical(holds(RecordKind.TRUNCATED)), sentences.truncated, RECORD),
    Row(ID.DKIM_MALFORMED, critical(holds(RecordKind.MALFORMED)), sentences.malformed, RECORD),
    Row(
        ID.DKIM_KEY_MISMATCH, critical(holds(RecordKind.OTHER_KEY)), sentences.key_mismatch, RECORD
    ),
    Row(
        ID.DKIM_TAG_CONFLICT,
        critical(holds(RecordKind.TAG_CONFLICT)),
        sentences.tag_conflict,
        RECORD,
    ),
    Row(ID.DKIM_WRONG_NAME, critical(_misplaced), sentences.wrong_name, RECORD),
    Row(ID.DKIM_MISSING, critical(_missing), sentences.missing, RECORD),
    Row(ID.DNS_UNKNOWN, _unknown, sentences.unknown, OTHER),
    Row(ID.DNS_PROPAGATING, _propagating, sentences.propagating, WAITING),
    Row(ID.VERIFY_PENDING, _verify_pending, sentences.verify_pending, WAITING),
    Row(ID.KEY_WEAK, critical(_is_short), sentences.key_weak, OTHER),
    Row(
        ID.STATUS_STALE,
        critical(lambda c: c.is_verified and c.is_broken),
        sentences.status_stale,
        CONSEQUENCE,
    ),
    Row(ID.DMARC_AT_RISK, critical(_at_risk), sentences.dmarc_at_risk, CONSEQUENCE),
    Row(ID.KEY_REISSUED, warning(lambda case: case.is_reissued), sentences.key_reissued, DRIFT),
    Row(ID.CONFIG_DRIFT, warning(lambda case: case.drifted), sentences.config_drift, DRIFT),
    Row(ID.DKIM_TEST_MODE, warning(_is_test), sentences.test_mode, RECORD),
    Row(ID.KEY_WEAK, info(_is_weak), sentences.key_weak, OTHER),
    Row(ID.POLICY_WEAK, info(_policy_weak), sentences.policy_weak, OTHER),
)
"""The findings in display order. KEY_WEAK stands twice: below 1024 bits it is graver, and higher up."""
ROLES: dict[str, Role] = {each: next(r.role for r in TABLE if r.id is each) for each in FindingId}
"""Made at import, so that an id without a row is noticed there."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings on one case, in display order; `record` is what Zoho wants to be published.

    `record` is None where there is nothing to publish: no sender, or unusable data of Zoho's.
    """

    case: Case
    state: State
    findings: tuple[Finding, ...]
    record: Record | None

    @property
    def primary(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    @property
    def ids(self) -> tuple[FindingId, ...]:
        return tuple(finding.id for finding in self.findings)

    def of(self, role: Role) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.role is role)


def _raised(row: Row, case: Case) -> Finding | None:
    severity = row.severity(case)
    if severity is None:
        return None
    words = row.words(case)
    said = (words.heading, words.sentence, words.fix, words.evidence)
    return Finding(row.id, severity, row.role, *said)


def diagnose(case: Case) -> Diagnosis:
    raised = (_raised(row, case) for row in TABLE)
    findings = tuple(finding for finding in raised if finding is not None)
    return Diagnosis(
        case, _state(case, {finding.id for finding in findings}), findings, _record(case)
    )


def _state(case: Case, ids: set[FindingId]) -> State:
    if case.is_broken or ID.API_INVALID in ids:
        return State.BROKEN
    if ID.DNS_UNKNOWN in ids:
        return State.UNKNOWN
    if case.live is None:
        return State.NOT_APPLICABLE
    return State.PENDING if ids & {ID.VERIFY_PENDING, ID.DNS_PROPAGATING} else State.OK


def _record(case: Case) -> Record | None:
    if case.live is None or not case.is_judged:
        return None
    apex = case.answers.apex if case.answers is not None else None
    return Record(str(case.host), case.live.dkim_value, apex)
