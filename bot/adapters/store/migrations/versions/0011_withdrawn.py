"""Whether the requester took a request back is a fact of it, and no longer how its end's reason begins."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    is_false: sa.Column[bool] = sa.Column(
        "is_withdrawn", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("request", is_false)
    request = sa.table("request", sa.column("is_withdrawn"), sa.column("end_reason"))
    own = request.c.end_reason == "withdrawn by the requester"
    op.execute(request.update().where(own).values(is_withdrawn=sa.true()))


def downgrade() -> None:
    op.drop_column("request", "is_withdrawn")
