"""Things people do wrong: each leaves a zone in which the record is not right, and can be mended."""

from __future__ import annotations

import pytest

from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.dns.mistakes import MISTAKES, Wanted, make, publish

WANTED = Wanted(
    "1795379842437._domainkey.mail.acme.example",
    "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA" + "x" * 345 + "QIDAQAB",
)


def published(dns: DnsEmulator) -> bool:
    return dns.txt(WANTED.host) == [WANTED.value]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_takes_the_place_of_the_right_record_until_it_is_published(mistake: str):
    dns = DnsEmulator()
    publish(dns, WANTED)
    right = dns.records()

    make(dns, WANTED, mistake)
    assert not published(dns)

    publish(dns, WANTED)
    assert dns.records() == right


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_do_not_add_up(mistake: str):
    fresh, used = DnsEmulator(), DnsEmulator()
    for earlier in MISTAKES:
        make(used, WANTED, earlier)

    make(fresh, WANTED, mistake)
    make(used, WANTED, mistake)

    assert [r["name"] for r in used.records()] == [r["name"] for r in fresh.records()]
