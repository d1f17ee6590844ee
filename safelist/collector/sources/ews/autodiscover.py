"""Where EWS is, by autodiscover."""

import ssl
from typing import Any

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import soap, transport_errors
from safelist.collector.sources.ews.connection import EwsConnection
from safelist.collector.sources.ews.proxy import proxies_for
from safelist.collector.sources.ews.response_codes import RequestContext
from safelist.collector.sources.ews.retry import TransientError
from safelist.collector.sources.ews.session import open_session
from safelist.config import Exchange


def discover(settings: Exchange, credentials: Any, context: ssl.SSLContext, urls: tuple[str, ...] | None = None) -> str:
    """Ask autodiscover for the EWS address of the mailbox ``settings.autodiscover``. Raises FetchError.

    Not exchangelib's own search: it keeps a pickle in /tmp, guesses the authentication, and takes plain HTTP's word on
    where to send the password. Here only HTTPS at autodiscover.DOMAIN and at DOMAIN is asked (MS-OXDISCO 3.1.5).
    """
    user = settings.autodiscover or ""
    domain = user.rpartition("@")[2]
    urls = urls or tuple(f"https://{host}/autodiscover/autodiscover.svc" for host in (f"autodiscover.{domain}", domain))
    failures: dict[str, FetchError] = {}
    for url in urls:
        try:
            return _discover_at(url, settings, credentials, context)
        except FetchError as failure:
            failures[url] = failure
    rejected = next((f for f in failures.values() if f.reason is FailureReason.CREDENTIALS), None)
    if rejected is not None:
        raise rejected
    told = "; ".join(_told(url, failure) for url, failure in failures.items())
    raise FetchError(
        FailureReason.UNREACHABLE,
        f"autodiscover finds no EWS address for {user}: {told}; correct exchange.autodiscover, or write "
        "exchange.endpoint instead",
    )


def _discover_at(url: str, settings: Exchange, credentials: Any, context: ssl.SSLContext) -> str:
    """Ask one place. Raises FetchError."""
    user, account = settings.autodiscover or "", settings.username or settings.client_id or ""
    session = open_session(settings, url, credentials, context)
    connection = EwsConnection(session, url, proxies_for(url))
    try:
        reply = connection.post(soap.get_user_settings(user, url), user, settings.timeout)
    except transport_errors.CONNECTION_ERRORS as error:
        failure = transport_errors.of_connection(error, url, settings.timeout, answered_before=False)
        raise (failure.failure if isinstance(failure, TransientError) else failure) from None
    finally:
        connection.close()
    if reply.status not in (200, 500):
        asked = RequestContext(user, settings.access, account, authentication=settings.authentication)
        of_status = transport_errors.of_status(reply, url, asked)
        raise of_status.failure if isinstance(of_status, TransientError) else of_status
    try:
        endpoint = soap.read_user_settings(reply.body)
    except soap.UnreadableError as error:
        raise FetchError(FailureReason.UNREADABLE, str(error)) from None
    if endpoint is None:
        raise FetchError(FailureReason.UNREADABLE, "it names no address of EWS that begins with https")
    return endpoint


def _told(url: str, failure: FetchError) -> str:
    """What was wrong at ``url``, without the advice, which is for EWS's own address."""
    what = failure.message.partition(";")[0]
    return what if url in what else f"{url}: {what}"
