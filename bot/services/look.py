"""What people may look at without changing anything: the live configuration and its DNS record."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain import policy as rules
from bot.domain.audit import AuditHead, AuditRow
from bot.domain.case import api_problem
from bot.domain.change import ChangeRequest
from bot.domain.dkim import Record
from bot.domain.key_host import KeyHost
from bot.domain.mail_config import MailConfig, drift
from bot.domain.organisation import Organisation
from bot.domain.policy import Actor, Facts
from bot.domain.sender_plans import SENDER
from bot.errors import Refusal, UnknownRequest
from bot.ports import Directory, MailConfigApi, Purpose, Resolver, Store, WatchState
from bot.services.admission import Admission
from bot.services.approvers import NOBODY


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
class Story:
    """A request and what the audit has about it, oldest first."""

    request: ChangeRequest
    entries: tuple[AuditRow, ...]

    @property
    def head(self) -> AuditHead | None:
        """Where the audit ended with the request's newest move; a refusal is none."""
        moves = [row for row in self.entries if row.entry.kind != "refused"]
        return AuditHead(moves[-1].seq, moves[-1].hash) if moves else None


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
        organisation: Organisation,
        store: Store,
        api: MailConfigApi,
        resolver: Resolver,
        directory: Directory,
        admission: Admission,
    ) -> None:
        self.org = organisation.id
        self.policy = organisation.policy
        self._store = store
        self._api = api
        self._resolver = resolver
        self._directory = directory
        self._admission = admission

    async def show(self, actor: Actor) -> Overview:
        """The live configuration, read now. Raises FarEndError as well."""
        await self.check_member(actor, "show")
        live = await self._api.read(Purpose.LOOK)
        return Overview(
            live,
            await self._store.last_applied(self.org, SENDER),
            await self._store.watch(self.org),
        )

    async def record(self, actor: Actor) -> Publishing:
        """The record that the live configuration needs; raises Refusal if it needs none."""
        await self.check_member(actor, "dns")
        live = await self._api.read(Purpose.LOOK)
        if live is None:
            raise Refusal("Cliq's system sender is in use, so there is no record to publish.")
        problem = api_problem(live)
        if problem:
            raise Refusal(
                f"Zoho's own DKIM data is unusable: {problem}. There is no record to publish until "
                "the sender is set again in Zoho, which needs approval."
            )
        approved = await self._store.last_applied(self.org, SENDER)
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
        return await self._store.request(self.org, request_id)

    async def history(self, actor: Actor, count: int) -> list[ChangeRequest]:
        """The newest requests, newest first."""
        await self.check_member(actor)
        return await self._store.newest(self.org, count)

    async def story(self, actor: Actor, which: int | str) -> Story:
        """A request by its number or its id, with all its moves. Raises UnknownRequest."""
        await self.check_member(actor)
        if isinstance(which, int):
            found = await self._store.numbered(self.org, which)
        else:
            found = await self._store.request(self.org, which)
        if found is None:
            raise UnknownRequest(which if isinstance(which, int) else None)
        return Story(found, tuple(await self._store.audit_of(found)))

    async def standing(self, actor: Actor) -> Standing:
        facts = await self._directory.look_up(actor, self.policy.groups)
        may_show = rules.may_show(facts).is_allowed
        may_propose = rules.may_propose(facts, self.policy).is_allowed
        may_approve = rules.may_decide(facts, self.policy, NOBODY).is_allowed
        return Standing(facts, may_show, may_propose, may_approve)

    async def check_member(self, actor: Actor, action: str = "look") -> None:
        """Raises NotAllowed unless this is a full, active member."""
        await self._admission.admit(actor, action, rules.may_show)
