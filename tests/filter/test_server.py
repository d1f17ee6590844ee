"""The policy service on real sockets, with clients that behave, that do not, and that mean harm."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, UnavailableError
from safelist.filter.connections import Limits
from safelist.filter.protocol import PolicyRequest
from safelist.filter.server import RequestHandler, Server
from safelist.filter.systemd import notify, watchdog_interval
from tests.filter.loopback import LOOPBACK, dial, rest, running
from tests.waiting import until


def ask(number: int = 0, **attributes: str) -> bytes:
    lines = {"request": "smtpd_access_policy", "size": str(number), **attributes}
    return "".join(f"{name}={value}\n" for name, value in lines.items()).encode() + b"\n"


def echo(request: PolicyRequest) -> str:
    return f"PREPEND X-Number: {request.get('size')}"


def echoed(numbers: range) -> list[str]:
    return [f"PREPEND X-Number: {number}" for number in numbers]


def dunno(_: PolicyRequest) -> str:
    return "DUNNO"


@contextmanager
def serving(answer: RequestHandler, *addresses: str, **options: Any) -> Iterator[Server]:
    """A server in a thread of its own, on any port of the loopback address if nothing else is said."""
    server = Server(answer, addresses or [LOOPBACK], **options)
    server.listen()
    with running(server):
        yield server


def read(client: socket.socket, count: int = 1) -> list[str]:
    """The next ``count`` actions."""
    data = b""
    while data.count(b"\n\n") < count:
        piece = client.recv(65536)
        assert piece, f"disconnected after {data[-200:]!r}"
        data += piece
    assert data.endswith(b"\n\n")
    actions = data.decode().split("\n\n")[:-1]
    assert all(action.startswith("action=") for action in actions)
    return [action.removeprefix("action=") for action in actions]


def asked(address: str, data: bytes) -> str:
    with dial(address) as client:
        client.sendall(data)
        return read(client)[0]


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


LOOPBACKS = [LOOPBACK, "inet:[::1]:0"] if has_ipv6() else [LOOPBACK]


@pytest.fixture(params=[*LOOPBACKS, "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"unix:{tmp_path}/policy" if request.param == "unix" else str(request.param)


# -- clients that behave


def test_answers_one_request_after_the_other(address: str) -> None:
    with serving(echo, address) as server, dial(server.addresses[0]) as client:
        for number in range(20):
            client.sendall(ask(number))
            assert read(client) == echoed(range(number, number + 1))
        assert server.counters.requests == 20
        assert server.counters.connections == server.counters.open == 1
    assert server.counters.open == 0


def test_listens_on_every_address(tmp_path: Path) -> None:
    wanted = [*LOOPBACKS, "inet:localhost:0", f"unix:{tmp_path}/one", f"unix:{tmp_path}/two"]
    with serving(dunno, *wanted) as server:
        assert len(server.addresses) >= len(wanted)
        assert [asked(where, ask()) for where in server.addresses] == ["DUNNO"] * len(server.addresses)


def test_a_pipelining_client_gets_all_answers_in_order(address: str) -> None:
    with serving(echo, address) as server, dial(server.addresses[0]) as client:
        client.sendall(b"".join(ask(number) for number in range(3000)))
        assert read(client, 3000) == echoed(range(3000))


def test_a_client_that_reads_late_gets_all_answers(address: str) -> None:
    count = 60_000
    with serving(echo, address) as server, dial(server.addresses[0]) as client:
        sender = threading.Thread(target=client.sendall, args=(b"".join(ask(n) for n in range(count)),))
        sender.start()
        assert until(lambda: server.counters.requests > 5000)  # more answers than the server keeps
        assert read(client, count) == echoed(range(count))
        sender.join()


def test_a_request_in_pieces() -> None:
    with serving(echo) as server, dial(server.addresses[0]) as client:
        for piece in (ask(1)[:7], ask(1)[7:-1], ask(1)[-1:] + ask(2) + ask(3)[:-2], ask(3)[-2:]):
            client.sendall(piece)
            time.sleep(0.02)
        assert read(client, 3) == echoed(range(1, 4))


def test_answers_now_and_later_keep_the_order_of_their_requests() -> None:
    chance = random.Random(1)
    delays = [chance.choice([None, 0, 0.001, 0.01]) for _ in range(500)]
    at_work = [0, 0]

    async def later(request: PolicyRequest, delay: float) -> str:
        at_work[0] += 1
        at_work[1] = max(at_work)
        await asyncio.sleep(delay)
        at_work[0] -= 1
        return echo(request)

    def answer(request: PolicyRequest) -> str | Awaitable[str]:
        delay = delays[int(request.get("size"))]
        return echo(request) if delay is None else later(request, delay)

    with serving(answer, limits=Limits(max_unanswered=16)) as server, dial(server.addresses[0]) as client:
        client.sendall(b"".join(ask(number) for number in range(500)))
        assert read(client, 500) == echoed(range(500))
    assert 1 < at_work[1] <= 16


def test_one_connection_does_not_wait_for_another() -> None:
    async def never() -> str:
        await asyncio.sleep(3600)
        return "DUNNO"

    def answer(request: PolicyRequest) -> str | Awaitable[str]:
        return never() if request.get("size") == "1" else "DUNNO"

    with serving(answer, limits=Limits(stop_timeout=0.2)) as server, dial(server.addresses[0]) as waiting:
        waiting.sendall(ask(1))
        assert asked(server.addresses[0], ask(2)) == "DUNNO"
    assert server.counters.unfinished == 1


def test_a_client_that_has_said_everything_still_gets_its_answers() -> None:
    async def later(request: PolicyRequest) -> str:
        await asyncio.sleep(0.1)
        return echo(request)

    with serving(later) as server, dial(server.addresses[0]) as client:
        client.sendall(ask(1) + ask(2))
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b"action=PREPEND X-Number: 1\n\naction=PREPEND X-Number: 2\n\n"
        assert until(lambda: server.counters.open == 0)


# -- clients that do not


def test_the_answers_of_a_client_that_has_gone_are_given_up() -> None:
    cancelled = threading.Event()

    async def long() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "DUNNO"

    with serving(lambda _: long()) as server:
        client = dial(server.addresses[0])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(ask())
        assert until(lambda: server.counters.requests == 1)
        client.close()
        assert cancelled.wait(10)
        assert server.counters.errors == 0


BAD = {
    "malformed": ask() + ask(1, sender="a\0b"),
    "no policy request": ask() + b"request=other\n\n",
    "http": ask() + b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "oversized": ask() + ask(1, helo_name="x" * 20_000),
    "never ending": ask() + b"x" * 20_000,
    "too many attributes": ask() + b"a=b\n" * 101 + b"\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_disconnects_without_an_answer(data: bytes, address: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(dunno, address) as server:
        with dial(server.addresses[0]) as client:
            client.sendall(data)
            # On TCP what we sent and was not read makes the end a reset, which may overtake the first answer.
            assert rest(client) in (b"action=DUNNO\n\n", b"")
        assert asked(server.addresses[0], ask()) == "DUNNO"
        assert server.counters.malformed + server.counters.oversized == 1
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "disconnected: " in logged
    assert logged.isprintable()
    assert len(logged) < 600


def raising(_: PolicyRequest) -> str:
    raise KeyError("ouch \x1b[2J \n" + "ä" * 5000)


async def raising_later(request: PolicyRequest) -> str:
    await asyncio.sleep(0.01)
    return raising(request)


async def cancelling(_: PolicyRequest) -> str:
    raise asyncio.CancelledError


FAILING: dict[str, Callable[[PolicyRequest], Any]] = {
    "raises": raising,
    "raises later": raising_later,
    "is cancelled": cancelling,
    "two lines": lambda _: "OK\n\naction=OK",
    "too long": lambda _: "REJECT " + "x" * 1000,
    "no text": lambda _: None,
}


@pytest.mark.parametrize("fails", FAILING.values(), ids=FAILING)
def test_a_failing_answer_disconnects(fails: Callable[[PolicyRequest], Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    def answer(request: PolicyRequest) -> Any:
        return echo(request) if request.get("size") != "1" else fails(request)

    with serving(answer) as server:
        with dial(server.addresses[0]) as client:
            client.sendall(ask(0) + ask(1) + ask(2))
            assert rest(client) == b"action=PREPEND X-Number: 0\n\n"
        assert asked(server.addresses[0], ask(3)) == "PREPEND X-Number: 3"
        assert server.counters.errors == 1
    (record,) = caplog.records
    assert "no answer, disconnected" in record.getMessage()
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 500


def test_an_answer_that_does_not_come_ends_the_connection() -> None:
    def answer(_: PolicyRequest) -> Awaitable[str]:
        return asyncio.get_running_loop().create_future()

    with serving(answer, limits=Limits(answer_timeout=0.3, request_timeout=0.2)) as server:
        with dial(server.addresses[0]) as client:
            client.sendall(ask() + ask()[:-1])
            assert rest(client) == b""
        assert server.counters.errors == 1
        assert server.counters.timeouts == 0


def test_what_goes_wrong_all_the_time_is_logged_ten_times_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with serving(raising) as server:
        for _ in range(30):
            with dial(server.addresses[0]) as client:
                client.sendall(ask())
                assert rest(client) == b""
        assert server.counters.errors == 30
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 10


# -- clients that mean harm


def test_a_request_must_be_complete_in_time(address: str) -> None:
    with serving(dunno, address, limits=Limits(request_timeout=0.4)) as server:
        with dial(server.addresses[0]) as idle, dial(server.addresses[0]) as drip:
            drip.sendall(ask() + ask()[:1])
            assert read(drip) == ["DUNNO"]
            began = time.monotonic()
            with pytest.raises(OSError):  # noqa: PT012 - it ends whenever it is noticed
                for octet in ask()[1:-1]:
                    drip.sendall(bytes([octet]))
                    time.sleep(0.05)
                drip.sendall(b"\n")
                assert read(drip) == []
            assert 0.3 < time.monotonic() - began < 10
            idle.sendall(ask())
            assert read(idle) == ["DUNNO"]
        assert server.counters.timeouts == 1


def test_an_idle_connection_is_closed() -> None:
    with (
        serving(dunno, limits=Limits(idle_timeout=0.5)) as server,
        dial(server.addresses[0]) as idle,
        dial(server.addresses[0]) as busy,
    ):
        while server.counters.idle == 0:
            busy.sendall(ask())
            assert read(busy) == ["DUNNO"]
        assert rest(idle) == b""
        busy.sendall(ask())
        assert read(busy) == ["DUNNO"]
        assert rest(busy) == b""
        assert server.counters.idle == 2


def test_who_does_not_take_the_answers_is_cut_off(address: str) -> None:
    limits = Limits(request_timeout=0.5, write_buffer=4096)
    with serving(lambda _: "PREPEND X-Long: " + "x" * 800, address, limits=limits) as server:
        with dial(server.addresses[0]) as greedy:
            greedy.settimeout(1)
            with pytest.raises(OSError):  # noqa: PT012 - it ends whenever it is noticed
                while True:
                    greedy.sendall(ask() * 1000)
            assert asked(server.addresses[0], ask()).startswith("PREPEND")
            assert until(lambda: server.counters.slow_readers == 1)
        assert until(lambda: server.counters.open == 0)


def test_who_does_not_take_the_last_answers_does_not_stay_for_ever() -> None:
    limits = Limits(request_timeout=0.3, write_buffer=1 << 24)
    with (
        serving(lambda _: "PREPEND X-Long: " + "x" * 800, limits=limits) as server,
        dial(server.addresses[0]) as client,
    ):
        client.sendall(ask() * 15_000)
        client.shutdown(socket.SHUT_WR)
        assert until(lambda: server.counters.slow_readers == 1)
        assert until(lambda: server.counters.open == 0)


def unanswered(_: PolicyRequest) -> Awaitable[str]:
    return asyncio.get_running_loop().create_future()


def test_ten_times_the_connections_while_each_is_owed_an_answer(address: str, caplog: pytest.LogCaptureFixture) -> None:
    answers = asyncio.Event()

    async def later(_: PolicyRequest) -> str:
        await answers.wait()
        return "DUNNO"

    server = Server(later, [address], limits=Limits(max_connections=20))
    server.listen()
    with running(server) as loop, contextlib.ExitStack() as stack:
        served = [stack.enter_context(dial(server.addresses[0])) for _ in range(20)]
        for client in served:
            client.sendall(ask())
        assert until(lambda: server.counters.requests == 20)
        beyond = [stack.enter_context(dial(server.addresses[0])) for _ in range(180)]
        assert [rest(client) for client in beyond] == [b""] * 180
        found = server.counters
        assert (found.connections, found.refused, found.displaced, found.open) == (200, 180, 0, 20)
        loop.call_soon_threadsafe(answers.set)
        assert [read(client) for client in served] == [["DUNNO"]] * 20
    assert [r.getMessage() for r in caplog.records] == [
        "more than 20 connections, all of which wait for an answer: the newest is closed"
    ]


@pytest.mark.parametrize("says", [b"", b"r", ask()[:-1], ask()])
def test_who_only_sits_there_keeps_nobody_out(says: bytes, address: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(echo, address, limits=Limits(max_connections=20)) as server, contextlib.ExitStack() as stack:
        sitting = [stack.enter_context(dial(server.addresses[0])) for _ in range(20)]
        for client in sitting:
            client.sendall(says)
        assert until(lambda: server.counters.open == 20)
        for number in range(5):
            with dial(server.addresses[0]) as client:
                client.sendall(ask(number))
                assert read(client) == echoed(range(number, number + 1))
            assert until(lambda: server.counters.open < 20)
            sitting.append(stack.enter_context(dial(server.addresses[0])))
            sitting[-1].sendall(says)
            assert until(lambda: server.counters.open == 20)
        assert (server.counters.refused, server.counters.displaced) == (0, 5)
        assert {rest(client).replace(b"action=PREPEND X-Number: 0\n\n", b"") for client in sitting[:5]} == {b""}
    assert [r.getMessage() for r in caplog.records] == [
        "more than 20 connections: the one that has been silent longest is closed"
    ]


def test_the_silent_make_room_and_never_who_waits_for_an_answer(address: str) -> None:
    def slow_or_at_once(request: PolicyRequest) -> str | Awaitable[str]:
        return unanswered(request) if request.get("size") == "1" else echo(request)

    limits = Limits(max_connections=3, stop_timeout=0.1)
    with serving(slow_or_at_once, address, limits=limits) as server, contextlib.ExitStack() as stack:
        owed, half, idle = (stack.enter_context(dial(server.addresses[0])) for _ in range(3))
        owed.sendall(ask(1))
        assert until(lambda: server.counters.requests == 1)
        half.sendall(ask()[:20])
        idle.sendall(ask(6))
        assert read(idle) == echoed(range(6, 7))
        idle.sendall(ask(7))  # by now the half one was read, too
        assert read(idle) == echoed(range(7, 8))
        first = stack.enter_context(dial(server.addresses[0]))
        assert rest(half) == b"", "it began before the other was answered"
        first.sendall(ask(8))
        assert read(first) == echoed(range(8, 9))
        second = stack.enter_context(dial(server.addresses[0]))
        assert rest(idle) == b""
        second.sendall(ask(9))
        assert read(second) == echoed(range(9, 10))
        assert (server.counters.open, server.counters.displaced, server.counters.refused) == (3, 2, 0)
        owed.settimeout(0)
        with pytest.raises(BlockingIOError):
            owed.recv(1)


# -- where it listens


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "smtp",
        "inet:",
        "inet::25",
        "inet:localhost",
        "inet:localhost:smtp",
        "inet:localhost:65536",
        "unix:",
        "tcp:a:1",
    ],
)
def test_an_address_that_is_none_is_a_fault_of_the_configuration(wrong: str) -> None:
    with pytest.raises(ConfigError, match="write inet:HOST:PORT"):
        Server(dunno, [wrong]).listen()


def test_listening_nowhere_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="nothing to listen on"):
        Server(dunno).listen()


@pytest.mark.parametrize(
    "wrong",
    ["inet:192.0.2.1:0", "inet:host.invalid:1", f"inet:{'a' * 70}.example:1", f"unix:/tmp/{'x' * 110}", "unix:/no/x"],
)
def test_an_address_that_cannot_be_had(wrong: str, tmp_path: Path) -> None:
    server = Server(dunno, [f"unix:{tmp_path}/first", LOOPBACK, wrong])
    with pytest.raises(UnavailableError, match=f"^{wrong[:20]}"):
        server.listen()
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken() -> None:
    with serving(dunno) as server, pytest.raises(UnavailableError, match="Address already in use"):
        Server(dunno, server.addresses).listen()


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    code = (
        "import os, sys; from safelist.filter.server import Server; from safelist.errors import PermissionDeniedError\n"
        "os.setuid(65534)\n"
        "try: Server(print, sys.argv[1:]).listen()\n"
        "except PermissionDeniedError as error: print(error)"
    )
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", code, f"unix:{tmp_path}/policy"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.stdout == f"unix:{tmp_path}/policy: Permission denied\n"
    assert PermissionDeniedError.exit_code == 77


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_mode_of_a_unix_socket(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "policy"
    before = os.umask(0o022)
    try:
        with serving(dunno, f"unix:{path}", socket_mode=mode):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "policy"))
        gone.listen()
    with serving(dunno, f"unix:{tmp_path}/policy") as server:
        assert asked(server.addresses[0], ask()) == "DUNNO"
    assert not (tmp_path / "policy").exists()


def test_a_socket_that_somebody_listens_on_is_not_replaced(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/policy"
    with serving(dunno, where):
        with pytest.raises(UnavailableError, match="another process"):
            Server(dunno, [where]).listen()
        assert asked(where, ask()) == "DUNNO"


def full(path: Path) -> Iterator[socket.socket]:
    """A listening socket whose queue is full."""
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as queued:
        busy.bind(str(path))
        busy.listen(0)
        queued.connect(str(path))
        yield busy


def datagram(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        yield other


def regular(path: Path) -> Iterator[None]:
    path.write_text("precious")
    yield
    assert path.read_text() == "precious"


def link_to_a_file(path: Path) -> Iterator[None]:
    target = path.with_name("target")
    path.symlink_to(target)
    yield from regular(target)


def dangling(path: Path) -> Iterator[None]:
    path.symlink_to(path.with_name("nothing"))
    yield
    assert not path.with_name("nothing").exists()


def link_to_a_stale_socket(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path.with_name("stale")))
    path.symlink_to(path.with_name("stale"))
    yield
    assert path.with_name("stale").is_socket()


def directory(path: Path) -> Iterator[None]:
    path.mkdir()
    yield


@pytest.mark.parametrize(
    "there", [full, datagram, regular, link_to_a_file, dangling, link_to_a_stale_socket, directory]
)
def test_what_is_not_ours_stays(there: Callable[[Path], Iterator[object]], tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with contextmanager(there)(path):
        before = path.lstat()
        with pytest.raises(UnavailableError, match=f"^unix:{path}: .*listen elsewhere"):
            Server(dunno, [f"unix:{path}"]).listen()
        assert os.path.samestat(path.lstat(), before)


def test_the_socket_of_a_successor_stays(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with serving(dunno, f"unix:{path}"):
        path.rename(tmp_path / "moved")
        path.write_text("another's")
    assert path.read_text() == "another's"


# -- stopping


def test_a_stop_answers_what_is_under_way() -> None:
    async def later(request: PolicyRequest) -> str:
        host, _, port = server.addresses[0].removeprefix("inet:").rpartition(":")
        with contextlib.suppress(ConnectionError):
            while True:  # until the stop has begun
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
        return echo(request)

    def answer(request: PolicyRequest) -> str | Awaitable[str]:
        return echo(request) if request.get("size") == "0" else later(request)

    with contextlib.ExitStack() as stack:
        with serving(answer) as server:
            idle, busy = (stack.enter_context(dial(server.addresses[0])) for _ in range(2))
            busy.sendall(ask(0) + ask(1) + ask(2))
            assert read(busy) == echoed(range(1))
        assert rest(busy) == b"action=PREPEND X-Number: 1\n\naction=PREPEND X-Number: 2\n\n"
        assert rest(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            dial(server.addresses[0])
    assert server.counters.unfinished == 0


def test_a_stop_closes_whom_the_loop_has_just_accepted() -> None:
    """The stop comes in the turn in which the client is accepted, before its transport is made."""

    async def stop_while_accepting() -> bytes:
        server = Server(echo, [LOOPBACK])
        server.listen()
        running = asyncio.create_task(server.run())
        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(asked, server.addresses[0], ask()) == "PREPEND X-Number: 0"
        with dial(server.addresses[0]) as client:
            loop.call_soon(server.stop)
            await running
            return await asyncio.to_thread(rest, client)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert asyncio.run(stop_while_accepting()) == b""
        gc.collect()
    assert [str(each.message) for each in told] == []


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    def answer(_: PolicyRequest) -> Awaitable[str]:
        return asyncio.get_running_loop().create_future()

    with contextlib.ExitStack() as stack:
        with serving(answer, f"unix:{tmp_path}/policy", limits=Limits(stop_timeout=0.3)) as server:
            client = stack.enter_context(dial(server.addresses[0]))
            client.sendall(ask())
            assert until(lambda: server.counters.requests == 1)
        assert rest(client) == b""
    assert server.counters.unfinished == 1
    assert server.counters.errors == 0


# -- as a process: signals and systemd

PROGRAM = """
import asyncio, json, logging, os, sys
from safelist.filter.server import Server

