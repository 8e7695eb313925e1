"""A whole examination against the emulated far ends: each check is shown failing and passing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from bot.adapters.cliq.throttle import Budget
from bot.adapters.store.shared import shared_budget
from bot.adapters.store.sql import SqlStore, open_engine
from bot.clock import SystemClock
from bot.doctor.examination import Examination, Limits
from bot.doctor.findings import Finding, Mark
from bot.doctor.record import WHOLE_UP_TO
from bot.doctor.report import examine
from bot.domain.audit import GENESIS, AuditEntry
from bot.ports import Purpose
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.state import Role
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from bot.sandbox.stage import Stage, open_stage
from bot.sandbox.world import ADMIN_CHANNEL, ALERT_CHANNEL, ALICE, BOB, CAROL, MAIL_APPROVERS
from bot.settings import partly_from_values
from bot.storage import own_clock
from tests.fakes import MORNING
from tests.postgres import Postgres
from tests.scenarios.processes import Process

OK, WARNING, FAILURE = Mark.OK, Mark.WARNING, Mark.FAILURE
SENDER = {"name": "Scott", "email_id": "scott@acme.example", "cname_status": "verified"}
KEY = "canary-of-the-secret-key-with-36-signs"


class Shifted(SystemClock):
    """A machine whose clock is wrong."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + self._by


