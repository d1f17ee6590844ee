"""A PostgreSQL with amavisd's tables, and an amavisd that asks them, once for all tests here."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.store import Store
from tests import aggregate
from tests.amavis import schema, servers
from tests.amavis.servers import Amavisd
from tests.filter.dns_server import nameserver
from tests.mail import world
from tests.postfix.servers import mailboxes
from tests.store import postgres
from tests.store.samples import NOW, SEEN

_numbers = count()


@pytest.fixture(scope="session")
def amavis_home() -> Iterator[Path]:
    """A PostgreSQL server whose socket amavisd's user can reach."""
    with postgres.cluster() as home:
        home.chmod(0o755)
        yield home


@pytest.fixture
def url(amavis_home: Path) -> Iterator[str]:
    """An empty database of its own."""
    with postgres.database(amavis_home, f"amavis{next(_numbers)}") as made:
        yield made


@pytest.fixture(scope="module")
def running(amavis_home: Path) -> Iterator[tuple[Amavisd, str]]:
    """An amavisd, and the URL of the database that it asks."""
    if why := servers.missing():
        pytest.skip(why)
    name = f"amavis{next(_numbers)}"
    with postgres.database(amavis_home, name) as made:
        schema.run(made, schema.statements("postgresql"))
        lines = servers.lines(name, str(amavis_home), "safelist")
        with (
            nameserver(world.zone()) as names, mailboxes() as boxes,
            servers.amavisd(lines, names.address, boxes.port) as started,
        ):  # fmt: skip
            yield started, made


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    """An aggregate in which nothing is yet."""
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as made:
        yield made


def trust(opened: Store, mailbox: str, *senders: str, blocked: tuple[str, ...] = ()) -> None:
    """The mailbox's lists are these from now on."""
    run = opened.begin_run(NOW, "sync", "root")
    held = {Entry(UserList.SAFE_SENDERS, sender.parse(each)) for each in senders}
    held |= {Entry(UserList.BLOCKED_SENDERS, sender.parse(each)) for each in blocked}
    opened.record(run, mailbox, SEEN._replace(owner=mailbox), frozenset(held), ALL_LISTS, NOW)
    opened.end_run(run, NOW, {}, None)
