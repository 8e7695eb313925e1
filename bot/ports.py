"""The outside, as the services see it. Each Protocol is documented here, not where it is met."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, TypeVar

from bot.domain.alert import AlertState
from bot.domain.audit import AuditEntry, AuditHead, AuditRow
from bot.domain.change import Attempt, ChangeRequest
from bot.domain.dns_answers import Answers
from bot.domain.incident import Incident, Kind
from bot.domain.key_host import KeyHost
from bot.domain.last_pass import LastPass
from bot.domain.mail_config import MailConfig
from bot.domain.policy import Actor, Facts
from bot.domain.sender_plans import SENDER, SenderWrites


class Clock(Protocol):
    """Time, so that it can be moved."""

    def now(self) -> datetime:
        """Wall time, UTC and aware."""

    def elapsed(self) -> float:
        """Seconds from an arbitrary start that never run backwards, time asleep included."""


class Purpose(Enum):
    """Why the API is called; it decides how much of the shared budget may be used up.

    The value is the number of calls in the counting window below which this purpose may still call.
    """

    LOOK = 8
    """`show` and the drift check."""
    APPLY = 12
    """The read before a write, and the write."""
    CONFIRM = 19
    """Reads that settle a write which was already sent."""


Value = TypeVar("Value")


class Shared(Protocol[Value]):
    """One value of an organisation, shared by every process that works for it.

    Both calls may raise DatabaseError.
    """

    async def read(self) -> Value: ...

    async def change(self, step: Callable[[Value], Value]) -> Value:
        """Put `step(value)` in its place and return that; one change after the other, whoever asks.

        `step` waits for nothing. What it raises reaches the caller, and then nothing is changed.
        """


class FarEnd(Protocol):
    """Where one subject is read, and written by the steps of its plans: how is between the two.

    Every call may raise FarEndError.
    """

    async def read(self, purpose: Purpose) -> Any:
        """What is live; None is "nothing set". May repeat a failed read by itself."""


class MailConfigApi(FarEnd, SenderWrites, Protocol):
    """The organisation's mail configuration at Zoho."""

    async def read(self, purpose: Purpose) -> MailConfig | None: ...


@dataclass(frozen=True, slots=True)
class FarEnds:
    """Where everything that can be changed is read and written; the `others` are by their subject."""

    sender: MailConfigApi
    others: Mapping[str, FarEnd] = field(default_factory=dict)

    def of(self, subject: str) -> FarEnd:
        return self.sender if subject == SENDER else self.others[subject]


class Resolver(Protocol):
    """DNS."""

    async def examine(
        self, host: KeyHost, dkim_value: str, from_domain: str, *, apex_hint: str | None = None
    ) -> Answers:
        """One pass: everything that is asked about a key record. Never raises, ends in 8 seconds.

        `dkim_value` is the record that should stand at `host`; what only a wrong record makes worth
        asking is not asked otherwise. `apex_hint` is the zone as it was known at the approval, for
        when it cannot be found now.
        """

    async def survey(self, domain: str) -> Answers:
        """The zone that key records of `domain` stand in, its name servers, SPF and DMARC.

        No key is asked for. Never raises, ends in 1.5 seconds; what is not found by then is unknown.
        """


class Directory(Protocol):
    """Who people are, at Slack."""

    async def look_up(
        self, actor: Actor, groups: Sequence[str] = (), *, afresh: bool = False
    ) -> Facts:
        """What Slack says about this person now, and which of these usergroups they are in.

        Who is in a group may have been read up to a minute ago, unless it is asked `afresh`; in one
        that does not exist is nobody. Raises NotAllowed for somebody whom Slack does not know,
        CouldNotCheck if it says nothing.
        """

    async def named(self, entry: str) -> tuple[Actor, ...]:
        """The people whom a user or usergroup id stands for, unchecked, at most a minute old.

        Raises GroupTrouble for a group that Slack will never tell about, else CouldNotCheck.
        """


class LostRace(Exception):
    """Somebody else moved the row first: read it again and decide anew."""


@dataclass(frozen=True, slots=True)
class Message:
    """A one-time message to be sent at least once.

    `key` makes it one: a second message with the same key is not stored. `subject` is the request
    or incident in whose thread it goes; without one it goes to the alert channel itself.
    """

    key: str
    kind: str
    facts: dict[str, Any]
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """Where a living message stands in Slack: `ts` is empty until it is posted.

    `subject` is the id of the request or incident that it shows, `shown_rev` what it showed last.
    `mention_at` is when the approvers are mentioned, if they are. `instead_of` is the channel where
    it belongs but could not be posted.
    """

    subject: str
    channel: str
    ts: str = ""
    shown_rev: int = 0
    tries: int = 0
    mention_at: datetime | None = None
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is not sent yet, and after how many tries.

    `channel` and `ts` are the place of its subject's card; empty where there is none, or not yet.
    """

    message: Message
    tries: int = 0
    channel: str = ""
    ts: str = ""


@dataclass(frozen=True, slots=True)
class WatchState:
    """What the watch knows of an organisation between two checks.

    `reading` is the last successful reading of the API, at `read_at`; `last_error` is why the newest
    check could not read it. `told` are the changes outside approval that people were told of, see
    `notices.outside_approval`. `rev` counts the writes: see `Transaction.replace_watch`.
    """

    org: str
    has_reading: bool = False
    reading: MailConfig | None = None
    read_at: datetime | None = None
    last_error: str = ""
    alert: AlertState = field(default_factory=AlertState)
    told: tuple[str, ...] = ()
    last_pass: LastPass = field(default_factory=LastPass)
    rev: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an organisation's rows add up to.

    `requests` are the open ones by state; `messages` wait to be sent, `oldest_message` is the first one's key;
    `cards_due` show an older revision than their row has.
    """

    requests: dict[str, int]
    messages: int
    oldest_message: str | None
    cards_due: int


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """How much of the limit on API calls is used up now, and until when the API is locked."""

    used: int
    locked_until: datetime | None = None