class Patient:
    """A deployment to be examined: the emulated far ends, a database, and its settings."""

    def __init__(self, stage: Stage, database: Path) -> None:
        self.stage = stage
        self.slack = stage.workspace
        self.cliq = stage.cliq
        self.dns = stage.dns
        self.database = database
        self.clock: SystemClock = SystemClock()

    def environment(self) -> dict[str, str]:
        return self.stage.bot_environment() | {
            "MAILCFG_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
            "MAILCFG_SECRET_KEY": KEY,
            "MAILCFG_APPROVERS": f"{ALICE.id},{BOB.id},{CAROL.id}",
        }

    async def examined(
        self, limits: Limits | None = None, without: str = "", **changes: str
    ) -> dict[str, Finding]:
        """Every finding by its check."""
        values = {k: v for k, v in (self.environment() | changes).items() if k != without}
        findings = await Examination(partly_from_values(values), self.clock, limits).run()
        return {finding.check: finding for finding in findings}

    async def said(self, form: str, **changes: str) -> tuple[str, int]:
        return await examine(partly_from_values(self.environment() | changes), form, self.clock)

    def statement(self, sql: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(sql)
            connection.commit()


@pytest.fixture
async def patient(database: Path) -> AsyncIterator[Patient]:
    stage = await open_stage()
    stage.cliq.edit(**SENDER)
    yield Patient(stage, database)
    await stage.close()


def marks(findings: dict[str, Finding], mark: Mark) -> list[str]:
    return [check for check, finding in findings.items() if finding.mark is mark]


def shown(finding: Finding) -> str:
    return f"{finding.found} {finding.cure}".strip()


HEALTHY = [
    "settings",
    "database.tables",
    "database.writable",
    "database.durable",
    "slack.bot_token",
    "slack.scopes",
    "slack.clock",
    "slack.app_token",
    "slack.approval_channel",
    "slack.alert_channel",
    "slack.approvers",
    "zoho.budget",
    "zoho.token",
    "zoho.scopes",
    "zoho.admin",
    "zoho.clock",
    "dns.resolvers",
    "dns.zone",
    "dns.name_servers",
    "dns.tcp",
    "audit.chain",
]


async def test_a_sound_deployment_passes_every_check(patient: Patient):
    findings = await patient.examined()

    assert marks(findings, OK) == list(findings) == HEALTHY
    assert shown(findings["slack.bot_token"]) == "It is mailcfg's in the workspace Acme (T0ACME)."
    assert shown(findings["zoho.admin"]) == (
        "The configuration can be read: mail comes from scott@acme.example."
    )


async def test_nothing_is_changed_and_nothing_posted(patient: Patient):
    await patient.examined(MAILCFG_FALLBACK_CHANNEL=ALERT_CHANNEL)

    asked = {request.method for request in patient.slack.requests}
    assert asked == {"auth.test", "apps.connections.open", "conversations.info", "users.info"}
    assert patient.cliq.writes() == []
    assert [r.method for r in patient.cliq.log.all()] == ["POST", "GET"]


async def test_the_call_and_the_token_are_the_bots_own(patient: Patient):
    """What is counted and kept in the database is what a running bot goes by."""
    await patient.examined()
    findings = await patient.examined()

    assert findings["zoho.budget"].found == "1 of 19 calls are used in this minute."
    assert findings["zoho.token"].found == (
        "The access token that the bot shares is still good; none was asked for."
    )
    assert [r.method for r in patient.cliq.log.all()] == ["POST", "GET", "GET"]


async def test_beside_a_bot_that_holds_the_database_it_works_as_well(patient: Patient):
    store = SqlStore(open_engine(f"sqlite+aiosqlite:///{patient.database}"))
    async with store.begin("acme") as tx:
        await tx.record(AuditEntry("acme", MORNING, "T0ACME:U0ALICE", "refused"))
    findings = await patient.examined()
    await store.close()

    assert marks(findings, OK) == HEALTHY
    assert findings["audit.chain"].found == "It holds (entries: 1, requests: 0)."


async def test_before_the_first_start_there_is_no_database_and_that_is_no_fault(patient: Patient):
    patient.database.unlink()
    findings = await patient.examined()

    assert marks(findings, OK) == HEALTHY
    assert "`mailcfg run` makes them" in findings["database.tables"].found
    assert list(patient.database.parent.glob("mailcfg.db*")) == []


async def test_a_deployment_that_only_watches_is_a_state_and_no_fault(patient: Patient):
    findings = await patient.examined(MAILCFG_WATCH_ONLY="true", MAILCFG_APPROVERS="")

    assert marks(findings, OK) == HEALTHY
    assert findings["slack.approvers"].found == (
        "This deployment only watches: nobody needs to approve."
    )


async def test_over_signed_http_no_app_token_is_needed(patient: Patient):
    findings = await patient.examined(without="SLACK_APP_TOKEN")

    assert findings["slack.app_token"].mark is OK


async def test_a_third_channel_is_examined_where_one_is_set(patient: Patient):
    findings = await patient.examined(MAILCFG_FALLBACK_CHANNEL=ALERT_CHANNEL)

    assert marks(findings, OK) == list(findings)
    assert findings["slack.fallback_channel"].found == "mailcfg is in #mail-alerts."


async def test_a_usergroup_of_approvers_is_read(patient: Patient):
    patient.slack.state.scopes = (*patient.slack.state.scopes, "usergroups:read")
    findings = await patient.examined(MAILCFG_APPROVERS=f"{MAIL_APPROVERS.id},{ALICE.id}")

    assert marks(findings, OK) == list(findings)
    assert findings["slack.usergroups"].found == f"Members can be read: {MAIL_APPROVERS.id} has 2."


def archive(patient: Patient) -> None:
    patient.slack.set_channel(ADMIN_CHANNEL, is_archived=True)


def hide(patient: Patient) -> None:
    patient.slack.set_channel(ALERT_CHANNEL, is_private=True, members=(ALICE.id,))


def leave(patient: Patient) -> None:
    patient.slack.set_channel(ALERT_CHANNEL, members=(ALICE.id,))


def share(patient: Patient) -> None:
    patient.slack.set_channel(ADMIN_CHANNEL, is_ext_shared=True)


def invite_a_company(patient: Patient) -> None:
    patient.slack.set_channel(ADMIN_CHANNEL, is_pending_ext_shared=True)


def forget_scopes(patient: Patient) -> None:
    patient.slack.state.scopes = ("commands", "chat:write", "users:read")


def close_accounts(patient: Patient) -> None:
    for person in (BOB, CAROL):
        patient.slack.set_flags(person.id, deleted=True)


def make_a_guest(patient: Patient) -> None:
    patient.slack.set_flags(BOB.id, is_restricted=True)


def demote(patient: Patient) -> None:
    users = patient.cliq.state.users
    users["admin"] = type(users["admin"])("admin", "acme", Role.MEMBER)


def revoke(patient: Patient) -> None:
    patient.cliq.state.revoke(patient.cliq.state.credentials.refresh_token)


def grant_less(patient: Patient) -> None:
    state, mine = patient.cliq.state, patient.cliq.state.credentials.refresh_token
    old = state.refresh_tokens[mine]
    state.refresh_tokens[mine] = type(old)(mine, old.client, old.user, old.scopes[:2])


def throttle(patient: Patient) -> None:
    patient.cliq.faults.plan(Fault(FaultKind.STATUS, path=Target.API, code=429))


def break_resolver(patient: Patient) -> None:
    patient.dns.break_server("resolver", "refused")


def silence_a_server(patient: Patient) -> None:
    patient.dns.break_server("ns2", "silent")


def move_away(patient: Patient) -> None:
    patient.cliq.edit(**SENDER | {"email_id": "scott@elsewhere.example"})


def drop_tcp(patient: Patient) -> None:
    """As a firewall does."""
    for server in patient.dns.servers.values():
        assert server._server is not None
        server._server.close()


def forge(patient: Patient) -> None:
    patient.statement(
        "INSERT INTO audit (org, seq, at, actor, kind, body, prev, hash) "
        f"VALUES ('acme', 1, 0, 'x', 'refused', '{{}}', '{GENESIS}', '0')"
    )


def outdate(patient: Patient) -> None:
    patient.statement("UPDATE alembic_version SET version_num = '9999'")


def be_late(patient: Patient) -> None:
    patient.clock = Shifted(-timedelta(minutes=2))


def do_nothing(patient: Patient) -> None:
    """The settings alone are wrong."""


Arrange = Callable[[Patient], None]


WRONG: list[tuple[Arrange, dict[str, str], str, Mark, str]] = [
    (do_nothing, {"MAILCFG_APPROVALS": "0"}, "settings", FAILURE, "MAILCFG_APPROVALS must be 1"),
    (do_nothing, {"MAILCFG_LEASE": "1s"}, "settings", WARNING, "MAILCFG_LEASE is no longer used"),
    (outdate, {}, "database.tables", FAILURE, "of a version that this one does not know"),
    (
        do_nothing,
        {"MAILCFG_DATABASE_URL": "sqlite+aiosqlite:////nowhere/mailcfg.db"},
        "database.writable",
        FAILURE,
        "It cannot be written: there is no folder /nowhere.",
    ),
    (
        do_nothing,
        {"SLACK_BOT_TOKEN": "xoxb-wrong"},
        "slack.bot_token",
        FAILURE,
        "SLACK_BOT_TOKEN is refused by Slack (invalid_auth): copy the Bot User OAuth Token",
    ),
    (
        do_nothing,
        {"SLACK_APP_TOKEN": "xapp-wrong"},
        "slack.app_token",
        FAILURE,
        "SLACK_APP_TOKEN is refused by Slack (invalid_auth): copy an app-level token",
    ),
    (forget_scopes, {}, "slack.scopes", WARNING, "lacks channels:read, groups:read, which"),
    (
        forget_scopes,
        {},
        "slack.alert_channel",
        WARNING,
        "The Slack app lacks the scope for conversations.info.",
    ),
    (be_late, {}, "slack.clock", WARNING, "s behind Slack's. Set it by NTP"),
    (be_late, {}, "zoho.clock", WARNING, "s behind Zoho's. Set it by NTP"),
    (archive, {}, "slack.approval_channel", FAILURE, "#mail-admin is archived."),
    (leave, {}, "slack.alert_channel", FAILURE, "mailcfg is not in #mail-alerts. Type /invite"),
    (hide, {}, "slack.alert_channel", FAILURE, "mailcfg sees no channel C0MAILALERTS. Check"),
    (share, {}, "slack.approval_channel", WARNING, "#mail-admin is shared with another"),
    (invite_a_company, {}, "slack.approval_channel", WARNING, "is shared with another"),
    (
        do_nothing,
        {"MAILCFG_FALLBACK_CHANNEL": "C0NOWHERE"},
        "slack.fallback_channel",
        FAILURE,
        "mailcfg sees no channel C0NOWHERE. Check the id in MAILCFG_FALLBACK_CHANNEL",
    ),
    (close_accounts, {}, "slack.approvers", FAILURE, "MAILCFG_APPROVERS names only 1 who may"),
    (
        make_a_guest,
        {},
        "slack.approvers",
        WARNING,
        "MAILCFG_APPROVERS lists U0BOB, who is gone",
    ),
    (
        do_nothing,
        {"MAILCFG_APPROVERS": f"{BOB.id},{CAROL.id}"},
        "slack.approvers",
        WARNING,
        "one that an approver asks for cannot be approved. Add approvers",
    ),
    (
        do_nothing,
        {"MAILCFG_APPROVERS": f"{MAIL_APPROVERS.id}"},
        "slack.usergroups",
        FAILURE,
        f"MAILCFG_APPROVERS has the group {MAIL_APPROVERS.id}: mailcfg may not read groups.",
    ),
    (
        do_nothing,
        {"ZOHO_CLIENT_SECRET": "wrong"},
        "zoho.token",
        FAILURE,
        "ZOHO_CLIENT_ID or ZOHO_CLIENT_SECRET is wrong, or ZOHO_DATA_CENTER is not the one",
    ),
    (revoke, {}, "zoho.token", FAILURE, "Zoho no longer accepts mailcfg's refresh token."),
    (
        grant_less,
        {},
        "zoho.scopes",
        FAILURE,
        "Zoho did not grant ZohoCliq.Organisation.DELETE.",
    ),
    (
        demote,
        {},
        "zoho.admin",
        FAILURE,
        "a full Admin of the organisation is needed. Make that",
    ),
    (throttle, {}, "zoho.admin", FAILURE, "Zoho Cliq has locked its API"),
    (break_resolver, {}, "dns.resolvers", FAILURE, "refused to answer. Name resolvers that"),
    (
        silence_a_server,
        {},
        "dns.name_servers",
        WARNING,
        "1 of 2 servers of acme.example answer",
    ),
    (
        move_away,
        {},
        "dns.zone",
        WARNING,
        "The zone of elsewhere.example was not found. See whether the domain is delegated",
    ),
    (drop_tcp, {}, "dns.tcp", WARNING, "No answer over TCP: 127.0.0.1:"),
    (forge, {}, "audit.chain", FAILURE, "of the audit was changed after it was written. Run"),
]


@pytest.mark.parametrize(("arrange", "changes", "check", "mark", "words"), WRONG)
async def test_what_is_wrong_is_found_and_the_cure_told(
    patient: Patient,
    arrange: Arrange,
    changes: dict[str, str],
    check: str,
    mark: Mark,
    words: str,
):
    arrange(patient)
    finding = (await patient.examined(**changes))[check]

    assert words in shown(finding)
    assert finding.mark is mark


def test_there_is_no_check_that_is_not_shown_failing():
    """Two are below: a lock takes two runs, and a database that loses commits is PostgreSQL's."""
    failing = {check for _, _, check, _, _ in WRONG} | {"zoho.budget", "database.durable"}

    assert failing == {*HEALTHY, "slack.fallback_channel", "slack.usergroups"}


async def test_a_database_that_can_lose_what_was_committed_is_a_warning(
    patient: Patient, postgres: Postgres
):
    """The server of the tests is one."""
    findings = await patient.examined(MAILCFG_DATABASE_URL=postgres.emptied())

    assert shown(findings["database.durable"]) == (
        "A crash of the database server can lose approvals: fsync is off. Turn it on in "
        "postgresql.conf."
    )
    assert marks(findings, WARNING) == ["database.durable"]
    assert marks(findings, FAILURE) == []


async def test_where_this_machines_clock_is_wrong_the_calls_of_the_replicas_count_all_the_same(
    patient: Patient, postgres: Postgres
):
    url = postgres.emptied()
    patient.clock = Shifted(timedelta(minutes=5))
    store = SqlStore(open_engine(url))
    replicas = Budget(await own_clock(store), shared_budget(store, "acme"))
    for _ in range(7):
        await replicas.take("PUT", Purpose.APPLY)
    findings = await patient.examined(MAILCFG_DATABASE_URL=url)
    used = (await replicas.standing()).used
    await store.close()

    assert findings["zoho.budget"].found == "7 of 19 calls are used in this minute."
    assert findings["zoho.clock"].mark is FAILURE
    assert used == 8


async def test_the_lock_that_a_throttle_starts_is_found_by_the_next_run(patient: Patient):
    throttle(patient)
    await patient.examined()
    before = len(patient.cliq.log.all())
    findings = await patient.examined()

    assert "Zoho has locked its API until" in findings["zoho.budget"].found
    assert findings["zoho.budget"].mark is WARNING
    assert findings["zoho.admin"].found.startswith("Not checked: Zoho's API is locked until")
    assert len(patient.cliq.log.all()) == before


async def test_without_a_custom_sender_there_is_no_zone_to_look_at(patient: Patient):
    patient.cliq.edit()
    findings = await patient.examined()

    assert marks(findings, OK) == HEALTHY
    assert findings["dns.zone"].found == "No custom sender is set, so there is no zone to look at."


async def test_resolvers_that_answer_over_udp_alone_do_answer(patient: Patient):
    drop_tcp(patient)

    assert (await patient.examined())["dns.resolvers"].mark is OK


async def test_a_token_that_died_is_renewed_as_the_bot_would(patient: Patient):
    await patient.examined()
    patient.cliq.state.access_tokens.clear()
    findings = await patient.examined()

    assert marks(findings, OK) == HEALTHY


async def test_of_a_long_audit_the_end_is_followed(patient: Patient):
    store = SqlStore(open_engine(f"sqlite+aiosqlite:///{patient.database}"))
    async with store.begin("acme") as tx:
        for _ in range(WHOLE_UP_TO + 3):
            await tx.record(AuditEntry("acme", MORNING, "T0ACME:U0ALICE", "refused"))
    await store.close()
    whole = (await patient.examined())["audit.chain"]
    patient.statement(f"UPDATE audit SET actor = 'x' WHERE seq = {WHOLE_UP_TO}")
    broken = (await patient.examined())["audit.chain"]

    assert whole.found == ("The last 500 of 503 entries hold; `mailcfg audit verify` follows all.")
    assert broken.found == f"Entry {WHOLE_UP_TO} of the audit was changed after it was written."


async def test_a_database_that_another_program_holds_is_a_fault(patient: Patient):
    with closing(sqlite3.connect(patient.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        findings = await patient.examined(Limits(call=0.2, far_end=3, whole=4))

    assert findings["database.writable"].found == "It cannot be written: database is locked."
    assert findings["zoho.token"].found == (
        "Not checked: calls are counted in the database, so it comes first."
    )
    assert patient.cliq.log.all() == []


async def test_a_file_that_is_no_database_is_a_fault(patient: Patient):
    patient.database.write_text("not a database " * 100)
    findings = await patient.examined()

    assert findings["database.tables"].found.endswith("cannot be opened: file is not a database.")
    assert findings["database.tables"].cure.startswith("Check MAILCFG_DATABASE_URL, and that the")
    assert findings["database.tables"].mark is FAILURE
    assert findings["database.writable"].found == "Not checked: database.tables comes first."


async def test_with_partly_wrong_settings_the_rest_is_examined(patient: Patient):
    findings = await patient.examined(
        SLACK_BOT_TOKEN="nonsense", MAILCFG_ALERT_CHANNEL="#alerts", MAILCFG_CHECK_EVERY="often"
    )

    assert findings["slack.bot_token"].found == "Not checked: SLACK_BOT_TOKEN has no right value."
    assert findings["slack.app_token"].mark is OK
    assert findings["zoho.admin"].mark is OK
    assert findings["dns.zone"].mark is OK


async def test_an_address_that_only_its_user_finds_wrong_is_told_as_such(patient: Patient):
    findings = await patient.examined(CLIQ_API_URL="https://xn--é.example")

    assert findings["zoho.budget"].found == "CLIQ_API_URL is no URL; try https://cliq.zoho.com."


async def test_every_fault_of_the_settings_is_told_at_once(patient: Patient):
    told, code = await patient.said(
        "text",
        ZOHO_DATA_CENTER="mars",
        MAILCFG_ALERT_CHANNEL="#alerts",
        MAILCFG_CHECK_EVERY="often",
    )

    faults = [line.split()[2] for line in told.splitlines() if line.startswith("✗ settings")]
    assert faults == ["ZOHO_DATA_CENTER", "MAILCFG_CHECK_EVERY", "MAILCFG_ALERT_CHANNEL"]
    assert code == 2


async def test_a_fault_of_slack_in_one_check_leaves_the_others(patient: Patient):
    patient.slack.faults.plan(SlackFault("conversations.info", SlackFaultKind.SERVER_ERROR))
    patient.slack.faults.plan(SlackFault("apps.connections.open", SlackFaultKind.RATELIMITED))
    findings = await patient.examined()

    assert findings["slack.approval_channel"].found.startswith("Slack's conversations.info failed")
    assert findings["slack.app_token"].mark is WARNING
    assert findings["slack.alert_channel"].mark is OK


@pytest.fixture
async def silence() -> AsyncIterator[int]:
    """A port that takes connections and packets, and answers none."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as open_things:
        held: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, w: held.append(w), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        udp, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", port)
        )
        open_things.callback(udp.close)
        open_things.callback(server.close)
        yield port
        for writer in held:
            writer.close()


async def test_when_everything_is_silent_it_ends_by_its_deadline(patient: Patient, silence: int):
    url = f"http://127.0.0.1:{silence}"
    limits = Limits(call=0.2, far_end=0.5, whole=0.7)
    async with asyncio.timeout(5):
        findings = await patient.examined(
            limits,
            SLACK_API_URL=f"{url}/api/",
            ZOHO_ACCOUNTS_URL=url,
            CLIQ_API_URL=url,
            MAILCFG_DNS_SERVERS=f"127.0.0.1:{silence}",
            MAILCFG_DNS_AUTHORITATIVE=f"127.0.0.1:{silence}",
            MAILCFG_DATABASE_URL=f"postgresql+psycopg://postgres@127.0.0.1:{silence}/mailcfg",
        )

    assert list(findings) == HEALTHY
    assert marks(findings, OK) == ["settings"]
    for check in ("database.tables", "slack.bot_token", "slack.app_token", "dns.resolvers"):
        assert findings[check].mark is FAILURE
    assert findings["slack.bot_token"].found == "No answer in time."
    assert findings["database.tables"].found.endswith("does not answer in time.")


async def test_silent_zoho_frees_the_token_for_the_bot(patient: Patient, silence: int):
    url = f"http://127.0.0.1:{silence}"
    limits = Limits(call=0.2, far_end=3, whole=4)
    findings = await patient.examined(limits, ZOHO_ACCOUNTS_URL=url, CLIQ_API_URL=url)
    with closing(sqlite3.connect(patient.database)) as connection:
        (owner,) = connection.execute("SELECT owner FROM oauth_token").fetchone()

    assert findings["zoho.token"].found.startswith("Zoho's accounts server cannot be reached")
    assert owner == ""


@pytest.mark.parametrize("seconds", [2, 3, 4.5])
def test_two_calls_and_the_database_fit_into_the_time_of_a_far_end(seconds: float):
    limits = Limits.within(seconds)
    assert limits.whole == seconds
    assert 2 * limits.call < limits.far_end <= limits.whole


@pytest.mark.parametrize(
    "database", ["sqlite+aiosqlite:///mailcfg.db", "postgresql+psycopg://{}/x"]
)
async def test_when_everything_is_silent_the_command_ends_within_five_seconds(
    patient: Patient, silence: int, tmp_path: Path, database: str
):
    """From the start of the process to its last word, as whoever waits for it counts."""
    at = f"127.0.0.1:{silence}"
    began = time.monotonic()
    doctor = await Process.start(
        "doctor",
        folder=tmp_path,
        **patient.environment()
        | {
            "SLACK_API_URL": f"http://{at}/api/",
            "ZOHO_ACCOUNTS_URL": f"http://{at}",
            "CLIQ_API_URL": f"http://{at}",
            "MAILCFG_DNS_SERVERS": at,
            "MAILCFG_DNS_AUTHORITATIVE": at,
            "MAILCFG_DATABASE_URL": database.format(at),
        },
    )
    code = await doctor.ends()

    assert code == 2
    assert "No answer in time." in doctor.output
    assert time.monotonic() - began < 5


async def test_json_has_the_verdict_and_every_check(patient: Patient):
    archive(patient)
    told, code = await patient.said("json")
    read = json.loads(told)

    assert set(read) == {"verdict", "checks"}
    assert read["verdict"] == "failure"
    assert code == 2
    assert [each["check"] for each in read["checks"]] == HEALTHY
    assert [each for each in read["checks"] if each["check"] == "slack.approval_channel"] == [
        {
            "check": "slack.approval_channel",
            "mark": "failure",
            "found": "#mail-admin is archived.",
            "cure": "Unarchive it, or name another channel in MAILCFG_APPROVAL_CHANNEL.",
        }
    ]


@pytest.mark.parametrize(
    "arrange", [do_nothing, revoke, outdate, forge, throttle, forget_scopes, be_late]
)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_secret_is_ever_told(patient: Patient, arrange: Arrange, form: str):
    arrange(patient)
    slack, zoho = patient.slack.state.credentials, patient.cliq.state.credentials
    password = "postgresql+psycopg://mailcfg:canary-pass@127.0.0.1:1/mailcfg"
    told = [
        (await patient.said(form))[0],
        (await patient.said(form, MAILCFG_DATABASE_URL=password))[0],
        (await patient.said(form, MAILCFG_SECRET_KEY="canary-short"))[0],
        (await patient.said(form, SLACK_BOT_TOKEN="canary-of-no-token"))[0],
    ]
    secrets = [slack.bot_token, slack.app_token, slack.signing_secret, KEY, "canary"]
    secrets += [zoho.client_secret, zoho.refresh_token, *patient.cliq.state.access_tokens]

    assert [secret for secret in secrets if secret in "\n".join(told)] == []
