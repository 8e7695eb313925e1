"""Every error of mailcfg, as one tree; `str(error)` is always fit to show to a person.

Classes are told apart by what the reader does next: retype, ask someone, wait, call the operator.
Data travels as attributes; the sentence is composed here, so that it is the same everywhere.

MailcfgError
├── InputError                  retype it
│   ├── UnknownSubcommand
│   └── BadValue                one field, one problem
├── Refusal                     it is not going to happen; the sentence says why
│   ├── NotAllowed              you may not; someone else may
│   ├── NoChange                nothing to do
│   ├── AlreadyOpen             another request is open
│   ├── AlreadySettled          the request has moved on
│   └── UnknownRequest
├── CouldNotCheck               a look-up failed, so nothing was done: try again
│   └── GroupTrouble            a usergroup does not exist, or may not be read: not by trying again
├── OperatorError               the deployment is wrong: call whoever runs it
│   ├── SettingsError           one line per fault
│   ├── PortInUse
│   ├── DatabaseError
│   └── Tampered                a stored row does not match its seal
└── FarEndError                 what is to be changed could not be read or written; see `Effect`
    ├── NotApplied              accepted, but the read-back shows something else
    ├── CliqError               the Cliq API said no, or nothing
    │   ├── NotSent             NONE: never left
    │   ├── Ambiguous           UNKNOWN: no answer came
    │   ├── ServerError         UNKNOWN: 5xx
    │   ├── MalformedAnswer     UNKNOWN: 2xx that cannot be read
    │   ├── RateLimited         NONE: wait until `retry_at`
    │   ├── BudgetSpent         NONE: our own limit, below Zoho's; wait until `retry_at`
    │   ├── AuthError           NONE: the access token was refused, also after a refresh
    │   ├── ScopeError          REFUSED: the token lacks a scope
    │   ├── PermissionDenied    REFUSED: the Zoho user may not
    │   └── BadRequest, NotFound, MethodError, NotAcceptable    REFUSED
    └── OAuthError              NONE: Zoho's accounts server said no, so nothing was sent
        ├── ReauthRequired      a person must authorise again
        │   ├── NotConnected    nobody has authorised it yet
        │   ├── CodeRefused     the grant code is wrong, used or too old
        │   └── ScopesMissing   it was authorised for less than it needs
        ├── OAuthConfigError    client id, secret or data centre is wrong
        │   └── OtherCredentials    not those that this database was used with
        ├── OAuthThrottled      wait until `retry_at`
        └── OAuthUnavailable    out of reach, or an answer nobody can read
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any, ClassVar


class MailcfgError(Exception):
    """The root: whatever mailcfg raises on purpose."""


class InputError(MailcfgError):
    """What was typed cannot be understood; the sentence says what was wrong and the right form."""


class UnknownSubcommand(InputError):
    def __init__(self, typed: str, nearest: str | None) -> None:
        hint = f"Did you mean `/mailcfg {nearest}`?" if nearest else "Try `/mailcfg help`."
        super().__init__(f"I do not know `{typed}`. {hint}")
        self.typed = typed
        self.nearest = nearest


class BadValue(InputError):
    """One field has a value that must not reach the API.

    `field` is the API's name of the field (`email_id`, `dkim_key_size`, …) or `reason`, so that a
    form can put the sentence beside the right input.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


class Refusal(MailcfgError):
    """The wish is understood and refused; nothing was changed."""


class NotAllowed(Refusal):
    """This person may not do this.

    `code` is the policy's reason code and `evidence` what the verdict rests on, for the audit.
    """

    def __init__(self, code: str, sentence: str, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.evidence = evidence


class NoChange(Refusal):
    """What is asked for is already so."""


class AlreadyOpen(Refusal):
    """An organisation has at most one open request."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Request #{number} is still open, and there is one at a time. See it with "
            "`/mailcfg pending`; whoever asked for it can `/mailcfg withdraw` it."
        )
        self.number = number


class AlreadySettled(Refusal):
    """The request has left the state in which this was possible."""


class UnknownRequest(Refusal):
    def __init__(self, number: int | None = None) -> None:
        super().__init__(
            "I do not know that request. See the open one with `/mailcfg pending`."
            if number is None
            else f"There is no request #{number}. `/mailcfg history` lists the newest."
        )


class CouldNotCheck(MailcfgError):
    """A look-up that a decision needs has failed, so nothing was decided."""


class GroupTrouble(CouldNotCheck):
    """Slack's definite no about a usergroup; `cure` is one sentence for whoever runs mailcfg.

    `is_missing`: there is no such group, so nobody is in it; else it may not be read.
    """

    def __init__(self, group: str, cure: str, *, is_missing: bool) -> None:
        super().__init__(
            "Could not check with Slack who is in the group of approvers, so nothing was done. Tell "
            "whoever runs mailcfg."
        )
        self.group = group
        self.cure = cure
        self.is_missing = is_missing


class OperatorError(MailcfgError):
    """The deployment cannot work like this; whoever runs it must act."""


class SettingsError(OperatorError):
    """Missing or impossible settings; each fault is one line that names the variable and the cure."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class PortInUse(OperatorError):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is in use. Stop what uses it, or choose another port "
            "(0 picks a free one)."
        )
        self.host = host
        self.port = port


