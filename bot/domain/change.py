"""A change request and its life: eleven states, and one method for each move between them.

Open: PENDING, APPROVED, APPLYING, UNCERTAIN. The other seven are ends and never change. A move is a
method that returns the new value or raises AlreadySettled; the store writes it only if nobody else
moved the request meanwhile (`rev`). Votes are sealed: the digest binds them to what was shown, the
MAC to the person. Where a plan has steps, a request between two of them is UNCERTAIN; one that has
removed the old configuration is never APPROVED, EXPIRED or FAILED again.

    PENDING ──► APPROVED ──► APPLYING ──► APPLIED │ STALE │ FAILED │ CANCELLED │ CONFLICT
       │            │  ▲        │  ▲
       │            │  └────────┤  └─► UNCERTAIN ──► CONFLICT
       └────────────┴──► REJECTED │ CANCELLED │ EXPIRED
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.domain.plan import Plan
from bot.domain.policy import OWN_REQUEST, Actor, Facts, Policy, who_may_decide
from bot.domain.stored import canonical, milliseconds
from bot.errors import AlreadySettled, NotAllowed, Refusal

SCHEMA_VERSION = 1
"""How a request's values are spelt in its row."""
DIGEST_VERSION = 2
DIGEST_VERSIONS = frozenset({1, 2})
"""Those that can be computed. The second also seals when a request was made, until when it waits for
approvals, and whether its plan may delete first; in version 1 a plan never does."""


