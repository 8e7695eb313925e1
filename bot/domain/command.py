"""What people type after `/mailcfg`: `parse(text)` turns it into one value, or says what was wrong.

It takes text as Slack delivers it: typographic quotes, no-break spaces, `<mailto:a@b|a@b>` and the
entities for `&`, `<` and `>`. `SUBCOMMANDS` is the one table of what exists.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.mail_config import ASKABLE, MailConfig, Patch
from bot.domain.plan import Baseline
from bot.domain.sender_plans import (
    SENDER,
    AcceptPlan,
    ResetPlan,
    SetPlan,
    plan_accept,
    plan_reset,
    plan_set,
)
from bot.domain.typed import clean_reason, shown
from bot.errors import BadValue, InputError, UnknownSubcommand


@dataclass(frozen=True, slots=True)
class Help:
    pass


@dataclass(frozen=True, slots=True)
class Show:
    pass


@dataclass(frozen=True, slots=True)
class Set:
    patch: Patch
    reason: str
    subject = SENDER
    needs_approved = False

    def over(self, live: MailConfig | None, approved: Baseline | None) -> SetPlan:
        return plan_set(self.patch, live)


@dataclass(frozen=True, slots=True)
class SetForm:
    """`set` without arguments: a form is wanted."""


@dataclass(frozen=True, slots=True)
class Reset:
    reason: str
    subject = SENDER
    needs_approved = False

    def over(self, live: MailConfig | None, approved: Baseline | None) -> ResetPlan:
        return plan_reset(live)


@dataclass(frozen=True, slots=True)
class Accept:
    reason: str
    subject = SENDER
    needs_approved = True

    def over(self, live: MailConfig | None, approved: Baseline | None) -> AcceptPlan:
        return plan_accept(live, approved)


@dataclass(frozen=True, slots=True)
class Pending:
    pass


@dataclass(frozen=True, slots=True)
class Withdraw:
    pass


@dataclass(frozen=True, slots=True)
class History:
    """The newest requests."""

    count: int


@dataclass(frozen=True, slots=True)
class HistoryOf:
    """One request with all its moves."""

    number: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Set back what a request changed; without a reason the earlier one's is quoted."""

    number: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    pass


@dataclass(frozen=True, slots=True)
class Dns:
    pass


Command = (
    Help
    | Show
    | Set
    | SetForm
    | Reset
    | Accept
    | Pending
    | Withdraw
    | History
    | HistoryOf
    | Undo
    | Check
    | Dns
)

HISTORY_USUAL = 5
HISTORY_MAX = 20


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A row of the table: how it is called, what it takes, what it does in half a line."""

    name: str
    usage: str
    summary: str
    aliases: tuple[str, ...] = ()


SUBCOMMANDS = (
    Subcommand("show", "show", "the live configuration"),
    Subcommand(
        "set",
        'set name="Scott Fisher" email=scott@acme.example dkim=2048 cname=verified reason="…"',
        "ask for a change; any subset of the fields. Alone, `set` opens a form",
    ),
    Subcommand("reset", 'reset reason="…"', "ask to remove the custom sender"),
    Subcommand(
        "accept", 'accept reason="…"', "ask to take what is live as approved; writes nothing"
    ),
    Subcommand("pending", "pending", "the open request"),
    Subcommand("withdraw", "withdraw", "take your own open request back", ("cancel",)),
    Subcommand(
        "history", "history 10", "the newest requests; `history #42` tells the whole story of one"
    ),
    Subcommand(
        "undo",
        "undo 42",
        "ask to set back what request #42 changed; a reason is optional",
        ("rollback",),
    ),
    Subcommand(
        "check", "check", "why mail is or is not trusted, and what to do about it", ("diagnose",)
    ),
    Subcommand("dns", "dns", "the DNS record to publish, ready to copy"),
    Subcommand("help", "help", "this"),
)

USAGE_HINT = " | ".join(row.name for row in SUBCOMMANDS)
"""What Slack shows behind the command before anything is typed."""

FIELDS = {word: name for name, _, ask in ASKABLE for word in ask.words} | {"reason": "reason"}
"""What people may call a field, and the API's name of it."""

_PREFERRED = (*(ask.words[0] for _, _, ask in ASKABLE), "reason")
_WORDS = {alias: row.name for row in SUBCOMMANDS for alias in (row.name, *row.aliases)}


def parse(text: str) -> Command:
    """The command that `text` means. Raises UnknownSubcommand, InputError or BadValue."""
    word, rest = [*_plain(text).split(None, 1), "", ""][:2]
    if not word:
        return Help()
    name = _WORDS.get(word.lower())
    if name is None:
        nearest = difflib.get_close_matches(word.lower(), _WORDS, n=1)
        raise UnknownSubcommand(shown(word), _WORDS[nearest[0]] if nearest else None)
    return _build(name, rest)


def _build(name: str, rest: str) -> Command:
    match name:
        case "set":
            return _set(rest)
        case "reset":
            return Reset(_only_reason(name, rest))
        case "accept":
            return Accept(_only_reason(name, rest))
        case "history":
            return _history(rest)
        case "undo":
            return _undo(rest)
    if rest and name != "help":
        raise InputError(f"`/mailcfg {name}` takes nothing after it; leave out `{shown(rest)}`.")
    return _BARE[name]


_BARE: dict[str, Command] = {
    "show": Show(),
    "pending": Pending(),
    "withdraw": Withdraw(),
    "check": Check(),
    "dns": Dns(),
    "help": Help(),
}


