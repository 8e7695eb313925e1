"""Mentions: when a card's approvers are mentioned, and which channel it stands in for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("card", sa.Column("mention_at", sa.BigInteger()))
    op.add_column("card", sa.Column("instead_of", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("card", "instead_of")
    op.drop_column("card", "mention_at")
