"""HTTP's own answers, and exceptions below it, told apart."""

import binascii
import ssl

import pytest
import requests
import urllib3
from spnego.exceptions import SpnegoError

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import transport_errors
from safelist.collector.sources.ews.connection import Reply
from safelist.collector.sources.ews.response_codes import RequestContext
from safelist.collector.sources.ews.retry import TransientError

ENDPOINT = "https://mail.corp.example/EWS/Exchange.asmx"
ASKED = RequestContext("a@corp.example", "impersonation", "CORP\\svc")


def of_status(status: int, **headers: str) -> FetchError | TransientError:
    return transport_errors.of_status(Reply(status, headers, b""), ENDPOINT, ASKED)


@pytest.mark.parametrize(
    ("status", "reason", "word"),
    [
        (301, FailureReason.REDIRECT, "final address"),
        (308, FailureReason.REDIRECT, "final address"),
        (400, FailureReason.SERVER_ERROR, "HTTP 400"),
        (401, FailureReason.CREDENTIALS, "CORP\\svc"),
        (403, FailureReason.DENIED, "EwsEnabled"),
        (404, FailureReason.UNREACHABLE, "no EWS"),
        (407, FailureReason.UNREACHABLE, "https_proxy"),
        (440, FailureReason.SERVER_ERROR, "HTTP 440"),
        (204, FailureReason.SERVER_ERROR, "HTTP 204"),
    ],
)
def test_final_answers(status: int, reason: FailureReason, word: str) -> None:
    failure = of_status(status)
    assert isinstance(failure, FetchError)
    assert failure.reason is reason
    assert word in failure.message


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_answers_that_another_try_may_cure(status: int) -> None:
    transient = of_status(status)
    assert isinstance(transient, TransientError)
    assert transient.after is None
    assert str(status) in transient.failure.message


@pytest.mark.parametrize(
    ("header", "after"), [("7", 7.0), (" 7 ", 7.0), ("-7", None), ("Wed, 21 Oct", None), ("9" * 400, None), ("٣", None)]
)
def test_retry_after(header: str, after: float | None) -> None:
    transient = of_status(503, **{"Retry-After": header})
    assert isinstance(transient, TransientError)
    assert transient.after == after


def test_only_known_schemes_are_repeated() -> None:
    failure = of_status(401, **{"WWW-Authenticate": "Negotiate, \x1b[2J realm=Basically, bearer x"})
    assert isinstance(failure, FetchError)
    assert failure.message.endswith("the server offers Negotiate, Basic, Bearer")


def wrapped(inner: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("secret", inner))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.ReadTimeout("secret"), FailureReason.TIMEOUT),
        (urllib3.exceptions.ReadTimeoutError(None, "", "secret"), FailureReason.TIMEOUT),  # type: ignore[arg-type]
        (wrapped(TimeoutError("secret")), FailureReason.TIMEOUT),
        (requests.ConnectTimeout("secret"), FailureReason.UNREACHABLE),
        (urllib3.exceptions.DecodeError("secret"), FailureReason.UNREADABLE),
        (requests.exceptions.ProxyError("secret"), FailureReason.UNREACHABLE),
        (requests.exceptions.InvalidURL("secret"), FailureReason.UNREACHABLE),
        (requests.exceptions.SSLError(ssl.SSLError(1, "secret")), FailureReason.UNREACHABLE),
        (PermissionError("secret"), FailureReason.CREDENTIALS),
        (SpnegoError(error_code=1), FailureReason.CREDENTIALS),
        (binascii.Error("secret"), FailureReason.CREDENTIALS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_that_no_other_try_cures(error: Exception, reason: FailureReason) -> None:
    failure = transport_errors.of_connection(error, ENDPOINT, 60, answered_before=False)
    assert isinstance(failure, FetchError)
    assert failure.reason is reason
    assert "secret" not in failure.message.replace("the secret", "")


@pytest.mark.parametrize(
    ("error", "at_once"),
    [
        (wrapped(ConnectionResetError("secret")), True),
        (requests.exceptions.SSLError(ssl.SSLEOFError(8, "secret")), True),
        (urllib3.exceptions.ProtocolError("secret"), True),
        (KeyError("www-authenticate"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_that_another_try_may_cure(error: Exception, at_once: bool) -> None:
    transient = transport_errors.of_connection(error, ENDPOINT, 60, answered_before=False)
    assert isinstance(transient, TransientError)
    assert transient.at_once is at_once
    assert "secret" not in transient.failure.message


def test_a_refused_connection_counts_as_passing_once_the_server_has_answered() -> None:
    error = requests.ConnectTimeout("secret")
    assert isinstance(transport_errors.of_connection(error, ENDPOINT, 60, answered_before=True), TransientError)
