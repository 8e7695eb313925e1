"""One pass over DNS: what it costs, how it ends, how it finds servers, and what hostile zones do to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dns.name
import dns.rdata
import dns.rrset
import pytest
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT

from bot.adapters.dns.resolver import DnsResolver, Times
from bot.domain.case import Case, key_host
from bot.domain.dns_answers import Answers, Status
from bot.domain.findings import Diagnosis, State, diagnose
from bot.domain.mail_config import MailConfig
from bot.domain.posture import Dmarc, Posture, posture
from bot.domain.report import as_dict, as_text
from bot.sandbox.dns.zone import Zone
from tests.adapters.dkim_scene import OWN, RESOLVERS, Scene, sender
from tests.adapters.dns_far_end import FarServer, zone_of
from tests.fakes import FakeClock

TRY_SECONDS = 0.4
LIVE = sender({})
PUBLISHED = {
    LIVE.dkim_host: [LIVE.dkim_value],
    "acme.example": ["v=spf1 -all"],
    "_dmarc.acme.example": ["v=DMARC1; p=none"],
}


@dataclass(frozen=True)
class Net:
    """A zone's server, found through DNS, and two resolvers."""

    own: FarServer
    resolvers: Sequence[FarServer]
    clock: FakeClock
    resolver: DnsResolver

    @property
    def asked(self) -> int:
        return self.own.asked + sum(server.asked for server in self.resolvers)

    async def examine(self, live: MailConfig = LIVE) -> Answers:
        host = key_host(live)
        assert host is not None
        return await self.resolver.examine(host, live.dkim_value, live.domain)


@asynccontextmanager
async def discovering(*, bogus: bool = False, gone: bool = False) -> AsyncIterator[Net]:
    """Nobody names the zone's servers: `ns1` and `ns2.acme.example`, both at 127.0.0.1."""
    zone, registry = zone_of("acme.example", PUBLISHED, {}), Zone("example")
    fault = "bogus" if bogus else None
    known = [registry] if gone else [zone, registry]
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(FarServer([zone]).running())
        resolvers = [
            await stack.enter_async_context(FarServer(known, fault).running()) for _ in RESOLVERS
        ]
        clock = FakeClock()
        addresses = [server.address for server in resolvers]
        resolver = DnsResolver(
            addresses, [], clock, discovered_port=own.port, times=Times(TRY_SECONDS, 3)
        )
        yield Net(own, resolvers, clock, resolver)


async def test_a_pass_asks_at_most_twenty_questions_and_ten_once_the_servers_are_known():
    async with discovering() as net:
        first = await net.examine()
        cold = net.asked
        await net.examine()

        assert {reply.server for reply in first.authoritative} == {
            "ns1.acme.example",
            "ns2.acme.example",
        }
        assert first.name_servers == ("ns1.acme.example", "ns2.acme.example")
        assert cold <= 20
        assert net.asked - cold <= 10


async def test_found_servers_go_on_to_count_when_every_resolver_is_silent():
    async with discovering() as net:
        await net.examine()
        net.clock.advance(hours=2)
        for server in net.resolvers:
            server.fault = "refused"

        answers = await net.examine()

        assert [r.status for r in answers.authoritative] == [Status.ANSWERED] * 2
        assert [r.status for r in answers.resolvers] == [Status.REFUSED] * 2
        assert answers.spf is not None
        assert answers.spf.texts == ("v=spf1 -all",)


async def test_the_servers_of_a_zone_are_found_although_its_signatures_are_broken():
    async with discovering(bogus=True) as net:
        answers = await net.examine()

        assert [r.status for r in answers.authoritative] == [Status.ANSWERED] * 2
        found = diagnose(Case(live=LIVE, answers=answers))
        assert [str(i) for i in found.ids] == ["DNS_BROKEN", "STATUS_STALE"]


async def test_a_domain_that_its_registry_does_not_know_is_gone():
    async with discovering(gone=True) as net:
        answers = await net.examine()

        assert net.own.asked == 0
        found = diagnose(Case(live=LIVE, answers=answers))
        assert found.findings[0].sentence == (
            "Nobody can resolve acme.example: the domain does not exist any more."
        )


async def test_a_resolver_that_fell_silent_costs_its_tries_once():
    async with discovering() as net:
        net.resolvers[0].fault = "silent"

        answers = await net.examine()

        assert [r.status for r in answers.authoritative] == [Status.ANSWERED] * 2
        assert net.resolvers[0].asked == 4  # two tries for the zone, two for the record


async def test_a_survey_finds_the_servers_and_the_policies_of_a_domain_without_a_key():
    async with discovering() as net:
        answers = await net.resolver.survey("acme.example")

        assert answers.name_servers == ("ns1.acme.example", "ns2.acme.example")
        assert posture(answers) == Posture(1, Dmarc("acme.example", 1, "none"))
        assert answers.authoritative == ()


async def test_everything_silent_ends_with_the_one_deadline():
    silent = {name: {"fault": "silent"} for name in (*OWN, *RESOLVERS)}

    async with asyncio.timeout(5):
        found = await Scene(silent).play(try_seconds=60, pass_seconds=0.2)

    assert [str(i) for i in found.ids] == ["DNS_UNKNOWN"]
    assert (Times().try_seconds, Times().pass_seconds) == (1.0, 8.0)


