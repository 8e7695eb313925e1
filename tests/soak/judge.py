"""What must hold of changes, worked out from what people did and what the far end saw.

It looks at the rows with a connection of its own, and asks the code under test nothing. E1 to E4:
nothing approved is lost, one effect for a change, none without enough people, nothing overwritten.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.domain.mail_config import MailConfig
from bot.domain.policy import Actor
from bot.domain.stored import milliseconds
from tests.fakes import FakeClock
from tests.soak.stepwise import FarEnd, Sent

OPEN = {"PENDING", "APPROVED", "APPLYING", "UNCERTAIN"}
IN_FLIGHT = {"APPLYING", "UNCERTAIN"}
NOTHING_WRITTEN = {"REJECTED", "CANCELLED", "EXPIRED", "STALE"}
AFTER_A_REMOVAL = IN_FLIGHT | {"APPLIED", "CONFLICT"}
NO_MOVE = {"intent", "refused"}
"""Audit entries that go with no move of the request."""
LAST_WORDS = {"result", "rejected", "withdrawn", "expired"}
LEASE = timedelta(seconds=60)
APPLY_WITHIN = timedelta(minutes=60)

Row = dict[str, Any]


class Judge:
    """`person` says who is behind a user id; `approvers` are today's, by user id."""

    def __init__(
        self, database: Path, clock: FakeClock, far: FarEnd, person: dict[str, str]
    ) -> None:
        self.approvers: tuple[str, ...] = ()
        self.clicked: dict[str, list[Actor]] = {}
        self.acknowledged: set[tuple[str, str]] = set()
        self.rejected: set[str] = set()
        self.tampered: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.landed: Counter[str] = Counter()
        self.kept: set[str] = set()
        self.removed: set[str] = set()
        self._first: dict[str, Row] = {}
        self._taken_over = Counter[str]()
        self._leases: dict[str, int] = {}
        self._ended: dict[str, Row] = {}
        self._decided_at: dict[str, datetime] = {}
        self._clock = clock
        self._far = far
        self._person = person
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        far.on_send, far.on_land = self.check_sent, self.check_landing

    def close(self) -> None:
        self._database.close()

    def all(self, query: str) -> list[Row]:
        return [dict(row) for row in self._database.execute(query).fetchall()]

    def open_request(self) -> Row | None:
        rows = self.all("SELECT * FROM request ORDER BY no DESC")
        return next((row for row in rows if row["state"] in OPEN), None)

    def tamper(self, request_id: str, target: str) -> None:
        """Change what is stored to be written, behind the bot's back."""
        self.tampered.add(request_id)
        self._database.execute(
            "UPDATE request SET target_json = ? WHERE id = ?", (target, request_id)
        )

    def look(self) -> None:
        """Hold all rows against the promises; to be called after every step."""
        rows = {row["id"]: row for row in self.all("SELECT * FROM request ORDER BY no")}
        for row in rows.values():
            self._first.setdefault(row["id"], row)
            if row["state"] != "PENDING":
                self._decided_at.setdefault(row["id"], self._clock.now())
        assert sum(row["state"] in OPEN for row in rows.values()) <= 1, "two requests are open"
        assert [row["no"] for row in rows.values()] == list(range(1, len(rows) + 1))
        self._check_votes(rows)
        self._check_ends(rows)
        self._check_moves(rows)
        self._check_leases(rows)

    def _check_votes(self, rows: dict[str, Row]) -> None:
        votes = self.all("SELECT request_id, voter_json, verdict FROM decision")
        people = [
            (v["request_id"], self._person[json.loads(v["voter_json"])["user"]]) for v in votes
        ]
        assert len(set(people)) == len(people), "a person was counted twice"
        approvals = Counter(v["request_id"] for v in votes if v["verdict"] == "approve")
        for row in rows.values():
            stuck = row["state"] == "PENDING" and approvals[row["id"]] >= row["quorum"]
            assert not stuck, "it has the approvals it needs, and is not approved"
        assert self.acknowledged <= set(people), "an acknowledged vote is lost"
        for voted in votes:
            voter, row = Actor(**json.loads(voted["voter_json"])), rows[voted["request_id"]]
            frozen = json.loads(row["policy_json"])["approvers"]
            assert is_listed(voter, frozen), "someone voted who was no approver when it was asked"
        for request_id in self.rejected:
            assert rows[request_id]["state"] == "REJECTED", "a reject was ignored"

    def _check_ends(self, rows: dict[str, Row]) -> None:
        told = {
            row["subject"] for row in self.all("SELECT * FROM outbox") if row["kind"] in LAST_WORDS
        }
        for request_id in self.removed:
            state = rows[request_id]["state"]
            assert state in AFTER_A_REMOVAL, f"the old sender is removed, and it is {state}"
        for row in rows.values():
            if row["state"] in OPEN:
                continue
            assert self._ended.setdefault(row["id"], row) == row, "an end has changed"
            assert row["id"] in told, "nobody is told how it ended"
            if row["state"] in NOTHING_WRITTEN:
                assert not self.landed[row["id"]], f"it took effect, and is {row['state']}"
            if row["state"] == "APPLIED":
                assert bool(self.landed[row["id"]]) == (row["effect"] == "written")

    def _check_moves(self, rows: dict[str, Row]) -> None:
        entries = self.all("SELECT request_id, kind FROM audit")
        moves = Counter(e["request_id"] for e in entries if e["kind"] not in NO_MOVE)
        for row in rows.values():
            assert moves[row["id"]] == row["rev"], "moves and audit entries differ in number"

    def _check_leases(self, rows: dict[str, Row]) -> None:
        """Who is at work is left to it: what could go wrong then is caught by other means as well."""
        entries = self.all("SELECT request_id FROM audit WHERE kind = 'taken_over'")
        taken = Counter(entry["request_id"] for entry in entries)
        for request_id in taken - self._taken_over:
            lease = self._leases.get(request_id)
            now = milliseconds(self._clock.now())
            assert lease is None or now >= lease, "it was taken over before its lease had ended"
        self._taken_over = taken
        at_work = [row for row in rows.values() if row["state"] == "APPLYING"]
        self._leases = {row["id"]: row["lease_until"] for row in at_work}

    def check_sent(self, sent: Sent) -> None:
        """A write that leaves is one that enough people approved, over what they were shown."""
        request_id = sent.walk.seen.request_id
        row = self._first[request_id]
        self.sent[request_id] += 1
        assert request_id not in self.rejected, "it was rejected"
        assert self._is_as_shown(sent, row), "it is not what was shown"
        assert without_status(sent.over) == self._base(row), "its base was not seen"
        if request_id in self.removed:
            assert len(self._voters(row)) >= 2, "too few people have approved it"
        else:
            self._check_still_wanted(sent, row)

    def _check_still_wanted(self, sent: Sent, row: Row) -> None:
        """Asked until the old sender is removed: from then on finishing is safer than stopping."""
        requester = json.loads(row["requester_json"])["user"]
        assert self._backers(sent, row) >= self._needed(sent, row), "too few people are behind it"
        assert sent.walk.seen.fit.get(requester), "its requester may not ask any more"
        latest = self._decided_at[row["id"]] + APPLY_WITHIN + LEASE
        assert self._clock.now() <= latest, "its time had run out"

    def _base(self, row: Row) -> dict[str, str] | None:
        """What its next write goes over."""
        return None if row["id"] in self.removed else base_of(row)

    def _voters(self, row: Row) -> set[str]:
        """Whoever has approved it and was asked to, as people."""
        frozen = json.loads(row["policy_json"])["approvers"]
        clicked = self.clicked.get(row["id"], [])
        requester = self._person[json.loads(row["requester_json"])["user"]]
        people = {self._person[actor.user] for actor in clicked if is_listed(actor, frozen)}
        return people - {requester}

    def _backers(self, sent: Sent, row: Row) -> int:
        frozen = json.loads(row["policy_json"])["approvers"]
        requester = self._person[json.loads(row["requester_json"])["user"]]
        people = {
            self._person[actor.user]
            for actor in self.clicked.get(row["id"], [])
            if is_listed(actor, frozen)
            and is_listed(actor, self.approvers)
            and sent.walk.seen.fit.get(actor.user)
        }
        return len(people - {requester})

    def _needed(self, sent: Sent, row: Row) -> int:
        base = json.loads(row["base_json"]) or {}
        return 1 if sent.wanted and sent.wanted.email_id == base.get("email_id") else 2

    def _is_as_shown(self, sent: Sent, row: Row) -> bool:
        target = json.loads(row["target_json"]) or {}
        if row["op"] == "reset":
            return sent.method == "DELETE"
        if sent.wanted is None:
            return row["id"] in self.kept and row["id"] not in self.removed
        shown = (target["name"], target["email_id"])
        return (sent.wanted.name, sent.wanted.email_id) == shown

    def check_landing(self, sent: Sent) -> None:
        """A write takes effect while its request is open, and over the base that was read."""
        request_id = sent.walk.seen.request_id
        row = self._first[request_id]
        found = self.all("SELECT id, state FROM request")
        state = next(row["state"] for row in found if row["id"] == request_id)
        assert state in IN_FLIGHT, f"a write took effect when its request was {state}"
        if self._far.edits == sent.walk.seen.edits:
            live = without_status(self._far.cliq.live)
            assert live == self._base(row), "another write was overwritten"
        if self._far.keeps(sent):
            self.kept.add(request_id)
            return
        self.landed[request_id] += 1
        if row["op"] == "set" and sent.method == "DELETE":
            self.removed.add(request_id)


def is_listed(actor: Actor, approvers: tuple[str, ...] | list[str]) -> bool:
    return actor.user in approvers or actor.enterprise_user in approvers


def base_of(row: Row) -> MailConfig | None:
    return without_status(MailConfig.from_dict(json.loads(row["base_json"])))


def without_status(config: MailConfig | None) -> dict[str, str] | None:
    return config and {k: v for k, v in config.as_dict().items() if k != "dkim_status"}
