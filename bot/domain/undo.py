"""What goes back when a change of the sender is undone, over what is live now, and what cannot.

Only the fields which that request changed are touched, and they go back to what was there before
it. The result is a plan like any other and needs approval like any other. Nothing here can bring
back a DKIM key, which is Zoho's to make, or somebody's word about a CNAME; the plan says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.mail_config import FIELDS, SENDER_FIELDS, MailConfig, Patch, listed
from bot.domain.plan import Plan
from bot.domain.stored import Stored
from bot.domain.typed import KEY_SIZES, NOT_VERIFIED, VERIFIED


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
        lost = {"dkim_value": self.loses_key, "cname_status": self.drops_cname}
        names = [name for name, is_lost in lost.items() if is_lost]
        return (*said, *(FIELDS[name].not_undone.format(number=self.number) for name in names))

    def as_dict(self) -> Stored:
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
    def from_dict(cls, values: Stored | None) -> Undoing | None:
        """The inverse of `as_dict`, for a stored row; None stays None."""
        if values is None:
            return None
        names = {field.label: name for name, field in FIELDS.items()}
        since = tuple((n, tuple(names[label] for label in labels)) for n, labels in values["since"])
        return cls(**{**values, "since": since})


def going_back(base: MailConfig, live: MailConfig | None, changed: Sequence[str]) -> Patch:
    """What goes back to `base`; without what is so already, and without anybody's word.

    A new key is asked for in the old one's size, since Zoho by itself would choose a weak one.
    """
    decided = (field for field in SENDER_FIELDS if field in changed)
    values: dict[str, Any] = {field: getattr(base, field) for field in decided}
    if "cname_status" in changed and base.cname_status != VERIFIED and _is_at(base, live):
        values["cname_status"] = NOT_VERIFIED
    if base.dkim_bits in KEY_SIZES and _makes_key(base, live, changed):
        values["dkim_key_size"] = base.dkim_bits
    return Patch.of(**values).beyond(live)


def _is_at(base: MailConfig, live: MailConfig | None) -> bool:
    """Whether `live` is at the domain that `base` was at."""
    return live is not None and live.domain == base.domain


def _moves_back(base: MailConfig, live: MailConfig | None, changed: Sequence[str]) -> bool:
    return "email_id" in changed and not _is_at(base, live)


def _makes_key(base: MailConfig, live: MailConfig | None, changed: Sequence[str]) -> bool:
    is_other_size = live is None or live.dkim_bits != base.dkim_bits
    return _moves_back(base, live, changed) or ("dkim_key_size" in changed and is_other_size)


def drops_cname(base: MailConfig, live: MailConfig | None, changed: Sequence[str]) -> bool:
    """Whether "verified" was said of the CNAME before, and is not said of it any more."""
    touched = "cname_status" in changed or _moves_back(base, live, changed)
    is_said = live is not None and _is_at(base, live) and live.cname_status == VERIFIED
    return touched and base.cname_status == VERIFIED and not is_said


def since(
    later: Sequence[tuple[int, Plan]], changed: Sequence[str]
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The newest later request that changed each field, oldest first, with these fields.

    Of what people can ask for, and so ask to set back.
    """
    found: dict[int, list[str]] = {}
    seen: set[str] = set()
    for number, plan in later:
        for field in (change.field for change in plan.diff() if FIELDS[change.field].ask):
            if field in changed and field not in seen:
                seen.add(field)
                found.setdefault(number, []).append(field)
    return tuple((number, tuple(fields)) for number, fields in sorted(found.items()))


_ONLY_A_WORD = (
    " What is left is the CNAME status, and that is somebody's word: whoever can give it asks with "
    "`/mailcfg set cname=verified`."
)


def already(number: int, *, but_the_cname: bool = False) -> str:
    """Why there is nothing to undo."""
    said = f"Nothing to undo: what #{number} changed is already as it was before."
    return said + (_ONLY_A_WORD if but_the_cname else "")
