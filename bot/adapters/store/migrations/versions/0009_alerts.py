"""Alerts of the state machine: what it remembers, and one living message for all that is wrong."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NOTHING_HAPPENED: dict[str, Any] = {
    "recent": [],
    "pending_since": None,
    "propagating_since": None,
    "unknown_since": None,
    "is_silence_told": False,
    "silences": 0,
    "openings": [],
    "incidents": 0,
    "incident": None,
}
NEVER_PASSED = {"at": None, "line": "", "word": "", "apex": None, "unknown": ""}


def _added(name: str, default: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=json.dumps(default))


def upgrade() -> None:
    op.add_column("watch", _added("alert_json", NOTHING_HAPPENED))
    op.add_column("watch", _added("told_json", []))
    op.add_column("watch", _added("pass_json", NEVER_PASSED))
    op.add_column("watch", sa.Column("rev", sa.Integer(), nullable=False, server_default="1"))
    op.drop_column("watch", "publication")
    op.drop_column("watch", "checked_at")
    # An alert of the earlier kinds says on its card that it is over; what is still so is told anew.
    op.execute(
        "UPDATE incident SET kind = 'alert', key = id, rev = rev + 1, "
        "facts_json = '{\"is_replaced\"\\:true}', resolved_at = COALESCE(resolved_at, opened_at) "
        "WHERE kind IN ('outside', 'record')"
    )
    op.execute("UPDATE incident SET key = '' WHERE kind = 'watch'")
    op.execute(
        "UPDATE outbox SET done_at = 0 WHERE done_at IS NULL AND kind IN "
        "('outside_changed', 'outside_resolved', 'record_changed', 'record_resolved')"
    )
    _index("org", "kind", "key")


def downgrade() -> None:
    op.execute(
        "UPDATE outbox SET done_at = 0 WHERE done_at IS NULL AND (kind LIKE 'alert%' OR kind IN "
        "('outside', 'cannot_check', 'checks_resumed', 'dmarc', 'followed', 'followed_dm', 'status'))"
    )
    # The earlier version cannot read the facts of this one's messages; it makes its own.
    op.execute("DELETE FROM card WHERE subject IN (SELECT id FROM incident)")
    op.execute("DELETE FROM incident")
    _index("org", "kind")
    for name in ("rev", "pass_json", "told_json", "alert_json", "last_error"):
        op.drop_column("watch", name)
    for name, default in (("publication", "unknown"), ("checked_at", None), ("last_error", "")):
        op.add_column("watch", _restored(name, default))


def _restored(name: str, default: str | None) -> sa.Column[Any]:
    kind = sa.BigInteger() if default is None else sa.Text()
    return sa.Column(name, kind, nullable=default is None, server_default=default)


def _index(*columns: str) -> None:
    """One open living message for each of these."""
    op.drop_index("one_open_incident", "incident")
    is_open = sa.text("resolved_at IS NULL")
    op.create_index(
        "one_open_incident",
        "incident",
        list(columns),
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
