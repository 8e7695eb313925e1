"""DKIM key records, read from real keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.dkim import (
    Damage,
    KeyRecord,
    Record,
    conflicting_tag,
    fingerprint,
    key_bits,
    key_damage,
    public_key,
    read,
    split_value,
    tags,
)
from bot.domain.verdict import RecordKind, kind_of
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
    assert public_key("v=DKIM1; k=rsa; p=Q \tQ==") == "QQ"


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


P = KEYS["2048"][0]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (f'"k=rsa; p={P}"', "a literal quotation mark at character 1"),
        (f"k=rsa\\; p={P}", "a literal backslash at character 6"),
        ("k=rsa; p=AB\x00C", "the control character U+0000 at character 12"),
        ("k=rsa; p=AB\u2019C", "the non-ASCII character U+2019 (right single quotation mark) at "
         "character 12"),
        ("k=rsa; ; p=ABC", "an empty tag at character 7"),
        ("k=rsa; rsa; p=ABC", "`rsa`, which is no name=value, at character 7"),
        ("k=rsa; 2=x; p=ABC", "`2=x`, which is no name=value, at character 7"),
        ("k=rsa; p=ABC; k=rsa", "a second k= tag at character 14"),
        ("v=spf1 -all", "no p= tag at character 13"),
        ("", "no p= tag at character 1"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_said_with_its_place(record: str, said: str):
    assert str(read(record)) == said


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ("MI.B", "`.`, which is no base64, at character 11"),
        ("MIIB", "a p= that holds no complete key at character 9"),
        ("====", "a p= that holds no complete key at character 9"),
        (P, "None"),
        (f"{P[:9]} \t{P[9:]}", "None"),
    ],
)
def test_a_damaged_key_is_said_with_its_place(p: str, said: str):
    record = read(f"k=rsa;p={p};")

    assert isinstance(record, KeyRecord)
    assert str(key_damage(record)) == said


@pytest.mark.parametrize(
    ("record", "tag"),
    [
        (KEY, None),
        (f"v=DKIM1; t=s; h=sha256; s=*; {KEY}", None),
        (f"k=rsa; v=DKIM1; p={P}", "v=DKIM1 (not in first place)"),
        (f"v=DKIM2; p={P}", "v=DKIM2"),
        (f"k=ed25519; p={P}", "k=ed25519"),
        (f"h=sha1:sha512; p={P}", "h=sha1:sha512"),
        (f"s=tlsrpt; p={P}", "s=tlsrpt"),
        (f"h=; p={P}", "h="),
    ],
)
def test_a_tag_that_forbids_the_use_of_a_right_key_is_named(record: str, tag: str | None):
    sound = read(record)

    assert isinstance(sound, KeyRecord)
    assert conflicting_tag(sound, KEY) == tag


@given(st.text())
def test_any_text_is_a_record_or_has_a_damage_inside_it(text: str):
    found = read(text)

    if isinstance(found, Damage):
        assert 1 <= found.position <= len(text) + 2
        return
    damage = key_damage(found)
    assert damage is None or 1 <= damage.position <= len(text) + 1
    assert kind_of(text, KEY) is not RecordKind.MISSING
