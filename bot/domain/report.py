"""A diagnosis for people and for programs: plain text, and a dictionary for JSON.

What was changed outside approval is said first. The record to publish is given in the three forms
that panels want, and below "Do not publish until accepted" while nobody approved its key.
"""

from __future__ import annotations

from typing import Any

from bot.domain.case import Case, plain
from bot.domain.dkim import Record
from bot.domain.findings import Diagnosis, Finding, FindingId, State
from bot.domain.sentences import holders

ID = FindingId
TTL = 3600
RECORD_HELPS = frozenset(
    {
        ID.CNAME_BROKEN,
        ID.DKIM_MULTIPLE,
        ID.DKIM_REVOKED,
        ID.DKIM_TRUNCATED,
        ID.DKIM_MALFORMED,
        ID.DKIM_KEY_MISMATCH,
        ID.DKIM_TAG_CONFLICT,
        ID.DKIM_WRONG_NAME,
        ID.DKIM_MISSING,
        ID.DKIM_TEST_MODE,
    }
)
"""Findings that a record of Zoho's own cures."""
CONSEQUENCES = (ID.STATUS_STALE, ID.DMARC_AT_RISK)
"""What is said inside the finding that stands above them."""
DRIFT = (ID.KEY_REISSUED, ID.CONFIG_DRIFT)


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """The whole as JSON values, findings in display order."""
    return {
        "state": str(diagnosis.state),
        "primary": str(diagnosis.primary.id) if diagnosis.primary else None,
        "findings": [
            {
                "id": str(finding.id),
                "severity": str(finding.severity),
                "sentence": finding.sentence,
                "fix": finding.fix,
                "evidence": list(finding.evidence),
            }
            for finding in diagnosis.findings
        ],
        "record": None if diagnosis.record is None else _record_dict(diagnosis.record),
    }


def _record_dict(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "relative_name": record.relative_name,
        "value": record.value,
        "split": record.split,
    }


def as_text(diagnosis: Diagnosis) -> str:
    """The whole for a terminal or a mail; paragraphs are divided by empty lines."""
    parts = [*_outside(diagnosis), headline(diagnosis), *map(_paragraph, groups(diagnosis))]
    if diagnosis.record is not None and diagnosis.has(*RECORD_HELPS):
        parts.append(record_text(diagnosis.record, is_approved=diagnosis.case.is_approved))
    if diagnosis.case.answers is not None:
        parts.append(f"Checked at {diagnosis.case.answers.at:%Y-%m-%d %H:%M} UTC.")
    return "\n\n".join(parts)


def headline(diagnosis: Diagnosis) -> str:
    """The state in one sentence."""
    case = diagnosis.case
    if diagnosis.state is State.UNKNOWN and case.live is None:
        return "DKIM could not be checked."
    if case.live is None:
        return "No custom sender is set: Cliq's system sender is in use, and there is nothing to check."
    of = f"DKIM of {plain(case.live.email_id)}"
    return {
        State.OK: f"{of} is in order{_holders(case)}.",
        State.BROKEN: f"{of} is broken.",
        State.PENDING: f"{of} is pending.",
        State.UNKNOWN: f"{of} could not be checked.",
        State.NOT_APPLICABLE: f"{of} does not apply.",
    }[diagnosis.state]


def _holders(case: Case) -> str:
    """ ": both authoritative servers and both resolvers hold Zoho's key", where they all do."""
    said = holders(case)
    return f": {said} hold Zoho's key" if said else ""


def _outside(diagnosis: Diagnosis) -> list[str]:
    found = [finding for finding in diagnosis.findings if finding.id in DRIFT]
    if not found:
        return []
    said = [line for finding in found for line in (finding.sentence, *_indented(finding.evidence))]
    return ["\n".join(["Changed outside approval", *said, f"To do: {found[0].fix}"])]


def groups(diagnosis: Diagnosis) -> list[list[Finding]]:
    """The findings beside drift, consequences together with what they follow from."""
    grouped: list[list[Finding]] = []
    for finding in diagnosis.findings:
        if finding.id in DRIFT:
            continue
        if finding.id in CONSEQUENCES and grouped:
            grouped[0].append(finding)
        else:
            grouped.append([finding])
    return grouped


def _paragraph(group: list[Finding]) -> str:
    first = group[0]
    lines = [f"{', '.join(finding.id for finding in group)} ({first.severity})"]
    lines.append(" ".join(finding.sentence for finding in group))
    if first.fix:
        lines.append(f"To do: {first.fix}")
    return "\n".join([*lines, *_indented(first.evidence)])


def _indented(lines: tuple[str, ...]) -> list[str]:
    return [f"  {line}" for line in lines]


def explanation(diagnosis: Diagnosis) -> str:
    """The primary finding with its consequences, and what to do about it; "" if there is none."""
    group = next(iter(groups(diagnosis)), [])
    fix = [group[0].fix] if group and group[0].fix else []
    return " ".join([*(finding.sentence for finding in group), *fix])


def record_text(record: Record, *, is_approved: bool) -> str:
    """The record to publish, in three forms, each alone on its lines for copying."""
    return "\n".join(
        [
            "The record to publish" if is_approved else "Do not publish until accepted",
            f"Type TXT, TTL {TTL}. {name_note(record)}",
            f"    {record.relative_name or record.name}",
            "Value in one piece, for panels that split by themselves:",
            f"    {record.value}",
            "Value in split form, for panels and zone files that do not split; the quotation marks "
            "belong to the notation, not to the value:",
            f"    {record.split}",
        ]
    )


def name_note(record: Record) -> str:
    """How to enter the name: most panels append the zone, zone files want a final dot."""
    if record.relative_name is None:
        return "Name in full; the panel may append the zone by itself, then leave the zone out:"
    return (
        f"Name relative to the zone {record.zone}; if your panel wants full names: {record.name} "
        f"({record.name}. in a zone file):"
    )
