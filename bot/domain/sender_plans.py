"""What can be asked for of the sender: to set it, to remove it, to accept what is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bot.domain import mail_config
from bot.domain.dkim import Record
from bot.domain.dns_answers import Answers
from bot.domain.mail_config import (
    FIELDS,
    SENDER_FIELDS,
    FieldChange,
    MailConfig,
    Patch,
    Wanted,
    listed,
)
from bot.domain.plan import Baseline, Operation, Operations, Plan
from bot.domain.preflight import Preflight
from bot.domain.stored import Stored
from bot.domain.typed import KEY_SIZES, VERIFIED
from bot.domain.undo import Undoing, already, drops_cname, going_back, since
from bot.errors import NoChange, Refusal

SENDER = "sender"
"""The subject of these plans."""
IF_KEPT = (
    "If Cliq keeps the old address, the configuration is deleted and created again; DKIM records "
    "change."
)
IF_SMALLER = (
    "The key that is then made has the size that Zoho chooses, usually 1024 bits; `dkim=2048` asks "
    "for more."
)
IF_KEPT_STOP = (
    "If Cliq keeps the old address, nothing is deleted on its own: mailcfg stops and says so."
)
LOOKALIKE = "The domain has letters beyond a to z: compare it character by character."
UNTIL_PUBLISHED = "Until the new DKIM record is published"


class SenderWrites(Protocol):
    """How a step of a plan for the sender is sent, once; every call may raise FarEndError."""

    async def write(self, wanted: Wanted, *, send_by: float) -> None:
        """One PUT, never repeated. Returns once accepted, which is no proof: read afterwards.

        Nothing is sent once `Clock.elapsed()` has passed `send_by`: by then somebody else may have
        taken the request over. That is an error of no effect.
        """

    async def remove(self, *, send_by: float) -> None:
        """One DELETE, never repeated; the same promises as `write`."""


@dataclass(frozen=True, slots=True)
class _SenderPlan(Plan):
    """What the plans for the sender have in common."""

    base: MailConfig | None
    subject = SENDER
    nothing = "no custom sender is set"

    @property
    def may_delete_first(self) -> bool:
        """Whether it is approved to remove `base` first, should Cliq keep the old address."""
        return False

    def sealed(self) -> Stored:
        return {"may_delete_first": self.may_delete_first}

    def moved(self, observed: MailConfig | None) -> Sequence[FieldChange]:
        return mail_config.differences(self.base, observed, with_damage=True)

    def old_values(self) -> Mapping[str, str]:
        rows = (*SENDER_FIELDS, "cname_status", "dkim_host") if self.base else ()
        return {FIELDS[name].label: value for name in rows if (value := getattr(self.base, name))}

    def old_record(self) -> tuple[str, Record] | None:
        if self.base is None:
            return None
        is_verified = self.base.dkim_status == VERIFIED
        return "verified by Zoho" if is_verified else "not verified by Zoho", _record(self.base)

    def followed(self, observed: MailConfig | None) -> Record | None:
        return None if observed is None else _record(observed)

    def base_is_in_place(self, live: MailConfig | None) -> bool:
        return mail_config.is_in_place(self.base, live)


@dataclass(frozen=True, slots=True)
class SetPlan(_SenderPlan):
    """Write `wanted` over `base`.

    `may_delete` is False for a request of before mailcfg could delete and create anew: its card
    said that nothing is deleted. `preflight` is what was looked up when it was proposed, if it makes
    a new key.
    """

    wanted: Wanted
    may_delete: bool = True
    undoes: Undoing | None = None
    preflight: Preflight | None = None
    operation = "set"
    method = "PUT"

    @property
    def undone(self) -> int | None:
        return None if self.undoes is None else self.undoes.number

    @property
    def title(self) -> str:
        if self.base is None:
            return "set a custom sender"
        if self.wanted.changes_address(self.base):
            return "change sender address"
        changed = [change.field for change in self.diff()]
        return f"change {listed(changed)}" if len(changed) == 1 else "change sender"

    @property
    def sensitive_because(self) -> str | None:
        return "the address changes" if self.wanted.changes_address(self.base) else None

    @property
    def issues_new_key(self) -> bool:
        return self.wanted.issues_new_key(self.base)

    @property
    def domain(self) -> str:
        """The From domain that is asked for."""
        return mail_config.domain_of(self.wanted.email_id)

    @property
    def may_delete_first(self) -> bool:
        replaces = self.base is not None and self.wanted.changes_address(self.base)
        return self.may_delete and replaces

    def steps(self) -> Sequence[Plan]:
        """The later ones are for a Cliq that accepts another address and keeps the old one."""
        if self.base is None or not self.may_delete_first:
            return (self,)
        return (self, ResetPlan(self.base), replace(self, base=None))

    async def send(self, far_end: SenderWrites, *, send_by: float) -> None:
        await far_end.write(self.wanted, send_by=send_by)

    def diff(self) -> Sequence[FieldChange]:
        return mail_config.diff_set(self.base, self.wanted)

    def unchanged(self) -> Sequence[str]:
        touched = {change.field for change in self.diff()}
        decided = (field for field in FIELDS.values() if field.is_decided and self.base is not None)
        return [field.in_a_sentence for field in decided if field.name not in touched]

    def consequences(self) -> tuple[str, ...]:
        said = []
        if self.base is not None and self.wanted.changes_address(self.base):
            said.append(IF_KEPT if self.may_delete_first else IF_KEPT_STOP)
        if self.may_delete_first and self._may_shrink_key():
            said.append(IF_SMALLER)
        if self.issues_new_key and self.preflight is None:
            said.append(
                f"Zoho makes a new DKIM key: mail from {self.domain} is not DKIM-verified until "
                "the new TXT record is published."
            )
        if self.issues_new_key and self.wanted.dkim_key_size is None:
            said.append(
                "Zoho chooses the key's size, usually 1024 bits; `dkim=2048` asks for more."
            )
        is_foreign = "xn--" in self.wanted.email_id
        return (*said, *_notes(self.undoes), *([LOOKALIKE] if is_foreign else []))

    def _may_shrink_key(self) -> bool:
        """Whether a key that was to stay would be made anew without its size being asked for."""
        keeps_key = not self.wanted.may_change_key(self.base)
        return keeps_key and self.base is not None and self.base.dkim_bits == max(KEY_SIZES)

    def confirm_words(self, most: int) -> str:
        """The address is never shortened: of at most 254 characters it fits, the name gives way."""
        address, name = f"Send as {self.wanted.email_id}", self.wanted.name
        left = max(most - len(address) - len(" ()"), 1)
        return f"{address} ({name if len(name) <= left else name[: left - 1] + '…'})"

    def to_publish(self, observed: MailConfig | None) -> tuple[str, Record] | None:
        if observed is None:
            return None
        record, before = _record(observed), None if self.base is None else _record(self.base)
        return None if record == before else (observed.domain, record)

    def survey(self) -> str | None:
        return self.domain if self.issues_new_key else None

    def foreseeing(self, seen: Answers) -> SetPlan:
        return replace(self, preflight=Preflight.of(self.domain, seen))

    def foreseen(self) -> tuple[str, str] | None:
        seen = self.preflight
        return None if seen is None else (UNTIL_PUBLISHED, seen.said())

    def would_change(self, live: MailConfig | None) -> bool:
        """A key that was not to change counts, too."""
        is_other = bool(mail_config.diff_set(live, self.wanted))
        return is_other or bool(mail_config.drift(self.approved(live), live))

    def unmet(self, live: MailConfig | None) -> Sequence[str]:
        return self.wanted.unmet(live, self.base)

    def approved(self, observed: MailConfig | None) -> MailConfig | None:
        """The target, and a DKIM key that was not to change as it was. Whatever else differs by then
        is somebody else's doing.

        The address in Cliq's spelling: one that it keeps in lower case is the one that was asked for.
        """
        if observed is None:
            return None
        wanted, base = self.wanted, self.base
        named = replace(observed, name=wanted.name)
        if wanted.changes_address(observed):
            named = replace(named, email_id=wanted.email_id)
        if base is None or wanted.may_change_key(base):
            return named
        return replace(named, dkim_host=base.dkim_host, dkim_value=base.dkim_value)

    def warnings(self, live: MailConfig | None) -> Sequence[str]:
        return () if live is None else self.wanted.warnings(live)

    def target_json(self) -> Any:
        seen = {} if self.preflight is None else {"preflight": self.preflight.as_dict()}
        return self.wanted.as_dict() | _undoing_json(self.undoes) | seen

    def wish_json(self) -> Any:
        return replace(self, preflight=None).target_json()

    def over(self, live: MailConfig | None, approved: Baseline | None) -> SetPlan:
        asked = {field: getattr(self.wanted, field) for field in self.wanted.asked}
        return plan_set(Patch(**asked), live)

    def undo(self, number: int, later: Sequence[tuple[int, Plan]], live: MailConfig | None) -> Plan:
        if self.base is None:
            return _remove(number, later, live)
        if live is None:
            raise Refusal(
                f"No custom sender is set any more, so what #{number} changed cannot be set back. "
                "Set one with `/mailcfg set`."
            )
        changed = tuple(change.field for change in self.diff())
        return _set_back(number, later, live, self.base, changed)


@dataclass(frozen=True, slots=True)
class ResetPlan(_SenderPlan):
    """Remove the custom sender `base`."""

    base: MailConfig
    undoes: Undoing | None = None
    operation = "reset"
    method = "DELETE"
    title = "remove the custom sender"
    sensitive_because = "the custom sender is removed"

    @property
    def undone(self) -> int | None:
        return None if self.undoes is None else self.undoes.number

    async def send(self, far_end: SenderWrites, *, send_by: float) -> None:
        await far_end.remove(send_by=send_by)

    def diff(self) -> Sequence[FieldChange]:
        return mail_config.diff_reset(self.base)

    def consequences(self) -> tuple[str, ...]:
        return (
            "Notification mail will come from Cliq's system sender.",
            "Its DKIM key is lost: setting the sender again makes a new key and a new record.",
            *_notes(self.undoes),
        )

    def confirm_words(self, most: int) -> str:
        return f"Remove {self.base.email_id}? Its DKIM key is lost."

    def unmet(self, live: MailConfig | None) -> Sequence[str]:
        return () if live is None else ("email_id",)

    def target_json(self) -> Any:
        return _undoing_json(self.undoes) or None

    def over(self, live: MailConfig | None, approved: Baseline | None) -> ResetPlan:
        return plan_reset(live)

    def undo(self, number: int, later: Sequence[tuple[int, Plan]], live: MailConfig | None) -> Plan:
        return _set_back(number, later, live, self.base, SENDER_FIELDS)


@dataclass(frozen=True, slots=True)
class AcceptPlan(_SenderPlan):
    """Take `live` as approved. `base` is what was approved before; nothing is written to Cliq."""

    live: MailConfig | None
    operation = "accept"
    needs_approved = True
    title = "accept the live configuration"

    @property
    def sensitive_because(self) -> str | None:
        if self.base is None and self.live is None:
            return None
        if self.base is None:
            return "no sender was approved before"
        if self.live is None:
            return "the accepted sender is another one"
        moved = not mail_config.same_address(self.base.email_id, self.live.email_id)
        return "the accepted sender is another one" if moved else None

    def diff(self) -> Sequence[FieldChange]:
        return mail_config.differences(self.base, self.live)

    def moved(self, observed: MailConfig | None) -> Sequence[FieldChange]:
        return mail_config.differences(self.live, observed, with_damage=True)

    def consequences(self) -> tuple[str, ...]:
        return ("Nothing is written to Cliq: what is live counts as approved from then on.",)

    def confirm_words(self, most: int) -> str:
        live = self.live.email_id if self.live else "Cliq's system sender"
        return f"Accept {live} as approved; nothing is written."

    def unmet(self, live: MailConfig | None) -> Sequence[str]:
        return () if mail_config.is_in_place(self.live, live) else ("email_id",)

    def approved(self, observed: MailConfig | None) -> MailConfig | None:
        return mail_config.undamaged(observed, self.base)

    def target_json(self) -> Any:
        return self.live and self.live.as_dict()

    def over(self, live: MailConfig | None, approved: Baseline | None) -> AcceptPlan:
        return plan_accept(live, approved)

    def undo(self, number: int, later: Sequence[tuple[int, Plan]], live: MailConfig | None) -> Plan:
        raise Refusal(
            f"#{number} wrote nothing: it accepted what was live. To have another sender, ask with "
            "`/mailcfg set`, and its approval takes the place of this one."
        )


def _record(config: MailConfig) -> Record:
    return Record(config.dkim_host, config.dkim_value)


def _notes(undoes: Undoing | None) -> tuple[str, ...]:
    return () if undoes is None else undoes.notes()


def _undoing_json(undoes: Undoing | None) -> Stored:
    """Part of the target, so that it is sealed with it."""
    return {} if undoes is None else {"undoes": undoes.as_dict()}


def _remove(number: int, later: Sequence[tuple[int, Plan]], live: MailConfig | None) -> ResetPlan:
    """Before request `number` no custom sender was set."""
    if live is None:
        raise NoChange(already(number))
    return ResetPlan(live, Undoing(number, since(later, SENDER_FIELDS)))


def _set_back(
    number: int,
    later: Sequence[tuple[int, Plan]],
    live: MailConfig | None,
    base: MailConfig,
    changed: Sequence[str],
) -> SetPlan:
    loses_word = drops_cname(base, live, changed)
    wanted = going_back(base, live, changed).over(live)
    if not mail_config.diff_set(live, wanted):
        raise NoChange(already(number, but_the_cname=loses_word))
    loses_key = wanted.issues_new_key(live)
    undoing = Undoing(number, since(later, changed), loses_key, loses_word)
    return SetPlan(live, wanted, undoes=undoing)


def plan_set(patch: Patch, live: MailConfig | None) -> SetPlan:
    """Raises NoChange, or InputError if something needed is missing."""
    plan = SetPlan(live, patch.over(live))
    if not plan.diff():
        raise NoChange("Nothing would change: the live configuration already has these values.")
    return plan


def plan_reset(live: MailConfig | None) -> ResetPlan:
    """Raises NoChange."""
    if live is None:
        raise NoChange("Nothing would change: Cliq's system sender is already in use.")
    return ResetPlan(live)


def plan_accept(live: MailConfig | None, approved: Baseline | None) -> AcceptPlan:
    """Raises NoChange."""
    if approved is not None and not mail_config.differences(approved.config, live):
        raise NoChange("Nothing to accept: what is live is what was approved.")
    return AcceptPlan(None if approved is None else approved.config, live)


def _stored_set(base: MailConfig | None, target: Stored, version: int) -> SetPlan:
    """In version 1 of the digest a plan never deletes."""
    rest = dict(target)
    undoes = Undoing.from_dict(rest.pop("undoes", None))
    seen = rest.pop("preflight", None)
    preflight = None if seen is None else Preflight.from_dict(seen)
    return SetPlan(base, Wanted.from_dict(rest), version >= 2, undoes, preflight)


def _stored_reset(base: MailConfig | None, target: Stored | None, _: int) -> ResetPlan:
    assert base is not None
    return ResetPlan(base, Undoing.from_dict((target or {}).get("undoes")))


def _stored_accept(base: MailConfig | None, target: Stored | None, _: int) -> AcceptPlan:
    return AcceptPlan(base, MailConfig.from_dict(target))


OPERATIONS: Operations = {
    "set": Operation(SENDER, _stored_set, MailConfig.from_dict),
    "reset": Operation(SENDER, _stored_reset, MailConfig.from_dict),
    "accept": Operation(SENDER, _stored_accept, MailConfig.from_dict),
}
