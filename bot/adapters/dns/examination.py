"""One pass over DNS: everything that is asked about a key record, and in which order.

The zone's own servers and the resolvers are asked at once; what they say decides whether a wildcard
or a slip of the name is looked for. One deadline bounds it all: what is unfinished then counts as
no answer, so the pass always ends in `Answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from dns.message import QueryMessage
from dns.name import Name
from dns.rdatatype import RdataType

from bot.adapters.dns import reading
from bot.adapters.dns.wire import STATUSES, NoAnswer, Patience, Server, ask, to_name, to_text
from bot.adapters.dns.zones import Recursors, Zone, Zones
from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.key_host import KeyHost, is_registry, is_within, policy_domains
from bot.domain.posture import dmarc
from bot.domain.verdict import RecordKind, judge, may_be_gone, suspect


class Examination:
    """One pass. Nothing in it raises; a name that is none is answered by nobody."""

    def __init__(
        self,
        recursors: Recursors,
        zones: Zones,
        fixed: tuple[Server, ...],
        patience: Patience,
        now: datetime,
    ) -> None:
        self._recursors = recursors
        self._zones = zones
        self._fixed = fixed
        self._patience = patience
        self._now = now

    async def run(
        self,
        host: KeyHost,
        dkim_value: str,
        from_domain: str,
        apex_hint: str | None,
        new_label: Callable[[], str],
    ) -> Answers:
        (zone, own), (resolvers, unvalidated) = await asyncio.gather(
            self._ask_authority(host), self._ask_resolvers(str(host))
        )
        apex = to_text(zone.apex) if zone else apex_hint or _apex_told(own.values(), host)
        answers = Answers(
            host=str(host),
            at=self._now,
            authoritative=tuple(own.values()),
            resolvers=tuple(resolvers.values()),
            unvalidated=unvalidated,
            apex=apex,
            name_servers=zone.names if zone else (),
        )
        definite = [server for server, reply in own.items() if reply.is_definite]
        answers, (spf, policies) = await asyncio.gather(
            self._look_closer(answers, host, dkim_value, own | resolvers, new_label),
            self._ask_policies(from_domain, apex, definite),
        )
        return replace(answers, spf=spf, dmarc=policies)

    async def survey(self, domain: str) -> Answers:
        """The zone of a domain, and its policies.

        Resolvers are asked beside the zone's own servers, not after them, for want of time; where
        both answer, the zone's own count.
        """
        (zone, own_spf, own_policies), (spf, policies) = await asyncio.gather(
            self._survey_zone(domain), self._ask_policies(domain, None, [])
        )
        return Answers(
            host=domain,
            at=self._now,
            apex=to_text(zone.apex) if zone else None,
            name_servers=zone.names if zone else (),
            spf=own_spf or spf,
            dmarc=own_policies or policies,
        )

    async def _survey_zone(
        self, domain: str
    ) -> tuple[Zone | None, Reply | None, tuple[Reply, ...]]:
        """The zone, and what its own servers say of the policies; nothing if they say nothing."""
        zone = await self._find_zone(f"_domainkey.{domain}")
        servers = zone.servers if zone else self._fixed
        first = await self._first_to_answer(servers, domain)
        if zone is None or first is None:
            return zone, None, ()
        spf, policies = await self._ask_policies(domain, to_text(zone.apex), [first])
        is_said = dmarc(policies) is not None
        return zone, spf if spf.is_definite else None, policies if is_said else ()

    async def _first_to_answer(self, servers: Iterable[Server], name: str) -> Server | None:
        """Whoever gives a definite answer first; the others are not waited for."""

        async def ask_it(server: Server) -> Server | None:
            return server if (await self._ask_one(server, name)).is_definite else None

        asked = [asyncio.create_task(ask_it(server)) for server in servers]
        try:
            for answered in asyncio.as_completed(asked):
                if (server := await answered) is not None:
                    return server
            return None
        finally:
            for task in asked:
                task.cancel()

    async def ask_everyone(self, host: str) -> tuple[Reply, ...]:
        """The TXT records at any name, by every server of its zone and every resolver."""
        own, resolvers = await asyncio.gather(
            self._ask_own(host), self._ask_all(self._recursors.servers, host)
        )
        return (*own, *resolvers.values())

    async def _ask_own(self, host: str) -> tuple[Reply, ...]:
        zone = None if self._fixed else await self._find_zone(host)
        said = await self._ask_all(zone.servers if zone else self._fixed, host)
        return tuple(said.values())

    async def _ask_authority(self, host: KeyHost) -> tuple[Zone | None, dict[Server, Reply]]:
        """The zone of the host, and what each of its servers says; given ones need no zone first."""
        finding = self._find_zone(f"_domainkey.{host.domain}")
        if self._fixed:
            return await asyncio.gather(finding, self._ask_all(self._fixed, str(host)))
        zone = await finding
        return zone, await self._ask_all(zone.servers if zone else (), str(host))

    async def _find_zone(self, name: str) -> Zone | None:
        try:
            return await self._zones.zone_of(to_name(name), self._patience)
        except NoAnswer:
            return None

    async def _ask_resolvers(self, host: str) -> tuple[dict[Server, Reply], tuple[Reply, ...]]:
        """What each says, and what those that failed say when they need not validate."""
        said = await self._ask_all(self._recursors.servers, host)
        failed = [server for server, reply in said.items() if reply.status is Status.SERVFAIL]
        again = await self._ask_all(failed, host, checking_disabled=True)
        return said, tuple(again.values())

    async def _look_closer(
        self,
        answers: Answers,
        host: KeyHost,
        dkim_value: str,
        said: dict[Server, Reply],
        new_label: Callable[[], str],
    ) -> Answers:
        """What only some answers make worth asking: a wildcard, slips of the name, a lost domain."""
        doubtful = suspect(answers, dkim_value)
        if doubtful is not None:
            server = _who_said(said, doubtful)
            wildcard = await self._ask_one(server, host.sibling(new_label()))
            answers = replace(answers, wildcard=wildcard)
        if may_be_gone(answers):
            answers = replace(answers, existence=await self._ask_existence(answers, host))
        if judge(answers, dkim_value).kind is RecordKind.MISSING:
            server = _who_said(said, answers.truth[0])
            slips = host.slips(answers.apex or host.domain)
            found = await asyncio.gather(*(self._ask_one(server, name) for name in slips))
            answers = replace(answers, slips=tuple(found))
        return answers

    async def _ask_existence(self, answers: Answers, host: KeyHost) -> Reply:
        """The SOA of the zone, or of the domain where no zone was found."""
        name = answers.apex or host.domain
        try:
            wanted = to_name(name)
            server, response = await self._recursors.ask(wanted, RdataType.SOA, self._patience)
        except NoAnswer as error:
            return Reply("", name, error.status)
        return _read(server, wanted, response)[0]

    async def _ask_policies(
        self, from_domain: str, apex: str | None, own: list[Server]
    ) -> tuple[Reply, tuple[Reply, ...]]:
        spf, policies = await asyncio.gather(
            self._ask_posture(from_domain, apex, own), self._ask_dmarc(from_domain, apex, own)
        )
        return spf, policies

    async def _ask_dmarc(
        self, from_domain: str, apex: str | None, own: list[Server]
    ) -> tuple[Reply, ...]:
        """Upwards from the From domain, until a record or a failure is met."""
        said: tuple[Reply, ...] = ()
        for domain in policy_domains(from_domain):
            said = (*said, await self._ask_posture(f"_dmarc.{domain}", apex, own))
            policy = dmarc(said)
            if policy is None or policy.records:
                break
        return said

    async def _ask_posture(self, name: str, apex: str | None, own: list[Server]) -> Reply:
        """The zone's own servers first, one after the other, if the name can be theirs."""
        if apex is not None and is_within(name, apex):
            for server in own:
                reply = await self._ask_one(server, name)
                if reply.is_definite:
                    return reply
        return await self._resolved(name)

    async def _ask_all(
        self, servers: Iterable[Server], host: str, *, checking_disabled: bool = False
    ) -> dict[Server, Reply]:
        asked = list(servers)
        said = await asyncio.gather(
            *(self._ask_one(s, host, checking_disabled=checking_disabled) for s in asked)
        )
        return dict(zip(asked, said, strict=True))

    async def _ask_one(
        self, server: Server, host: str, *, checking_disabled: bool = False
    ) -> Reply:
        """The TXT records that this server leads to."""
        try:
            name = to_name(host)
            response = await ask(
                server, name, RdataType.TXT, self._patience, checking_disabled=checking_disabled
            )
        except NoAnswer as error:
            return Reply(server.name, host, error.status, is_authoritative=server.is_authoritative)
        return await self._followed(server, name, response)

    async def _followed(self, server: Server, name: Name, response: QueryMessage) -> Reply:
        """The answer, with the aliases that the server did not follow: those out of its zone.

        Resolvers follow them. If these fail, so has the answer.
        """
        reply, onward = _read(server, name, response)
        seen = {name}
        while onward is not None:
            if onward in seen or len(reply.aliases) > reading.ALIASES_MAX:
                return replace(reply, status=Status.LOOP)
            seen.add(onward)
            try:
                other, response = await self._recursors.ask(onward, RdataType.TXT, self._patience)
            except NoAnswer as error:
                return replace(reply, status=error.status)
            more, onward = _read(other, onward, response)
            reply = _continued(reply, more)
        return reply

    async def _resolved(self, name: str) -> Reply:
        """The TXT records that the first resolver to answer leads to."""
        try:
            wanted = to_name(name)
            server, response = await self._recursors.ask(wanted, RdataType.TXT, self._patience)
        except NoAnswer as error:
            return Reply("", name, error.status)
        return await self._followed(server, wanted, response)


