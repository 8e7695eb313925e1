"""Every case of `samples/dkim_cases.yaml`, over real DNS on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from bot.adapters.slack.cards import answers
from bot.domain.findings import Diagnosis, FindingId
from bot.services.check import Checked
from tests.adapters.dkim_scene import CASES, Scene
from tests.adapters.slack.reading import live_tokens, plain, problems
from tests.fakes import MORNING

TRY_SECONDS, PASS_SECONDS = 0.25, 2.5
AT_ONCE = 24
RULES = {
    "unknown-is-no-fact",
    "agreement",
    "disagreement",
    "one-silent",
    "authority-wins",
    "resolver-without-answer",
    "dnssec",
    "not-lame",
    "alias",
    "wildcard",
    "empty-name",
    "order-of-tests",
    "harmless-spelling",
    "api-first",
    "no-snapshot",
    "pending-needs-all",
    "reissued-beside",
    "posture-counting",
    "posture-aside",
    "api-unread",
    "in-flight",
}
"""What must hold in the odd cases, in twenty-one words."""
EXAMPLES = {f"H.{n}" for n in range(1, 9)}


@pytest.fixture(scope="module")
def played() -> dict[str, Diagnosis]:
    """All cases, many at a time: those with silent servers mostly wait."""

    async def play_all() -> list[Diagnosis]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def play(case: dict[str, Any]) -> Diagnosis:
            async with gate:
                return await Scene(case).play(try_seconds=TRY_SECONDS, pass_seconds=PASS_SECONDS)

        return await asyncio.gather(*(play(case) for case in CASES))

    return {case["id"]: found for case, found in zip(CASES, asyncio.run(play_all()), strict=True)}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_case_gives_exactly_its_findings(case: dict[str, Any], played: dict[str, Diagnosis]):
    found = played[case["id"]]

    assert [str(i) for i in found.ids] == case["expect"], case["why"]
    assert found.state == case["state"]
    severities = {str(f.id): str(f.severity) for f in found.findings}
    assert severities | case.get("severity", {}) == severities


@pytest.mark.parametrize(
    "case", [c for c in CASES if "says" in c], ids=[c["id"] for c in CASES if "says" in c]
)
def test_a_finding_says_what_is_so_and_what_to_do(
    case: dict[str, Any], played: dict[str, Diagnosis]
):
    said = " ".join(f"{f.sentence} {f.fix}" for f in played[case["id"]].findings)
    words = Scene(case).words

    for part in case["says"]:
        assert part.format_map(words) in said


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_case_is_an_answer_that_slack_takes(case: dict[str, Any], played: dict[str, Diagnosis]):
    found = played[case["id"]]
    shown = answers.check(Checked(found, found.case.is_approved, MORNING, MORNING))

    assert problems(shown) == []
    assert live_tokens(shown) == {"<!date>"}
    assert all(escape_free(finding.sentence) in plain(shown) for finding in found.findings)
    assert not any("verified" in f.heading or len(f.heading) > 150 for f in found.findings)


def escape_free(sentence: str) -> str:
    """As a person reads it: backticks have become monospace."""
    return sentence.replace("`", "")


def test_every_finding_is_in_two_cases_every_rule_and_example_in_one():
    assert len(CASES) >= 80
    assert len({case["id"] for case in CASES}) == len(CASES)
    times = Counter(finding for case in CASES for finding in case["expect"])
    assert {i: n for i in FindingId if (n := times[i]) < 2} == {}
    assert {rule for case in CASES for rule in case.get("rules", ())} == RULES
    assert {case["example"] for case in CASES if "example" in case} == EXAMPLES
