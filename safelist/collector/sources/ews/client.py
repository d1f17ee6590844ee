"""Asks EWS: whose line is used, and when a question is asked again."""

import threading
import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

from safelist.collector.failure import BUSY_CODES, Asked, FetchError, Reason, TransientError, explain
from safelist.collector.sources.ews import soap, transport_errors
from safelist.collector.sources.ews.connection import Line, Reply
from safelist.collector.sources.ews.retry import Gate, Patience, Trial
from safelist.collector.sources.ews.secret import Hidden

Answer = TypeVar("Answer")

TIME_IS_UP = "the run's time was up before the answer came; raise exchange.budget, or look at Exchange"


class Lines:
    """Every worker thread's own line. ``dial`` opens one; ``hung_up`` is told of each that is dropped."""

    def __init__(self, dial: Callable[[], Line], hung_up: Callable[[Line], None]) -> None:
        self._dial = dial
        self._hung_up = hung_up
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: set[Line] = set()

    def current(self) -> Line | None:
        """The calling thread's line as it is."""
        line: Line | None = getattr(self._local, "line", None)
        return line

    def mine(self) -> Line:
        """The line of the calling thread. Raises FetchError when none can be opened."""
        line: Line | None = getattr(self._local, "line", None)
        if line is None or line.is_stale(time.time()):
            return self.renew()
        return line

    def renew(self) -> Line:
        """A fresh line for the calling thread, authenticated anew. Raises FetchError."""
        old: Line | None = getattr(self._local, "line", None)
        with self._lock:
            if old is not None:
                self._drop(old)
            line = self._dial()
            self._open.add(line)
        self._local.line = line
        return line

    def close(self) -> None:
        """Hang up all."""
        with self._lock:
            for line in list(self._open):
                self._drop(line)

    def _drop(self, line: Line) -> None:
        self._open.discard(line)
        self._hung_up(line)
        line.close()


class Asker:
    """Puts one question at a time for each calling thread, patiently.

    ``timeout`` seconds are allowed for an answer. ``pause`` waits; by default no longer than until ``close``.
    """

    def __init__(
        self, lines: Lines, timeout: float, patience: Patience, pause: Callable[[float], object] | None = None,
        hidden: Hidden | None = None,
    ) -> None:  # fmt: skip
        self._hidden = hidden or Hidden(None, None)
        self._lines = lines
        self._timeout = timeout
        self._patience = patience
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._gate = Gate(self._pause)
        self._has_answered = False

    def close(self) -> None:
        """Hang up every line; questions in flight end as failed."""
        self._closed.set()
        self._lines.close()

    def ask(
        self, body: bytes, anchor: str | None, read: Callable[[bytes], Answer], asked: Asked,
        until: float | None = None,
    ) -> Answer:  # fmt: skip
        """What ``read`` makes of the answer to ``body``; asked again until patience ends.

        Nothing is waited for after ``until`` (by the monotonic clock). Raises FetchError, in which no secret stands
        that the server may have sent back.
        """
        try:
            return self._ask(body, anchor, read, asked, inf if until is None else until)
        except FetchError as error:
            line = self._lines.current()
            message = self._hidden.in_text(error.message, line.bearer if line else None)
            raise FetchError(error.reason, message, self._hidden.in_text(error.code)) from None

    def _ask(
        self, body: bytes, anchor: str | None, read: Callable[[bytes], Answer], asked: Asked, until: float
    ) -> Answer:
        trial = Trial(self._patience, self._gate)
        was_renewed = False
        while True:
            self._gate.wait(until)
            if self._closed.is_set():
                raise FetchError(Reason.UNAVAILABLE, "the run was ended before the answer came; run again")
            if time.monotonic() >= until:
                raise FetchError(Reason.TIMEOUT, TIME_IS_UP)
            line = self._lines.mine()
            try:
                return self._once(line, body, anchor, read, asked, until)
            except TransientError as error:
                if (seconds := min(trial.pause_after(error), until - time.monotonic())) > 0:
                    self._pause(seconds)
            except FetchError as error:
                may_be_old = self._has_answered or line.bearer is not None
                if error.reason is not Reason.CREDENTIALS or was_renewed or not may_be_old:
                    raise
                was_renewed = True
                self._lines.renew()

    def _once(
        self, line: Line, body: bytes, anchor: str | None, read: Callable[[bytes], Answer], asked: Asked, until: float
    ) -> Answer:
        timeout = min(self._timeout, max(0.0, until - time.monotonic()))
        try:
            reply = line.post(body, anchor, timeout)
        except transport_errors.LINE_ERRORS as error:
            if time.monotonic() >= until:
                raise FetchError(Reason.TIMEOUT, TIME_IS_UP) from None
            raise transport_errors.of_line(
                error, line.endpoint, self._timeout, answered_before=self._has_answered
            ) from None
        return self._read(reply, line.endpoint, read, asked)

    def _read(self, reply: Reply, endpoint: str, read: Callable[[bytes], Answer], asked: Asked) -> Answer:
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
