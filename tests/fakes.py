"""The far ends, in memory: they behave like the real ones and can be asked what they saw.

`FakeCliq` keeps a configuration, `FakeDirectory` knows people, `FakeDns` serves records, `FakeClock`
moves when told. Faults are ordered beforehand and used up one by one. None of them knows a request.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.key_host import KeyHost
from bot.domain.mail_config import MailConfig, Wanted
from bot.domain.policy import Actor, Facts, is_group
from bot.domain.typed import NOT_VERIFIED
from bot.errors import CouldNotCheck, GroupTrouble, NotAllowed
from bot.ports import Purpose

KEYS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "samples" / "dkim_keys.json").read_text()
)
"""Real RSA public keys, six of each size, as base64 of their SubjectPublicKeyInfo."""

TEAM = "T0ACME"
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def dkim_value(bits: int, which: int = 0) -> str:
    """A key record as Zoho writes it."""
    return f"k=rsa; p={KEYS[str(bits)][which]}"


def config(
    email_id: str = "scott@acme.example",
    name: str = "Scott Fisher",
    *,
    bits: int = 1024,
    which: int = 0,
    selector: str = "1700000000000",
    cname_status: str = "verified",
    dkim_status: str = "verified",
) -> MailConfig:
    """A configured sender; `which` picks one of the keys."""
    return MailConfig(
        email_id=email_id,
        name=name,
        cname_status=cname_status,
        dkim_status=dkim_status,
        dkim_host=f"{selector}._domainkey.{email_id.rpartition('@')[2]}",
        dkim_value=dkim_value(bits, which),
    )


class Killed(BaseException):
    """The process died here; nothing that is written for errors may see it."""


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, start: datetime = MORNING) -> None:
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def advance(self, **span: float) -> None:
        """By a timedelta's arguments: `advance(minutes=5)`."""
        step = timedelta(**span)
        self._now += step
        self._elapsed += step.total_seconds()


@dataclass(frozen=True, slots=True)
class Write:
    """A write that took effect, and what the newest read before it had shown."""

    method: str
    wanted: Wanted | None
    before: MailConfig | None
    last_read: MailConfig | None


@dataclass(frozen=True, slots=True)
class Fault:
    error: BaseException
    after_effect: bool = False


class FakeCliq:
    """`ports.MailConfigApi`: a new domain or key size makes a new key, as at Zoho.

    `writes` are those that took effect; `sent` counts all that came in, `send_by` until when each
    might leave. `keeps_address` is the
    observed quirk that a PUT of another address is accepted and ignored, `ignores_writes` the
    imagined one that every write is, `makes_bits` that a new key has another size than was asked for.
    """

    def __init__(self, live: MailConfig | None = None) -> None:
        self.live = live
        self.writes: list[Write] = []
        self.sent = 0
        self.reads: list[Purpose] = []
        self.send_by: list[float] = []
        self.keeps_address = False
        self.ignores_writes = False
        self.makes_bits: int | None = None
        self.while_reading: Callable[[], Awaitable[object]] | None = None
        self._last_read: MailConfig | None = None
        self._read_faults: deque[BaseException] = deque()
        self._write_faults: deque[Fault] = deque()
        self._serial = count(1)

    def edit(self, **changes: str) -> None:
        """Somebody changes the live configuration in the admin panel."""
        assert self.live is not None
        self.live = replace(self.live, **changes)

    def fail_next_reads(self, *errors: BaseException) -> None:
        self._read_faults.extend(errors)

    def fail_next_write(self, error: BaseException, *, after_effect: bool = False) -> None:
        self._write_faults.append(Fault(error, after_effect))

    async def read(self, purpose: Purpose) -> MailConfig | None:
        self.reads.append(purpose)
        if self._read_faults:
            raise self._read_faults.popleft()
        shown = self._last_read = self.live
        if self.while_reading is not None:
            meanwhile, self.while_reading = self.while_reading, None
            await meanwhile()
        await asyncio.sleep(0)
        return shown

    async def write(self, wanted: Wanted, *, send_by: float) -> None:
        self.send_by.append(send_by)
        await self._take("PUT", wanted, self._after_put(wanted))

    async def remove(self, *, send_by: float) -> None:
        self.send_by.append(send_by)
        await self._take("DELETE", None, None)

    async def _take(self, method: str, wanted: Wanted | None, left: MailConfig | None) -> None:
        self.sent += 1
        await asyncio.sleep(0)
        fault = self._write_faults.popleft() if self._write_faults else None
        if fault is None or fault.after_effect:
            self.writes.append(Write(method, wanted, self.live, self._last_read))
            self.live = self.live if self.ignores_writes else left
        if fault is not None:
            raise fault.error

    def _after_put(self, wanted: Wanted) -> MailConfig | None:
        email_id, name = wanted.email_id, wanted.name
        old = self.live
        if self.keeps_address and old is not None and old.email_id != email_id:
            return old
        size, cname_status = wanted.dkim_key_size, wanted.cname_status
        same_domain = old is not None and old.domain == email_id.rpartition("@")[2]
        if old is not None and same_domain and size in (None, old.dkim_bits):
            return replace(old, email_id=email_id, name=name, cname_status=cname_status)
        which = next(self._serial)
        return config(
            email_id,
            name,
            bits=self.makes_bits or (size or 1024),
            which=which % 6,
            selector=f"{1800000000000 + which}",
            cname_status=cname_status,
            dkim_status=NOT_VERIFIED,
        )


