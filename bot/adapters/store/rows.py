"""Values to rows and back: the one place that knows how a domain value is spelt in the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter
from sqlalchemy import RowMapping

from bot.domain import messages
from bot.domain.alert import AlertState
from bot.domain.audit import AuditEntry, AuditRow
from bot.domain.change import (
    DIGEST_VERSIONS,
    SCHEMA_VERSION,
    Attempt,
    ChangeRequest,
    Decision,
    State,
    VoteKind,
)
from bot.domain.incident import (
    AlertBody,
    ChecklistBody,
    Incident,
    Living,
    LivingKind,
    ReplacedAlert,
    Says,
    WatchLine,
)
from bot.domain.last_pass import LastPass
from bot.domain.mail_config import MailConfig
from bot.domain.messages import Body, Message, MessageKind, Recipient
from bot.domain.plan import Operations, Value
from bot.domain.policy import Actor, Policy
from bot.domain.stored import canonical, from_milliseconds, from_stamp, milliseconds, stamp
from bot.errors import Tampered
from bot.ports import Backlog, Card, Waiting, WatchState

Kept = TypeVar("Kept")
BODIES: dict[MessageKind, Any] = {body.kind: body for body in get_args(Body)}
"""What each kind of message says."""


def _value_json(value: Value | None) -> str:
    return canonical(value and value.as_dict())


def request_row(request: ChangeRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "org": request.org,
        "no": request.number,
        "op": request.plan.operation,
        "base_json": _value_json(request.plan.base),
        "target_json": canonical(request.plan.target_json()),
        "policy_json": canonical(request.policy.as_dict()),
        "quorum": request.quorum,
        "digest": request.digest,
        "digest_version": request.digest_version,
        "schema_version": SCHEMA_VERSION,
        "intent_key": request.intent(),
        "requester_json": canonical(request.requester.as_dict()),
        "requester_evidence_json": canonical(request.requester_evidence),
        "reason": request.reason,
        "created_at": stamp(request.created_at),
        "expires_at": stamp(request.expires_at),
    } | moving_row(request)


def moving_row(request: ChangeRequest) -> dict[str, Any]:
    """The columns that a move may change; all others are written once."""
    return {
        "state": request.state.value,
        "rev": request.rev,
        "lease_until": stamp(request.lease_until),
        "not_before": stamp(request.not_before),
        "approved_at": stamp(request.approved_at),
        "apply_by": stamp(request.apply_by),
        "uncertain_since": stamp(request.uncertain_since),
        "step": request.step,
        "sent": request.sent,
        "waits_for": request.waits_for,
        "effect": request.effect,
        "end_reason": request.end_reason,
        "is_withdrawn": request.is_withdrawn,
        "observed_json": _value_json(request.observed),
        "was_read": request.was_read,
        "ended_at": stamp(request.ended_at),
    }


def request_from(
    row: RowMapping, decisions: Sequence[RowMapping], operations: Operations
) -> ChangeRequest:
    """Raises Tampered if the row makes no sense, or is of a version that is unknown here."""
    is_known = row["digest_version"] in DIGEST_VERSIONS and row["schema_version"] == SCHEMA_VERSION
    if not is_known:
        raise Tampered(
            f"Request #{row['no']} was stored by a version of mailcfg unknown to this one.",
            row["no"],
        )
    try:
        return _request_from(row, decisions, operations)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise Tampered(
            f"Request #{row['no']} cannot be read: its row in the database is damaged.", row["no"]
        ) from error


def _request_from(
    row: RowMapping, decisions: Sequence[RowMapping], operations: Operations
) -> ChangeRequest:
    operation = operations[row["op"]]
    base, target = operation.value(json.loads(row["base_json"])), json.loads(row["target_json"])
    return ChangeRequest(
        id=row["id"],
        org=row["org"],
        number=row["no"],
        plan=operation.plan(base, target, row["digest_version"]),
        policy=Policy.from_dict(json.loads(row["policy_json"])),
        quorum=row["quorum"],
        requester=Actor(**json.loads(row["requester_json"])),
        requester_evidence=json.loads(row["requester_evidence_json"]),
        reason=row["reason"],
        created_at=from_milliseconds(row["created_at"]),
        expires_at=from_milliseconds(row["expires_at"]),
        digest=row["digest"],
        digest_version=row["digest_version"],
        state=State(row["state"]),
        rev=row["rev"],
        decisions=tuple(decision_from(vote) for vote in decisions),
        lease_until=from_stamp(row["lease_until"]),
        not_before=from_stamp(row["not_before"]),
        approved_at=from_stamp(row["approved_at"]),
        apply_by=from_stamp(row["apply_by"]),
        uncertain_since=from_stamp(row["uncertain_since"]),
        step=row["step"],
        sent=row["sent"],
        waits_for=row["waits_for"],
        effect=row["effect"],
        end_reason=row["end_reason"],
        is_withdrawn=row["is_withdrawn"],
        observed=operation.value(json.loads(row["observed_json"])),
        was_read=row["was_read"],
        ended_at=from_stamp(row["ended_at"]),
    )


def decision_row(request_id: str, decision: Decision) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "principal": decision.voter.principal,
        "voter_json": canonical(decision.voter.as_dict()),
        "verdict": decision.kind.value,
        "reason": decision.reason,
        "evidence_json": canonical(decision.evidence),
        "at": stamp(decision.at),
        "mac": decision.mac,
    }


def decision_from(row: RowMapping) -> Decision:
    voter = Actor(**json.loads(row["voter_json"]))
    assert row["principal"] == voter.principal
    return Decision(
        voter=voter,
        kind=VoteKind(row["verdict"]),
        at=from_milliseconds(row["at"]),
        reason=row["reason"],
        evidence=json.loads(row["evidence_json"]),
        mac=row["mac"],
    )


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "request_id": attempt.request_id,
        "n": attempt.n,
        "method": attempt.method,
        "intent_at": stamp(attempt.intent_at),
        "outcome": attempt.outcome,
        "http_status": attempt.status,
        "api_code": attempt.code,
        "finished_at": stamp(attempt.finished_at),
        "step": attempt.step,
    }


def attempt_from(row: RowMapping) -> Attempt:
    return Attempt(
        request_id=row["request_id"],
        n=row["n"],
        method=row["method"],
        intent_at=from_milliseconds(row["intent_at"]),
        outcome=row["outcome"],
        status=row["http_status"],
        code=row["api_code"],
        finished_at=from_stamp(row["finished_at"]),
        step=row["step"],
    )


def incident_row(incident: Incident[Says]) -> dict[str, Any]:
    return {
        "id": incident.id,
        "org": incident.org,
        "kind": incident.body.kind.value,
        "key": incident.key,
        "facts_json": canonical(_facts_of(incident.body)),
        "opened_at": stamp(incident.opened_at),
        "resolved_at": stamp(incident.resolved_at),
        "rev": incident.rev,
    }


def incident_from(row: RowMapping) -> Incident[Any]:
    """Raises Tampered if the row makes no sense."""
    try:
        body = _living_from(LivingKind(row["kind"]), json.loads(row["facts_json"]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Tampered("A card of the watch cannot be read: its row is damaged.") from error
    return Incident(
        id=row["id"],
        org=row["org"],
        key=row["key"],
        opened_at=from_milliseconds(row["opened_at"]),
        body=body,
        resolved_at=from_stamp(row["resolved_at"]),
        rev=row["rev"],
    )


def _facts_of(body: Living) -> dict[str, Any]:
    """What is outside approval stands among the rest of an alert."""
    if isinstance(body, ReplacedAlert):
        return {"is_replaced": True}
    facts: dict[str, Any] = plain(body)
    if isinstance(body, AlertBody):
        outside = facts.pop("outside")
        facts |= {"is_outside": outside is not None} | (outside or {})
    return facts


def _living_from(kind: LivingKind, facts: dict[str, Any]) -> Living:
    match kind:
        case LivingKind.WATCH:
            return read(WatchLine, facts)
        case LivingKind.CHECKLIST:
            return read(ChecklistBody, facts)
        case LivingKind.ALERT if facts.get("is_replaced"):
            return ReplacedAlert()
        case LivingKind.ALERT:
            outside = facts if facts["is_outside"] else None
            return read(AlertBody, facts | {"outside": outside})


def card_row(org: str, card: Card, after: datetime | None) -> dict[str, Any]:
    return {
        "org": org,
        "subject": card.subject,
        "channel": card.channel,
        "ts": card.ts,
        "shown_rev": card.shown_rev,
        "after": stamp(after) or 0,
        "tries": card.tries,
        "mention_at": stamp(card.mention_at),
        "instead_of": card.instead_of,
    }


def card_from(row: RowMapping) -> Card:
    return Card(
        row["subject"],
        row["channel"],
        row["ts"],
        row["shown_rev"],
        row["tries"],
        from_stamp(row["mention_at"]),
        row["instead_of"],
    )


def message_row(org: str, message: Message, after: datetime | None = None) -> dict[str, Any]:
    return {
        "org": org,
        "key": message.key,
        "kind": message.kind.value,
        "subject": None if isinstance(message.to, messages.AlertChannel) else message.to.subject,
        "facts_json": canonical(plain(message.body)),
        "after": stamp(after) or 0,
        "tries": 0,
        "last_error": "",
    }


def waiting_from(row: RowMapping) -> Waiting:
    """What another version has stored may have a kind, or facts, that are unknown here."""
    try:
        message = _message_from(row)
    except ValueError:
        message = None
    return Waiting(row["key"], message, row["tries"], row["channel"] or "", row["ts"] or "")


def _message_from(row: RowMapping) -> Message:
    body: Body = read(BODIES[MessageKind(row["kind"])], json.loads(row["facts_json"]))
    return Message(row["key"], body, _recipient(body, row["subject"]))


def _recipient(body: Body, subject: str | None) -> Recipient:
    if subject is None:
        return messages.AlertChannel()
    is_private = isinstance(body, messages.Outcome | messages.FollowedPrivately)
    return messages.Requester(subject) if is_private else messages.Thread(subject)


def plain(value: Any) -> Any:
    """A value for JSON: a dataclass by its fields, a time in whole milliseconds since 1970."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return milliseconds(value) if isinstance(value, datetime) else value