class Transaction(Protocol):
    """Everything of one step of one organisation, stored together or not at all.

    What is told is told there, and no card or message of another organisation is touched.
    """

    async def add_request(self, new: ChangeRequest) -> ChangeRequest:
        """Store a new request and give it its number. Raises AlreadyOpen."""

    async def replace(self, old: ChangeRequest, new: ChangeRequest) -> None:
        """Write `new` over `old` with its new decisions; raises LostRace if `old` is out of date."""

    async def hold(self, request: ChangeRequest) -> None:
        """Keep others from moving the request before this commits; raises LostRace."""

    async def add_attempt(self, attempt: Attempt) -> None: ...

    async def finish_attempt(self, attempt: Attempt) -> None: ...

    async def record(self, entry: AuditEntry) -> AuditHead:
        """Append to the audit, chained to the entry before it; returns where it ends now."""

    async def tell(self, message: Message, *, after: datetime | None = None) -> None:
        """Store a one-time message, unless one with its key was; it is not sent before `after`."""

    async def save_incident(self, incident: Incident) -> None:
        """Store a new or changed living message; its card becomes due."""

    async def replace_watch(self, old: WatchState, new: WatchState) -> None:
        """Write `new` over `old`; raises LostRace if `old` is out of date."""

    async def save_reading(self, org: str, live: MailConfig | None, at: datetime) -> None:
        """Store what our own write left, for the next check to compare with.

        A check that is going on then loses its race, since it may have read what was before.
        """

    async def take_slot(self, job: str, slot: datetime) -> bool:
        """Whether this caller is the one that may run `job` for `slot`; true once for each pair."""

    async def save_card(self, card: Card, *, after: datetime | None = None) -> None:
        """Store where a card stands; `after` puts off the next try."""

    async def show_again(self, subject: str) -> None:
        """Make a card due though its row has not moved: it is brought up to date, or posted anew."""

    async def claim_card(self, card: Card, now: datetime, until: datetime) -> bool:
        """Whether this caller may show the card now; if so, nobody else tries before `until`."""

    async def claim_message(self, key: str, now: datetime, until: datetime) -> bool:
        """The same for a one-time message."""

    async def finish_message(self, key: str, now: datetime) -> None: ...

    async def put_off_message(self, key: str, after: datetime, error: str) -> None: ...


class Store(Protocol):
    """The truth. Reads give values; writing happens in a transaction.

    `begin` commits on leaving and rolls back on any exception. To an organisation what has an id
    of another one is as unknown as what does not exist.
    """

    def begin(self, org: str) -> AbstractAsyncContextManager[Transaction]: ...

    async def request(self, org: str, request_id: str) -> ChangeRequest | None: ...

    async def open_request(self, org: str) -> ChangeRequest | None: ...

    async def last_applied(self, org: str, subject: str) -> ChangeRequest | None:
        """The request that made the approved baseline of a subject."""

    def audit(self, org: str, after: int = 0) -> AsyncIterator[AuditRow]:
        """The audit from behind entry `after` on, oldest first."""

    async def audit_of(self, request: ChangeRequest) -> list[AuditRow]:
        """The entries about one request, oldest first."""

    async def audit_head(self, org: str) -> AuditHead | None:
        """Where the audit ends; None while it is empty."""

    def requests(self, org: str) -> AsyncIterator[ChangeRequest]:
        """Every request, newest first."""

    async def newest(self, org: str, count: int, subject: str | None = None) -> list[ChangeRequest]:
        """The newest requests, of one subject or all, at most `count`, newest first."""

    async def numbered(self, org: str, number: int) -> ChangeRequest | None:
        """The request that people call by this number."""

    async def applied_after(self, request: ChangeRequest, most: int) -> list[ChangeRequest]:
        """Those applied after this one to the same subject, at most `most`, newest first."""

    async def attempts(self, request: ChangeRequest) -> list[Attempt]: ...

    async def watch(self, org: str) -> WatchState: ...

    async def open_incident(self, org: str, kind: Kind) -> Incident | None:
        """The one of a kind that has no keys."""

    async def open_incidents(self, org: str, kind: Kind) -> list[Incident]:
        """All of a kind, oldest first."""

    async def due_cards(self, org: str, now: datetime) -> list[Card]:
        """Cards that show an older revision than their row has."""

    async def due_messages(self, org: str, now: datetime) -> list[Waiting]:
        """One-time messages not sent yet, oldest first."""

    async def told(self, org: str, subject: str, kind: str) -> tuple[str, ...]:
        """The keys of all messages of this kind about a subject, sent or not, in their order."""

    async def card(self, org: str, subject: str) -> Card | None: ...

    async def last_mention(self, org: str, now: datetime) -> datetime | None:
        """When the approvers of an organisation were last mentioned on or with a card."""

    async def subject(self, org: str, subject: str) -> ChangeRequest | Incident | None:
        """The request or incident with this id."""

    async def remember_signature(self, digest: str, now: datetime) -> bool:
        """Whether this is new. Committed on return, and remembered for ten minutes, twice as long as
        Slack's are valid."""

    async def forget_signatures(self, now: datetime) -> None:
        """Delete those that need not be remembered any more."""

    async def backlog(self, org: str) -> Backlog:
        """One reading for whoever counts; put-off cards and messages included."""

    async def is_writable(self) -> bool: ...
