"""Every call to the outside, under every fault that the emulators know; and a base that moves.

For each pair the end is worked out here by hand, never asked of the code under test, and compared
with what the emulators show: one write or none, the card's word, what is live, what was read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.state import ADMIN
from bot.sandbox.cliq.throttle import LOCK, Bucket
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from bot.sandbox.stage import Stage
from tests.soak.fault_play import (
    IN_A_FORM,
    KEPT,
    MOVE,
    RENAME,
    RESET,
    Ending,
    Strike,
    Trouble,
    Wish,
    play,
)
from tests.soak.options import Soak

pytestmark = pytest.mark.soak

AT_ONCE = 4
FOR_EVER = 10_000
PATH = "/api/v2/mailconfigurations/global"
Any_ = TypeVar("Any_")


@dataclass(frozen=True)
class Call:
    """A call that the bot makes. `phase` is when its fault is prepared; `skip` calls pass first."""

    name: str
    phase: str
    method: str
    skip: int = 0
    wish: Wish = field(default=RENAME, hash=False)


TOKEN = "token"
PUT = Call("PUT", "approve", "PUT")
DELETE = Call("DELETE", "approve", "DELETE", wish=RESET)
KEPT_PUT = Call("PUT of an address that is kept", "approve", "PUT", wish=KEPT)
REMOVAL = Call("DELETE of the kept address", "approve", "DELETE", wish=KEPT)
NEW_PUT = Call("PUT after the removal", "approve", "PUT", skip=1, wish=KEPT)
WRITES = (PUT, DELETE, KEPT_PUT, REMOVAL, NEW_PUT)
BEFORE = Call("GET before the write", "approve", "GET")
AFTER = Call("GET after the write", "approve", "GET", skip=1)
SETTLING = Call("GET that settles", "approve", "GET", skip=1)
ZOHO_CALLS = (
    Call("token of the check", "start", TOKEN),
    Call("token of the question", "ask", TOKEN),
    Call("token of the write", "approve", TOKEN),
    Call("GET of the check", "start", "GET"),
    Call("GET of the question", "ask", "GET"),
    BEFORE,
    PUT,
    AFTER,
    SETTLING,
    DELETE,
    KEPT_PUT,
    REMOVAL,
    NEW_PUT,
)
LOOK_UP = Call("users.info of the write", "approve", "users.info", skip=1)
SLACK_CALLS = (
    Call("auth.test", "start", "auth.test"),
    Call("apps.connections.open", "start", "apps.connections.open"),
    Call("users.info of the question", "ask", "users.info"),
    Call("users.info of the approval", "approve", "users.info"),
    LOOK_UP,
    Call("chat.postMessage of the card", "ask", "chat.postMessage"),
    Call("chat.postMessage of the result", "approve", "chat.postMessage", skip=1),
    Call("chat.update", "approve", "chat.update"),
    Call("chat.getPermalink", "ask", "chat.getPermalink"),
    Call("response_url of the question", "ask", "response_url"),
    Call("response_url of the approval", "approve", "response_url"),
    Call("views.open", "ask", "views.open", wish=IN_A_FORM),
    Call("views.update", "ask", "views.update", wish=IN_A_FORM),
)

ZOHO_FAULTS: dict[str, dict[str, Any]] = {
    "400": {"kind": FaultKind.STATUS, "code": 400},
    "401 once": {"kind": FaultKind.STATUS, "code": 401},
    "401 always": {"kind": FaultKind.STATUS, "code": 401, "next": FOR_EVER},
    "403": {"kind": FaultKind.STATUS, "code": 403},
    "404": {"kind": FaultKind.STATUS, "code": 404},
    "408": {"kind": FaultKind.STATUS, "code": 408},
    "422": {"kind": FaultKind.STATUS, "code": 422},
    "429": {"kind": FaultKind.STATUS, "code": 429},
    "500": {"kind": FaultKind.STATUS, "code": 500},
    "503": {"kind": FaultKind.STATUS, "code": 503},
    "time-out before": {"kind": FaultKind.TIMEOUT_BEFORE_EFFECT},
    "time-out after": {"kind": FaultKind.TIMEOUT_AFTER_EFFECT},
    "reset after": {"kind": FaultKind.RESET_AFTER_EFFECT},
    "html": {"kind": FaultKind.HTML},
    "html 502": {"kind": FaultKind.HTML, "code": 502},
    "truncated": {"kind": FaultKind.TRUNCATED},
    "redirect": {"kind": FaultKind.REDIRECT},
    "slow": {"kind": FaultKind.DELAY, "seconds": 0.1},
    "late": {"kind": FaultKind.DELAY, "seconds": 0.4},
}
LOCKED_400 = "throttled with 400"
REFUSED = {"400", "403", "422"}
LASTING = {
    "408",
    "500",
    "503",
    "time-out before",
    "time-out after",
    "reset after",
    "html",
    "redirect",
}
"""Faults of a read or a token that may hit several calls in a row."""

SLACK_FAULTS: dict[str, dict[str, Any]] = {
    "rate limited": {"kind": SlackFaultKind.RATELIMITED, "retry_after": 30},
    "500": {"kind": SlackFaultKind.SERVER_ERROR},
    "internal_error": {"kind": SlackFaultKind.ERROR},
    "invalid_auth": {"kind": SlackFaultKind.ERROR, "error": "invalid_auth"},
    "dropped": {"kind": SlackFaultKind.DROPPED},
    "lost answer": {"kind": SlackFaultKind.LOST_ANSWER},
}
UNKNOWN_PERSON = "user_not_found"


@dataclass(frozen=True)
class Pair:
    call: Call
    fault: str
    times: int

    def __str__(self) -> str:
        return f"{self.call.name}: {self.fault}, {min(self.times, 99)} times"

    @property
    def trouble(self) -> Trouble:
        strike = self._zoho if self.call in ZOHO_CALLS else self._slack
        locked_by = 400 if self.fault == LOCKED_400 else 429
        return Trouble(**{self.call.phase: strike}, locked_by=locked_by)

    def _slack(self, stage: Stage) -> None:
        how = SLACK_FAULTS.get(self.fault, {"kind": SlackFaultKind.ERROR, "error": self.fault})
        method, skip = self.call.method, self.call.skip
        stage.workspace.faults.plan(SlackFault(method, times=self.times, skip=skip, **how))

    def _zoho(self, stage: Stage) -> None:
        if self.call is SETTLING:
            stage.cliq.faults.plan(Fault(FaultKind.RESET_AFTER_EFFECT, method="PUT"))
        if self.call.method == TOKEN:
            stage.cliq.state.access_tokens.clear()
        if self.fault == LOCKED_400:
            return _lock(stage, self.call.method)
        is_token = self.call.method == TOKEN
        where = {"path": Target.TOKEN} if is_token else {"method": self.call.method}
        how = {"next": self.times, "skip": self.call.skip} | where | ZOHO_FAULTS[self.fault]
        return stage.cliq.faults.plan(Fault(**how))


def _lock(stage: Stage, method: str) -> None:
    stage.cliq.set_profile(switches={"throttle_400": True, "error_codes": True})
    bucket = Bucket(locked_until=stage.clock.now() + LOCK)
    stage.cliq.state.throttle.buckets[f"{ADMIN} {method} {PATH}"] = bucket


def all_pairs(dice: Random) -> list[Pair]:
    slack = [
        Pair(call, fault, dice.randint(1, 3)) for call in SLACK_CALLS for fault in SLACK_FAULTS
    ]
    unknown = [Pair(call, UNKNOWN_PERSON, 1) for call in SLACK_CALLS if call.method == "users.info"]
    zoho = [
        Pair(call, fault, _times(call, fault, dice))
        for call in ZOHO_CALLS
        for fault in (*ZOHO_FAULTS, LOCKED_400)
        if _makes_sense(call, fault)
    ]
    return [*slack, *unknown, *zoho]


def _makes_sense(call: Call, fault: str) -> bool:
    if fault == "401 always":  # nobody could ever ask
        return call.phase == "approve" and call.method != TOKEN
    if fault == LOCKED_400:  # only of the next call with this method
        return call.method != TOKEN and call.skip == 0
    if call.method == TOKEN:
        return fault not in {"401 once", "404", "422"}
    return True


def _times(call: Call, fault: str, dice: Random) -> int:
    if fault == "401 always":
        return FOR_EVER
    return dice.randint(1, 4) if fault in LASTING and call not in WRITES else 1


def expected(pair: Pair) -> tuple[str, int]:
    """The card's last word, and how many writes take effect; by hand, from what was promised."""
    call, fault = pair.call, pair.fault
    if call.wish.is_kept:
        return _expected_of_a_kept_address(call, fault)
    if fault == "401 always":
        return ("Needs a person", 1) if call in {AFTER, SETTLING} else ("Expired", 0)
    if call in {BEFORE, PUT, DELETE} and fault in REFUSED:
        return "Failed", 0
    if fault == "404":
        return _expected_of_404(call)
    if call is LOOK_UP and fault == UNKNOWN_PERSON:
        return "Cancelled", 0
    return "In force", 1


