"""One writer at a time, between real processes."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from safelist import store
from safelist.errors import EX_TEMPFAIL, PermissionDeniedError, TemporaryError, UnavailableError
from safelist.policy import Settings
from safelist.store.database import parse_url
from tests.store.samples import NOW
from tests.store.test_failures import as_nobody

HOLD = """
import sys
from datetime import UTC, datetime
from safelist import store
with store.hold(sys.argv[1], "sync", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_second_writer_is_told_who_is_first(url: str) -> None:
    with holder(url) as process, pytest.raises(TemporaryError) as caught, store.hold(url, "db upgrade", NOW):
        pass
    message = str(caught.value)
    assert "another safelist is at work: sync by " in message
    assert str(process.pid) in message
    assert "since 2026-11-23 12:00 UTC" in message
    assert message.endswith("; nothing was done")
    assert caught.value.exit_code == EX_TEMPFAIL


def test_a_link_to_the_database_is_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    link = store.hold(f"sqlite:///{tmp_path}/link.db", "sync", NOW)
    with holder(f"sqlite:///{tmp_path}/real.db"), pytest.raises(TemporaryError), link:
        pass


def test_lock_is_free_afterwards(url: str) -> None:
    with holder(url):
        pass
    entered = 0
    for _ in range(2):
        with store.hold(url, "sync", NOW):
            entered += 1
    assert entered == 2


def test_lock_of_a_killed_holder_is_free(url: str) -> None:
    with holder(url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(50):
        try:
            with store.hold(url, "sync", NOW):
                return
        except TemporaryError:
            # PostgreSQL notices a lost connection when it next looks at it.
            time.sleep(0.1)
    pytest.fail("the lock is still held")


def test_lock_is_released_by_an_error(url: str) -> None:
    with pytest.raises(RuntimeError, match="inside"), store.hold(url, "sync", NOW):
        raise RuntimeError("inside")
    with store.hold(url, "sync", NOW):
        assert True


def test_readers_need_no_lock(url: str) -> None:
    with holder(url), store.open_store(url) as opened:
        assert list(opened.candidates(Settings(), NOW)) == []


def test_sources_are_collected_side_by_side_and_each_by_one(url: str) -> None:
    with store.hold(url, "sync", NOW, "exchange"):
        with store.hold(url, "sync", NOW, "subsidiary"):
            pass
        with (
            pytest.raises(TemporaryError, match=f"sync by .*{os.getpid()}"),
            store.hold(url, "sync", NOW, "exchange"),
        ):
            pass
    with store.hold(url, "sync", NOW, "exchange"):
        assert True


def test_who_changes_the_whole_waits_for_no_source_and_no_source_for_him(url: str) -> None:
    told = f"another safelist is at work: {{}} by .*{os.getpid()}.* since 2026-11-23 12:00 UTC"
    with store.hold(url, "sync", NOW, "subsidiary"):
        with pytest.raises(TemporaryError, match=told.format("sync")), store.hold(url, "db upgrade", NOW):
            pass
        with store.hold(url, "sync", NOW, "exchange"):
            assert True
    with (
        store.hold(url, "forget", NOW),
        pytest.raises(TemporaryError, match=told.format("forget")),
        store.hold(url, "sync", NOW, "exchange"),
    ):
        pass
    with store.hold(url, "db upgrade", NOW):
        assert True


def lock_file(url: str) -> Path:
    return Path(f"{parse_url(url).database}.lock")


def test_stale_text_is_no_obstacle(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    lock_file(sqlite_url).write_text(json.dumps({"what": "sync", "user": "x", "host": "y", "pid": 1, "since": "z"}))
    with store.hold(sqlite_url, "sync", NOW):
        assert json.loads(lock_file(sqlite_url).read_text())["pid"] == os.getpid()
    assert lock_file(sqlite_url).read_text() == ""
    assert lock_file(sqlite_url).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"what": 1}', "\xff" * 3000])
def test_holder_that_cannot_be_read(sqlite_url: str, text: str) -> None:
    store.upgrade(sqlite_url)
    with holder(sqlite_url):
        lock_file(sqlite_url).write_text(text, encoding="latin-1")
        with pytest.raises(TemporaryError, match="does not say who"), store.hold(sqlite_url, "sync", NOW):
            pass


def test_lock_file_that_is_a_symbolic_link(sqlite_url: str, tmp_path: Path) -> None:
    store.upgrade(sqlite_url)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock_file(sqlite_url).symlink_to(victim)
    with pytest.raises(UnavailableError, match="symbolic link"), store.hold(sqlite_url, "sync", NOW):
        pass
    assert victim.read_text() == "precious"


def test_a_lock_file_that_others_could_open_and_hold_stops_nobody(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    lock_file(sqlite_url).touch()
    lock_file(sqlite_url).chmod(0o644)
    with lock_file(sqlite_url).open("rb") as opened_by_others:
        fcntl.flock(opened_by_others, fcntl.LOCK_EX)
        with store.hold(sqlite_url, "sync", NOW):
            assert lock_file(sqlite_url).stat().st_mode & 0o777 == 0o600
            assert json.loads(lock_file(sqlite_url).read_text())["pid"] == os.getpid()


def test_lock_file_of_somebody_else(sqlite_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    store.upgrade(sqlite_url)
    lock_file(sqlite_url).touch(0o400)
    lock_file(sqlite_url).chmod(0o400)
    with as_nobody(), pytest.raises(PermissionDeniedError, match="by this user"), store.hold(sqlite_url, "sync", NOW):
        pass
    assert lock_file(sqlite_url).read_text() == ""


def test_lock_of_a_server_that_is_not_there() -> None:
    with (
        pytest.raises(UnavailableError, match=r"@127\.0\.0\.1:1/x"),
        store.hold("postgresql://u@127.0.0.1:1/x", "sync", NOW),
    ):
        pass
