"""A second opinion: messages really signed, verified by dkimpy through the answers that we judged.

Each case of `samples/dkim_cases.yaml` that only changes TXT records is played with a key whose
private part is known. Where dkimpy and our verdict differ, the reason stands here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from bot.domain.dkim import public_key
from bot.domain.findings import Diagnosis
from bot.sandbox.cliq.keys import dkim_value, private_pem
from tests.adapters.dkim_scene import CASES, SELECTOR, Scene

TRY_SECONDS = 0.5
MESSAGE = (
    b"From: Acme IT <it@acme.example>\r\nTo: a@b.example\r\nSubject: Hello\r\n"
    b"Date: Mon, 2 Mar 2026 09:00:00 +0000\r\nMessage-ID: <1@acme.example>\r\n\r\nHello.\r\n"
)
ABOUT = {"id", "why", "rules", "example", "expect", "state", "severity", "says", "zone", "api"}
SIGNED = [
    case
    for case in CASES
    if set(case) <= ABOUT and "zone" in case and set(case.get("api", {})) <= {"dkim_status"}
]
DIFFERENCES = {
    "sha1-only": "dkimpy does not look at h= of the key record (RFC 6376 section 3.6.1).",
    "sha256-among-others": "dkimpy reads s= as one word; it is a list (RFC 6376 section 3.6.1).",
    "version-in-second-place": "dkimpy does not look at the order; v= comes first (section 3.6.1).",
    "prose-in-front": "dkimpy tests the beginning of a tag's name only, so `Value: k` is one to it.",
    "no-break-space": "dkimpy skips what is no base64 inside p=, other verifiers refuse it.",
    "quotes-between-the-halves": "the same.",
    "old-and-new-key": "dkimpy was given the right one of two records; receivers pick any of them "
    "(RFC 6376 section 3.6.2.2).",
}
"""The cases on which dkimpy and our verdict differ, and why ours stands."""


@pytest.fixture(scope="module", params=[1024, 2048])
def key(request: pytest.FixtureRequest) -> RSAPrivateKey:
    return generate_private_key(65537, request.param)


def verifies(found: Diagnosis, key: RSAPrivateKey) -> bool:
    """Whether dkimpy accepts a message signed with the key, given what DNS said."""
    answers = found.case.answers
    assert answers is not None
    mine = public_key(dkim_value(key))
    # Of several records the one with the key, which is the luckiest pick.
    texts = sorted(answers.truth[0].texts, key=lambda text: public_key(text) != mine)
    signature = dkim.sign(
        MESSAGE, SELECTOR.encode(), b"acme.example", private_pem(key).encode(), logger=QUIET
    )

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        assert name == f"{answers.host}.".encode()
        return texts[0].encode() if texts else None

    try:
        return bool(dkim.verify(signature + MESSAGE, dnsfunc=look_up, minkey=1024, logger=QUIET))
    except (dkim.DKIMException, ValueError, IndexError):  # it raises what base64 and DER raise
        return False


QUIET = logging.getLogger("dkimpy")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False  # it logs every refusal as an error


async def played(case: dict[str, Any], key: RSAPrivateKey) -> Diagnosis:
    value = dkim_value(key)
    api = {**case.get("api", {}), "dkim_value": value}
    return await Scene(case | {"api": api}).play(try_seconds=TRY_SECONDS)


def test_dkimpy_agrees_or_the_difference_is_explained(key: RSAPrivateKey):
    async def play_all() -> list[Diagnosis]:
        return [await played(case, key) for case in SIGNED]

    said = {
        case["id"]: (not found.case.is_broken, verifies(found, key))
        for case, found in zip(SIGNED, asyncio.run(play_all()), strict=True)
    }

    assert len(said) >= 40
    assert {i for i, (ours, theirs) in said.items() if ours != theirs} == set(DIFFERENCES)
