"""An office to play in: the real services on a real store, everything outside of them fake."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import Table, select

from bot.adapters.store import schema
from bot.adapters.store.sql import SqlStore
from bot.domain.change import ChangeRequest, Seal, VoteKind
from bot.domain.command import Set
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import Patch
from bot.domain.organisation import Channels, Organisation
from bot.domain.policy import Actor, Facts, Policy
from bot.domain.timing import Timing
from bot.ports import FarEnd, FarEnds
from bot.services.serving import Services
from tests.fakes import TEAM, FakeCliq, FakeClock, FakeDirectory, FakeDns, config

ORG = "default"
ALICE = Actor(TEAM, "U0ALICE")
BOB = Actor(TEAM, "U0BOB")
CAROL = Actor(TEAM, "U0CAROL")
ERIN = Actor(TEAM, "U0ERIN")
MALLORY = Actor(TEAM, "U0MALLORY")
ROBOT = Actor(TEAM, "U0ROBOT")
GONE = Actor(TEAM, "U0GONE")
OUTSIDER = Actor("T0OTHER", "U0OUTSIDER")

PEOPLE = (
    Facts(ALICE),
    Facts(BOB),
    Facts(CAROL),
    Facts(ERIN),
    Facts(MALLORY, is_guest=True),
    Facts(ROBOT, is_bot=True),
    Facts(GONE, is_deleted=True),
    Facts(OUTSIDER, is_stranger=True),
)
"""Alice may ask, Bob and Carol approve, Erin is a member; the others are nobody here."""

POLICY = Policy(approvers=(BOB.user, CAROL.user), requesters=(ALICE.user,))
SEAL = Seal((b"a key of thirty-two bytes or more",))
ACME = Organisation(
    ORG, Channels("C0ADMIN", "C0ALERTS"), POLICY, SEAL, timing=Timing(pace=timedelta(0))
)
RENAME = Set(Patch(name="Acme Support"), "the old name confuses people")
NEW_ADDRESS = Set(Patch(email_id="it@acme.example"), "Scott has left")
"""An ordinary change, and a sensitive one, which needs two approvals."""


@dataclass
class Office:
    """The services of one organisation, and a few short ways to work with them."""

    store: SqlStore
    org: str = ORG
    policy: Policy = POLICY
    seal: Seal = SEAL
    clock: FakeClock = field(default_factory=FakeClock)
    cliq: FakeCliq = field(default_factory=lambda: FakeCliq(config()))
    directory: FakeDirectory = field(default_factory=lambda: FakeDirectory(*PEOPLE))
    dns: FakeDns = field(default_factory=FakeDns)
    others: dict[str, FarEnd] = field(default_factory=dict)

    was_tampered_with: bool = False

    def __post_init__(self) -> None:
        serial = count(1)
        self._ids = lambda: f"{self.org}-{next(serial):04d}"
        self.start()

    def start(self) -> None:
        """Put the bot together; again, as after a restart, with what the policy then says."""
        self.organisation = replace(ACME, id=self.org, policy=self.policy, seal=self.seal)
        far = (
            self.store,
            FarEnds(self.cliq, self.others),
            self.dns,
            self.directory,
            self.clock,
            self._ids,
        )
        services = Services.of(self.organisation, *far)
        self.admission, self.changes = services.admission, services.changes
        self.applier, self.watch = services.applier, services.watch
        self.look, self.check, self.alerts = services.look, services.checks, services.alerts

    def restart(self, **policy: Any) -> None:
        """A new process on the same database, with changed settings if there are any.

        It takes over what the old one was applying once its lease has ended.
        """
        self.policy = replace(self.policy, **policy)
        self.clock.advance(seconds=60)
        self.start()

    async def approve(self, actor: Actor, request: ChangeRequest) -> ChangeRequest:
        return await self.changes.decide(actor, request.id, VoteKind.APPROVE)

    async def reject(
        self, actor: Actor, request: ChangeRequest, reason: str = "not now"
    ) -> ChangeRequest:
        return await self.changes.decide(actor, request.id, VoteKind.REJECT, reason)

    async def approved(self, wish: Any = NEW_ADDRESS) -> ChangeRequest:
        """A request of Alice's that Bob and, where it takes two, Carol have approved."""
        request = await self.changes.propose(ALICE, wish)
        request = await self.approve(BOB, request)
        return request if request.quorum == 1 else await self.approve(CAROL, request)

    async def applied(self, wish: Any = NEW_ADDRESS) -> ChangeRequest:
        request = await self.approved(wish)
        await self.applier.settle()
        return await self.now(request)

    async def now(self, request: ChangeRequest) -> ChangeRequest:
        """The request as it is stored now."""
        current = await self.store.request(self.org, request.id)
        assert current is not None
        return current

    async def passes(self, times: int = 1, *, minutes: float = 15) -> None:
        """Let intervals pass, with the tick of each."""
        for _ in range(times):
            self.clock.advance(minutes=minutes)
            await self.watch.tick()

    async def incident(self, kind: Kind) -> Incident | None:
        return await self.store.open_incident(self.org, kind)

    async def messages(self) -> list[str]:
        """The kinds of the one-time messages that wait to be sent, in order."""
        due = await self.store.due_messages(self.org, self.clock.now())
        return [waiting.message.kind for waiting in due]

    async def audit(self) -> list[Any]:
        return sorted(await self.rows(schema.audit), key=lambda row: (row.org, row.seq))

    async def audited(self) -> list[str]:
        """The kinds of the audit entries, in order."""
        return [row.kind for row in await self.audit()]

    async def rows(self, table: Table) -> list[Any]:
        async with self.store._engine.begin() as connection:
            return list((await connection.execute(select(table))).all())

    async def tamper(self, statement: Any) -> None:
        """Change the database behind the bot's back."""
        self.was_tampered_with = True
        async with self.store._engine.begin() as connection:
            await connection.execute(statement)
