"""DKIM key records, read from real keys."""

from __future__ import annotations

import pytest

from bot.domain.dkim import (
    Record,
    fingerprint,
    key_bits,
    public_key,
    same_record,
    split_value,
    tags,
)
from tests.fakes import KEYS, dkim_value

KEY = dkim_value(2048)
ED25519 = "k=ed25519; p=MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize("which", range(6))
def test_the_size_of_a_key_is_read_from_the_key(bits: int, which: int):
    assert key_bits(dkim_value(bits, which)) == bits


@pytest.mark.parametrize(
    "record",
    ["", "k=rsa", "k=rsa; p=", "p=!!!", "p=AAAA", "p=ä", "nonsense", "p=A", ED25519, KEY[:-20]],
)
def test_an_unusable_key_has_no_size(record: str):
    assert key_bits(record) is None


def test_tags_are_read_without_their_white_space():
    assert tags(" v = DKIM1 ;k=rsa;; junk ; p = a b= ") == {"v": "DKIM1", "k": "rsa", "p": "a b="}


def test_white_space_and_padding_do_not_make_another_key():
    spaced = f"v=DKIM1; k=rsa; p={KEYS['2048'][0][:200]} \t{KEYS['2048'][0][200:]}"

    assert same_record(KEY, spaced)
    assert public_key("p=QQ==") == "QQ"


def test_two_keys_are_two_and_no_key_is_none():
    assert not same_record(KEY, dkim_value(2048, 1))
    assert not same_record("v=DKIM1; p=", "nothing")
    assert not same_record(KEY, "")
    assert same_record("", "")


def test_fingerprints_tell_all_keys_apart():
    values = [dkim_value(int(bits), i) for bits, keys in KEYS.items() for i in range(len(keys))]

    assert len({fingerprint(value) for value in values}) == len(values)
    assert all(len(fingerprint(value)) == 8 for value in values)
    assert not any(fingerprint(value).endswith("IDAQAB") for value in values)


def test_a_long_value_is_split_into_strings_of_at_most_255_bytes():
    parts = split_value(KEY).split(" ")

    assert split_value("short") == '"short"'
    assert split_value("") == '""'
    assert split_value("a" * 256) == f'"{"a" * 255}" "a"'
    assert max(len(part) for part in parts) <= 257


def test_a_record_is_named_relative_to_its_zone():
    name = "1._domainkey.mail.acme.example"

    assert Record(name, KEY, "Acme.Example").relative_name == "1._domainkey.mail"
    assert Record(name, KEY).relative_name is None
    assert Record(name, KEY, "other.example").relative_name is None
    assert Record(name, KEY).split == split_value(KEY)
