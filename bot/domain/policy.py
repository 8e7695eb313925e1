"""Who may look, ask and approve: pure verdicts over facts about a person. Default is no.

Slack's words for people: a *guest* is `is_restricted` or `is_ultra_restricted`; a *stranger* or a
person whose team is another one comes from a shared channel. Facts are gathered by the directory,
freshly at every click and again before anything is written. Whoever is listed may be a person (U…,
W…) or, among the approvers, a usergroup (S…), which stands for those who are in it at that moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from bot.domain.stored import Stored

ANYONE = "*"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the payload names them: ids only, never names or addresses.

    `enterprise_user` is the id across an Enterprise Grid, where there is one; a person can appear
    under both ids.
    """

    team: str
    user: str
    enterprise_user: str | None = None

    @property
    def principal(self) -> str:
        """One person, one principal: what votes are counted by."""
        return self.enterprise_user or f"{self.team}:{self.user}"

    def is_same_person(self, other: Actor) -> bool:
        mine = {self.principal, self.user, self.enterprise_user} - {None}
        theirs = {other.principal, other.user, other.enterprise_user} - {None}
        return bool(mine & theirs)

    def as_dict(self) -> Stored:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Facts:
    """What Slack said about a person, at `fetched_at`; part of the evidence of each decision.

    `is_stranger`: of another workspace, by the payload, by their account or by Slack's own flag.
    `groups` are those of the usergroups that were asked about in which the person is.
    """

    actor: Actor
    is_deleted: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_stranger: bool = False
    groups: tuple[str, ...] = ()
    fetched_at: str = ""

    def as_dict(self) -> Stored:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "actor"}
        return self.actor.as_dict() | values | {"groups": list(self.groups)}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of this deployment; frozen into each request, so that they cannot widen later.

    `approvers` are user and usergroup ids, `requesters` user ids; no requesters means approvers only,
    `*` every full member. `approvals_sensitive` counts for a changed address, a reset, and an accepted address.
    """

    approvers: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    approvals: int = 1
    approvals_sensitive: int = 2
    approval_deadline: timedelta = timedelta(hours=24)
    apply_within: timedelta = timedelta(minutes=60)
    watch_only: bool = False

    def quorum(self, *, is_sensitive: bool) -> int:
        return max(self.approvals, self.approvals_sensitive) if is_sensitive else self.approvals

    @property
    def groups(self) -> tuple[str, ...]:
        """The usergroups among the approvers."""
        return tuple(entry for entry in self.approvers if is_group(entry))

    def approvers_for(self, requester: Actor) -> tuple[str, ...]:
        """The listed people and usergroups that may vote on a request of `requester`."""
        mine = {requester.user, requester.enterprise_user}
        return tuple(entry for entry in self.approvers if entry not in mine)

    def approver_entry(self, facts: Facts) -> str | None:
        """The entry that makes somebody an approver: their own id, else their usergroup's."""
        ids = {facts.actor.user, facts.actor.enterprise_user, *facts.groups}
        return next((entry for entry in self.approvers if entry in ids), None)

    def fingerprint(self) -> str:
        """Equal rules have the same one: SHA-256 of their canonical values."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_dict(self) -> Stored:
        """Canonical values for the digest and the row; spans in whole seconds."""
        return {
            "approvers": list(self.approvers),
            "requesters": list(self.requesters),
            "approvals": self.approvals,
            "approvals_sensitive": self.approvals_sensitive,
            "approval_deadline": int(self.approval_deadline.total_seconds()),
            "apply_within": int(self.apply_within.total_seconds()),
            "watch_only": self.watch_only,
        }

    @classmethod
    def from_dict(cls, values: Stored) -> Policy:
        spans = {
            key: timedelta(seconds=values[key]) for key in ("approval_deadline", "apply_within")
        }
        lists = {key: tuple(values[key]) for key in ("approvers", "requesters")}
        return cls(**(values | spans | lists))


def is_group(entry: str) -> bool:
    """Whether a listed id is a usergroup's."""
    return entry.startswith("S")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether, and if not why: `code` for the audit, `sentence` for the person."""

    code: str
    sentence: str = ""

    @property
    def is_allowed(self) -> bool:
        return self.code == "ok"


ALLOWED = Verdict("ok")
OTHER_TEAM = Verdict(
    "other_team", "You are not a member of this workspace; only its members may do this."
)
OWN_REQUEST = Verdict(
    "own_request", "You asked for this change, so someone else must decide on it."
)


def may_show(facts: Facts) -> Verdict:
    """Every full, active member of the workspace."""
    if facts.is_stranger:
        return OTHER_TEAM
    if facts.is_deleted:
        return Verdict("deleted", "Your account in this workspace is deactivated.")
    if facts.is_bot:
        return Verdict("bot", "Bots may not do this; a person must.")
    if facts.is_guest:
        return Verdict("guest", "You are a guest in this workspace; only full members may do this.")
    return ALLOWED


def may_propose(facts: Facts, policy: Policy) -> Verdict:
    """Listed requesters and approvers; with `*` every full member; nobody where it only watches."""
    if policy.watch_only:
        return Verdict(
            "watch_only", "This deployment only watches: nobody can ask for changes here."
        )
    member = may_show(facts)
    if not member.is_allowed:
        return member
    mine = {facts.actor.user, facts.actor.enterprise_user}
    if ANYONE in policy.requesters or mine & {*policy.requesters}:
        return ALLOWED
    if policy.approver_entry(facts) is not None:
        return ALLOWED
    return Verdict(
        "not_requester",
        "You are not among those who may ask for changes. Ask whoever runs mailcfg to add your "
        f"Slack id {facts.actor.user} to MAILCFG_REQUESTERS.",
    )


def may_decide(facts: Facts, policy: Policy, requester: Actor) -> Verdict:
    """Approve or reject: approvers, never on their own request. Four eyes have no switch."""
    if facts.actor.is_same_person(requester):
        return OWN_REQUEST
    member = may_show(facts)
    if not member.is_allowed:
        return member
    if policy.approver_entry(facts) is None:
        return Verdict(
            "not_approver", "You are not among the approvers of this workspace's sender."
        )
    return ALLOWED


def who_may_decide(
    people: Iterable[Facts], policies: Sequence[Policy], requester: Actor
) -> tuple[Actor, ...]:
    """Who of these may decide on a request of `requester` under every policy, each person once."""
    found: list[Actor] = []
    for facts in people:
        is_new = not any(facts.actor.is_same_person(other) for other in found)
        verdicts = [may_decide(facts, policy, requester) for policy in policies]
        if is_new and all(verdict.is_allowed for verdict in verdicts):
            found.append(facts.actor)
    return tuple(found)


def evidence(facts: Facts, policy: Policy, verdict: Verdict = ALLOWED) -> dict[str, Any]:
    """What a verdict rests on, to be kept with it: the facts, the entry that matched, the rules."""
    judged = {"matched": policy.approver_entry(facts), "policy": policy.fingerprint()}
    return facts.as_dict() | judged | {"verdict": verdict.code}
