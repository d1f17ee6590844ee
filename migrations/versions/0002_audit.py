"""Overrides, publications, the chain of digests; what the policy needs of mailboxes and patterns.

Every mailbox is read once more afterwards: this version reads some entries better than the one before.
"""

import sqlalchemy as sa
from alembic import op

from safelist.store import chain

revision = "0002"
down_revision = "0001"

_mailbox = sa.table("mailbox", *map(sa.column, ("id", "address", "domain", "change_key", "digest")))

# Mailboxes that have a pattern among the trusted contacts (list 7) and do not trust it otherwise (lists 3 and 4).
_COUNT_CONTACTS = """
UPDATE pattern SET contact_of = (
    SELECT count(DISTINCT e.mailbox_id)
    FROM entry e
    WHERE e.pattern_id = pattern.id AND e.list = 7 AND e.removed IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM entry t
        WHERE t.mailbox_id = e.mailbox_id AND t.pattern_id = e.pattern_id AND t.list IN (3, 4) AND t.removed IS NULL
    )
)
WHERE form <> 0 AND id IN (SELECT pattern_id FROM entry WHERE list = 7 AND removed IS NULL)
"""


def upgrade() -> None:
    """Add the columns and fill them, create the new tables, seal what is there."""
    _widen()
    _fill()
    _create_chain()
    _create_override()
    _create_publication()
    _record_every_mailbox()
    chain.seal(op.get_bind())


def _widen() -> None:
    op.add_column("mailbox", sa.Column("domain", sa.String(length=320), nullable=False, server_default=""))
    op.add_column("mailbox", sa.Column("size", sa.Integer(), nullable=True))
    op.add_column("pattern", sa.Column("contact_of", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("change_set") as batch:
        batch.add_column(sa.Column("kind", sa.String(length=20), nullable=False, server_default="entries"))
        batch.add_column(sa.Column("digest", sa.LargeBinary(), nullable=False, server_default=""))
        batch.alter_column("mailbox_id", existing_type=sa.Integer(), nullable=True)
    op.create_index(op.f("ix_mailbox_domain"), "mailbox", ["domain"])
    for column in ("at", "run_id", "mailbox_id"):
        op.create_index(op.f(f"ix_change_set_{column}"), "change_set", [column])


def _fill() -> None:
    connection = op.get_bind()
    known = connection.execute(sa.select(_mailbox.c.id, _mailbox.c.address)).all()
    if known:
        connection.execute(
            sa.update(_mailbox).where(_mailbox.c.id == sa.bindparam("of")).values(domain=sa.bindparam("named")),
            [{"of": id_, "named": address.rpartition("@")[2]} for id_, address in known],
        )
    connection.execute(sa.update(_mailbox).values(change_key=None, digest=None))
    connection.execute(sa.text(_COUNT_CONTACTS))


def _record_every_mailbox() -> None:
    """Those without entries have no change set yet; in the second of the last one, so that the order stays."""
    op.execute(
        "INSERT INTO change_set (run_id, mailbox_id, at, kind, digest) "
        "SELECT m.run_id, m.id, (SELECT coalesce(max(at), 0) FROM change_set), 'mailbox', '' FROM mailbox m "
        "WHERE NOT EXISTS (SELECT 1 FROM change_set c WHERE c.mailbox_id = m.id)"
    )


def _create_chain() -> None:
    op.create_table(
        "chain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("change_set_id", sa.Integer(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["change_set_id"], ["change_set.id"], name=op.f("fk_chain_change_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain")),
    )


def _create_override() -> None:
    sender_text = sa.String(length=320).with_variant(sa.String(length=320, collation="C"), "postgresql")
    op.create_table(
        "override",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("effect", sa.String(length=10), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("text", sender_text, nullable=False),
        sa.Column("form", sa.SmallInteger(), nullable=False),
        sa.Column("scope", sa.String(length=320), nullable=True),
        sa.Column("authentication", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("ticket", sa.String(length=500), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.Integer(), nullable=True),
        sa.Column("revoked_why", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["made"], ["change_set.id"], name=op.f("fk_override_made")),
        sa.ForeignKeyConstraint(["revoked"], ["change_set.id"], name=op.f("fk_override_revoked")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
    )
    for column in ("made", "text", "revoked"):
        op.create_index(op.f(f"ix_override_{column}"), "override", [column])


def _create_publication() -> None:
    op.create_table(
        "publication",
        sa.Column("change_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String(length=50), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("file_digest", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["change_set_id"], ["change_set.id"], name=op.f("fk_publication_change_set_id")),
        sa.PrimaryKeyConstraint("change_set_id", name=op.f("pk_publication")),
    )
