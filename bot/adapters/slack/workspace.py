"""The connection to one Slack workspace: who we are there, and calls that fail in our own words.

One client over one HTTP session serves everything. The SDK's own retries are off: re-sending after a
lost answer is decided by whoever owns the message.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import MailcfgError

# The SDK logs bodies and response_urls at DEBUG; these keep them out of our log.
SILENT = logging.getLogger("bot.adapters.slack.sdk")
SILENT.setLevel(logging.WARNING)
logging.getLogger("slack_sdk").setLevel(logging.WARNING)

TOKEN_TROUBLE = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "not_allowed_token_type",
        "token_expired",
        "token_revoked",
        "account_inactive",
    }
)
"""What Slack says of a token that will not work by trying again."""


HOOKS = "hooks.slack.com"
"""Where Slack takes answers to interactions (docs.slack.dev/interactivity/handling-user-interaction)."""
NOT_SLACKS = "an answer that is not Slack's"
CALL_SECONDS = 10.0
RETRY_AFTER_MAX_SECONDS = 86_400.0
"""Nothing is left alone for longer, whatever something in Slack's place may say."""
_RESPOND_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in Slack, as `auth.test` says."""

    team: str
    enterprise: str | None
    bot_user: str
    bot: str | None


class SlackFault(MailcfgError):
    """A Slack call that did not succeed; `error` is Slack's word, `retry_after` seconds if it said."""

    def __init__(self, method: str, error: str, retry_after: int | None = None) -> None:
        super().__init__(f"Slack's {method} failed: {error}.")
        self.method = method
        self.error = error
        self.retry_after = retry_after

    @property
    def is_token_trouble(self) -> bool:
        return self.error in TOKEN_TROUBLE


def web_client(token: SecretStr, base_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client that goes through the machine's proxy, if it has one; not to this machine itself."""
    client = AsyncWebClient(
        token=token.get_secret_value(),
        base_url=base_url if base_url.endswith("/") else f"{base_url}/",
        session=session,
        retry_handlers=[],
        logger=SILENT,
    )
    if is_loopback(base_url):
        client.proxy = None
    return client


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


class Workspace:
    """Calls of Slack's Web API with the bot token. All raise SlackFault, and tell `on_fault` first."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        on_fault: Callable[[SlackFault], None] = lambda _: None,
    ) -> None:
        self.client = client
        self.on_fault = on_fault
        self._session = session
        self.identity: Identity | None = None

    async def introduce(self) -> Identity:
        """Ask Slack who we are, and remember it."""
        answer = await call(self.client, "auth.test")  # whoever connects counts its faults
        self.identity = identity_in(answer)
        return self.identity

    async def call(self, method: str, **arguments: Any) -> Any:
        with self._noting_faults():
            return await call(self.client, method, json=arguments)

    @contextmanager
    def _noting_faults(self) -> Iterator[None]:
        try:
            yield
        except SlackFault as fault:
            self.on_fault(fault)
            raise

    async def respond(self, response_url: str, **content: Any) -> None:
        """Answer an interaction at the address that came with it, and nowhere else.

        It is used once, at once, and kept nowhere: whoever has it can write in our name. Raises
        SlackFault, also for an address that is not Slack's.
        """
        with self._noting_faults():
            await self._respond(response_url, content)

    async def _respond(self, response_url: str, content: dict[str, Any]) -> None:
        if not self._is_slacks(response_url):
            raise SlackFault("response_url", "not an address of Slack")
        try:
            async with self._session.post(
                response_url,
                json=content,
                proxy=self.client.proxy,
                timeout=_RESPOND_TIMEOUT,
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    raise SlackFault("response_url", f"HTTP {answer.status}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise SlackFault("response_url", type(error).__name__) from error

    def _is_slacks(self, url: str) -> bool:
        try:
            given, ours = urlsplit(url), urlsplit(self.client.base_url)
        except ValueError:
            return False
        same_place = (given.scheme, given.netloc) == (ours.scheme, ours.netloc)
        return same_place or (given.scheme == "https" and given.hostname == HOOKS)

    async def permalink(self, channel: str, ts: str) -> str | None:
        """A link to a message, or None if Slack gives none."""
        try:
            found: str = await self._form(
                "chat.getPermalink", "permalink", str, channel=channel, message_ts=ts
            )
        except SlackFault:
            return None
        return found

    async def user(self, user: str) -> Any:
        return await self._form("users.info", "user", dict, user=user)

    async def group_members(self, group: str) -> tuple[str, ...]:
        """The user ids in a usergroup; a disabled one counts as none."""
        users = await self._form("usergroups.users.list", "users", list, usergroup=group)
        return tuple(map(str, users))

    async def _form(self, method: str, name: str, kind: type, **arguments: str) -> Any:
        """What is called `name` in the answer of a method that takes no JSON body."""
        with self._noting_faults():
            answer = await call(self.client, method, params=arguments, http_verb="GET")
            return part(method, answer, name, kind)


async def call(client: AsyncWebClient, method: str, **how: Any) -> Any:
    """One call; its answer as Slack gave it. Raises SlackFault."""
    return (await response_to(client, method, **how)).data


async def response_to(client: AsyncWebClient, method: str, **how: Any) -> AsyncSlackResponse:
    """The same with what else came with the answer, such as its headers."""
    try:
        async with asyncio.timeout(CALL_SECONDS):  # the SDK's own is void with a shared session
            return await client.api_call(method, **how)
    except SlackApiError as error:
        raise _fault(method, error) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise SlackFault(method, type(error).__name__) from error
    except (SlackClientError, AttributeError, TypeError, ValueError) as error:
        # What a proxy answers in Slack's place can be JSON of any shape, or only said to be.
        raise SlackFault(method, NOT_SLACKS) from error


def part(method: str, answer: Mapping[str, Any], name: str, kind: type = str) -> Any:
    """One thing in an answer of Slack. Raises SlackFault if it is not there, or something else."""
    found = answer.get(name)
    if not isinstance(found, kind) or found == {}:
        raise SlackFault(method, NOT_SLACKS)
    return found


def identity_in(answer: Mapping[str, Any]) -> Identity:
    """Who we are, as `auth.test` answers. Raises SlackFault."""
    return Identity(
        team=part("auth.test", answer, "team_id"),
        enterprise=answer.get("enterprise_id"),
        bot_user=part("auth.test", answer, "user_id"),
        bot=answer.get("bot_id"),
    )


def _fault(method: str, error: SlackApiError) -> SlackFault:
    response = error.response
    headers = {str(k).lower(): v for k, v in (getattr(response, "headers", None) or {}).items()}
    after = headers.get("retry-after")
    told = getattr(response, "data", None)
    data = told if isinstance(told, dict) else {}
    status = getattr(response, "status_code", None) or getattr(response, "status", "error")
    word = str(data.get("error") or f"HTTP {status}")
    return SlackFault(method, word, _wait_asked(after))


def _wait_asked(retry_after: object) -> int | None:
    """The whole seconds of a `Retry-After`: some at least, or we would ask again at once for ever."""
    try:
        seconds = float(str(retry_after))
    except ValueError:
        return None
    return math.ceil(min(max(1.0, seconds), RETRY_AFTER_MAX_SECONDS))
