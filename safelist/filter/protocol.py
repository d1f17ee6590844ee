"""Postfix's policy delegation protocol (SMTPD_POLICY_README) without a socket: bytes to requests, actions to bytes.

A request is lines of name=value that an empty line ends. Postfix checks nothing that it passes on from the client, so
a value may hold any octet but NUL and LF.
"""

import re
from collections.abc import Callable
from typing import Any

MAX_REQUEST = 16 * 1024
"""Octets of a request with its empty line. Postfix's own stay below 4 KiB unless a client's names are absurd."""

MAX_ATTRIBUTES = 100
"""Lines of a request. Postfix 3.9 sends 34."""

MAX_ACTION = 900
"""Octets of an action: with its code and Postfix's own words it has to fit into a reply line of SMTP."""

_KIND = "smtpd_access_policy"
_SHOWN = 60


class RequestError(Exception):
    """What came is no request, and what follows it cannot be understood: the connection is of no more use.

    ``before`` are the requests that were complete ahead of it in the same data.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.before: list[Any] = []


class MalformedError(RequestError):
    """The octets break the protocol; the message says how, printable and at most 400 characters long."""


class TooLargeError(RequestError):
    """The request is longer than allowed, complete or not."""


class PolicyRequest:
    """The attributes of one request, which are looked up when they are asked for: most never are."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """``text`` is "\\n" and, for each attribute, "name=value\\n"."""
        self._text = text

    def get(self, name: str) -> str:
        """The first value of ``name``; empty where it has none, which in this protocol means the same as an empty one.

        Octets that are no UTF-8 stand as a backslash, x and two digits, so that every value can be written anywhere.
        """
        return self._text.partition(f"\n{name}=")[2].partition("\n")[0]

    def attributes(self) -> dict[str, str]:
        """Every attribute, of duplicates the first one."""
        lines = self._text[1:-1].split("\n")
        return {name: value for name, _, value in (line.partition("=") for line in reversed(lines))}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicyRequest) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"PolicyRequest({self.attributes()!r})"


class RequestParser:
    """Finds the requests in the octets of one connection, however those are cut into pieces."""

    is_over = False
    """Only an error or the client ends a connection."""
    has_more = False
    """It finds all at once."""

    def __init__(self, max_request: int = MAX_REQUEST, max_attributes: int = MAX_ATTRIBUTES) -> None:
        self._max_request = max_request
        self._max_attributes = max_attributes
        self._plain = _plain(max_attributes)
        self._held = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a request has begun and is not complete."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[PolicyRequest]:
        """The requests that ``data`` completes. Raises MalformedError or TooLargeError: the end of this connection."""
        # One whole request, as Postfix writes it, is what nearly every piece of data is.
        if not self._held and self._is_plain(data):
            return [_decoded(data)]
        return self._feed_pieces(data)

    def _feed_pieces(self, data: bytes) -> list[PolicyRequest]:
        seen = max(0, len(self._held) - 1)
        self._held += data
        found: list[PolicyRequest] = []
        try:
            while (end := self._held.find(b"\n\n", seen)) >= 0:
                found.append(self._request(bytes(self._held[: end + 2])))
                del self._held[: end + 2]
                seen = 0
            self._check_beginning(seen)
        except RequestError as error:
            error.before = found
            raise
        return found

    def _is_plain(self, data: bytes) -> bool:
        """Whether it is one request, as Postfix writes it: a third of the work of _check, which decides of the rest."""
        return (
            len(data) <= self._max_request and self._plain(data) is not None and data.find(0) < 0 and data.find(13) < 0
        )

    def _request(self, data: bytes) -> PolicyRequest:
        if not self._is_plain(data):
            self._check(data)
        return _decoded(data)

    def _check(self, data: bytes) -> None:
        if len(data) > self._max_request:
            raise TooLargeError(f"a request of more than {self._max_request} octets")
        lines = data[:-2].split(b"\n")
        if len(lines) > self._max_attributes:
            raise TooLargeError(f"a request of more than {self._max_attributes} attributes")
        for number, line in enumerate(lines, 1):
            if fault := _fault(line):
                raise MalformedError(f"line {number} {fault}: {_shown(line)}")
        if (kind := _decoded(data).get("request")) != _KIND:
            raise MalformedError(f"not request={_KIND} but {_shown(kind.encode())}")

    def _check_beginning(self, seen: int) -> None:
        """What can be said of a request that is not complete; CR LF would never end one."""
        if self._held.startswith(b"\n"):
            raise MalformedError("an empty request")
        if self._held.find(b"\r\n", seen) >= 0:
            raise MalformedError(f"lines end in CR LF: {_shown(bytes(self._held))}")
        if len(self._held) >= self._max_request:
            raise TooLargeError(f"no end of a request within {self._max_request} octets")


def answer(action: str) -> bytes:
    """The answer to one request. ValueError for what would not reach Postfix, or the client, as that one action."""
    if not action.isascii() or not action.isprintable():
        raise ValueError(f"an action is printable ASCII, without line breaks: {action[:_SHOWN]!a}")
    if not action or len(action) > MAX_ACTION:
        raise ValueError(f"an action has 1 to {MAX_ACTION} octets, not {len(action)}: {action[:_SHOWN]!r}")
    return f"action={action}\n\n".encode("ascii")


def _plain(max_attributes: int) -> Callable[[bytes], re.Match[bytes] | None]:
    more = max_attributes - 1
    return re.compile(rb"request=%b\n(?:\w++=.*+\n){0,%d}+\n" % (_KIND.encode(), more)).fullmatch


def _decoded(data: bytes) -> PolicyRequest:
    return PolicyRequest("\n" + data[:-1].decode("utf-8", "backslashreplace"))


def _fault(line: bytes) -> str:
    """What is wrong with a line, or nothing."""
    if b"\0" in line:
        return "holds a NUL"
    if line.endswith(b"\r"):
        return "ends in CR LF"
    if b"=" not in line:
        return "holds no '='"
    return "has no name before its '='" if line.startswith(b"=") else ""


def _shown(line: bytes) -> str:
    return repr(line[:_SHOWN]) + ("..." if len(line) > _SHOWN else "")