async def test_a_server_that_trickles_its_answer_over_tcp_ends_with_the_deadline_too():
    cut = {name: {"fault": "cut"} for name in (*OWN, *RESOLVERS)}

    async with asyncio.timeout(5):
        found = await Scene(cut).play(try_seconds=60, pass_seconds=0.2)

    assert found.state is State.UNKNOWN


async def paste(bits: str, read_back: Callable[[str], Any]) -> tuple[Diagnosis, Diagnosis]:
    """The finding on an empty zone, and the one after its printed record was put in."""
    case: dict[str, Any] = {"api": {"key": f"{bits}/2"}, "zone": {"{host}": []}}
    before = await Scene(case).play(try_seconds=TRY_SECONDS)
    lines = [line[4:] for line in as_text(before).splitlines() if line.startswith("    ")]
    name, _full, one_piece, split = lines
    value = read_back(split if read_back is strings_of else one_piece)
    pasted = case | {"zone": {f"{name}.acme.example": [value]}}
    return before, await Scene(pasted).play(try_seconds=TRY_SECONDS)


def one_piece(line: str) -> str:
    return line


def strings_of(line: str) -> list[str]:
    """As a zone file's reader takes it."""
    rdata = dns.rdata.from_text(IN, RdataType.TXT, line)
    return [string.decode() for string in rdata.strings]


@pytest.mark.parametrize("form", [one_piece, strings_of])
@pytest.mark.parametrize("bits", ["1024", "2048"])
async def test_the_printed_record_pasted_into_the_zone_cures_it(
    bits: str, form: Callable[[str], Any]
):
    before, after = await paste(bits, form)

    assert [str(i) for i in before.ids][:2] == ["DKIM_MISSING", "STATUS_STALE"]
    assert after.state is State.OK
    assert [str(i) for i in after.ids] == (["KEY_WEAK"] if bits == "1024" else [])


def raw(*records: Sequence[bytes]) -> list[TXT]:
    return [TXT(IN, RdataType.TXT, strings) for strings in records]


def no_records() -> list[TXT]:
    return []


HOSTILE: dict[str, tuple[Callable[[], list[TXT]], dict[str, Any]]] = {
    "64 KiB in one record": (lambda: raw([b"x" * 255] * 254), {}),
    "200 records": (lambda: raw(*([f"record {n}".encode()] for n in range(200))), {}),
    "control characters": (lambda: raw([b"k=rsa; p=\x1b[31m\x00\x07\r\n\x7f"]), {}),
    "bytes that are no text": (lambda: raw([bytes(range(128, 256))]), {}),
    "many empty strings": (lambda: raw([b""] * 250), {}),
    "5000 tags": (lambda: raw([b"a%d=1;" % n for n in range(5000)]), {}),
    "a mention in the record": (lambda: raw([b"<!channel> <@U0ADMIN> `code` *bold*"]), {}),
    "a mention in a name": (no_records, {"aliases": {"{host}": "<!channel>.acme.example"}}),
    "an alias in a circle": (no_records, {"aliases": {"{host}": "{host}"}}),
    "endless aliases": (no_records, {n: {"fault": "endless"} for n in (*OWN, *RESOLVERS)}),
    "answers to other questions": (
        no_records,
        {n: {"fault": "other question"} for n in (*OWN, *RESOLVERS)},
    ),
    "a key of one enormous number": (lambda: raw([b"k=rsa; p=", *[b"A" * 255] * 250]), {}),
    "bidirectional text": (lambda: raw(["k=rsa; p=\u202eABC\u2066".encode()]), {}),
}


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_hostile_zone_ends_in_a_finding_that_is_fit_to_be_shown(hostile: str):
    records, case = HOSTILE[hostile]
    scene = Scene({"zone": {"{host}": [], "_dmarc.{from}": ["v=DMARC1; p=reject"]}} | case)
    host = dns.name.from_text(LIVE.dkim_host)
    for server in scene.servers.values():
        for zone in server.zones:
            if records() and zone.holds(host):
                zone._sets[host, RdataType.TXT] = dns.rrset.from_rdata_list(host, 60, records())

    found = await scene.play(try_seconds=1, pass_seconds=4)

    assert found.state in {State.BROKEN, State.UNKNOWN}
    text = as_text(found)
    assert all(character.isprintable() or character == "\n" for character in text)
    for finding in found.findings:
        assert len(finding.sentence) + len(finding.fix) < 1500
        assert all(len(line) < 700 for line in finding.evidence)
    json.dumps(as_dict(found)).encode("utf-8", "strict")


async def test_a_sender_with_an_endless_domain_is_answered():
    domain = ".".join(["a"] * 100)
    live = sender({"email_id": f"it@{domain}.example"})

    async with discovering() as net:
        found = diagnose(Case(live=live, answers=await net.examine(live)))

    assert found.primary is not None
    assert len(net.resolvers[0].questions) < 40


async def test_the_zone_is_looked_for_again_after_an_hour():
    async with discovering() as net:
        await net.examine()
        net.clock.advance(minutes=59)
        await net.examine()
        soa = "SOA _domainkey.acme.example"
        within = sum(server.questions[soa] for server in net.resolvers)
        net.clock.advance(minutes=1)
        await net.examine()

        assert within == 1
        assert sum(server.questions[soa] for server in net.resolvers) == 2
