"""Every test of the store runs on SQLite and on a real PostgreSQL."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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


Fill = Callable[[store.Store], object]


@pytest.fixture(scope="session")
def templates() -> dict[tuple[str, Fill], str]:
    """What was filled: an SQLite file, or the name of a database of the cluster."""
    return {}


@pytest.fixture
def copied(
    kind: str, tmp_path: Path, templates: dict[tuple[str, Fill], str], request: pytest.FixtureRequest
) -> Iterator[Callable[[Fill], str]]:
    """Makes an aggregate that is as ``fill`` leaves it, which is called once: the others are copies. Its URL."""

    def copy(fill: Fill) -> str:
        if (kind, fill) not in templates:
            templates[kind, fill] = make(fill)
        template = templates[kind, fill]
        if kind == "sqlite":
            path = tmp_path / "state" / "safelist.db"
            path.parent.mkdir(mode=0o700)
            shutil.copy(template, path)
            return f"sqlite:///{path}"
        options = postgres.copy_of(template)
        return databases.enter_context(postgres.database(home(), f"test{next(_numbers)}", options))

    def make(fill: Fill) -> str:
        if kind == "sqlite":
            template = str(request.getfixturevalue("tmp_path_factory").mktemp("template") / "safelist.db")
            url = aggregate.create(Path(template))
        else:
            template = f"filled{next(_numbers)}"
            url = postgres.create(home(), template)
            store.upgrade(url)
        with store.open_store(url) as opened:
            fill(opened)
        return template

    def home() -> Path:
        return Path(request.getfixturevalue("postgres_home"))

    with ExitStack() as databases:
        yield copy


def nothing(_: store.Store) -> None:
    """What an aggregate without mailboxes is filled with."""


@pytest.fixture
def url(copied: Callable[[Fill], str]) -> str:
    """The URL of an aggregate without mailboxes."""
    return copied(nothing)


@pytest.fixture
def opened(url: str) -> Iterator[store.Store]:
    """An aggregate without mailboxes, open."""
    with store.open_store(url) as opened:
        yield opened
