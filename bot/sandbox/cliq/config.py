"""What the three calls do to a mail configuration: the rules of PUT's body, its effect, and the answer.

Pure, but for the keys, which come from outside: ask `key_size_needed`, then hand a key to `updated`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeGuard

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bot.sandbox.cliq.keys import dkim_value, key_bits, public_part
from bot.sandbox.cliq.profile import MALFORMED, Refused, Switches, bad_value, extra_key
from bot.sandbox.cliq.state import Configuration, domain_of

PATH = "/api/v2/mailconfigurations/global"
REQUIRED = ("name", "email_id", "cname_status")
ARGUMENTS = (*REQUIRED, "dkim_key_size")
FORCIBLE = ("cname_status", "dkim_status", "dkim_host", "dkim_value")
STATUSES = ("verified", "not_verified")
KEY_SIZES = (1024, 2048)
DEFAULT_KEY_SIZE = 1024

_BLANK = r"\s\u0000-\u001f\u007f-\u009f\ufeff"
"""Spelled out, because dialects of regular expressions differ about what white space is."""
NAME_PATTERN = rf"[^{_BLANK}]"
"""Something to read: at least one character that is neither white space nor a control."""
EMAIL_PATTERN = rf"^[^@{_BLANK}]+@[^@.{_BLANK}]+(\.[^@.{_BLANK}]+)+$"
"""One `@`, and a domain with a dot."""


def parsed(body: bytes, content_type: str | None) -> dict[str, Any]:
    """The arguments of a PUT, checked one by one. Raises Refused."""
    if content_type and not _is_json(content_type):
        raise Refused(MALFORMED)
    try:
        arguments = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(MALFORMED) from None
    if not isinstance(arguments, dict) or not arguments:
        raise Refused(MALFORMED)
    for name, value in arguments.items():
        if name not in ARGUMENTS:
            raise Refused(extra_key(name))
        if not _fits(name, value):
            raise Refused(bad_value(name))
    return arguments


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _fits(name: str, value: object) -> bool:
    match name:
        case "dkim_key_size":
            return type(value) is int and value in KEY_SIZES
        case "cname_status":
            return value in STATUSES
        case "email_id":
            return _is_text(value) and re.fullmatch(EMAIL_PATTERN, value) is not None
        case _:
            return _is_text(value) and re.search(NAME_PATTERN, value) is not None


def _is_text(value: object) -> TypeGuard[str]:
    """A lone surrogate is JSON's to write but nobody's to store."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def check_complete(
    current: Configuration | None, arguments: dict[str, Any], switches: Switches
) -> None:
    """Whether there is enough to go on. Raises Refused."""
    if current is not None and not switches.strict_put:
        return
    if not all(name in arguments for name in REQUIRED):
        raise Refused(MALFORMED)


def check_edit(current: Configuration | None, fields: dict[str, Any]) -> None:
    """What an edit past the API may say: PUT's arguments, and any text for statuses and record.

    Raises ValueError with a sentence.
    """
    for name, value in fields.items():
        if name not in (*ARGUMENTS, *FORCIBLE):
            known = ", ".join(dict.fromkeys((*ARGUMENTS, *FORCIBLE)))
            raise ValueError(f"there is no field {name!r}; there are {known}")
        if not (_is_text(value) if name in FORCIBLE else _fits(name, value)):
            raise ValueError(f"{name} cannot be {value!r}")
    if current is None and fields and not {"email_id", "name"} <= fields.keys():
        raise ValueError("no custom sender is configured, so email_id and name are both needed")


def is_held(current: Configuration | None, arguments: dict[str, Any], switches: Switches) -> bool:
    """Whether the old sender holds on: another address changes nothing until it is removed."""
    if current is None or not switches.sticky_email or "email_id" not in arguments:
        return False
    return str(arguments["email_id"]).casefold() != current.email_id.casefold()


def key_size_needed(
    current: Configuration | None, arguments: dict[str, Any], switches: Switches
) -> int | None:
    """Bits of the key that this PUT makes; None if the old key stays."""
    asked: int | None = arguments.get("dkim_key_size")
    if current is not None and _keeps_key(current, arguments):
        return None
    if asked is None:
        return DEFAULT_KEY_SIZE
    return sum(KEY_SIZES) - asked if switches.wrong_key_size else asked


def _keeps_key(current: Configuration, arguments: dict[str, Any]) -> bool:
    asked = arguments.get("dkim_key_size")
    return not _moves(current, arguments) and asked in (None, key_bits(current.dkim_value))


def _moves(current: Configuration, arguments: dict[str, Any]) -> bool:
    return domain_of(arguments.get("email_id", current.email_id)) != current.domain


def updated(
    current: Configuration | None,
    arguments: dict[str, Any],
    key: RSAPrivateKey | None,
    dkim_host: str,
) -> Configuration:
    """The configuration after a PUT; `key` (to be found at `dkim_host`) where a new one is needed."""
    if current is None:
        base = Configuration(dkim_status="", dkim_host="", dkim_value="", **_texts(arguments))
    else:
        moved = {"cname_status": "not_verified"} if _moves(current, arguments) else {}
        base = replace(current, **{**moved, **_texts(arguments)})
    if key is None:
        return base
    return replace(
        base, dkim_status="not_verified", dkim_host=dkim_host, dkim_value=dkim_value(key)
    )


def _texts(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in arguments.items() if name in REQUIRED}


def checked_record(
    configuration: Configuration, published: Sequence[str], switches: Switches
) -> Configuration:
    """The configuration with `dkim_status` as Zoho finds it, `published` being the TXT values."""
    key = public_part(configuration.dkim_value)
    is_there = bool(key) and [public_part(value) for value in published] == [key]
    if is_there:
        return replace(configuration, dkim_status="verified")
    if switches.demote_on_loss and configuration.dkim_status == "verified":
        return replace(configuration, dkim_status="not_verified")
    return configuration


def envelope(configuration: Configuration | None) -> dict[str, Any]:
    """The body of a successful GET or PUT."""
    data = {} if configuration is None else shown(configuration)
    return {"url": PATH, "data": data}


def shown(configuration: Configuration) -> dict[str, str]:
    """The six fields in the page's order."""
    return {
        "email_id": configuration.email_id,
        "name": configuration.name,
        "dkim_value": configuration.dkim_value,
        "dkim_status": configuration.dkim_status,
        "dkim_host": configuration.dkim_host,
        "cname_status": configuration.cname_status,
    }


def accepts_json(accept: str) -> bool:
    """Whether an `Accept` header lets JSON through; none at all does (RFC 9110 section 12.5.1)."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(kinds & {"", "application/json", "application/*", "*/*"})
