"""Who and what there is in the sandbox before anything happens: values only.

Alice asks, Bob and Carol approve, Mallory is a guest who should be refused everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

TEAM_ID = "T0ACME"
TEAM_NAME = "Acme"
TEAM_DOMAIN = "acme"

APP_ID = "A0MAILCFG"
BOT_ID = "B0MAILCFG"
BOT_USER_ID = "U0MAILCFG"
BOT_NAME = "mailcfg"

ADMIN_CHANNEL = "C0MAILADMIN"
ALERT_CHANNEL = "C0MAILALERTS"


@dataclass(frozen=True)
class Person:
    """`flags` are the fields of `users.info` that are true for this person."""

    id: str
    name: str
    real_name: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    id: str
    name: str


@dataclass(frozen=True)
class Group:
    """A usergroup, `members` by their ids."""

    id: str
    handle: str
    members: tuple[str, ...]


ALICE = Person("U0ALICE", "alice", "Alice Ng", ("is_admin",))
BOB = Person("U0BOB", "bob", "Bob Ito")
CAROL = Person("U0CAROL", "carol", "Carol Diaz")
MALLORY = Person("U0MALLORY", "mallory", "Mallory", ("is_restricted",))
BOT = Person(BOT_USER_ID, BOT_NAME, BOT_NAME, ("is_bot",))

PEOPLE = (ALICE, BOB, CAROL, MALLORY)
PLACES = (Place(ADMIN_CHANNEL, "mail-admin"), Place(ALERT_CHANNEL, "mail-alerts"))
MAIL_APPROVERS = Group("S0MAILAPPROVERS", "mail-approvers", (BOB.id, CAROL.id))
GROUPS = (MAIL_APPROVERS,)
REQUESTERS = (ALICE.id,)
APPROVERS = (BOB.id, CAROL.id)
