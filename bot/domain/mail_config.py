"""The organisation's mail configuration: its fields, what a person may ask of them, and the diff.

Values and rules only. The API's spelling is `adapters/cliq`'s business, DKIM keys are `dkim`'s.
Where a rule comes from the vendor's page (`/api/v2/mailconfigurations/global`), it is said.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, fields, replace
from typing import Any

import idna

from bot.domain import dkim
from bot.errors import BadValue, InputError

VERIFIED = "verified"
NOT_VERIFIED = "not_verified"
CNAME_STATUSES = (VERIFIED, NOT_VERIFIED)
KEY_SIZES = (1024, 2048)
NAME_MAX = 200
ADDRESS_MAX = 254
"""Characters of an address (RFC 5321 section 4.5.3.1.3, less the angle brackets)."""
REASON_MAX = 2000


@dataclass(frozen=True, slots=True)
class MailConfig:
    """A configured custom sender, as the API answers it. No custom sender is `None`, everywhere.

    `cname_status` and `dkim_status` are open: an unknown word is kept and never counts as verified.
    The key's size is not in the answer; it is read from `dkim_value`.
    """

    email_id: str
    name: str
    cname_status: str = ""
    dkim_status: str = ""
    dkim_host: str = ""
    dkim_value: str = ""

    @property
    def domain(self) -> str:
        return domain_of(self.email_id)

    @property
    def dkim_bits(self) -> int | None:
        """Size of the key in bits, or None if `dkim_value` holds no usable key."""
        return dkim.key_bits(self.dkim_value)

    def as_dict(self) -> dict[str, str]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> MailConfig | None:
        """The inverse of `as_dict`, for a stored row; None stays None."""
        return None if values is None else cls(**values)


def domain_of(email_id: str) -> str:
    """The domain of an address as lower-case A-labels (RFC 5891); as it stands where it has none."""
    domain = email_id.rpartition("@")[2].strip().lower()
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are one sender: without case, the domain as A-labels."""
    return _canonical_address(one) == _canonical_address(other)


def _canonical_address(email_id: str) -> tuple[str, str]:
    return email_id.strip().rpartition("@")[0].casefold(), domain_of(email_id)


def _same_spelling(one: str, other: str) -> bool:
    """What is shown as a change outside approval: stricter than `same_address`, which decides what
    was written, by the case of what stands before the @."""
    is_local_same = one.strip().rpartition("@")[0] == other.strip().rpartition("@")[0]
    return is_local_same and domain_of(one) == domain_of(other)


def same_name(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one).strip() == unicodedata.normalize("NFC", other).strip()


