"""Leases: who applies a request may be one of several processes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("request", sa.Column("lease_until", sa.BigInteger()))
    # Whoever was applying a request has been stopped for the upgrade: it may be taken over at once.
    op.execute("UPDATE request SET lease_until = 0 WHERE state = 'APPLYING'")


def downgrade() -> None:
    op.drop_column("request", "lease_until")
