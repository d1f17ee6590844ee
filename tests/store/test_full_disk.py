"""A disk that is full, on a real one of a few megabytes: which file, why, and what to do."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from safelist import store
from safelist.errors import EX_UNAVAILABLE, TemporaryError, UnavailableError
from tests.cli.command import Command
from tests.store import postgres
from tests.store.samples import NOW, SAFE, SEEN, entries


@contextmanager
def disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of that size, mounted there."""
    at.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here: run the tests as root")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    with disk(tmp_path / "disk", "2m") as at:
        yield at


def fill(at: Path, left: int = 0) -> None:
    """Leave that many bytes free."""
    with (at / "filler").open("wb", buffering=0) as file:
        room = os.statvfs(at)
        file.write(bytes(room.f_bavail * room.f_frsize - left))


FULL = r"the disk is full; make room and run it again; nothing that was recorded is lost$"


def test_shared_memory_of_the_database(small: Path) -> None:
    url = f"sqlite:///{small}/safelist.db"
    store.upgrade(url)
    fill(small)
    with pytest.raises(UnavailableError, match=rf"^{small}/safelist\.db(-shm)?: .*{FULL}") as caught:
        store.open_store(url)
    assert caught.value.exit_code == EX_UNAVAILABLE


def test_in_the_middle_of_a_recording(small: Path) -> None:
    url = f"sqlite:///{small}/safelist.db"
    store.upgrade(url)
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries("a@x.org"), SAFE, NOW)
        fill(small)
        many = entries(*(f"{n}@x.org" for n in range(3000)))
        with pytest.raises(UnavailableError, match=rf"^{small}/safelist\.db: .*{FULL}"):
            opened.record(run, "u@x", SEEN, many, SAFE, NOW)
        (small / "filler").unlink()
        assert [h.pattern.text for h in opened.listing("u@x")] == ["a@x.org"]
        assert opened.verify_chain().problem is None


def test_a_new_database(small: Path) -> None:
    fill(small)
    with pytest.raises(UnavailableError, match=rf"^{small}/safelist\.db.*: .*{FULL}"):
        store.upgrade(f"sqlite:///{small}/safelist.db")


def test_the_lock_file(small: Path) -> None:
    store.upgrade(url := f"sqlite:///{small}/safelist.db")
    fill(small)
    with store.hold(url, "sync", NOW), pytest.raises(TemporaryError), store.hold(url, "sync", NOW):
        pass  # it is locked, although there is no room to say by whom
    (small / "filler").unlink()
    with store.hold(url, "sync", NOW):
        assert str(os.getpid()) in (small / "safelist.db.lock").read_text()


def test_no_more_files_fit(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "1m,nr_inodes=2") as at:
        (at / "filler").touch()
        with pytest.raises(UnavailableError, match=rf"^{at}/safelist\.db: cannot be created: {FULL}"):
            store.upgrade(f"sqlite:///{at}/safelist.db")
        with pytest.raises(UnavailableError, match=rf"^{at}/safelist\.db\.lock: cannot be opened: {FULL}"):
            store.hold(f"sqlite:///{at}/safelist.db", "sync", NOW).__enter__()


def test_a_disk_that_is_read_only(small: Path) -> None:
    url = f"sqlite:///{small}/safelist.db"
    store.upgrade(url)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(
        UnavailableError, match=r"safelist\.db: .*: the disk is mounted read-only; mount it for writing"
    ):
        store.upgrade(url)
    with (
        pytest.raises(UnavailableError, match=r"\.lock: cannot be opened: the disk is mounted read-only"),
        store.hold(url, "sync", NOW),
    ):
        pass


def test_what_the_command_says(tmp_path: Path, small: Path) -> None:
    command = Command(tmp_path)
    command.config.write_text(f'[database]\nurl = "sqlite:///{small}/safelist.db"\n')
    assert command("db", "upgrade").code == 0
    fill(small)
    done = command("db", "upgrade")
    assert (done.code, done.out) == (EX_UNAVAILABLE, "")
    (line,) = done.err.splitlines()
    assert re.match(rf"safelist: {small}/safelist\.db.*: the disk is full; make room", line), line


def test_the_disk_of_a_postgresql_server(postgres_home: Path) -> None:
    with disk(postgres_home / "small", "24m") as at:
        if (user := postgres.owner()) is not None:
            os.chown(at, user.pw_uid, user.pw_gid)
        with psycopg.connect(host=str(postgres_home), user="safelist", dbname="postgres", autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{at}'")
            with postgres.database(postgres_home, "full", "TABLESPACE small") as url:
                store.upgrade(url)
                with store.open_store(url) as opened:
                    run = opened.begin_run(NOW, "sync", "root")
                    fill(at)
                    many = entries(*(f"{n}@x.org" for n in range(3000)))
                    with pytest.raises(UnavailableError, match="the server's disk is full; make room there"):
                        opened.record(run, "u@x", SEEN, many, SAFE, NOW)
                    (at / "filler").unlink()
                    opened.record(run, "u@x", SEEN, many, SAFE, NOW)
                    assert opened.verify_chain().problem is None
            admin.execute("DROP TABLESPACE small")
