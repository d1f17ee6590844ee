"""Every mailbox is read once more: this version reads as addresses what earlier ones refused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_mailbox = sa.table("mailbox", *map(sa.column, ("change_key", "digest")))


def upgrade() -> None:
    """Forget what saves the reading of a rule; the entries stay as they are until it is read."""
    op.execute(sa.update(_mailbox).values(change_key=None, digest=None))
