"""The organisation's mail configuration: the table of its fields, and the one comparison of two.

`FIELDS` is what the diff, drift, the form, commands, undo and cards run over. What people type is
cleaned in `typed`, the API's spelling is `adapters/cliq`'s business, DKIM keys are `dkim`'s.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from bot.domain import dkim
from bot.domain.key_host import KeyHost, a_labels
from bot.domain.stored import Stored
from bot.domain.typed import (
    ADDRESS_MAX,
    CNAME_STATUSES,
    KEY_SIZES,
    NAME_MAX,
    NOT_VERIFIED,
    VERIFIED,
    clean_address,
    clean_cname_status,
    clean_key_size,
    clean_name,
)
from bot.errors import InputError


@dataclass(frozen=True, slots=True)
class MailConfig:
    """A configured custom sender, as the API answers it. No custom sender is `None`, everywhere.

    The order is that in which people are shown it. What has no default, a sender cannot be without.
    `cname_status` and `dkim_status` are open: an unknown word is kept and never counts as verified.
    The key's size is not in the answer; it is read from `dkim_value`.
    """

    name: str
    email_id: str
    dkim_status: str = ""
    cname_status: str = ""
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
    def from_dict(cls, values: Stored | None) -> MailConfig | None:
        """The inverse of `as_dict`, for a stored row; None stays None."""
        return None if values is None else cls(**values)


def domain_of(email_id: str) -> str:
    """The domain of an address, without its spelling."""
    return a_labels(email_id.rpartition("@")[2])


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are one sender: Cliq may answer in another case than it was asked."""
    return _address(one.casefold()) == _address(other.casefold())


def _address(text: str) -> str:
    """The case before the @ stays: whoever retypes it has changed the sender."""
    return f"{text.strip().rpartition('@')[0]}@{domain_of(text)}"


