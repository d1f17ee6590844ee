"""A PostgreSQL cluster of its own for the tests: a temporary directory, a Unix socket, no network."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs; the test skips where it is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[4]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found


def as_user(owner: pwd.struct_passwd | None) -> list[str]:
    """What to put before a command, so that this user runs it."""
    if owner is None:
        return []
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


def owner() -> pwd.struct_passwd | None:
    """Who runs the servers: PostgreSQL and pgbouncer refuse to be root. None: whoever we are."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@contextmanager
def cluster() -> Iterator[Path]:
    """A running server; yields the directory of its socket. Log-in is free for everybody who reaches the socket."""
    initdb, postgres = program("initdb"), program("postgres")
    owner_ = owner()
    home = Path(tempfile.mkdtemp(prefix="safelist-pg-"))
    try:
        if owner_ is not None:
            os.chown(home, owner_.pw_uid, owner_.pw_gid)
        # A linguistic sort order by default: what must be in byte order has to ask for it.
        order = ["--locale-provider=icu", "--icu-locale=en-US"] if int(_version(initdb)) >= 15 else []
        subprocess.run(
            [*as_user(owner_), initdb, "-D", home / "data", "-U", "safelist", "-A", "trust", "-E", "UTF8", "-N",
             "--locale=C.UTF-8", *order],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", f"unix_socket_directories={home}"]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user(owner_), postgres, "-D", home / "data", *options], stdout=log, stderr=log, cwd="/"
            )
        try:
            _wait_until_ready(server, home)
            yield home
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    finally:
        shutil.rmtree(home)


@cache
def _version(initdb: str) -> str:
    words = subprocess.run([initdb, "--version"], check=True, capture_output=True, text=True).stdout.split()
    return words[2].partition(".")[0]


def _wait_until_ready(server: subprocess.Popen[bytes], home: Path) -> None:
    for _ in range(200):
        assert server.poll() is None, (home / "log").read_text()
        try:
            psycopg.connect(host=str(home), user="safelist", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError((home / "log").read_text())


@contextmanager
def database(home: Path, name: str, options: str = "") -> Iterator[str]:
    """An empty database in that cluster, made with those options of CREATE DATABASE; yields its URL."""
    url = create(home, name, options)
    try:
        yield url
    finally:
        with _administration(home) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def create(home: Path, name: str, options: str = "") -> str:
    """Make such a database, which stays as long as the cluster; its URL."""
    with _administration(home) as connection:
        connection.execute(f'CREATE DATABASE "{name}" {options}')
    return f"postgresql+psycopg://safelist@/{name}?host={home}"


def _administration(home: Path) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(host=str(home), user="safelist", dbname="postgres", autocommit=True)


def copy_of(template: str) -> str:
    """The options of CREATE DATABASE for a copy of that database: of its files, which is faster than by the log."""
    return f'TEMPLATE "{template}"' + (" STRATEGY file_copy" if int(_version(program("initdb"))) >= 15 else "")
