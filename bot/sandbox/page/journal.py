"""What changed in the workspace since somebody last looked, without looking at everything each time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.records import Message

MOST_GONE = 1000

Key = tuple[str, str]
"""A message's channel and ts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as it was at `revision`."""

    message: Message
    revision: int


class Journal:
    """Numbers every change of a message, by comparing what there is with what there was."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace
        self._revision = 0
        self._seen: dict[Key, Seen] = {}
        self._gone: deque[tuple[int, Key]] = deque(maxlen=MOST_GONE)
        self._is_stale = True
        workspace.changes.on_change(self._changed)

    def _changed(self) -> None:
        self._is_stale = True

    @property
    def revision(self) -> int:
        """That of the latest change."""
        if self._is_stale:
            self._look()
            self._is_stale = False
        return self._revision

    def _look(self) -> None:
        current = {
            (message.channel, message.ts): message
            for message in self._workspace.state.messages.values()
        }
        for key in self._seen.keys() - current.keys():
            self._revision += 1
            del self._seen[key]
            self._gone.append((self._revision, key))
        for key, message in current.items():
            known = self._seen.get(key)
            if known is None or known.message is not message:
                self._revision += 1
                self._seen[key] = Seen(message, self._revision)

    def changed_since(self, revision: int) -> list[Message]:
        """What is new or different since then, in the order in which it first appeared."""
        if revision == self.revision:
            return []
        return [seen.message for seen in self._seen.values() if seen.revision > revision]

    def gone_since(self, revision: int) -> list[Key]:
        return [key for at, key in self._gone if at > revision]

    def reaches(self, revision: int) -> bool:
        """Whether everything that went since then is still known."""
        return len(self._gone) < MOST_GONE or self._gone[0][0] <= revision
