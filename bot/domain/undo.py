"""Undo: the plan that sets back what one applied request had changed, over what is live now.

Only the fields which that request changed are touched, and they go back to what was there before
it. The result is a plan like any other and needs approval like any other. Nothing here can bring
back a DKIM key, which is Zoho's to make, or somebody's word about a CNAME; the plan says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.domain.change import ChangeRequest, State
from bot.domain.mail_config import FIELDS, MailConfig, Patch, diff_set
from bot.domain.plan import AcceptPlan, Plan, ResetPlan, SetPlan, Undoing
from bot.domain.typed import KEY_SIZES, NOT_VERIFIED, VERIFIED
from bot.errors import NoChange, Refusal


def plan_undo(
    earlier: ChangeRequest, later: Sequence[ChangeRequest], live: MailConfig | None
) -> Plan:
    """What undoes `earlier`. `later` are the requests applied after it, newest first.

    Raises Refusal if there is nothing that could be undone, NoChange if it is undone already.
    """
    _check_is_undoable(earlier)
    match earlier.plan:
        case SetPlan(base=None):
            return _remove(earlier, later, live)
        case SetPlan(base=base):
            changed = _changed_by(earlier)
        case ResetPlan(base=base):
            changed = ("email_id", "name")
        case AcceptPlan():
            raise AssertionError("refused before")
    assert base is not None
    return _set_back(earlier, later, live, base, changed)


def _check_is_undoable(earlier: ChangeRequest) -> None:
    if earlier.is_open:
        raise Refusal(
            f"#{earlier.number} is still open, so there is nothing to undo. Whoever asked for it "
            "can `/mailcfg withdraw` it, and an approver can reject it."
        )
    if earlier.state is State.CONFLICT:
        raise Refusal(
            f"What #{earlier.number} did is not known, so it cannot be undone. Look in the Cliq "
            "admin panel, then ask for what you want with `/mailcfg set`."
        )
    if earlier.state is not State.APPLIED:
        raise Refusal(
            f"#{earlier.number} changed nothing ({earlier.state.words.ended}), so there is nothing "
            "to undo."
        )
    if isinstance(earlier.plan, AcceptPlan):
        raise Refusal(
            f"#{earlier.number} wrote nothing: it accepted what was live. To have another sender, "
            "ask with `/mailcfg set`, and its approval takes the place of this one."
        )


def _remove(
    earlier: ChangeRequest, later: Sequence[ChangeRequest], live: MailConfig | None
) -> ResetPlan:
    """Before `earlier` no custom sender was set."""
    if live is None:
        raise NoChange(_done(earlier))
    return ResetPlan(live, Undoing(earlier.number, _since(later, ("email_id", "name"))))


def _set_back(
    earlier: ChangeRequest,
    later: Sequence[ChangeRequest],
    live: MailConfig | None,
    base: MailConfig,
    changed: tuple[str, ...],
) -> SetPlan:
    if live is None and not isinstance(earlier.plan, ResetPlan):
        raise Refusal(
            f"No custom sender is set any more, so what #{earlier.number} changed cannot be set "
            "back. Set one with `/mailcfg set`."
        )
    drops_cname = _drops_cname(base, live, changed)
    wanted = _patch(base, live, changed).over(live)
    if not diff_set(live, wanted):
        raise NoChange(_done(earlier) + (_ONLY_A_WORD if drops_cname else ""))
    loses_key, since = wanted.issues_new_key(live), _since(later, changed)
    return SetPlan(live, wanted, undoes=Undoing(earlier.number, since, loses_key, drops_cname))


def _patch(base: MailConfig, live: MailConfig | None, changed: tuple[str, ...]) -> Patch:
    """What goes back to `base`; without what is so already, and without anybody's word.

    A new key is asked for in the old one's size, since Zoho by itself would choose a weak one.
    """
    values: dict[str, Any] = {
        field: getattr(base, field) for field in ("email_id", "name") if field in changed
    }
    if "cname_status" in changed and base.cname_status != VERIFIED and _is_at(base, live):
        values["cname_status"] = NOT_VERIFIED
    if base.dkim_bits in KEY_SIZES and _makes_key(base, live, changed):
        values["dkim_key_size"] = base.dkim_bits
    return Patch.of(**values).beyond(live)


def _is_at(base: MailConfig, live: MailConfig | None) -> bool:
    """Whether `live` is at the domain that `base` was at."""
    return live is not None and live.domain == base.domain


def _moves_back(base: MailConfig, live: MailConfig | None, changed: tuple[str, ...]) -> bool:
    return "email_id" in changed and not _is_at(base, live)


def _makes_key(base: MailConfig, live: MailConfig | None, changed: tuple[str, ...]) -> bool:
    is_other_size = live is None or live.dkim_bits != base.dkim_bits
    return _moves_back(base, live, changed) or ("dkim_key_size" in changed and is_other_size)


def _drops_cname(base: MailConfig, live: MailConfig | None, changed: tuple[str, ...]) -> bool:
    """Whether "verified" was said of the CNAME before, and is not said of it any more."""
    touched = "cname_status" in changed or _moves_back(base, live, changed)
    is_said = live is not None and _is_at(base, live) and live.cname_status == VERIFIED
    return touched and base.cname_status == VERIFIED and not is_said


def _since(
    later: Sequence[ChangeRequest], changed: tuple[str, ...]
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The newest later request that changed each field, oldest first, with these fields."""
    found: dict[int, list[str]] = {}
    seen: set[str] = set()
    for request in later:
        for field in _changed_by(request):
            if field in changed and field not in seen:
                seen.add(field)
                found.setdefault(request.number, []).append(field)
    return tuple((number, tuple(fields)) for number, fields in sorted(found.items()))


def _changed_by(request: ChangeRequest) -> tuple[str, ...]:
    """What people can ask for of it, and so ask to set back."""
    return tuple(change.field for change in request.plan.diff() if FIELDS[change.field].ask)


_ONLY_A_WORD = (
    " What is left is the CNAME status, and that is somebody's word: whoever can give it asks with "
    "`/mailcfg set cname=verified`."
)


def _done(earlier: ChangeRequest) -> str:
    return f"Nothing to undo: what #{earlier.number} changed is already as it was before."
