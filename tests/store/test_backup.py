"""A backup is one whole file, or none; and it is read wherever it lies, by whoever may read it."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from safelist import store
from safelist.errors import (
    ConfigError,
    PermissionDeniedError,
    TamperedError,
    TemporaryError,
    UnavailableError,
    UsageError,
)
from safelist.store import Window
from tests.forked import exit_code
from tests.store import test_chain
from tests.store.conftest import Fill
from tests.store.samples import LATER, SAFE, SEEN, entries
from tests.store.test_copying import fill, rows

ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
NOBODY = 65534


@pytest.fixture
def source(copied: Callable[[Fill], str]) -> str:
    return copied(fill)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory / "safelist.db"


def test_a_backup_holds_everything_and_is_its_owners_alone(source: str, file: Path) -> None:
    made = store.backup(source, file)
    assert rows(f"sqlite:///{file}?mode=ro") == rows(source)
    with store.open_store(source) as opened:
        assert opened.verify_chain() == (made.change_sets, made.head, None)
    assert made.rows == {name: len(each) for name, each in rows(source).items()}
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41", "a b", "ä&x=1"])
def test_any_name_of_a_file_will_do(source: str, file: Path, tmp_path: Path, name: str) -> None:
    odd = file.with_name(name)
    made = store.backup(source, odd)
    assert list(file.parent.iterdir()) == [odd]
    restored = store.copy(store.read_only_url(store.url_of_file(odd)), f"sqlite:///{tmp_path / 'restored.db'}")
    assert restored.head == made.head


def test_a_file_that_is_there_is_replaced_only_where_that_is_wanted(source: str, file: Path) -> None:
    file.write_text("dear")
    with pytest.raises(UsageError, match=r"is there already.*--replace"):
        store.backup(source, file)
    assert file.read_text() == "dear"
    store.backup(source, file, replace=True)
    assert rows(f"sqlite:///{file}?mode=ro") == rows(source)
    assert list(file.parent.iterdir()) == [file]


@ON_SQLITE
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", ".lock"])
def test_the_database_is_not_replaced_by_its_own_backup(source: str, end: str, tmp_path: Path) -> None:
    before = rows(source)
    own = Path(source.removeprefix("sqlite:///"))
    link, hard = tmp_path / "link", tmp_path / "hard"
    link.symlink_to(own)
    hard.hardlink_to(own)
    named = own.with_name(own.name + end)
    for path in (named, *((link, hard) if not end else ())):
        was = path.lstat().st_ino if path.exists() else None
        with pytest.raises(UsageError, match="is the database itself, or a file that belongs to it"):
            store.backup(source, path, replace=True)
        assert (path.lstat().st_ino if path.exists() else None) == was
    assert rows(source) == before


def test_a_group_may_read_it_too(source: str, file: Path) -> None:
    store.backup(source, file, group=os.getgid())
    assert (file.stat().st_mode & 0o777, file.stat().st_gid) == (0o640, os.getgid())


def test_a_record_that_was_changed_does_not_replace_a_good_backup(source: str, file: Path) -> None:
    store.backup(source, file)
    before = file.read_bytes()
    test_chain.tamper(source, "UPDATE run SET actor = 'nobody' WHERE id = 1")
    with pytest.raises(TamperedError, match=r"change set 1 .*audit verify"):
        store.backup(source, file, replace=True)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@ON_SQLITE
def test_a_transaction_that_is_open_is_not_in_it_and_does_not_hold_it_up(source: str, file: Path) -> None:
    path = source.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE mailbox SET problem = 'half'")
        made = store.backup(source, file)
        writer.rollback()
    assert rows(f"sqlite:///{file}?mode=ro") == rows(source)
    assert made.change_sets > 0


@ON_SQLITE
def test_what_is_no_aggregate_leaves_no_backup(source: str, file: Path) -> None:
    with pytest.raises(ConfigError, match="there is no database yet"):
        store.backup(f"sqlite:///{file}.missing", file)
    with pytest.raises(UnavailableError, match="cannot be created"):
        store.backup(source, file.parent / "missing" / "backup.db")
    assert list(file.parent.iterdir()) == []


@pytest.fixture
def evidence(source: str) -> Iterator[Path]:
    """A directory that everybody may read and nobody write, with a backup, and with a file as `cp` makes it."""
    directory = Path(tempfile.mkdtemp(prefix="safelist-evidence-", dir="/var/tmp"))
    try:
        store.backup(source, directory / "backup.db")
        with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        shutil.copy(source.removeprefix("sqlite:///"), directory / "copied.db")
        for each in directory.iterdir():
            each.chmod(0o444)
        directory.chmod(0o555)
        yield directory
    finally:
        directory.chmod(0o700)
        shutil.rmtree(directory)


def asked_by_nobody(work: Callable[[], object]) -> int:
    """Do the work as a user who owns nothing, as far as this one may become another."""

    def become_nobody() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return exit_code(become_nobody)


@ON_SQLITE
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become a user who is in no group: run it as root")
def test_a_file_for_a_group_that_is_not_ones_own_is_not_written(source: str, evidence: Path) -> None:
    directory = evidence / "of-nobody"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)

    def write() -> None:
        with pytest.raises(PermissionDeniedError, match="may not give a file to that group"):
            store.backup(f"sqlite:///{evidence / 'backup.db'}", directory / "mine.db", group=0)

    assert asked_by_nobody(write) == 0
    assert list(directory.iterdir()) == []


@ON_SQLITE
@pytest.mark.parametrize("name", ["backup.db", "copied.db"])
@pytest.mark.parametrize("query", ["", "?mode=ro"])
def test_a_file_that_nobody_may_write_is_read_and_nothing_is_left_beside_it(
    source: str, evidence: Path, name: str, query: str
) -> None:
    before = (evidence / name).read_bytes()
    with store.open_store(source) as opened:
        head, happened = opened.head(), list(opened.events(Window()))

    def ask() -> None:
        with store.open_store(f"sqlite:///{evidence / name}{query}") as opened:
            assert opened.verify_chain().head == head
            assert list(opened.events(Window())) == happened
            with opened.at_one_moment() as held:
                assert held.recount() == []
            with pytest.raises(PermissionDeniedError, match="readonly"):
                opened.begin_run(LATER, "sync", "nobody")

    assert asked_by_nobody(ask) == 0
    assert {each.name for each in evidence.iterdir()} == {"backup.db", "copied.db"}
    assert (evidence / name).read_bytes() == before


@ON_SQLITE
def test_only_reading_leaves_the_file_as_it_is_also_for_its_owner(source: str, file: Path) -> None:
    store.backup(source, file)
    before = file.read_bytes()
    with store.open_store(f"sqlite:///{file}?mode=ro") as opened:
        assert opened.verify_chain().problem is None
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@ON_SQLITE
def test_only_reading_beside_a_run_sees_what_the_run_has_recorded(source: str) -> None:
    with store.open_store(source) as writer, store.open_store(f"{source}?mode=ro") as reader:
        writer.record(1, "new@corp.example", SEEN._replace(owner="new"), entries("n@x.org"), SAFE, LATER)
        assert reader.head() == writer.head()
        assert reader.mailbox("new@corp.example") is not None


@ON_SQLITE
def test_what_was_written_while_it_was_read_is_no_answer(source: str) -> None:
    path = source.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with store.open_store(f"{source}?mode=ro") as reader:
        assert reader.verify_chain().problem is None
        with store.open_store(source) as writer:
            writer.record(1, "new@corp.example", SEEN._replace(owner="new"), entries("n@x.org"), SAFE, LATER)
        with pytest.raises(TemporaryError, match="written while it was read"):
            reader.head()


@ON_SQLITE
def test_a_file_that_took_the_place_of_the_one_that_is_read_does_no_harm(source: str, file: Path) -> None:
    store.backup(source, file)
    with store.open_store(f"sqlite:///{file}?mode=ro") as reader:
        head = reader.head()
        store.backup(source, file, replace=True)
        assert reader.head() == head


@pytest.mark.parametrize("query", ["mode=rw", "immutable=1"])
def test_other_ways_of_opening_are_refused(query: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^database\.url: .*mode"):
        store.open_store(f"sqlite:///{tmp_path}/x.db?{query}")
