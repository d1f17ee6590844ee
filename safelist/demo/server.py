"""The endpoint's HTTP: connections, authentication, the log of requests, and the troubles of the wire."""

import contextlib
import gzip
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from http.server import ThreadingHTTPServer
from typing import Self

from safelist.demo.answers import Answer, Asked, answer
from safelist.demo.authentication import Gate, Logon, Refusal
from safelist.demo.autodiscover import user_settings
from safelist.demo.connection import HTML, XML, Connection, Posted
from safelist.demo.faults import Trouble
from safelist.demo.organisation import Organisation
from safelist.demo.soap import FaultError, fault
from safelist.demo.wire import SPOILS

EWS_PATH = "/EWS/Exchange.asmx"
TOKEN_PATH = "/oauth2/v2.0/token"  # noqa: S105 - a path
AUTODISCOVER_PATH = "/autodiscover/autodiscover.svc"
_KEPT = 200_000


class DemoServer:
    """The endpoint on 127.0.0.1, in threads of this process; a context manager.

    ``port`` 0 takes a free one. ``tls`` makes it https. ``latency`` seconds pass before every answer. ``schemes`` are
    offered (ntlm, basic, bearer). More than ``concurrency`` requests at a time are refused by
    ErrorExceededConnectionCount. ``compress`` packs answers for clients that accept gzip. ``on_request`` is called
    with the body of every authenticated EWS request, in the thread that answers it.
    """

    def __init__(
        self,
        organisation: Organisation,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        latency: float = 0.0,
        schemes: Sequence[str] = ("ntlm", "basic"),
        concurrency: int | None = None,
        compress: bool = False,
        token_lifetime: float = 3599.0,
        on_request: Callable[[bytes], None] | None = None,
    ) -> None:
        self.organisation = organisation
        self.latency = latency
        self.compress = compress
        self.on_request = on_request
        self.stopping = threading.Event()
        self.slots = threading.BoundedSemaphore(concurrency) if concurrency else None
        self.gate = Gate(organisation.account, schemes, token_lifetime)
        self._asked: deque[Asked] = deque(maxlen=_KEPT)
        self._http = _Http(port, self, tls)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="demo", daemon=True)
        scheme = "https" if tls else "http"
        self._base = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The EWS URL."""
        return self._base + EWS_PATH

    @property
    def token_url(self) -> str:
        """Where an application gets its token (OAuth client credentials)."""
        return self._base + TOKEN_PATH

    @property
    def autodiscover_url(self) -> str:
        """The SOAP autodiscover service, which answers with ``url``."""
        return self._base + AUTODISCOVER_PATH

    @property
    def requests(self) -> list[Asked]:
        """Authenticated EWS requests since the start or the last ``reset``, in order."""
        return list(self._asked)

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._http.accepted

    def reset(self) -> None:
        """Forget the requests logged so far."""
        self._asked.clear()

    def log(self, asked: Asked) -> None:
        """Note one request."""
        self._asked.append(asked)

    def expire_tokens(self) -> None:
        """End every bearer token handed out so far."""
        self.gate.tokens.revoke()


class _Http(ThreadingHTTPServer):
    """Keeps its connections, so that it can close them when it stops."""

    daemon_threads = False
    request_queue_size = 256

    def __init__(self, port: int, demo: DemoServer, tls: ssl.SSLContext | None) -> None:
        self.demo = demo
        self.accepted = 0
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self._tls is not None:
            # The handshake happens at the first read, in the connection's own thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.accepted += 1
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or fails the TLS handshake, is no news."""


class _Handler(Connection):
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.logon = Logon(self.server.demo.gate)

    def answer(self, posted: Posted) -> None:
        path = posted.path.lower()
        demo = self.server.demo
        if path.endswith(TOKEN_PATH):
            granted = demo.gate.tokens.grant(posted.body, posted.headers.get("authorization"))
            self.send(granted.status, granted.body, "application/json; charset=utf-8")
        elif path not in (EWS_PATH.lower(), AUTODISCOVER_PATH):
            self.send(404, b"", HTML)
        elif refusal := self.logon.check(posted.headers.get("authorization")):
            self.refuse(refusal)
        elif posted.method != "POST":
            self.send(405, b"", HTML)
        elif path == AUTODISCOVER_PATH:
            self.send(200, user_settings(demo.organisation, demo.url, posted.body), XML)
        else:
            self.exchange(posted)

    def exchange(self, posted: Posted) -> None:
        """Answer an EWS request."""
        demo = self.server.demo
        if demo.on_request is not None:
            demo.on_request(posted.body)
        if demo.slots is not None and not demo.slots.acquire(blocking=False):
            self.send(500, fault(FaultError("ErrorExceededConnectionCount")), XML)
            return
        try:
            asked, answered = answer(demo.organisation, posted.body)
            demo.log(asked)
            if demo.latency:
                demo.stopping.wait(demo.latency)
            self.reply(posted, answered)
        finally:
            if demo.slots is not None:
                demo.slots.release()

    def reply(self, posted: Posted, answered: Answer) -> None:
        """Send an EWS answer, spoiled if a fault says so."""
        struck, demo = answered.fault, self.server.demo
        if struck is not None and struck.trouble in SPOILS:
            SPOILS[struck.trouble](self, answered, struck, demo.stopping)
        elif struck is not None and struck.trouble is Trouble.HTTP_401:
            self.refuse(demo.gate.refusal)
        elif demo.compress and "gzip" in posted.headers.get("accept-encoding", ""):
            self.send(answered.status, gzip.compress(answered.body, 1), XML, [("Content-Encoding", "gzip")])
        else:
            self.send(answered.status, answered.body, XML)

    def refuse(self, refusal: Refusal) -> None:
        """Demand credentials."""
        self.send(401, b"", HTML, [("WWW-Authenticate", challenge) for challenge in refusal.challenges])
