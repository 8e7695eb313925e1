"""An emulated Zoho, as a test, the sandbox or the command line holds it: the far end's own view.

It knows the wire only and shares nothing with the client that it is there to test. `serving` puts
it on a port. Source: zoho.com/cliq/help/restapi/v2/customemail/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.sandbox.cliq.config import shown
from bot.sandbox.cliq.faults import Fault
from bot.sandbox.cliq.keys import KeyPool
from bot.sandbox.cliq.log import RequestLog, Write
from bot.sandbox.cliq.profile import profile_switches, turned
from bot.sandbox.cliq.sender import CustomSender, LookupTxt
from bot.sandbox.cliq.state import (
    ADMIN,
    ALL_SCOPE,
    SCOPES,
    AccessToken,
    Credentials,
    State,
    dns_name,
    seed,
)
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.exchanges import WireLog
from bot.sandbox.faults import Faults

SEED_SENDER = {
    "email_id": "scott@acme.example",
    "name": "Scott Fisher",
    "cname_status": "verified",
    "dkim_key_size": 2048,
}


class CliqEmulator:
    """One organisation's Zoho; `state` has its users, tokens, zone and credentials.

    `lookup_txt` is the zone that decides `dkim_status`; by default the emulator has one of its own.
    `configured` False starts without a custom sender. Raises ValueError for an unknown `profile` or
    switch.
    """

    def __init__(
        self,
        *,
        clock: AdjustableClock | None = None,
        lookup_txt: LookupTxt | None = None,
        keys: KeyPool | None = None,
        configured: bool = True,
        profile: str = "documented",
        switches: Mapping[str, object] | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        pool = keys or KeyPool()
        self.clock = clock or AdjustableClock()
        self.wire_log = wire_log or WireLog(self.clock)
        self.has_own_zone = lookup_txt is None
        self.faults = Faults[Fault]()
        self.log = RequestLog()
        self._profile = profile
        self._switches = turned(profile_switches(profile), switches or {})
        self._seed_key = pool.take(2048) if configured else None
        self.state = self._seed(Credentials.fresh())
        self.sender = CustomSender(self.state, self.clock, pool, lookup_txt or self._own_txt)
        self._install_sender()

    @property
    def configuration(self) -> dict[str, str] | None:
        """The six fields as they stand, without the look at the zone that a GET brings; or None."""
        live = self.state.configuration()
        return None if live is None else shown(live)

    def writes(self) -> list[Write]:
        """The PUTs and DELETEs that took effect, oldest first."""
        return list(self.sender.writes)

    def edit(self, /, **fields: str | int) -> None:
        """Another administrator edits the configuration in the admin panel; no fields unset it.

        Merges PUT's four arguments, and takes any text for `cname_status`, `dkim_status`,
        `dkim_host` and `dkim_value`. Raises ValueError with a sentence.
        """
        self.sender.edit(fields)

    def set_zone(self, records: Mapping[str, Sequence[str]]) -> None:
        """The TXT values of the emulator's own zone by name, in place of all that were there."""
        self.state.zone = {dns_name(name): list(values) for name, values in records.items()}

    def set_profile(
        self, profile: str | None = None, switches: Mapping[str, object] | None = None
    ) -> None:
        """Take a profile as a whole, if named, then turn single switches. Raises ValueError."""
        base = self.state.switches if profile is None else profile_switches(profile)
        self.state.switches = turned(base, switches or {})
        self.state.profile = profile or self.state.profile

    def issue_access_token(
        self, user: str = ADMIN, scopes: Sequence[str] = (ALL_SCOPE,)
    ) -> AccessToken:
        """A fresh access token of any user. Raises KeyError for an unknown one."""
        return self.state.issue_access_token(self.state.users[user].id, scopes, self.clock.now())

    def issue_code(
        self,
        user: str = ADMIN,
        scopes: Sequence[str] = SCOPES,
        redirect_uri: str | None = None,
    ) -> str:
        """A grant code, as a self client or a consent page gives it. Raises KeyError."""
        owner, now = self.state.users[user].id, self.clock.now()
        return self.state.issue_code(owner, scopes, now, redirect_uri).code

    def reset(self) -> None:
        """Back to the seed data, with the same credentials; logs and faults are emptied."""
        self.state.become(self._seed(self.state.credentials))
        self._install_sender()
        self.sender.writes.clear()
        self.log.clear()
        self.faults.clear()

    def _seed(self, credentials: Credentials) -> State:
        now = self.clock.now()
        return seed(credentials, profile=self._profile, switches=self._switches, now=now)

    def _install_sender(self) -> None:
        if self._seed_key is not None:
            self.sender.install(SEED_SENDER, self._seed_key)

    def _own_txt(self, name: str) -> Sequence[str]:
        return self.state.zone.get(dns_name(name), ())
