"""`mailcfg connect`: from a grant code to a stored refresh token, against the emulated Zoho."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bot import app
from bot.adapters.cliq.client import new_http_client
from bot.adapters.store.lock import sole_process
from bot.adapters.store.shared import shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.domain.token import TokenState
from bot.errors import (
    CodeRefused,
    DatabaseError,
    MailcfgError,
    NotConnected,
    OAuthConfigError,
    OAuthError,
    OAuthThrottled,
    OAuthUnavailable,
    ReauthRequired,
    ScopesMissing,
    SettingsError,
)
from bot.ports import Purpose
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.serving import ServedCliq, start
from bot.settings import ZohoSettings, from_values
from bot.zoho import cliq_client, connect
from tests.fakes import FakeClock
from tests.scenarios.processes import Process
from tests.test_settings import GOOD

KEY = "k" * 32
READ, UPDATE, DELETE = (f"ZohoCliq.Organisation.{word}" for word in ("READ", "UPDATE", "DELETE"))


@pytest.fixture
async def zoho() -> AsyncIterator[ServedCliq]:
    served = await start()
    yield served
    await served.close()


class Operator:
    """Whoever sets mailcfg up: has settings, a database, and the API console at Zoho."""

    def __init__(self, zoho: ServedCliq, url: str) -> None:
        self.zoho = zoho
        self.url = url

    def environment(self, **changes: str) -> dict[str, str]:
        mine = self.zoho.emulator.state.credentials
        return {
            "ZOHO_CLIENT_ID": mine.client_id,
            "ZOHO_CLIENT_SECRET": mine.client_secret,
            "ZOHO_ACCOUNTS_URL": self.zoho.url,
            "CLIQ_API_URL": self.zoho.url,
            "MAILCFG_DATABASE_URL": self.url,
            "MAILCFG_SECRET_KEY": KEY,
        } | changes

    async def connects(self, code: str | None, **changes: str) -> list[str]:
        """What is said when it went well."""
        settings = ZohoSettings(**self.environment(**changes))
        connected = await connect(settings, SecretStr(code) if code else None)
        return list(connected.report(settings.org))

    async def stored(self) -> TokenState:
        store = SqlStore(open_engine(self.url))
        try:
            return await shared_token(store, "default", Vault([KEY.encode()])).read()
        finally:
            await store.close()


@pytest.fixture
def operator(zoho: ServedCliq, url: str) -> Operator:
    return Operator(zoho, url)


async def test_a_code_becomes_a_stored_refresh_token(operator: Operator, zoho: ServedCliq):
    said = await operator.connects(zoho.emulator.issue_code())

    stored = await operator.stored()
    assert stored.refresh_token is not None
    assert stored.refresh_token.get_secret_value() in zoho.emulator.state.refresh_tokens
    assert said == [
        "Connected. The refresh token is stored for the organisation default, encrypted.",
        f"Granted: {DELETE}, {READ}, {UPDATE}.",
        "Next: ask `mailcfg doctor`, then start `mailcfg run`; one that runs already goes on by itself.",
    ]


async def test_the_bot_then_works_without_a_refresh_token_in_its_settings(
    operator: Operator, zoho: ServedCliq
):
    await operator.connects(zoho.emulator.issue_code())
    asked = len(zoho.emulator.log.all())
    values = {k: v for k, v in GOOD.items() if k != "ZOHO_REFRESH_TOKEN"}
    settings = from_values(values | operator.environment())
    store = SqlStore(open_engine(operator.url))
    async with new_http_client(zoho.url) as http:
        tokens = shared_token(store, settings.org, Vault([KEY.encode()]))
        cliq = cliq_client(settings, FakeClock(zoho.emulator.clock.now()), http, tokens=tokens)
        config = await cliq.read(Purpose.LOOK)
    await store.close()

    assert config is not None
    assert [each.method for each in zoho.emulator.log.all()[asked:]] == ["GET"]


async def test_a_refresh_token_in_the_settings_is_said_to_come_first(
    operator: Operator, zoho: ServedCliq
):
    mine = zoho.emulator.state.credentials.refresh_token
    said = await operator.connects(zoho.emulator.issue_code(), ZOHO_REFRESH_TOKEN=mine)

    assert said[-1] == (
        "But ZOHO_REFRESH_TOKEN is set and comes first: take it out of the settings, then restart "
        "`mailcfg run`."
    )


async def test_without_a_code_the_credentials_are_tried_and_count_from_then_on(
    operator: Operator, zoho: ServedCliq
):
    mine = zoho.emulator.state.credentials.refresh_token
    await operator.connects(zoho.emulator.issue_code(), ZOHO_DATA_CENTER="eu")
    said = await operator.connects(None, ZOHO_REFRESH_TOKEN=mine)
    stored = await operator.stored()

    assert said[0] == "Zoho accepts the credentials as they are set; they now count for default."
    assert stored.token is not None
    assert stored.refresh_token is not None
    assert stored.refresh_token.get_secret_value() != mine
    assert len(stored.requests) == 1
    assert stored.owner == ""


async def test_with_another_client_the_bot_does_not_start_until_connected_anew(
    operator: Operator, zoho: ServedCliq
):
    mine = zoho.emulator.state.credentials.refresh_token
    await operator.connects(None, ZOHO_REFRESH_TOKEN=mine)
    environment = operator.environment(ZOHO_DATA_CENTER="eu", ZOHO_REFRESH_TOKEN=mine)
    other = from_values(GOOD | environment)

    with pytest.raises(SettingsError, match="is not the one that this database was used with"):
        await app.build(other)
    await operator.connects(None, ZOHO_REFRESH_TOKEN=mine, ZOHO_DATA_CENTER="eu")
    bot = await app.build(other)

    await bot._resources.aclose()


async def test_without_a_refresh_token_anywhere_the_bot_does_not_start(operator: Operator):
    values = {k: v for k, v in GOOD.items() if k != "ZOHO_REFRESH_TOKEN"}

    with pytest.raises(SettingsError, match="ZOHO_REFRESH_TOKEN is missing, and none is stored"):
        await app.build(from_values(values | operator.environment()))


async def test_an_address_that_only_its_user_finds_wrong_is_named_as_any_other(operator: Operator):
    environment = operator.environment(CLIQ_API_URL="https://xn--é.example")

    with pytest.raises(SettingsError, match="CLIQ_API_URL is no URL"):
        await app.build(from_values(GOOD | environment))
    with pytest.raises(SettingsError, match="CLIQ_API_URL is no URL"):
        await operator.connects(None, **environment)


async def test_a_token_stored_under_another_key_is_told_apart_from_none(
    operator: Operator, zoho: ServedCliq
):
    await operator.connects(zoho.emulator.issue_code())

    with pytest.raises(NotConnected, match="The stored refresh token cannot be decrypted: if MAIL"):
        await operator.connects(None, MAILCFG_SECRET_KEY="n" * 32)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CodeRefused, "Nothing was stored; make a new one in Zoho's API console and try again."),
        (ReauthRequired, "to authorise it again with `mailcfg connect --code 1000.…`."),
        (OAuthUnavailable, "should check the network and ZOHO_ACCOUNTS_URL."),
    ],
)
def test_each_refusal_ends_with_what_to_do(error: type[OAuthError], words: str):
    assert str(error()).endswith(words)


@pytest.mark.parametrize("kind", [READ, UPDATE, DELETE])
async def test_a_code_without_a_scope_stores_nothing_and_names_it(
    operator: Operator, zoho: ServedCliq, kind: str
):
    code = zoho.emulator.issue_code(scopes=[s for s in (READ, UPDATE, DELETE) if s != kind])

    with pytest.raises(ScopesMissing) as caught:
        await operator.connects(code)

    assert str(caught.value) == (
        f"Zoho did not grant {kind}, so nothing was stored. Make a new code with the scopes "
        f"{READ},{UPDATE},{DELETE} and run `mailcfg connect --code 1000.…` again."
    )
    assert await operator.stored() == TokenState()


async def test_a_deployment_that_only_watches_needs_to_read_only(
    operator: Operator, zoho: ServedCliq
):
    code = zoho.emulator.issue_code(scopes=[READ])

    said = await operator.connects(code, MAILCFG_WATCH_ONLY="true")

    assert said[1] == f"Granted: {READ}."


@pytest.mark.parametrize(
    ("word", "changes", "kind", "words"),
    [
        ("1000.no.code", {}, CodeRefused, "it is good once, for the minutes chosen"),
        ("", {"ZOHO_CLIENT_ID": "1000.X"}, OAuthConfigError, "ZOHO_DATA_CENTER is not the one"),
        ("", {"ZOHO_CLIENT_SECRET": "x"}, OAuthConfigError, "ZOHO_CLIENT_SECRET is wrong"),
        (None, {}, NotConnected, "ZOHO_REFRESH_TOKEN is missing, and none is stored"),
        ("", {"MAILCFG_ORG": "x", "ZOHO_ACCOUNTS_URL": "ftp://x"}, SettingsError, "https://"),
    ],
)
async def test_each_failure_is_a_sentence_and_stores_nothing(
    operator: Operator,
    zoho: ServedCliq,
    word: str | None,
    changes: dict[str, str],
    kind: type[MailcfgError],
    words: str,
):
    code = zoho.emulator.issue_code() if word == "" else word

    with pytest.raises(kind, match=words):
        await operator.connects(code, **changes)

    assert (await operator.stored()).refresh_token is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(FaultKind.HTML, OAuthUnavailable), (FaultKind.RESET_AFTER_EFFECT, OAuthUnavailable)],
)
async def test_an_accounts_server_out_of_order_is_told_as_such(
    operator: Operator, zoho: ServedCliq, fault: FaultKind, kind: type[MailcfgError]
):
    zoho.emulator.faults.plan(Fault(fault, path=Target.TOKEN))

    with pytest.raises(kind, match="cannot be reached, or answers nonsense"):
        await operator.connects(zoho.emulator.issue_code())


async def test_a_throttled_accounts_server_is_no_reason_to_authorise_again(
    operator: Operator, zoho: ServedCliq
):
    mine = zoho.emulator.state.credentials.refresh_token
    async with httpx.AsyncClient() as another_program:
        form = {"grant_type": "refresh_token", "refresh_token": mine}
        form |= {"client_id": zoho.emulator.state.credentials.client_id}
        form |= {"client_secret": zoho.emulator.state.credentials.client_secret}
        for _ in range(10):
            await another_program.post(f"{zoho.url}/oauth/v2/token", data=form)
    asked = len(zoho.emulator.log.all())

    for _ in range(2):
        with pytest.raises(OAuthThrottled, match="mailcfg goes on at"):
            await operator.connects(None, ZOHO_REFRESH_TOKEN=mine)

    stored = await operator.stored()
    assert (stored.owner, stored.paused_for) == ("", "throttled")
    assert len(zoho.emulator.log.all()) == asked + 1


async def test_beside_a_bot_on_sqlite_it_says_to_stop_the_bot(zoho: ServedCliq, database: Path):
    operator = Operator(zoho, f"sqlite+aiosqlite:///{database}")

    with sole_process(database), pytest.raises(DatabaseError, match="Stop it first"):
        await operator.connects(zoho.emulator.issue_code())


async def test_on_the_command_line_no_secret_is_said(zoho: ServedCliq, tmp_path: Path):
    operator = Operator(zoho, f"sqlite+aiosqlite:///{tmp_path / 'mailcfg.db'}")
    code = zoho.emulator.issue_code()
    done, again = [
        await _runs(tmp_path, "--code", code, **operator.environment()),
        await _runs(tmp_path, "--code", code, **operator.environment()),
    ]
    stored = await operator.stored()
    secrets = [code, KEY, zoho.emulator.state.credentials.client_secret]
    secrets += [each.get_secret_value() for each in (stored.refresh_token,) if each]

    assert (done[0], again[0]) == (0, 2)
    assert done[1].startswith("Connected.")
    assert again[1].startswith("Zoho does not accept this code")
    assert again[1].count("\n") == 0
    assert len(secrets) == 4
    assert [secret for secret in secrets if secret in done[1] + again[1]] == []


async def _runs(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    process = await Process.start("connect", *words, folder=folder, **environment)
    return await process.ends(), process.output
