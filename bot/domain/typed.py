"""What people type, cleaned: values that are fit to be sent to the API, or a sentence on what is wrong.

Each raises BadValue with the API's name of the field, so that a form can say it beside the input.
Where a rule comes from the vendor's page (`/api/v2/mailconfigurations/global`), it is said.
"""

from __future__ import annotations

import unicodedata

import idna

from bot.errors import BadValue

VERIFIED = "verified"
NOT_VERIFIED = "not_verified"
CNAME_STATUSES = (VERIFIED, NOT_VERIFIED)
KEY_SIZES = (1024, 2048)
NAME_MAX = 200
ADDRESS_MAX = 254
"""Characters of an address (RFC 5321 section 4.5.3.1.3, less the angle brackets)."""
REASON_MAX = 2000


def clean_name(text: str) -> str:
    """A display name, NFC and trimmed. Raises BadValue."""
    name = clean_text("name", text, "The display name")
    if not name:
        raise BadValue("name", 'The display name is empty. Try `name="Scott Fisher"`.')
    if len(name) > NAME_MAX:
        raise BadValue(
            "name", f"The display name has {len(name)} characters; {NAME_MAX} is the most."
        )
    return name


def clean_reason(text: str | None) -> str:
    """Why a change is wanted or refused. Raises BadValue."""
    reason = clean_text("reason", text or "", "The reason", keep_lines=True)
    if not reason:
        raise BadValue("reason", 'A reason is needed. Add `reason="…"`: approvers read it.')
    if len(reason) > REASON_MAX:
        raise BadValue(
            "reason", f"The reason has {len(reason)} characters; {REASON_MAX} is the most."
        )
    return reason


def clean_address(text: str) -> str:
    """A sender address, its domain as A-labels. Raises BadValue with the nearest right form."""
    address = clean_text("email_id", text, "The address")
    local, at, domain = address.rpartition("@")
    if not at or "@" in local or not local:
        raise BadValue(
            "email_id", f"`{shown(address)}` is no address. Try `email=scott@acme.example`."
        )
    if not local.isascii() or any(c.isspace() or c in '"(),:;<>[\\]' for c in local):
        raise BadValue(
            "email_id",
            f"`{shown(local)}` cannot stand before the @: use letters, digits, dots, - + and _.",
        )
    if len(local) > 64 or local.startswith(".") or local.endswith(".") or ".." in local:
        raise BadValue(
            "email_id",
            f"`{shown(local)}` cannot stand before the @: at most 64 characters, no dot at either "
            "end and no two in a row.",
        )
    cleaned = f"{local}@{_clean_domain(domain)}"
    if len(cleaned) > ADDRESS_MAX:
        raise BadValue(
            "email_id",
            f"The address has {len(cleaned)} characters; {ADDRESS_MAX} is the most.",
        )
    return cleaned


def _clean_domain(domain: str) -> str:
    try:
        encoded = idna.encode(domain.lower(), uts46=True).decode().removesuffix(".")
    except idna.IDNAError as error:
        raise BadValue("email_id", f"`{shown(domain)}` is no domain name.") from error
    if "." not in encoded:
        raise BadValue(
            "email_id", f"The domain `{shown(domain)}` has no dot. Try `email=scott@acme.example`."
        )
    return encoded


def clean_cname_status(text: str) -> str:
    """`verified` or `not_verified`, however people type it. Raises BadValue."""
    status = text.strip().lower().replace(" ", "_").replace("-", "_")
    if status not in CNAME_STATUSES:
        raise BadValue(
            "cname_status",
            f"`{shown(text)}` is no CNAME status. It is `cname=verified` or `cname=not_verified`.",
        )
    return status


def clean_key_size(value: str | int) -> int:
    """1024 or 2048. Raises BadValue."""
    text = str(value).strip()
    if isinstance(value, bool) or text not in {str(size) for size in KEY_SIZES}:
        raise BadValue(
            "dkim_key_size",
            f"`{shown(text)}` is no DKIM key size that Zoho offers. It is `dkim=2048` or "
            "`dkim=1024`.",
        )
    return int(text)


def clean_text(field: str, text: str, what: str, *, keep_lines: bool = False) -> str:
    """NFC, trimmed, and free of characters that make text look like what it is not.

    Control characters could break a header, bidirectional ones reverse what an approver reads.
    Raises BadValue.
    """
    normal = unicodedata.normalize("NFC", text).replace("\N{NO-BREAK SPACE}", " ").strip()
    for character in normal:
        if keep_lines and character in "\n\t":
            continue
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise BadValue(
                field,
                f"{what} contains an invisible character (U+{ord(character):04X}); retype it "
                "without.",
            )
    return normal


def shown(text: str, most: int = 80) -> str:
    """What somebody typed, fit to be quoted inside a sentence."""
    flat = " ".join(text.replace("`", "'").split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
