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

from bot.errors import InputError, PortInUse
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


async def test_a_new_zone_has_spf_dmarc_and_name_servers(server: NameServer) -> None:
    spf = await ask(server, "acme.example")
    dmarc = await ask(server, "_dmarc.acme.example")
    names = await ask(server, "acme.example", "NS")

    assert texts(spf) == [b"v=spf1 include:zohomail.example -all"]
    assert texts(dmarc) == [b"v=DMARC1; p=none; rua=mailto:dmarc@acme.example"]
    assert {ns.to_text() for ns in names.answer[0]} == {"ns1.acme.example.", "ns2.acme.example."}
    assert {a[0].address for a in names.additional} == {"127.0.0.1"}


async def test_answers_are_authoritative(server: NameServer) -> None:
    response = await ask(server, "ACME.example", flags=0)

    assert response.flags & dns.flags.AA
    assert not response.flags & dns.flags.RA


async def test_a_resolver_gives_the_same_data_and_does_not_claim_to_own_it(
    server: NameServer,
) -> None:
    response = await ask(server.resolver, "acme.example", flags=dns.flags.RD)

    assert response.flags & dns.flags.RA
    assert not response.flags & dns.flags.AA
    assert texts(response) == [b"v=spf1 include:zohomail.example -all"]


async def test_a_long_text_is_one_record_of_255_byte_strings(server: NameServer) -> None:
    server.publish("s._domainkey.acme.example", KEY)

    record = (await ask(server, "s._domainkey.acme.example")).answer[0][0]

    assert [len(string) for string in record.strings] == [255, 146]
    assert server.txt("S._DomainKey.acme.example.") == [KEY]


async def test_strings_given_as_a_list_stay_as_they_are(server: NameServer) -> None:
    server.publish("s.acme.example", ["k=rsa;", " p=AA", ""])

    record = (await ask(server, "s.acme.example")).answer[0][0]

    assert record.strings == (b"k=rsa;", b" p=AA", b"")
    assert server.txt("s.acme.example") == ["k=rsa; p=AA"]


async def test_publishing_replaces_and_adding_puts_a_second_record_beside(
    server: NameServer,
) -> None:
    server.publish("s.acme.example", "old")
    server.publish("s.acme.example", "new", ttl=60)
    server.publish("s.acme.example", "other", ttl=60, add=True)

    response = await ask(server, "s.acme.example")

    assert sorted(texts(response)) == [b"new", b"other"]
    assert response.answer[0].ttl == 60


async def test_an_unknown_name_is_nxdomain_with_the_soa_to_cache_it_by(server: NameServer) -> None:
    response = await ask(server, "nothing.acme.example")

    assert response.rcode() == Rcode.NXDOMAIN
    assert response.authority[0].name.to_text() == "acme.example."
    assert response.authority[0].ttl == 300
    assert response.flags & dns.flags.AA


