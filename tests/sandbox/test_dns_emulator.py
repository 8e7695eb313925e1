"""The DNS emulator, asked over the wire by dnspython."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from datetime import timedelta

import dns.asyncquery
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import httpx
import pytest
from dns.message import Message
from dns.rcode import Rcode

from bot.errors import InputError
from bot.sandbox.clock import AdjustableClock as Clock
from bot.sandbox.dns.server import DnsServer
from bot.sandbox.dns.serving import ServedDns, start
from tests.name_server import NameServer

KEY = "k=rsa; p=" + "A" * 392


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[NameServer]:
    emulator = NameServer(clock=clock)
    await emulator.start()
    yield emulator
    await emulator.close()


@pytest.fixture
async def running() -> AsyncIterator[ServedDns]:
    both = await start()
    yield both
    await both.close()


@pytest.fixture
async def control(running: ServedDns) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {running.control_token}"}
    url = f"{running.control.url}/__control"
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


async def ask(
    server: NameServer | DnsServer, name: str, rdtype: str = "TXT", **kwargs: object
) -> Message:
    query = dns.message.make_query(name, rdtype, **{"use_edns": 0, "payload": 1232} | kwargs)
    return await dns.asyncquery.udp(query, server.host, timeout=2, port=server.port)


def texts(response: Message) -> list[bytes]:
    return [b"".join(rdata.strings) for rrset in response.answer for rdata in rrset]


def told(response: Message) -> str:
    """Code and flags, then the records of each section, without its names and times."""
    flags = [flag for flag in ("AA", "RA", "TC") if response.flags & dns.flags.Flag[flag]]
    sections = [
        ", ".join(sorted(f"{rrset.rdtype.name} {rdata}" for rrset in section for rdata in rrset))
        for section in (response.answer, response.authority, response.additional)
    ]
    return " | ".join([" ".join([response.rcode().name, *flags]), *sections]).rstrip("| ")


SPF = 'TXT "v=spf1 include:zohomail.example -all"'
SOA = "SOA ns1.acme.example. hostmaster.acme.example. 1 3600 600 604800 300"
SERVERS = "NS ns1.acme.example., NS ns2.acme.example."
ALIAS = ("s.acme.example", "alias.acme.example", "CNAME")
WILDCARD = ("*.acme.example", "any", "TXT")
KEY_BELOW = ("s._domainkey.acme.example", "x", "TXT")


@pytest.mark.parametrize(
    ("published", "asked", "answer"),
    [
        ([], "ACME.example TXT", f"NOERROR AA | {SPF}"),
        ([], "_dmarc.acme.example TXT", 'NOERROR AA | TXT "v=DMARC1; p=none; rua=mailto:dmarc@'),
        ([], "acme.example NS", f"NOERROR AA | {SERVERS} |  | A 127.0.0.1, A 127.0.0.1"),
        ([], "nothing.acme.example TXT", f"NXDOMAIN AA |  | {SOA}"),
        ([], "ns1.acme.example TXT", f"NOERROR AA |  | {SOA}"),
        ([KEY_BELOW], "_domainkey.acme.example TXT", f"NOERROR AA |  | {SOA}"),
        (
            [ALIAS, ("alias.acme.example", "found", "TXT")],
            "s.acme.example TXT",
            'NOERROR AA | CNAME alias.acme.example., TXT "found"',
        ),
        ([ALIAS], "s.acme.example TXT", f"NXDOMAIN AA | CNAME alias.acme.example. | {SOA}"),
        (
            [("s.acme.example", "key.zoho.example", "CNAME")],
            "s.acme.example TXT",
            "NOERROR AA | CNAME key.zoho.example.",
        ),
        (
            [ALIAS, ("alias.acme.example", "s.acme.example", "CNAME")],
            "s.acme.example TXT",
            "NOERROR AA | CNAME alias.acme.example.",
        ),
        ([WILDCARD], "x.y.acme.example TXT", 'NOERROR AA | TXT "any"'),
        ([WILDCARD, KEY_BELOW], "other._domainkey.acme.example TXT", "NXDOMAIN AA"),
        ([WILDCARD, KEY_BELOW], "_domainkey.acme.example TXT", f"NOERROR AA |  | {SOA}"),
        (
            [("sub.acme.example", "ns1.acme.example", "NS")],
            "s.sub.acme.example TXT",
            "NOERROR |  | NS ns1.acme.example. | A 127.0.0.1",
        ),
        ([], "example TXT", "REFUSED"),
        ([], "other.example TXT", "REFUSED"),
        ([], "notacme.example TXT", "REFUSED"),
    ],
)
async def test_a_name_server_answers_from_its_zone_and_its_zone_alone(
    server: NameServer, published: list[tuple[str, str, str]], asked: str, answer: str
) -> None:
    for name, value, rdtype in published:
        server.publish(name, value, type=rdtype)

    assert told(await ask(server, *asked.split(), flags=0)).startswith(answer)


async def test_a_resolver_gives_the_same_data_and_does_not_claim_to_own_it(
    server: NameServer,
) -> None:
    response = await ask(server.resolver, "acme.example", flags=dns.flags.RD)
    beyond = await ask(server.resolver, "key.zoho.example")

    assert told(response) == f"NOERROR RA | {SPF}"
    assert told(beyond).startswith("NXDOMAIN RA |  | SOA a.root.example.")


@pytest.mark.parametrize(
    ("value", "sizes", "joined"),
    [(KEY, [255, 146], KEY), (["k=rsa;", " p=AA", ""], [6, 5, 0], "k=rsa; p=AA")],
)
async def test_a_text_is_one_record_of_255_byte_strings_or_of_those_that_are_given(
    server: NameServer, value: str | list[str], sizes: list[int], joined: str
) -> None:
    server.publish("s._domainkey.acme.example", value)

    record = (await ask(server, "s._domainkey.acme.example")).answer[0][0]

    assert [len(string) for string in record.strings] == sizes
    assert server.txt("S._DomainKey.acme.example.") == [joined]


async def test_publishing_replaces_and_adding_puts_a_second_record_beside(
    server: NameServer,
) -> None:
    server.publish("s.acme.example", "old")
    server.publish("s.acme.example", "new", ttl=60)
    server.publish("s.acme.example", "other", ttl=60, add=True)

    response = await ask(server, "s.acme.example")

    assert sorted(texts(response)) == [b"new", b"other"]
    assert response.answer[0].ttl == 60


async def test_too_much_for_udp_is_cut_and_whole_over_tcp(server: NameServer) -> None:
    server.publish("big.acme.example", "x" * 3000)
    query = dns.message.make_query("big.acme.example", "TXT", use_edns=0, payload=4096)

    cut = await dns.asyncquery.udp(query, server.host, timeout=2, port=server.port)
    whole = await dns.asyncquery.tcp(query, server.host, timeout=2, port=server.port)

    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    assert texts(whole) == [b"x" * 3000]
    assert cut.payload == 1232


@pytest.mark.parametrize(
    ("length", "limits", "is_cut"),
    [
        (600, {"use_edns": None, "payload": None}, True),
        (600, {}, False),
        (800, {"payload": 700}, True),
    ],
)
async def test_over_udp_a_client_is_given_what_it_takes_and_512_bytes_without_edns(
    server: NameServer, length: int, limits: dict[str, object], is_cut: bool
) -> None:
    server.publish("key.acme.example", "x" * length)

    response = await ask(server, "key.acme.example", **limits)

    assert bool(response.flags & dns.flags.TC) is is_cut


async def test_one_tcp_connection_takes_many_questions(server: NameServer) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    wire = dns.message.make_query("acme.example", "TXT").to_wire(prepend_length=True)
    writer.write(wire + wire)

    first = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    second = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()

    assert texts(dns.message.from_wire(first)) == texts(dns.message.from_wire(second))


async def test_a_silent_server_answers_nobody_until_it_is_well_again(server: NameServer) -> None:
    server.break_all("silent")
    query = dns.message.make_query("acme.example", "TXT").to_wire()

    unanswered = [server.respond(query, "udp"), server.respond(query, "tcp")]
    server.break_all(None)

    assert unanswered == [None, None]
    assert texts(await ask(server, "acme.example"))
    assert [entry.rcode for entry in server.queries] == [None, None, "NOERROR"]


@pytest.mark.parametrize("fault", ["servfail", "refused"])
async def test_a_failing_server_says_so(server: NameServer, fault: str) -> None:
    server.break_all(fault)

    assert told(await ask(server, "acme.example", flags=0)) == fault.upper()


async def test_an_old_server_goes_on_with_the_zone_as_it_was(server: NameServer) -> None:
    ns1, ns2 = server.authorities
    server.publish("s.acme.example", "before")
    server.break_server("ns2", "old")
    server.publish("s.acme.example", "after")

    assert texts(await ask(ns1, "s.acme.example")) == [b"after"]
    assert texts(await ask(ns2, "s.acme.example")) == [b"before"]
    server.break_server("ns2", None)
    assert texts(await ask(ns2, "s.acme.example")) == [b"after"]


@pytest.mark.parametrize("before", ["before", None])
async def test_a_resolver_keeps_an_answer_for_its_ttl_also_that_there_was_nothing(
    server: NameServer, clock: Clock, before: str | None
) -> None:
    if before:
        server.publish("s.acme.example", before, ttl=300)
    first = await ask(server.resolver, "s.acme.example")
    server.publish("s.acme.example", "after", ttl=300)

    clock.advance(timedelta(seconds=100))
    kept = await ask(server.resolver, "s.acme.example")
    clock.advance(timedelta(seconds=200))
    fresh = await ask(server.resolver, "s.acme.example")

    assert told(kept) == told(first) != told(fresh)
    assert [*kept.answer, *kept.authority][0].ttl == 200
    assert (texts(fresh), fresh.answer[0].ttl) == ([b"after"], 300)


async def test_a_resolver_asks_the_next_server_if_one_is_broken(server: NameServer) -> None:
    server.break_server("ns1", "silent")
    answered = await ask(server.resolver, "acme.example")
    server.break_server("ns2", "refused")
    failed = await ask(server.resolver, "_dmarc.acme.example")

    assert texts(answered) == [b"v=spf1 include:zohomail.example -all"]
    assert failed.rcode() == Rcode.SERVFAIL


async def test_signatures_that_do_not_validate_fail_unless_nobody_checks(
    server: NameServer,
) -> None:
    server.break_server("resolver", "dnssec")

    checked = await ask(server.resolver, "acme.example", flags=dns.flags.RD)
    unchecked = await ask(server.resolver, "acme.example", flags=dns.flags.RD | dns.flags.CD)

    assert checked.rcode() == Rcode.SERVFAIL
    assert texts(unchecked) == [b"v=spf1 include:zohomail.example -all"]


@pytest.mark.parametrize(
    ("kwargs", "rcode"),
    [
        ({"rdtype": "AXFR"}, Rcode.REFUSED),
        ({"rdtype": "TXT", "rdclass": "CH"}, Rcode.REFUSED),
        ({"rdtype": "TXT", "use_edns": 1}, Rcode.BADVERS),
    ],
)
def test_questions_it_cannot_serve_get_their_code(kwargs: dict[str, object], rcode: Rcode) -> None:
    query = dns.message.make_query("acme.example", **kwargs)

    response = dns.message.from_wire(NameServer().respond(query.to_wire(), "tcp") or b"")

    assert response.rcode() == rcode


def test_a_broken_packet_is_a_format_error_and_an_answer_is_ignored() -> None:
    broken = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\xff"
    answer = struct.pack("!6H", 7, 0x8180, 1, 0, 0, 0)

    response = NameServer().respond(broken, "udp")

    assert response == struct.pack("!6H", 7, 0x8101, 0, 0, 0, 0)
    assert NameServer().respond(answer, "udp") is None
    assert NameServer().respond(b"\x00", "udp") is None


def test_no_packet_brings_it_down() -> None:
    emulator, dice = NameServer(), random.Random(1)
    sound = dns.message.make_query("a.acme.example", "TXT", use_edns=0).to_wire()

    for _ in range(3000):
        packet = bytearray(sound)
        for _ in range(dice.randint(1, 6)):
            packet[dice.randrange(2, len(packet))] = dice.randrange(256)
        emulator.respond(bytes(packet[: dice.randint(0, len(packet))]), "udp")

    assert emulator.respond(sound, "udp")


@pytest.mark.parametrize(
    ("name", "value", "rdtype", "sentence"),
    [
        ("www.other.example", "x", "TXT", "www.other.example is not in the zone acme.example; "),
        ("a..acme.example", "x", "TXT", "'a..acme.example' is no DNS name: "),
        ("x" * 64 + ".acme.example", "x", "TXT", "is no DNS name: "),
        ("", "x", "TXT", "The name is empty; "),
        ("a.acme.example", "x", "TEXT", "'TEXT' is no DNS record type; "),
        ("a.acme.example", "x", "ANY", "ANY is a kind of question, not of record."),
        ("a.acme.example", "1.2.3", "A", "'1.2.3' is no value for a A record: "),
        ("a.acme.example", ["1.2.3.4"], "A", "The value of a A record is one text, not a list."),
        ("a.acme.example", [], "TXT", "A TXT record needs at least one string; "),
        ("a.acme.example", ["x" * 300], "TXT", "One string of the TXT record has 300 bytes; "),
        ("a.acme.example", "\ud800", "TXT", "a character that cannot be written as bytes"),
        ("a.acme.example", "x" * 64000, "TXT", "are too long for any DNS answer"),
        ("acme.example", "www.acme.example", "CNAME", "cannot have a CNAME beside other records"),
        ("a.acme.example", "a. b. 1 2 3 4 5", "SOA", "A SOA record belongs at acme.example only"),
    ],
)
def test_what_cannot_be_published_is_refused_with_a_sentence(
    name: str, value: str | list[str], rdtype: str, sentence: str
) -> None:
    emulator = NameServer()
    before = emulator.records()

    with pytest.raises(InputError) as refusal:
        emulator.publish(name, value, type=rdtype)

    assert sentence in str(refusal.value)
    assert emulator.records() == before


def test_soa_and_name_servers_cannot_be_removed_but_others_can() -> None:
    emulator = NameServer()

    with pytest.raises(InputError, match="cannot be removed"):
        emulator.remove("acme.example", "SOA")

    assert emulator.remove("_dmarc.acme.example", "TXT") is True
    assert emulator.remove("_dmarc.acme.example", "TXT") is False
    for name in ("_dmarc.acme.example", "other.example", ".."):
        assert emulator.txt(name) == []


def test_a_kept_state_comes_back_as_it_was() -> None:
    old = NameServer("mail.example")
    old.publish("s.mail.example", ["half", "half"], ttl=5)
    old.publish("s.mail.example", "n\u00e4\u00efve \u2713", ttl=5, add=True)
    old.remove("ns2.mail.example", "A")
    old.break_server("ns1", "old")
    old.publish("s.mail.example", "today")
    old.break_server("resolver", "dnssec")

    new = NameServer()
    new.load(old.dump())

    assert new.dump() == old.dump()
    assert new.zone == "mail.example"
    name = dns.name.from_text("s.mail.example")
    assert len(new.authorities[0].reply(name, dns.rdatatype.TXT).answer[0]) == 2
    assert len(new.authorities[1].reply(name, dns.rdatatype.TXT).answer[0]) == 1


def test_whoever_asked_is_told_of_each_change() -> None:
    emulator, told = NameServer(), []
    emulator.on_change(lambda: told.append(emulator.txt("a.acme.example")))

    emulator.publish("a.acme.example", "x")
    emulator.remove("a.acme.example")

    assert told == [["x"], []]


async def test_a_record_published_by_control_is_served_and_removed_again(
    running: ServedDns, control: httpx.AsyncClient
) -> None:
    record = {"name": "s.acme.example", "type": "TXT", "value": KEY, "ttl": 60}

    await ask(running.emulator.resolver, "s.acme.example")
    listed = (await control.put("/records", json=record)).json()["records"]
    await control.delete("/cache")
    served = await ask(running.emulator.resolver, "s.acme.example")
    gone = await control.request("DELETE", "/records", json={"name": "s.acme.example"})

    assert {"name": "s.acme.example", "type": "TXT", "ttl": 60, "values": [KEY]} in listed
    assert texts(served) == [KEY.encode()]
    assert gone.json() == {"removed": True}
    assert running.emulator.txt("s.acme.example") == []


async def test_the_whole_zone_is_replaced_at_once_or_not_at_all(
    running: ServedDns, control: httpx.AsyncClient
) -> None:
    good = {"name": "a.acme.example", "values": ["x", ["y", "z"]]}
    bad = {"name": "a.other.example", "values": ["x"]}

    refused = await control.put("/zone", json={"records": [good, bad]})
    kept = running.emulator.txt("acme.example")
    replaced = await control.put("/zone", json={"records": [good]})

    assert refused.status_code == 400
    assert kept == ["v=spf1 include:zohomail.example -all"]
    assert replaced.status_code == 200
    assert running.emulator.txt("acme.example") == []
    assert running.emulator.txt("a.acme.example") == ["x", "yz"]
    assert [r["type"] for r in replaced.json()["records"]].count("SOA") == 1


async def test_faults_and_questions_are_seen_through_control(
    running: ServedDns, control: httpx.AsyncClient
) -> None:
    await control.put("/fault", json={"fault": "servfail", "server": "ns2"})
    ns1, ns2 = running.emulator.authorities
    await ask(ns1, "acme.example")
    await ask(ns2, "acme.example")

    state = (await control.get("/state")).json()
    queries = (await control.get("/queries")).json()["queries"]

    assert state["faults"] == {"ns1": None, "ns2": "servfail", "resolver": None}
    assert state["addresses"]["ns2"] == ns2.address
    assert [(q["server"], q["rcode"]) for q in queries] == [("ns1", "NOERROR"), ("ns2", "SERVFAIL")]
    assert queries[0].items() >= {"transport": "udp", "name": "acme.example", "type": "TXT"}.items()
    assert (await control.delete("/queries")).json() == {"queries": []}
    for fault in ("silent", None):
        told = (await control.put("/fault", json={"fault": fault})).json()["faults"]
        assert set(told.values()) == {fault}
