"""One HTTP/1.1 connection: requests read one after the other, answers written each in one piece."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from io import BufferedIOBase
from socketserver import StreamRequestHandler
from typing import NamedTuple

REQUEST_LIMIT = 4 * 1024 * 1024
"""Bytes of a request's body; a longer one is answered by 413 and the connection closed."""

XML = "text/xml; charset=utf-8"
HTML = "text/html; charset=utf-8"
_LINE_LIMIT = 65536
_HEADERS_LIMIT = 100


class Posted(NamedTuple):
    """A request: method, path without its query, headers (names in lower case), body, whether it is the last one."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    last: bool


class RefusedError(Exception):
    """A request that is answered by this status and the end of the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection(StreamRequestHandler):
    """Reads and writes. ``answer`` is called for every request; ``closing`` ends the connection after it."""

    disable_nagle_algorithm = True
    timeout = 600
    closing = False

    def handle(self) -> None:
        while not self.closing:
            try:
                posted = read_request(self.rfile)
            except RefusedError as error:
                self.closing = True
                self.send(error.status, b"", HTML)
                return
            if posted is None:
                return
            self.closing = posted.last
            self.answer(posted)

    def answer(self, posted: Posted) -> None:
        """Send one answer."""
        self.send(404, b"", HTML)

    def send(self, status: int, body: bytes, kind: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Write one whole answer."""
        self.wfile.write(self.head(status, len(body), kind, headers) + body)

    def head(self, status: int, length: int, kind: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
        """The status line and headers as IIS writes them."""
        rest = "".join(f"{name}: {value}\r\n" for name, value in headers)
        close = "Connection: close\r\n" if self.closing else ""
        return (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nCache-Control: private\r\n"
            f"Content-Type: {kind}\r\nServer: Microsoft-IIS/10.0\r\nX-Powered-By: ASP.NET\r\n"
            f"{rest}{close}Content-Length: {length}\r\n\r\n"
        ).encode("latin-1")


def read_request(stream: BufferedIOBase) -> Posted | None:
    """The next request; None at the end of the connection. Raises RefusedError for what is no such request."""
    words = stream.readline(_LINE_LIMIT).split()
    if not words:
        return None
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise RefusedError(400)
    headers = dict(_headers(stream))
    method, path = words[0].decode("latin-1"), words[1].decode("latin-1").partition("?")[0]
    last = words[2] == b"HTTP/1.0" or headers.get("connection", "").lower() == "close"
    return Posted(method, path, headers, _body(stream, method, headers), last)


def _headers(stream: BufferedIOBase) -> Iterable[tuple[str, str]]:
    for _ in range(_HEADERS_LIMIT):
        line = stream.readline(_LINE_LIMIT)
        if line in (b"\r\n", b"\n", b""):
            return
        name, _, value = line.decode("latin-1").partition(":")
        yield name.strip().lower(), value.strip()
    raise RefusedError(431)


def _body(stream: BufferedIOBase, method: str, headers: Mapping[str, str]) -> bytes:
    length = headers.get("content-length", "" if method == "POST" else "0")
    if not length.isascii() or not length.isdecimal():
        raise RefusedError(411)
    if int(length) > REQUEST_LIMIT:
        raise RefusedError(413)
    return stream.read(int(length))
