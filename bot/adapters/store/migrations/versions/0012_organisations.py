"""Cards and waiting messages name their organisation: that of what they are about, else the only one."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"

NAMED = "SELECT org FROM request UNION SELECT org FROM incident UNION SELECT org FROM audit"


def upgrade() -> None:
    for table in ("card", "outbox"):
        op.add_column(table, sa.Column("org", sa.Text(), nullable=False, server_default=""))
        asked, lived = (
            f"(SELECT org FROM {about} WHERE {about}.id = {table}.subject)"  # noqa: S608
            for about in ("request", "incident")
        )
        only = f"(SELECT MIN(org) FROM ({NAMED}) AS named)"  # noqa: S608
        op.execute(f"UPDATE {table} SET org = COALESCE({asked}, {lived}, {only}, '')")  # noqa: S608


def downgrade() -> None:
    for table in ("outbox", "card"):
        op.drop_column(table, "org")
