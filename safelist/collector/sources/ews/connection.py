"""A worker's own authenticated connection to EWS, a session each; answers are read in large pieces and bounded."""

import ssl
from pathlib import Path
from typing import Any, NamedTuple

import requests
from requests.hooks import dispatch_hook

from safelist.collector.sources.ews.bounded_http import BoundedAdapter, TlsSocket, read_within
from safelist.errors import ConfigError

CONNECT_SECONDS = 15


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What certificates are checked against: the system's trusted CAs, or only those in ``ca_file`` (PEM).

    Made once for all sessions, since loading the CAs costs more than a hundred requests. Raises ConfigError.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigError(f"exchange.ca_file: {ca_file} holds no certificate in PEM form") from None
    except OSError as error:
        raise ConfigError(f"exchange.ca_file: {ca_file} cannot be read: {error.strerror}") from None
    context.sslsocket_class = TlsSocket
    return context


class Reply(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    headers: Any
    body: bytes


class EwsConnection:
    """One session; used by one thread at a time."""

    def __init__(self, session: requests.Session, endpoint: str, proxies: dict[str, str]) -> None:
        self.endpoint = endpoint
        self._session = session
        self._proxies = proxies
        self._adapter: BoundedAdapter = session.get_adapter(endpoint)  # type: ignore[assignment] # the only ones mounted
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
        """Send one question and return its answer, ``timeout`` seconds for all of it, log-in included.

        Raises FetchError, or what ``transport_errors.of_connection`` explains.
        """
        request = self._template.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        if anchor is not None:
            request.headers["X-AnchorMailbox"] = anchor.encode()  # type: ignore[assignment] # UTF-8; http.client would take Latin-1
        self._adapter.bound.start(timeout)
        options: dict[str, Any] = {
            "stream": True, "timeout": (min(timeout, CONNECT_SECONDS), timeout), "verify": True, "cert": None,
            "proxies": self._proxies,
        }  # fmt: skip
        try:
            return self._send(request, options)
        except BaseException:
            self._adapter.close()  # a log-in that broke off may have kept the only connection
            raise

    def _send(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Reply:
        # Not Session.send: it follows cookies and reads the bodies of redirects whole, and costs as much as the rest.
        response = self._adapter.send(request, **options)
        try:
            response = dispatch_hook("response", request.hooks, response, **options)  # type: ignore[no-untyped-call]
            return Reply(response.status_code, response.headers, read_within(response.raw, self._adapter.bound))
        finally:
            response.close()

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
