"""DKIM key records: reading them, and saying whether DNS publishes the key that Zoho signs with.

Pure: records come in as text, findings go out as values. Sources: RFC 6376 sections 3.2 and 3.6.1
(tag lists, key records), RFC 8301 (key sizes).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

STRING_MAX = 255
"""Bytes of one character-string of a TXT record (RFC 1035 section 3.3)."""


def tags(record: str) -> dict[str, str]:
    """The tags of a `name=value; …` list (RFC 6376 section 3.2); damaged parts are left out."""
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip(): value.strip() for name, equals, value in parts if equals}


def public_key(record: str) -> str:
    """The base64 text of `p=`, free of the white space and padding that do not matter; "" if none."""
    return "".join(tags(record).get("p", "").split()).rstrip("=")


def same_record(one: str, other: str) -> bool:
    """Whether two values publish the same key: the same `p=`, however it is spaced.

    Values without a key are the same only if they are the same text.
    """
    if one.strip() == other.strip():
        return True
    return public_key(one) != "" and public_key(one) == public_key(other)


def key_bits(record: str) -> int | None:
    """Size of the RSA key in bits; None if there is no usable one."""
    text = public_key(record)
    try:
        der = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        key = load_der_public_key(der)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key.key_size if isinstance(key, RSAPublicKey) else None


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


class Publication(StrEnum):
    """What DNS says about the key record."""

    RIGHT = "right"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


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


def judge(dkim_value: str, answers: tuple[TxtAnswer, ...]) -> Publication:
    """Whether DNS publishes the key of `dkim_value`.

    Authoritative servers hold the truth; resolvers decide only where no authoritative server gives
    a definite answer. Where servers disagree, or nobody answers, nothing is claimed.
    """
    definite = [a for a in answers if a.values is not None]
    truth = [a for a in definite if a.is_authoritative] or definite
    verdicts = {_judge_one(dkim_value, answer.values or ()) for answer in truth}
    return verdicts.pop() if len(verdicts) == 1 else Publication.UNKNOWN


def _judge_one(dkim_value: str, values: tuple[str, ...]) -> Publication:
    if not values:
        return Publication.MISSING
    if len(values) == 1 and public_key(dkim_value) and same_record(values[0], dkim_value):
        return Publication.RIGHT
    return Publication.DIFFERENT
