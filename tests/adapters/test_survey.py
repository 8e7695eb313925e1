"""A survey of a domain over real DNS on loopback: its servers and policies, within its own time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bot.adapters.dns.resolver import DnsResolver, Times
from bot.domain.dns_answers import Answers
from bot.domain.posture import Dmarc, posture
from tests.adapters.dkim_scene import OWN, RESOLVERS, Scene
from tests.fakes import FakeClock

SECONDS = 0.6
DOMAIN = "acme.example"


async def survey(case: dict[str, Any], domain: str = DOMAIN, seconds: float = SECONDS) -> Answers:
    scene = Scene(case)
    async with AsyncExitStack() as stack:
        for server in scene.servers.values():
            await stack.enter_async_context(server.running())
        resolver = DnsResolver(
            [scene.servers[name].address for name in RESOLVERS],
            [scene.servers[name].address for name in OWN],
            FakeClock(),
            times=Times(survey_seconds=seconds),
        )
        return await resolver.survey(domain)


async def test_a_domain_has_a_zone_name_servers_and_policies():
    case = {"zone": {"_dmarc.{from}": ["v=DMARC1; p=reject"]}}

    found = await survey(case)

    assert (found.apex, found.name_servers) == (DOMAIN, ("ns1.acme.example", "ns2.acme.example"))
    assert posture(found).spf_records == 1
    assert posture(found).dmarc == Dmarc(DOMAIN, 1, "reject")


async def test_a_subdomain_has_the_zone_and_the_policy_of_its_parent():
    case = {"zone": {"_dmarc.acme.example": ["v=DMARC1; p=reject; sp=quarantine"]}}

    found = await survey(case, "mail.acme.example")

    assert found.apex == DOMAIN
    assert posture(found).dmarc == Dmarc(DOMAIN, 1, "quarantine")


@pytest.mark.parametrize("silent", [("ns1",), ("ns2",), ("ns1", "ns2"), ("r1",), ("ns1", "r2")])
async def test_some_silent_servers_leave_nothing_unknown(silent: tuple[str, ...]):
    case = {name: {"fault": "silent"} for name in silent}

    found = await survey(case, seconds=2 * SECONDS)

    assert posture(found).spf_records == 1
    assert posture(found).dmarc == Dmarc(DOMAIN, 1)


async def test_the_zones_own_servers_count_where_a_resolver_has_old_data():
    old = {"zone": {"_dmarc.{from}": ["v=DMARC1; p=none"], "{from}": []}}
    case = {"zone": {"_dmarc.{from}": ["v=DMARC1; p=reject"]}, "r1": old, "r2": old}

    found = posture(await survey(case))

    assert (found.spf_records, found.dmarc) == (1, Dmarc(DOMAIN, 1, "reject"))


@pytest.mark.parametrize("fault", ["silent", "servfail", "refused", "garbage"])
async def test_where_nobody_answers_all_is_unknown_and_it_ends(fault: str):
    case = {name: {"fault": fault} for name in (*OWN, *RESOLVERS)}

    async with asyncio.timeout(10 * SECONDS):
        found = await survey(case)

    assert (found.apex, found.name_servers) == (None, ())
    assert (posture(found).spf_records, posture(found).dmarc) == (None, None)


@pytest.mark.parametrize("domain", ["nobody.invalid", "x" * 64 + ".example", "a..b", "example", ""])
async def test_a_domain_that_is_nowhere_is_no_exception(domain: str):
    found = await survey({}, domain)

    assert found.name_servers == ()