class State(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    APPLYING = "APPLYING"
    UNCERTAIN = "UNCERTAIN"
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    STALE = "STALE"
    FAILED = "FAILED"
    CONFLICT = "CONFLICT"

    @property
    def words(self) -> Words:
        return WORDS[self]


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a request in a state.

    `heading` stands above its card, `verb` goes on with "Request #7 to change sender address …", and
    `ended` with "#7 has ended: …". `left` is what an end that brought nothing has left. `audited` are
    the audit's words for the moves that end there, that of applying first.
    """

    heading: str
    verb: str
    left: str = ""
    ended: str = ""
    audited: tuple[str, ...] = ()


WORDS = {
    State.PENDING: Words("Waiting for approval", "waits for approval"),
    State.APPROVED: Words("Approved", "is approved and will be applied"),
    State.APPLYING: Words("Being applied", "is being applied"),
    State.UNCERTAIN: Words("Outcome unknown", "has an unknown outcome; mailcfg keeps looking"),
    State.APPLIED: Words("In force", "is in force", "", "it is in force", ("applied",)),
    State.REJECTED: Words(
        "Rejected", "is rejected", "nothing was changed", "it was rejected", ("rejected",)
    ),
    State.CANCELLED: Words(
        "Cancelled",
        "has ended",
        "nothing was changed",
        "it was cancelled",
        ("ineligible", "withdrawn"),
    ),
    State.EXPIRED: Words(
        "Expired", "has expired", "nothing was changed", "its time ran out", ("expired",)
    ),
    State.STALE: Words(
        "Out of date",
        "is out of date",
        "nothing was written",
        "the configuration had changed meanwhile",
        ("stale",),
    ),
    State.FAILED: Words(
        "Failed", "failed", "the configuration is unchanged", "it failed", ("failed", "tampered")
    ),
    State.CONFLICT: Words(
        "Needs a person", "needs a person", "", "it needs a person", ("conflict", "tampered")
    ),
}
OPEN = frozenset({State.PENDING, State.APPROVED, State.APPLYING, State.UNCERTAIN})
UNDECIDED = frozenset({State.PENDING, State.APPROVED})
IN_FLIGHT = OPEN - UNDECIDED
"""While a request is one of these, what is live may be our own doing."""
REMOVED = "the old configuration is removed, and the new one is not set"


class VoteKind(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's vote, with the evidence of their standing and the seal over both."""

    voter: Actor
    kind: VoteKind
    at: datetime
    reason: str
    evidence: dict[str, Any]
    mac: str


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A wish to change something, and how far it has come.

    `id` is long and random and travels in buttons; `number` is short, per organisation, for people.
    `rev` grows with every move. While APPLYING it belongs to whoever claimed it, until `lease_until`.
    `not_before` parks an approved or uncertain request. `step` is the step of the plan that is or
    was in hand, from 1 on. `effect` is "written" or "none" once APPLIED. `is_withdrawn` tells
    a CANCELLED one whose requester did it from one that was ended for them. `observed` is what was last
    read where that decided the end; without `was_read` nothing could be.
    """

    id: str
    org: str
    number: int
    plan: Plan
    policy: Policy
    quorum: int
    requester: Actor
    requester_evidence: dict[str, Any]
    reason: str
    created_at: datetime
    expires_at: datetime
    digest: str = ""
    digest_version: int = DIGEST_VERSION
    state: State = State.PENDING
    rev: int = 1
    decisions: tuple[Decision, ...] = ()
    lease_until: datetime | None = None
    not_before: datetime | None = None
    approved_at: datetime | None = None
    apply_by: datetime | None = None
    uncertain_since: datetime | None = None
    step: int = 1
    sent: bool = False
    waits_for: str = ""
    effect: str = ""
    end_reason: str = ""
    is_withdrawn: bool = False
    observed: Any = None
    was_read: bool = False
    ended_at: datetime | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a step that the plan does not have."""
        if not 1 <= self.step <= len(self.plan.steps()):
            raise ValueError(f"there is no step {self.step}")

    @property
    def current(self) -> Plan:
        """The step of the plan that is in hand."""
        return self.plan.steps()[self.step - 1]

    @property
    def has_removed(self) -> bool:
        """Whether an earlier step has removed the base, so that the way back is gone."""
        return self.plan.base is not None and self.current.base is None

    @property
    def goal(self) -> Plan:
        """What a read must show for the whole request to be in force."""
        return self.current if self.has_removed else self.plan

    @property
    def approved_config(self) -> Any:
        """Of an APPLIED request: what counts as approved of its plan's subject from then on."""
        return self.goal.approved(self.observed)

    @property
    def heading(self) -> str:
        """Its state in a word or two."""
        return "Withdrawn" if self.is_withdrawn else self.state.words.heading

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def approvals(self) -> tuple[Decision, ...]:
        return tuple(d for d in self.decisions if d.kind is VoteKind.APPROVE)

    @property
    def rejection(self) -> Decision | None:
        return next((d for d in self.decisions if d.kind is VoteKind.REJECT), None)

    def decision_of(self, person: Actor) -> Decision | None:
        return next((d for d in self.decisions if d.voter.is_same_person(person)), None)

    def quorum_under(self, today: Policy) -> int:
        """The approvals it needs: the larger of what was asked for then and what is now."""
        is_sensitive = self.plan.sensitive_because is not None
        return max(self.quorum, today.quorum(is_sensitive=is_sensitive))

    def approve(self, decision: Decision, now: datetime, quorum: int) -> ChangeRequest:
        """PENDING: a vote is added, and with the last one needed it is APPROVED.

        `quorum` is the larger of the frozen and the current one.
        """
        self._check_undecided(now)
        self._check_voter(decision.voter)
        if self.state is State.APPROVED:
            raise AlreadySettled(f"#{self.number} already has the approvals it needs.")
        votes = (*self.decisions, decision)
        if len(self.approvals) + 1 < max(quorum, self.quorum):
            return self._moved(State.PENDING, decisions=votes)
        return self._moved(
            State.APPROVED,
            decisions=votes,
            approved_at=now,
            apply_by=now + self.policy.apply_within,
        )

    def reject(self, decision: Decision, now: datetime) -> ChangeRequest:
        """PENDING or APPROVED becomes REJECTED: one no is enough, until writing has begun."""
        self._check_undecided(now)
        self._check_voter(decision.voter)
        return self._ended(State.REJECTED, now, decisions=(*self.decisions, decision))

    def withdraw(self, now: datetime) -> ChangeRequest:
        """PENDING or APPROVED becomes CANCELLED, by its requester."""
        self._check_undecided(now)
        why = "withdrawn by the requester"
        return self._ended(State.CANCELLED, now, end_reason=why, is_withdrawn=True)

    def expire(self, now: datetime) -> ChangeRequest:
        """PENDING or APPROVED becomes EXPIRED: time ran out with no effect."""
        self._require(State.PENDING, State.APPROVED)
        which = (
            "the approvals did not come in time"
            if self.state is State.PENDING
            else "it could not be applied in time"
        )
        return self._ended(State.EXPIRED, now, end_reason=which)

    def is_overdue(self, now: datetime) -> bool:
        if self.state is State.PENDING:
            return now >= self.expires_at
        return self.state is State.APPROVED and self.apply_by is not None and now >= self.apply_by

    def is_due(self, now: datetime) -> bool:
        """Whether the reconciler has something to do with it now."""
        waits = self.not_before is not None and now < self.not_before
        return self.state in {State.APPROVED, State.UNCERTAIN} and not waits

    def claim(self, lease_until: datetime) -> ChangeRequest:
        """APPROVED becomes APPLYING to be written, UNCERTAIN to find out what a write did.

        Until `lease_until` nobody else may; after it whoever claimed it counts as dead.
        """
        self._require(State.APPROVED, State.UNCERTAIN)
        return self._moved(State.APPLYING, lease_until=lease_until, sent=False, waits_for="")

    def is_orphaned(self, now: datetime) -> bool:
        """Whether whoever was applying it has not been heard of for the length of a lease."""
        lease = self.lease_until
        return self.state is State.APPLYING and lease is not None and now >= lease

    def mark_sent(self) -> ChangeRequest:
        """The write was accepted; the read-back is outstanding. The card says so."""
        self._require(State.APPLYING)
        return self._moved(State.APPLYING, sent=True)

    def park(self, until: datetime, why: str) -> ChangeRequest:
        """APPLYING becomes again what it was: no effect so far, try again from `until` on."""
        self._require(State.APPLYING)
        if self.uncertain_since is not None:
            return self._moved(State.UNCERTAIN, not_before=until, waits_for=why)
        return self._moved(State.APPROVED, not_before=until, waits_for=why)

    def become_uncertain(self, now: datetime, not_before: datetime, why: str) -> ChangeRequest:
        """APPLYING becomes UNCERTAIN: a write may have taken effect; reading settles it, from
        `not_before` on."""
        self._require(State.APPLYING)
        return self._moved(
            State.UNCERTAIN,
            not_before=not_before,
            uncertain_since=self.uncertain_since or now,
            waits_for=why,
        )

    def go_on(self, now: datetime) -> ChangeRequest:
        """APPLYING becomes UNCERTAIN between two steps: the next is due at once, for another claim."""
        self._require(State.APPLYING)
        return replace(self.become_uncertain(now, now, ""), step=self.step + 1)

    def apply(self, now: datetime, observed: Any, effect: str) -> ChangeRequest:
        """APPLYING becomes APPLIED: a read shows the target."""
        self._require(State.APPLYING)
        return self._ended(State.APPLIED, now, observed=observed, was_read=True, effect=effect)

    def go_stale(self, now: datetime, observed: Any) -> ChangeRequest:
        """APPLYING becomes STALE: the base had moved before anything was sent."""
        self._require(State.APPLYING)
        why = "the configuration changed meanwhile"
        return self._ended(State.STALE, now, observed=observed, was_read=True, end_reason=why)

    def fail(self, now: datetime, why: str, observed: Any = None) -> ChangeRequest:
        """APPLYING becomes FAILED: refused, or not applied, with the base still in place.

        CONFLICT once the base is removed: "failed, nothing has changed" would not be true any more.
        """
        self._require(State.APPLYING)
        if self.has_removed:
            return self.conflict(now, f"{REMOVED}: {why}", observed)
        was_read = observed is not None
        return self._ended(State.FAILED, now, end_reason=why, observed=observed, was_read=was_read)

    def cancel_ineligible(self, now: datetime, why: str) -> ChangeRequest:
        """APPLYING becomes CANCELLED: too few people still stand behind it when it is to be applied."""
        self._require(State.APPLYING)
        return self._ended(State.CANCELLED, now, end_reason=why)

    def conflict(
        self, now: datetime, why: str, observed: Any, *, was_read: bool = True
    ) -> ChangeRequest:
        """APPLYING or UNCERTAIN becomes CONFLICT: neither base nor target is there, or nobody could find
        out. A person must look."""
        self._require(State.APPLYING, State.UNCERTAIN)
        return self._ended(
            State.CONFLICT, now, end_reason=why, observed=observed, was_read=was_read
        )

    def undo(self, later: Sequence[ChangeRequest], live: Any) -> Plan:
        """What sets back what this one changed; `later` were applied after it, newest first.

        Raises Refusal if there is nothing that could be undone, NoChange if it is undone already.
        """
        if self.is_open:
            raise Refusal(
                f"#{self.number} is still open, so there is nothing to undo. Whoever asked for it can "
                "`/mailcfg withdraw` it, and an approver can reject it."
            )
        if self.state is State.CONFLICT:
            raise Refusal(
                f"What #{self.number} did is not known, so it cannot be undone. Look in the Cliq admin "
                "panel, then ask for what you want with `/mailcfg set`."
            )
        if self.state is not State.APPLIED:
            raise Refusal(
                f"#{self.number} changed nothing ({self.state.words.ended}), so there is nothing to undo."
            )
        return self.plan.undo(self.number, [(each.number, each.plan) for each in later], live)

    def compute_digest(self) -> str:
        """SHA-256 over what an approver saw, as canonical JSON; see `canonical`."""
        shown = {
            "digest_version": self.digest_version,
            "request_id": self.id,
            "org": self.org,
            "operation": self.plan.operation,
            "base": self.plan.base and self.plan.base.as_dict(),
            "target": self.plan.target_json(),
            "policy": self.policy.as_dict(),
            "quorum": self.quorum,
            "requester": self.requester.as_dict(),
            "reason": self.reason,
        }
        if self.digest_version > 1:
            shown["created_at"] = milliseconds(self.created_at)
            shown["expires_at"] = milliseconds(self.expires_at)
            shown["plan"] = self.plan.sealed()
        return hashlib.sha256(canonical(shown).encode()).hexdigest()

    def intent(self) -> str:
        """The same wish by the same person has the same intent, whatever the base: SHA-256."""
        wish = [self.org, self.plan.operation, self.plan.wish_json(), self.requester.principal]
        return hashlib.sha256(canonical(wish).encode()).hexdigest()

    def _check_undecided(self, now: datetime) -> None:
        if self.state in IN_FLIGHT:
            raise AlreadySettled(f"#{self.number} is already being applied.")
        if self.state not in UNDECIDED:
            raise AlreadySettled(f"#{self.number} has ended: {self.state.words.ended}.")
        if self.is_overdue(now):
            raise AlreadySettled(f"#{self.number} has ended: {State.EXPIRED.words.ended}.")

    def _check_voter(self, voter: Actor) -> None:
        """Somebody else than the requester, for the first time."""
        if voter.is_same_person(self.requester):
            raise NotAllowed(OWN_REQUEST.code, OWN_REQUEST.sentence)
        earlier = self.decision_of(voter)
        if earlier is not None:
            raise AlreadySettled(_already(earlier))

    def _require(self, *states: State) -> None:
        if self.state not in states:
            raise AlreadySettled(f"#{self.number} has moved on: it is {self.state}.")

    def _moved(self, state: State, **changes: Any) -> ChangeRequest:
        if state is not State.APPLYING:
            changes["lease_until"] = None
        return replace(self, state=state, rev=self.rev + 1, **changes)

    def _ended(self, state: State, now: datetime, **changes: Any) -> ChangeRequest:
        return self._moved(state, ended_at=now, not_before=None, **changes)


def _already(decision: Decision) -> str:
    done = "approved" if decision.kind is VoteKind.APPROVE else "rejected"
    return f"You have already {done} this, at {decision.at:%H:%M} UTC."


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write that was about to be sent: stored before it, with its outcome after it.

    An attempt without outcome means that the process died in between, so the write may have been
    sent. `outcome` is one of "accepted", "ambiguous", "not_sent", "refused". `n` counts through all
    steps of the request.
    """

    request_id: str
    n: int
    method: str
    intent_at: datetime
    outcome: str = ""
    status: int | None = None
    code: str | None = None
    finished_at: datetime | None = None
    step: int = 1

    @property
    def may_have_effect(self) -> bool:
        return self.outcome not in {"not_sent", "refused"}


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs decisions with the first key and verifies with any, so that keys can be rotated."""

    keys: tuple[bytes, ...] = field(repr=False)

    def sign(self, request: ChangeRequest, voter: Actor, kind: VoteKind, at: datetime) -> str:
        return self.sign_text(_sealed(request, voter, kind, at))

    def holds(self, request: ChangeRequest, decision: Decision) -> bool:
        voter, kind, at = decision.voter, decision.kind, decision.at
        return self.holds_text(_sealed(request, voter, kind, at), decision.mac)

    def sign_text(self, text: str) -> str:
        """A MAC for a value that travels through Slack and comes back, such as a form's base."""
        return self._mac(self.keys[0], text)

    def holds_text(self, text: str, mac: str) -> bool:
        # Bytes, since what comes back may hold anything, and text must be ASCII to be compared.
        given = mac.encode()
        return any(hmac.compare_digest(self._mac(k, text).encode(), given) for k in self.keys)

    @staticmethod
    def _mac(key: bytes, message: str) -> str:
        return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def _sealed(request: ChangeRequest, voter: Actor, kind: VoteKind, at: datetime) -> str:
    person = canonical(voter.as_dict())
    return "|".join((request.digest, request.id, person, kind, str(milliseconds(at))))


def is_untouched(request: ChangeRequest, seal: Seal) -> bool:
    """Whether a stored request and its votes are what was shown and cast; a rejected one has ended."""
    return (
        request.digest == request.compute_digest()
        and _keeps_its_deadlines(request)
        and (request.rejection is None or request.state is State.REJECTED)
        and all(seal.holds(request, decision) for decision in request.decisions)
    )


def _keeps_its_deadlines(request: ChangeRequest) -> bool:
    """Whether it was approved in time, and may be applied for as long as then began.

    The votes are sealed with their time, so a deadline that was put off by hand is noticed.
    """
    if any(vote.at >= request.expires_at for vote in request.approvals):
        return False
    if request.apply_by is None:
        return request.state not in {State.APPROVED, State.APPLYING, State.UNCERTAIN}
    last = max((vote.at for vote in request.approvals), default=None)
    is_pending = request.state is State.PENDING
    return (
        last is not None
        and request.apply_by == last + request.policy.apply_within
        and not is_pending
    )


def people_still_for(
    request: ChangeRequest, voters: Sequence[Facts], today: Policy
) -> tuple[Actor, ...]:
    """Who of those that approved still counts, each person once.

    A vote must be valid under the rules that were frozen into the request and under today's.
    """
    return who_may_decide(voters, (request.policy, today), request.requester)
