"""A case of `samples/dkim_cases.yaml`, staged: four servers on loopback, a pass, a diagnosis.

`ns1` and `ns2` serve the zone, `r1` and `r2` are resolvers; each may have its own records or a
fault. Unless a case says otherwise the sender is `it@acme.example` with a 2048-bit key that Zoho has
verified, the zone holds its record, one SPF record and a DMARC record with p=none, and what is live
is what was approved.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bot.adapters.dns.resolver import DnsResolver, Times
from bot.domain.case import Case, History, Snapshot, api_problem, key_host
from bot.domain.dns_answers import Answers
from bot.domain.findings import Diagnosis, diagnose
from bot.domain.mail_config import MailConfig
from bot.sandbox.dns.zone import Zone
from tests.adapters.dns_far_end import FarServer, zone_of
from tests.fakes import KEYS, FakeClock

SAMPLES = Path(__file__).parents[1] / "samples"
CASES: list[dict[str, Any]] = yaml.safe_load((SAMPLES / "dkim_cases.yaml").read_text())
OWN, RESOLVERS = ("ns1", "ns2"), ("r1", "r2")
SELECTOR = "1772443051421"
LABEL = "c0ffeec0ffeec0ff"
TINY_KEY = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALPtK7hX6Bl9HXKVrSlGASsooxtHQzrGKmXpRAHG9zC5"
    "0A3eH71xCw72A2djuzfS7OIBBL6TkBr20H7Q0i8RxKsCAwEAAQ=="
)
"""An RSA key of 512 bits, which receivers must refuse."""


def key(name: str) -> str:
    """`2048/0`: a size and which of its keys; `512`: the short one."""
    if name == "512":
        return TINY_KEY
    bits, _, which = name.partition("/")
    return KEYS[bits][int(which or 0)]


def sender(said: dict[str, Any]) -> MailConfig:
    domain = str(said.get("email_id", "it@acme.example")).rpartition("@")[2]
    p = key(str(said.get("key", "2048/0")))
    return MailConfig(
        email_id=said.get("email_id", "it@acme.example"),
        name=said.get("name", "Acme IT"),
        dkim_status=said.get("dkim_status", "verified"),
        dkim_host=said.get("dkim_host", f"{SELECTOR}._domainkey.{domain}"),
        dkim_value=str(said.get("dkim_value", "k=rsa; p={p}")).format(p=p),
    )


class Scene:
    """The servers of one case and what they know."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        api = case.get("api", {})
        self.live = None if api == "unset" else sender(api)
        self.apex = case.get("apex", "acme.example")
        self.words = self._words(self.live or sender({}))
        self.servers = {name: self._server(name) for name in (*OWN, *RESOLVERS)}

    def _words(self, live: MailConfig) -> dict[str, str]:
        """What a record or a name in a case may stand for."""
        p = live.dkim_value.partition("p=")[2]
        host = live.dkim_host.lower().removesuffix(".")
        selector, _, domain = host.partition("._domainkey.")
        return {
            "value": live.dkim_value,
            "p": p,
            "p_start": p[: len(p) // 2],
            "p_rest": p[len(p) // 2 :],
            "p_cut_4": p[:-4],
            "p_cut_1": p[:-1],
            "other": key("2048/5"),
            "other_start": key("2048/5")[:200],
            "other_rest": key("2048/5")[200:],
            "other_small": key("1024/5"),
            "host": host,
            "S": selector,
            "D": domain,
            "apex": self.apex,
            "from": live.domain,
        }

    def _server(self, name: str) -> FarServer:
        said = self.case.get(name, {})
        zone = self._zone(self.case.get("zone", {}) | said.get("zone", {}), said)
        if name in OWN:
            return FarServer([zone], said.get("fault"))
        around = [self._other_zone(apex, txt) for apex, txt in self._others().items()]
        known = [] if self.case.get("gone") else [zone]
        return FarServer([*known, *around], said.get("fault"))

    def _others(self) -> dict[str, Any]:
        return {"example": {}, "test": {}} | self.case.get("elsewhere", {})

    def _zone(self, changes: dict[str, Any], said: dict[str, Any]) -> Zone:
        usual = {"{host}": ["{value}"], "{from}": ["v=spf1 -all"], "_dmarc.{from}": [DMARC]}
        txt = {self._filled(name): self._filled(v) for name, v in (usual | changes).items()}
        aliases = self.case.get("aliases", {}) | said.get("aliases", {})
        return zone_of(
            self.apex,
            {n: values for n, values in txt.items() if n.endswith(self.apex)},
            {self._filled(n): self._filled(target) for n, target in aliases.items()},
            minimum=said.get("minimum", 300),
            ttl=said.get("ttl", 300),
        )

    def _other_zone(self, apex: str, txt: dict[str, Any]) -> Zone:
        return zone_of(apex, {self._filled(n): self._filled(v) for n, v in txt.items()}, {})

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filled(part) for part in value]
        return value.format_map(self.words)

    def snapshot(self) -> Snapshot | None:
        said = self.case.get("approved", "as live")
        if said == "none":
            return None
        if said == "unset":
            return Snapshot(None)
        config = self.live if said == "as live" else sender({**self._api_said(), **said})
        return Snapshot(config, apex=self.case.get("apex_known"))

    def _api_said(self) -> dict[str, Any]:
        api = self.case.get("api", {})
        return {} if api == "unset" else api

    async def play(self, *, try_seconds: float, pass_seconds: float = 8.0) -> Diagnosis:
        async with AsyncExitStack() as stack:
            for server in self.servers.values():
                await stack.enter_async_context(server.running())
            resolver = DnsResolver(
                [self.servers[name].address for name in RESOLVERS],
                [self.servers[name].address for name in OWN],
                FakeClock(),
                times=Times(try_seconds, pass_seconds),
                new_label=lambda: LABEL,
            )
            return diagnose(self.judged(await self._answers(resolver)))

    async def _answers(self, resolver: DnsResolver) -> Answers | None:
        if self.live is None or api_problem(self.live) or "unread" in self.case:
            return None
        host = key_host(self.live)
        assert host is not None
        answers = await resolver.examine(
            host, self.live.dkim_value, self.live.domain, apex_hint=self.case.get("apex_known")
        )
        return named(answers, self.servers)

    def judged(self, answers: Answers | None) -> Case:
        history = self.case.get("history", {})
        return Case(
            live=None if "unread" in self.case else self.live,
            answers=answers,
            snapshot=self.snapshot(),
            history=History(
                waiting=timedelta(hours=history.get("waiting_hours", 0)),
                disagreeing=timedelta(hours=history.get("disagreeing_hours", 0)),
                last_known=history.get("last_known", ""),
            ),
            is_in_flight=self.case.get("in_flight", False),
            unread=self.case.get("unread", ""),
        )


DMARC = "v=DMARC1; p=none"


def named(answers: Answers, servers: dict[str, FarServer]) -> Answers:
    """The answers with the servers called by their names in the case, not by their ports."""
    name_of = {f"127.0.0.1:{server.port}": name for name, server in servers.items()}

    def rename(replies: Any) -> Any:
        return tuple(replace(reply, server=name_of[reply.server]) for reply in replies)

    return replace(
        answers,
        authoritative=rename(answers.authoritative),
        resolvers=rename(answers.resolvers),
        unvalidated=rename(answers.unvalidated),
    )
