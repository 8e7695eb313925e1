"""What people may look at without changing anything: the live configuration and its DNS record."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain import policy as rules
from bot.domain.change import ChangeRequest
from bot.domain.dkim import Record
from bot.domain.key_host import KeyHost
from bot.domain.mail_config import MailConfig, drift
from bot.domain.policy import Actor, Facts, Policy
from bot.errors import CouldNotCheck, NotAllowed, Refusal
from bot.ports import (
    AuditEntry,
    Clock,
    Directory,
    MailConfigApi,
    Purpose,
    Resolver,
    Store,
    WatchState,
)


@dataclass(frozen=True, slots=True)
class Overview:
    """`show`: what is live, what was approved last (None: nothing yet), what the watch knows."""

    live: MailConfig | None
    approved: ChangeRequest | None
    watch: WatchState

    @property
    def is_drifted(self) -> bool:
        return self.approved is not None and bool(drift(self.approved.approved_config, self.live))


@dataclass(frozen=True, slots=True)
class Publishing:
    """`dns`: the record to publish; `is_approved` says whether its configuration is the approved one.

    `name_servers` run the zone now; none where that could not be looked up.
    """

    record: Record
    is_approved: bool
    name_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What one person may do here, for `help`."""

    facts: Facts
    may_show: bool
    may_propose: bool
    may_approve: bool


class Look:
    """Read-only answers for members of the workspace.

    All raise NotAllowed and CouldNotCheck, and keep the refusal in the audit.
    """

    def __init__(
        self,
        *,
        org: str,
        policy: Policy,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self.org = org
        self.policy = policy
        self._store = store
        self._api = api
        self._resolver = resolver
        self._directory = directory
        self._clock = clock

    async def show(self, actor: Actor) -> Overview:
        """The live configuration, read now. Raises CliqError and OAuthError as well."""
        await self.check_member(actor, "show")
        live = await self._api.read(Purpose.LOOK)
        return Overview(
            live, await self._store.last_applied(self.org), await self._store.watch(self.org)
        )

    async def record(self, actor: Actor) -> Publishing:
        """The record that the live configuration needs; raises Refusal if it needs none."""
        await self.check_member(actor, "dns")
        live = await self._api.read(Purpose.LOOK)
        if live is None or not live.dkim_value:
            raise Refusal("Cliq's system sender is in use, so there is no record to publish.")
        approved = await self._store.last_applied(self.org)
        is_approved = approved is not None and not drift(approved.approved_config, live)
        host = KeyHost.of(live.dkim_host)
        seen = await self._resolver.survey(host.domain if host else live.domain)
        record = Record(live.dkim_host, live.dkim_value, seen.apex)
        return Publishing(record, is_approved, seen.name_servers)

    async def pending(self, actor: Actor) -> ChangeRequest | None:
        await self.check_member(actor, "pending")
        return await self._store.open_request(self.org)

    async def request(self, actor: Actor, request_id: str) -> ChangeRequest | None:
        await self.check_member(actor, "details")
        return await self._store.request(request_id)

    async def standing(self, actor: Actor) -> Standing:
        facts = await self._directory.look_up(actor)
        may_show = rules.may_show(facts).is_allowed
        may_propose = rules.may_propose(facts, self.policy).is_allowed
        nobody = Actor(team="", user="")
        may_approve = rules.may_decide(facts, self.policy, nobody).is_allowed
        return Standing(facts, may_show, may_propose, may_approve)

    async def check_member(self, actor: Actor, action: str = "look") -> None:
        """Raises NotAllowed unless this is a full, active member."""
        try:
            verdict = rules.may_show(await self._directory.look_up(actor))
            if not verdict.is_allowed:
                raise NotAllowed(verdict.code, verdict.sentence)
        except (NotAllowed, CouldNotCheck) as refusal:
            await self._audit_refusal(actor, action, refusal)
            raise

    async def _audit_refusal(
        self, actor: Actor, action: str, refusal: NotAllowed | CouldNotCheck
    ) -> None:
        code = refusal.code if isinstance(refusal, NotAllowed) else type(refusal).__name__
        body = {"action": action, "code": code, "sentence": str(refusal)}
        now = self._clock.now()
        async with self._store.begin() as tx:
            await tx.record(AuditEntry(self.org, now, actor.principal, "refused", None, body))
