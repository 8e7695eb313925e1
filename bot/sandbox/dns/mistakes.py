"""Things people do wrong when they publish a DKIM record, each at one click.

Every mistake starts from a zone in which the one before is tidied up, so they can be tried in any
order. They are made of plain DNS: whether and how they are found out is the bot's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from bot.sandbox.cliq.keys import EXPONENT, dkim_value, public_part
from bot.sandbox.dns.emulator import DnsEmulator

CUT_AT = 200
"""Characters that come through where a panel cuts a value off; every key is longer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The record that Zoho asks for: its full name and its value."""

    host: str
    value: str

    @property
    def selector(self) -> str:
        return self.host.partition("._domainkey.")[0]

    @property
    def domain(self) -> str:
        return self.host.partition("._domainkey.")[2]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`label` is what somebody did, in the words of whoever finds out."""

    label: str
    make: Callable[[DnsEmulator, Wanted], None]


def publish(dns: DnsEmulator, wanted: Wanted) -> None:
    """What the DNS owner should do."""
    tidy(dns, wanted)
    dns.publish(wanted.host, wanted.value)


def tidy(dns: DnsEmulator, wanted: Wanted) -> None:
    """Take away whatever a mistake may have left; the record itself too."""
    for name in (wanted.host, *_wrong_names(dns, wanted)):
        for kind in ("TXT", "CNAME"):
            dns.remove(name, kind)


def _wrong_names(dns: DnsEmulator, wanted: Wanted) -> tuple[str, str, str]:
    doubled = f"{wanted.host}.{dns.zone}"
    return doubled, f"{wanted.selector}.{wanted.domain}", f"*.{dns.zone}"


def _doubled(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(_wrong_names(dns, wanted)[0], wanted.value)


def _no_domainkey(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(_wrong_names(dns, wanted)[1], wanted.value)


def _wildcard(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(_wrong_names(dns, wanted)[2], "v=spf1 -all")


def _cut(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, wanted.value[:CUT_AT])


def _quoted(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, f'"{wanted.value}"')


def _halves(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, wanted.value[:CUT_AT])
    dns.publish(wanted.host, wanted.value[CUT_AT:], add=True)


def _damaged(dns: DnsEmulator, wanted: Wanted) -> None:
    middle = len(wanted.value) // 2
    dns.publish(wanted.host, wanted.value[:middle] + wanted.value[middle + 4 :])


def _old_key(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, dkim_value(generate_private_key(EXPONENT, 2048)))


def _revoked(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, "v=DKIM1; k=rsa; p=")


def _old_hash(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, f"v=DKIM1; h=sha1; k=rsa; p={public_part(wanted.value)}")


def _test_mode(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, f"v=DKIM1; t=y; k=rsa; p={public_part(wanted.value)}")


def _alias(dns: DnsEmulator, wanted: Wanted) -> None:
    dns.publish(wanted.host, f"key.zoho.example.{dns.zone}.", type="CNAME")


MISTAKES: dict[str, Mistake] = {
    "doubled": Mistake("types the zone twice in the name", _doubled),
    "no_domainkey": Mistake("forgets _domainkey in the name", _no_domainkey),
    "cut": Mistake("pastes a value that the panel cuts off", _cut),
    "damaged": Mistake("loses four characters in the middle", _damaged),
    "quoted": Mistake("types the quotes as well", _quoted),
    "halves": Mistake("pastes the two halves as two records", _halves),
    "old_key": Mistake("publishes the key of another sender", _old_key),
    "revoked": Mistake("leaves the key empty", _revoked),
    "old_hash": Mistake("allows old hashes only (h=sha1)", _old_hash),
    "test_mode": Mistake("leaves the test mode on (t=y)", _test_mode),
    "wildcard": Mistake("has a wildcard answer instead", _wildcard),
    "alias": Mistake("makes an alias without its final dot", _alias),
}


def make(dns: DnsEmulator, wanted: Wanted, mistake: str) -> None:
    """Make one of MISTAKES in place of the right record. Raises KeyError for another word."""
    chosen = MISTAKES[mistake]
    tidy(dns, wanted)
    chosen.make(dns, wanted)