def _set(rest: str) -> Set | SetForm:
    if not rest:
        return SetForm()
    values = _arguments(rest)
    reason = values.pop("reason", None)
    patch = Patch.of(**values)
    if not patch.asked:
        raise InputError("Nothing to change is named. Try `/mailcfg set email=scott@acme.example`.")
    return Set(patch, clean_reason(reason))


def _history(rest: str) -> History | HistoryOf:
    if not rest:
        return History(HISTORY_USUAL)
    number = _number(rest.removeprefix("#"))
    if number is None:
        raise InputError(
            f"I do not understand `{shown(rest)}`. `/mailcfg history 10` lists the newest ten, "
            "`/mailcfg history #42` tells the whole story of request #42."
        )
    if rest.startswith("#"):
        return HistoryOf(number)
    if number > HISTORY_MAX:
        raise InputError(
            f"At most {HISTORY_MAX} requests are listed at once. For the story of request "
            f"#{number} write `/mailcfg history #{number}`."
        )
    return History(number)


def _undo(rest: str) -> Undo:
    word, more = [*rest.split(None, 1), "", ""][:2]
    number = _number(word.removeprefix("#"))
    if number is None:
        raise InputError(
            "Which request? `/mailcfg undo 42` asks to set back what #42 changed; "
            "`/mailcfg history` lists the newest."
        )
    return Undo(number, _only_reason("undo", more) if more else None)


NUMBER_MAX = 2**31 - 1


def _number(word: str) -> int | None:
    """A request's number, or how many are wanted; None if the word is neither."""
    is_number = word.isascii() and word.isdecimal() and len(word) <= len(str(NUMBER_MAX))
    number = int(word) if is_number else 0
    return number if 0 < number <= NUMBER_MAX else None


def _only_reason(name: str, rest: str) -> str:
    values = _arguments(rest) if "=" in rest else {}
    extra = [field for field in values if field != "reason"]
    if extra or (rest and not values):
        form = "undo 42" if name == "undo" else name
        raise InputError(
            f'`/mailcfg {name}` takes a reason only: `/mailcfg {form} reason="…"`. '
            "To change a field, use `/mailcfg set`."
        )
    return clean_reason(values.get("reason"))


def _arguments(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    previous = None
    for key, value, quoted in _tokens(text):
        if value is None:
            raise InputError(_stray(key, previous))
        field = _field(key)
        if field in values:
            raise BadValue(field, f"`{shown(key)}` is given twice. Which one is meant?")
        if not quoted and _is_next_field(value):
            raise BadValue(field, f"`{shown(key)}=` has no value; after it comes `{shown(value)}`.")
        values[field] = value
        previous = (key, value)
    return values


def _is_next_field(value: str) -> bool:
    """Whether `name= email=…` was typed: what follows the sign is the next field, not a value."""
    return value.partition("=")[0].lower() in FIELDS and "=" in value


def _field(key: str) -> str:
    field = FIELDS.get(key.lower())
    if field is None:
        nearest = difflib.get_close_matches(key.lower(), FIELDS, n=1)
        hint = f"Did you mean `{nearest[0]}=…`?" if nearest else f"There are {_listed()}."
        raise InputError(f"I do not know the field `{shown(key)}`. {hint}")
    return field


def _listed() -> str:
    return ", ".join(f"`{name}`" for name in _PREFERRED[:-1]) + f" and `{_PREFERRED[-1]}`"


def _stray(word: str, previous: tuple[str, str] | None) -> str:
    if previous:
        key, value = previous
        return (
            f"I do not understand `{shown(word)}`. If it belongs to the {key}, quote it: "
            f'`{key}="{shown(value)} {shown(word)}"`.'
        )
    return (
        f"I do not understand `{shown(word)}`. Fields are written `name=…`; there are {_listed()}."
    )


_KEY = re.compile(r"\s*([^\s=]+)(\s*=\s*)?")
_CLOSERS = {'"': '"“”', "“": '”"“', "„": '“”"', "”": '”"', "«": "»", "'": "'’", "‘": "’'"}


def _tokens(text: str) -> Iterator[tuple[str, str | None, bool]]:
    """Key, value and whether it was quoted, in order; a word without `=` has no value."""
    at = 0
    while match := _KEY.match(text, at):
        at = match.end()
        if match[2] is None:
            yield match[1], None, False
        else:
            quoted = text[at : at + 1] in _CLOSERS
            value, at = _value(text, at)
            yield match[1], value, quoted
    if left := text[at:].strip():
        yield left, None, False


def _value(text: str, at: int) -> tuple[str, int]:
    closers = _CLOSERS.get(text[at : at + 1])
    if closers is None:
        end = next((i for i in range(at, len(text)) if text[i].isspace()), len(text))
        return text[at:end], end
    # Only a quote that ends a word closes, so that `reason='Scott's old name'` can be typed.
    for end in range(at + 1, len(text)):
        if text[end] in closers and not text[end + 1 : end + 2].strip():
            return text[at + 1 : end], end + 1
    raise InputError(f"A quote is opened before `{shown(text[at + 1 :], 40)}` and never closed.")


_LINK = re.compile(r"<(?:mailto:|https?://)[^|>]*\|([^>]*)>")
_BARE_LINK = re.compile(r"<(?:mailto:([^|>]*)|(https?://[^|>]*))>")


def _plain(text: str) -> str:
    """The text as it was typed, before Slack decorated it."""
    bare = _BARE_LINK.sub(r"\1\2", _LINK.sub(r"\1", text.replace("\N{NO-BREAK SPACE}", " ")))
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        bare = bare.replace(entity, character)
    return bare.strip()
