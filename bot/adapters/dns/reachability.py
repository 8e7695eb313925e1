"""Whether DNS servers can be reached at all, over UDP and over TCP, for whoever examines a deployment.

TCP matters: a key of 2048 bits does not fit into every UDP answer (RFC 7766 section 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dns.name import Name
from dns.rdatatype import RdataType

from bot.adapters.dns.wire import TRIES, NoAnswer, Patience, Server, ask, ask_over_tcp
from bot.domain.dns_answers import Status


@dataclass(frozen=True, slots=True)
class Reach:
    """How one server took the same question over either transport."""

    server: str
    udp: Status
    tcp: Status


@dataclass(frozen=True, slots=True)
class ZoneReach:
    """A zone and its own servers; `apex` is None where no zone was found."""

    apex: str | None
    servers: tuple[Reach, ...] = ()


async def reach_all(
    servers: Iterable[Server], name: Name, rdtype: RdataType, patience: Patience
) -> tuple[Reach, ...]:
    """Ask all of them at once; never raises."""
    return tuple(
        await asyncio.gather(*(_reach(server, name, rdtype, patience) for server in servers))
    )


async def _reach(server: Server, name: Name, rdtype: RdataType, patience: Patience) -> Reach:
    """Over TCP there is one try, so it may take as long as all of those over UDP."""
    longer = replace(patience, try_seconds=TRIES * patience.try_seconds)
    udp, tcp = await asyncio.gather(
        ask(server, name, rdtype, patience),
        ask_over_tcp(server, name, rdtype, longer),
        return_exceptions=True,
    )
    return Reach(server.name, _status(udp), _status(tcp))


def _status(outcome: object) -> Status:
    if isinstance(outcome, NoAnswer):
        return outcome.status
    return Status.FAILED if isinstance(outcome, BaseException) else Status.ANSWERED
