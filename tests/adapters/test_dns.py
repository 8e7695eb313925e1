"""The resolver adapter against a real DNS server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import dns.message
import dns.rrset
import pytest

from bot.adapters.dns.resolver import DnsResolver, Times
from bot.domain.dkim import TxtAnswer
from bot.domain.dns_answers import Status
from bot.sandbox.clock import AdjustableClock
from tests.name_server import NameServer

HOST = "1522905413783._domainkey.acme.example"
TRY_SECONDS = 0.4
KEY = "k=rsa; p=" + "MIIBIjANBgkqhkiG9w0B" + "A" * 372


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    emulator = NameServer()
    await emulator.start()
    yield emulator
    await emulator.close()


@pytest.fixture
async def other_server() -> AsyncIterator[NameServer]:
    emulator = NameServer()
    await emulator.start()
    yield emulator
    await emulator.close()


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture
def resolver(server: NameServer, clock: AdjustableClock) -> DnsResolver:
    return DnsResolver([at(server)], [at(server)], clock, times=Times(TRY_SECONDS))


def at(server: NameServer) -> tuple[str, int]:
    return server.host, server.port


def discovering(server: NameServer, clock: AdjustableClock) -> DnsResolver:
    return DnsResolver(
        [at(server)], [], clock, discovered_port=server.port, times=Times(TRY_SECONDS)
    )


async def test_each_server_is_asked_and_its_split_strings_are_joined(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, KEY)

    answers = await resolver.txt(HOST)

    assert answers == (
        TxtAnswer(server.address, (KEY,), is_authoritative=True),
        TxtAnswer(server.address, (KEY,), is_authoritative=False),
    )
    assert sorted(query.recursion_desired for query in server.queries) == [False, True]


async def test_several_records_are_all_told_in_a_steady_order(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, "v=spf1 -all")
    server.publish(HOST, KEY, add=True)

    answers = await resolver.txt(HOST)

    assert [answer.values for answer in answers] == [(KEY, "v=spf1 -all")] * 2


@pytest.mark.parametrize("name", [HOST, "_domainkey.acme.example"])
async def test_a_missing_record_is_a_definite_answer(
    server: NameServer, resolver: DnsResolver, name: str
) -> None:
    server.publish(f"other.{HOST}", KEY)

    answers = await resolver.txt(name)

    assert [(answer.values, answer.problem) for answer in answers] == [((), "")] * 2


@pytest.mark.parametrize(
    ("fault", "problem"),
    [("silent", "timed out"), ("servfail", "server failure"), ("refused", "refused")],
)
async def test_a_server_at_fault_gives_no_definite_answer(
    server: NameServer, resolver: DnsResolver, fault: str, problem: str
) -> None:
    server.publish(HOST, KEY)
    server.break_all(fault)

    answers = await resolver.txt(HOST)

    assert [(answer.values, answer.problem) for answer in answers] == [(None, problem)] * 2
    assert len(server.queries) == 4


async def test_one_lost_packet_does_not_matter(server: NameServer, resolver: DnsResolver) -> None:
    server.publish(HOST, KEY)
    server.break_all("silent")

    looking = asyncio.create_task(resolver.txt(HOST))
    while len(server.queries) < 2:  # noqa: ASYNC110  (the server tells nobody of a question)
        await asyncio.sleep(0)
    server.break_all(None)

    assert [answer.values for answer in await looking] == [(KEY,), (KEY,)]


async def test_one_silent_server_does_not_hide_the_others(
    server: NameServer, other_server: NameServer, clock: AdjustableClock
) -> None:
    server.publish(HOST, KEY)
    other_server.break_all("silent")

    resolver = DnsResolver(
        [at(server)], [at(server), at(other_server)], clock, times=Times(TRY_SECONDS)
    )
    answers = await resolver.txt(HOST)

    told = {answer.server: answer.values for answer in answers if answer.is_authoritative}
    assert told == {server.address: (KEY,), other_server.address: None}


async def test_a_server_that_is_not_there_is_a_time_out(
    server: NameServer, clock: AdjustableClock
) -> None:
    gone = at(server)
    await server.close()

    answers = await DnsResolver([gone], [gone], clock, times=Times(TRY_SECONDS)).txt(HOST)

    assert {answer.values for answer in answers} == {None}
    assert {answer.problem for answer in answers} <= {"timed out", "unreachable"}


async def test_over_tcp_a_server_may_take_as_long_as_both_tries_over_udp(
    server: NameServer, clock: AdjustableClock
) -> None:
    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        await asyncio.sleep(1.5 * TRY_SECONDS)
        answer = server.respond(question, "tcp")
        assert answer is not None
        writer.write(len(answer).to_bytes(2) + answer)

    async with await asyncio.start_server(answer_late, "127.0.0.1", 0) as late:
        address = late.sockets[0].getsockname()
        reached = await DnsResolver(
            [address], [], clock, times=Times(TRY_SECONDS)
        ).reach_resolvers()

    assert [each.tcp for each in reached] == [Status.REFUSED]


async def test_a_record_too_big_for_udp_comes_over_tcp(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, "x" * 5000)

    answers = await resolver.txt(HOST)

    assert [answer.values for answer in answers] == [("x" * 5000,)] * 2
    assert {query.transport for query in server.queries} == {"udp", "tcp"}


async def test_an_alias_inside_the_zone_is_followed(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, "key.acme.example", type="CNAME")
    server.publish("key.acme.example", KEY)

    answers = await resolver.txt(HOST)

    assert [answer.values for answer in answers] == [(KEY,)] * 2


async def test_an_alias_out_of_the_zone_is_followed_through_a_resolver(
    server: NameServer, clock: AdjustableClock
) -> None:
    server.publish(HOST, "key.zoho.example", type="CNAME")
    elsewhere = NameServer("zoho.example")
    elsewhere.publish("key.zoho.example", KEY)
    await elsewhere.start()

    answers = await DnsResolver([at(elsewhere)], [at(server)], clock).txt(HOST)
    await elsewhere.close()

    assert answers[0] == TxtAnswer(server.address, (KEY,), is_authoritative=True)


async def test_an_alias_to_nothing_is_definitely_missing(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, "gone.acme.example", type="CNAME")

    answers = await resolver.txt(HOST)

    assert [answer.values for answer in answers] == [(), ()]


async def test_aliases_in_a_circle_are_no_definite_answer(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish("a.acme.example", "b.acme.example", type="CNAME")
    server.publish("b.acme.example", "a.acme.example", type="CNAME")

    answers = await resolver.txt("a.acme.example")

    assert [answer.values for answer in answers] == [None, None]
    assert {answer.problem for answer in answers} == {
        "alias loop, or an answer that contradicts itself"
    }


async def test_a_referral_is_no_definite_answer(server: NameServer, resolver: DnsResolver) -> None:
    server.publish("sub.acme.example", "ns.elsewhere.example", type="NS")

    answers = await resolver.txt("s.sub.acme.example")

    assert [answer.values for answer in answers] == [None, None]
    assert answers[0].problem == "only a referral to other servers"


async def test_bytes_that_are_no_utf8_and_backslashes_come_through(
    server: NameServer, resolver: DnsResolver
) -> None:
    server.publish(HOST, "caf\udce9 \\; \\")

    answers = await resolver.txt(HOST)

    assert answers[0].values == ("café \\; \\",)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ""])
async def test_a_host_that_is_no_name_raises_nothing(resolver: DnsResolver, host: str) -> None:
    answers = await resolver.txt(host)

    assert {answer.values for answer in answers} == {None}
    assert await resolver.zone_of(host) is None


@pytest.mark.parametrize("host", [HOST, "acme.example", "S.Mail.ACME.example"])
async def test_the_zone_of_a_host_is_found(resolver: DnsResolver, host: str) -> None:
    zone = await resolver.zone_of(host)

    assert zone is not None
    assert zone.lower() == "acme.example"


class AliasResolver(asyncio.DatagramProtocol):
    """Says that `s.acme.example` is an alias into zoho.example, and anything else in acme.example."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = dns.message.make_response(dns.message.from_wire(data))
        apex = "acme.example."
        if response.question[0].name.to_text() == "s.acme.example.":
            apex = "zoho.example."
            alias = dns.rrset.from_text("s.acme.example.", 60, "IN", "CNAME", "key.zoho.example.")
            response.answer.append(alias)
        soa = dns.rrset.from_text(apex, 60, "IN", "SOA", f"ns1.{apex} a.{apex} 1 1 1 1 1")
        response.authority.append(soa)
        self._transport.sendto(response.to_wire(), addr)


