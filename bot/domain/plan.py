"""What a request would do: one class for each operation, all with the same questions.

A plan carries both sides, base and target, and never changes. It knows its diff, what follows from
it, how many eyes it needs, in which steps it may have to be written, and when it is done; it does
not know people, states or the API's calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bot.domain import mail_config
from bot.domain.mail_config import FIELDS, FieldChange, MailConfig, Patch, Wanted, listed
from bot.domain.preflight import Preflight
from bot.domain.typed import KEY_SIZES
from bot.errors import NoChange


class Operation(StrEnum):
    SET = "set"
    RESET = "reset"
    ACCEPT = "accept"


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


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was approved last: a configuration, or None for Cliq's system sender."""

    config: MailConfig | None


@dataclass(frozen=True, slots=True)
class Undoing:
    """That a plan undoes request `number`, and what an undo leaves to be said.

    `since` are later requests that changed the same fields, each with their API names. `loses_key`
    says that Zoho made another DKIM key since, `drops_cname` that a CNAME status of "verified" is
    not set back.
    """

    number: int
    since: tuple[tuple[int, tuple[str, ...]], ...] = ()
    loses_key: bool = False
    drops_cname: bool = False

    def notes(self) -> tuple[str, ...]:
        """What cannot be undone, and what else is undone along with it."""
        said = [
            f"#{number} changed the {listed(names)} since; this sets back what was there before "
            f"#{self.number}."
            for number, names in self.since
        ]
        if self.loses_key:
            said.append(
                f"The DKIM key from before #{self.number} cannot be brought back, so the record of "
                "the new one must be published anew."
            )
        if self.drops_cname:
            said.append(
                "The CNAME status is not set back to verified: that is somebody's word. Whoever "
                "can give it asks with `/mailcfg set cname=verified`."
            )
        return tuple(said)

    def as_dict(self) -> dict[str, Any]:
        """For the row and the seal, in which fields are spelt by their labels."""
        return {
            "number": self.number,
            "since": [
                [number, [FIELDS[name].label for name in names]] for number, names in self.since
            ],
            "loses_key": self.loses_key,
            "drops_cname": self.drops_cname,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> Undoing | None:
        """The inverse of `as_dict`, for a stored row; None stays None."""
        if values is None:
            return None
        names = {field.label: name for name, field in FIELDS.items()}
        since = tuple((n, tuple(names[label] for label in labels)) for n, labels in values["since"])
        return cls(**{**values, "since": since})


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Write `wanted` over `base`.

    `may_delete` is False for a request of before mailcfg could delete and create anew: its card
    said that nothing is deleted. `preflight` is what was looked up when it was proposed, if it makes
    a new key.
    """

    base: MailConfig | None
    wanted: Wanted
    may_delete: bool = True
    undoes: Undoing | None = None
    preflight: Preflight | None = None

    @property
    def operation(self) -> Operation:
        return Operation.SET

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
        """Whether it is approved to remove `base` first, should Cliq keep the old address."""
        replaces = self.base is not None and self.wanted.changes_address(self.base)
        return self.may_delete and replaces

    def steps(self) -> tuple[Plan, ...]:
        """The writes that it may take, in their order, each with a base and a target of its own.

        The later ones are for a Cliq that accepts another address and keeps the old one.
        """
        if self.base is None or not self.may_delete_first:
            return (self,)
        return (self, ResetPlan(self.base), replace(self, base=None))

    @property
    def writes(self) -> bool:
        return True

    def diff(self) -> tuple[FieldChange, ...]:
        return mail_config.diff_set(self.base, self.wanted)

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
        return (*said, *_notes(self.undoes))

    def _may_shrink_key(self) -> bool:
        """Whether a key that was to stay would be made anew without its size being asked for."""
        keeps_key = not self.wanted.may_change_key(self.base)
        return keeps_key and self.base is not None and self.base.dkim_bits == max(KEY_SIZES)

    def is_reached_by(self, live: MailConfig | None) -> bool:
        """Whether `live` shows what a write of this plan was to bring."""
        return not self.unmet(live)

    def would_change(self, live: MailConfig | None) -> bool:
        """Whether there is anything to write; stricter than `is_reached_by`, since before the
        first write whatever differs from the whole target is somebody else's doing."""
        return bool(mail_config.diff_set(live, self.wanted))

    def unmet(self, live: MailConfig | None) -> tuple[str, ...]:
        return self.wanted.unmet(live, self.base)

    def approved(self, observed: MailConfig | None) -> MailConfig | None:
        """What counts as approved once `observed` was read back: the target, and a DKIM key that
        was not to change as it was. Whatever else differs by then is somebody else's doing.

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

    def warnings(self, live: MailConfig | None) -> tuple[str, ...]:
        return () if live is None else self.wanted.warnings(live)

    def target_json(self) -> Any:
        beside = _undoing_json(self.undoes) | _preflight_json(self.preflight)
        return self.wanted.as_dict() | beside


@dataclass(frozen=True, slots=True)
class ResetPlan:
    """Remove the custom sender `base`."""

    base: MailConfig
    undoes: Undoing | None = None

    @property
    def operation(self) -> Operation:
        return Operation.RESET

    @property
    def title(self) -> str:
        return "remove the custom sender"

    @property
    def sensitive_because(self) -> str | None:
        return "the custom sender is removed"

    @property
    def may_delete_first(self) -> bool:
        return False

    def steps(self) -> tuple[Plan, ...]:
        return (self,)

    @property
    def writes(self) -> bool:
        return True

    def diff(self) -> tuple[FieldChange, ...]:
        return mail_config.diff_reset(self.base)

    def consequences(self) -> tuple[str, ...]:
        return (
            "Notification mail will come from Cliq's system sender.",
            "Its DKIM key is lost: setting the sender again makes a new key and a new record.",
            *_notes(self.undoes),
        )

    def is_reached_by(self, live: MailConfig | None) -> bool:
        return live is None

    def would_change(self, live: MailConfig | None) -> bool:
        return live is not None

    def unmet(self, live: MailConfig | None) -> tuple[str, ...]:
        return () if live is None else ("email_id",)

    def approved(self, observed: MailConfig | None) -> MailConfig | None:
        return observed

    def warnings(self, live: MailConfig | None) -> tuple[str, ...]:
        return ()

    def target_json(self) -> Any:
        return _undoing_json(self.undoes) or None


@dataclass(frozen=True, slots=True)
class AcceptPlan:
    """Take `live` as approved. `base` is what was approved before; nothing is written to Cliq."""

    base: MailConfig | None
    live: MailConfig | None

    @property
    def undoes(self) -> Undoing | None:
        return None

    @property
    def operation(self) -> Operation:
        return Operation.ACCEPT

    @property
    def title(self) -> str:
        return "accept the live configuration"

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

    @property
    def may_delete_first(self) -> bool:
        return False

    def steps(self) -> tuple[Plan, ...]:
        return (self,)

    @property
    def writes(self) -> bool:
        return False

    def diff(self) -> tuple[FieldChange, ...]:
        return mail_config.differences(self.base, self.live)

    def consequences(self) -> tuple[str, ...]:
        return ("Nothing is written to Cliq: what is live counts as approved from then on.",)

    def is_reached_by(self, live: MailConfig | None) -> bool:
        return mail_config.is_in_place(self.live, live)

    def would_change(self, live: MailConfig | None) -> bool:
        return not self.is_reached_by(live)

    def unmet(self, live: MailConfig | None) -> tuple[str, ...]:
        return () if self.is_reached_by(live) else ("email_id",)

    def approved(self, observed: MailConfig | None) -> MailConfig | None:
        return observed

    def warnings(self, live: MailConfig | None) -> tuple[str, ...]:
        return ()

    def target_json(self) -> Any:
        return self.live and self.live.as_dict()


Plan = SetPlan | ResetPlan | AcceptPlan


def _notes(undoes: Undoing | None) -> tuple[str, ...]:
    return () if undoes is None else undoes.notes()


def _undoing_json(undoes: Undoing | None) -> dict[str, Any]:
    """Part of the target, so that it is sealed with it."""
    return {} if undoes is None else {"undoes": undoes.as_dict()}


def _preflight_json(preflight: Preflight | None) -> dict[str, Any]:
    """Part of the target, so that it is sealed with it; nothing where there is none."""
    return {} if preflight is None else {"preflight": preflight.as_dict()}


def wish_json(plan: Plan) -> Any:
    """The target as it was wished: without what DNS said meanwhile."""
    return (replace(plan, preflight=None) if isinstance(plan, SetPlan) else plan).target_json()


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


def restore(
    operation: str, base: dict[str, Any] | None, target: Any, *, may_delete: bool = True
) -> Plan:
    """A plan from its stored form: the inverse of `operation`, `base` and `target_json()`."""
    before = MailConfig.from_dict(base)
    match Operation(operation):
        case Operation.SET:
            return _restored_set(before, dict(target), may_delete)
        case Operation.RESET:
            assert before is not None
            return ResetPlan(before, Undoing.from_dict((target or {}).get("undoes")))
        case Operation.ACCEPT:
            return AcceptPlan(before, MailConfig.from_dict(target))


def _restored_set(before: MailConfig | None, target: dict[str, Any], may_delete: bool) -> SetPlan:
    undoes = Undoing.from_dict(target.pop("undoes", None))
    seen = target.pop("preflight", None)
    preflight = None if seen is None else Preflight.from_dict(seen)
    return SetPlan(before, Wanted.from_dict(target), may_delete, undoes, preflight)
