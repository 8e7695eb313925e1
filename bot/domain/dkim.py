"""DKIM key records: reading them strictly, comparing keys, and the record to publish.

Pure: records come in as text. `read` says where a record is damaged, because lenient verifiers
accept what strict ones reject; `tags` reads what it can, as those do. Sources: RFC 6376 sections
3.2 and 3.6.1 (tag lists, key records), RFC 8301 (key sizes), RFC 8463 (Ed25519).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

STRING_MAX = 255
"""Bytes of one character-string of a TXT record (RFC 1035 section 3.3)."""
WHITE = " \t\r\n"
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
FOREIGN = re.compile(r'[^\t\r\n -~]|["\\]')
"""What no key record needs, and a copy or a panel adds."""
LITERAL = {'"': "quotation mark", "\\": "backslash"}
ED25519_BYTES = 32
SHOWN_MAX = 40
"""Characters of a tag that a sentence quotes."""


def tags(record: str) -> dict[str, str]:
    """The tags of a `name=value; …` list (RFC 6376 section 3.2); damaged parts are left out."""
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip(WHITE): value.strip(WHITE) for name, equals, value in parts if equals}


def public_key(record: str) -> str:
    """The base64 text of `p=`, free of the white space and padding that do not matter; "" if none."""
    return re.sub(r"[ \t\r\n]", "", tags(record).get("p", "")).rstrip("=")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that can be used: `rsa` or `ed25519`, and its size in bits."""

    kind: str
    bits: int


def key_of(record: str) -> Key | None:
    """The key in `p=`, of the type that `k=` names (none: rsa); None if it cannot be used.

    An unknown type is tried as rsa, so that a right key under a wrong `k=` is still recognised.
    """
    text = public_key(record)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        if tags(record).get("k") == "ed25519":
            return Key("ed25519", 256) if len(raw) == ED25519_BYTES else None
        key = load_der_public_key(raw)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return Key("rsa", key.key_size) if isinstance(key, RSAPublicKey) else None


def key_bits(record: str) -> int | None:
    """Size of the RSA key in bits; None if there is no usable one."""
    key = key_of(record)
    return key.bits if key is not None and key.kind == "rsa" else None


@dataclass(frozen=True, slots=True)
class Damage:
    """What keeps a record from being a key record, and at which character it is (from 1)."""

    what: str
    position: int

    def __str__(self) -> str:
        return f"{self.what} at character {self.position}"