def _name(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _key(record: str) -> str:
    """Its `p=`, however the record is written; without one the text itself."""
    return dkim.public_key(record) or f"no key: {record.strip()}"


@dataclass(frozen=True, slots=True)
class Ask:
    """How people ask for a field: the words for it, how a value is cleaned, and how the form shows it.

    `clean` raises BadValue. Without `choices` a form takes text of at most `most` characters.
    """

    words: tuple[str, ...]
    clean: Callable[[Any], str | int]
    choices: tuple[tuple[str, str], ...] = ()
    most: int = 0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the configuration, and everything that is to be known about it.

    `canonical` is a value without its spelling, which is no change; without it a field is compared
    with nothing. A value of Zoho's that `is_damaged` has a finding of its own, and is no change
    either. What `drifts` was approved, so that another value of it is a change outside approval; a
    status is told by itself. `is_decided`: it is a person's choice, not what Zoho makes of it.
    `is_echoed`: each PUT carries it, asked for or not. `not_undone` says what of it an undo of request
    `{number}` cannot bring back.
    """

    name: str
    label: str
    canonical: Callable[[str], str] | None = None
    is_damaged: Callable[[str], bool] = lambda _: False
    drifts: bool = False
    is_decided: bool = False
    is_echoed: bool = False
    ask: Ask | None = None
    not_undone: str = ""

    @property
    def in_a_sentence(self) -> str:
        """`Display name` becomes `display name`; `DKIM key size` stays."""
        return self.label if self.label[:2].isupper() else self.label[0].lower() + self.label[1:]

    def is_same(self, old: str, new: str) -> bool:
        """Whether nobody has changed it between two readings."""
        return self.is_spelt_alike(old, new) or self.is_damaged(new)

    def is_spelt_alike(self, old: str, new: str) -> bool:
        return self.canonical is None or self.canonical(old) == self.canonical(new)

    def shown(self, config: MailConfig | None) -> str | None:
        """Its value as a diff shows it; None is "not set"."""
        if config is None or self.name == "dkim_value":
            return key_summary(config)
        return getattr(config, self.name) or None


FIELDS = {
    field.name: field
    for field in (
        Field(
            "email_id",
            "Address",
            _address,
            drifts=True,
            is_decided=True,
            is_echoed=True,
            ask=Ask(("email", "email_id"), clean_address, most=ADDRESS_MAX),
        ),
        Field(
            "name",
            "Display name",
            _name,
            drifts=True,
            is_decided=True,
            is_echoed=True,
            ask=Ask(("name",), clean_name, most=NAME_MAX),
        ),
        Field(
            "dkim_host", "DKIM host", a_labels, lambda host: KeyHost.of(host) is None, drifts=True
        ),
        Field(
            "dkim_key_size",
            "DKIM key size",
            ask=Ask(
                ("dkim", "dkim_key_size", "bits"),
                clean_key_size,
                tuple((str(size), f"{size} bits") for size in KEY_SIZES),
                hint="Another size or domain makes a new key and a new record. For another domain "
                "choose 2048: left as it is, Zoho takes 1024 bits.",
            ),
        ),
        Field(
            "cname_status",
            "CNAME status",
            str,
            is_decided=True,
            is_echoed=True,
            ask=Ask(
                ("cname", "cname_status"),
                clean_cname_status,
                tuple((status, status.replace("_", " ")) for status in CNAME_STATUSES),
                hint="“verified” is your word that the CNAME is in place; mailcfg cannot check it.",
            ),
            not_undone="The CNAME status is not set back to verified: that is somebody's word. Whoever "
            "can give it asks with `/mailcfg set cname=verified`.",
        ),
        Field(
            "dkim_value",
            "DKIM key",
            _key,
            lambda value: dkim.key_of(value) is None,
            drifts=True,
            not_undone="The DKIM key from before #{number} cannot be brought back, so the record of "
            "the new one must be published anew.",
        ),
        Field("dkim_status", "DKIM status"),
    )
}
"""The fields by the API's names, in the order in which people care. Zoho moves `dkim_status` by
itself, so it is compared with nothing that was approved."""

NEEDED = tuple(f.name for f in fields(MailConfig) if FIELDS[f.name] and f.default is MISSING)
"""Looked up in the table, so that an attribute without a row is noticed at import."""
SENDER_FIELDS = tuple(name for name, field in FIELDS.items() if field.drifts and field.is_decided)
"""What people alone decide: a form sends it back as it was, and an undo sets it back."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One line of a diff: the API's name of the field, and both values as they are shown.

    None reads "not set"; `note` says what to know about it.
    """

    field: str
    old: str | None
    new: str | None
    note: str = ""

    @property
    def label(self) -> str:
        return FIELDS[self.field].label


def differences(
    old: MailConfig | None, new: MailConfig | None, *, with_damage: bool = False
) -> tuple[FieldChange, ...]:
    """Where two configurations differ: the one comparison, whoever asks and whatever for.

    `with_damage` counts what Zoho shows damaged or not at all as a difference, too.
    """
    return tuple(
        FieldChange(field.name, field.shown(old), field.shown(new))
        for field in FIELDS.values()
        if field.canonical and not _is_same(field, old, new, with_damage)
    )


def _is_same(
    field: Field, old: MailConfig | None, new: MailConfig | None, with_damage: bool
) -> bool:
    if old is None or new is None:
        return field.shown(old) is None and field.shown(new) is None
    before, after = getattr(old, field.name), getattr(new, field.name)
    return (field.is_spelt_alike if with_damage else field.is_same)(before, after)


def drift(approved: MailConfig | None, live: MailConfig | None) -> tuple[FieldChange, ...]:
    """What somebody changed outside approval. A moved status is no drift: it is told by itself."""
    return tuple(c for c in differences(approved, live) if FIELDS[c.field].drifts)


def is_in_place(base: MailConfig | None, live: MailConfig | None) -> bool:
    """Whether nothing has moved between `base` and `live`; `dkim_status` is Zoho's own doing.

    Damage counts: nothing is written over what is not what its approvers saw.
    """
    is_there = (base is None) == (live is None)
    return is_there and not differences(base, live, with_damage=True)


def undamaged(live: MailConfig | None, approved: MailConfig | None) -> MailConfig | None:
    """`live`, with what was approved in the place of what Zoho shows damaged: that is no change."""
    if live is None or approved is None:
        return live
    damaged = [
        f.name for f in FIELDS.values() if f.canonical and f.is_damaged(getattr(live, f.name))
    ]
    return replace(live, **{name: getattr(approved, name) for name in damaged})


def signs_with(live: MailConfig, host: str, value: str) -> bool:
    """Whether it is this key that Zoho signs with."""
    before = {"dkim_host": host, "dkim_value": value}
    return all(FIELDS[name].is_same(old, getattr(live, name)) for name, old in before.items())


def fingerprint(live: MailConfig | None) -> str:
    """The same for configurations in which nothing that is approved differs."""
    if live is None:
        return "none"
    drifting = (field for field in FIELDS.values() if field.drifts and field.canonical)
    shown = "\n".join(
        field.canonical(getattr(live, field.name)) for field in drifting if field.canonical
    )
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Patch:
    """What a person asked for: any subset of the API's four arguments; None is "not asked".

    Made by `of`, so that a Patch is always fit to be sent. The order is the form's.
    """

    name: str | None = None
    email_id: str | None = None
    dkim_key_size: int | None = None
    cname_status: str | None = None

    @classmethod
    def of(cls, **typed: Any) -> Patch:
        """A patch of checked, normalised values by the API's names. Raises BadValue."""
        asks = {name: field.ask for name, field in FIELDS.items() if typed.get(name) is not None}
        values: dict[str, Any] = {n: ask.clean(typed[n]) for n, ask in asks.items() if ask}
        return cls(**values)

    @property
    def asked(self) -> tuple[str, ...]:
        """The API names of what was asked, in the order of the form."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def beyond(self, base: MailConfig | None) -> Patch:
        """Without a name and an address that are `base`'s: a form sends both back, asked or not.

        Key size and CNAME status stay: a form sends them only when somebody chose them.
        """
        if base is None:
            return self
        sent = {name: getattr(self, name) for name in SENDER_FIELDS}
        kept = [n for n, value in sent.items() if value and _shows(base, FIELDS[n], value)]
        return replace(self, **dict.fromkeys(kept))

    def over(self, base: MailConfig | None) -> Wanted:
        """The full record to be sent, on top of `base`.

        Every PUT carries name, address and CNAME status, since whether the API merges is not
        documented. The CNAME status is an administrator's word; it falls back to not_verified when
        the domain changes. Raises InputError if something needed is neither asked nor there.
        """
        missing = [f for f in FIELDS if f in NEEDED and f not in self.asked]
        if missing and base is None:
            needed = " and ".join(f"`{_typed(name)}=…`" for name in missing)
            verb = "is" if len(missing) == 1 else "are"
            raise InputError(f"No custom sender is set yet, so {needed} {verb} needed as well.")
        known = base or MailConfig("", "")
        values: dict[str, Any] = {f.name: getattr(known, f.name, None) for f in fields(Wanted)}
        values |= {name: getattr(self, name) for name in self.asked}
        keeps_domain = base is not None and domain_of(values["email_id"]) == base.domain
        is_word = keeps_domain and values["cname_status"] in CNAME_STATUSES
        if not self.cname_status and not is_word:
            values["cname_status"] = NOT_VERIFIED
        return Wanted(**values | {"asked": self.asked})


ASKABLE = tuple(
    (f.name, FIELDS[f.name].label, ask) for f in fields(Patch) if (ask := FIELDS[f.name].ask)
)
"""What people may ask for, in the order of the form: the API's name, the label, and how."""


def _typed(name: str) -> str:
    """What people call a field, the first of its words."""
    ask = FIELDS[name].ask
    return ask.words[0] if ask else name


def _shows(live: MailConfig, field: Field, value: str) -> bool:
    return field.is_same(getattr(live, field.name), value)


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

    def as_dict(self) -> Stored:
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"asked": list(self.asked)}

    @classmethod
    def from_dict(cls, values: Stored) -> Wanted:
        return cls(**{**values, "asked": tuple(values["asked"])})

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
        if field != "dkim_key_size":
            return _shows(live, FIELDS[field], getattr(self, field))
        if base is None:
            return bool(live.dkim_value)
        is_key_kept = FIELDS["dkim_value"].is_spelt_alike(base.dkim_value, live.dkim_value)
        return live.dkim_bits == self.dkim_key_size or not is_key_kept

    def warnings(self, live: MailConfig) -> tuple[str, ...]:
        """What is worth saying about a target that was reached: echoed fields and key size."""
        said = []
        if self.dkim_key_size is not None and live.dkim_bits != self.dkim_key_size:
            said.append(
                f"Cliq made a key of {live.dkim_bits or 'unreadable'} bits, "
                f"{self.dkim_key_size} were asked for."
            )
        for field in FIELDS.values():
            is_other = field.is_echoed and getattr(self, field.name) != getattr(live, field.name)
            if is_other and field.name not in (*self.asked, "email_id"):
                now = getattr(live, field.name)
                said.append(f"Cliq also changed the {field.in_a_sentence} to {now!r}.")
        return tuple(said)