def _expected_of_a_kept_address(call: Call, fault: str) -> tuple[str, int]:
    """Before the removal it may still fail or expire; after it a person must look."""
    if fault not in {*REFUSED, "404", "401 always"} or (call is REMOVAL and fault == "404"):
        return "In force", 2
    if call is NEW_PUT:
        return "Needs a person", 1
    return ("Expired" if fault == "401 always" and call is KEPT_PUT else "Failed"), 0


def _expected_of_404(call: Call) -> tuple[str, int]:
    """Said to a read it means that nothing is configured; to a removal, that a read must tell."""
    if call is PUT:
        return "Failed", 0
    if call is BEFORE:
        return "Out of date", 0
    return ("Needs a person", 1) if call is SETTLING else ("In force", 1)


def judge(pair: Pair, ending: Ending) -> list[str]:
    """What differs from what should be, as sentences."""
    told, writes = expected(pair)
    found = list(ending.problems)
    if pair.times in ending.strikes_left:
        found.append("the fault never struck")
    if ending.word != told:
        found.append(f"it ended as {ending.word or 'nothing'} instead of {told}")
    if ending.writes != writes:
        found.append(f"there were {ending.writes} writes instead of {writes}")
    is_gone = pair.call is NEW_PUT and told != "In force"
    wish = replace(pair.call.wish, after=None) if is_gone else pair.call.wish
    if not _shows(ending.live, wish, is_written=writes > 0):
        found.append(f"what is live is {ending.live}")
    return [f"{pair}: {line}" for line in found]


