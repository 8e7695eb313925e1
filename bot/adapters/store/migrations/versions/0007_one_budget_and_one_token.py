"""One API budget and one Zoho token for every process of an organisation."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("org", sa.Text(), primary_key=True),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("calls_json", sa.Text(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
        sa.Column("lock_reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "oauth_token",
        sa.Column("org", sa.Text(), primary_key=True),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("access_token_enc", sa.Text()),
        sa.Column("refresh_at", sa.BigInteger()),
        sa.Column("scopes_json", sa.Text(), nullable=False),
        sa.Column("refresh_token_enc", sa.Text()),
        sa.Column("grant_print", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("refreshes_json", sa.Text(), nullable=False),
        sa.Column("paused_until", sa.BigInteger()),
        sa.Column("paused_for", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger()),
    )


def downgrade() -> None:
    op.drop_table("oauth_token")
    op.drop_table("budget")
