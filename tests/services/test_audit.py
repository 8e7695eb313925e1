"""The audit holds, and whoever changes one row of it is found out."""

import csv
import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from bot.adapters.store import schema
from bot.domain.audit import AuditEntry, AuditHead, noted_head
from bot.domain.change import Seal
from bot.errors import InputError, Tampered
from bot.services.audit import DailyHead, export, verify
from tests.office import ALICE, BOB, ORG, RENAME, SEAL, Office

AUDIT, REQUEST, DECISION = schema.audit, schema.request, schema.decision


async def test_an_untouched_audit_holds(office: Office):
    await office.applied()

    found = await verify(office.store, ORG, SEAL)

    assert (found.problem, found.entries, found.requests) == ("", 7, 1)
    assert found.head == (await office.audit())[-1].hash


async def test_an_audit_with_a_rejected_request_holds(office: Office):
    request = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, request)

    assert await problem(office) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "nobody"},
        {"kind": "rejected"},
        {"at": 0},
        {"request_id": None},
        {"body": '{"digest":"0"}'},
        {"body": "no json"},
        {"hash": "0" * 64},
    ],
)
async def test_a_changed_entry_is_named(office: Office, change: dict[str, object]):
    await office.applied()
    await office.tamper(update(AUDIT).where(AUDIT.c.seq == 3).values(change))
    assert await problem(office) == "Entry 3 of the audit was changed after it was written."


async def test_a_missing_entry_is_named(office: Office):
    await office.applied()
    await office.tamper(delete(AUDIT).where(AUDIT.c.seq == 3))
    assert await problem(office) == "Entry 3 is missing: after entry 2 comes 4."


async def test_a_replaced_entry_is_named(office: Office):
    await office.applied()
    await office.tamper(update(AUDIT).where(AUDIT.c.seq == 3).values(prev="0" * 64))
    assert await problem(office) == "Entry 3 does not follow entry 2: that one was replaced."


@pytest.mark.parametrize(
    "forgery",
    [
        update(REQUEST).values(reason="because"),
        update(REQUEST).values(quorum=1),
        update(DECISION).values(at=0),
        update(DECISION).values(mac="0" * 64),
        update(DECISION).values(verdict="reject"),
    ],
)
async def test_a_changed_request_or_vote_is_noticed(office: Office, forgery: object):
    await office.applied()
    await office.tamper(forgery)
    assert (await problem(office)).startswith("Request #1 or one of its votes was changed after")


async def test_a_key_that_is_no_longer_listed_is_named_as_the_cause(office: Office):
    await office.applied()
    found = await verify(office.store, ORG, Seal((b"another key",)))
    assert found.problem.endswith("MAILCFG_SECRET_KEY no longer lists the key that sealed it.")


async def test_lines_of_json_have_everything_that_is_sealed(office: Office):
    await office.applied()
    out = io.StringIO()

    count = await export(office.store.audit(ORG), out, "jsonl")

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert count == len(lines) == 7
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert lines[0]["kind"] == "proposed"


async def test_a_spreadsheet_gets_no_formula(office: Office):
    async with office.store.begin(office.org) as tx:
        await tx.record(AuditEntry(ORG, office.clock.now(), "=HYPERLINK(evil)", "refused"))
    out = io.StringIO()

    await export(office.store.audit(ORG), out, "csv")

    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert rows[0]["actor"] == "'=HYPERLINK(evil)"


async def test_an_export_can_begin_later(office: Office):
    await office.applied()
    office.clock.advance(hours=1)
    later = office.clock.now()
    await office.changes.propose(ALICE, RENAME)
    out = io.StringIO()

    assert await export(office.store.audit(ORG), out, "jsonl", later) == 1
    assert await export(office.store.audit(ORG), out, "jsonl", later + timedelta(days=1)) == 0


async def test_the_head_is_given_once_a_day_whoever_asks(office: Office):
    await office.applied()
    one, other = (DailyHead(office.organisation, office.store, office.clock) for _ in range(2))
    last = (await office.audit())[-1]

    assert [await one.due(), await one.due(), await other.due()] == [
        AuditHead(last.seq, last.hash),
        None,
        None,
    ]
    office.clock.advance(days=1)
    assert await other.due() == AuditHead(last.seq, last.hash)
    assert await one.due() is None


@pytest.mark.parametrize(
    "typed", ["", "7", "7:", "7:3f2a", "x:3f2a9c0d1e5b8a47", "0:3f2a9c0d1e5b8a47"]
)
def test_what_is_no_head_is_refused_with_an_example(typed: str):
    with pytest.raises(InputError) as caught:
        noted_head(typed)
    assert str(caught.value) == (
        f"`{typed}` is no head of an audit. Write it as it was noted, like 7:3f2a9c0d1e5b8a47."
    )


async def problem(office: Office) -> str:
    """What verification says, in either of its two ways."""
    try:
        return (await verify(office.store, ORG, SEAL)).problem
    except Tampered as error:
        return str(error)
