"""HTTP/1.1 without a socket, as far as a look-up needs it: bytes to requests, answers to bytes. Pure.

h11 reads the octets (RFC 9112). No request has a body here: one that brings a body all the same is the connection's
last, so that where it ends need not be known, and nothing in it can be taken for a request.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import h11

from safelist.filter.protocol import MalformedError, RequestError, TooLargeError

METHODS = ("GET", "HEAD")
_SHOWN = 300
_TAKEN = h11.Response(status_code=200, headers=[("Content-Length", "0")])
_END = h11.EndOfMessage()


class HttpRequest(NamedTuple):
    """``headers`` have names in lower case. ``is_last``: the connection ends behind its answer.

    ``fault`` is the status of what is none that can be answered with anything else; None where it can.
    """

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    is_last: bool = False
    fault: HTTPStatus | None = None

    def header(self, name: bytes) -> Sequence[bytes]:
        """Every value of a header."""
        return [value for each, value in self.headers if each == name]


class HttpParser:
    """Finds the requests in the octets of one connection, however those are cut into pieces, ``at_once`` or fewer."""

    def __init__(self, max_request: int, max_headers: int, at_once: int) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=max_request)
        self._max_request, self._max_headers, self._at_once = max_request, max_headers, at_once
        self._has_stopped = False
        self.is_over = False
        """Whether what follows is not read."""

    @property
    def pending(self) -> bool:
        """Whether a request has begun and is not complete."""
        return not self.is_over and bool(self._h11.trailing_data[0])

    @property
    def has_more(self) -> bool:
        """Whether it has found ``at_once``, so that there may be more of them: ``feed(b"")`` looks on."""
        return self._has_stopped and not self.is_over

    def feed(self, data: bytes) -> list[HttpRequest]:
        """The requests that ``data`` completes. Raises MalformedError or TooLargeError: the end of this connection.

        The last of those ``before`` the error says with which status it is answered.
        """
        found: list[HttpRequest] = []
        try:
            if data:  # to h11, nothing is the end
                self._h11.receive_data(data)
            while not self.is_over and len(found) < self._at_once and (request := self._next()) is not None:
                found.append(request)
        except h11.RemoteProtocolError as error:
            raise self._refused(error.error_status_hint, str(error), found) from None
        self._has_stopped = len(found) == self._at_once
        return found

    def _next(self) -> HttpRequest | None:
        event = self._h11.next_event()
        if not isinstance(event, h11.Request):
            return None
        if len(event.headers) > self._max_headers:
            raise h11.RemoteProtocolError(f"more than {self._max_headers} header lines", error_status_hint=431)
        method, target = event.method.decode("ascii"), event.target.decode("ascii")
        fault = _fault(event)
        self.is_over = fault is not None or not self._begin_anew()
        return HttpRequest(method, target, tuple(event.headers), self.is_over, fault)

    def _begin_anew(self) -> bool:
        """Whether another request may follow. h11 wants to see an answer before it reads on: what is in it is the same
        to it, and ours are written when they are known.
        """
        self._h11.next_event()  # the end of a request without a body
        self._h11.send(_TAKEN)
        self._h11.send(_END)
        if self._h11.our_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    def _refused(self, status: int, why: str, found: list[HttpRequest]) -> RequestError:
        self.is_over = True
        fault = HTTPStatus(status)
        is_too_large = fault is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        error = (TooLargeError if is_too_large else MalformedError)(ascii(why)[1:-1][:_SHOWN])
        error.before = [*found, HttpRequest("", "", (), True, fault)]
        return error


def _fault(event: h11.Request) -> HTTPStatus | None:
    """Why a request is no look-up; nothing that follows one is read, since a body may, or another protocol."""
    if not event.http_version.startswith(b"1."):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if event.method.decode("ascii") not in METHODS:
        return HTTPStatus.METHOD_NOT_ALLOWED
    has_body = any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in event.headers
    )
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if has_body else None


def response(request: HttpRequest, status: HTTPStatus, kind: str, body: str) -> bytes:
    """The answer to one request, whose ``body`` of the media type ``kind`` is left out for HEAD."""
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(METHODS)}")
    if request.is_last:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return head if request.method == "HEAD" else head + content