class DatabaseError(OperatorError):
    """The database cannot be opened, or is not the one this version expects."""


class Tampered(OperatorError):
    """A stored row does not match its seal, or cannot be read; nothing is sent.

    `number` is that of the request which cannot be read, if it is one.
    """

    def __init__(self, sentence: str, number: int | None = None) -> None:
        super().__init__(sentence)
        self.number = number


class Effect(Enum):
    """What a call that did not succeed has done at the far end, and so what may follow."""

    NONE = auto()
    """Nothing happened: it may be sent again."""
    UNKNOWN = auto()
    """It may have taken effect: read before anything else."""
    REFUSED = auto()
    """A definite no: to send it again would bring the same."""


class FarEndError(MailcfgError):
    """A call to where something is to be changed did not succeed; `effect` is the careful one unless
    the class knows better."""

    effect: ClassVar[Effect] = Effect.UNKNOWN


class NotApplied(FarEndError):
    """Accepted, but a read afterwards shows other values in `fields` (API names)."""

    def __init__(self, fields: Sequence[str]) -> None:
        listed = ", ".join(fields)
        super().__init__(f"Zoho Cliq accepted the change but does not show it ({listed}).")
        self.fields = tuple(fields)


class CliqError(FarEndError):
    """A call to the Cliq API that did not succeed.

    `method` is the HTTP method; `status`, `code` and `message` are what the API answered, where it
    answered. The API's prose is kept for the log only: people get our sentence.
    """

    effect = Effect.REFUSED
    sentence = "Zoho Cliq did not accept the call."

    def __init__(
        self,
        method: str,
        *,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
        sentence: str | None = None,
    ) -> None:
        super().__init__(sentence or self.sentence)
        self.method = method
        self.status = status
        self.code = code
        self.message = message


class NotSent(CliqError):
    effect = Effect.NONE
    sentence = "Zoho Cliq cannot be reached; nothing was sent. Try again later."


class Ambiguous(CliqError):
    effect = Effect.UNKNOWN
    sentence = "Zoho Cliq did not answer in time, so it is not known whether the call took effect."


class ServerError(CliqError):
    effect = Effect.UNKNOWN
    sentence = (
        "Zoho Cliq has a fault of its own (it answered with a server error). Try again later."
    )


class MalformedAnswer(CliqError):
    effect = Effect.UNKNOWN
    sentence = "Zoho Cliq gave an answer that makes no sense. Try again later."