def _read(server: Server, name: Name, response: QueryMessage) -> tuple[Reply, Name | None]:
    """What the answer says of `name`, and the end of its aliases where that is still to be asked."""
    chain, soa = reading.follow(response, name), reading.soa(response)
    reply = Reply(
        server=server.name,
        name=to_text(name),
        status=STATUSES[response.rcode()],
        aliases=tuple(to_text(alias) for alias in chain.aliases),
        ttl=reading.ttl(response),
        zone=None if soa is None else to_text(soa.name),
        is_authoritative=server.is_authoritative,
    )
    if chain.end is None:
        return replace(reply, status=Status.LOOP), None
    found = reading.records(response, chain.end, RdataType.TXT)
    if found is not None:
        return replace(reply, status=Status.ANSWERED, texts=reading.texts(found)), None
    is_told = soa is not None and chain.end.is_subdomain(soa.name)
    return reply, None if is_told or not chain.aliases else chain.end


def _continued(reply: Reply, more: Reply) -> Reply:
    """`more` is about the end of the aliases of `reply`."""
    ttls = [ttl for ttl in (reply.ttl, more.ttl) if ttl is not None]
    return replace(
        reply,
        status=more.status,
        texts=more.texts,
        aliases=(*reply.aliases, *more.aliases),
        ttl=min(ttls, default=None),
    )


def _who_said(said: dict[Server, Reply], reply: Reply) -> Server:
    return next(server for server, theirs in said.items() if theirs == reply)


def _apex_told(replies: Iterable[Reply], host: KeyHost) -> str | None:
    """The zone that an authoritative server names in a negative answer."""
    zones = (reply.zone for reply in replies if reply.zone is not None)
    return next((z for z in zones if is_within(str(host), z) and not is_registry(z)), None)
