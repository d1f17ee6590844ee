"""A safelist that is watched: its Exchange, its database, its map, and runs at whatever time."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from safelist import config, store
from safelist.cli.configuration import load_config
from safelist.collector.collect import MailboxResult
from safelist.collector.source import Selection
from safelist.junkrule import JunkRule
from safelist.runs.publish import Publishing, publish
from safelist.runs.sync import SourceRun, SyncOptions, sync
from safelist.store.schema import VERSION_TABLE
from tests import aggregate
from tests.cli.command import Command, Done
from tests.exchange import DemoServer, Mailbox, Organisation

FRIEND = "friend@example.org"
PEOPLE = [f"{name}@example.com" for name in ("boss", "reception", "you")]
BOSS = PEOPLE[0]


class _NobodyLooksOn:
    @contextmanager
    def collecting(self, source: str, selection: Selection) -> Iterator[Callable[[MailboxResult], None]]:
        yield lambda result: None

    def end(self, run: SourceRun) -> None:
        pass


@dataclass(frozen=True)
class Watched:
    """Everything; what is done is done so long ago as is said."""

    safelist: Command
    organisation: Organisation
    server: DemoServer

    @property
    def config(self) -> config.Config:
        return load_config(self.safelist.config)

    def configure(self, **sections: dict[str, Any]) -> None:
        self.safelist.configure(self.server, PEOPLE, **sections)

    def sync(self, ago: timedelta = timedelta(), **options: Any) -> list[SourceRun]:
        with store.open_store(self.config.database.url) as opened:
            chosen = SyncOptions(self.config.collect.lists, goes_on=True, **options)
            return sync(opened, self.config, chosen, _NobodyLooksOn(), _clock(ago), "root")

    def publish(self, ago: timedelta = timedelta()) -> list[Publishing]:
        with store.open_store(self.config.database.url) as opened:
            return publish(opened, self.config, [], _clock(ago), "root")

    def run(self, ago: timedelta = timedelta()) -> None:
        """What the timer does."""
        self.sync(ago)
        self.publish(ago)

    def say(self, statement: str) -> None:
        """Do something to the database that no safelist of this version does."""
        with closing(sqlite3.connect(self.safelist.database)) as connection:
            connection.execute(statement)
            connection.commit()

    def of_a_schema(self, revision: str) -> None:
        self.say(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")

    def status(self, *options: str) -> Done:
        return self.safelist("status", *options)

    def findings(self) -> list[tuple[str, str, str]]:
        """Severity, subject and text of each; the exit code is that of the whole."""
        done = self.status("--json")
        found = done.json
        assert (done.code, done.err) == (["OK", "WARNING", "CRITICAL", "UNKNOWN"].index(found["state"]), "")
        return [(each["state"], each["subject"], each["text"]) for each in found["findings"]]


def _clock(ago: timedelta) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) - ago


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    """Three people of whom all trust one sender; nothing was run yet."""
    organisation = Organisation.of(Mailbox(address, JunkRule(safe_senders=(FRIEND,))) for address in PEOPLE)
    with DemoServer(organisation) as server:
        found = Watched(Command(directory), organisation, server)
        found.configure()
        aggregate.create(found.safelist.database)
        yield found