def _shows(live: dict[str, str] | None, wish: Wish, *, is_written: bool) -> bool:
    after = wish.after if is_written else {"email_id": "scott@acme.example", "name": "Scott Fisher"}
    if after is None or live is None:
        return after is None and live is None
    return all(live[name] == value for name, value in after.items())


def share_of(things: Sequence[Any_], count: int, dice: Random) -> Iterable[Any_]:
    return dice.sample(things, count) if 0 < count < len(things) else things


async def test_no_fault_of_the_outside_makes_mailcfg_write_twice_or_claim_what_it_did_not_read(
    soak: Soak, migrated: Path, tmp_path: Path
) -> None:
    dice = soak.random("faults")
    pairs = list(share_of(all_pairs(dice), soak.count("pairs"), dice))
    at_once = asyncio.Semaphore(AT_ONCE)

    async def judged(number: int, pair: Pair) -> list[str]:
        async with at_once:
            folder = tmp_path / str(number)
            try:
                ending = await play(migrated, folder, pair.call.wish, pair.trouble)
            except Exception as error:
                return [f"{pair}: {error!r}"]
            return judge(pair, ending)

    found = await asyncio.gather(*(judged(n, pair) for n, pair in enumerate(pairs)))

    wrong = [line for lines in found for line in lines]
    ends = Counter(expected(pair)[0] for pair in pairs)
    said = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    faults = sum(min(pair.times, 4) for pair in pairs)
    soak.report(
        "faults", f"{len(pairs)} pairs, {faults} faults and more ({said}), {len(wrong)} violations"
    )
    assert not wrong, "\n".join(wrong)


