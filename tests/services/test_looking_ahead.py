"""What is looked up when a change that makes a new key is proposed, and kept with it."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import update

from bot.adapters.store import schema
from bot.domain.change import State
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import Patch
from bot.domain.preflight import Preflight
from bot.domain.sender_plans import SetPlan
from bot.errors import AlreadyOpen
from tests.office import ALICE, BOB, RENAME, Office

OTHER_DOMAIN = Set(Patch(email_id="it@mail.acme.example"), "a domain of its own")
LARGER = Set(Patch(dkim_key_size=2048), "1024 bits are few")


def preflight(plan: object) -> Preflight | None:
    assert isinstance(plan, SetPlan)
    return plan.preflight


@pytest.mark.parametrize(
    ("wish", "domain"), [(OTHER_DOMAIN, "mail.acme.example"), (LARGER, "acme.example")]
)
async def test_a_change_that_makes_a_key_says_what_dns_says_of_its_domain(
    office: Office, wish: Set, domain: str
):
    office.dns.publish(domain, "v=spf1 -all")
    office.dns.publish(f"_dmarc.{domain}", "v=DMARC1; p=reject")

    request = await office.changes.propose(ALICE, wish)

    assert office.dns.surveyed == [domain]
    found = preflight((await office.now(request)).plan)
    assert found is not None
    assert found.said().startswith(
        f"After this, DKIM for {domain} cannot pass until a new TXT record is published at "
        "ns1.acme.example. Its DMARC policy is p=reject: receivers may reject mail meanwhile."
    )


@pytest.mark.parametrize(
    "wish",
    [
        RENAME,
        Set(Patch(email_id="it@acme.example"), "same domain"),
        Set(Patch(name="IT", dkim_key_size=1024), "the size that it has"),
        Reset("away with it"),
        Accept("as found"),
    ],
    ids=["name", "address in the same domain", "same size", "reset", "accept"],
)
async def test_a_change_that_makes_no_key_asks_dns_nothing(office: Office, wish: Set):
    request = await office.changes.propose(ALICE, wish)

    assert office.dns.surveyed == []
    assert "preflight" not in (request.plan.target_json() or {})


async def test_a_look_up_that_fails_does_not_keep_a_change_from_being_proposed(office: Office):
    office.dns.problem = "time-out"

    request = await office.changes.propose(ALICE, OTHER_DOMAIN)

    found = preflight(request.plan)
    assert found == Preflight("mail.acme.example", (), None, None)


async def test_dns_that_never_answers_does_not_keep_a_form_from_being_answered(office: Office):
    _, sealed = await office.changes.sealed_base(ALICE)
    office.dns.is_stuck = True

    async with asyncio.timeout(5):
        request = await office.changes.propose_over(ALICE, OTHER_DOMAIN, sealed)

    assert preflight(request.plan) == Preflight("mail.acme.example", (), None, None)


async def test_what_was_shown_stays_though_dns_moves_on(office: Office):
    office.dns.publish("_dmarc.acme.example", "v=DMARC1; p=reject")
    request = await office.changes.propose(ALICE, LARGER)
    office.dns.publish("_dmarc.acme.example", "v=DMARC1; p=none")

    assert (await office.now(request)).plan == request.plan
    await office.approve(BOB, request)
    await office.applier.settle()
    done = await office.now(request)
    assert (done.state, done.plan) == (State.APPLIED, request.plan)


async def test_a_preflight_that_was_changed_by_hand_is_noticed_before_anything_is_written(
    office: Office,
):
    request = await office.changes.propose(ALICE, LARGER)
    request = await office.approve(BOB, request)
    target = request.plan.target_json()
    target["preflight"]["dmarc"]["policy"] = "none"
    target["preflight"]["dmarc"]["records"] = 1
    await office.tamper(update(schema.request).values(target_json=json.dumps(target)))

    await office.applier.settle()

    assert office.cliq.writes == []
    assert (await office.now(request)).state is not State.APPLIED


async def test_the_same_wish_is_the_same_request_though_dns_moved_between(office: Office):
    first = await office.changes.propose(ALICE, LARGER)
    office.dns.publish("_dmarc.acme.example", "v=DMARC1; p=reject")

    assert await office.changes.propose(ALICE, LARGER) == first
    with pytest.raises(AlreadyOpen):
        await office.changes.propose(BOB, LARGER)


async def test_asking_again_looks_anew(office: Office):
    first = await office.changes.propose(ALICE, LARGER)
    await office.reject(BOB, first)
    office.dns.publish("_dmarc.acme.example", "v=DMARC1; p=reject")

    again = await office.changes.propose_again(ALICE, first.id)

    before, after = preflight(first.plan), preflight(again.plan)
    assert before is not None
    assert after is not None
    assert (before.dmarc and before.dmarc.records, after.dmarc and after.dmarc.policy) == (
        0,
        "reject",
    )