def diff_set(base: MailConfig | None, wanted: Wanted) -> tuple[FieldChange, ...]:
    """What a `set` would change, in the order in which people care. Empty means nothing."""
    changes = []
    for field in FIELDS.values():
        if field.name == "dkim_key_size":
            size = wanted.dkim_key_size
            if size is not None and (base is None or base.dkim_bits != size):
                old = None if base is None else _bits(base.dkim_bits)
                changes.append(FieldChange(field.name, old, _bits(size)))
        elif field.is_echoed:
            new: str = getattr(wanted, field.name)
            note = _note(wanted) if field.name == "cname_status" else ""
            if not _shows(base, field, new) if base else new:
                changes.append(FieldChange(field.name, field.shown(base), new or None, note))
    return tuple(changes)


def _note(wanted: Wanted) -> str:
    """A CNAME status is somebody's word, or follows from what else is asked for."""
    if "cname_status" not in wanted.asked:
        return "follows"
    return "stated" if wanted.cname_status == VERIFIED else ""


def diff_reset(base: MailConfig) -> tuple[FieldChange, ...]:
    """What a `reset` would remove."""
    lost = (*SENDER_FIELDS, "dkim_value", "cname_status")
    shown = ((name, FIELDS[name].shown(base)) for name in lost)
    return tuple(FieldChange(name, old, None) for name, old in shown if old)


def listed(names: Iterable[str]) -> str:
    """Fields by their API names: "address and display name"."""
    words = [FIELDS[name].in_a_sentence for name in names]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def key_summary(config: MailConfig | None) -> str | None:
    """A key in a few words ("2048 bits, …3eZKBexw"), or None without one."""
    if config is None or not config.dkim_value:
        return None
    mark = dkim.fingerprint(config.dkim_value)
    return f"{_bits(config.dkim_bits)}, …{mark}" if mark else "unreadable"


def _bits(size: int | None) -> str:
    return f"{size} bits" if size else "unreadable"
