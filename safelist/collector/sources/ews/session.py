"""Authenticated sessions, and where tokens come from: what exchangelib does for us; the only importer of it."""

import logging
import ssl
from typing import Any, Final

import requests
from exchangelib import BASIC, GSSAPI, NTLM, OAUTH2, Configuration, Credentials, OAuth2Credentials
from exchangelib.protocol import BaseProtocol
from exchangelib.transport import AUTH_TYPE_MAP
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]
from requests.auth import HTTPBasicAuth

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import transport_errors
from safelist.collector.sources.ews.bounded_http import Bound, BoundedAdapter
from safelist.collector.sources.ews.retry import TransientError
from safelist.config import Exchange
from safelist.errors import ConfigError

logging.getLogger("exchangelib").addHandler(logging.NullHandler())  # what goes wrong is said once, by us

_AUTHENTICATION: Final = {"basic": BASIC, "ntlm": NTLM, "kerberos": GSSAPI, "oauth": OAUTH2}


def open_session(settings: Exchange, endpoint: str, credentials: Any, context: ssl.SSLContext) -> requests.Session:
    """Open an authenticated session; with OAuth this fetches a token if there is none. Raises FetchError."""
    return _Protocol(settings, endpoint, credentials, context).open_session()


class _Verifying:
    """Mixed into exchangelib's protocols: its sessions, with our TLS context for every address."""

    USERAGENT = "safelist"

    def __init__(self, settings: Exchange, endpoint: str, credentials: Any, context: ssl.SSLContext) -> None:
        self._context = context
        self.TIMEOUT = settings.timeout
        kind = _AUTHENTICATION[settings.authentication]
        super().__init__(Configuration(credentials=credentials, service_endpoint=endpoint, auth_type=kind))  # type: ignore[call-arg]

    def raw_session(self, prefix: str, **kwargs: Any) -> Any:
        session = super().raw_session(prefix, **kwargs)  # type: ignore[misc]
        session.adapters.clear()
        adapter = BoundedAdapter(self._context, Bound(self.TIMEOUT))  # begins here, for a token or autodiscover
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session


class _Protocol(_Verifying, BaseProtocol):  # type: ignore[misc] # exchangelib has no types
    """Makes sessions. Not exchangelib's ``Protocol``, which is cached for ever."""

    def open_session(self) -> requests.Session:
        """Open an authenticated session; with OAuth this fetches a token if there is none. Raises FetchError."""
        token_url = getattr(self.credentials, "token_url", "")
        try:
            session: requests.Session = self.create_session()
        except OAuth2Error as error:
            code = error.error if str(error.error).replace("_", "").isalpha() else "error"
            raise FetchError(
                FailureReason.CREDENTIALS,
                f"{token_url} gives no token ({code}); check exchange.client_id, tenant_id and the secret",
            ) from None
        except (*transport_errors.CONNECTION_ERRORS, Warning) as error:
            raise _no_token(error, token_url, self.TIMEOUT) from None
        if self.config.auth_type == BASIC:
            # RFC 7617 2.1; requests would take Latin-1, which has no euro sign.
            session.auth = HTTPBasicAuth(self.credentials.username.encode(), self.credentials.password.encode())
        elif self.config.auth_type == GSSAPI:
            from safelist.collector.sources.ews.kerberos import KerberosAuth  # needs the extra

            session.auth = KerberosAuth()
        return session


def _no_token(error: Exception, token_url: str, timeout: float) -> FetchError:
    if isinstance(error, Warning | requests.exceptions.JSONDecodeError):
        return FetchError(FailureReason.CREDENTIALS, f"{token_url} gives no usable token; check exchange.token_url")
    failure = transport_errors.of_connection(error, token_url, timeout, answered_before=False)
    return failure.failure if isinstance(failure, TransientError) else failure


class _TokenCredentials(OAuth2Credentials):  # type: ignore[misc] # exchangelib has no types
    """OAuth client credentials with another place to ask for tokens."""

    def __init__(self, token_endpoint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_endpoint = token_endpoint

    @property
    def token_url(self) -> str:
        return self.token_endpoint


def credentials_of(settings: Exchange, secret: str | None) -> Any:
    """exchangelib's credentials; None for Kerberos, which takes the ticket of kinit. Raises ConfigError."""
    if settings.authentication == "kerberos":
        if GSSAPI not in AUTH_TYPE_MAP:
            raise ConfigError(
                "exchange.authentication: kerberos needs one more package: in safelist's checkout, "
                "pip install '.[kerberos]'"
            )
        return None
    if not secret:
        raise ConfigError(f"exchange.authentication: {settings.authentication} needs a secret, and it is empty")
    if settings.authentication != "oauth":
        return Credentials(settings.username or "", secret)
    values = {"client_id": settings.client_id, "client_secret": secret, "tenant_id": settings.tenant_id}
    if settings.token_url is None:
        return OAuth2Credentials(**values)
    return _TokenCredentials(settings.token_url, **values)
