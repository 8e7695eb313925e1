"""The Cliq client against the emulated Zoho, over real HTTP: both profiles, and each switch alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from pydantic import SecretStr

from bot.adapters.cliq.accounts import Credentials
from bot.adapters.cliq.client import CliqClient, Tries, new_http_client
from bot.adapters.cliq.data_centers import endpoints
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import MemoryBudget
from bot.domain.mail_config import MailConfig, Wanted
from bot.errors import (
    Ambiguous,
    BadRequest,
    MalformedAnswer,
    NotSent,
    OAuthConfigError,
    OAuthThrottled,
    OAuthUnavailable,
    PermissionDenied,
    RateLimited,
    ReauthRequired,
    ScopeError,
    ServerError,
)
from bot.ports import Purpose
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.keys import KeyPool
from bot.sandbox.cliq.profile import PROFILES, Switches
from bot.sandbox.cliq.serving import ServedCliq, start
from bot.sandbox.cliq.state import ADMIN, Role
from bot.sandbox.clock import AdjustableClock

Connect = Callable[..., CliqClient]
WANTED = Wanted("Scott F.", "scott@acme.example", "not_verified", None, asked=())
TOTAL_SECONDS = 0.5


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool([generate_private_key(65537, 2048)])


def every_zoho(*, with_limits: bool = False) -> Iterator[object]:
    """Both profiles as they are and, in the long runs, each with one switch turned the other way.

    `with_limits` leaves out the one that is turned by taking every limit away.
    """
    for profile, usual in PROFILES.items():
        yield pytest.param((profile, {}), id=profile)
        for switch in (each.name for each in fields(Switches)):
            turned = not getattr(usual, switch)
            if with_limits and switch == "throttle":
                continue
            name = f"{profile}-{'' if turned else 'no_'}{switch}"
            yield pytest.param((profile, {switch: turned}), id=name, marks=pytest.mark.soak)


@pytest.fixture(params=tuple(every_zoho()))
async def zoho(
    request: pytest.FixtureRequest, clock: AdjustableClock, keys: KeyPool
) -> AsyncIterator[ServedCliq]:
    profile, switches = request.param
    served = await start(CliqEmulator(clock=clock, profile=profile, keys=keys))
    served.emulator.set_profile(switches=switches)
    yield served
    await served.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client() as client:
        yield client


@pytest.fixture
def connect(zoho: ServedCliq, http: httpx.AsyncClient, clock: AdjustableClock) -> Connect:
    mine, urls = (
        zoho.emulator.state.credentials,
        endpoints("us", accounts_url=zoho.url, api_url=zoho.url),
    )

    async def no_sleep(seconds: float) -> None: ...

    def make(
        client_id: str = mine.client_id,
        client_secret: str = mine.client_secret,
        refresh_token: str = mine.refresh_token,
    ) -> CliqClient:
        secrets = Credentials(client_id, SecretStr(client_secret), SecretStr(refresh_token))
        return CliqClient(
            urls.api_url,
            ZohoAuth(urls.accounts_url, secrets, http, clock),
            http=http,
            clock=clock,
            budget=MemoryBudget(clock),
            tries=Tries(TOTAL_SECONDS, sleep=no_sleep),
        )

    return make


@pytest.fixture
def cliq(connect: Connect) -> CliqClient:
    return connect()


async def test_the_configuration_is_read_in_full(cliq: CliqClient) -> None:
    config = await cliq.read(Purpose.LOOK)

    assert config is not None
    assert (config.email_id, config.name) == ("scott@acme.example", "Scott Fisher")
    assert config.cname_status == "verified"
    assert config.dkim_host.endswith("._domainkey.acme.example")
    assert config.dkim_bits == 2048


async def test_a_write_takes_effect_and_shows_in_the_next_read(cliq: CliqClient) -> None:
    await cliq.write(WANTED)

    config = await cliq.read(Purpose.CONFIRM)

    assert config is not None
    assert (config.name, config.cname_status) == ("Scott F.", "not_verified")


async def test_of_another_address_the_next_read_shows_all_or_nothing(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    """Zoho may keep the old sender and answer as if all were well; only a read tells."""
    before = await cliq.read(Purpose.LOOK)
    await cliq.write(replace(WANTED, email_id="it@acme.example", name="IT"))

    after = await cliq.read(Purpose.CONFIRM)

    assert before is not None
    assert after is not None
    assert (after.email_id, after.name) in {
        ("it@acme.example", "IT"),
        (before.email_id, before.name),
    }
    assert (after == before) is zoho.emulator.state.switches.sticky_email


async def test_the_size_of_a_key_is_read_from_the_key(cliq: CliqClient) -> None:
    before = await cliq.read(Purpose.LOOK)
    for bits in (1024, 2048):
        await cliq.write(replace(WANTED, dkim_key_size=bits))

    after = await cliq.read(Purpose.CONFIRM)

    assert before is not None
    assert after is not None
    assert after.dkim_bits in {1024, 2048}
    assert after.dkim_host != before.dkim_host


async def test_a_removal_leaves_nothing_and_may_be_repeated(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    zoho.emulator.set_profile(switches={"delete_placeholder": True})
    await cliq.remove()
    zoho.emulator.set_profile(switches={"delete_placeholder": False})
    await cliq.remove()

    assert await cliq.read(Purpose.CONFIRM) is None


async def test_refused_values_are_a_bad_request_without_effect(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    with pytest.raises(BadRequest):
        await cliq.write(replace(WANTED, cname_status="perhaps"))

    assert zoho.emulator.writes() == []


async def test_a_token_that_dies_early_is_renewed_unnoticed(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    await cliq.read(Purpose.LOOK)
    zoho.emulator.state.access_tokens.clear()

    await cliq.write(WANTED)

    assert [entry.status for entry in zoho.emulator.log.all()] == [200, 200, 401, 200, 200]


async def test_a_missing_scope_is_named(connect: Connect, zoho: ServedCliq) -> None:
    tokens, mine = zoho.emulator.state.refresh_tokens, zoho.emulator.state.credentials.refresh_token
    tokens[mine] = replace(tokens[mine], scopes=("ZohoCliq.Organisation.READ",))

    with pytest.raises(ScopeError, match=r"ZohoCliq\.Organisation\.UPDATE"):
        await connect().write(WANTED)


async def test_a_user_who_is_no_admin_is_denied(cliq: CliqClient, zoho: ServedCliq) -> None:
    users = zoho.emulator.state.users
    users[ADMIN] = replace(users[ADMIN], role=Role.MEMBER)

    with pytest.raises(PermissionDenied):
        await cliq.read(Purpose.LOOK)


async def test_a_cliq_admin_is_denied_unless_zoho_lets_them(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    users, switches = zoho.emulator.state.users, zoho.emulator.state.switches
    users[ADMIN] = replace(users[ADMIN], role=Role.CLIQ_ADMIN)

    with nullcontext() if switches.cliq_admin_allowed else pytest.raises(PermissionDenied):
        assert await cliq.read(Purpose.LOOK) is not None


@pytest.mark.parametrize("zoho", tuple(every_zoho(with_limits=True)), indirect=True)
async def test_a_throttle_at_zoho_is_recognised_and_waited_out(
    connect: Connect, zoho: ServedCliq, clock: AdjustableClock
) -> None:
    other_program, throttled = connect(), connect()
    for _ in range(19):
        await other_program.read(Purpose.CONFIRM)
    await throttled.read(Purpose.LOOK)
    with pytest.raises(RateLimited) as limit:
        await throttled.read(Purpose.LOOK)
    sent = len(zoho.emulator.log.all())
    with pytest.raises(RateLimited):
        await throttled.read(Purpose.LOOK)
    sent_while_locked = len(zoho.emulator.log.all()) - sent
    clock.advance(timedelta(seconds=600))

    assert await throttled.read(Purpose.LOOK) is not None
    assert limit.value.source in {"status", "code", "message"}
    assert sent_while_locked == 0


@pytest.mark.parametrize("zoho", tuple(every_zoho(with_limits=True)), indirect=True)
async def test_a_throttle_at_accounts_is_waited_out_and_no_reason_to_authorise_again(
    connect: Connect, zoho: ServedCliq, clock: AdjustableClock
) -> None:
    for _ in range(10):
        zoho.emulator.state.access_tokens.clear()
        await connect().read(Purpose.CONFIRM)
    with pytest.raises(OAuthThrottled) as pause:
        await connect().read(Purpose.LOOK)
    clock.advance(timedelta(seconds=600))

    assert await connect().read(Purpose.LOOK) is not None
    assert not isinstance(pause.value, ReauthRequired)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"client_id": "1000.NOBODY"}, OAuthConfigError),
        ({"client_secret": "wrong"}, OAuthConfigError),
        ({"refresh_token": "1000.aa.bb"}, ReauthRequired),
    ],
)
async def test_wrong_credentials_are_told_apart(
    connect: Connect, wrong: dict[str, str], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await connect(**wrong).read(Purpose.LOOK)


@pytest.mark.parametrize(
    ("fault", "kind", "effects"),
    [
        (FaultKind.STATUS, ServerError, 0),
        (FaultKind.HTML, MalformedAnswer, 0),
        (FaultKind.REDIRECT, MalformedAnswer, 0),
        (FaultKind.TIMEOUT_BEFORE_EFFECT, Ambiguous, 0),
        (FaultKind.TIMEOUT_AFTER_EFFECT, Ambiguous, 1),
        (FaultKind.RESET_AFTER_EFFECT, Ambiguous, 1),
        (FaultKind.TRUNCATED, Ambiguous, 1),
    ],
)
async def test_a_write_that_goes_wrong_on_the_way_is_unknown_and_sent_once(
    cliq: CliqClient,
    zoho: ServedCliq,
    fault: FaultKind,
    kind: type[Exception],
    effects: int,
) -> None:
    zoho.emulator.faults.plan(Fault(fault, method="PUT"))

    with pytest.raises(kind):
        await cliq.write(WANTED)

    puts = [entry for entry in zoho.emulator.log.all() if entry.method == "PUT"]
    assert len(puts) == 1
    assert len(zoho.emulator.writes()) == effects


@pytest.mark.parametrize(
    "fault", [FaultKind.STATUS, FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.RESET_AFTER_EFFECT]
)
async def test_a_read_gets_over_a_passing_fault(
    cliq: CliqClient, zoho: ServedCliq, fault: FaultKind
) -> None:
    zoho.emulator.faults.plan(Fault(fault, method="GET"))

    config = await cliq.read(Purpose.LOOK)

    assert isinstance(config, MailConfig)


async def test_accounts_out_of_order_is_no_effect_on_cliq(
    cliq: CliqClient, zoho: ServedCliq
) -> None:
    zoho.emulator.faults.plan(Fault(FaultKind.HTML, path=Target.TOKEN))

    with pytest.raises(OAuthUnavailable):
        await cliq.write(WANTED)

    assert zoho.emulator.writes() == []


async def test_a_server_that_is_gone_got_nothing(cliq: CliqClient, zoho: ServedCliq) -> None:
    await cliq.read(Purpose.LOOK)
    await zoho.close()

    with pytest.raises(NotSent):
        await cliq.write(WANTED)
