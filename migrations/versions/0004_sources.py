"""The source of every mailbox and of every run that collects: what is there comes from the one named exchange."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns. The chain's digests stay as they are: they leave that name out."""
    op.add_column("mailbox", sa.Column("source", sa.String(length=50), nullable=False, server_default="exchange"))
    op.add_column("run", sa.Column("source", sa.String(length=50), nullable=True))
    op.execute("UPDATE run SET source = 'exchange' WHERE what IN ('sync', 'sync: leavers told')")
