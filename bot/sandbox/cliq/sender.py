"""The organisation's custom sender: what the API, and an administrator in the panel, do to it.

The rules are `config`'s; here they meet the state, the clock, fresh keys and the zone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bot.sandbox.cliq import config
from bot.sandbox.cliq.config import envelope, key_size_needed
from bot.sandbox.cliq.keys import KeyPool, private_pem
from bot.sandbox.cliq.log import Write
from bot.sandbox.cliq.state import Configuration, State, domain_of
from bot.sandbox.clock import AdjustableClock

LookupTxt = Callable[[str], Sequence[str]]
"""The TXT values at a name, each joined; empty if there are none."""


class CustomSender:
    """The custom sender in `state`. `writes` are the API's, oldest first."""

    def __init__(
        self, state: State, clock: AdjustableClock, keys: KeyPool, lookup_txt: LookupTxt
    ) -> None:
        self._state = state
        self._clock = clock
        self._keys = keys
        self._lookup_txt = lookup_txt
        self.writes: list[Write] = []

    def read(self) -> Configuration | None:
        """The configuration; reading it is what makes Zoho look for the DKIM record."""
        live = self._state.configuration()
        if live is None:
            return None
        published = self._lookup_txt(live.dkim_host)
        seen = config.checked_record(live, published, self._state.switches)
        self._state.configure(seen)
        return seen

    async def put(self, user: str, arguments: dict[str, Any]) -> Configuration | None:
        """Carry out a PUT whose arguments are checked one by one. Raises Refused."""
        key = await self._key_for(arguments)
        current, switches = self._state.configuration(), self._state.switches
        config.check_complete(current, arguments, switches)
        if config.is_held(current, arguments, switches):
            return self.read()
        self._state.configure(self._updated(current, arguments, key))
        after = self.read()
        self._note("PUT", user, arguments, after)
        return after

    def delete(self, user: str) -> None:
        self._state.configure(None)
        self._note("DELETE", user, None, None)

    def edit(self, fields: dict[str, Any]) -> None:
        """Change the configuration past the API; see `CliqEmulator.edit`. Raises ValueError."""
        current = self._state.configuration()
        config.check_edit(current, fields)
        if not fields:
            self._state.configure(None)
            return
        stated = {"cname_status": "not_verified"} if current is None else {}
        arguments = stated | {k: v for k, v in fields.items() if k in config.ARGUMENTS}
        forced = {k: v for k, v in fields.items() if k in config.FORCIBLE}
        bits = key_size_needed(current, arguments, self._state.switches)
        key = None if bits is None else self._keys.take(bits)
        after = self._updated(current, arguments, key)
        self._state.configure(replace(after, **forced))

    def install(self, arguments: dict[str, Any], key: RSAPrivateKey) -> None:
        """Start with a configuration whose key is given."""
        self._state.configure(self._updated(None, arguments, key))

    async def _key_for(self, arguments: dict[str, Any]) -> RSAPrivateKey | None:
        """The key that this PUT needs, if any, asked again as long as others change the need."""
        key: RSAPrivateKey | None = None
        while True:
            current = self._state.configuration()
            bits = key_size_needed(current, arguments, self._state.switches)
            if bits is None:
                return None
            if key is not None and key.key_size == bits:
                return key
            key = await asyncio.to_thread(self._keys.take, bits)

    def _updated(
        self, current: Configuration | None, arguments: dict[str, Any], key: RSAPrivateKey | None
    ) -> Configuration:
        if key is None:
            return config.updated(current, arguments, None, "")
        email_id = arguments.get("email_id") or (current.email_id if current else "")
        host = self._state.new_dkim_host(domain_of(email_id), self._clock.now())
        self._state.keys[host] = private_pem(key)
        return config.updated(current, arguments, key, host)

    def _note(
        self, method: str, user: str, body: dict[str, Any] | None, after: Configuration | None
    ) -> None:
        left = None if after is None else envelope(after)["data"]
        self.writes.append(Write(self._clock.now(), method, user, body, left))