async def later():
    await asyncio.sleep(0.5)
    return "DUNNO later"

def answer(request):
    return later() if request.get("stress") else "DUNNO"

def reload():
    broken = os.path.exists("broken")
    print("reloaded", flush=True)
    if broken:
        raise OSError("the snapshot is broken")

logging.basicConfig(level=logging.INFO)
server = Server(answer, sys.argv[1:], on_reload=reload)
server.listen()
print(json.dumps([server.addresses, [name for name in os.environ if name.startswith("LISTEN_")]]), flush=True)
asyncio.run(server.run())
print("stopped", server.counters.requests, server.counters.errors, flush=True)
"""

SIGNALLED = """
import asyncio, os, signal, sys
from safelist.filter.server import Server

async def main():
    server = Server(lambda _: "DUNNO", sys.argv[1:], on_reload=lambda: print("reloaded"))
    with server.signals():
        server.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        await server.run()
        os.kill(os.getpid(), signal.SIGTERM)
    print("stopped")

asyncio.run(main())
"""

ACTIVATION = """
import fcntl, os, sys
moved = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split()]
for place, number in enumerate(moved):
    os.dup2(number, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid() + int(sys.argv[2])), LISTEN_FDS=str(len(moved)), LISTEN_FDNAMES="a:b")
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@dataclass
class Process:
    popen: subprocess.Popen[str]
    addresses: Sequence[str]
    left_in_environment: Sequence[str]

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """The rest of its output; it must end by itself and with code 0."""
        self.popen.send_signal(number)
        output, _ = self.popen.communicate(timeout=20)
        assert self.popen.returncode == 0
        return output.strip()


