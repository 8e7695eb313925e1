"""The name of a key record, its slips, and the names where policies stand."""

from __future__ import annotations

import pytest

from bot.domain.key_host import KeyHost, a_labels, is_registry, policy_domains

LONG = "x" * 63


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("S1._domainkey.ACME.example.", KeyHost("s1", "acme.example")),
        ("a.b._domainkey.mail.acme.example", KeyHost("a.b", "mail.acme.example")),
        ("1._domainkey.bücher.example", KeyHost("1", "xn--bcher-kva.example")),
        ("acme.example", None),
        ("._domainkey.acme.example", None),
        ("1._domainkey.", None),
        (f"{LONG}x._domainkey.acme.example", None),
        (f"1._domainkey.{'.'.join([LONG] * 4)}", None),
        ("1._domainkey.a..example", None),
        ("", None),
    ],
)
def test_a_host_is_a_selector_and_a_domain_or_none(text: str, host: KeyHost | None):
    assert KeyHost.of(text) == host


def test_slips_come_in_the_order_in_which_they_are_likely():
    assert KeyHost("1", "mail.acme.example").slips("acme.example") == (
        "1._domainkey.mail.acme.example.acme.example",
        "1.domainkey.mail.acme.example",
        "1.mail.acme.example",
        "_domainkey.mail.acme.example",
        "acme.example",
        "mail.acme.example",
        "1._domainkey.acme.example",
    )


def test_slips_out_of_the_zone_or_too_long_are_left_out():
    here = KeyHost("1", "acme.example")
    far = KeyHost("1", ".".join([LONG, LONG, "acme.example"]))

    assert "1._domainkey.example" not in here.slips("acme.example")
    assert all(len(name) <= 253 for name in far.slips("acme.example"))
    assert f"{far}.{far.domain}" not in far.slips(far.domain)


@pytest.mark.parametrize("domain", ["example", "com", "co.uk", "com.au", "org.nz", "ne.jp"])
def test_a_registry_is_nobodys_own(domain: str):
    assert is_registry(domain)


@pytest.mark.parametrize("domain", ["acme.example", "cool.uk", "acme.co.uk", "co.example"])
def test_an_own_domain_is_no_registry(domain: str):
    assert not is_registry(domain)


def test_a_policy_is_looked_for_up_to_the_registered_domain():
    assert policy_domains("a.b.acme.co.uk") == ("a.b.acme.co.uk", "b.acme.co.uk", "acme.co.uk")
    assert policy_domains("example") == ("example",)
    assert len(policy_domains(".".join(["a"] * 100))) == 8


def test_a_name_without_a_labels_stays_as_it_is():
    assert a_labels("\u0000ü..example") == "\u0000ü..example"