async def test_the_zone_of_an_alias_is_its_own_not_that_of_its_target(
    clock: AdjustableClock,
) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(AliasResolver, local_addr=("127.0.0.1", 0))
    resolver = DnsResolver([transport.get_extra_info("sockname")], [], clock)

    zone = await resolver.zone_of("s.acme.example")
    transport.close()

    assert zone == "acme.example"


async def test_no_zone_is_known_outside_of_what_the_resolver_knows(resolver: DnsResolver) -> None:
    assert await resolver.zone_of("www.other.example") is None


async def test_the_zones_own_servers_are_found_and_called_by_name(
    server: NameServer, clock: AdjustableClock
) -> None:
    server.publish(HOST, KEY)

    answers = await discovering(server, clock).txt(HOST)

    assert sorted(answer.server for answer in answers if answer.is_authoritative) == [
        "ns1.acme.example",
        "ns2.acme.example",
    ]
    assert {answer.values for answer in answers} == {(KEY,)}


async def test_found_servers_are_remembered_for_an_hour(
    server: NameServer, clock: AdjustableClock
) -> None:
    resolver = discovering(server, clock)
    await resolver.txt(HOST)

    server.queries.clear()
    await resolver.txt(HOST)
    within_the_hour = {query.type for query in server.queries}
    clock.advance(timedelta(hours=1))
    await resolver.txt(HOST)

    assert within_the_hour == {"TXT"}
    assert {query.type for query in server.queries} >= {"SOA", "NS", "A"}


async def test_the_last_found_servers_are_kept_while_no_resolver_answers(
    server: NameServer, other_server: NameServer, clock: AdjustableClock
) -> None:
    server.publish(HOST, KEY)
    resolver = DnsResolver(
        [at(other_server)], [], clock, discovered_port=server.port, times=Times(TRY_SECONDS)
    )
    await resolver.txt(HOST)
    clock.advance(timedelta(hours=2))
    other_server.break_all("refused")

    answers = await resolver.txt(HOST)

    assert [answer.values for answer in answers] == [(KEY,), (KEY,), None]