@contextmanager
def process(
    *addresses: str,
    cwd: Path,
    passed: Sequence[int] = (),
    pid_off_by: int = 0,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Process]:
    """PROGRAM in a process of its own; it writes its log into cwd/log."""
    command = ["-c", PROGRAM, *addresses]
    if passed:
        command = ["-c", ACTIVATION, " ".join(map(str, passed)), str(pid_off_by), *command]
    with (cwd / "log").open("w") as log:
        popen = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=log, text=True, cwd=cwd, pass_fds=passed,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )  # fmt: skip
    with popen:
        try:
            assert popen.stdout is not None
            yield Process(popen, *json.loads(popen.stdout.readline() or "[[], []]"))
        finally:
            if popen.poll() is None:
                popen.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_the_answers_under_way(number: signal.Signals, tmp_path: Path) -> None:
    with process(f"unix:{tmp_path}/policy", cwd=tmp_path) as server, dial(server.addresses[0]) as client:
        client.sendall(ask() + ask(1, stress="yes"))
        assert read(client) == ["DUNNO"]
        assert server.stop(number) == "stopped 2 0"
        assert rest(client) == b"action=DUNNO later\n\n"
    assert not (tmp_path / "policy").exists()


def test_hangup_reloads_and_a_failing_reload_changes_nothing(tmp_path: Path) -> None:
    with process(LOOPBACK, cwd=tmp_path) as server, dial(server.addresses[0]) as client:
        for broken in (False, True):
            if broken:
                (tmp_path / "broken").touch()
            client.sendall(ask())
            assert read(client) == ["DUNNO"]
            server.popen.send_signal(signal.SIGHUP)
            assert server.line() == "reloaded"
        client.sendall(ask())
        assert read(client) == ["DUNNO"]
        assert server.stop() == "stopped 3 1"
    assert "reload failed: OSError: the snapshot is broken" in (tmp_path / "log").read_text()


