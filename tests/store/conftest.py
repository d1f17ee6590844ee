"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from safelist import store
from tests.store import postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres_home() -> Iterator[Path]:
    """The directory of a running PostgreSQL's socket."""
    with postgres.cluster() as home:
        yield home


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'state' / 'safelist.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that holds nothing yet."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    with postgres.database(request.getfixturevalue("postgres_home"), f"test{next(_numbers)}") as url:
        yield url


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of an aggregate without mailboxes."""
    store.upgrade(empty_url)
    return empty_url


@pytest.fixture
def opened(url: str) -> Iterator[store.Store]:
    """An aggregate without mailboxes, open."""
    with store.open_store(url) as opened:
        yield opened
