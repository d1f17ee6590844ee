"""The aggregate: runs, mailboxes, sender patterns, change sets, entries as intervals."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_run()
    _create_mailbox()
    _create_pattern()
    _create_change_set()
    _create_entry()


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.Column("what", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )


def _create_mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("rule_id", sa.Text(), nullable=True),
        sa.Column("change_key", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("lists", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("include_contacts", sa.Boolean(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=50), nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=True),
        sa.Column("doubt", sa.Text(), nullable=True),
        sa.Column("doubt_runs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_mailbox_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sa.UniqueConstraint("address", name=op.f("uq_mailbox_address")),
    )
    op.create_index(op.f("ix_mailbox_owner"), "mailbox", ["owner"])


def _create_pattern() -> None:
    # Byte order on every database, so that what is published does not depend on a locale.
    sender_text = sa.String(length=320).with_variant(sa.String(length=320, collation="C"), "postgresql")
    op.create_table(
        "pattern",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("text", sender_text, nullable=False),
        sa.Column("form", sa.SmallInteger(), nullable=False),
        sa.Column("refusal", sa.String(length=50), nullable=True),
        sa.Column("trusted_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pattern")),
        sa.UniqueConstraint("text", "form", name=op.f("uq_pattern_text")),
    )


def _create_change_set() -> None:
    op.create_table(
        "change_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_change_set_run_id")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_change_set_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_set")),
    )


def _create_entry() -> None:
    op.create_table(
        "entry",
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("list", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pattern_id", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_entry_mailbox_id")),
        sa.ForeignKeyConstraint(["pattern_id"], ["pattern.id"], name=op.f("fk_entry_pattern_id")),
        sa.ForeignKeyConstraint(["added"], ["change_set.id"], name=op.f("fk_entry_added")),
        sa.ForeignKeyConstraint(["removed"], ["change_set.id"], name=op.f("fk_entry_removed")),
        sa.PrimaryKeyConstraint("mailbox_id", "list", "pattern_id", "added", name=op.f("pk_entry")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_entry_pattern_id"), "entry", ["pattern_id"])
