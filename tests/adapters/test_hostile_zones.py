"""Ten zones that mean harm, over real DNS: each ends in a finding or an unknown, and in a card."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.adapters.slack.cards import answers
from bot.adapters.slack.cards.parts import Rendered
from bot.domain.findings import Diagnosis, FindingId
from bot.domain.report import as_text
from bot.services.check import Checked
from tests.adapters.dkim_scene import Scene
from tests.adapters.slack.reading import live_tokens, problems
from tests.fakes import MORNING

EVERYWHERE = ("ns1", "ns2", "r1", "r2")
MENTION = "<!channel> <@U0EVIL> <https://evil.example|your bank> *In force* `code`"
ZONES: dict[str, dict[str, Any]] = {
    "a record as long as an answer can be": {"zone": {"{host}": ["x" * 59_500]}},
    "a key as long as an answer can be": {"zone": {"{host}": ["k=rsa; p=" + "A" * 59_500]}},
    "two hundred records": {"zone": {"{host}": [f"{MENTION} {n}" for n in range(200)]}},
    "control characters": {"zone": {"{host}": ["k=rsa; \x00\x1b[31m\u202e\r\n p={p}"]}},
    "a mention for a record": {"zone": {"{host}": [MENTION]}},
    "a mention for a tag": {"zone": {"{host}": ["k=rsa; h=<!channel>; p={p}"]}},
    "an endless alias": {name: {"fault": "endless"} for name in EVERYWHERE},
    "an alias in a circle": {
        "aliases": {"{host}": "a.acme.example.", "a.acme.example": "{host}."},
    },
    "an alias to a mention": {"aliases": {"{host}": "<!channel>.evil.example."}},
    "a policy that mentions": {
        "zone": {"{host}": [], "_dmarc.{from}": ["v=DMARC1; p=<!channel>; sp=reject"]},
    },
    "bytes that are no message": {name: {"fault": "garbage"} for name in EVERYWHERE},
}
"""The last one is for luck."""


@pytest.fixture(scope="module")
def played() -> dict[str, Diagnosis]:
    async def play_all() -> list[Diagnosis]:
        scenes = [Scene(case) for case in ZONES.values()]
        return await asyncio.gather(*(scene.play(try_seconds=0.5) for scene in scenes))

    return dict(zip(ZONES, asyncio.run(play_all()), strict=True))


def card(found: Diagnosis) -> Rendered:
    return answers.check(Checked(found, found.case.is_approved, MORNING, MORNING))


@pytest.mark.parametrize("name", ZONES)
def test_a_hostile_zone_ends_in_a_finding_or_an_unknown(name: str, played: dict[str, Diagnosis]):
    assert played[name].primary is not None


@pytest.mark.parametrize("name", ZONES)
def test_a_hostile_zone_can_neither_mention_nor_link_nor_break_a_limit(
    name: str, played: dict[str, Diagnosis]
):
    shown = card(played[name])

    assert problems(shown) == []
    assert {token for token in live_tokens(shown) if token != "<!date>"} == set()
    assert len(str(shown.blocks)) < 13_000


@pytest.mark.parametrize("name", ZONES)
def test_a_hostile_zone_cannot_reach_the_terminal(name: str, played: dict[str, Diagnosis]):
    assert all(character.isprintable() or character == "\n" for character in as_text(played[name]))


def test_what_is_wrong_is_still_recognised(played: dict[str, Diagnosis]):
    primary = {name: found.ids[0] for name, found in played.items()}

    assert primary["two hundred records"] is FindingId.DKIM_MULTIPLE
    assert primary["a record as long as an answer can be"] is FindingId.DKIM_MALFORMED
    assert primary["an alias in a circle"] is FindingId.CNAME_BROKEN
    assert primary["bytes that are no message"] is FindingId.DNS_UNKNOWN
