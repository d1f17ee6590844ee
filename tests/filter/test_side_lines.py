"""What runs beside the answers never ends them: the log, the file of uses, the metrics, the open files."""

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from safelist import used
from safelist.config import toml
from safelist.filter import log
from tests.filter.dns_server import unused_address
from tests.filter.loopback import dial, rest
from tests.filter.test_server import ask, asked, read
from tests.waiting import until

SECONDS = 60
TRUSTED = ask(protocol_state="RCPT", client_address="127.0.0.1", sender="bob@aol.com", recipient="desk@corp.example")
"""Needs no look-up; its verdict is a line of the log."""


@dataclass(frozen=True)
class Filter:
    """A ``safelist filter run`` that listens on a UNIX socket."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def said(self, text: str) -> int:
        """How many lines hold it."""
        return sum(text in line for line in self.log.read_text().splitlines())

    def answers(self) -> bool:
        """One request on a connection of its own."""
        return asked(self.address, TRUSTED) == "DUNNO"

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@contextmanager
def running(directory: Path, *, stderr: int | None = None, files: int | None = None, **keys: Any) -> Iterator[Filter]:
    """It, ready to answer. Its standard error is a file, unless a descriptor is given; ``files``: its hard limit."""
    path, config, lines = directory / "policy", directory / "filter.toml", directory / "log"
    host, port = unused_address()
    general = {"snapshot": "snapshot", "listen": [f"unix:{path}"], "resolvers": [f"{host}:{port}"], **keys}
    provider = {"name": "Block", "lookup_domain": "block.example", "any_match": True}
    sections = ["".join(f"{key} = {toml(value)}\n" for key, value in table.items()) for table in (general, provider)]
    config.write_text("[[providers]]\n".join(sections))
    command = [sys.executable, "-m", "safelist", "filter", "run", "--config", str(config)]
    if files is not None:
        limit = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
        command = [sys.executable, "-c", f"{limit}; os.execv(sys.argv[1], sys.argv[1:])", *command]
    with lines.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=stderr or output)
    try:
        assert until(lambda: process.poll() is not None or is_open(path))
        assert process.poll() is None, lines.read_text()
        yield Filter(process, f"unix:{path}", lines)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def is_open(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


# -- standard error


def send(filter_: Filter, count: int) -> None:
    """Have that many requests answered, a hundred at a time."""
    with dial(filter_.address) as client:
        client.settimeout(SECONDS)
        for _ in range(count // 100):
            client.sendall(TRUSTED * 100)
            assert read(client, 100) == ["DUNNO"] * 100


def test_a_log_that_nobody_reads_stops_neither_answers_nor_the_end(tmp_path: Path) -> None:
    unread, pipe = os.pipe()
    with os.fdopen(unread, "rb") as reader, running(tmp_path, stderr=pipe) as filter_:
        os.close(pipe)
        send(filter_, log.MOST + 4000)
        assert filter_.stop() == 0
        assert reader.read().count(b'"action"') > 0


def test_the_log_says_how_many_lines_it_lost(tmp_path: Path) -> None:
    unread, pipe = os.pipe()
    with os.fdopen(unread, "rb") as reader, running(tmp_path, stderr=pipe) as filter_:
        os.close(pipe)
        while b"cannot be asked" not in reader.readline():
            pass  # its list has no server: the last line that is not an answer's
        count = log.MOST + 4000
        send(filter_, count)
        lines: list[bytes] = []
        while not lines or b"were not logged" not in lines[-1]:
            lines.append(reader.readline())
        filter_.process.send_signal(signal.SIGTERM)
        lines += reader.read().splitlines()
        assert filter_.process.wait(SECONDS) == 0
    told = sum(int(line.split()[0]) for line in lines if b"were not logged" in line)
    assert sum(b'"action"' in line for line in lines) + told == count
    assert told > 0


def test_a_log_whose_reader_has_gone_stops_nothing(tmp_path: Path) -> None:
    unread, pipe = os.pipe()
    with running(tmp_path, stderr=pipe) as filter_:
        os.close(pipe)
        os.close(unread)
        send(filter_, 1000)
        assert filter_.stop() == 0


def test_a_log_on_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, running(tmp_path, stderr=full.fileno()) as filter_:
        send(filter_, 1000)
        assert filter_.stop() == 0


def test_without_any_standard_error_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    closing_it = "import os, sys; os.close(2); os.execv(sys.argv[1], sys.argv[1:])"
    with running(tmp_path) as one:
        config = tmp_path / "filter.toml"
        assert one.stop() == 0
    command = [sys.executable, "-m", "safelist", "filter", "run", "--config", str(config)]
    process = subprocess.Popen([sys.executable, "-c", closing_it, *command])
    try:
        assert until(lambda: is_open(tmp_path / "policy"))
        with dial(one.address) as client:
            client.sendall(TRUSTED * 10)
            assert read(client, 10) == ["DUNNO"] * 10
            process.send_signal(signal.SIGTERM)
            assert rest(client) == b""
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()


# -- the file of uses


def damaged(path: Path) -> None:
    used.add(path, [("quorum", f"s{number}@aol.com", "", 1, 1, 1) for number in range(1000)])
    octets = bytearray(path.read_bytes())
    octets[100:] = b"\xff" * (len(octets) - 100)  # behind the file's header
    path.write_bytes(octets)


def no_database(path: Path) -> None:
    path.write_bytes(b"something else " * 1000)


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW used AS SELECT 1")


def directory(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def full_disk(path: Path) -> None:
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("make", [damaged, no_database, another_database, directory, fifo, full_disk])
def test_whatever_lies_at_used_is_said_and_mail_is_answered(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "used.db")
    with running(tmp_path, used="used.db") as filter_:
        assert filter_.answers()
        assert until(lambda: filter_.said("mail is answered without it") == 1), filter_.log.read_text()
        assert filter_.said(f"used: {tmp_path}/used.db: ") == 1
        assert filter_.answers()
        assert filter_.stop() == 0


def test_a_missing_directory_of_used_is_said(tmp_path: Path) -> None:
    with running(tmp_path, used="nowhere/used.db") as filter_:
        assert until(lambda: filter_.said("see to its directory") == 1)
        assert filter_.answers()
        assert filter_.stop() == 0


def test_a_used_that_somebody_has_locked_is_said(tmp_path: Path) -> None:
    used.add(tmp_path / "used.db", [])
    with closing(sqlite3.connect(tmp_path / "used.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with running(tmp_path, used="used.db") as filter_:
            assert filter_.answers()
            assert until(lambda: filter_.said("used.db: database is locked; mail is answered") == 1)
            assert filter_.stop() == 0


# -- the metrics


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def metrics(port: int, method: str = "GET") -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request(method, "/metrics")
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_metrics_count_verdicts_and_connections(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    with running(tmp_path, metrics=f"127.0.0.1:{port}") as filter_:
        assert filter_.answers()
        assert until(lambda: _is_served(port))
        status, text = metrics(port)
        assert status == 200
        assert 'safelist_verdicts_total{action="none",reason="trusted-client"} 1.0' in text.splitlines()
        assert 'safelist_server_events_total{event="requests"} 1.0' in text.splitlines()
        assert "safelist_snapshot_published_timestamp_seconds 0.0" in text.splitlines()
        assert metrics(port, "HEAD") == (200, "")
        assert metrics(port, "POST")[0] == 405
        assert filter_.stop() == 0


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=abc", "text/plain; version=..", "text/plain;version=a.b.c", ";=,;"],
)
def test_a_form_that_is_none_gets_the_plain_one(accept: str, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    with running(tmp_path, metrics=f"127.0.0.1:{port}") as filter_:
        assert until(lambda: _is_served(port))
        with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
            connection.request("GET", "/metrics", headers={"Accept": accept})
            response = connection.getresponse()
            kind, text = response.getheader("Content-Type"), response.read().decode()
        assert (response.status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert 'safelist_server_events_total{event="requests"} 0.0' in text.splitlines()
        assert filter_.said("Traceback") == 0
        assert filter_.stop() == 0


def _is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("say", [b"", b"GET /metrics HT", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000])
def test_who_sits_on_the_metrics_port_takes_nothing_from_the_policy_port(say: bytes, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    with ExitStack() as stack, running(tmp_path, files=96, metrics=f"127.0.0.1:{port}", max_connections=20) as filter_:
        assert until(lambda: _is_served(port))
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
        for each in idle:
            each.settimeout(SECONDS)
            with suppress(ConnectionResetError, BrokenPipeError):
                each.sendall(say)
        clients = [stack.enter_context(dial(filter_.address)) for _ in range(20)]
        for client in clients:
            client.sendall(TRUSTED)
            assert read(client) == ["DUNNO"]
        for each in idle:  # every one of them is cut off, the first ones after their time
            with suppress(ConnectionResetError, BrokenPipeError):
                assert each.recv(1) == b""
        assert until(lambda: _answers_with_metrics(port))
        assert filter_.stop() == 0


def _answers_with_metrics(port: int) -> bool:
    try:
        return metrics(port)[0] == 200
    except OSError:
        return False


def test_a_metrics_port_that_is_taken_is_said(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(tmp_path, metrics=address) as filter_:
            assert filter_.answers()
            assert until(lambda: filter_.said(f"metrics: {address}: Address already in use; mail is answered") == 1)
            assert filter_.stop() == 0


# -- open files


def test_the_limit_of_open_files_is_raised_or_said(tmp_path: Path) -> None:
    with running(tmp_path, files=128, max_connections=40) as filter_:
        limits = resource.prlimit(filter_.process.pid, resource.RLIMIT_NOFILE)
        assert limits == (128, 128)
        assert filter_.said("max_connections = 40 needs up to 440 open files, and this process may have 128") == 1
        assert filter_.stop() == 0


def test_without_a_free_descriptor_connections_wait_and_the_log_says_so_once(tmp_path: Path) -> None:
    with ExitStack() as stack, running(tmp_path, files=48, max_connections=100) as filter_:
        clients = [stack.enter_context(dial(filter_.address)) for _ in range(90)]
        assert until(lambda: filter_.said("connections wait: Too many open files") > 0)
        clients[0].sendall(TRUSTED)
        assert read(clients[0]) == ["DUNNO"]
        for client in clients[:60]:
            client.close()
        clients[-1].sendall(TRUSTED)
        assert read(clients[-1]) == ["DUNNO"]
        assert filter_.said("connections wait: ") == 1
        assert filter_.said("Traceback") == 0
        assert filter_.stop() == 0
