"""A small organisation, its endpoint, and the command configured for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.junkrule import JunkRule
from tests import aggregate
from tests.cli.command import Command
from tests.exchange import DemoServer, Mailbox, Organisation
from tests.store.conftest import postgres_home

__all__ = ["postgres_home"]

AOL = "accounts.desk@aol.com"


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.of(
        Mailbox(f"desk{n}@corp.example", JunkRule(safe_senders=(AOL, f"own{n}@partner.example"))) for n in range(3)
    )


@pytest.fixture
def server(organisation: Organisation) -> Iterator[DemoServer]:
    with DemoServer(organisation) as running:
        yield running


@pytest.fixture
def safelist(tmp_path: Path, server: DemoServer, organisation: Organisation) -> Command:
    command = Command(tmp_path)
    command.configure(server, list(organisation.mailboxes))
    aggregate.create(command.database)
    return command
