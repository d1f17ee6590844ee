"""A pgbouncer of its own for the tests, before a PostgreSQL of theirs: a Unix socket, no network."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.store.postgres import as_user, owner

CONFIGURATION = """
[databases]
* = host={home}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = 5
"""


@contextmanager
def pooler(home: Path, mode: str, *settings: str) -> Iterator[Path]:
    """A running pgbouncer in that ``pool_mode`` before the cluster in ``home``; yields the directory of its socket."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    user = owner()
    directory = Path(tempfile.mkdtemp(prefix="safelist-pgb-"))
    try:
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        written = CONFIGURATION.format(home=home, directory=directory, mode=mode) + "\n".join(settings)
        (directory / "pgbouncer.ini").write_text(written)
        (directory / "users").write_text('"safelist" ""\n')
        with (directory / "log").open("wb") as log:
            command = [*as_user(user), program, str(directory / "pgbouncer.ini")]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        try:
            _wait_until_ready(process, directory)
            yield directory
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        shutil.rmtree(directory)


def _wait_until_ready(process: subprocess.Popen[bytes], directory: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, (directory / "log").read_text()
        try:
            psycopg.connect(host=str(directory), port=6432, user="safelist", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError((directory / "log").read_text())


def through(url: str, home: Path, directory: Path) -> str:
    """The URL of a database in the cluster, by way of that pooler."""
    return url.replace(f"host={home}", f"host={directory}&port=6432")