@dataclass(frozen=True, slots=True)
class Tag:
    """One `name=value` of a record; `position` is that of the value's first character, from 1."""

    name: str
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A sound tag list with a `p=`; whether the key in it can be used is another question."""

    tags: tuple[Tag, ...]

    def value(self, name: str) -> str | None:
        return next((tag.value for tag in self.tags if tag.name == name), None)

    def words(self, name: str) -> list[str] | None:
        """The parts of a colon-separated value; None without the tag."""
        value = self.value(name)
        return None if value is None else [word.strip(WHITE) for word in value.split(":")]

    @property
    def is_revoked(self) -> bool:
        """An empty `p=` says that the key is withdrawn (RFC 6376 section 3.6.1)."""
        return self.value("p") == ""

    @property
    def is_test(self) -> bool:
        return "y" in (self.words("t") or [])


def read(record: str) -> KeyRecord | Damage:
    """The record as a strict verifier reads it, or its first damage."""
    if damage := _bad_character(record):
        return damage
    found: dict[str, Tag] = {}
    position = 1
    body = record.rstrip(WHITE).removesuffix(";")
    for part in body.split(";") if body else ():
        tag = _read_tag(part, position)
        if isinstance(tag, Damage):
            return tag
        if tag.name in found:
            return Damage(f"a second {tag.name}= tag", position)
        found[tag.name] = tag
        position += len(part) + 1
    if "p" not in found:
        return Damage("no p= tag", position)
    return KeyRecord(tuple(found.values()))


def _bad_character(record: str) -> Damage | None:
    found = FOREIGN.search(record)
    if found is None:
        return None
    character, position = found[0], found.start() + 1
    if character in LITERAL:
        return Damage(f"a literal {LITERAL[character]}", position)
    code = f"U+{ord(character):04X}"
    if character.isascii():
        return Damage(f"the control character {code}", position)
    name = unicodedata.name(character, "unnamed").lower()
    return Damage(f"the non-ASCII character {code} ({name})", position)


def _read_tag(part: str, position: int) -> Tag | Damage:
    name, equals, value = part.partition("=")
    if not part.strip(WHITE):
        return Damage("an empty tag", position)
    if not equals or not TAG_NAME.fullmatch(name.strip(WHITE)):
        return Damage(f"`{_shortened(part)}`, which is no name=value,", position)
    first = len(value) - len(value.lstrip(WHITE))
    return Tag(name.strip(WHITE), value.strip(WHITE), position + len(name) + 1 + first)


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_MAX else f"{flat[:SHOWN_MAX]}…"


def key_damage(record: KeyRecord) -> Damage | None:
    """Where `p=` stops being a key: no base64, or base64 of something else."""
    tag = next(tag for tag in record.tags if tag.name == "p")
    for position, character in enumerate(tag.value, start=tag.position):
        if character not in WHITE and not BASE64.fullmatch(character):
            return Damage(f"`{character}`, which is no base64,", position)
    if key_of(f"k={record.value('k') or 'rsa'}; p={tag.value}") is None:
        return Damage("a p= that holds no complete key", tag.position)
    return None


def lenient_key(record: str) -> str:
    """The key that a lenient verifier finds: whatever is no base64 is skipped."""
    return re.sub(r"[^A-Za-z0-9+/]", "", tags(record).get("p", ""))


def conflicting_tag(record: KeyRecord, dkim_value: str) -> str | None:
    """The tag (`h=sha1`) that keeps some receivers from using a right key; None if there is none.

    `v` must be DKIM1 and come first, `k` be the type of Zoho's key, `h` allow sha256, `s` allow mail
    (RFC 6376 section 3.6.1).
    """
    version, kind = record.value("v"), record.value("k") or "rsa"
    hashes, services = record.words("h"), record.words("s")
    if version is not None and (version != "DKIM1" or record.tags[0].name != "v"):
        where = "" if version != "DKIM1" else " (not in first place)"
        return f"v={_shortened(version)}{where}"
    if kind != tags(dkim_value).get("k", "rsa"):
        return f"k={_shortened(kind)}"
    if hashes is not None and "sha256" not in hashes:
        return f"h={_shortened(':'.join(hashes))}"
    if services is not None and not {"email", "*"} & set(services):
        return f"s={_shortened(':'.join(services))}"
    return None


def fingerprint(record: str) -> str:
    """Eight characters that tell two keys apart.

    Never the last six of `p=`: every usual RSA key ends in `IDAQAB`, the exponent 65537.
    """
    return public_key(record)[-14:-6]


def split_value(value: str) -> str:
    """A TXT value in zone-file notation: strings of at most 255 bytes, joined by the reader."""
    chunks = [value[i : i + STRING_MAX] for i in range(0, len(value), STRING_MAX)] or [""]
    return " ".join(f'"{chunk}"' for chunk in chunks)


@dataclass(frozen=True, slots=True)
class Record:
    """The TXT record that must be published for the live configuration to pass DKIM.

    `name` is the full host without final dot; `relative_name` is what most panels want, relative to
    the zone; it is None where the zone is not known.
    """

    name: str
    value: str
    zone: str | None = None

    @property
    def relative_name(self) -> str | None:
        suffix = f".{self.zone}"
        if self.zone and self.name.lower().endswith(suffix.lower()):
            return self.name[: -len(suffix)]
        return None

    @property
    def split(self) -> str:
        return split_value(self.value)


@dataclass(frozen=True, slots=True)
class TxtAnswer:
    """What one server said about the host.

    `values` are the joined TXT strings; empty is a definite "no such record"; None is no definite
    answer, and `problem` says why.
    """

    server: str
    values: tuple[str, ...] | None
    problem: str = ""
    is_authoritative: bool = False
