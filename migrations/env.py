"""What the ``alembic`` command does: the database of SAFELIST_DATABASE_URL, or an up-to-date one in memory."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from safelist.store import migration
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import VERSION_TABLE, metadata


def run(connection: Connection) -> None:
    """Let alembic work on ``connection``."""
    context.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


if url := os.environ.get("SAFELIST_DATABASE_URL"):
    engine = make_engine(parse_url(url), is_upgrade=True)
    with engine.execution_options(writes=True).begin() as connection:
        run(connection)
else:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        migration.apply(connection)
        run(connection)
engine.dispose()
