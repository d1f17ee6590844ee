"""One publication at a time, which nobody else can hold up; and disks that are full."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from safelist import store
from safelist.errors import PermissionDeniedError, TemporaryError, UnavailableError
from safelist.policy import Settings as Policy
from safelist.publisher.files import alone
from safelist.publisher.publish import publish
from safelist.publisher.targets import filter_snapshot
from safelist.snapshot import Snapshot
from safelist.store import lockfile
from tests import aggregate
from tests.publisher.site import INSTALLED, NOW, fill, many, names, needs_root, state, write
from tests.publisher.test_publish import open_directory

__all__ = ["open_directory"]


HOLD = """
import fcntl, os, sys
os.setuid(int(sys.argv[1]))
handles = []
for path in sys.argv[2:]:
    try:
        handles.append(os.open(path, os.O_RDONLY))
        fcntl.flock(handles[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError:
        print("refused", end=" ")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(uid: int, *paths: Path) -> Iterator[str]:
    """A process of that user that holds flock on whatever of ``paths`` it may open; what it says of the others."""
    command = [sys.executable, "-c", HOLD, str(uid), *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline()
        assert process.stdin is not None
        process.stdin.close()


@needs_root
def test_whoever_may_read_the_directory_and_the_map_cannot_stop_a_publication(open_directory: Path) -> None:
    path = open_directory / "safelist"
    write(path, many(1))
    with holding(65534, open_directory, path) as said:
        assert said == "held\n"
        assert write(path, many(2)).changed


@needs_root
def test_nobody_else_can_open_the_lock(open_directory: Path) -> None:
    with alone(open_directory / "safelist"), holding(65534, open_directory / ".safelist.lock") as said:
        assert said == "refused held\n"
    assert names(open_directory) == []


@needs_root
def test_a_lock_file_that_others_can_open_is_replaced(open_directory: Path) -> None:
    lock = open_directory / ".safelist.lock"
    lock.touch()
    lock.chmod(0o644)
    with holding(65534, lock) as said:
        assert said == "held\n"
        assert write(open_directory / "safelist", many(1)).changed


@needs_root
def test_a_strangers_lock_file_is_refused_and_he_is_named(open_directory: Path) -> None:
    open_directory.chmod(0o1777)
    lock = open_directory / ".safelist.lock"
    lock.touch(0o600)
    os.chown(lock, 65534, 65534)
    with pytest.raises(PermissionDeniedError, match=r"\.safelist\.lock: nobody put this lock file there.*remove it"):
        write(open_directory / "safelist", many(1))


@needs_root
def test_root_does_not_lock_out_the_owner_of_the_directory(open_directory: Path) -> None:
    os.chown(open_directory, 65534, -1)
    handle = lockfile.take(open_directory / "lock")
    assert os.fstat(handle).st_uid == 65534
    os.close(handle)


def test_the_second_is_told_who_is_first_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    place = tmp_path / "safelist"
    who = rf"process {os.getpid()} of uid {os.getuid()}.*nothing was done"
    with alone(place), pytest.raises(TemporaryError, match=who), alone(place, 0.2):
        pass
    assert names(tmp_path) == []


@needs_root
@pytest.mark.parametrize("map_type", ["texthash", *INSTALLED])
def test_a_full_disk_under_the_map_is_named_and_the_old_map_stays(small_disk: Path, map_type: str) -> None:
    path = small_disk / "safelist"
    write(path, many(2), map_type)
    fill(small_disk)
    before = state(small_disk)
    with pytest.raises(UnavailableError, match=rf"{path}: .*No space left on device") as caught:
        write(path, many(400), map_type)
    assert "the old map stays in use" in str(caught.value)
    assert state(small_disk) == before


@needs_root
def test_a_full_disk_under_the_snapshot_is_named_and_the_old_one_stays(
    small_disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = small_disk / "snapshot"
    chosen = filter_snapshot.FilterSettings.model_validate({"path": path})
    url = aggregate.create(tmp_path_factory.mktemp("store") / "safelist.db")
    with store.open_store(url) as opened:
        publish(opened, Policy(), filter_snapshot.TARGET, chosen, lambda: NOW)
        fill(small_disk)
        with pytest.raises(UnavailableError, match=rf"{path}: .*No space left on device.*make room on that disk"):
            publish(opened, Policy(quorum=3), filter_snapshot.TARGET, chosen, lambda: NOW)
    with Snapshot(path) as old:
        assert old.settings.quorum == 2
    assert names(small_disk) == ["ballast", "snapshot"]
