"""The audit of one request is found without reading the whole of it."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("audit_by_request", "audit", ["org", "request_id", "seq"])


def downgrade() -> None:
    op.drop_index("audit_by_request", "audit")
