"""Asks EWS: whose connection is used, and when a question is asked again."""

import threading
import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import soap, transport_errors
from safelist.collector.sources.ews.connection import EwsConnection, Reply
from safelist.collector.sources.ews.response_codes import BUSY_CODES, RequestContext, explain
from safelist.collector.sources.ews.retry import RequestRetries, RetryPolicy, SharedPause, TransientError
from safelist.collector.sources.ews.secret import SecretMask

Answer = TypeVar("Answer")

TIME_IS_UP = "the run's time was up before the answer came; raise exchange.budget, or look at Exchange"


class EwsConnections:
    """Every worker thread's own connection. ``connect`` opens one; ``closed`` is told of each that is dropped."""

    def __init__(self, connect: Callable[[], EwsConnection], closed: Callable[[EwsConnection], None]) -> None:
        self._connect = connect
        self._closed_one = closed
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: set[EwsConnection] = set()

    def current(self) -> EwsConnection | None:
        """The calling thread's connection as it is."""
        connection: EwsConnection | None = getattr(self._local, "connection", None)
        return connection

    def mine(self) -> EwsConnection:
        """Return the calling thread's connection, a fresh one where its token ends. Raises FetchError."""
        connection: EwsConnection | None = getattr(self._local, "connection", None)
        if connection is None or connection.is_stale(time.time()):
            return self.renew()
        return connection

    def renew(self) -> EwsConnection:
        """Open a fresh connection for the calling thread, authenticated anew. Raises FetchError."""
        old: EwsConnection | None = getattr(self._local, "connection", None)
        with self._lock:
            if old is not None:
                self._drop(old)
            connection = self._connect()
            self._open.add(connection)
        self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for connection in list(self._open):
                self._drop(connection)

    def _drop(self, connection: EwsConnection) -> None:
        self._open.discard(connection)
        self._closed_one(connection)
        connection.close()


class EwsClient:
    """Puts one question at a time for each calling thread, patiently.

    ``timeout`` seconds are allowed for an answer. ``pause`` waits; by default no longer than until ``close``.
    """

    def __init__(
        self, connections: EwsConnections, timeout: float, retry_policy: RetryPolicy,
        pause: Callable[[float], object] | None = None, mask: SecretMask | None = None,
    ) -> None:  # fmt: skip
        self._mask = mask or SecretMask(None, None)
        self._connections = connections
        self._timeout = timeout
        self._retry_policy = retry_policy
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._shared_pause = SharedPause(self._pause)
        self._has_answered = False

    def close(self) -> None:
        """Close every connection; questions in flight end as failed."""
        self._closed.set()
        self._connections.close()

    def ask(
        self, body: bytes, anchor: str | None, read: Callable[[bytes], Answer], asked: RequestContext,
        until: float | None = None,
    ) -> Answer:  # fmt: skip
        """Ask, again as the retry policy has it, and return what ``read`` makes of the answer to ``body``.

        Nothing is waited for after ``until`` (by the monotonic clock). Raises FetchError, in which no secret stands
        that the server may have sent back.
        """
        try:
            return self._ask(body, anchor, read, asked, inf if until is None else until)
        except FetchError as error:
            connection = self._connections.current()
            message = self._mask.in_text(error.message, connection.bearer if connection else None)
            raise FetchError(error.reason, message, self._mask.in_text(error.code), error.extent) from None

    def _ask(
        self, body: bytes, anchor: str | None, read: Callable[[bytes], Answer], asked: RequestContext, until: float
    ) -> Answer:
        retries = RequestRetries(self._retry_policy, self._shared_pause)
        was_renewed = False
        while True:
            self._shared_pause.wait(until)
            if self._closed.is_set():
                raise FetchError(FailureReason.UNAVAILABLE, "the run was ended before the answer came; run again")
            if time.monotonic() >= until:
                raise FetchError(FailureReason.TIMEOUT, TIME_IS_UP)
            connection = self._connections.mine()
            try:
                return self._once(connection, body, anchor, read, asked, until)
            except TransientError as error:
                if (seconds := min(retries.pause_after(error), until - time.monotonic())) > 0:
                    self._pause(seconds)
            except FetchError as error:
                may_be_old = self._has_answered or connection.bearer is not None
                if error.reason is not FailureReason.CREDENTIALS or was_renewed or not may_be_old:
                    raise
                was_renewed = True
                self._connections.renew()

    def _once(
        self,
        connection: EwsConnection,
        body: bytes,
        anchor: str | None,
        read: Callable[[bytes], Answer],
        asked: RequestContext,
        until: float,
    ) -> Answer:
        timeout = min(self._timeout, max(0.0, until - time.monotonic()))
        try:
            reply = connection.post(body, anchor, timeout)
        except transport_errors.CONNECTION_ERRORS as error:
            if time.monotonic() >= until:
                raise FetchError(FailureReason.TIMEOUT, TIME_IS_UP) from None
            raise transport_errors.of_connection(
                error, connection.endpoint, self._timeout, answered_before=self._has_answered
            ) from None
        return self._read(reply, connection.endpoint, read, asked)

    def _read(self, reply: Reply, endpoint: str, read: Callable[[bytes], Answer], asked: RequestContext) -> Answer:
        """The answer in ``reply``. Exchange sends SOAP faults with HTTP 500."""
        if reply.status not in (200, 500):
            raise transport_errors.of_status(reply, endpoint, asked)
        try:
            answer = read(reply.body)
        except soap.AnsweredError as error:
            self._has_answered = True
            failure = explain(error.code, asked)
            if error.code in BUSY_CODES or error.back_off is not None:
                raise TransientError(failure, after=error.back_off) from None
            raise failure from None
        except soap.UnreadableError as error:
            if reply.status != 200:
                raise transport_errors.of_status(reply, endpoint, asked) from None
            raise transport_errors.unreadable(str(error)) from None
        self._has_answered = True
        return answer
