"""Undo: what goes back, what is left to be said, and what cannot be undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.change import ChangeRequest, State
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.plan import Plan
from bot.domain.sender_plans import AcceptPlan, ResetPlan, SetPlan, plan_set
from bot.domain.undo import Undoing
from bot.errors import NoChange, Refusal
from tests.fakes import MORNING, config
from tests.office import ALICE, ORG, POLICY

BASE = config()
STRONG = config(bits=2048, which=2)
MOVED = config("it@acme.example", selector="1800000000000", which=1)
ELSEWHERE = config(
    "it@mail.acme.example", which=3, selector="1800000000001", cname_status="not_verified"
)


def applied(plan: Plan, number: int = 42, state: State = State.APPLIED) -> ChangeRequest:
    return ChangeRequest(
        id=f"id-{number}",
        org=ORG,
        number=number,
        plan=plan,
        policy=POLICY,
        quorum=1,
        requester=ALICE,
        requester_evidence={},
        reason="x",
        created_at=MORNING,
        expires_at=MORNING + timedelta(hours=24),
        state=state,
    )


def setting(base: MailConfig | None = BASE, number: int = 42, **asked: str | int) -> ChangeRequest:
    return applied(plan_set(Patch.of(**asked), base), number)  # type: ignore[arg-type]


RENAMED = setting(name="Acme Support")
NEW_ADDRESS = setting(email_id="it@acme.example")
NEW_DOMAIN = setting(email_id="it@mail.acme.example", dkim_key_size=2048)
STRONGER = setting(dkim_key_size=2048)
STATED = setting(replace(BASE, cname_status="not_verified"), cname_status="verified")
UNSTATED = setting(cname_status="not_verified")
FIRST = setting(None, email_id="scott@acme.example", name="Scott Fisher")
REMOVED = applied(ResetPlan(BASE))
ACCEPTED = applied(AcceptPlan(BASE, MOVED))

UNDONE = {
    "a name": (RENAMED, replace(BASE, name="Acme Support"), {"name": "Scott Fisher"}),
    "an address": (NEW_ADDRESS, MOVED, {"email_id": "scott@acme.example"}),
    "another domain, with a key of the old size": (
        setting(STRONG, email_id="it@mail.acme.example"),
        ELSEWHERE,
        {"email_id": "scott@acme.example", "dkim_key_size": 2048},
    ),
    "a key size": (STRONGER, STRONG, {"dkim_key_size": 1024}),
    "a word about the CNAME": (STATED, BASE, {"cname_status": "not_verified"}),
    "both, of which one is back already": (
        setting(name="IT", email_id="it@acme.example"),
        replace(BASE, name="IT"),
        {"name": "Scott Fisher"},
    ),
    "a name, and what else has changed since stays": (
        RENAMED,
        replace(MOVED, name="Acme Support"),
        {"name": "Scott Fisher"},
    ),
    "a removal": (
        REMOVED,
        None,
        {"email_id": "scott@acme.example", "name": "Scott Fisher", "dkim_key_size": 1024},
    ),
    "a removal after which another sender was set": (
        REMOVED,
        MOVED,
        {"email_id": "scott@acme.example"},
    ),
}


@pytest.mark.parametrize(("earlier", "live", "asked"), UNDONE.values(), ids=UNDONE.keys())
def test_an_undo_sets_back_what_was_changed_and_nothing_else(
    earlier: ChangeRequest, live: MailConfig | None, asked: dict[str, object]
):
    plan = earlier.undo((), live)

    assert isinstance(plan, SetPlan)
    assert plan.base == live
    assert {field: getattr(plan.wanted, field) for field in plan.wanted.asked} == asked
    assert plan.undoes is not None
    assert plan.undoes.number == 42


def test_what_was_the_first_sender_is_removed():
    assert FIRST.undo((), BASE) == ResetPlan(BASE, Undoing(42))


CANNOT = {
    "a key that Zoho made anew": (
        STRONGER,
        STRONG,
        "The DKIM key from before #42 cannot be brought back, so the record of the new one must be "
        "published anew.",
    ),
    "a word about the CNAME": (
        NEW_DOMAIN,
        ELSEWHERE,
        "The CNAME status is not set back to verified: that is somebody's word. Whoever can give "
        "it asks with `/mailcfg set cname=verified`.",
    ),
}


@pytest.mark.parametrize(("earlier", "live", "said"), CANNOT.values(), ids=CANNOT.keys())
def test_an_undo_names_what_cannot_be_undone(
    earlier: ChangeRequest, live: MailConfig | None, said: str
):
    assert said in earlier.undo((), live).consequences()


def test_an_undo_that_brings_everything_back_has_nothing_to_say():
    assert RENAMED.undo((), replace(BASE, name="Acme Support")).consequences() == ()


def test_a_word_that_nobody_gave_is_not_given_by_an_undo():
    assert NEW_DOMAIN.undo((), ELSEWHERE).wanted.cname_status == "not_verified"  # type: ignore[union-attr]


def test_an_undo_names_each_later_request_that_changed_the_same():
    both = setting(name="IT", email_id="it@acme.example")
    later = [
        setting(MOVED, 47, name="Desk", dkim_key_size=2048),
        setting(MOVED, 45, email_id="ops@acme.example", name="Ops"),
    ]
    live = replace(MOVED, email_id="ops@acme.example", name="Desk")

    assert both.undo(later, live).consequences()[-2:] == (
        "#45 changed the address since; this sets back what was there before #42.",
        "#47 changed the display name since; this sets back what was there before #42.",
    )


def test_the_removal_of_a_first_sender_names_who_changed_it_since():
    later = [setting(BASE, 45, email_id="ops@acme.example", name="Ops")]

    plan = FIRST.undo(later, config("ops@acme.example", "Ops"))

    assert plan.consequences()[-1] == (
        "#45 changed the address and display name since; this sets back what was there before #42."
    )


ALREADY = "Nothing to undo: what #42 changed is already as it was before."
REFUSED = {
    "an accept": (
        ACCEPTED,
        BASE,
        "#42 wrote nothing: it accepted what was live. To have another sender, ask with `/mailcfg "
        "set`, and its approval takes the place of this one.",
    ),
    "an open request": (
        applied(RENAMED.plan, state=State.PENDING),
        BASE,
        "#42 is still open, so there is nothing to undo. Whoever asked for it can `/mailcfg "
        "withdraw` it, and an approver can reject it.",
    ),
    "a rejected request": (
        applied(RENAMED.plan, state=State.REJECTED),
        BASE,
        "#42 changed nothing (it was rejected), so there is nothing to undo.",
    ),
    "an unclear end": (
        applied(RENAMED.plan, state=State.CONFLICT),
        BASE,
        "What #42 did is not known, so it cannot be undone. Look in the Cliq admin panel, then ask "
        "for what you want with `/mailcfg set`.",
    ),
    "a field of a sender that is gone": (
        RENAMED,
        None,
        "No custom sender is set any more, so what #42 changed cannot be set back. Set one with "
        "`/mailcfg set`.",
    ),
    "what is undone": (RENAMED, BASE, ALREADY),
    "a removal that is undone": (REMOVED, BASE, ALREADY),
    "a first sender that is gone": (FIRST, None, ALREADY),
    "somebody's word": (
        UNSTATED,
        replace(BASE, cname_status="not_verified"),
        f"{ALREADY} What is left is the CNAME status, and that is somebody's word: whoever can "
        "give it asks with `/mailcfg set cname=verified`.",
    ),
}


@pytest.mark.parametrize(("earlier", "live", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_undone_is_refused_with_what_to_do(
    earlier: ChangeRequest, live: MailConfig | None, said: str
):
    with pytest.raises(Refusal) as caught:
        earlier.undo((), live)

    assert str(caught.value) == said
    assert isinstance(caught.value, NoChange) is said.startswith(ALREADY)


def test_a_plan_that_undoes_nothing_is_stored_as_ever():
    assert "undoes" not in RENAMED.plan.target_json()
    assert REMOVED.plan.target_json() is None
