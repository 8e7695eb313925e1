"""Who may use the page: this machine, or whoever has the token; and no other site in their browser.

The page acts as anyone in the workspace, so a request must come from the page itself: the Origin is
compared with the Host, and without a token the Host must be this machine's name, or a name that
somebody else points here would do (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

COOKIE = "mailcfg_sandbox"
SHORTEST_TOKEN = 16

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

UNKNOWN_VISITOR = (
    "This sandbox needs its token: open the address that it printed when it started.\n"
)
ELSEWHERE = "This sandbox answers its own page on this machine only.\n"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def page_guard(token: str | None) -> Any:
    """A middleware: 401 without the token where one is set, 403 for other sites and other names.

    A GET of `/?token=…` with the right token gives the cookie that the rest asks for.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token is not None and _matches(request.query.get("token", ""), token):
            response: web.StreamResponse = web.Response(status=303, headers={"Location": "/"})
            response.set_cookie(COOKIE, token, httponly=True, samesite="Lax", path="/")
        elif token is not None and not _matches(request.cookies.get(COOKIE, ""), token):
            response = web.Response(text=UNKNOWN_VISITOR, status=401)
        elif not _is_from_here(request, is_guarded=token is not None):
            response = web.Response(text=ELSEWHERE, status=403)
        else:
            return await handler(request)
        response.headers.update(HEADERS)
        return response

    return guard


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """To be connected to `on_response_prepare`."""
    headers: CIMultiDict[str] = response.headers
    headers.update(HEADERS)


def _matches(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _is_from_here(request: web.Request, *, is_guarded: bool) -> bool:
    origin = request.headers.get("Origin")
    if origin is None:
        is_same = request.method in {"GET", "HEAD"} and "Upgrade" not in request.headers
    else:
        is_same = urlsplit(origin).netloc == request.host
    return is_same and (is_guarded or is_loopback(_name(request.host)))


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    return urlsplit(f"//{host}").hostname or ""
