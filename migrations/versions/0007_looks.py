"""Who looked at lists that are not their own, as a part of the history."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table. The chain's digests stay as they are: no change set has a look yet."""
    sender = sa.String(length=320).with_variant(sa.String(length=320, collation="C"), "postgresql")
    op.create_table(
        "look",
        sa.Column("change_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("page", sa.String(length=50), nullable=False),
        sa.Column("mailbox", sa.String(length=320), nullable=True),
        sa.Column("sender", sender, nullable=True),
        sa.Column("names", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["change_set_id"], ["change_set.id"], name=op.f("fk_look_change_set_id")),
        sa.PrimaryKeyConstraint("change_set_id", name=op.f("pk_look")),
    )
    op.create_index(op.f("ix_look_mailbox"), "look", ["mailbox"])
