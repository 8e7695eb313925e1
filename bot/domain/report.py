"""A diagnosis for people and for programs: plain text, and a dictionary for JSON.

What was changed outside approval is said first. The record to publish is given in the three forms
that panels want, and below "Do not publish until accepted" while nobody approved its key.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.case import Case, plain
from bot.domain.dkim import Record
from bot.domain.findings import Diagnosis, Finding, Role, State
from bot.domain.sentences import OUTSIDE, UNKNOWN, holders
from bot.domain.stored import Stored

TTL = 3600
NOT_YET = "Do not publish until accepted"


def as_dict(diagnosis: Diagnosis) -> Stored:
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


def _record_dict(record: Record) -> Stored:
    return {
        "name": record.name,
        "relative_name": record.relative_name,
        "value": record.value,
        "split": record.split,
    }


def as_text(diagnosis: Diagnosis) -> str:
    """The whole for a terminal or a mail; paragraphs are divided by empty lines."""
    parts = [*_outside(diagnosis), headline(diagnosis), *map(_paragraph, groups(diagnosis))]
    record = record_to_publish(diagnosis)
    if record is not None:
        parts.append(record_text(record, is_approved=diagnosis.case.is_approved))
    if diagnosis.case.answers is not None:
        parts.append(f"Checked at {diagnosis.case.answers.at:%Y-%m-%d %H:%M} UTC.")
    return "\n\n".join(parts)


def headline(diagnosis: Diagnosis) -> str:
    """The state in one sentence."""
    case = diagnosis.case
    if diagnosis.state is State.UNKNOWN and case.live is None:
        return f"{UNKNOWN}."
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
    found = diagnosis.of(Role.DRIFT)
    if not found:
        return []
    said = [line for finding in found for line in (finding.sentence, *_indented(finding.evidence))]
    return ["\n".join([OUTSIDE, *said, f"To do: {found[0].fix}"])]


def groups(diagnosis: Diagnosis) -> list[list[Finding]]:
    """The findings that are not said already, consequences together with what they follow from."""
    grouped: list[list[Finding]] = []
    for finding in diagnosis.findings:
        if finding.role is Role.DRIFT:
            continue
        if finding.role is Role.CONSEQUENCE and grouped:
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


def record_to_publish(diagnosis: Diagnosis) -> Record | None:
    """The record of Zoho's, where publishing it is what helps."""
    return diagnosis.record if diagnosis.of(Role.RECORD) else None


@dataclass(frozen=True, slots=True)
class Form:
    """One thing to copy into a panel: what it is, for whom, and the text itself."""

    what: str
    note: str
    text: str


def record_forms(record: Record) -> tuple[Form, ...]:
    """The name as panels want it, and the value whole and in strings.

    Most panels append the zone to the name; zone files want the full one, with a final dot.
    """
    return (*_names(record), *_values(record))


def _names(record: Record) -> tuple[Form, ...]:
    note = f"type TXT, TTL {TTL}"
    if record.relative_name is None:
        note = f"{note}; if your panel appends the zone by itself, leave the zone out"
        return (Form("Name in full", note, record.name),)
    full = "if your panel wants it; a zone file wants a dot after it"
    return (
        Form(
            "Name",
            f"relative to the zone {plain(record.zone or '')}, {note}",
            record.relative_name,
        ),
        Form("Full name", full, record.name),
    )


def _values(record: Record) -> tuple[Form, ...]:
    return (
        Form("Value in one piece", "for panels that split by themselves", record.value),
        Form(
            "Value in split form",
            "for panels and zone files that do not split; the quotation marks belong to the "
            "notation, not to the value",
            record.split,
        ),
    )


def record_text(record: Record, *, is_approved: bool) -> str:
    """The record to publish in every form, each alone on its line for copying."""
    lines = ["The record to publish" if is_approved else NOT_YET]
    for form in record_forms(record):
        lines += [f"{form.what}, {form.note}:", f"    {form.text}"]
    return "\n".join(lines)
