"""A connection on which one deadline holds from its name's look-up on, and one size for all that is read: log-in,
proxies, headers and bodies.
"""

import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Thread
from typing import Any

from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest, Response
from urllib3.exceptions import ConnectTimeoutError

from safelist.collector.failure import Extent, FailureReason, FetchError

MAX_ANSWER = 32 << 20
"""An answer longer than this, as sent or unpacked, is refused; the largest rule is 522,240 bytes."""

PIECE = 64 << 10


class Bound:
    """How long, and how many bytes, may still be read for one question, however many requests it takes."""

    def __init__(self, seconds: float) -> None:
        self.start(seconds)

    def start(self, seconds: float) -> None:
        """Begin a question."""
        self._deadline = time.monotonic() + seconds
        self._size = MAX_ANSWER

    def seconds(self) -> float:
        """What is left of the time. Raises TimeoutError when that is nothing."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer trickles")
        return left

    def take(self, size: int) -> None:
        """Count bytes that were read. Raises FetchError when they are too many."""
        self._size -= size
        if self._size < 0:
            raise too_long()


def too_long() -> FetchError:
    """The answer does not end."""
    return FetchError(FailureReason.UNREADABLE, f"the answer is longer than {MAX_ANSWER} bytes; this is not EWS")


class _Measured:
    """Mixed into sockets: every read and write waits no longer than ``bound``, every byte that is read counts."""

    bound: Bound | None = None

    def recv(self, *args: Any) -> bytes:
        self._hurry()
        data: bytes = super().recv(*args)  # type: ignore[misc]
        if self.bound is not None:
            self.bound.take(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        self._hurry()
        size: int = super().recv_into(*args)  # type: ignore[misc]
        if self.bound is not None:
            self.bound.take(size)
        return size

    def send(self, *args: Any) -> int:
        self._hurry()
        return super().send(*args)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any) -> None:
        self._hurry()
        super().sendall(*args)  # type: ignore[misc]

    def _hurry(self) -> None:
        if self.bound is not None:
            self.settimeout(self.bound.seconds())  # type: ignore[attr-defined]


class _Socket(_Measured, socket.socket):
    pass


class TlsSocket(_Measured, ssl.SSLSocket):
    """For ``SSLContext.sslsocket_class``."""


class _Measuring:
    """Mixed into urllib3's connections: their sockets are measured from the first byte on."""

    adapter: "BoundedAdapter"
    sock: Any
    host: str
    port: int
    timeout: float | None

    def _new_conn(self) -> socket.socket:
        try:
            plain = _within(self.adapter.bound.seconds(), self._connected)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no connection came about in time") from error
        measured = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        measured.bound = self.adapter.bound
        measured.settimeout(self.adapter.bound.seconds())  # which bounds the TLS handshake as a whole
        return measured

    def _connected(self) -> socket.socket:
        """As urllib3's, which would allow the whole time for each of a name's addresses."""
        behind = getattr(self, "_socks_options", None) or {}
        count = _addresses(behind.get("proxy_host", self.host), behind.get("proxy_port", self.port))
        left = self.adapter.bound.seconds()
        self.timeout = min(left, self.timeout or left) / count
        plain: socket.socket = super()._new_conn()  # type: ignore[misc]
        return plain

    def _tunnel(self) -> None:
        self.sock.bound = self.adapter.bound
        super()._tunnel()  # type: ignore[misc]
        self.sock.settimeout(self.adapter.bound.seconds())

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.bound = self.adapter.bound
        certificate = getattr(self.sock, "getpeercert", None)
        self.adapter.certificate = certificate(True) if certificate else None


def _within(seconds: float, connect: Callable[[], socket.socket]) -> socket.socket:
    """What ``connect`` returns within that time; closed where it comes later. Raises TimeoutError.

    In a thread, for nothing else bounds getaddrinfo(3), nor what a SOCKS proxy says before it connects.
    """
    coming: Future[socket.socket] = Future()

    def work() -> None:
        try:
            made = connect()
        except BaseException as error:
            with suppress(InvalidStateError):
                coming.set_exception(error)
            return
        try:
            coming.set_result(made)
        except InvalidStateError:
            made.close()

    Thread(target=work, name="connecting", daemon=True).start()
    try:
        return coming.result(seconds)
    except TimeoutError:
        if coming.cancel():
            raise
        return coming.result()  # it came, or failed, in this moment


def _addresses(host: str, port: int) -> int:
    """How many addresses a name has; 1 where that cannot be told, which connecting explains better."""
    try:
        return len(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)) or 1
    except (OSError, UnicodeError):
        return 1


class BoundedAdapter(HTTPAdapter):
    """Verifies every certificate against one shared context; retries nothing; one connection, within ``bound``.

    ``certificate`` is the server's, in DER form, of the connection in use.
    """

    def __init__(self, context: ssl.SSLContext, bound: Bound) -> None:
        self._context = context
        self.bound = bound
        self.certificate: bytes | None = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self._measure(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
        if not is_known:
            self._measure(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: PreparedRequest, stream: bool = False, *args: Any, **kwargs: Any) -> Response:
        """As HTTPAdapter's; what is not to be streamed is read here, within bounds, before anybody else can.

        A session would send it again to wherever the server points: a token's request, with its secret.
        """
        response = super().send(request, stream, *args, **kwargs)
        if response.status_code in (401, 407):
            # Log-ins read and drop these bodies; packed, they could unpack to any size.
            response.raw.headers.pop("Content-Encoding", None)
        elif not stream and response.is_redirect:
            response.close()
            place = str(request.url).partition("?")[0]
            raise FetchError(
                FailureReason.REDIRECT,
                f"{place} redirects elsewhere, which is not followed; write the final address there",
                extent=Extent.UNSURE,
            )
        elif not stream:
            try:
                response._content = read_within(response.raw, self.bound)
            except BaseException:
                response.close()
                raise
        return response

    def _measure(self, manager: Any) -> None:
        """Let ``manager`` (plain, proxy or SOCKS) open measured connections only."""
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._measured(pool) for scheme, pool in pools.items()}

    def _measured(self, pool: Any) -> Any:
        connection = type("Connection", (_Measuring, pool.ConnectionCls), {"adapter": self})
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def read_within(raw: Any, bound: Bound) -> bytes:
    """The body, unpacked. A server that trickles is cut off at the deadline, one that floods at ``MAX_ANSWER``."""
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read1(PIECE, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER:
            raise too_long()
        bound.seconds()
    return b"".join(pieces)
