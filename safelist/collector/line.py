"""A worker's own authenticated line to EWS: one session, one connection, answers read in large pieces and bounded."""

import ssl
import time
from pathlib import Path
from typing import Any, NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.hooks import dispatch_hook

from safelist.collector.failure import FetchError, Reason
from safelist.errors import ConfigError

MAX_ANSWER = 32 << 20
"""An answer longer than this, as sent or unpacked, is refused; the largest rule is 522,240 bytes."""

PIECE = 64 << 10
CONNECT_SECONDS = 15


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What certificates are checked against: the system's trusted CAs, or only those in ``ca_file`` (PEM).

    Made once for all sessions, since loading the CAs costs more than a hundred requests. Raises ConfigError.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigError(f"exchange.ca_file: {ca_file} holds no certificate in PEM form") from None
    except OSError as error:
        raise ConfigError(f"exchange.ca_file: {ca_file} cannot be read: {error.strerror}") from None


class TlsAdapter(HTTPAdapter):
    """Verifies every certificate against one shared context; retries nothing; one connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


class Reply(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    headers: Any
    body: bytes


class Line:
    """One session; used by one thread at a time."""

    def __init__(self, session: requests.Session, endpoint: str, proxies: dict[str, str]) -> None:
        self.endpoint = endpoint
        self._session = session
        self._proxies = proxies
        self._adapter = session.get_adapter(endpoint)
        session.trust_env = False
        if hasattr(session, "token"):
            session.auth = _as_it_is  # requests_oauthlib's own refuses the demo's plain HTTP on loopback
        self._template = session.prepare_request(requests.Request("POST", endpoint))
        token = getattr(session, "token", None) or {}
        self.bearer: str | None = token.get("access_token")
        self._bearer_until: float | None = token.get("expires_at")
        if self.bearer is not None:
            self._template.headers["Authorization"] = f"Bearer {self.bearer}"

    def is_stale(self, now: float) -> bool:
        """Whether the OAuth token ends within a minute of ``now`` (epoch seconds)."""
        return self._bearer_until is not None and now > self._bearer_until - 60

    def post(self, body: bytes, anchor: str | None, timeout: float) -> Reply:
        """One request and its answer, ``timeout`` seconds for all of it. Raises what ``line_failure`` explains."""
        request = self._template.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        if anchor is not None:
            request.headers["X-AnchorMailbox"] = anchor.encode()  # type: ignore[assignment] # UTF-8; http.client would take Latin-1
        deadline = time.monotonic() + timeout
        options: dict[str, Any] = {
            "stream": True, "timeout": (min(timeout, CONNECT_SECONDS), timeout), "verify": True, "cert": None,
            "proxies": self._proxies,
        }  # fmt: skip
        # Not Session.send: it follows cookies and reads the bodies of redirects whole, and costs as much as the rest.
        response = self._adapter.send(request, **options)
        try:
            response = dispatch_hook("response", request.hooks, response, **options)  # type: ignore[no-untyped-call]
            return Reply(response.status_code, response.headers, _read(response.raw, deadline))
        finally:
            response.close()

    def close(self) -> None:
        """Hang up."""
        self._session.close()


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read(raw: Any, deadline: float) -> bytes:
    """The body, unpacked. A server that trickles is cut off at the deadline, one that floods at ``MAX_ANSWER``."""
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read1(PIECE, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER:
            raise FetchError(Reason.UNREADABLE, f"the answer is longer than {MAX_ANSWER} bytes; this is not EWS")
        if time.monotonic() > deadline:
            raise urllib3.exceptions.ReadTimeoutError(raw, "", "the answer trickles")
    return b"".join(pieces)