def read(kind: type[Kept], values: Any) -> Kept:
    """The inverse of `plain`; fields of another version are ignored. Raises ValueError.

    A number in place of a time is milliseconds from 1970-08-20 on
    (docs.pydantic.dev/latest/api/standard_library_types/#datetimes).
    """
    found: Kept = _reader(kind).validate_python(values)  # type: ignore[arg-type]  # a type is hashable
    return found


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def watch_row(state: WatchState) -> dict[str, Any]:
    return reading_row(state.org, state.reading, state.read_at) | {
        "has_reading": state.has_reading,
        "last_error": state.last_error,
        "alert_json": canonical(plain(state.alert)),
        "told_json": canonical(list(state.told)),
        "pass_json": canonical(plain(state.last_pass)),
        "rev": state.rev,
    }


def reading_row(org: str, live: MailConfig | None, at: datetime | None) -> dict[str, Any]:
    return {
        "org": org,
        "has_reading": True,
        "reading_json": _value_json(live),
        "read_at": stamp(at),
    }


def watch_from(row: RowMapping) -> WatchState:
    return WatchState(
        org=row["org"],
        has_reading=row["has_reading"],
        reading=MailConfig.from_dict(json.loads(row["reading_json"])),
        read_at=from_stamp(row["read_at"]),
        last_error=row["last_error"],
        alert=read(AlertState, json.loads(row["alert_json"])),
        told=tuple(json.loads(row["told_json"])),
        last_pass=read(LastPass, json.loads(row["pass_json"])),
        rev=row["rev"],
    )