class FakeDirectory:
    """`ports.Directory`: people with flags; nobody can be looked up while it is out of reach.

    `groups` are the members of each usergroup; one that is not there has never existed. Answers are
    never kept, and `afresh` are those who were asked about without a kept answer being good enough.
    """

    def __init__(self, *people: Facts) -> None:
        self._people = {facts.actor.user: facts for facts in people}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.is_reachable = True
        self.unreadable: str | None = None
        self.asked: list[str] = []
        self.afresh: list[str] = []

    def change(self, actor: Actor, **flags: bool) -> None:
        """From now on Slack says something else about this person."""
        self._people[actor.user] = replace(self._people[actor.user], **flags)

    def add(self, facts: Facts) -> None:
        self._people[facts.actor.user] = facts

    def forget(self, actor: Actor) -> None:
        del self._people[actor.user]

    async def look_up(
        self, actor: Actor, groups: Sequence[str] = (), *, afresh: bool = False
    ) -> Facts:
        self.asked.append(actor.user)
        self.afresh += [actor.user] * afresh
        await asyncio.sleep(0)
        if not self.is_reachable or self.unreadable in (actor.user, *groups):
            raise CouldNotCheck("Could not check your membership; try again.")
        if actor.user not in self._people:
            raise NotAllowed("unknown", "Slack does not know you.")
        found = self._people[actor.user]
        mine = tuple(group for group in groups if actor.user in self.groups.get(group, ()))
        return replace(found, groups=mine)

    async def named(self, entry: str) -> tuple[Actor, ...]:
        if not is_group(entry):
            return (Actor(TEAM, entry),)
        if not self.is_reachable or self.unreadable == entry:
            raise CouldNotCheck("Could not check your membership; try again.")
        if entry not in self.groups:
            raise GroupTrouble(entry, "Slack knows no such group.", is_missing=True)
        return tuple(Actor(TEAM, user) for user in self.groups[entry])


class FakeDns:
    """`ports.Resolver`: the two servers of one zone and a resolver.

    `faults` says which of them give no definite answer, and how; `elsewhere` what one of them holds
    instead of the `records`.
    """

    SERVERS = ("ns1.acme.example", "ns2.acme.example")
    RESOLVER = "192.0.2.53:53"

    def __init__(self, zone: str | None = "acme.example") -> None:
        self.records: dict[str, tuple[str, ...]] = {}
        self.elsewhere: dict[str, dict[str, tuple[str, ...]]] = {}
        self.faults: dict[str, Status] = {}
        self.zone = zone
        self.problem = ""
        self.surveyed: list[str] = []
        self.is_stuck = False
        self.policy = "v=DMARC1; p=none"
        self.asked: list[str] = []

    def publish(self, host: str, *values: str) -> None:
        self.records[host] = values

    def publish_key_of(self, live: MailConfig | None) -> None:
        assert live is not None
        self.publish(live.dkim_host, live.dkim_value)

    def withdraw(self, host: str) -> None:
        self.records.pop(host, None)

    def fail(self, status: Status | None, *servers: str) -> None:
        """From now on these servers, or all, fail like this; None: they work again."""
        for server in servers or (*self.SERVERS, self.RESOLVER):
            self.faults.pop(server, None)
            if status is not None:
                self.faults[server] = status

    async def examine(
        self, host: KeyHost, dkim_value: str, from_domain: str, *, apex_hint: str | None = None
    ) -> Answers:
        await asyncio.sleep(0)
        self.asked.append(str(host))
        return self.answers(host, from_domain, apex_hint)

    def answers(self, host: KeyHost, from_domain: str, apex_hint: str | None = None) -> Answers:
        slips = host.slips(self.zone) if self.zone and str(host) not in self.records else ()
        return Answers(
            str(host),
            MORNING,
            authoritative=tuple(self._ask(server, str(host)) for server in self.SERVERS),
            resolvers=(self._ask(self.RESOLVER, str(host)),),
            apex=self.zone or apex_hint,
            name_servers=self.SERVERS,
            slips=tuple(self._ask(self.SERVERS[0], name) for name in slips),
            spf=self._answer("", from_domain, self.records.get(from_domain, ("v=spf1 -all",))),
            dmarc=(self._policy_of(from_domain),),
        )

    def _policy_of(self, domain: str) -> Reply:
        name = f"_dmarc.{domain}"
        return self._answer("", name, self.records.get(name, (self.policy,)))

    def _ask(self, server: str, name: str) -> Reply:
        fault = Status.TIMED_OUT if self.problem else self.faults.get(server)
        if fault is not None:
            return replace(self._answer(server, name, ()), status=fault)
        held = self.elsewhere.get(server, self.records)
        return self._answer(server, name, held.get(name, ()))

    def _answer(self, server: str, name: str, texts: tuple[str, ...]) -> Reply:
        status = Status.ANSWERED if texts else Status.NXDOMAIN
        return Reply(server, name, status, texts, ttl=300, is_authoritative=server in self.SERVERS)

    async def survey(self, domain: str) -> Answers:
        """What is published about a domain, and no more."""
        self.surveyed.append(domain)
        await (asyncio.Event().wait() if self.is_stuck else asyncio.sleep(0))
        first = self.SERVERS[0]
        return Answers(
            host=domain,
            at=MORNING,
            apex=None if self.problem else self.zone,
            name_servers=() if self.problem else (first,),
            spf=self._ask(first, domain),
            dmarc=(self._ask(first, f"_dmarc.{domain}"),),
        )
