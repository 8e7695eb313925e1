"""Whether the sender was changed outside approval has one answer, wherever somebody looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import Accept
from bot.domain.incident import Kind
from bot.domain.mail_config import MailConfig, differences
from bot.errors import NoChange, Refusal
from tests.fakes import config, dkim_value
from tests.office import ALICE, ERIN, Office

SCOTT = config()
KEY = SCOTT.dkim_value.partition("p=")[2]
IDN = config("scott@xn--mnchen-3ya.example")
CHANGED, NOTHING, DAMAGED = "changed outside", "nothing", "damaged"

PAIRS = {
    "nothing moved": (SCOTT, SCOTT, NOTHING),
    "the host has a final dot": (SCOTT, replace(SCOTT, dkim_host=f"{SCOTT.dkim_host}."), NOTHING),
    "the host in capitals": (SCOTT, replace(SCOTT, dkim_host=SCOTT.dkim_host.upper()), NOTHING),
    "the domain in capitals": (SCOTT, replace(SCOTT, email_id="scott@ACME.example"), NOTHING),
    "the domain with a final dot": (SCOTT, replace(SCOTT, email_id="scott@acme.example."), NOTHING),
    "the domain in letters": (IDN, replace(IDN, email_id="scott@münchen.example"), NOTHING),
    "the tags in another order": (SCOTT, replace(SCOTT, dkim_value=f"p={KEY}; k=rsa"), NOTHING),
    "no spaces between the tags": (SCOTT, replace(SCOTT, dkim_value=f"k=rsa;p={KEY}"), NOTHING),
    "spaces in the key": (
        SCOTT,
        replace(SCOTT, dkim_value=f"k=rsa; p={KEY[:40]} {KEY[40:]}"),
        NOTHING,
    ),
    "an accent put together": (
        replace(SCOTT, name="René"),
        replace(SCOTT, name="Rene\u0301 "),
        NOTHING,
    ),
    "the DKIM status moved": (SCOTT, replace(SCOTT, dkim_status="not_verified"), NOTHING),
    "the CNAME status moved": (SCOTT, replace(SCOTT, cname_status="not_verified"), NOTHING),
    "no key at all": (SCOTT, replace(SCOTT, dkim_value=""), DAMAGED),
    "a key cut off": (SCOTT, replace(SCOTT, dkim_value=SCOTT.dkim_value[:80]), DAMAGED),
    "an empty host": (SCOTT, replace(SCOTT, dkim_host=""), DAMAGED),
    "another name": (SCOTT, replace(SCOTT, name="Intruder"), CHANGED),
    "no name any more": (SCOTT, replace(SCOTT, name=""), CHANGED),
    "another address": (SCOTT, replace(SCOTT, email_id="evil@acme.example"), CHANGED),
    "the address in another case": (SCOTT, replace(SCOTT, email_id="Scott@acme.example"), CHANGED),
    "another key": (SCOTT, replace(SCOTT, dkim_value=dkim_value(1024, 3)), CHANGED),
    "another selector": (SCOTT, config(selector="1800000000000"), CHANGED),
    "the sender removed": (SCOTT, None, CHANGED),
    "another name and a damaged key": (
        SCOTT,
        replace(SCOTT, name="Intruder", dkim_value="p="),
        CHANGED,
    ),
}


@pytest.mark.parametrize(("approved", "live", "answer"), PAIRS.values(), ids=PAIRS.keys())
async def test_every_place_gives_the_same_answer(
    office: Office, approved: MailConfig, live: MailConfig | None, answer: str
):
    office.cliq.live = approved
    await office.applied(Accept("as found"))
    await office.watch.tick()
    office.cliq.live = live

    is_changed = answer == CHANGED
    assert (await office.look.show(ERIN)).is_drifted is is_changed
    has_record = live is not None and not is_damaged(live)
    assert await says_do_not_publish(office) is (is_changed if has_record else None)
    await office.passes()
    checked = await office.check.check(ERIN)
    assert (not checked.diagnosis.case.is_approved) is is_changed
    assert ("API_INVALID" in checked.diagnosis.ids) is (live is not None and is_damaged(live))
    alert, watch = await office.incident(Kind.ALERT), await office.incident(Kind.WATCH)
    assert (alert is not None and alert.facts["is_outside"]) is is_changed
    assert watch is not None
    assert watch.facts["is_drifted"] is is_changed
    assert await can_be_restored(office) is is_asked_for(approved, live)
    assert await has_something_to_accept(office) is (is_changed or moved_cname(approved, live))


async def test_damage_on_top_of_a_change_is_neither_told_anew_nor_accepted(office: Office):
    await office.applied(Accept("as found"))
    for value in (SCOTT.dkim_value, "", SCOTT.dkim_value, "p="):
        office.cliq.live = replace(SCOTT, name="Acme", dkim_value=value)
        await office.passes()
    await office.applied(Accept("meant so"))
    office.cliq.live = replace(SCOTT, name="Acme")

    assert not (await office.look.show(ERIN)).is_drifted
    assert [row.body.count('"outside"') for row in await office.audit()].count(1) == 1


def is_damaged(live: MailConfig) -> bool:
    return live.dkim_bits is None or not live.dkim_host


def moved_cname(approved: MailConfig, live: MailConfig | None) -> bool:
    """It is told by itself, and whoever approves it takes it as the new baseline."""
    return live is not None and "cname_status" in moved(approved, live)


async def says_do_not_publish(office: Office) -> bool | None:
    """None where there is no record to publish."""
    try:
        return not (await office.look.record(ERIN)).is_approved
    except Refusal:
        return None


def is_asked_for(approved: MailConfig, live: MailConfig | None) -> bool:
    """Whether what moved is what people can ask for, and so ask to set back."""
    return live is None or bool({"email_id", "name", "cname_status"} & moved(approved, live))


def moved(approved: MailConfig, live: MailConfig) -> set[str]:
    return {change.field for change in differences(approved, live)}


async def can_be_restored(office: Office) -> bool:
    """By the same plan that undo makes."""
    try:
        request = await office.changes.propose_restore(ALICE, "not meant")
    except NoChange:
        return False
    await office.changes.withdraw(ALICE, request.id)
    return True


async def has_something_to_accept(office: Office) -> bool:
    try:
        await office.changes.propose(ALICE, Accept("meant so"))
    except NoChange:
        return False
    return True
