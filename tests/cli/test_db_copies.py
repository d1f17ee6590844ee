"""``safelist db backup``, ``restore`` and ``copy``, as an administrator uses them."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from safelist import store
from safelist.junkrule import JunkRule
from tests.cli.command import Command
from tests.cli.conftest import AOL
from tests.exchange import DemoServer
from tests.store import postgres

_numbers = count()


@pytest.fixture
def empty(postgres_home: Path) -> Iterator[str]:
    """The URL of a PostgreSQL database that holds nothing."""
    with postgres.database(postgres_home, f"moved{next(_numbers)}") as url:
        yield url


def switch(safelist: Command, url: str) -> None:
    """Name another database in the configuration."""
    text = safelist.config.read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("url = "))
    safelist.config.write_text(text.replace(line, f'url = "{url}"'))


def head(safelist: Command, *options: str) -> str:
    found = safelist("audit", "verify", "--json", *options)
    assert found.code == 0
    return str(found.json["head"])


def test_a_sync_goes_on_where_the_old_database_stopped(safelist: Command, server: DemoServer, empty: str) -> None:
    """To PostgreSQL, and back into a file."""
    assert safelist("override", "allow", "bob@aol.com", "--reason", "customer").code == 0
    assert safelist("sync", "--publish").code == 0
    (changed, *_) = server.organisation.mailboxes.values()
    for number, url in enumerate((empty, f"sqlite:///{safelist.directory / 'back.db'}")):
        before, published = head(safelist), safelist.map.stat().st_mtime_ns
        copied = safelist("db", "copy", url, "--json")
        assert (copied.json["head"], copied.json["to"]) == (before, store.shown_url(url))
        switch(safelist, url)
        assert safelist("publish").code == 0
        assert safelist.map.stat().st_mtime_ns == published, "nothing is published anew"
        changed.set_rule(JunkRule(safe_senders=(AOL, f"new{number}@partner.example")))
        assert safelist("sync").code == 0
        who = safelist("audit", "who", f"new{number}@partner.example", "--json").json
        assert [each["mailbox"] for each in who["entries"]] == [changed.address]
        assert safelist("override", "revoke", str(number + 1), "--reason", "moved").code == 0
        assert safelist("override", "allow", "bob@aol.com", "--reason", "customer").code == 0
        assert safelist("publish").code == 0
        assert head(safelist, "--contains", before) != before


def test_a_backup_is_restored_into_what_replaces_a_lost_database(safelist: Command, empty: str) -> None:
    """An SQLite file, and another time a PostgreSQL database."""
    assert safelist("sync").code == 0
    file, before = safelist.directory / "backup.db", head(safelist)
    assert safelist("db", "backup", str(file)).out == ""
    assert file.stat().st_mode & 0o777 == 0o600
    for url in (f"sqlite:///{safelist.database}", empty):
        for each in safelist.database.parent.iterdir():
            each.unlink()
        switch(safelist, url)
        assert safelist("sync").code == 78
        assert safelist("db", "restore", str(file)).out == ""
        assert head(safelist) == before
        assert safelist("sync").code == 0
        assert safelist("db", "restore", str(file)).code == 78


def test_a_backup_of_postgresql_is_a_file_too(safelist: Command, empty: str) -> None:
    switch(safelist, empty)
    file = safelist.directory / "backup.db"
    assert [safelist(*line.split()).code for line in ("db upgrade", "sync", f"db backup {file}")] == [0, 0, 0]
    assert head(safelist, "--database", str(file)) == head(safelist)
    again = safelist("db", "backup", str(file))
    assert again.code == 64
    assert "is there already, and was left as it is" in again.err
    assert safelist("sync").code == 0
    assert safelist("db", "backup", "--replace", str(file)).code == 0
    assert head(safelist, "--database", str(file)) == head(safelist)


def test_what_is_said_on_a_terminal(safelist: Command) -> None:
    assert safelist("sync").code == 0
    code, seen = safelist.on_a_terminal("db", "copy", str(safelist.directory / "copy.db"))
    assert code == 0
    assert "copied 3 rows of mailbox\r\n" in seen
    assert f"copy.db: holds what {safelist.database} held: 3 mailboxes, 6 entries, " in seen


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("db copy nothing://x", 78, "is neither SQLite nor PostgreSQL"),
        ("db copy sqlite://", 78, "must name a file"),
        ("db restore missing.db", 64, "FILE: missing.db: no such file; name a backup"),
        ("audit verify --database missing.db", 64, "--database: missing.db: no such file"),
        ("audit who a@b.example --database x://y", 78, "--database: "),
        ("db backup x.db --group nobody-has-it", 64, "groupadd nobody-has-it"),
    ],
)
def test_what_cannot_be_is_said(safelist: Command, line: str, code: int, said: str) -> None:
    done = safelist(*line.split())
    assert (done.code, said in done.err) == (code, True), done


def test_a_copy_waits_for_no_run_and_a_second_copy_is_told_of_the_first(safelist: Command) -> None:
    """A run at the source may go on; two copies into one target may not."""
    from safelist.cli.terminal import now

    assert safelist("sync").code == 0
    target = f"sqlite:///{safelist.directory / 'copy.db'}"
    with store.hold(f"sqlite:///{safelist.database}", "sync", now()), store.hold(target, "db copy", now()):
        busy = safelist("db", "copy", target)
        assert (busy.code, "another safelist is at work: db copy by" in busy.err) == (75, True)
    with store.hold(f"sqlite:///{safelist.database}", "sync", now()):
        assert safelist("db", "copy", target).code == 0


def test_every_question_is_asked_of_a_backup(safelist: Command) -> None:
    """The configured database is gone; what only asks the database needs no configuration at all."""
    assert safelist("sync").code == 0
    assert safelist("override", "allow", "bob@aol.com", "--reason", "customer").code == 0
    file = safelist.directory / "backup.db"
    assert safelist("db", "backup", str(file)).code == 0
    before = file.read_bytes()
    for each in safelist.database.parent.iterdir():
        each.unlink()
    lines = [
        f"audit who {AOL}", f"audit why {AOL}", "audit mailbox desk1@corp.example", "audit changes",
        "audit report --html -", "audit history", "audit verify", "override list", "override show 1",
        "override export", "db verify",
    ]  # fmt: skip
    for line in lines:
        done = safelist(*line.split(), "--database", str(file))
        assert (done.code, bool(done.out)) == (0, True), (line, done)
    safelist.config.unlink()
    for line in lines[5:]:
        assert safelist(*line.split(), "--database", str(file)).code == 0, line
    assert file.read_bytes() == before
    assert {each.name for each in file.parent.iterdir()} == {"backup.db", "state"}
    assert list(safelist.database.parent.iterdir()) == []
