"""Who may ask: Basic, NTLM and OAuth bearer tokens, as IIS and Exchange demand and check them."""

import atexit
import base64
import binascii
import hmac
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

import spnego
from spnego.exceptions import SpnegoError

from tests.exchange.organisation import ServiceAccount

SCHEMES = ("ntlm", "basic", "bearer")
"""The schemes that the endpoint can offer, in the order of its WWW-Authenticate headers."""

_ENVIRONMENT = threading.Lock()
_FOLDER = tempfile.TemporaryDirectory(prefix="ntlm-", ignore_cleanup_errors=True)
atexit.register(_FOLDER.cleanup)
_CHALLENGES = {
    "ntlm": "NTLM",
    "basic": 'Basic realm="127.0.0.1"',
    "bearer": 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", trusted_issuers="", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", error="invalid_token"',
}


class TokenAnswer(NamedTuple):
    """What the token endpoint answers: an HTTP status and JSON."""

    status: int
    body: bytes


class Tokens:
    """The bearer tokens handed out, each with its end; thread-safe."""

    def __init__(self, account: ServiceAccount, lifetime: float) -> None:
        self._account = account
        self._lifetime = lifetime
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def grant(self, body: bytes, authorization: str | None) -> TokenAnswer:
        """Answer an RFC 6749 4.4 request (client credentials) with a token or the error that Entra ID would give."""
        form = {key: values[-1] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        client, secret = _client(form, authorization)
        if form.get("grant_type") != "client_credentials":
            return _token_error(400, "unsupported_grant_type", "AADSTS70003: the grant type is not supported.")
        if client != self._account.client_id:
            return _token_error(400, "unauthorized_client", "AADSTS700016: the application was not found.")
        if not hmac.compare_digest(secret.encode(), self._account.client_secret.encode()):
            return _token_error(401, "invalid_client", "AADSTS7000215: invalid client secret provided.")
        if not self._account.scopes.issuperset(form.get("scope", "-").split()):
            return _token_error(400, "invalid_scope", "AADSTS70011: the scope is not valid.")
        return self._issue()

    def _issue(self) -> TokenAnswer:
        token = secrets.token_urlsafe(48)
        with self._lock:
            self._ends[token] = time.monotonic() + self._lifetime
        answer = {"token_type": "Bearer", "expires_in": int(self._lifetime), "access_token": token}
        return TokenAnswer(200, json.dumps(answer).encode())

    def valid(self, token: str) -> bool:
        """Whether this token was handed out here and still holds."""
        return self._ends.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """End every token at once."""
        with self._lock:
            self._ends.clear()


class Gate:
    """What the endpoint demands of every connection."""

    def __init__(self, account: ServiceAccount, schemes: Sequence[str], token_lifetime: float) -> None:
        self.account = account
        self.schemes = tuple(scheme for scheme in SCHEMES if scheme in schemes)
        self.tokens = Tokens(account, token_lifetime)
        self.challenges = tuple(_CHALLENGES[scheme] for scheme in self.schemes)
        """The WWW-Authenticate headers of a 401."""
        self._logons = frozenset(logon.lower() for logon in account.logons)

    def knows(self, header: str) -> bool:
        """Whether a Basic or Bearer Authorization header is right."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer" and "bearer" in self.schemes:
            return self.tokens.valid(value.strip())
        return scheme.lower() == "basic" and "basic" in self.schemes and self._password(value)

    def _password(self, value: str) -> bool:
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return False
        right = hmac.compare_digest(password.encode(), self.account.password.encode())
        return right and user.lower() in self._logons


class Logon:
    """The authentication of one connection: NTLM authenticates the connection, the others each request."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._ntlm: spnego.ContextProxy | None = None
        self._done = False

    def check(self, header: str | None) -> tuple[str, ...]:
        """The WWW-Authenticate headers of a refusal; none lets the request in."""
        if header is None:
            return () if self._done else self._gate.challenges
        if header[:5].lower() == "ntlm " and "ntlm" in self._gate.schemes:
            return self._step(header[5:])
        return () if self._gate.knows(header) else self._gate.challenges

    def _step(self, value: str) -> tuple[str, ...]:
        try:
            token = base64.b64decode(value, validate=True)
            answer = self._accept(token)
        except (SpnegoError, binascii.Error, ValueError):
            self._ntlm, self._done = None, False
            return self._gate.challenges
        if answer is not None:
            return (f"NTLM {base64.b64encode(answer).decode()}",)
        self._ntlm, self._done = None, True
        return ()

    def _accept(self, token: bytes) -> bytes | None:
        """One step of the handshake: the challenge to send, or None once the client has proved its password."""
        with _credentials(self._gate.account):
            if self._ntlm is None or token[8:9] == b"\x01":
                self._ntlm = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            return self._ntlm.step(token)


@contextmanager
def _credentials(account: ServiceAccount) -> Iterator[None]:
    """pyspnego's acceptor reads passwords from the file that NTLM_USER_FILE names, and from nowhere else.

    The variable stays: whoever reads the environment in another thread would stumble over one that goes.
    """
    name = account.principal.partition("@")[0]
    lines = (f"{account.domain}:{name}", f":{name}", f":{account.principal}")
    with _ENVIRONMENT:
        path = Path(_FOLDER.name) / "users"
        path.parent.mkdir(exist_ok=True)  # a copy of this process may have ended, and cleaned up
        os.environ["NTLM_USER_FILE"] = str(path)
        path.write_text("".join(f"{line}:{account.password}\n" for line in lines), encoding="utf-8")
        yield


def _client(form: Mapping[str, str], authorization: str | None) -> tuple[str, str]:
    """Client id and secret, from the form or from a Basic header (RFC 6749 2.3.1)."""
    if authorization and authorization[:6].lower() == "basic ":
        try:
            client, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        except ValueError:
            return "", ""
        return client, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _token_error(status: int, code: str, text: str) -> TokenAnswer:
    return TokenAnswer(status, json.dumps({"error": code, "error_description": text}).encode())
