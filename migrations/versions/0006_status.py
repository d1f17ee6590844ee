"""When each target was last known to be right, and which mailboxes' failures an administrator has acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables. What a target was last confirmed to be is replaced at every publication: outside the chain."""
    op.create_table(
        "target_state",
        sa.Column("target", sa.String(length=50), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.BigInteger(), nullable=False),
        sa.Column("after_run", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("target", "path", name=op.f("pk_target_state")),
    )
    op.create_table(
        "acknowledgement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("mailbox", sa.String(length=320), nullable=False),
        sa.Column("failure", sa.String(length=50), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("ticket", sa.String(length=500), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Integer(), nullable=True),
        sa.Column("revoked_why", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["made"], ["change_set.id"], name=op.f("fk_acknowledgement_made")),
        sa.ForeignKeyConstraint(["revoked"], ["change_set.id"], name=op.f("fk_acknowledgement_revoked")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgement")),
    )
    for column in ("made", "mailbox", "revoked"):
        op.create_index(op.f(f"ix_acknowledgement_{column}"), "acknowledgement", [column])
