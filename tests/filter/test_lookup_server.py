"""Look-ups on real sockets, beside policy requests: clients that behave, that do not, and that mean harm."""

import asyncio
import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safelist import policy
from safelist.filter.connections import Endpoint, Limits
from safelist.filter.http_message import HttpRequest
from safelist.filter.lookup_service import LookupService, lookup_endpoint
from safelist.filter.server import Server
from safelist.override import Authentication
from safelist.policy import Decision
from safelist.sender import Pattern
from tests.filter.loopback import LOOPBACK, dial, rest, running
from tests.filter.test_lookup import NOW, PIECES, Reply, reply_of
from tests.filter.test_server import ask, asked, manager
from tests.waiting import until


def safe_for_all(request: HttpRequest) -> bytes:
    """Says what was asked, as the service would say it."""
    return LookupService(_Safety(), "", lambda: NOW).answer(request)


class _Safety:
    """Whoever is at partner.example is safe; the sentence tells who that was."""

    def decide(self, sender: Pattern, recipient: str | None, now: datetime) -> Decision:
        is_safe = sender.text.endswith("@partner.example")
        reason = policy.Reason.QUORUM if is_safe else policy.Reason.NOBODY
        return Decision(is_safe, reason, sender.text, Authentication.SPF, None)


class Served(NamedTuple):
    """A running server with both endpoints."""

    server: Server
    endpoint: Endpoint

    @property
    def address(self) -> str:
        return self.server.addresses_of(self.endpoint)[0]

    def dial(self) -> socket.socket:
        return dial(self.address)

    def get(self, number: int = 0) -> Reply:
        """One request on a connection of its own."""
        with self.dial() as client:
            client.sendall(numbered(number))
            return replies(client, 1)[0]


@contextmanager
def serving(
    address: str = LOOPBACK, answer: Callable[[HttpRequest], bytes] = safe_for_all, **limits: float
) -> Iterator[Served]:
    """Both endpoints, with the same limits."""
    chosen = Limits(**limits)  # type: ignore[arg-type]
    endpoint = lookup_endpoint(answer, [address], chosen)
    server = Server(lambda _: "DUNNO", [LOOPBACK], limits=chosen, others=[endpoint])
    server.listen()
    with running(server):
        yield Served(server, endpoint)


