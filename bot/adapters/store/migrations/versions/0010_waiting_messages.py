"""Waiting messages, and those about one request, are found without a look at all that were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

IS_WAITING = sa.text("done_at IS NULL")


def upgrade() -> None:
    op.drop_index("outbox_due", "outbox")
    op.create_index(
        "outbox_waiting", "outbox", ["n"], sqlite_where=IS_WAITING, postgresql_where=IS_WAITING
    )
    op.create_index("outbox_by_subject", "outbox", ["subject", "kind", "n"])


def downgrade() -> None:
    op.drop_index("outbox_by_subject", "outbox")
    op.drop_index("outbox_waiting", "outbox")
    op.create_index("outbox_due", "outbox", ["done_at", "after"])
