"""One pass over DNS as data: what each server said, before anything is concluded from it.

An answer is definite (records, or a definite "none") or it is nothing: a time-out or a failing server
never looks like a missing record. Whoever asks fills this in; `verdict` and `posture` read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """How a question ended. The value is how it is said: "ns1 timed out"."""

    ANSWERED = "answered"
    NXDOMAIN = "knows no such name"
    LOOP = "has an alias that never ends"
    """A definite answer, too: an alias in a circle, or longer than anybody follows."""
    TIMED_OUT = "timed out"
    SERVFAIL = "reported a server failure"
    REFUSED = "refused to answer"
    REFERRAL = "only pointed to other servers"
    UNREADABLE = "gave an unreadable answer"
    UNREACHABLE = "could not be reached"
    FAILED = "answered with an error"


DEFINITE = frozenset({Status.ANSWERED, Status.NXDOMAIN, Status.LOOP})


@dataclass(frozen=True, slots=True)
class Reply:
    """What one server said to one question for TXT records.

    `texts` are the joined strings of each record, at the end of `aliases` (the names that CNAME
    records led through). `ttl` is how many seconds caches may keep the answer, a negative one too
    (RFC 2308). `zone` is the owner of the SOA record in a negative answer.
    """

    server: str
    name: str
    status: Status
    texts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ttl: int | None = None
    zone: str | None = None
    is_authoritative: bool = False

    @property
    def is_definite(self) -> bool:
        return self.status in DEFINITE

    @property
    def has_data(self) -> bool:
        """Whether anything at all stands at the name."""
        return bool(self.texts or self.aliases)


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that one pass asked about `host`, the name of the key record.

    `unvalidated` are resolvers that failed and were asked again with checking disabled (CD=1,
    RFC 4035 section 3.2.2). `existence` is whether the zone (the domain, where no zone was found) is
    there at all, `wildcard` what a random name beside the host holds, `slips` what stands where
    people publish by mistake, likeliest first. `dmarc` goes from the From domain upwards. What was
    not asked is None or empty.
    """

    host: str
    at: datetime
    authoritative: tuple[Reply, ...] = ()
    resolvers: tuple[Reply, ...] = ()
    unvalidated: tuple[Reply, ...] = ()
    apex: str | None = None
    name_servers: tuple[str, ...] = ()
    existence: Reply | None = None
    wildcard: Reply | None = None
    slips: tuple[Reply, ...] = ()
    spf: Reply | None = None
    dmarc: tuple[Reply, ...] = ()

    @property
    def truth(self) -> tuple[Reply, ...]:
        """The definite answers that count: resolvers only where no authoritative server gives one."""
        own = tuple(reply for reply in self.authoritative if reply.is_definite)
        return own or tuple(reply for reply in self.resolvers if reply.is_definite)
