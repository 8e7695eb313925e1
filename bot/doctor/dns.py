"""DNS: resolvers that answer, TCP, and the zone of the sender with its own servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bot.adapters.dns.reachability import Reach, ZoneReach
from bot.adapters.dns.resolver import DnsResolver, Times
from bot.doctor.findings import Judgement, NotChecked, Sheet, failure, ok, warning
from bot.doctor.zoho import Sender
from bot.domain.dns_answers import DEFINITE
from bot.domain.key_host import a_labels
from bot.ports import Clock
from bot.settings import Partial

AskSender = Callable[[], Awaitable[Sender]]

TRY_SECONDS = 0.5
"""Each server is asked twice over UDP, and once over TCP meanwhile."""


def sheet() -> Sheet:
    return Sheet("dns.resolvers", "dns.zone", "dns.name_servers", "dns.tcp")


async def check(
    found: Partial, sheet: Sheet, clock: Clock, sender: AskSender, call_seconds: float
) -> None:
    """Resolvers at once; the zone as soon as the sender is known. Raises NotChecked."""
    for variable in ("MAILCFG_DNS_SERVERS", "MAILCFG_DNS_AUTHORITATIVE"):
        if variable in found.wrong:
            raise NotChecked(f"{variable} has no right value")
    resolver = DnsResolver(
        found.settings.dns_servers,
        found.settings.dns_authoritative,
        clock,
        times=Times(min(TRY_SECONDS, call_seconds / 2), pass_seconds=call_seconds),
    )
    resolvers, zone = await asyncio.gather(
        _resolvers(resolver, sheet), _zone(resolver, sheet, sender)
    )
    sheet.put("dns.tcp", judge_tcp([*resolvers, *zone.servers]))


async def _resolvers(resolver: DnsResolver, sheet: Sheet) -> tuple[Reach, ...]:
    reached = await resolver.reach_resolvers()
    sheet.put("dns.resolvers", judge_resolvers(reached))
    sheet.put("dns.tcp", judge_tcp(reached))
    return reached


async def _zone(resolver: DnsResolver, sheet: Sheet, sender: AskSender) -> ZoneReach:
    try:
        config = (await sender()).config
    except NotChecked as unknown:
        for check in ("dns.zone", "dns.name_servers"):
            sheet.put(check, warning(f"Not checked: {unknown}."))
        return ZoneReach(None)
    if config is None:
        for check in ("dns.zone", "dns.name_servers"):
            sheet.put(check, ok("No custom sender is set, so there is no zone to look at."))
        return ZoneReach(None)
    zone = await resolver.reach_zone(a_labels(config.domain))
    sheet.put("dns.zone", judge_zone(zone, config.domain))
    sheet.put("dns.name_servers", judge_name_servers(zone))
    return zone


def judge_resolvers(reached: Sequence[Reach]) -> Judgement:
    silent = [each for each in reached if each.udp not in DEFINITE]
    if len(silent) == len(reached):
        return failure(
            f"No resolver answers: {_troubles(silent) or 'none is set on this machine'}.",
            "Name resolvers that answer in MAILCFG_DNS_SERVERS.",
        )
    if silent:
        return warning(
            f"{_count(reached, silent)} of {len(reached)} resolvers answer: {_troubles(silent)}.",
            "Mend it, or take it out of MAILCFG_DNS_SERVERS.",
        )
    return ok(f"All answer: {', '.join(each.server for each in reached)}.")


def judge_zone(zone: ZoneReach, domain: str) -> Judgement:
    if zone.apex is None:
        return warning(
            f"The zone of {domain} was not found.",
            "See whether the domain is delegated, or name its servers in MAILCFG_DNS_AUTHORITATIVE.",
        )
    return ok(f"{domain} is in the zone {zone.apex}.")


def judge_name_servers(zone: ZoneReach) -> Judgement:
    if zone.apex is None:
        return warning("Not checked: the zone was not found.")
    silent = [each for each in zone.servers if each.udp not in DEFINITE]
    if silent:
        return warning(
            f"{_count(zone.servers, silent)} of {len(zone.servers)} servers of {zone.apex} answer: "
            f"{_troubles(silent)}.",
            "Tell whoever runs that zone, and see that this machine may ask it (port 53).",
        )
    return ok(f"All servers of {zone.apex} answer: {', '.join(e.server for e in zone.servers)}.")


def judge_tcp(reached: Sequence[Reach]) -> Judgement:
    """Only of those that answer at all."""
    alive = [each for each in reached if each.udp in DEFINITE]
    deaf = [each.server for each in alive if each.tcp not in DEFINITE]
    if not alive:
        return warning("Not checked: no server answers.")
    if deaf:
        return warning(
            f"No answer over TCP: {', '.join(deaf)}. Long keys do not fit into every UDP answer.",
            "Let this machine ask them over TCP, port 53.",
        )
    return ok("TCP works, too.")


def _count(reached: Sequence[Reach], silent: Sequence[Reach]) -> int:
    return len(reached) - len(silent)


def _troubles(silent: Sequence[Reach]) -> str:
    return ", ".join(f"{each.server} {each.udp.value}" for each in silent)
