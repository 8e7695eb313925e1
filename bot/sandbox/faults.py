"""What is planned to go wrong at a far end: a queue of faults, each for some of the next calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Self, TypeVar


@dataclass(frozen=True)
class Planned:
    """It hits after letting `skip` calls pass that it fits."""

    skip: int = field(default=0, kw_only=True)

    def rest(self) -> list[Self]:
        """What is left of it after a hit: one fault that hits once less, or none."""
        raise NotImplementedError


F = TypeVar("F", bound=Planned)


class Faults(Generic[F]):
    """The faults still to come, in the order in which they were planned; the first that fits hits."""

    def __init__(self) -> None:
        self.planned: list[F] = []

    def plan(self, fault: F) -> None:
        self.planned.append(fault)

    def clear(self) -> None:
        self.planned.clear()

    def take(self, fits: Callable[[F], bool]) -> F | None:
        for place, fault in enumerate(self.planned):
            if not fits(fault):
                continue
            if not fault.skip:
                self.planned[place : place + 1] = fault.rest()
                return fault
            self.planned[place] = replace(fault, skip=fault.skip - 1)
        return None
