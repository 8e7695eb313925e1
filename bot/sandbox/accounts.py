"""Zoho's accounts server: access tokens for refresh tokens and grant codes, and their revocation.

Errors usually come with status 200, as at Zoho: a client must look for `access_token`. Sources:
zoho.com/accounts/protocol/oauth/ and its page on token limits.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.sandbox.cliq.profile import Answer
from bot.sandbox.cliq.state import AccessToken, RefreshToken, State, new_token

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105  # a path
REVOKE_PATH = "/oauth/v2/token/revoke"
PATHS = (TOKEN_PATH, REVOKE_PATH)

REQUESTS = 10
WINDOW = timedelta(minutes=10)

API_DOMAIN = "https://www.zohoapis.com"
"""The general API's host, never Cliq's."""

THROTTLED = {
    "error_description": "You have made too many requests continuously. Please try again after "
    "some time.",
    "error": "Access Denied",
    "status": "failure",
}


def answer(state: State, path: str, parameters: Mapping[str, str], now: datetime) -> Answer:
    """The answer to a POST at one of `PATHS`."""
    if path == REVOKE_PATH:
        return _revoke(state, parameters.get("token", ""))
    fault = _client_fault(state, parameters)
    if fault is not None:
        return fault
    match parameters.get("grant_type"):
        case "refresh_token":
            return _refresh(state, parameters, now)
        case "authorization_code":
            return _exchange(state, parameters, now)
        case _:
            return _error("general_error")


def _client_fault(state: State, parameters: Mapping[str, str]) -> Answer | None:
    client = state.clients.get(parameters.get("client_id", ""))
    if client is None:
        return _error("invalid_client")
    given = parameters.get("client_secret", "").encode()
    if not hmac.compare_digest(given, client.secret.encode()):
        return _error("invalid_client_secret")
    return None


def _refresh(state: State, parameters: Mapping[str, str], now: datetime) -> Answer:
    refresh = state.refresh_tokens.get(parameters.get("refresh_token", ""))
    if refresh is None or refresh.client != parameters["client_id"]:
        return _error("invalid_code")
    if state.switches.throttle:
        refresh = state.refresh_tokens[refresh.token] = _counted(refresh, now)
        if refresh.requests > REQUESTS:
            return Answer.json(400 if state.switches.oauth_throttle_400 else 200, THROTTLED)
    token = state.issue_access_token(refresh.user, refresh.scopes, now, refresh.token)
    return Answer.json(200, _granted(token))


def _counted(refresh: RefreshToken, now: datetime) -> RefreshToken:
    start = refresh.window_start
    if start is None or now - start >= WINDOW:
        return replace(refresh, window_start=now, requests=1)
    return replace(refresh, requests=refresh.requests + 1)


def _exchange(state: State, parameters: Mapping[str, str], now: datetime) -> Answer:
    code = state.codes.pop(parameters.get("code", ""), None)
    if code is None or code.expires_at <= now or code.client != parameters["client_id"]:
        return _error("invalid_code")
    if code.redirect_uri != parameters.get("redirect_uri"):
        return _error("invalid_redirect_uri")
    refresh = RefreshToken(new_token(), code.client, code.user, code.scopes)
    state.refresh_tokens[refresh.token] = refresh
    token = state.issue_access_token(code.user, code.scopes, now, refresh.token)
    return Answer.json(200, {**_granted(token), "refresh_token": refresh.token})


def _granted(token: AccessToken) -> dict[str, Any]:
    return {
        "access_token": token.token,
        "scope": " ".join(token.scopes),
        "api_domain": API_DOMAIN,
        "token_type": "Bearer",
        "expires_in": 3600,
    }


def _revoke(state: State, token: str) -> Answer:
    if state.revoke(token):
        return Answer.json(200, {"status": "success"})
    return Answer.json(400, {"status": "failure", "error": "invalid_token"})


def _error(word: str) -> Answer:
    return Answer.json(200, {"error": word})
