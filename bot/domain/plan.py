"""What a request would do, whatever it changes: all that a kind of change must be able to say and do.

A plan carries both sides, base and target, and never changes. It speaks for itself on the card, knows
how many eyes it needs, in which steps it may have to be written and when it is done, and sends each
step through the port of its subject. It does not know people, states or times. A new kind of change is
a file like `sender_plans`, which has those of the sender.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bot.domain.dkim import Record
from bot.domain.dns_answers import Answers
from bot.domain.stored import Stored


class Value(Protocol):
    """What stands at a far end. Nothing set is None, everywhere."""

    def as_dict(self) -> Stored:
        """For JSON; an `Operation` has the inverse."""


class Change(Protocol):
    """One line of a diff: a field by its own name and by its label, and both values as they are shown.

    None reads "not set"; `note` says what to know about it.
    """

    @property
    def field(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def old(self) -> str | None: ...
    @property
    def new(self) -> str | None: ...
    @property
    def note(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was approved last of a subject: a value, or None for nothing set."""

    config: Any


class Wish(Protocol):
    """What somebody asks for, before it is known what is live. A plan is one: it can be asked again."""

    @property
    def subject(self) -> str: ...

    @property
    def needs_approved(self) -> bool:
        """Whether it cannot be planned without knowing what was approved last."""

    def over(self, live: Any, approved: Baseline | None) -> Plan:
        """Raises NoChange, or InputError if something needed is missing."""


@dataclass(frozen=True, slots=True)
class Plan(ABC):
    """`base` is what was there when it was asked for, a value of the plan's subject like all that is read.

    `subject` is what it changes: baseline, drift, undo and late effects of one subject never take
    another's. `operation` is its word in the row and the seal, `method` how the audit calls its write;
    a plan without a method writes nothing.
    """

    base: Any

    @property
    @abstractmethod
    def subject(self) -> str: ...

    @property
    @abstractmethod
    def operation(self) -> str: ...

    @property
    def method(self) -> str:
        return ""

    @property
    def writes(self) -> bool:
        return bool(self.method)

    @property
    def needs_approved(self) -> bool:
        return False

    @property
    def undone(self) -> int | None:
        """The number of the request that it sets back, if it does."""
        return None

    @property
    @abstractmethod
    def title(self) -> str:
        """What the request asks to do, inside a sentence: "change sender address"."""

    @property
    def sensitive_because(self) -> str | None:
        """Why it takes as many approvals as the policy asks for sensitive changes."""
        return None

    @abstractmethod
    def diff(self) -> Sequence[Change]: ...

    @abstractmethod
    def moved(self, observed: Any) -> Sequence[Change]:
        """Where `observed` differs from what was live when it was asked for."""

    @property
    def nothing(self) -> str:
        """How people are told that a read shows nothing set."""
        return "nothing is set"

    def unchanged(self) -> Sequence[str]:
        """What people may care to know that it leaves alone, as it stands inside a sentence."""
        return ()

    def consequences(self) -> tuple[str, ...]:
        return ()

    @abstractmethod
    def confirm_words(self, most: int) -> str:
        """What an approver is asked to confirm, in at most `most` characters."""

    def old_values(self) -> Mapping[str, str]:
        """By label, for whoever must restore by hand what a step has removed."""
        return {}

    def old_record(self) -> tuple[str, Record] | None:
        """What is said of the DKIM record that belongs to the base, and the record."""
        return None

    def to_publish(self, observed: Any) -> tuple[str, Record] | None:
        """The domain whose mail waits for a DKIM record that came with it, and the record."""
        return None

    def followed(self, observed: Any) -> Record | None:
        """The DKIM record that is followed to its real end once this is in force."""
        return None

    def survey(self) -> str | None:
        """The domain of which DNS is asked before this is shown, if any."""
        return None

    def foreseeing(self, seen: Answers) -> Plan:
        """The same with what DNS said of that domain."""
        return self

    def foreseen(self) -> tuple[str, str] | None:
        """What DNS said: what it is about, and the sentences."""
        return None

    def warnings(self, live: Any) -> Sequence[str]:
        """What is worth saying about a target that was reached."""
        return ()

    @abstractmethod
    def target_json(self) -> Any:
        """What is stored and sealed of it, beside operation and base."""

    def wish_json(self) -> Any:
        """The target as it was wished: without what was looked up meanwhile."""
        return self.target_json()

    def sealed(self) -> Stored:
        """What is sealed beside that though it is not stored: it follows from the digest's version."""
        return {}

    def steps(self) -> Sequence[Plan]:
        """The writes that it may take, in their order, each with a base and a target of its own."""
        return (self,)

    async def send(self, far_end: Any, *, send_by: float) -> None:
        """Write it through the port of its subject, once. What that promises of `write` holds."""
        raise AssertionError(f"a plan to {self.title} writes nothing")

    def base_is_in_place(self, live: Any) -> bool:
        """Whether nothing has moved since it was asked for, so that a write overwrites nothing."""
        return bool(self.base == live)

    @abstractmethod
    def unmet(self, live: Any) -> Sequence[str]:
        """The fields that `live` does not show as a write of this plan was to bring them."""

    def is_reached_by(self, live: Any) -> bool:
        """Whether `live` shows what a write of this plan was to bring."""
        return not self.unmet(live)

    def would_change(self, live: Any) -> bool:
        """Whether there is anything to write. May be stricter than `is_reached_by`, since before the
        first write whatever differs from the whole target is somebody else's doing."""
        return not self.is_reached_by(live)

    def approved(self, observed: Any) -> Any:
        """What counts as approved once `observed` was read back."""
        return observed

    @abstractmethod
    def over(self, live: Any, approved: Baseline | None) -> Plan:
        """The same wish over what is live now; see `Wish`."""

    @abstractmethod
    def undo(self, number: int, later: Sequence[tuple[int, Plan]], live: Any) -> Plan:
        """What sets back this plan of the applied request `number`, over what is live now.

        `later` are the requests applied since then to the same subject, newest first. Raises Refusal if
        it cannot be undone, NoChange if it is undone already.
        """


@dataclass(frozen=True, slots=True)
class Operation:
    """How what is stored of an operation becomes values again. Either may raise what a damaged row raises.

    `plan` takes base, target and the version of the digest, `value` what stood at the far end.
    """

    subject: str
    plan: Callable[[Any, Any, int], Plan]
    value: Callable[[Any], Any]


Operations = Mapping[str, Operation]
"""What can be asked for, by its word in the row."""
