"""The demo's endpoint with all log-ins of Exchange, TLS, limits, a log, autodiscover, and the troubles of the wire."""

import contextlib
import gzip
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence

from safelist import demo
from safelist.demo.server import EWS_PATH, XML, EwsHandler
from tests.exchange.authentication import Gate, Logon
from tests.exchange.autodiscover import user_settings
from tests.exchange.faults import Trouble
from tests.exchange.operations import Answer, Asked, answer, connection_count
from tests.exchange.organisation import Organisation
from tests.exchange.wire import SPOILS

TOKEN_PATH = "/oauth2/v2.0/token"
AUTODISCOVER_PATH = "/autodiscover/autodiscover.svc"
_KEPT = 200_000


class Handler(EwsHandler):
    """One connection to the tests' Exchange."""

    default_request_version = "HTTP/1.1"  # what is no HTTP at all is refused by a status all the same
    server: "DemoServer"

    def setup(self) -> None:
        super().setup()
        self.logon = Logon(self.server.gate)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer as IIS does: log in first, then learn that it is not allowed."""
        if self.path.partition("?")[0].lower() not in (EWS_PATH.lower(), AUTODISCOVER_PATH):
            self.send(404)
        elif challenges := self.challenges():
            self.refuse(challenges)
        else:
            self.send(405)

    def route(self, path: str, body: bytes) -> None:
        if path.endswith(TOKEN_PATH):
            granted = self.server.gate.tokens.grant(body, self.headers.get("Authorization"))
            self.send(granted.status, granted.body, "application/json; charset=utf-8")
        elif path != AUTODISCOVER_PATH:
            super().route(path, body)
        elif challenges := self.challenges():
            self.refuse(challenges)
        else:
            self.send(200, user_settings(self.server.organisation, self.server.url, body), XML)

    def challenges(self) -> tuple[str, ...]:
        return self.logon.check(self.headers.get("Authorization"))

    def exchange(self, body: bytes) -> None:
        server = self.server
        if server.on_request is not None:
            server.on_request(body)
        if server.slots is not None and not server.slots.acquire(blocking=False):
            self.send(500, connection_count(), XML)
            return
        try:
            asked, answered = answer(server.organisation, body)
            server.log(asked)
            if server.latency:
                server.stopping.wait(server.latency)
            self.reply(answered)
        finally:
            if server.slots is not None:
                server.slots.release()

    def reply(self, answered: Answer) -> None:
        """Send an EWS answer, spoiled if a fault says so."""
        struck = answered.fault
        if struck is not None and struck.trouble in SPOILS:
            SPOILS[struck.trouble](self, answered, struck, self.server.stopping)
        elif struck is not None and struck.trouble is Trouble.HTTP_401:
            self.refuse(self.server.gate.challenges)
        elif self.server.compress and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send(answered.status, gzip.compress(answered.body, 1), XML, [("Content-Encoding", "gzip")])
        else:
            self.send(answered.status, answered.body, XML)


class DemoServer(demo.DemoServer):
    """The tests' Exchange on 127.0.0.1, in threads of this process; a context manager.

    ``port`` 0 takes a free one. ``tls`` makes it https. ``latency`` seconds pass before every answer. ``schemes`` are
    offered (ntlm, basic, bearer). More than ``concurrency`` requests at a time are refused by
    ErrorExceededConnectionCount. ``compress`` packs answers for clients that accept gzip. ``on_request`` is called
    with the body of every authenticated EWS request, in the thread that answers it.
    """

    handler = Handler
    daemon_threads = False
    organisation: Organisation

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
        self.latency = latency
        self.compress = compress
        self.on_request = on_request
        self.stopping = threading.Event()
        self.slots = threading.BoundedSemaphore(concurrency) if concurrency else None
        self.gate = Gate(organisation.account, schemes, token_lifetime)
        self.connections = 0
        """TCP connections accepted so far."""
        self._asked: deque[Asked] = deque(maxlen=_KEPT)
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(organisation, port=port)

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        super().__exit__()

    @property
    def base(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        """Where an application gets its token (OAuth client credentials)."""
        return self.base + TOKEN_PATH

    @property
    def autodiscover_url(self) -> str:
        """The SOAP autodiscover service, which answers with ``url``."""
        return self.base + AUTODISCOVER_PATH

    @property
    def requests(self) -> list[Asked]:
        """Authenticated EWS requests since the start or the last ``reset``, in order."""
        return list(self._asked)

    def reset(self) -> None:
        """Forget the requests logged so far."""
        self._asked.clear()

    def log(self, asked: Asked) -> None:
        """Note one request."""
        self._asked.append(asked)

    def expire_tokens(self) -> None:
        """End every bearer token handed out so far."""
        self.gate.tokens.revoke()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self._tls is not None:
            # The handshake happens at the first read, in the connection's own thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections += 1
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close, with the open connections, whose threads are then waited for."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()
