"""How many mails DNS blocklists rejected, day by day, and what the safelist would have changed: counts alone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table. It is outside the chain of digests: nobody's trust depends on it."""
    op.create_table(
        "rejection_count",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=255), nullable=False),
        sa.Column("rescue", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "provider", "rescue", "reason", name=op.f("pk_rejection_count")),
        sqlite_with_rowid=False,
    )
