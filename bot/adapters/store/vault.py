"""Encrypts what must not be readable in a copy of the database.

AES-256-GCM (NIST SP 800-38D) under a key derived from the deployment's secret key with HKDF (RFC
5869), so that the key which seals votes is never used for anything else. The first secret key
encrypts, all decrypt; each text names its key. A text is bound to its place: moved to another row or
column it does not open.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"mailcfg stored tokens"
NONCE_BYTES = 12


class Vault:
    """`random` gives as many fresh random bytes as it is asked for."""

    def __init__(self, keys: Sequence[bytes], random: Callable[[int], bytes] = os.urandom) -> None:
        derived = [_derived(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in derived}
        self._first = _key_id(derived[0])
        self._random = random

    def lock(self, secret: str, place: str) -> str:
        """`<key id>.<base64>` of the secret, which opens at this place only."""
        nonce = self._random(NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, secret.encode(), place.encode())
        return f"{self._first}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, text: str, place: str) -> str | None:
        """The secret; None where its key is no longer listed, or the text is not what was stored."""
        key_id, _, encoded = text.partition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            return None
        try:
            raw = base64.b64decode(encoded, validate=True)
            opened = cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            return None
        return opened.decode()


def _derived(key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key)


def _key_id(derived: bytes) -> str:
    return hashlib.sha256(derived).hexdigest()[:8]
