"""Due cards and the newest message are found without a look at the whole history."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

IS_DUE = sa.text("shown_rev < due_rev")


def upgrade() -> None:
    op.add_column("card", sa.Column("due_rev", sa.Integer(), nullable=False, server_default="1"))
    for table in ("request", "incident"):
        rev = f"(SELECT rev FROM {table} WHERE {table}.id = card.subject)"  # noqa: S608
        op.execute(f"UPDATE card SET due_rev = COALESCE({rev}, due_rev)")  # noqa: S608
    op.create_index("card_due", "card", ["after"], sqlite_where=IS_DUE, postgresql_where=IS_DUE)
    op.create_index("outbox_by_n", "outbox", ["n"])


def downgrade() -> None:
    op.drop_index("outbox_by_n", "outbox")
    op.drop_index("card_due", "card")
    op.drop_column("card", "due_rev")
