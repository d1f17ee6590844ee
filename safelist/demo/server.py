"""The endpoint's HTTP: connections, Basic authentication, and the answers as IIS writes them."""

import base64
import hmac
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Self

from safelist.demo.operations import answer
from safelist.demo.organisation import Organisation, ServiceAccount

EWS_PATH = "/EWS/Exchange.asmx"
REQUEST_LIMIT = 4 * 1024 * 1024
"""Bytes of a request's body; a longer one is answered by 413 and the connection closed."""

XML = "text/xml; charset=utf-8"
HTML = "text/html; charset=utf-8"
BASIC_CHALLENGE = 'Basic realm="127.0.0.1"'


class EwsHandler(BaseHTTPRequestHandler):
    """One connection: requests one after the other, each answered in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 600
    server: "DemoServer"

    def do_POST(self) -> None:
        """Answer one request."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            self.hang_up(411)
        elif int(length) > REQUEST_LIMIT:
            self.hang_up(413)
        else:
            self.route(self.path.partition("?")[0].lower(), self.rfile.read(int(length)))

    def route(self, path: str, body: bytes) -> None:
        """Answer a request to ``path`` (in lower case): EWS's to who is allowed, 404 to others."""
        if path != EWS_PATH.lower():
            self.send(404)
        elif challenges := self.challenges():
            self.refuse(challenges)
        else:
            self.exchange(body)

    def challenges(self) -> tuple[str, ...]:
        """The WWW-Authenticate headers that refuse this request; none lets it in."""
        right = is_basic(self.headers.get("Authorization", ""), self.server.organisation.account)
        return () if right else (BASIC_CHALLENGE,)

    def exchange(self, body: bytes) -> None:
        """Answer an EWS request."""
        self.send(*answer(self.server.organisation, body), XML)

    def refuse(self, challenges: Iterable[str]) -> None:
        """Demand credentials."""
        self.send(401, headers=[("WWW-Authenticate", challenge) for challenge in challenges])

    def hang_up(self, status: int) -> None:
        """Send this status without a body and end the connection."""
        self.close_connection = True
        self.send(status)

    def send(self, status: int, body: bytes = b"", kind: str = HTML, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Write one whole answer."""
        self.begin(status, len(body), kind, headers)
        self.wfile.write(body)

    def begin(self, status: int, length: int, kind: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Write the status line and the headers of an answer whose body has ``length`` bytes."""
        self.send_response(status)
        close = [("Connection", "close")] if self.close_connection else []
        for name, value in [("Content-Type", kind), *headers, *close, ("Content-Length", str(length))]:
            self.send_header(name, value)
        self.end_headers()

    def version_string(self) -> str:
        return "Microsoft-IIS/10.0"

    def log_message(self, *_: object) -> None:
        """Write nothing: requests are not logged."""


def is_basic(authorization: str, account: ServiceAccount) -> bool:
    """Whether an Authorization header gives the account's name and password by Basic."""
    right = base64.b64encode(f"{account.principal}:{account.password}".encode())
    return hmac.compare_digest(authorization.encode(), b"Basic " + right)


class DemoServer(ThreadingHTTPServer):
    """The endpoint on 127.0.0.1, in threads of this process; a context manager. ``port`` 0 takes a free one."""

    request_queue_size = 256
    handler: type[EwsHandler] = EwsHandler

    def __init__(self, organisation: Organisation, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), self.handler)
        self.organisation = organisation
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="demo", daemon=True)

    def server_bind(self) -> None:
        """Bind the socket without asking a nameserver what the machine is called, as HTTPServer does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment] # of AF_INET

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.server_address[1])

    @property
    def base(self) -> str:
        """The URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The EWS URL."""
        return self.base + EWS_PATH

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a client that goes away is no news."""
