"""A shared value of a process that has no database, and so shares it with nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class InMemory(Generic[T]):
    """`ports.Shared` for one process."""

    def __init__(self, value: T) -> None:
        self._value = value

    async def read(self) -> T:
        return self._value

    async def change(self, step: Callable[[T], T]) -> T:
        self._value = step(self._value)
        return self._value
