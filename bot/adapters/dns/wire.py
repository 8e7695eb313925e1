"""One question to one server, over UDP and, where an answer is cut, TCP.

Messages are built here because dnspython's own resolver folds a failing server, a refusal and an
alias loop into one exception. An answer is definite or it is `NoAnswer`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
from dns.message import QueryMessage
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from bot.domain.dns_answers import Status

Address = tuple[str, int]
"""Host (an IP address) and port."""

EDNS_PAYLOAD = 1232
"""Bytes of the largest UDP answer that is asked for (DNS flag day 2020)."""
TRIES = 2
STATUSES = {
    Rcode.NOERROR: Status.ANSWERED,
    Rcode.NXDOMAIN: Status.NXDOMAIN,
    Rcode.SERVFAIL: Status.SERVFAIL,
    Rcode.REFUSED: Status.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server to ask. `name` is how people are told of it."""

    name: str
    address: Address
    is_authoritative: bool

    @classmethod
    def at(cls, address: Address, *, is_authoritative: bool) -> Server:
        host, port = address
        return cls(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}", address, is_authoritative
        )


class NoAnswer(Exception):
    """No definite answer, and how it failed."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: `try_seconds` for each of two tries, and never past `end` (loop time)."""

    try_seconds: float
    end: float

    def seconds(self) -> float:
        left = self.end - asyncio.get_running_loop().time()
        return max(0.0, min(self.try_seconds, left))


async def ask(
    server: Server,
    name: Name,
    rdtype: RdataType,
    patience: Patience,
    *,
    checking_disabled: bool = False,
) -> QueryMessage:
    """One definite answer, within two tries. Raises NoAnswer.

    Authoritative servers are asked without recursion, resolvers with it. `checking_disabled` asks a
    resolver not to hold back what does not validate (RFC 4035 section 3.2.2).
    """
    flags = 0 if server.is_authoritative else int(dns.flags.RD)
    flags |= dns.flags.CD if checking_disabled else 0
    problem = NoAnswer(Status.TIMED_OUT)
    for _ in range(TRIES):
        message = dns.message.make_query(
            name, rdtype, use_edns=0, payload=EDNS_PAYLOAD, flags=flags
        )
        seconds = patience.seconds()
        if seconds == 0:
            break
        try:
            return await _exchange(server, message, seconds)
        except NoAnswer as error:
            problem = error
    raise problem


async def ask_over_tcp(
    server: Server, name: Name, rdtype: RdataType, patience: Patience
) -> QueryMessage:
    """One definite answer to one try, without UDP. Raises NoAnswer."""
    flags = 0 if server.is_authoritative else int(dns.flags.RD)
    message = dns.message.make_query(name, rdtype, use_edns=0, payload=EDNS_PAYLOAD, flags=flags)
    return await _exchange(server, message, patience.seconds(), over_tcp=True)


async def _exchange(
    server: Server, message: dns.message.Message, seconds: float, *, over_tcp: bool = False
) -> QueryMessage:
    try:
        async with asyncio.timeout(seconds):
            response = await _sent(server, message, seconds, over_tcp)
    except (dns.exception.Timeout, TimeoutError) as error:
        raise NoAnswer(Status.TIMED_OUT) from error
    except (OSError, EOFError) as error:
        raise NoAnswer(Status.UNREACHABLE) from error
    except (dns.exception.DNSException, ValueError) as error:
        raise NoAnswer(Status.UNREADABLE) from error
    status = STATUSES.get(response.rcode(), Status.FAILED)
    if status not in {Status.ANSWERED, Status.NXDOMAIN}:
        raise NoAnswer(status)
    if not isinstance(response, QueryMessage):
        raise NoAnswer(Status.UNREADABLE)
    if _is_referral(response):
        raise NoAnswer(Status.REFERRAL)
    return response


async def _sent(
    server: Server, message: dns.message.Message, seconds: float, over_tcp: bool
) -> dns.message.Message:
    host, port = server.address
    if over_tcp:
        return await dns.asyncquery.tcp(message, host, timeout=seconds, port=port)
    response, _ = await dns.asyncquery.udp_with_fallback(
        message, host, timeout=seconds, port=port, ignore_unexpected=True
    )
    return response


def _is_referral(response: QueryMessage) -> bool:
    kinds = {rrset.rdtype for rrset in response.authority}
    return not response.answer and RdataType.NS in kinds and RdataType.SOA not in kinds


def to_name(text: str) -> Name:
    """Raises NoAnswer where the text is no DNS name."""
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NoAnswer(Status.FAILED) from error


def to_text(name: Name) -> str:
    """Without final dot, in lower case, as names are compared."""
    return name.to_text(omit_final_dot=True).lower()
