"""Fetches Junk E-mail Rules from Exchange over EWS.

exchangelib supplies authentication and sessions (``session``). FindItem, GetItem and ExpandDL are our own (``soap``),
since version 5.6.0 reads answers byte by byte, its session pool locks itself up under throttling, and its
FaultTolerance puts every thread to sleep for one thread's fault: so neither its services, nor its pool, nor its retry
policies are used here.
"""

import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import requests

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.source import Unchanged
from safelist.collector.sources.ews import soap, transport_errors
from safelist.collector.sources.ews.autodiscover import discover
from safelist.collector.sources.ews.client import EwsClient, EwsConnections
from safelist.collector.sources.ews.connection import EwsConnection, tls_context
from safelist.collector.sources.ews.item_id import owner
from safelist.collector.sources.ews.proxy import proxies_for
from safelist.collector.sources.ews.response_codes import RequestContext
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.secret import SecretMask
from safelist.collector.sources.ews.session import credentials_of, open_session
from safelist.collector.sources.ews.soap import GroupMember, Rule
from safelist.config import Exchange

MAX_PAGES = 100
"""FindItem's list is followed for this many parts; an Inbox has a handful of extended rules."""

MAX_ROOM_LISTS = 1000
"""Room lists beyond these are not asked for their rooms; an organisation has a list a building."""

Answer = TypeVar("Answer")


