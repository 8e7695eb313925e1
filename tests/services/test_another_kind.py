"""A second kind of change, all of it in this file: the footer of notification mail, at a far end of its own.

It goes from the wish to "In force" through the services, the store and the card as they are.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bot.adapters.slack.cards.request import card
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import ChangeRequest, State
from bot.domain.command import Accept
from bot.domain.incident import Kind
from bot.domain.plan import Baseline, Operation, Plan
from bot.domain.sender_plans import OPERATIONS, SetPlan
from bot.errors import Ambiguous, Effect, FarEndError, NoChange, Refusal
from bot.ports import Purpose
from tests.office import ALICE, BOB, CAROL, ERIN, NEW_ADDRESS, RENAME, Office


@dataclass(frozen=True, slots=True)
class Footer:
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class FooterChange:
    old: str | None
    new: str | None
    field: str = "text"
    label: str = "Footer"
    note: str = ""


class FooterFault(FarEndError):
    def __init__(self, effect: Effect) -> None:
        super().__init__("The footer press jams.")
        self.effect = effect  # type: ignore[misc]


class Press:
    """The far end of footers: what it prints, and how often it was asked to change that."""

    def __init__(self) -> None:
        self.live: Footer | None = Footer("Regards")
        self.sent = 0
        self.faults: deque[tuple[Effect, bool]] = deque()

    async def read(self, purpose: Purpose) -> Footer | None:
        return self.live

    async def set_type(self, text: str) -> None:
        self.sent += 1
        effect, is_printed = self.faults.popleft() if self.faults else (None, True)
        self.live = Footer(text) if is_printed else self.live
        if effect is not None:
            raise FooterFault(effect)


@dataclass(frozen=True, slots=True)
class FooterPlan(Plan):
    base: Footer | None
    wanted: Footer
    subject = "footer"
    operation = "footer"
    method = "PRINT"
    title = "change the footer"
    sensitive_because = "every customer reads it"

    def diff(self) -> Sequence[FooterChange]:
        return self.moved(self.wanted)

    def moved(self, observed: Footer | None) -> Sequence[FooterChange]:
        return [FooterChange(self.base and self.base.text, observed and observed.text)]

    def consequences(self) -> tuple[str, ...]:
        return ("The old plates are melted.",)

    def confirm_words(self, most: int) -> str:
        return f"Print {self.wanted.text}?"[:most]

    def target_json(self) -> Any:
        return self.wanted.as_dict()

    async def send(self, far_end: Press, *, send_by: float) -> None:
        await far_end.set_type(self.wanted.text)

    def unmet(self, live: Footer | None) -> Sequence[str]:
        return () if live == self.wanted else ("text",)

    def over(self, live: Footer | None, approved: Baseline | None) -> FooterPlan:
        if live == self.wanted:
            raise NoChange("It is printed already.")
        return FooterPlan(live, self.wanted)

    def undo(self, number: int, later: Sequence[tuple[int, Plan]], live: Footer | None) -> Plan:
        if self.base is None:
            raise Refusal(f"Before #{number} there was no footer, and no press prints none.")
        return FooterPlan(live, self.base)


def stored(value: dict[str, str] | None) -> Footer | None:
    return None if value is None else Footer(**value)


FOOTER = Operation("footer", lambda base, target, _: FooterPlan(base, Footer(**target)), stored)
PLAN = FooterPlan(None, Footer("Yours sincerely"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore(open_engine(url), {**OPERATIONS, "footer": FOOTER})
    yield opened
    await opened.close()


@pytest.fixture
def press(office: Office) -> Press:
    press = Press()
    office.others["footer"] = press
    return press


async def approved(office: Office, asked: ChangeRequest) -> ChangeRequest:
    for person in (BOB, CAROL):
        await office.approve(person, asked)
    await office.applier.settle()
    return await office.now(asked)


async def printed(office: Office) -> ChangeRequest:
    return await approved(office, await office.changes.ask(ALICE, PLAN, "be polite"))


async def test_it_goes_from_a_wish_over_votes_to_in_force(office: Office, press: Press):
    asked = await office.changes.ask(ALICE, PLAN, "be polite")
    assert (asked.state, asked.quorum) == (State.PENDING, 2)
    assert press.sent == 0

    done = await approved(office, asked)

    assert (done.state, done.effect, press.sent) == (State.APPLIED, "written", 1)
    assert done.plan == FooterPlan(Footer("Regards"), Footer("Yours sincerely"))
    assert done.approved_config == press.live == Footer("Yours sincerely")
    assert [attempt.method for attempt in await office.store.attempts(done)] == ["PRINT"]
    assert await office.incident(Kind.CHECKLIST) is None


async def test_its_card_speaks_its_words(office: Office, press: Press):
    asked = await office.changes.ask(ALICE, PLAN, "be polite")
    shown = json.dumps(card(asked, office.organisation).blocks, ensure_ascii=False)

    for words in (
        "Waiting for approval: change the footer",
        "*Footer:* `Regards` → `Yours sincerely`",
        "every customer reads it",
        "• The old plates are melted.",
        "Print Yours sincerely?",
    ):
        assert words in shown
    done = card(await approved(office, asked), office.organisation)
    assert "In force: change the footer" in json.dumps(done.blocks)


@pytest.mark.parametrize(("is_printed", "sent"), [(True, 1), (False, 2)])
async def test_an_unclear_write_is_settled_by_reading(
    office: Office, press: Press, is_printed: bool, sent: int
):
    press.faults.append((Effect.UNKNOWN, is_printed))
    unclear = await printed(office)
    assert (unclear.state, unclear.waits_for) == (State.UNCERTAIN, "The footer press jams.")
    assert await office.watch.check_now() is not None

    office.clock.advance(minutes=1)
    await office.applier.settle()

    assert (await office.now(unclear)).state is State.APPLIED
    assert press.sent == sent


@pytest.mark.parametrize(
    ("effect", "state"), [(Effect.NONE, State.APPROVED), (Effect.REFUSED, State.FAILED)]
)
async def test_what_its_far_end_says_of_an_effect_is_believed(
    office: Office, press: Press, effect: Effect, state: State
):
    press.faults.append((effect, False))

    assert (await printed(office)).state is state


async def test_what_was_moved_meanwhile_is_not_written_over(office: Office, press: Press):
    asked = await office.changes.ask(ALICE, PLAN, "be polite")
    press.live = Footer("Cheers")

    assert (await approved(office, asked)).state is State.STALE


async def test_it_is_asked_again_and_undone_like_any_other(office: Office, press: Press):
    asked = await office.changes.ask(ALICE, PLAN, "be polite")
    await office.reject(BOB, asked)
    await approved(office, await office.changes.propose_again(ALICE, asked.id))
    assert press.live == Footer("Yours sincerely")

    await approved(office, await office.changes.propose_undo(ALICE, 2))

    assert press.live == Footer("Regards")


async def test_the_sender_keeps_its_baseline_its_drift_and_its_undo(office: Office, press: Press):
    moved = await office.applied(NEW_ADDRESS)
    await printed(office)

    await office.passes()
    shown = await office.look.show(ERIN)
    assert shown.approved == moved
    assert not shown.is_drifted
    assert await office.incident(Kind.ALERT) is None
    assert await office.changes.baseline() == Baseline(office.cliq.live)
    with pytest.raises(NoChange):
        await office.changes.propose(ALICE, Accept("nothing to accept"))

    undo = await office.changes.propose_undo(ALICE, 1)
    assert isinstance(undo.plan, SetPlan)
    assert undo.plan.undoes is not None
    assert undo.plan.undoes.since == ()


async def test_the_footer_keeps_its_own(office: Office, press: Press):
    footer = await printed(office)
    await office.applied(RENAME)

    assert await office.changes.baseline("footer") == Baseline(Footer("Yours sincerely"))
    assert await office.store.applied_after(footer, 10) == []
    assert len(await office.store.newest(office.org, 10)) == 2


async def test_a_late_effect_of_the_sender_is_found_behind_any_number_of_footers(
    office: Office, press: Press
):
    await office.applied(Accept("as it is"))
    given_up = await office.approved(RENAME)
    for _ in range(4):
        office.cliq.fail_next_write(Ambiguous("PUT"))
        await office.applier.settle()
        office.clock.advance(seconds=36)
    for text in "abcde":
        plan = FooterPlan(None, Footer(text))
        await approved(office, await office.changes.ask(ALICE, plan, "be brief"))
    office.cliq.edit(name="Acme Support")

    check = await office.watch.check_now()

    assert check is not None
    assert check.late == await office.now(given_up)
