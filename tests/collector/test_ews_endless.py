"""Servers that never come to an end, wherever in an answer: the question ends, and they see the client hang up."""

import gzip
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews.autodiscover import discover
from safelist.collector.sources.ews.connection import tls_context
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.session import credentials_of
from safelist.config import Exchange as Settings
from tests.collector.ews_site import ALICE, QUICK

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"
ENDLESS_BODY = b"Content-Length: 99999999999\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\n"
NOTHING = gzip.compress(b"", mtime=0)
EMPTY_BLOCK = b"\0\0\0\xff\xff"
"""A stored deflate block without data (RFC 1951 3.2.4)."""


class Answer(NamedTuple):
    """``start`` once, then ``more`` for ever."""

    start: bytes
    more: bytes


class Server(socketserver.ThreadingTCPServer):
    """Sends its answer to whatever it is asked, until the client hangs up; ``pause`` seconds between the pieces."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, answer: Answer, pause: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.pause = pause
        self.closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        self.request.recv(1)
        try:
            self.request.sendall(self.server.answer.start)
            while not self.is_left():
                self.request.sendall(self.server.answer.more)
        except OSError:
            self.server.closed.set()

    def is_left(self) -> bool:
        """Read what was asked; whether the client is gone. Waits for the pause where there is one."""
        ends = time.monotonic() + self.server.pause
        while True:
            self.request.settimeout(max(0.0, ends - time.monotonic()))
            try:
                if not self.request.recv(65536):
                    self.server.closed.set()
                    return True
            except (TimeoutError, BlockingIOError):
                self.request.settimeout(60)
                return False


@contextmanager
def serving(answer: Answer, pause: float) -> Iterator[Server]:
    with Server(answer, pause) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(endpoint: str | None, timeout: int, authentication: str = "ntlm", **keys: Any) -> Settings:
    made = {"endpoint": endpoint, "authentication": authentication, "username": "svc", "secret": "Pa55", **keys}
    return Settings.model_validate(
        {key: value for key, value in made.items() if value is not None} | {"timeout": timeout}
    )


def failure(made: Settings) -> FetchError:
    with ExchangeServer(made, "Pa55word", retry_policy=QUICK) as ews, pytest.raises(FetchError) as caught:
        ews.fetch(ALICE, None)
    return caught.value


ENDLESS = {
    "status line": Answer(b"HTTP/1.1 200 O", b"K"),
    "header": Answer(OK + b"X-Long: ", b"x"),
    "100 Continue": Answer(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": Answer(OK + ENDLESS_BODY, b" "),
    "chunk extension": Answer(OK + CHUNKED + b"1;", b"x"),
    "trailer": Answer(OK + CHUNKED + b"0\r\n", b"X: y\r\n"),
    "empty deflate blocks": Answer(OK + b"Content-Encoding: gzip\r\n" + ENDLESS_BODY + NOTHING[:10], EMPTY_BLOCK),
    "empty gzip members": Answer(OK + b"Content-Encoding: gzip\r\n" + ENDLESS_BODY, NOTHING),
    "401": Answer(UNAUTHORIZED + ENDLESS_BODY, b" "),
    "packed 401": Answer(UNAUTHORIZED + b"Content-Encoding: gzip\r\n" + ENDLESS_BODY, NOTHING),
    "302": Answer(b"HTTP/1.1 302 Found\r\nLocation: https://x.example/\r\n" + ENDLESS_BODY, b" "),
    "500": Answer(b"HTTP/1.1 500 Error\r\n" + ENDLESS_BODY, b" "),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_a_server_that_trickles_is_given_up(answer: Answer) -> None:
    with serving(answer, pause=0.02) as server:
        error = failure(settings(server.url, timeout=1))
        assert server.closed.wait(60)
    assert (error.reason, "within 1 seconds" in error.message) == (FailureReason.TIMEOUT, True)


@pytest.mark.no_cover
@pytest.mark.parametrize("where", ["100 Continue", "trailer", "body", "401", "packed 401", "302", "500"])
def test_a_server_that_floods_is_given_up(where: str) -> None:
    start, more = ENDLESS[where]
    with serving(Answer(start, more * (65536 // len(more))), pause=0) as server:
        error = failure(settings(server.url, timeout=120))
        assert server.closed.wait(60)
    assert (error.reason, "longer than" in error.message) == (FailureReason.UNREADABLE, True)


def test_a_tls_handshake_that_trickles() -> None:
    with serving(Answer(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", b"\x03"), pause=0.02) as server:
        error = failure(settings(server.url.replace("http:", "https:"), timeout=1))
        assert server.closed.wait(60)
    assert error.reason is FailureReason.TIMEOUT


def test_a_proxy_whose_answer_to_connect_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"), pause=0.02) as server:
        monkeypatch.setenv("https_proxy", server.url)
        error = failure(settings("https://mail.corp.example/EWS/Exchange.asmx", timeout=1))
        assert server.closed.wait(60)
    assert error.reason in (FailureReason.TIMEOUT, FailureReason.UNREACHABLE)


OAUTH: dict[str, Any] = {"authentication": "oauth", "username": None, "client_id": "c", "tenant_id": "t"}


@pytest.mark.parametrize("where", ["header", "100 Continue", "body", "empty gzip members", "302", "500"])
def test_a_token_endpoint_that_trickles(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # plain HTTP to this test's server
    with serving(ENDLESS[where], pause=0.02) as server:
        made = settings("https://127.0.0.1:1/EWS/Exchange.asmx", timeout=1, token_url=f"{server.url}/token", **OAUTH)
        error = failure(made)
        assert server.closed.wait(60)
    assert error.reason is (FailureReason.REDIRECT if where == "302" else FailureReason.TIMEOUT)


@pytest.mark.parametrize("where", ["header", "body", "401", "302"])
def test_autodiscover_that_trickles(where: str) -> None:
    with serving(ENDLESS[where], pause=0.02) as server:
        made = settings(None, timeout=1, autodiscover=ALICE)
        with pytest.raises(FetchError):
            discover(made, credentials_of(made, "Pa55word"), tls_context(None), (server.url,))
        assert server.closed.wait(60)
