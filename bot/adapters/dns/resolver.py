"""DNS for the bot: each server asked by itself, so that who said what stays visible."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.resolver
from dns.rdatatype import RdataType

from bot.adapters.dns.examination import Examination
from bot.adapters.dns.reachability import Reach, ZoneReach, reach_all
from bot.adapters.dns.wire import TRIES, Address, NoAnswer, Patience, Server, to_name, to_text
from bot.adapters.dns.zones import Recursors, Zones
from bot.domain.dkim import TxtAnswer
from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.key_host import KeyHost, a_labels
from bot.ports import Clock

PROBLEMS = {
    Status.SERVFAIL: "server failure",
    Status.REFUSED: "refused",
    Status.UNREACHABLE: "unreachable",
    Status.UNREADABLE: "unreadable answer",
    Status.REFERRAL: "only a referral to other servers",
    Status.LOOP: "alias loop, or an answer that contradicts itself",
    Status.FAILED: "no usable answer",
}


@dataclass(frozen=True, slots=True)
class Times:
    """A question is put twice to a server, and each time waits `try_seconds`; a whole pass ends within
    `pass_seconds`, a survey within `survey_seconds`."""

    try_seconds: float = 1.0
    pass_seconds: float = 8.0
    survey_seconds: float = 1.5
    """Somebody waits for it, and has three seconds altogether before Slack gives up on a form."""


def random_label() -> str:
    return secrets.token_hex(8)


class DnsResolver:
    """`ports.Resolver` over the network.

    Without `resolvers` those of the machine are asked; without `authoritative` the servers of the
    zone are looked up, and the last ones found are kept for as long as nobody names others.
    `discovered_port` is where servers found in DNS listen; it is 53 everywhere but in a test.
    `new_label` makes names that nobody has.
    """

    def __init__(
        self,
        resolvers: Iterable[Address],
        authoritative: Iterable[Address],
        clock: Clock,
        *,
        discovered_port: int = 53,
        times: Times = Times(),
        new_label: Callable[[], str] = random_label,
    ) -> None:
        given = tuple(Server.at(address, is_authoritative=False) for address in resolvers)
        self._fixed = tuple(Server.at(address, is_authoritative=True) for address in authoritative)
        self._recursors = Recursors(lambda: given or _resolvers_of_this_machine(), self._fixed)
        self._zones = Zones(self._recursors, clock, self._fixed, discovered_port)
        self._clock = clock
        self._times = times
        self._new_label = new_label

    async def examine(
        self, host: KeyHost, dkim_value: str, from_domain: str, *, apex_hint: str | None = None
    ) -> Answers:
        hint = None if apex_hint is None else a_labels(apex_hint)
        return await self._examination().run(host, dkim_value, from_domain, hint, self._new_label)

    async def survey(self, domain: str) -> Answers:
        return await self._examination(self._times.survey_seconds).survey(a_labels(domain))

    async def txt(self, host: str) -> tuple[TxtAnswer, ...]:
        said = await self._examination().ask_everyone(host)
        return tuple(_as_txt(reply) for reply in said)

    async def zone_of(self, host: str) -> str | None:
        try:
            return to_text(
                await self._zones.apex_of(to_name(host), self._patience(self._times.pass_seconds))
            )
        except NoAnswer:
            return None

    async def reach_resolvers(self) -> tuple[Reach, ...]:
        """Whether each resolver answers about the root, which every resolver knows. Never raises."""
        servers = self._recursors.servers
        return await reach_all(
            servers, dns.name.root, RdataType.NS, self._patience(self._times.pass_seconds)
        )

    async def reach_zone(self, domain: str) -> ZoneReach:
        """The zone that holds a domain, and whether its own servers answer. Never raises."""
        patience = self._patience(self._times.pass_seconds)
        try:
            zone = await self._zones.zone_of(to_name(a_labels(domain)), patience)
        except NoAnswer:
            zone = None
        if zone is None:
            return ZoneReach(None)
        reached = await reach_all(zone.servers, zone.apex, RdataType.SOA, patience)
        return ZoneReach(to_text(zone.apex), reached)

    def _examination(self, seconds: float | None = None) -> Examination:
        patience = self._patience(self._times.pass_seconds if seconds is None else seconds)
        return Examination(self._recursors, self._zones, self._fixed, patience, self._clock.now())

    def _patience(self, seconds: float) -> Patience:
        """Two servers in a row, each tried twice, fit into `seconds`, however few these are."""
        now = asyncio.get_running_loop().time()
        return Patience(min(self._times.try_seconds, seconds / (2 * TRIES)), now + seconds)


def _as_txt(reply: Reply) -> TxtAnswer:
    if reply.is_definite and reply.status is not Status.LOOP:
        return TxtAnswer(reply.server, reply.texts, is_authoritative=reply.is_authoritative)
    problem = PROBLEMS.get(reply.status, str(reply.status))
    return TxtAnswer(reply.server, None, problem, reply.is_authoritative)


def _resolvers_of_this_machine() -> tuple[Server, ...]:
    try:
        configured = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError):
        return ()
    addresses = [str(server) for server in configured.nameservers]
    return tuple(Server.at((a, configured.port), is_authoritative=False) for a in addresses)
