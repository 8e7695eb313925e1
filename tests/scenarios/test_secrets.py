"""No secret of a deployment comes out anywhere, in a story with everything that can go wrong."""

from __future__ import annotations

import io
import json
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta

import httpx
import pytest
import structlog
from pydantic import SecretStr

from bot import logs, settings
from bot.adapters.cliq.client import CliqClient
from bot.adapters.cliq.connect import Connected
from bot.errors import MailcfgError, SettingsError
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from bot.zoho import connect
from tests.scenarios.play import ALERTS, ALICE, BOB, CAROL, MALLORY, SECRET_KEY, Play
from tests.test_settings import GOOD

Log = Callable[[], str]


@pytest.fixture
def log(empty_play: Play) -> Iterator[Log]:
    """The log at its most talkative, as `mailcfg run` writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    known = settings.secrets_of(settings.from_values(empty_play.environment()))
    logs.configure("DEBUG", "json", known)
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def canaries(play: Play) -> set[str]:
    """Every secret that the far ends have handed out by now, and ours."""
    slack, zoho = play.slack.state, play.cliq.state
    return {
        SECRET_KEY,
        slack.credentials.bot_token,
        slack.credentials.app_token,
        slack.credentials.signing_secret,
        slack.credentials.verification_token,
        zoho.credentials.client_secret,
        zoho.credentials.refresh_token,
        *zoho.access_tokens,
        *slack.response_urls,
        *slack.tickets,
        *slack.triggers,
    }


def found(secrets: set[str], text: str) -> list[str]:
    return sorted(secret for secret in secrets if secret in text)


async def everything_goes_wrong(play: Play) -> None:
    await play.types(ALICE, "show")
    await play.types(ALICE, "set dkim=512")
    await play.types(MALLORY, "show")
    await play.clicks(MALLORY, "approve", await play.asks())
    play.slack.faults.plan(SlackFault("users.info", SlackFaultKind.DROPPED, times=2))
    await play.clicks(BOB, "approve")
    await play.clicks(BOB, "approve")
    play.spoil(FaultKind.RESET_AFTER_EFFECT, "PUT")
    play.slack.faults.plan(SlackFault("chat.update", SlackFaultKind.RATELIMITED))
    play.slack.faults.plan(SlackFault("response_url", SlackFaultKind.DROPPED))
    await play.slack.click(CAROL.id, play.card().channel, play.card().ts, "approve")
    await play.until(lambda: play.cliq.writes(), "the write")
    play.passes(timedelta(hours=2))
    await play.shows("In force")
    for kind, code in ((FaultKind.STATUS, 401), (FaultKind.STATUS, 500), (FaultKind.HTML, None)):
        play.cliq.faults.plan(Fault(kind, 3, "GET", code=code))
        await play.types(ALICE, "show")
        play.cliq.faults.clear()
    view = await play.asks_in_form(ALICE)
    await play.slack.submit(ALICE.id, view.id, {"email_id": "x", "reason": "x"})
    play.cliq.faults.plan(Fault(FaultKind.STATUS, 2, path=Target.TOKEN, code=500))
    play.passes(timedelta(hours=2))
    await play.shows("Could not check", ALERTS)
    play.cliq.state.refresh_tokens.clear()
    await play.types(ALICE, "show")


async def our_own_fault(play: Play) -> None:
    """A traceback in the log."""
    assert play.bot is not None
    async with play.bot.deployment.store._engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE request RENAME TO lost")
    await play.types(ALICE, "pending")


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_no_secret_appears_in_logs_database_or_slack(
    empty_play: Play, transport: str, log: Log
):
    play = empty_play
    await play.start(transport=transport, MAILCFG_LOG_LEVEL="DEBUG")
    play.be_impatient()
    await everything_goes_wrong(play)
    shown = await on_the_open_port(play)
    await our_own_fault(play)
    shown_without_a_table = await on_the_open_port(play)
    secrets = canaries(play)
    await play.stop()

    assert "mailcfg_" in shown
    assert found(secrets, shown + shown_without_a_table) == []

    written = log()
    assert "Traceback" in written
    assert found(secrets, written) == []

    stored = b"".join(file.read_bytes() for file in play.folder.glob("mailcfg.db*"))
    assert b"Scott has left" in stored
    assert [s for s in secrets if s.encode() in stored] == []

    asked = json.dumps([request.arguments for request in play.slack.requests])
    assert "Waiting for approval" in asked
    assert found(secrets - set(play.slack.state.triggers), asked) == []

    messages = json.dumps(play.slack.state.dump()["messages"])
    assert "fault of its own" in messages
    assert found(secrets, messages) == []


async def on_the_open_port(play: Play) -> str:
    """What anybody reads who reaches the address for monitoring."""
    assert play.bot is not None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{play.bot.port}") as client:
        answers = [await client.get(path) for path in ("/metrics", "/readyz", "/healthz")]
    return "\n".join(f"{answer.headers}\n{answer.text}" for answer in answers)


async def test_no_secret_is_in_the_repr_of_what_holds_one(empty_play: Play):
    play = empty_play
    environment = play.environment() | {"MAILCFG_APPROVAL_DEADLINE": "25h"}
    bot = await play.start()
    await play.types(ALICE, "show")
    api = bot.served.api
    assert isinstance(api, CliqClient)
    auth = api._auth
    state = await auth._shared.read()
    parsed = settings.from_values(environment)
    partly = settings.partly_from_values(environment | {"SLACK_BOT_TOKEN": "xoxp-canary"})
    holders: list[object] = [
        parsed,
        partly,
        bot,
        bot.served,
        api,
        api._http,
        auth,
        auth._credentials,
    ]
    holders += [
        auth._accounts,
        state,
        state.token,
        bot.deployment.store,
        bot.deployment.store._engine,
    ]
    holders += [
        bot.deployment.workspace,
        bot.deployment.workspace.client,
        bot._connection,
        bot._connection.bolt,
    ]
    reprs = "\n".join(f"{each!r} {each}" for each in holders)
    secrets = canaries(play)
    await play.stop()

    assert "acme" in reprs
    assert "approval_deadline=datetime.timedelta(days=1, seconds=3600)" in reprs
    assert state.token is not None
    assert found({*secrets, "canary"}, reprs) == []


def test_the_password_of_the_database_is_a_secret_too():
    url = "postgresql+psycopg://mailcfg:canary%2F1@127.0.0.1/mailcfg"
    parsed = settings.from_values(GOOD | {"MAILCFG_DATABASE_URL": url})

    assert {"canary%2F1", "canary/1"} <= set(settings.secrets_of(parsed))
    assert "canary" not in repr(parsed)


def whole(error: BaseException) -> str:
    """All that a traceback shows of an error, and of those that led to it."""
    led_to_it = [error]
    while (before := led_to_it[-1].__cause__ or led_to_it[-1].__context__) is not None:
        led_to_it.append(before)
    shown = [f"{each!r} {each} {each.args} {vars(each)}" for each in led_to_it]
    return "\n".join([*traceback.format_exception(error), *shown])


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (None, None),
        (FaultKind.STATUS, Target.TOKEN),
        (FaultKind.HTML, Target.TOKEN),
        (FaultKind.TRUNCATED, Target.TOKEN),
        (FaultKind.RESET_AFTER_EFFECT, Target.TOKEN),
        (FaultKind.TIMEOUT_AFTER_EFFECT, Target.TOKEN),
    ],
)
@pytest.mark.parametrize("is_anew", [True, False])
async def test_connecting_shows_neither_the_code_nor_what_it_is_exchanged_for(
    empty_play: Play, log: Log, fault: FaultKind | None, path: Target | None, is_anew: bool
):
    play = empty_play
    code = play.cliq.issue_code() if is_anew else None
    environment = play.environment()
    zoho_settings = settings.ZohoSettings(**environment)
    if fault is not None:
        play.cliq.faults.plan(Fault(fault, path=path))
    typed, soon = SecretStr(code) if code else None, timedelta(seconds=0.1)
    said = await what_is_said(connect(zoho_settings, typed, soon))
    secrets = {*canaries(play), *play.cliq.state.refresh_tokens} | ({code} if code else set())
    stored = b"".join(file.read_bytes() for file in play.folder.glob("mailcfg.db*"))

    assert "token request" in log()
    assert "Zoho" in said or "Connected" in said
    assert found(secrets, said + log() + repr(zoho_settings)) == []
    assert [secret for secret in secrets if secret.encode() in stored] == []


async def what_is_said(connecting: Coroutine[object, object, Connected]) -> str:
    try:
        connected = await connecting
    except MailcfgError as error:
        return whole(error)
    return "\n".join([*connected.report("acme"), repr(connected)])


@pytest.mark.parametrize(
    "changes",
    [
        {"SLACK_BOT_TOKEN": "canary"},
        {"SLACK_APP_TOKEN": "canary"},
        {"MAILCFG_SECRET_KEY": "canary"},
        {"MAILCFG_DATABASE_URL": "mysql://mailcfg:canary@db.example.com/mailcfg"},
        {"ZOHO_CLIENT_SECRET": "canary", "ZOHO_DATA_CENTER": "mars"},
    ],
)
def test_a_wrong_setting_does_not_show_a_secret(changes: dict[str, str]):
    with pytest.raises(SettingsError) as refused:
        settings.from_values(GOOD | changes)

    assert "canary" not in whole(refused.value)


async def test_what_is_not_signed_by_slack_is_not_logged(empty_play: Play, log: Log):
    play = empty_play
    bot = await play.start(transport="http", MAILCFG_LOG_LEVEL="DEBUG")
    body = b"command=%2Fmailcfg&text=show&user_id=U0ALICE&team_id=T0ACME&token=canary"
    genuine = play.slack.delivery.http.sign(body)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bot.port}") as client:
        for headers, content in (({}, body), (genuine, body + b"1"), (genuine, body + b"\xff")):
            await client.post("/slack/events", content=content, headers=headers)

    assert "canary" not in log()
    assert "Traceback" not in log()