class RateLimited(CliqError):
    """Throttled; nothing may be sent for this organisation before `retry_at` (UTC)."""

    effect = Effect.NONE

    def __init__(
        self,
        method: str,
        *,
        retry_at: datetime,
        source: str,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        super().__init__(
            method,
            status=status,
            code=code,
            message=message,
            sentence=(
                "Zoho Cliq has locked its API because of too many calls; "
                f"mailcfg goes on at {retry_at:%H:%M} UTC."
            ),
        )
        self.retry_at = retry_at
        self.source = source


class BudgetSpent(CliqError):
    """Our own limit, kept below Zoho's so that no lock ever starts; free again at `retry_at`."""

    effect = Effect.NONE

    def __init__(self, method: str, *, retry_at: datetime) -> None:
        super().__init__(
            method,
            sentence=(
                "mailcfg has used up its calls to Zoho Cliq for this minute; "
                f"try again at {retry_at:%H:%M:%S} UTC."
            ),
        )
        self.retry_at = retry_at


class AuthError(CliqError):
    effect = Effect.NONE
    sentence = (
        "Zoho Cliq refuses mailcfg's access token. Ask whoever runs mailcfg to authorise it again."
    )


class ScopeError(CliqError):
    """The token lacks `required`, a scope such as `ZohoCliq.Organisation.READ`."""

    def __init__(
        self,
        method: str,
        *,
        required: str,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        super().__init__(
            method,
            status=status,
            code=code,
            message=message,
            sentence=(
                f"mailcfg's Zoho token lacks the scope {required}. Ask whoever runs mailcfg to "
                "authorise it again with that scope."
            ),
        )
        self.required = required


class PermissionDenied(CliqError):
    sentence = (
        "Zoho Cliq says that mailcfg's Zoho user may not do this: it must be a full Admin of the "
        "organisation, and its token needs all three ZohoCliq.Organisation scopes."
    )


class BadRequest(CliqError):
    sentence = "Zoho Cliq refused the values that were sent. Check them, then ask with others."


class NotFound(CliqError):
    sentence = "Zoho Cliq does not know this address of its API; check CLIQ_API_URL."


class MethodError(CliqError):
    sentence = "Zoho Cliq does not allow this kind of call; check CLIQ_API_URL."


class NotAcceptable(CliqError):
    sentence = "Zoho Cliq cannot answer in JSON here; check CLIQ_API_URL."


class OAuthError(FarEndError):
    """The accounts server gave no access token. `error` is its own word, where it said one."""

    effect = Effect.NONE
    sentence = "Zoho gave mailcfg no access token."

    def __init__(self, *, error: str | None = None, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)
        self.error = error


class ReauthRequired(OAuthError):
    sentence = (
        "Zoho no longer accepts mailcfg's refresh token. Ask whoever runs mailcfg to authorise it "
        "again with `mailcfg connect --code 1000.…`."
    )


class NotConnected(ReauthRequired):
    sentence = (
        "ZOHO_REFRESH_TOKEN is missing, and none is stored: make a code in Zoho's API console and "
        "run `mailcfg connect --code 1000.…`, or set ZOHO_REFRESH_TOKEN."
    )


class CodeRefused(ReauthRequired):
    sentence = (
        "Zoho does not accept this code: it is good once, for the minutes chosen when it was made, "
        "and for the client that made it. Nothing was stored; make a new one in Zoho's API console "
        "and try again."
    )


class ScopesMissing(ReauthRequired):
    """What was granted lacks `missing`; `needed` is all that is to be asked for."""

    def __init__(self, missing: Sequence[str], needed: Sequence[str]) -> None:
        super().__init__(
            sentence=(
                f"Zoho did not grant {', '.join(missing)}, so nothing was stored. Make a new code "
                f"with the scopes {','.join(needed)} and run `mailcfg connect --code 1000.…` again."
            )
        )
        self.missing = tuple(missing)


class OAuthConfigError(OAuthError):
    sentence = (
        "Zoho does not accept mailcfg's client: ZOHO_CLIENT_ID or ZOHO_CLIENT_SECRET is wrong, or "
        "ZOHO_DATA_CENTER is not the one where they were made."
    )


class OtherCredentials(OAuthConfigError):
    """Another client, data centre or network than the one that is pinned in the database."""

    sentence = (
        "ZOHO_CLIENT_ID, ZOHO_DATA_CENTER or CLIQ_API_URL is not the one that this database was "
        "used with, so nothing is sent: another organisation's settings may be in place. Put the "
        "old ones back, or, if the change is meant, run `mailcfg connect`."
    )


class OAuthThrottled(OAuthError):
    """Too many token requests; refreshing goes on at `retry_at` (UTC). Never a reason to re-authorise.

    `is_our_limit`: Zoho has not complained, and may not even have answered.
    """

    def __init__(self, *, retry_at: datetime, is_our_limit: bool = False) -> None:
        at = f"{retry_at:%H:%M} UTC"
        if is_our_limit:
            super().__init__(
                sentence="mailcfg has asked Zoho for as many tokens as it lets itself in ten minutes; "
                f"it goes on at {at}. Whoever runs mailcfg finds in its log how Zoho answered."
            )
        else:
            super().__init__(
                error="Access Denied",
                sentence="Zoho has paused token requests because there were too many; "
                f"mailcfg goes on at {at}.",
            )
        self.retry_at = retry_at


class OAuthUnavailable(OAuthError):
    sentence = (
        "Zoho's accounts server cannot be reached, or answers nonsense. Try again later; if it stays "
        "so, whoever runs mailcfg should check the network and ZOHO_ACCOUNTS_URL."
    )