async def test_a_name_with_other_records_only_is_no_data(server: NameServer) -> None:
    response = await ask(server, "ns1.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert response.answer == []
    assert response.authority[0].rdtype == dns.rdatatype.SOA


async def test_a_name_that_only_has_names_under_it_is_no_data(server: NameServer) -> None:
    server.publish("s._domainkey.mail.acme.example", KEY)

    response = await ask(server, "_domainkey.mail.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert response.answer == []


async def test_an_alias_is_followed_inside_the_zone(server: NameServer) -> None:
    server.publish("s.acme.example", "alias.acme.example", type="CNAME")
    server.publish("alias.acme.example", "found")

    response = await ask(server, "s.acme.example")

    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME", "TXT"]
    assert server.txt("s.acme.example") == ["found"]


async def test_an_alias_out_of_the_zone_is_the_whole_answer(server: NameServer) -> None:
    server.publish("s.acme.example", "key.zoho.example", type="CNAME")

    response = await ask(server, "s.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME"]
    assert response.authority == []


async def test_an_alias_to_nothing_is_nxdomain(server: NameServer) -> None:
    server.publish("s.acme.example", "gone.acme.example", type="CNAME")

    response = await ask(server, "s.acme.example")

    assert response.rcode() == Rcode.NXDOMAIN
    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME"]


async def test_aliases_in_a_circle_come_to_an_end(server: NameServer) -> None:
    server.publish("a.acme.example", "b.acme.example", type="CNAME")
    server.publish("b.acme.example", "a.acme.example", type="CNAME")

    response = await ask(server, "a.acme.example")

    assert {rrset.rdtype.name for rrset in response.answer} == {"CNAME"}


async def test_a_wildcard_answers_for_names_that_do_not_exist(server: NameServer) -> None:
    server.publish("*.acme.example", "any")

    response = await ask(server, "x.y.acme.example")

    assert texts(response) == [b"any"]
    assert response.answer[0].name.to_text() == "x.y.acme.example."


async def test_a_wildcard_does_not_reach_below_an_existing_name(server: NameServer) -> None:
    server.publish("*.acme.example", "any")
    server.publish("s._domainkey.acme.example", KEY)

    below = await ask(server, "other._domainkey.acme.example")
    itself = await ask(server, "_domainkey.acme.example")

    assert below.rcode() == Rcode.NXDOMAIN
    assert itself.rcode() == Rcode.NOERROR
    assert itself.answer == []


async def test_a_name_below_a_delegation_is_referred(server: NameServer) -> None:
    server.publish("sub.acme.example", "ns1.acme.example", type="NS")

    response = await ask(server, "s.sub.acme.example")

    assert response.answer == []
    assert response.authority[0].rdtype == dns.rdatatype.NS
    assert response.additional[0][0].address == "127.0.0.1"
    assert not response.flags & dns.flags.AA


@pytest.mark.parametrize("name", ["example", "other.example", "notacme.example"])
async def test_names_outside_the_zone_are_refused(server: NameServer, name: str) -> None:
    response = await ask(server, name)

    assert response.rcode() == Rcode.REFUSED
    assert not response.flags & dns.flags.AA


async def test_too_much_for_udp_is_cut_and_whole_over_tcp(server: NameServer) -> None:
    server.publish("big.acme.example", "x" * 3000)
    query = dns.message.make_query("big.acme.example", "TXT", use_edns=0, payload=4096)

    cut = await dns.asyncquery.udp(query, server.host, timeout=2, port=server.port)
    whole = await dns.asyncquery.tcp(query, server.host, timeout=2, port=server.port)

    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    assert texts(whole) == [b"x" * 3000]
    assert cut.payload == 1232


async def test_without_edns_512_bytes_is_the_most_over_udp(server: NameServer) -> None:
    server.publish("key.acme.example", "x" * 600)

    plain = await ask(server, "key.acme.example", use_edns=None, payload=None)
    extended = await ask(server, "key.acme.example")

    assert plain.flags & dns.flags.TC
    assert not extended.flags & dns.flags.TC


async def test_a_client_that_takes_less_is_given_less(server: NameServer) -> None:
    server.publish("key.acme.example", "x" * 800)

    response = await ask(server, "key.acme.example", payload=700)

    assert response.flags & dns.flags.TC


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


@pytest.mark.parametrize(
    ("fault", "rcode"), [("servfail", Rcode.SERVFAIL), ("refused", Rcode.REFUSED)]
)
async def test_a_failing_server_says_so(server: NameServer, fault: str, rcode: Rcode) -> None:
    server.break_all(fault)

    response = await ask(server, "acme.example")

    assert response.rcode() == rcode
    assert response.answer == []


async def test_an_old_server_goes_on_with_the_zone_as_it_was(server: NameServer) -> None:
    ns1, ns2 = server.authorities
    server.publish("s.acme.example", "before")
    server.break_server("ns2", "old")
    server.publish("s.acme.example", "after")

    assert texts(await ask(ns1, "s.acme.example")) == [b"after"]
    assert texts(await ask(ns2, "s.acme.example")) == [b"before"]
    server.break_server("ns2", None)
    assert texts(await ask(ns2, "s.acme.example")) == [b"after"]


async def test_a_resolver_keeps_an_answer_for_its_ttl(server: NameServer, clock: Clock) -> None:
    server.publish("s.acme.example", "before", ttl=300)
    await ask(server.resolver, "s.acme.example")
    server.publish("s.acme.example", "after", ttl=300)

    clock.advance(timedelta(seconds=100))
    kept = await ask(server.resolver, "s.acme.example")
    clock.advance(timedelta(seconds=200))
    fresh = await ask(server.resolver, "s.acme.example")

    assert (texts(kept), kept.answer[0].ttl) == ([b"before"], 200)
    assert (texts(fresh), fresh.answer[0].ttl) == ([b"after"], 300)


async def test_a_resolver_keeps_that_there_was_nothing(server: NameServer, clock: Clock) -> None:
    missing = await ask(server.resolver, "s.acme.example")
    server.publish("s.acme.example", "x")

    kept = await ask(server.resolver, "s.acme.example")
    clock.advance(timedelta(seconds=300))

    assert (missing.rcode(), kept.rcode()) == (Rcode.NXDOMAIN, Rcode.NXDOMAIN)
    assert texts(await ask(server.resolver, "s.acme.example")) == [b"x"]


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


async def test_beyond_the_zone_a_resolver_finds_nothing(server: NameServer) -> None:
    response = await ask(server.resolver, "key.zoho.example")

    assert response.rcode() == Rcode.NXDOMAIN
    assert response.authority[0].name == dns.name.root


async def test_every_question_is_on_record(server: NameServer) -> None:
    await ask(server, "nothing.acme.example", flags=0)

    (query,) = server.queries

    assert (query.server, query.transport) == ("ns1", "udp")
    assert (query.name, query.type) == ("nothing.acme.example", "TXT")
    assert (query.recursion_desired, query.rcode) == (False, "NXDOMAIN")


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


def test_a_ttl_is_a_whole_number_of_seconds() -> None:
    with pytest.raises(InputError, match="from 0 to 2147483647, not -1"):
        NameServer().publish("a.acme.example", "x", ttl=-1)


def test_soa_and_name_servers_cannot_be_removed_but_others_can() -> None:
    emulator = NameServer()

    with pytest.raises(InputError, match="cannot be removed"):
        emulator.remove("acme.example", "SOA")

    assert emulator.remove("_dmarc.acme.example", "TXT") is True
    assert emulator.remove("_dmarc.acme.example", "TXT") is False
    assert emulator.txt("_dmarc.acme.example") == []


def test_names_outside_or_no_names_have_no_txt() -> None:
    assert NameServer().txt("other.example") == []
    assert NameServer().txt("..") == []


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


async def test_a_port_that_is_taken_is_said_to_be(server: NameServer) -> None:
    with pytest.raises(PortInUse, match=f"Port {server.port} on 127.0.0.1 is in use"):
        await NameServer().start(port=server.port)


async def test_the_dotenv_lines_point_at_the_server(running: ServedDns) -> None:
    ns1, ns2, resolver = (server.address for server in running.emulator.servers.values())

    assert running.dotenv() == [
        f"MAILCFG_DNS_SERVERS={resolver}",
        f"MAILCFG_DNS_AUTHORITATIVE={ns1},{ns2}",
        f"DNS_CONTROL_URL=http://127.0.0.1:{running.control.port}/__control",
        f"DNS_CONTROL_TOKEN={running.control_token}",
    ]


async def test_a_record_published_by_control_is_served_and_removed_again(
    running: ServedDns, control: httpx.AsyncClient
) -> None:
    record = {"name": "s.acme.example", "type": "TXT", "value": KEY, "ttl": 60}

    listed = (await control.put("/records", json=record)).json()["records"]
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
    assert (await control.delete("/queries")).json() == {"queries": []}


async def test_every_server_is_broken_and_healed_at_once_through_control(
    control: httpx.AsyncClient,
) -> None:
    broken = (await control.put("/fault", json={"fault": "silent"})).json()
    healed = (await control.put("/fault", json={"fault": None})).json()

    assert set(broken["faults"].values()) == {"silent"}
    assert set(healed["faults"].values()) == {None}


async def test_the_cache_is_emptied_through_control(
    running: ServedDns, control: httpx.AsyncClient
) -> None:
    await ask(running.emulator.resolver, "s.acme.example")
    running.emulator.publish("s.acme.example", "x")

    await control.delete("/cache")

    assert texts(await ask(running.emulator.resolver, "s.acme.example")) == [b"x"]