def test_after_a_kill_the_next_start_replaces_the_socket(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/policy"
    with process(where, cwd=tmp_path) as server:
        assert asked(where, ask()) == "DUNNO"
        server.popen.kill()
        server.popen.wait()
    assert (tmp_path / "policy").is_socket()
    with process(where, cwd=tmp_path) as server:
        assert asked(where, ask()) == "DUNNO"
        assert server.stop().startswith("stopped")
    assert not (tmp_path / "policy").exists()


def test_takes_the_sockets_that_systemd_passes_instead_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with socket.create_server(("127.0.0.1", 0)) as inet, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        passed = [inet.fileno(), unix.fileno()]
        with process(f"unix:{tmp_path}/unused", cwd=tmp_path, passed=passed) as server:
            assert server.addresses == [f"inet:127.0.0.1:{inet.getsockname()[1]}", f"unix:{path}"]
            assert server.left_in_environment == []
            assert [asked(where, ask()) for where in server.addresses] == ["DUNNO"] * 2
            assert server.stop() == "stopped 2 0"
        assert path.is_socket()
        with process(cwd=tmp_path, passed=passed) as server:
            assert [asked(where, ask()) for where in server.addresses] == ["DUNNO"] * 2


def test_signals_are_handled_from_before_it_listens_until_after_its_end(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, f"unix:{path}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "reloaded\nstopped\n"), done.stderr
    assert not path.exists()


def test_sockets_that_were_passed_to_another_process_are_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        passed = [other.fileno()]
        with process(f"unix:{tmp_path}/own", cwd=tmp_path, passed=passed, pid_off_by=1) as server:
            assert server.addresses == [f"unix:{tmp_path}/own"]
            assert server.left_in_environment == []


def test_what_systemd_passes_must_listen(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong, Path(os.devnull).open() as none:
        for descriptor, says in ((wrong.fileno(), "does not listen"), (none.fileno(), "is no socket")):
            with process(cwd=tmp_path, passed=[descriptor]):
                pass
            assert f"ConfigError: systemd passed descriptor 3, which {says}" in (tmp_path / "log").read_text()


@contextmanager
def manager(address: str) -> Iterator[tuple[str, Callable[[str], list[str]]]]:
    """What stands for systemd: the value of NOTIFY_SOCKET, and a reader of messages up to one that begins so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(20)

        def message(beginning: str) -> list[str]:
            while not (found := heard.recv(4096).decode()).startswith(beginning):
                pass
            return found.split("\n")

        yield address.replace("\0", "@"), message


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_tells_systemd_what_it_does(kind: str, tmp_path: Path) -> None:
    address = f"{tmp_path}/notify" if kind == "file" else f"\0safelist-test-{os.getpid()}"
    with manager(address) as (name, message):
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"}
        with process(f"unix:{tmp_path}/policy", cwd=tmp_path, environment=environment) as server:
            assert message("READY=1") == ["READY=1", "STATUS=listening; 0 connections, 0 requests, 0 errors"]
            beats = []
            for _ in range(4):
                message("WATCHDOG=1")
                beats.append(time.monotonic())
            assert beats[-1] - beats[0] > 0.2
            before = time.monotonic_ns() // 1000
            server.popen.send_signal(signal.SIGHUP)
            reloading, moment = message("RELOADING=1")
            assert reloading == "RELOADING=1"
            assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
            assert server.line() == "reloaded"
            assert message("READY=1")
            with dial(server.addresses[0]) as client:
                client.sendall(ask(stress="yes"))
                assert asked(server.addresses[0], ask()) == "DUNNO"  # by now the other was read, too
                server.popen.send_signal(signal.SIGTERM)
                assert message("STOPPING=1")
                assert message("WATCHDOG=1")
                assert rest(client) == b"action=DUNNO later\n\n"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for address in ("", "vsock-stream:2:1", "relative"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
    assert not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    notify("READY=1")
    assert [record.getMessage()[:40] for record in caplog.records] == ["systemd was not notified of READY=1: [Er"]


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("x", None, None),
    ],
)
def test_the_watchdog_hears_of_us_twice_in_its_time(
    usec: str, pid: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_interval() == interval


def test_every_error_of_listening_ends_a_command_with_one_line() -> None:
    for address in ("inet:192.0.2.1:0", "nowhere"):
        with pytest.raises(SafelistError) as caught:
            Server(dunno, [address]).listen()
        assert "\n" not in str(caught.value)