@pytest.fixture(params=["inet", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"unix:{tmp_path}/lookup" if request.param == "unix" else LOOPBACK


def numbered(number: int, *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    head = [f"{method} /lookup?key=n{number}@partner.example HTTP/{version}", "Host: x", *lines, "", ""]
    return "\r\n".join(head).encode()


def replies(client: socket.socket, count: int) -> list[Reply]:
    """The next ``count`` answers, of which the last has a body."""
    data: bytes = b""
    found: list[Reply] = []
    while len(found) < count:
        piece = client.recv(65536)
        assert piece, f"disconnected after {data[-200:]!r}"
        data += piece
        while b"\r\n\r\n" in data:
            head, _, after = data.partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
            if len(after) < length:
                break
            found.append(reply_of(head + b"\r\n\r\n" + after[:length]))
            data = after[length:]
    assert not data
    return found


def bodies(numbers: Sequence[int] | range) -> list[str]:
    return [f"1 spf\nquorum: n{number}@partner.example\n" for number in numbers]


def said(client: socket.socket) -> list[int]:
    """The status of each answer up to the end of the connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", rest(client))]


def test_one_connection_serves_many_requests(address: str) -> None:
    with serving(address) as served, served.dial() as client:
        for number in range(20):
            client.sendall(numbered(number))
            assert [reply.body for reply in replies(client, 1)] == bodies([number])
        counters = served.endpoint.counters
        assert (counters.requests, counters.connections, counters.open) == (20, 1, 1)
        assert served.server.counters.requests == 0
    assert counters.open == 0


def test_pipelined_requests_are_answered_in_order(address: str) -> None:
    with serving(address) as served, served.dial() as client:
        client.sendall(b"".join(numbered(number) for number in range(1000)))
        assert [reply.body for reply in replies(client, 1000)] == bodies(range(1000))


def slowly(request: HttpRequest) -> bytes:
    until(lambda: False, 0.002)  # what a look-up costs a busy machine
    return safe_for_all(request)


def test_who_asks_much_at_once_does_not_hold_up_others(address: str) -> None:
    with serving(address, slowly) as served, served.dial() as client:
        client.sendall(b"".join(numbered(number) for number in range(250)))
        assert until(lambda: served.endpoint.counters.requests > 0)
        assert asked(served.server.addresses[0], ask()) == "DUNNO"
        assert served.get(999).body == bodies([999])[0]
        assert served.endpoint.counters.requests < 250
        assert [reply.body for reply in replies(client, 250)] == bodies(range(250))


def test_what_was_read_is_answered_in_a_stop(tmp_path: Path) -> None:
    with serving(f"unix:{tmp_path}/lookup", slowly) as served:
        client = served.dial()
        client.sendall(b"".join(numbered(number) for number in range(200)))  # no more than one read takes
        assert until(lambda: served.endpoint.counters.requests > 0)
    with client:
        assert said(client) == [200] * 200


def test_who_sends_many_connections_at_once_does_not_hold_up_others() -> None:
    asked_on, may_go_on, counted = threading.Event(), threading.Event(), list[int]()

    def holding(request: HttpRequest) -> bytes:
        asked_on.set()
        assert may_go_on.wait(20)
        return safe_for_all(request)

    async def in_some_turns() -> str:
        for _ in range(4):
            await asyncio.sleep(0)
        counted.append(endpoint.counters.connections)
        return "DUNNO"

    endpoint = lookup_endpoint(holding, [LOOPBACK])
    server = Server(lambda _: in_some_turns(), [LOOPBACK], others=[endpoint])
    server.listen()
    with running(server), contextlib.ExitStack() as stack:
        postfix, first = dial(server.addresses[0]), dial(server.addresses_of(endpoint)[0])
        stack.callback(postfix.close)
        stack.callback(first.close)
        first.sendall(numbered(0))
        assert asked_on.wait(20)
        for _ in range(120):  # they wait in the kernel's queue
            stack.callback(dial(server.addresses_of(endpoint)[0]).close)
        postfix.sendall(ask())
        may_go_on.set()
        assert postfix.recv(100) == b"action=DUNNO\n\n"
        assert until(lambda: endpoint.counters.connections == 121)
    assert counted[0] < 100


def test_the_standard_clients_understand_it(tmp_path: Path) -> None:
    with serving() as served:
        host, _, port = served.address.removeprefix("inet:").rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=20)
        with contextlib.closing(client):
            for key, status in (("a@partner.example", 200), ("a@else.example", 404), ("%", 400), ("", 404)):
                client.request("GET", f"/lookup?key={key}")
                answer = client.getresponse()
                assert answer.status == status
                assert answer.read()
            client.request("HEAD", "/lookup?key=a@partner.example")
            assert client.getresponse().read() == b""


LAST = {
    "1.0": (numbered(1, version="1.0"), 200),
    "1.0 that would like to stay": (numbered(1, "Connection: keep-alive", version="1.0"), 200),
    "close": (numbered(1, "Connection: close"), 200),
    "absurd version": (numbered(1, version="9.9"), 505),
    "POST without a body": (numbered(1, method="POST"), 405),
    "POST": (numbered(1, "Content-Length: 5", method="POST") + b"key=x", 405),
    "OPTIONS": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "CONNECT": (b"CONNECT x:25 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "GET with a body": (numbered(1, "Content-Length: 5") + b"hello", 413),
    "a chunked body": (numbered(1, "Transfer-Encoding: chunked") + b"0\r\n\r\n", 413),
    "both lengths": (numbered(1, "Transfer-Encoding: chunked", "Content-Length: 3") + b"0\r\n\r\n", 413),
    "two lengths": (numbered(1, "Content-Length: 0", "Content-Length: 5") + b"hello", 400),
    "a negative length": (numbered(1, "Content-Length: -1"), 400),
    "a length that is none": (numbered(1, "Content-Length: 0x0"), 400),
    "an odd coding": (numbered(1, "Transfer-Encoding: gzip, chunked"), 501),
    "a coding with a tab": (numbered(1, "Transfer-Encoding:\tchunked"), 413),
    "a blank before the colon": (numbered(1, "Content-Length : 0"), 400),
    "a name with a blank": (numbered(1, "X Y: z"), 400),
    "NUL in a header": (numbered(1, "X: a\0b"), 400),
    "NUL in the target": (numbered(1).replace(b"n1", b"n\0"), 400),
    "UTF-8 in the target": (numbered(1).replace(b"n1", "ü".encode()), 400),
    "a blank in the target": (numbered(1).replace(b"n1", b"n 1"), 400),
    "no host": (b"GET /lookup?key=x HTTP/1.1\r\n\r\n", 400),
    "two hosts": (numbered(1, "Host: y"), 400),
    "no version": (b"GET /lookup?key=x\r\n\r\n", 400),
    "a policy request": (ask(), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "101 headers": (numbered(1, *(f"X-{n}: y" for n in range(100))), 431),
    "a header without end": (numbered(1)[:-2] + b"X: " + b"y" * 20_000, 431),
    "headers without end": (numbered(1)[:-2] + b"X: y\r\n" * 4000, 431),
    "a target without end": (b"GET /" + b"x" * 20_000, 431),
}  # fmt: skip


LONG = [data for data, _ in LAST.values() if len(data) > 20_000]
"""With what is sent behind them they may be something else, and be refused for that."""


@pytest.mark.parametrize(("data", "status"), LAST.values(), ids=LAST)
def test_after_such_a_request_nothing_more_is_read(data: bytes, status: int, address: str) -> None:
    with serving(address) as served:
        with served.dial() as client:
            client.sendall(numbered(0) + data + numbered(2))
            # On TCP what was sent and not read makes the end a reset, which may overtake the answers.
            assert said(client) in ([200, status], [200], []) or data in LONG
        with served.dial() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert said(client) in ([status], [])
        assert served.get(3).body == bodies([3])[0]
        assert asked(served.server.addresses[0], ask()) == "DUNNO"


SMUGGLED = numbered(66)
INSIDE = {
    "length": numbered(1, f"Content-Length: {len(SMUGGLED)}") + SMUGGLED,
    "too short a length": numbered(1, "Content-Length: 1") + SMUGGLED,
    "chunk": numbered(1, "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "length and chunk": numbered(1, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "POST": numbered(1, f"Content-Length: {len(SMUGGLED)}", method="POST") + SMUGGLED,
    "expected": numbered(1, "Content-Length: 9", "Expect: 100-continue") + SMUGGLED,
    "folded": numbered(1, "X: y", " Content-Length: 0", "Content-Length: 9") + SMUGGLED,
    "upgraded": numbered(1, "Upgrade: x", "Connection: upgrade", "Content-Length: 9") + SMUGGLED,
}


@pytest.mark.parametrize("data", INSIDE.values(), ids=INSIDE)
def test_nothing_in_a_body_is_a_request(data: bytes, address: str) -> None:
    with serving(address) as served, served.dial() as client:
        client.sendall(data)
        assert b"n66@" not in rest(client)
        assert served.endpoint.counters.requests == 1


def test_an_upgrade_is_declined(address: str) -> None:
    with serving(address) as served, served.dial() as client:
        client.sendall(numbered(1, "Upgrade: h2c", "Connection: Upgrade", "HTTP2-Settings: AAMAAABkAAQ"))
        client.sendall(numbered(2))
        assert [reply.body for reply in replies(client, 2)] == bodies([1, 2])


def test_what_is_no_http_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as served:
        for data in (b"\x16\x03\x01\r\n\r\n", numbered(1, *(f"X-{n}: \x1b[2Jy" for n in range(100)))):
            with served.dial() as client:
                client.sendall(data)
                rest(client)
        counters = served.endpoint.counters
        assert until(lambda: counters.open == 0)
        assert (counters.malformed + counters.oversized, counters.errors) == (2, 0)
        assert served.server.counters.malformed == 0
    logged = [record.getMessage() for record in caplog.records if "disconnected" in record.getMessage()]
    assert len(logged) == 2
    assert all(line.isprintable() and len(line) < 500 for line in logged)
    assert all(line.startswith("lookup: [127.0.0.1]:") for line in logged)


def test_a_request_must_be_complete_in_time(address: str) -> None:
    with serving(address, request_timeout=0.4) as served, served.dial() as slow:
        with pytest.raises(OSError):  # noqa: PT012 - it ends whenever it is noticed
            for octet in numbered(1, "X: " + "y" * 1000):
                slow.sendall(bytes([octet]))
                until(lambda: False, 0.03)
            assert rest(slow) == b"cut off"
        assert served.endpoint.counters.timeouts == 1
        assert served.get(1).status == 200


def test_a_request_octet_by_octet_is_answered(address: str) -> None:
    with serving(address) as served, served.dial() as client:
        for octet in numbered(7):
            client.sendall(bytes([octet]))
        assert [reply.body for reply in replies(client, 1)] == bodies([7])


def test_who_says_nothing_more_is_closed(address: str) -> None:
    with serving(address, idle_timeout=0.3) as served, served.dial() as idle:
        idle.sendall(numbered(1))
        assert rest(idle).startswith(b"HTTP/1.1 200")
        assert served.endpoint.counters.idle == 1


def test_who_does_not_take_the_answers_is_cut_off(address: str) -> None:
    def long(request: HttpRequest) -> bytes:
        return safe_for_all(request) if "n2@" in request.target else b"x" * 100_000

    with serving(address, long, request_timeout=0.5, write_buffer=4096) as served:
        with served.dial() as greedy:
            greedy.sendall(numbered(1) * 1000)
            assert served.get(2).status == 200
            assert until(lambda: served.endpoint.counters.slow_readers == 1)
        assert until(lambda: served.endpoint.counters.open == 0)


def test_whoever_only_sits_there_keeps_nobody_out_and_never_postfix() -> None:
    with serving(max_connections=4) as served, contextlib.ExitStack() as stack:
        postfix = stack.enter_context(dial(served.server.addresses[0]))
        sitting = [stack.enter_context(served.dial()) for _ in range(4)]
        for client in sitting:
            client.sendall(b"GET /lookup")
        assert until(lambda: served.endpoint.counters.open == 4)
        for number in range(6):
            assert served.get(number).body == bodies([number])[0]
        assert served.endpoint.counters.displaced >= 1
        assert rest(sitting[0]) == b""
        postfix.sendall(ask())
        assert postfix.recv(100) == b"action=DUNNO\n\n"
        assert served.server.counters.displaced == 0


def test_a_failing_decision_ends_the_connection_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def failing(request: HttpRequest) -> bytes:
        if "n1@" in request.target:
            raise KeyError("ouch")
        return safe_for_all(request)

    with serving(answer=failing) as served:
        with served.dial() as client:
            client.sendall(numbered(0) + numbered(1) + numbered(2))
            assert said(client) == [200]
        assert served.get(3).status == 200
        assert served.endpoint.counters.errors == 1
    assert "no answer, disconnected: KeyError: 'ouch'" in caplog.text


def test_a_stop_closes_connections_that_are_kept_alive(address: str) -> None:
    with serving(address) as served:
        client, half = served.dial(), served.dial()
        client.sendall(numbered(1))
        half.sendall(numbered(1)[:9])
        assert replies(client, 1)[0].status == 200
    with client, half:
        assert rest(client) == rest(half) == b""
        assert served.endpoint.counters.unfinished == 0
    if address.startswith("unix:"):
        assert not Path(address.removeprefix("unix:")).exists()


def test_systemd_is_told_what_is_done_at_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with manager(f"{tmp_path}/notify") as (name, message):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        with serving() as served, served.dial() as client, dial(served.server.addresses[0]) as postfix:
            client.sendall(numbered(0))
            postfix.sendall(ask())
            assert replies(client, 1)[0].status == 200
            assert postfix.recv(100) == b"action=DUNNO\n\n"
            message("WATCHDOG=1")
            assert message("WATCHDOG=1")[1] == "STATUS=listening; 2 connections, 2 requests, 0 errors"


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving() as served:
        yield served


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES | st.binary(min_size=1, max_size=40), min_size=1, max_size=12))
def test_no_octets_end_the_server(shared: Served, pieces: list[bytes]) -> None:
    with shared.dial() as client:
        with contextlib.suppress(OSError):
            client.sendall(b"".join(pieces))
            client.shutdown(socket.SHUT_WR)
        for status in said(client):
            assert status in (200, 400, 404, 405, 413, 431, 501, 505)
    assert shared.get(5).body == bodies([5])[0]