class ExchangeServer:
    """An Exchange server, to be asked by many threads at once; each has its own authenticated connection.

    Nothing is sent before the first question. Raises ConfigError for settings that cannot work. ``retry_policy`` bounds
    the tries of each request; ``pause`` waits for that many seconds.
    """

    def __init__(
        self, settings: Exchange, secret: str | None, *,
        retry_policy: RetryPolicy | None = None, pause: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        connector = _Connector(settings, secret)
        connections = EwsConnections(connector.connect, connector.forget_token_of)
        hide = SecretMask(secret, settings.username or settings.client_id)
        self._client = EwsClient(connections, settings.timeout, retry_policy or RetryPolicy(), pause, hide)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; requests in flight end as failed."""
        self._client.close()

    def fetch(self, address: str, change_key: str | None) -> Rule | Unchanged | None:
        """Ask for the mailbox's Junk E-mail Rule, Unchanged when ``change_key`` still holds, None when it has none.

        One request when unchanged or none, else two. Raises FetchError.
        """
        rule = self._fetch(address, change_key)
        if isinstance(rule, FetchError):  # replaced between the two requests
            rule = self._fetch(address, change_key)
        if isinstance(rule, FetchError):
            raise rule
        return rule

    def expand(self, group: str, until: float | None = None) -> list[GroupMember]:
        """Ask for a distribution group's direct members.

        Raises FetchError, also at ``until`` (by the monotonic clock).
        """
        _refuse_unwritable(group)
        asked = self._asked(group)._replace(is_group=True)
        return self._client.ask(soap.expand_group(group), None, soap.read_members, asked, until)

    def rooms(self, until: float | None = None) -> frozenset[str]:
        """Ask for the addresses of the rooms in Exchange's room lists, lower case.

        Raises FetchError, also at ``until`` (by the monotonic clock). EWS tells no other kind of mailbox from a user's.
        """
        asked = self._asked("")._replace(is_group=True)

        def addresses(body: bytes) -> list[str]:
            return self._client.ask(body, None, soap.read_rooms, asked, until)

        lists = addresses(soap.get_room_lists())[:MAX_ROOM_LISTS]
        return frozenset(room.lower() for each in lists for room in addresses(soap.get_rooms(each)))

    def _fetch(self, address: str, change_key: str | None) -> Rule | Unchanged | FetchError | None:
        _refuse_unwritable(address)
        rows = self._find(address)
        if not rows:
            return None
        version = _version_of(rows)
        if version == change_key:
            return Unchanged()
        newest = max(rows, key=lambda row: (row.modified, row.item_id))
        body = soap.get_rule(address, newest.item_id, impersonate=self._impersonates)
        try:
            rule = self._ask(body, address, soap.read_item)
        except FetchError as error:
            if error.code == "ErrorItemNotFound":
                return error
            raise
        if rule.rule_id != newest.item_id:
            raise _wrong_mailbox("the answer is about another item than the one asked for")
        if rule.change_key != newest.change_key:
            # Changed between the two requests, or a server that keeps two keys: no later answer may look unchanged.
            version = ""
        return rule._replace(change_key=version, duplicates=len(rows) - 1)

    def _find(self, address: str) -> list[soap.FoundRule]:
        """The rows of every Junk E-mail Rule in the mailbox."""
        rows: list[soap.FoundRule] = []
        offset = 0
        for _ in range(MAX_PAGES):
            body = soap.find_rules(address, impersonate=self._impersonates, offset=offset)
            page = self._ask(body, address, soap.read_page)
            rows += page.rows
            if page.following is None:
                break
            if page.following <= offset:
                raise transport_errors.unreadable("FindItem's list begins again instead of going on")
            offset = page.following
        else:
            raise transport_errors.unreadable(f"FindItem's list does not end after {MAX_PAGES} parts")
        if len({owner(row.item_id) for row in rows}) > 1:
            raise _wrong_mailbox("the answer holds items of several mailboxes")
        return [row for row in rows if row.provider.casefold() == soap.PROVIDER]

    @property
    def _impersonates(self) -> bool:
        return self._settings.access == "impersonation"

    def _ask(self, body: bytes, address: str, read: Callable[[bytes], Answer]) -> Answer:
        return self._client.ask(body, address if self._impersonates else None, read, self._asked(address))

    def _asked(self, address: str) -> RequestContext:
        settings = self._settings
        account = settings.username or settings.client_id or ""
        return RequestContext(address, settings.access, account, authentication=settings.authentication)


def _version_of(rows: list[soap.FoundRule]) -> str:
    seen = "\n".join(sorted(f"{row.item_id} {row.change_key}" for row in rows))
    return hashlib.sha256(seen.encode()).hexdigest()


def _wrong_mailbox(what: str) -> FetchError:
    return FetchError(
        FailureReason.WRONG_MAILBOX,
        f"{what}; nothing was taken from it; if it stays so, lower exchange.workers to 1 and report it",
    )


def _refuse_unwritable(address: str) -> None:
    if not address.isprintable() or not soap.is_writable(address):
        raise FetchError(
            FailureReason.NOT_FOUND, "the address holds characters that no address has; correct it in [mailboxes]"
        )


class _Connector:
    """Opens authenticated connections; discovers Exchange's address first where the settings ask for it."""

    def __init__(self, settings: Exchange, secret: str | None) -> None:
        self._settings = settings
        self._context = tls_context(settings.ca_file)
        self._credentials = credentials_of(settings, secret)
        self._endpoint = settings.endpoint
        self._proxies: dict[str, str] = {}

    def connect(self) -> EwsConnection:
        """Open a connection with a session of its own; never called by two threads at once. Raises FetchError."""
        try:
            return self._connect()
        except (requests.exceptions.InvalidURL, UnicodeError) as error:
            raise FetchError(
                FailureReason.UNREACHABLE,
                f"{self._endpoint} cannot be an address ({type(error).__name__}); correct endpoint",
            ) from None

    def _connect(self) -> EwsConnection:
        if self._endpoint is None:
            self._endpoint = discover(self._settings, self._credentials, self._context)
        if not self._proxies:
            self._proxies = proxies_for(self._endpoint)
        session = open_session(self._settings, self._endpoint, self._credentials, self._context)
        return EwsConnection(session, self._endpoint, self._proxies)

    def forget_token_of(self, connection: EwsConnection) -> None:
        """Have the next connection ask for a new token, unless another thread got one since."""
        token = getattr(self._credentials, "access_token", None)
        if connection.bearer is not None and token is not None and token["access_token"] == connection.bearer:
            self._credentials.access_token = None
