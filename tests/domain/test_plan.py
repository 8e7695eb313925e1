"""What a request would do: its title, how many eyes it needs, when it is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.mail_config import MailConfig, Patch
from bot.domain.plan import Baseline, Plan
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from bot.domain.sender_plans import (
    AcceptPlan,
    ResetPlan,
    SetPlan,
    plan_accept,
    plan_reset,
    plan_set,
)
from bot.errors import NoChange
from tests.fakes import config

BASE = config()
PREFLIGHT = Preflight("acme.example", ("ns1.acme.example",), 0, Dmarc("acme.example", 1, "none"))
OTHER = replace(BASE, email_id="it@acme.example")


def setting(**asked: str | int) -> SetPlan:
    return plan_set(Patch.of(**asked), BASE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "title", "because"),
    [
        (setting(email_id="it@acme.example"), "change sender address", "the address changes"),
        (setting(name="IT"), "change display name", None),
        (setting(dkim_key_size=2048), "change DKIM key size", None),
        (setting(cname_status="not_verified"), "change CNAME status", None),
        (setting(name="IT", dkim_key_size=2048), "change sender", None),
        (
            plan_set(Patch(name="IT", email_id="it@acme.example"), None),
            "set a custom sender",
            "the address changes",
        ),
        (ResetPlan(BASE), "remove the custom sender", "the custom sender is removed"),
        (AcceptPlan(BASE, replace(BASE, name="IT")), "accept the live configuration", None),
        (
            AcceptPlan(BASE, OTHER),
            "accept the live configuration",
            "the accepted sender is another one",
        ),
        (
            AcceptPlan(BASE, None),
            "accept the live configuration",
            "the accepted sender is another one",
        ),
        (AcceptPlan(None, None), "accept the live configuration", None),
    ],
)
def test_a_plan_says_what_it_does_and_why_it_takes_more_eyes(
    plan: Plan, title: str, because: str | None
):
    assert (plan.title, plan.sensitive_because) == (title, because)


NEW_KEY = (
    "Zoho makes a new DKIM key: mail from {} is not DKIM-verified until the new TXT record is "
    "published."
)
USUAL_SIZE = "Zoho chooses the key's size, usually 1024 bits; `dkim=2048` asks for more."
KEPT = (
    "If Cliq keeps the old address, the configuration is deleted and created again; DKIM records "
    "change."
)
SMALLER = (
    "The key that is then made has the size that Zoho chooses, usually 1024 bits; `dkim=2048` asks "
    "for more."
)
STOPS = "If Cliq keeps the old address, nothing is deleted on its own: mailcfg stops and says so."


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (setting(name="IT"), ()),
        (setting(email_id="it@acme.example"), (KEPT,)),
        (plan_set(Patch(email_id="it@acme.example"), config(bits=2048)), (KEPT, SMALLER)),
        (plan_set(Patch(None, "it@acme.example", 2048, None), config(bits=2048)), (KEPT,)),
        (replace(setting(email_id="it@acme.example"), may_delete=False), (STOPS,)),
        (
            setting(email_id="it@other.example"),
            (KEPT, NEW_KEY.format("other.example"), USUAL_SIZE),
        ),
        (
            setting(email_id="it@other.example", dkim_key_size=2048),
            (KEPT, NEW_KEY.format("other.example")),
        ),
        (setting(dkim_key_size=2048), (NEW_KEY.format("acme.example"),)),
        (
            ResetPlan(BASE),
            (
                "Notification mail will come from Cliq's system sender.",
                "Its DKIM key is lost: setting the sender again makes a new key and a new record.",
            ),
        ),
        (
            AcceptPlan(BASE, OTHER),
            ("Nothing is written to Cliq: what is live counts as approved from then on.",),
        ),
    ],
)
def test_a_plan_says_what_follows_from_it(plan: Plan, said: tuple[str, ...]):
    assert plan.consequences() == said


@pytest.mark.parametrize(
    ("plan", "live", "is_reached"),
    [
        (setting(name="IT"), replace(BASE, name="IT"), True),
        (setting(name="IT"), BASE, False),
        (ResetPlan(BASE), None, True),
        (ResetPlan(BASE), BASE, False),
        (AcceptPlan(BASE, OTHER), OTHER, True),
        (AcceptPlan(BASE, OTHER), BASE, False),
        (AcceptPlan(BASE, None), None, True),
    ],
)
def test_a_plan_knows_when_it_is_done(plan: Plan, live: MailConfig | None, is_reached: bool):
    assert plan.is_reached_by(live) is is_reached
    assert (plan.unmet(live) == ()) is is_reached
    assert plan.would_change(live) is not is_reached


def test_a_key_that_somebody_else_made_is_not_the_key_that_was_asked_for():
    reissued = config(bits=1024, which=1)

    assert setting(dkim_key_size=2048).is_reached_by(reissued)
    assert setting(dkim_key_size=2048).would_change(reissued)


def test_a_name_that_somebody_else_changed_is_no_part_of_the_target():
    meddled = replace(OTHER, name="Evil")

    assert setting(email_id="it@acme.example").would_change(meddled)


def test_what_changes_nothing_is_refused():
    same = "Nothing would change: the live configuration already has these values."
    with pytest.raises(NoChange, match=same):
        setting(name="Scott Fisher")
    with pytest.raises(NoChange, match="Nothing would change: Cliq's system sender is already in"):
        plan_reset(None)
    with pytest.raises(NoChange, match="Nothing to accept: what is live is what"):
        plan_accept(BASE, Baseline(BASE))
    with pytest.raises(NoChange):
        plan_accept(None, Baseline(None))


def test_the_first_configuration_can_be_accepted_as_it_is():
    assert plan_accept(BASE, None) == AcceptPlan(None, BASE)
    assert plan_accept(None, None) == AcceptPlan(None, None)
    assert plan_accept(OTHER, Baseline(BASE)) == AcceptPlan(BASE, OTHER)


def test_only_another_address_over_an_existing_one_may_take_a_deletion():
    plan = setting(email_id="it@acme.example")
    first = plan_set(Patch(name="IT", email_id="it@acme.example"), None)
    unchanged = [setting(name="IT"), first, ResetPlan(BASE), AcceptPlan(BASE, OTHER)]
    before = replace(plan, may_delete=False)

    assert plan.steps() == (plan, ResetPlan(BASE), replace(plan, base=None))
    assert [other.steps() for other in (*unchanged, before)] == [
        (other,) for other in (*unchanged, before)
    ]
    assert [p.sealed()["may_delete_first"] for p in (plan, *unchanged, before)] == [True] + [
        False
    ] * 5
