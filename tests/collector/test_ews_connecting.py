"""Names, addresses and proxies that take their time before any connection is there: one deadline holds for all of it.

The name's addresses and the nameserver are the test's own, in a mount namespace of one process.
"""

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from safelist.collector.failure import FailureReason
from tests.collector.test_ews_endless import Answer, failure, serving, settings

NAME = "mail.corp.example"
ASK = """
import socket, sys
from tests.collector.test_ews_endless import failure, settings
name, port, timeout = sys.argv[1:]
try:
    print(*(found[4][0] for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)))
except OSError:
    print()
error = failure(settings(f"https://{name}:{port}/EWS/Exchange.asmx", int(timeout)))
print(error.reason, error.message)
"""
ASK_AT_ONCE = ASK.replace("try:", "try:\n    raise OSError")


def run_with(mounts: dict[str, Path], *arguments: str) -> list[str]:
    """What the script prints where each of those files of /etc is another."""
    binds = " && ".join(f"mount --bind '{path}' /etc/{name}" for name, path in mounts.items())
    command = ["unshare", "--mount", "sh", "-c", f'{binds} && exec "$0" "$@"', sys.executable, "-c", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    except FileNotFoundError:
        pytest.skip("unshare is missing: apt-get install util-linux")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no file system can be mounted here: run the tests as root")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def dead(host: str, port: int) -> Iterator[None]:
    """An address that takes up no connection and refuses none: its queue is full."""
    with ExitStack() as open_:
        listener = open_.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            filler = open_.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


@contextmanager
def without_tls(host: str) -> Iterator[int]:
    """The port of a server that answers one client, and not as a server with TLS does."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server((host, 0)) as listener:
        Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]


def test_an_address_that_works_behind_three_that_are_dead(tmp_path: Path) -> None:
    far = "127.250.0.9"
    near = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    (tmp_path / "hosts").write_text("".join(f"{host} {NAME}\n" for host in [*near, far]))
    with without_tls(far) as port, ExitStack() as held:
        for host in near:
            held.enter_context(dead(host, port))
        tried, told = run_with({"hosts": tmp_path / "hosts"}, ASK, NAME, str(port), "20")
    assert tried.split() == [*near, far], "else this shows nothing"
    assert told.startswith(
        f"{FailureReason.UNREACHABLE} https://{NAME}:{port}/EWS/Exchange.asmx cannot be trusted: no TLS"
    )


def test_a_nameserver_that_is_silent(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind((f"127.{secrets.randbelow(200) + 1}.{secrets.randbelow(255)}.9", 53))
        (tmp_path / "resolv.conf").write_text(f"nameserver {silent.getsockname()[0]}\noptions timeout:30 attempts:5\n")
        mounts = {"resolv.conf": tmp_path / "resolv.conf"}
        _, told = run_with(mounts, ASK_AT_ONCE, NAME, "443", "1")
    assert told.startswith(
        f"{FailureReason.UNREACHABLE} https://{NAME}:443/EWS/Exchange.asmx cannot be reached: nothing answers"
    )


def test_a_socks_proxy_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("socks", reason="pip install PySocks")
    # No log-in wanted; connected; the name that it is bound to has 255 octets.
    with serving(Answer(b"\x05\x00" + b"\x05\x00\x00\x03\xff", b"x"), pause=0.5) as server:
        monkeypatch.setenv("https_proxy", server.url.replace("http:", "socks5h:"))
        error = failure(settings("https://mail.corp.example/EWS/Exchange.asmx", timeout=1))
    assert (error.reason, "nothing answers there" in error.message) == (FailureReason.UNREACHABLE, True)