def _same_host(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def is_in_place(base: MailConfig | None, live: MailConfig | None) -> bool:
    """Whether nothing that people decide about has moved between `base` and `live`.

    `dkim_status` does not count: Zoho moves it by itself.
    """
    if base is None or live is None:
        return base is live
    return (
        same_address(base.email_id, live.email_id)
        and same_name(base.name, live.name)
        and base.cname_status == live.cname_status
        and _same_host(base.dkim_host, live.dkim_host)
        and dkim.same_record(base.dkim_value, live.dkim_value)
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """What a person asked for: any subset of the API's four arguments; None is "not asked".

    Made by `of`, so that a Patch is always fit to be sent.
    """

    name: str | None = None
    email_id: str | None = None
    cname_status: str | None = None
    dkim_key_size: int | None = None

    @classmethod
    def of(
        cls,
        *,
        name: str | None = None,
        email_id: str | None = None,
        cname_status: str | None = None,
        dkim_key_size: str | int | None = None,
    ) -> Patch:
        """A patch of checked, normalised values. Raises BadValue, which names the field."""
        return cls(
            name=None if name is None else clean_name(name),
            email_id=None if email_id is None else clean_address(email_id),
            cname_status=None if cname_status is None else clean_cname_status(cname_status),
            dkim_key_size=None if dkim_key_size is None else clean_key_size(dkim_key_size),
        )

    @property
    def asked(self) -> tuple[str, ...]:
        """The API names of what was asked, in the API's order."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def beyond(self, base: MailConfig | None) -> Patch:
        """Without a name and an address that are `base`'s: a form sends both back, asked or not.

        Key size and CNAME status stay: a form sends them only when somebody chose them.
        """
        if base is None:
            return self
        name, email_id = self.name, self.email_id
        return replace(
            self,
            name=None if name is None or same_name(name, base.name) else name,
            email_id=None
            if email_id is None or same_address(email_id, base.email_id)
            else email_id,
        )

    def over(self, base: MailConfig | None) -> Wanted:
        """The full record to be sent, on top of `base`.

        Every PUT carries name, address and CNAME status, since whether the API merges is not
        documented. The CNAME status is an administrator's word; it falls back to not_verified when
        the domain changes. Raises InputError if something needed is neither asked nor there.
        """
        missing = [f for f in ("email_id", "name") if base is None and getattr(self, f) is None]
        if missing:
            typed = {"email_id": "`email=…`", "name": "`name=…`"}
            needed = " and ".join(typed[f] for f in missing)
            verb = "is" if len(missing) == 1 else "are"
            raise InputError(f"No custom sender is set yet, so {needed} {verb} needed as well.")
        name, email_id = self.name, self.email_id
        if base is not None:
            name, email_id = name or base.name, email_id or base.email_id
        assert name is not None
        assert email_id is not None
        keeps_domain = base is not None and domain_of(email_id) == base.domain
        echoed = base.cname_status if base is not None and keeps_domain else NOT_VERIFIED
        return Wanted(
            name=name,
            email_id=email_id,
            cname_status=self.cname_status
            or (echoed if echoed in CNAME_STATUSES else NOT_VERIFIED),
            dkim_key_size=self.dkim_key_size,
            asked=self.asked,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The target of a `set`: what the PUT will carry, and which of it a person named.

    `asked` matters afterwards: what was named must be there for the change to count as applied,
    what was only echoed may differ.
    """

    name: str
    email_id: str
    cname_status: str
    dkim_key_size: int | None
    asked: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"asked": list(self.asked)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Wanted:
        return cls(**{**values, "asked": tuple(values["asked"])})

    def put_arguments(self) -> dict[str, str | int]:
        """The JSON body of the PUT: three fields always, the key size only when it was asked."""
        body: dict[str, str | int] = {
            "name": self.name,
            "email_id": self.email_id,
            "cname_status": self.cname_status,
        }
        if self.dkim_key_size is not None:
            body["dkim_key_size"] = self.dkim_key_size
        return body

    def issues_new_key(self, base: MailConfig | None) -> bool:
        """Whether Zoho is expected to make a new DKIM key: another domain, or another size."""
        if base is None or domain_of(self.email_id) != base.domain:
            return True
        return self.dkim_key_size is not None and self.dkim_key_size != base.dkim_bits

    def changes_address(self, base: MailConfig | None) -> bool:
        return base is None or not same_address(self.email_id, base.email_id)

    def may_change_key(self, base: MailConfig | None) -> bool:
        """Whether a new key is no surprise: one is expected, or a size was named, which may make one."""
        return self.issues_new_key(base) or self.dkim_key_size is not None

    def unmet(self, live: MailConfig | None, base: MailConfig | None) -> tuple[str, ...]:
        """The fields that `live` does not show (API names); empty means the target is reached.

        Those that were asked for count, and always the address: whatever was approved, a sender at
        another address is not it. A key size counts as met once the key is another one than in
        `base`, even if its size is not the one asked for: that is worth a warning, not a second
        write.
        """
        needed = tuple(dict.fromkeys((*self.asked, "email_id")))
        if live is None:
            return needed
        return tuple(f for f in needed if not self._is_met(f, live, base))

    def _is_met(self, field: str, live: MailConfig, base: MailConfig | None) -> bool:
        if field == "email_id":
            return same_address(self.email_id, live.email_id)
        if field == "name":
            return same_name(self.name, live.name)
        if field == "cname_status":
            return self.cname_status == live.cname_status
        if base is None:
            return bool(live.dkim_value)
        return live.dkim_bits == self.dkim_key_size or not dkim.same_record(
            live.dkim_value, base.dkim_value
        )

    def warnings(self, live: MailConfig) -> tuple[str, ...]:
        """What is worth saying about a target that was reached: echoed fields and key size."""
        said = []
        if self.dkim_key_size is not None and live.dkim_bits != self.dkim_key_size:
            said.append(
                f"Cliq made a key of {live.dkim_bits or 'unreadable'} bits, "
                f"{self.dkim_key_size} were asked for."
            )
        for field, label in (("name", "display name"), ("cname_status", "CNAME status")):
            if field not in self.asked and getattr(self, field) != getattr(live, field):
                said.append(f"Cliq also changed the {label} to {getattr(live, field)!r}.")
        return tuple(said)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One line of a diff. `old` or `new` None reads "not set"; `note` says what to know about it."""

    label: str
    old: str | None
    new: str | None
    note: str = ""


def diff_set(base: MailConfig | None, wanted: Wanted) -> tuple[FieldChange, ...]:
    """What a `set` would change, in the order in which people care. Empty means nothing."""
    changes = []
    if wanted.changes_address(base):
        changes.append(FieldChange("Address", _get(base, "email_id"), wanted.email_id))
    if base is None or not same_name(base.name, wanted.name):
        changes.append(FieldChange("Display name", _get(base, "name"), wanted.name))
    size = wanted.dkim_key_size
    if size is not None and (base is None or base.dkim_bits != size):
        old = _bits(base.dkim_bits) if base else None
        changes.append(FieldChange("DKIM key size", old, _bits(size)))
    old_status = base.cname_status if base else None
    if old_status != wanted.cname_status:
        by_hand = "cname_status" in wanted.asked
        note = "stated" if by_hand and wanted.cname_status == VERIFIED else ""
        note = note or ("" if by_hand else "follows")
        changes.append(FieldChange("CNAME status", old_status, wanted.cname_status, note))
    return tuple(changes)


def diff_reset(base: MailConfig) -> tuple[FieldChange, ...]:
    """What a `reset` would remove."""
    return (
        FieldChange("Address", base.email_id, None),
        FieldChange("Display name", base.name, None),
        FieldChange("DKIM key", key_summary(base), None),
        FieldChange("CNAME status", base.cname_status, None),
    )


def diff_configs(old: MailConfig | None, new: MailConfig | None) -> tuple[FieldChange, ...]:
    """Where two configurations differ, `dkim_status` aside: approved against live."""
    rows = [
        ("Address", _get(old, "email_id"), _get(new, "email_id"), _same_spelling),
        ("Display name", _get(old, "name"), _get(new, "name"), same_name),
        ("DKIM host", _get(old, "dkim_host"), _get(new, "dkim_host"), _same_host),
        ("CNAME status", _get(old, "cname_status"), _get(new, "cname_status"), str.__eq__),
    ]
    changes = [
        FieldChange(label, before, after)
        for label, before, after, same in rows
        if (before is None) != (after is None)
        or (before is not None and after is not None and not same(before, after))
    ]
    if not dkim.same_record(_get(old, "dkim_value") or "", _get(new, "dkim_value") or ""):
        changes.append(FieldChange("DKIM key", key_summary(old), key_summary(new)))
    return tuple(changes)


def drift(approved: MailConfig | None, live: MailConfig | None) -> tuple[FieldChange, ...]:
    """What somebody changed outside approval. A moved status is no drift: it is told by itself."""
    return tuple(c for c in diff_configs(approved, live) if c.label != "CNAME status")


def key_summary(config: MailConfig | None) -> str | None:
    """A key in a few words ("2048 bits, …3eZKBexw"), or None without one."""
    if config is None or not config.dkim_value:
        return None
    mark = dkim.fingerprint(config.dkim_value)
    return f"{_bits(config.dkim_bits)}, …{mark}" if mark else "unreadable"


def _bits(size: int | None) -> str:
    return f"{size} bits" if size else "unreadable"


def _get(config: MailConfig | None, field: str) -> str | None:
    return None if config is None else getattr(config, field)


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
