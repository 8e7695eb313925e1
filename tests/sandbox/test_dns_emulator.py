"""The DNS emulator, asked over the wire by dnspython."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import httpx
import pytest
from dns.message import Message
from dns.rcode import Rcode

from bot.errors import InputError, PortInUse
from bot.sandbox.dns import DnsEmulator
from bot.sandbox.dns_control import RunningDns, start

KEY = "k=rsa; p=" + "A" * 392


@pytest.fixture
async def server() -> AsyncIterator[DnsEmulator]:
    emulator = DnsEmulator()
    await emulator.start()
    yield emulator
    await emulator.close()


@pytest.fixture
async def running() -> AsyncIterator[RunningDns]:
    both = await start()
    yield both
    await both.close()


@pytest.fixture
async def control(running: RunningDns) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {running.control_token}"}
    url = f"{running.control.url}/__control"
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


async def ask(server: DnsEmulator, name: str, rdtype: str = "TXT", **kwargs: object) -> Message:
    query = dns.message.make_query(name, rdtype, **{"use_edns": 0, "payload": 1232} | kwargs)
    return await dns.asyncquery.udp(query, server.host, timeout=2, port=server.port)


def texts(response: Message) -> list[bytes]:
    return [b"".join(rdata.strings) for rrset in response.answer for rdata in rrset]


async def test_a_new_zone_has_spf_dmarc_and_name_servers(server: DnsEmulator) -> None:
    spf = await ask(server, "acme.example")
    dmarc = await ask(server, "_dmarc.acme.example")
    names = await ask(server, "acme.example", "NS")

    assert texts(spf) == [b"v=spf1 include:zohomail.example -all"]
    assert texts(dmarc) == [b"v=DMARC1; p=none; rua=mailto:dmarc@acme.example"]
    assert {ns.to_text() for ns in names.answer[0]} == {"ns1.acme.example.", "ns2.acme.example."}
    assert {a[0].address for a in names.additional} == {"127.0.0.1"}


async def test_answers_are_authoritative(server: DnsEmulator) -> None:
    response = await ask(server, "ACME.example", flags=0)

    assert response.flags & dns.flags.AA
    assert not response.flags & dns.flags.RA


async def test_a_client_that_wants_recursion_gets_the_same_data_with_ra(
    server: DnsEmulator,
) -> None:
    response = await ask(server, "acme.example", flags=dns.flags.RD)

    assert response.flags & dns.flags.RA
    assert texts(response) == [b"v=spf1 include:zohomail.example -all"]


async def test_a_long_text_is_one_record_of_255_byte_strings(server: DnsEmulator) -> None:
    server.publish("s._domainkey.acme.example", KEY)

    record = (await ask(server, "s._domainkey.acme.example")).answer[0][0]

    assert [len(string) for string in record.strings] == [255, 146]
    assert server.txt("S._DomainKey.acme.example.") == [KEY]


async def test_strings_given_as_a_list_stay_as_they_are(server: DnsEmulator) -> None:
    server.publish("s.acme.example", ["k=rsa;", " p=AA", ""])

    record = (await ask(server, "s.acme.example")).answer[0][0]

    assert record.strings == (b"k=rsa;", b" p=AA", b"")
    assert server.txt("s.acme.example") == ["k=rsa; p=AA"]


async def test_publishing_replaces_and_adding_puts_a_second_record_beside(
    server: DnsEmulator,
) -> None:
    server.publish("s.acme.example", "old")
    server.publish("s.acme.example", "new", ttl=60)
    server.publish("s.acme.example", "other", ttl=60, add=True)

    response = await ask(server, "s.acme.example")

    assert sorted(texts(response)) == [b"new", b"other"]
    assert response.answer[0].ttl == 60


async def test_an_unknown_name_is_nxdomain_with_the_soa_to_cache_it_by(server: DnsEmulator) -> None:
    response = await ask(server, "nothing.acme.example")

    assert response.rcode() == Rcode.NXDOMAIN
    assert response.authority[0].name.to_text() == "acme.example."
    assert response.authority[0].ttl == 300
    assert response.flags & dns.flags.AA


async def test_a_name_with_other_records_only_is_no_data(server: DnsEmulator) -> None:
    response = await ask(server, "ns1.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert response.answer == []
    assert response.authority[0].rdtype == dns.rdatatype.SOA


async def test_a_name_that_only_has_names_under_it_is_no_data(server: DnsEmulator) -> None:
    server.publish("s._domainkey.mail.acme.example", KEY)

    response = await ask(server, "_domainkey.mail.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert response.answer == []


async def test_an_alias_is_followed_inside_the_zone(server: DnsEmulator) -> None:
    server.publish("s.acme.example", "alias.acme.example", type="CNAME")
    server.publish("alias.acme.example", "found")

    response = await ask(server, "s.acme.example")

    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME", "TXT"]
    assert server.txt("s.acme.example") == ["found"]


async def test_an_alias_out_of_the_zone_is_the_whole_answer(server: DnsEmulator) -> None:
    server.publish("s.acme.example", "key.zoho.example", type="CNAME")

    response = await ask(server, "s.acme.example")

    assert response.rcode() == Rcode.NOERROR
    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME"]
    assert response.authority == []


async def test_an_alias_to_nothing_is_nxdomain(server: DnsEmulator) -> None:
    server.publish("s.acme.example", "gone.acme.example", type="CNAME")

    response = await ask(server, "s.acme.example")

    assert response.rcode() == Rcode.NXDOMAIN
    assert [rrset.rdtype.name for rrset in response.answer] == ["CNAME"]


async def test_aliases_in_a_circle_come_to_an_end(server: DnsEmulator) -> None:
    server.publish("a.acme.example", "b.acme.example", type="CNAME")
    server.publish("b.acme.example", "a.acme.example", type="CNAME")

    response = await ask(server, "a.acme.example")

    assert {rrset.rdtype.name for rrset in response.answer} == {"CNAME"}


async def test_a_wildcard_answers_for_names_that_do_not_exist(server: DnsEmulator) -> None:
    server.publish("*.acme.example", "any")

    response = await ask(server, "x.y.acme.example")

    assert texts(response) == [b"any"]
    assert response.answer[0].name.to_text() == "x.y.acme.example."


async def test_a_wildcard_does_not_reach_below_an_existing_name(server: DnsEmulator) -> None:
    server.publish("*.acme.example", "any")
    server.publish("s._domainkey.acme.example", KEY)

    below = await ask(server, "other._domainkey.acme.example")
    itself = await ask(server, "_domainkey.acme.example")

    assert below.rcode() == Rcode.NXDOMAIN
    assert itself.rcode() == Rcode.NOERROR
    assert itself.answer == []


async def test_a_name_below_a_delegation_is_referred(server: DnsEmulator) -> None:
    server.publish("sub.acme.example", "ns1.acme.example", type="NS")

    response = await ask(server, "s.sub.acme.example")

    assert response.answer == []
    assert response.authority[0].rdtype == dns.rdatatype.NS
    assert response.additional[0][0].address == "127.0.0.1"
    assert not response.flags & dns.flags.AA


@pytest.mark.parametrize("name", ["example", "other.example", "notacme.example"])
async def test_names_outside_the_zone_are_refused(server: DnsEmulator, name: str) -> None:
    response = await ask(server, name)

    assert response.rcode() == Rcode.REFUSED
    assert not response.flags & dns.flags.AA


async def test_too_much_for_udp_is_cut_and_whole_over_tcp(server: DnsEmulator) -> None:
    server.publish("big.acme.example", "x" * 3000)
    query = dns.message.make_query("big.acme.example", "TXT", use_edns=0, payload=4096)

    cut = await dns.asyncquery.udp(query, server.host, timeout=2, port=server.port)
    whole = await dns.asyncquery.tcp(query, server.host, timeout=2, port=server.port)

    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    assert texts(whole) == [b"x" * 3000]
    assert cut.payload == 1232


async def test_without_edns_512_bytes_is_the_most_over_udp(server: DnsEmulator) -> None:
    server.publish("key.acme.example", "x" * 600)

    plain = await ask(server, "key.acme.example", use_edns=None, payload=None)
    extended = await ask(server, "key.acme.example")

    assert plain.flags & dns.flags.TC
    assert not extended.flags & dns.flags.TC


async def test_a_client_that_takes_less_is_given_less(server: DnsEmulator) -> None:
    server.publish("key.acme.example", "x" * 800)

    response = await ask(server, "key.acme.example", payload=700)

    assert response.flags & dns.flags.TC


async def test_one_tcp_connection_takes_many_questions(server: DnsEmulator) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    wire = dns.message.make_query("acme.example", "TXT").to_wire(prepend_length=True)
    writer.write(wire + wire)

    first = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    second = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()

    assert texts(dns.message.from_wire(first)) == texts(dns.message.from_wire(second))


async def test_a_silent_server_answers_nobody_until_it_is_well_again(server: DnsEmulator) -> None:
    server.fault = "silent"
    query = dns.message.make_query("acme.example", "TXT").to_wire()

    unanswered = [server.respond(query, "udp"), server.respond(query, "tcp")]
    server.fault = None

    assert unanswered == [None, None]
    assert texts(await ask(server, "acme.example"))
    assert [entry.rcode for entry in server.queries] == [None, None, "NOERROR"]


@pytest.mark.parametrize(
    ("fault", "rcode"), [("servfail", Rcode.SERVFAIL), ("refused", Rcode.REFUSED)]
)
async def test_a_failing_server_says_so(server: DnsEmulator, fault: str, rcode: Rcode) -> None:
    server.fault = fault

    response = await ask(server, "acme.example")

    assert response.rcode() == rcode
    assert response.answer == []


async def test_every_question_is_on_record(server: DnsEmulator) -> None:
    await ask(server, "nothing.acme.example", flags=0)

    (query,) = server.queries

    assert (query.transport, query.name, query.type) == ("udp", "nothing.acme.example", "TXT")
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

    response = dns.message.from_wire(DnsEmulator().respond(query.to_wire(), "tcp") or b"")

    assert response.rcode() == rcode


def test_a_broken_packet_is_a_format_error_and_an_answer_is_ignored() -> None:
    broken = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\xff"
    answer = struct.pack("!6H", 7, 0x8180, 1, 0, 0, 0)

    response = DnsEmulator().respond(broken, "udp")

    assert response == struct.pack("!6H", 7, 0x8101, 0, 0, 0, 0)
    assert DnsEmulator().respond(answer, "udp") is None
    assert DnsEmulator().respond(b"\x00", "udp") is None


def test_no_packet_brings_it_down() -> None:
    emulator, dice = DnsEmulator(), random.Random(1)
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
    emulator = DnsEmulator()
    before = emulator.records()

    with pytest.raises(InputError) as refusal:
        emulator.publish(name, value, type=rdtype)

    assert sentence in str(refusal.value)
    assert emulator.records() == before


def test_a_ttl_is_a_whole_number_of_seconds() -> None:
    with pytest.raises(InputError, match="from 0 to 2147483647, not -1"):
        DnsEmulator().publish("a.acme.example", "x", ttl=-1)


def test_soa_and_name_servers_cannot_be_removed_but_others_can() -> None:
    emulator = DnsEmulator()

    with pytest.raises(InputError, match="cannot be removed"):
        emulator.remove("acme.example", "SOA")

    assert emulator.remove("_dmarc.acme.example", "TXT") is True
    assert emulator.remove("_dmarc.acme.example", "TXT") is False
    assert emulator.txt("_dmarc.acme.example") == []


def test_names_outside_or_no_names_have_no_txt() -> None:
    assert DnsEmulator().txt("other.example") == []
    assert DnsEmulator().txt("..") == []


def test_a_kept_state_comes_back_as_it_was() -> None:
    old = DnsEmulator("mail.example")
    old.publish("s.mail.example", ["half", "half"], ttl=5)
    old.publish("s.mail.example", "n\u00e4\u00efve \u2713", ttl=5, add=True)
    old.remove("ns2.mail.example", "A")
    old.fault = "servfail"

    new = DnsEmulator()
    new.load(old.dump())

    assert new.dump() == old.dump()
    assert new.zone == "mail.example"


def test_whoever_asked_is_told_of_each_change() -> None:
    emulator, told = DnsEmulator(), []
    emulator.on_change(lambda: told.append(emulator.txt("a.acme.example")))

    emulator.publish("a.acme.example", "x")
    emulator.remove("a.acme.example")

    assert told == [["x"], []]


async def test_a_port_that_is_taken_is_said_to_be(server: DnsEmulator) -> None:
    with pytest.raises(PortInUse, match=f"Port {server.port} on 127.0.0.1 is in use"):
        await DnsEmulator().start(port=server.port)


async def test_the_dotenv_lines_point_at_the_server(running: RunningDns) -> None:
    address = f"127.0.0.1:{running.emulator.port}"

    assert running.dotenv() == [
        f"MAILCFG_DNS_SERVERS={address}",
        f"MAILCFG_DNS_AUTHORITATIVE={address}",
        f"DNS_CONTROL_URL=http://127.0.0.1:{running.control.port}/__control",
        f"DNS_CONTROL_TOKEN={running.control_token}",
    ]


async def test_the_control_endpoint_needs_its_token(running: RunningDns) -> None:
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.get(f"{running.control.url}/__control/state")

    assert answer.status_code == 401


async def test_a_record_published_by_control_is_served_and_removed_again(
    running: RunningDns, control: httpx.AsyncClient
) -> None:
    record = {"name": "s.acme.example", "type": "TXT", "value": KEY, "ttl": 60}

    listed = (await control.put("/records", json=record)).json()["records"]
    served = await ask(running.emulator, "s.acme.example")
    gone = await control.request("DELETE", "/records", json={"name": "s.acme.example"})

    assert {"name": "s.acme.example", "type": "TXT", "ttl": 60, "values": [KEY]} in listed
    assert texts(served) == [KEY.encode()]
    assert gone.json() == {"removed": True}
    assert running.emulator.txt("s.acme.example") == []


async def test_the_whole_zone_is_replaced_at_once_or_not_at_all(
    running: RunningDns, control: httpx.AsyncClient
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
    running: RunningDns, control: httpx.AsyncClient
) -> None:
    await control.put("/fault", json={"fault": "servfail"})
    await ask(running.emulator, "acme.example")

    state = (await control.get("/state")).json()
    queries = (await control.get("/queries")).json()["queries"]

    assert state["fault"] == "servfail"
    assert state["address"] == running.emulator.address
    assert [query["rcode"] for query in queries] == ["SERVFAIL"]
    assert (await control.delete("/queries")).json() == {"queries": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("PUT", "/records", b"{", "the body is not JSON"),
        ("PUT", "/records", b"[]", "the body must be a JSON object"),
        ("PUT", "/records", b"{}", '"name" must be a text'),
        ("PUT", "/records", b'{"name": "a.acme.example"}', '"value" must be a text, or the list'),
        ("PUT", "/records", b'{"name": "a.b", "value": "x"}', "is not in the zone acme.example"),
        ("PUT", "/records", b'{"name": "a.acme.example", "value": "x", "ttl": "1"}', "The TTL is"),
        ("PUT", "/records", b'{"name": "a.b", "value": "x", "add": 1}', '"add" must be true'),
        ("DELETE", "/records", b'{"name": "acme.example", "type": "SOA"}', "cannot be removed"),
        ("PUT", "/zone", b'{"records": [5]}', "each record must be a JSON object"),
        ("PUT", "/zone", b'{"records": [{"name": "a.b", "values": "x"}]}', '"values" must be'),
        ("PUT", "/fault", b'{"fault": "gone"}', "it is one of silent, servfail, refused, or null"),
        ("PUT", "/fault", b"{}", '"fault" must be a text, or null'),
    ],
)
async def test_bad_control_calls_get_a_sentence(
    control: httpx.AsyncClient, method: str, path: str, body: bytes, sentence: str
) -> None:
    answer = await control.request(method, path, content=body)

    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
