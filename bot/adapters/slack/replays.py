"""Signed requests that come twice: a signature is good for five minutes, but for one execution.

Bolt checks signature and age and keeps no memory (docs.slack.dev/authentication/verifying-requests-
from-slack), so whoever has caught a request could send it again. Its signature is remembered for
longer than it is valid, in the database, so that every replica knows it. It is remembered only after
Bolt has found it genuine: otherwise strangers could fill the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.errors import DatabaseError
from bot.ports import Clock, Store

log = structlog.get_logger(__name__)

CLEARED_EVERY = timedelta(minutes=1)
IsFirst = Callable[[str], Awaitable[bool]]


def memory(store: Store, clock: Clock) -> IsFirst:
    """Whether a signature comes for the first time. Raises DatabaseError.

    Old ones are forgotten now and then only: to look for them reads the whole table.
    """
    next_clearing = clock.now()

    async def is_first(signature: str) -> bool:
        nonlocal next_clearing
        digest, now = hashlib.sha256(signature.encode()).hexdigest(), clock.now()
        if now >= next_clearing:
            next_clearing = now + CLEARED_EVERY
            await store.forget_signatures(now)
        return await store.remember_signature(digest, now)

    return is_first


def refuse_replays(app: AsyncApp, is_first: IsFirst) -> None:
    """Have `app` execute each signed request once; the second copy is answered and ignored.

    While the database is out of reach nothing is executed: Slack then shows the person an error.
    """

    @app.middleware
    async def once(req: AsyncBoltRequest, next: Callable[[], Awaitable[Any]]) -> Any:  # noqa: A002
        signature = req.headers["x-slack-signature"][0]
        try:
            if await is_first(signature):
                return await next()
        except DatabaseError as error:
            log.error("a request of Slack was not taken", error=str(error))
            return BoltResponse(status=503, body="")
        log.warning("a request of Slack came twice; the second is ignored")
        return BoltResponse(status=200, body="")
