"""DKIM keys of the emulated Cliq: real RSA keys."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import cycle

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

EXPONENT = 65537


class KeyPool:
    """Keys on request, each time another one.

    With `fixed` keys, those are handed out in turn, for equal answers on equal inputs; a size that
    is not among them is generated.
    """

    def __init__(self, fixed: Iterable[RSAPrivateKey] = ()) -> None:
        keys = list(fixed)
        self._fixed = {
            bits: cycle([key for key in keys if key.key_size == bits])
            for bits in {key.key_size for key in keys}
        }

    def take(self, bits: int) -> RSAPrivateKey:
        """A key of `bits` bits; to make one of 2048 takes about a tenth of a second."""
        return (
            next(self._fixed[bits]) if bits in self._fixed else generate_private_key(EXPONENT, bits)
        )


def dkim_value(key: RSAPrivateKey) -> str:
    """The TXT content as Cliq prints it: without the optional `v=` (RFC 6376 section 3.6.1)."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"k=rsa; p={base64.b64encode(der).decode()}"


def key_bits(value: str) -> int | None:
    """Size of the RSA key in a `dkim_value`; None if it holds none, which a forced value may."""
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_part(value)))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return getattr(key, "key_size", None)


def public_part(value: str) -> str:
    """The text of `p=`, without white space; empty if there is none."""
    for tag in value.split(";"):
        name, _, text = tag.partition("=")
        if name.strip() == "p":
            return "".join(text.split())
    return ""


def private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