EDITS: tuple[dict[str, str], ...] = (
    {"name": "Somebody Else"},
    {"email_id": "else@acme.example"},
    {"cname_status": "not_verified"},
    {"dkim_host": "moved._domainkey.acme.example"},
    {},
)
"""What another administrator does in Cliq's panel; the last one removes the sender."""


def edit(how: dict[str, str], stage: Stage) -> None:
    stage.cliq.edit(**how)


def edit_when_told(what: str, how: dict[str, str], stage: Stage) -> None:
    """At the next call of this kind that comes over the wires."""
    begun = stage.wire_log.revision
    done: list[str] = []

    def look() -> None:
        if not done and any(what in each.what for each in stage.wire_log.changed_since(begun)):
            done.append(what)
            edit(how, stage)

    stage.wire_log.on_change(look)


def fault(planned: Fault, stage: Stage) -> None:
    stage.cliq.faults.plan(planned)


def slack_fault(planned: SlackFault, stage: Stage) -> None:
    stage.workspace.faults.plan(planned)


def moves(how: dict[str, str]) -> dict[str, Trouble]:
    """Every point before a write at which the base can move, and one between a write and the next."""
    is_throttled = Fault(FaultKind.STATUS, code=429, method="GET")
    is_unanswered = Fault(FaultKind.TIMEOUT_BEFORE_EFFECT, method="PUT")
    is_unreadable = SlackFault("users.info", SlackFaultKind.SERVER_ERROR, skip=1)
    by: Strike = partial(edit, how)
    return {
        "while it is asked for": Trouble(ask=partial(edit_when_told, "chat.postMessage", how)),
        "before the last approval": Trouble(approve=by),
        "while Zoho has locked us out": Trouble(approve=partial(fault, is_throttled), wait=by),
        "while Slack does not say who approved": Trouble(
            approve=partial(slack_fault, is_unreadable), wait=by
        ),
        "while it is looked up who approved": Trouble(
            approve=partial(edit_when_told, "users.info", how)
        ),
        "after a write without effect": Trouble(approve=partial(fault, is_unanswered), wait=by),
    }


async def test_what_somebody_else_has_changed_meanwhile_is_never_overwritten(
    soak: Soak, migrated: Path, tmp_path: Path
) -> None:
    dice = soak.random("moves")
    edits = list(share_of(EDITS, soak.count("moves"), dice))
    runs = [(dice.choice((RENAME, MOVE)), e, point) for e in edits for point in moves(e)]
    at_once = asyncio.Semaphore(AT_ONCE)

    async def judged(number: int, wish: Wish, how: dict[str, str], point: str) -> list[str]:
        async with at_once:
            ending = await play(migrated, tmp_path / str(number), wish, moves(how)[point])
        return [f"{point}, {how}, {wish.line}: {line}" for line in judge_move(ending, how)]

    found = await asyncio.gather(*(judged(n, *run) for n, run in enumerate(runs)))

    wrong = [line for lines in found for line in lines]
    soak.report("moves", f"{len(runs)} runs at {len(moves({}))} points, {len(wrong)} violations")
    assert not wrong, "\n".join(wrong)


def judge_move(ending: Ending, how: dict[str, str]) -> list[str]:
    found = list(ending.problems)
    if ending.word not in {"Out of date", "Needs a person"}:
        found.append(f"it ended as {ending.word}")
    if ending.writes:
        found.append(f"it was overwritten {ending.writes} times")
    live = ending.live or {}
    if bool(live) != bool(how) or any(live[name] != value for name, value in how.items()):
        found.append(f"what is live is {ending.live}")
    return found
