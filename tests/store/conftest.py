"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from safelist import store
from tests import aggregate
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


@pytest.fixture(scope="session")
def template(postgres_home: Path) -> Iterator[str]:
    """The name of a database in that cluster that is an aggregate without mailboxes, to be copied."""
    with postgres.database(postgres_home, "template") as url:
        store.upgrade(url)
        yield "template"


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that holds nothing yet."""
    if kind == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    with postgres.database(request.getfixturevalue("postgres_home"), f"test{next(_numbers)}") as url:
        yield url


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an aggregate without mailboxes."""
    if kind == "sqlite":
        yield aggregate.create(tmp_path / "state" / "safelist.db")
        return
    home, template = (request.getfixturevalue(name) for name in ("postgres_home", "template"))
    with postgres.database(home, f"test{next(_numbers)}", postgres.copy_of(template)) as url:
        yield url


@pytest.fixture
def opened(url: str) -> Iterator[store.Store]:
    """An aggregate without mailboxes, open."""
    with store.open_store(url) as opened:
        yield opened
