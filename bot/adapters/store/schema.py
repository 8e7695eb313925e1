"""The tables. Times are UTC milliseconds, values are canonical JSON text; the same on every database.

Migrations are written by hand beside this file; a test holds them against these definitions.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bot.domain.change import OPEN, State

metadata = MetaData()


def _listed(states: object) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))  # type: ignore[call-overload]


IS_OPEN = text(f"state IN ({_listed(OPEN)})")

IS_DUE = text("shown_rev < due_rev")

IS_WAITING = text("done_at IS NULL")

request = Table(
    "request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org", Text, nullable=False),
    Column("no", Integer, nullable=False),
    Column("op", Text, nullable=False),
    Column("base_json", Text, nullable=False),
    Column("target_json", Text, nullable=False),
    Column("policy_json", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("digest_version", Integer, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("intent_key", Text, nullable=False),
    Column("requester_json", Text, nullable=False),
    Column("requester_evidence_json", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("lease_until", BigInteger),
    Column("not_before", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("approved_at", BigInteger),
    Column("apply_by", BigInteger),
    Column("uncertain_since", BigInteger),
    Column("step", Integer, nullable=False),
    Column("sent", Boolean, nullable=False),
    Column("waits_for", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("observed_json", Text, nullable=False),
    Column("was_read", Boolean, nullable=False),
    Column("ended_at", BigInteger),
    UniqueConstraint("org", "no"),
    CheckConstraint(f"state IN ({_listed(State)})", name="state_is_known"),
    CheckConstraint("quorum >= 1", name="quorum_is_positive"),
    # The state filter is what makes it "one open": without it an ended row would block its successor.
    Index("one_open", "org", unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("request_by_end", "org", "state", "ended_at"),
)

decision = Table(
    "decision",
    metadata,
    Column("request_id", Text, ForeignKey("request.id"), primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("voter_json", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence_json", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("mac", Text, nullable=False),
)

attempt = Table(
    "attempt",
    metadata,
    Column("request_id", Text, ForeignKey("request.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("method", Text, nullable=False),
    Column("intent_at", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("http_status", Integer),
    Column("api_code", Text),
    Column("finished_at", BigInteger),
    Column("step", Integer, nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("facts_json", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("rev", Integer, nullable=False),
    Index(
        "one_open_incident",
        "org",
        "kind",
        "key",
        unique=True,
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
)

card = Table(
    "card",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("ts", Text, nullable=False),
    Column("shown_rev", Integer, nullable=False),
    Column("after", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("mention_at", BigInteger),
    Column("instead_of", Text, nullable=False, server_default=""),
    # The newest revision of what it shows, so that finding due cards takes no look at old ones.
    Column("due_rev", Integer, nullable=False, server_default="1"),
    Column("org", Text, nullable=False, server_default=""),
    Index("card_due", "after", sqlite_where=IS_DUE, postgresql_where=IS_DUE),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text),
    Column("facts_json", Text, nullable=False),
    Column("after", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("done_at", BigInteger),
    Column("last_error", Text, nullable=False),
    Column("org", Text, nullable=False, server_default=""),
    Index("outbox_waiting", "n", sqlite_where=IS_WAITING, postgresql_where=IS_WAITING),
    Index("outbox_by_n", "n"),
    Index("outbox_by_subject", "subject", "kind", "n"),
)

slot = Table(
    "slot",
    metadata,
    Column("job", Text, primary_key=True),
    Column("slot_utc", BigInteger, primary_key=True),
)

replay = Table(
    "replay",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

watch = Table(
    "watch",
    metadata,
    Column("org", Text, primary_key=True),
    Column("has_reading", Boolean, nullable=False),
    Column("reading_json", Text, nullable=False),
    Column("read_at", BigInteger),
    Column("last_error", Text, nullable=False),
    Column("alert_json", Text, nullable=False),
    Column("told_json", Text, nullable=False),
    Column("pass_json", Text, nullable=False),
    Column("rev", Integer, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("org", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request_id", Text),
    Column("body", Text, nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("audit_by_request", "org", "request_id", "seq"),
)

budget = Table(
    "budget",
    metadata,
    Column("org", Text, primary_key=True),
    Column("rev", Integer, nullable=False),
    Column("calls_json", Text, nullable=False),
    Column("locked_until", BigInteger),
    Column("lock_reason", Text, nullable=False),
)

oauth_token = Table(
    "oauth_token",
    metadata,
    Column("org", Text, primary_key=True),
    Column("rev", Integer, nullable=False),
    Column("access_token_enc", Text),
    Column("refresh_at", BigInteger),
    Column("scopes_json", Text, nullable=False),
    Column("refresh_token_enc", Text),
    Column("grant_print", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("refreshes_json", Text, nullable=False),
    Column("paused_until", BigInteger),
    Column("paused_for", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger),
)
"""Each encrypted text names its key. The prints are hashes: of the client, and of what is asked with."""
