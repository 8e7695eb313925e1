"""Steps of a change, and whether what is live was read when it ended."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

WAS_READ = """
UPDATE request SET was_read = (1 = 1)
WHERE observed_json <> 'null' OR state IN ('APPLIED', 'STALE') OR (state = 'CONFLICT'
AND end_reason = 'Cliq shows neither the old nor the wanted configuration')
"""
"""What ended without a value had either been read as "nothing is set", or could not be read."""


def upgrade() -> None:
    one, no = sa.text("1"), sa.false()
    for column in (
        sa.Column("schema_version", sa.Integer(), nullable=False, server_default=one),
        sa.Column("step", sa.Integer(), nullable=False, server_default=one),
        sa.Column("was_read", sa.Boolean(), nullable=False, server_default=no),
    ):
        op.add_column("request", column)
    op.add_column("attempt", sa.Column("step", sa.Integer(), nullable=False, server_default=one))
    op.execute(WAS_READ)


def downgrade() -> None:
    op.drop_column("attempt", "step")
    for name in ("was_read", "step", "schema_version"):
        op.drop_column("request", name)
