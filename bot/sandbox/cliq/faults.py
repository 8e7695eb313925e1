"""Faults on demand: what goes wrong between a client and Zoho, one call or several at a time.

A fault without effect stands before the API, as a gateway does: the call is neither counted nor
checked. A fault with effect lets the call through and spoils the answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from aiohttp import web

from bot.sandbox.cliq.profile import Answer, Switches, answer_of_status
from bot.sandbox.faults import Planned

POLL_SECONDS = 0.05
LINGER_NOT = struct.pack("ii", 1, 0)
PAGE = b"<!doctype html><title>Zoho</title><p>We will be back soon.</p>"


class FaultKind(StrEnum):
    STATUS = "status"
    """Answered with status `code`; no effect."""
    DELAY = "delay"
    """Taken up only after `seconds`, also when the client has long gone."""
    TIMEOUT_BEFORE_EFFECT = "timeout_before_effect"
    """Never answered; no effect."""
    TIMEOUT_AFTER_EFFECT = "timeout_after_effect"
    """Carried out, never answered."""
    RESET_AFTER_EFFECT = "reset_after_effect"
    """Carried out, then the connection is reset."""
    HTML = "html"
    """A web page instead of the answer, with status `code` (200); no effect."""
    TRUNCATED = "truncated"
    """Carried out; the connection ends in the middle of the answer."""
    REDIRECT = "redirect"
    """302 to a sign-in page of the same origin; no effect."""


class Target(StrEnum):
    API = "api"
    TOKEN = "token"  # noqa: S105  # a word of the control endpoint


@dataclass(frozen=True)
class Fault(Planned):
    """`next` is how many more calls it hits; `method` None means any."""

    kind: FaultKind
    next: int = 1
    method: str | None = None
    path: Target = Target.API
    code: int | None = None
    seconds: float = 0.0

    def fits(self, method: str, path: Target) -> bool:
        return self.path is path and self.method in (None, method)

    def rest(self) -> list[Fault]:
        return [replace(self, next=self.next - 1)] if self.next > 1 else []


Act = Callable[[], Awaitable[Answer]]
"""Carries the call out and says what the answer would be."""


async def spoiled(
    fault: Fault, request: web.Request, act: Act, switches: Switches
) -> web.StreamResponse | None:
    """The call under a fault. None: it is never answered."""
    match fault.kind:
        case FaultKind.STATUS:
            return answer_of_status(fault.code or 500, switches).response()
        case FaultKind.HTML:
            return Answer(fault.code or 200, PAGE, "text/html").response()
        case FaultKind.REDIRECT:
            return Answer(302, headers={"Location": "/signin"}).response()
        case FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
            return (await act()).response()
        case FaultKind.TRUNCATED:
            return await _cut_short(request, await act())
        case FaultKind.TIMEOUT_BEFORE_EFFECT:
            await _until_gone(request)
        case FaultKind.TIMEOUT_AFTER_EFFECT:
            await act()
            await _until_gone(request)
        case FaultKind.RESET_AFTER_EFFECT:
            await act()
            _reset(request)
    return None


async def _until_gone(request: web.Request) -> None:
    """Hold the connection open until the client closes it (the server's end cancels the wait)."""
    # aiohttp has no event for this.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


def _reset(request: web.Request) -> None:
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    request.transport.abort()


async def _cut_short(request: web.Request, answer: Answer) -> web.StreamResponse | None:
    """Promise the whole body, send half of it, and hang up; without a body there is only that."""
    if not answer.body:
        _reset(request)
        return None
    headers = {"Content-Type": answer.content_type or "", "Content-Length": str(len(answer.body))}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