def audit_row(entry: AuditEntry, seq: int, previous: str, sealed: str) -> dict[str, Any]:
    return {
        "org": entry.org,
        "seq": seq,
        "at": stamp(entry.at),
        "actor": entry.actor,
        "kind": entry.kind,
        "request_id": entry.request_id,
        "body": canonical(entry.body),
        "prev": previous,
        "hash": sealed,
    }


def audit_from(row: RowMapping) -> AuditRow:
    """Raises Tampered if the row holds no entry that was ever written."""
    try:
        entry = AuditEntry(
            org=row["org"],
            at=from_milliseconds(row["at"]),
            actor=row["actor"],
            kind=row["kind"],
            request_id=row["request_id"],
            body=json.loads(row["body"]),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise Tampered(
            f"Entry {row['seq']} of the audit was changed after it was written."
        ) from error
    return AuditRow(entry, row["seq"], row["prev"], row["hash"])


def backlog_from(counted: Sequence[RowMapping]) -> Backlog:
    """From rows of what was counted, under which word, and how many."""
    found: dict[str, dict[str, int]] = {"request": {}, "message": {}, "card": {}}
    for row in counted:
        found[row["what"]][row["word"]] = row["n"]
    ((oldest, messages),) = found["message"].items()
    return Backlog(
        requests=found["request"],
        messages=messages,
        oldest_message=oldest,
        cards_due=found["card"][""],
    )
