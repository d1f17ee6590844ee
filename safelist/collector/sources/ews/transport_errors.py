"""What went wrong below EWS: refused connections, certificates, cut connections and HTTP's own answers, told apart."""

import ssl
from collections.abc import Iterator

import requests
import urllib3
from spnego.exceptions import SpnegoError

from safelist.collector.failure import Extent, FailureReason, FetchError
from safelist.collector.sources.ews.connection import Reply
from safelist.collector.sources.ews.response_codes import RequestContext
from safelist.collector.sources.ews.retry import TransientError

CONNECTION_ERRORS = (
    requests.RequestException, urllib3.exceptions.HTTPError, SpnegoError, OSError, KeyError, ValueError,
)  # fmt: skip
"""Everything that ``EwsConnection.post`` raises: requests, urllib3, and what the NTLM handshake lets through."""

_SCHEMES = ("Negotiate", "NTLM", "Basic", "Bearer", "Digest", "Kerberos")
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})


def of_connection(
    error: Exception, endpoint: str, timeout: float, *, answered_before: bool
) -> FetchError | TransientError:
    """What an exception of ``post`` means. A refused connection is worth another try only after the server answered."""
    causes = list(_causes(error))
    if (tls := _certificate(causes, endpoint)) is not None:
        return tls
    if (network := _no_connection(causes, endpoint)) is not None:
        return TransientError(network) if answered_before else network
    if any(isinstance(c, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError | TimeoutError) for c in causes):
        return FetchError(
            FailureReason.TIMEOUT, f"no complete answer from {endpoint} within {timeout:g} seconds; run again later"
        )
    if isinstance(error, urllib3.exceptions.DecodeError):
        return FetchError(
            FailureReason.UNREADABLE,
            f"the answer of {endpoint} cannot be unpacked; look for a faulty proxy in front of it",
        )
    if isinstance(error, PermissionError | SpnegoError | ValueError) or "MutualAuthentication" in type(error).__name__:
        return FetchError(
            FailureReason.CREDENTIALS,
            f"the log-in at {endpoint} broke off; check exchange.authentication and the secret",
        )
    if isinstance(error, KeyError):  # requests_ntlm: an answer in the middle of the handshake without a challenge
        return TransientError(
            FetchError(FailureReason.SERVER_ERROR, f"{endpoint} broke off the NTLM log-in; run again later")
        )
    dropped = FetchError(
        FailureReason.UNREACHABLE, f"{endpoint} keeps closing the connection; look at the server or the proxy"
    )
    return TransientError(dropped, at_once=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps: requests wraps urllib3's, which wraps the socket's."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [*cause.args, getattr(cause, "reason", None), getattr(cause, "original_error", None), cause.__cause__]
        waiting.extend(c for c in inner if isinstance(c, BaseException))


def _certificate(causes: list[BaseException], endpoint: str) -> FetchError | None:
    """TLS that cannot be trusted or agreed upon; a connection that merely broke under TLS is none of that."""
    fault = next((c for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None)
    if fault is not None and fault.verify_code in _WRONG_NAME:
        why = "its certificate is for another name; correct exchange.endpoint"
    elif fault is not None and fault.verify_code == _EXPIRED:
        why = "its certificate has expired; renew it on the server"
    elif fault is not None:
        why = f"its certificate is not trusted ({_reason_of(fault)}); {_advice_on(fault)}"
    elif any(
        isinstance(c, ssl.SSLError) and not isinstance(c, ssl.SSLEOFError | ssl.SSLZeroReturnError) for c in causes
    ):
        why = "no TLS connection could be agreed upon; check that the port speaks TLS 1.2 or later"
    else:
        return None
    return FetchError(FailureReason.UNREACHABLE, f"{endpoint} cannot be trusted: {why}")


def _reason_of(fault: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's own words."""
    return str(getattr(fault, "verify_message", "") or "no reason given")


def _advice_on(fault: ssl.SSLCertVerificationError) -> str:
    if fault.verify_code in _UNKNOWN_ISSUER:
        return "name your CA's PEM file in exchange.ca_file"
    return "issue it, or the CA's certificate, anew without that fault (Python 3.13 checks as RFC 5280 demands)"


_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and those of self-signed certificates
_WRONG_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10


def _no_connection(causes: list[BaseException], endpoint: str) -> FetchError | None:
    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if among(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        why = "the proxy named in the environment refuses the connection; check https_proxy and no_proxy"
    elif among(urllib3.exceptions.NameResolutionError):
        why = "its name is not found in DNS; correct exchange.endpoint or the resolver"
    elif among(urllib3.exceptions.NewConnectionError):
        why = "nothing listens there, or no way leads there; check the server, exchange.endpoint and the firewall"
    elif among(requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError):
        why = "nothing answers there; check exchange.endpoint and the firewall"
    elif among(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        why = "that is no address to connect to; correct exchange.endpoint"
    else:
        return None
    return FetchError(FailureReason.UNREACHABLE, f"{endpoint} cannot be reached: {why}")


def of_status(reply: Reply, endpoint: str, asked: RequestContext) -> FetchError | TransientError:
    """What an HTTP status other than 200 means, when the body is no SOAP."""
    status = reply.status
    if status in _TRANSIENT_STATUS:
        reason = FailureReason.SERVER_ERROR if status == 500 else FailureReason.THROTTLED
        failure = FetchError(reason, f"{endpoint} keeps answering HTTP {status}; lower exchange.workers or run later")
        return TransientError(failure, after=_retry_after(reply))
    if status == 401:
        return _rejected(reply, endpoint, asked)
    if status == 403:
        account = asked.account or "the service account"
        return FetchError(
            FailureReason.DENIED,
            f"EWS is closed to {account} (HTTP 403); "
            "look at Set-CASMailbox -EwsEnabled and Set-OrganizationConfig -EwsApplicationAccessPolicy",
        )
    if 300 <= status < 400:
        return FetchError(
            FailureReason.REDIRECT,
            f"{endpoint} redirects elsewhere, which is not followed; write the final address there",
            extent=Extent.UNSURE,
        )
    if status == 404:
        return FetchError(
            FailureReason.UNREACHABLE, f"there is no EWS at {endpoint} (HTTP 404); correct exchange.endpoint"
        )
    if status == 407:
        return FetchError(FailureReason.UNREACHABLE, "the proxy wants a log-in (HTTP 407); write it into https_proxy")
    return FetchError(FailureReason.SERVER_ERROR, f"{endpoint} answered HTTP {status}; look at the web server's log")


def _rejected(reply: Reply, endpoint: str, asked: RequestContext) -> FetchError:
    challenge = reply.headers.get("WWW-Authenticate", "").lower()
    offered = [scheme for scheme in _SCHEMES if scheme.lower() in challenge]
    hint = f"; the server offers {', '.join(offered)}" if offered else ""
    if asked.authentication == "kerberos":
        who, advice = "the Kerberos ticket", "look with klist whether there is one, and get one with kinit"
    else:
        who = asked.account or "the service account"
        advice = "check exchange.username, its secret and exchange.authentication"
    return FetchError(FailureReason.CREDENTIALS, f"{endpoint} rejects {who} (HTTP 401); {advice}{hint}")


def _retry_after(reply: Reply) -> float | None:
    text = reply.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def unreadable(what: str) -> FetchError:
    """The answer is not EWS, or not the rule."""
    if what.startswith("the rule"):
        advice = "open the mailbox in Outlook, change a junk option and save, or look for a proxy that alters answers"
    else:
        advice = "check that exchange.endpoint is https://HOST/EWS/Exchange.asmx, with no log-in page before it"
    return FetchError(FailureReason.UNREADABLE, f"{what}; {advice}")
