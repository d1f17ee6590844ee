"""The connections of a server, whatever is spoken on them: what is read, begun and sent, and who is cut off.

What cannot be answered ends the connection without an answer, which is also how the policy protocol says that there is
trouble (SMTPD_POLICY_README): Postfix then tries once more and takes its ``default_action``.
"""

import asyncio
import contextlib
import errno
import logging
import math
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from safelist.filter import protocol
from safelist.filter.protocol import RequestError, TooLargeError
from safelist.filter.turns import Turns

logger = logging.getLogger("safelist.filter")

_BUFFER = 16 * 1024
_END = b""
"""In the place of an answer: close the connection here."""


@dataclass(frozen=True)
class Limits:
    """What clients may take. Times are seconds, sizes octets."""

    max_connections: int = 200
    idle_timeout: float = 3600
    """Postfix keeps a connection for 300 s after its last request, and for 1,000 s in all (smtpd_policy_service_*)."""
    request_timeout: float = 10
    """From a request's first octet to its last; also how long more answers than ``write_buffer`` may wait unread."""
    answer_timeout: float = 100
    """Without an answer. Postfix waits no longer either (smtpd_policy_service_timeout)."""
    stop_timeout: float = 10
    max_unanswered: int = 64
    max_request: int = protocol.MAX_REQUEST
    max_attributes: int = protocol.MAX_ATTRIBUTES
    write_buffer: int = 64 * 1024


@dataclass
class ServerCounters:
    """Since the start, except ``open``: connections right now."""

    connections: int = 0
    open: int = 0
    refused: int = 0
    """Connections beyond the limit, while every other one was owed an answer."""
    displaced: int = 0
    """Connections beyond the limit that were owed nothing, and closed for a new one."""
    requests: int = 0
    errors: int = 0
    """Connections that ended because answering a request failed or took too long; failed reloads."""
    malformed: int = 0
    oversized: int = 0
    timeouts: int = 0
    """Requests that were begun and not completed in time."""
    slow_readers: int = 0
    idle: int = 0
    """Connections closed because nothing came: no fault."""
    unfinished: int = 0
    """Connections that had to be cut off in a stop."""


class Parser(Protocol):
    """Finds the requests in the octets of one connection."""

    @property
    def pending(self) -> bool:
        """Whether a request has begun and is not complete."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the connection ends behind the requests that were found."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether what it was fed may complete more requests than it has found: ``feed(b"")`` finds those."""
        ...

    def feed(self, data: bytes) -> Sequence[Any]:
        """The requests that ``data`` completes. Raises RequestError: the end of this connection."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """What is spoken, with whom, and within which limits.

    ``answer`` is called in the event loop, with what ``parser`` finds. Octets are written at once; an awaitable becomes
    a task, which is cancelled when its client goes away (shield what others wait for too). The answers of one
    connection keep the order of its requests. If it raises, the connection is closed without an answer.

    ``addresses`` are inet:HOST:PORT (an IPv6 address in brackets, port 0 for any) and unix:PATH; sockets that systemd
    passes under this ``name`` (FileDescriptorName=) are used instead of them.

    ``stays_here``: no other host may reach it, also where systemd has opened the socket.
    ``by_turns``: requests are looked for a few at a time, and what came for other endpoints is seen to in between.
    """

    answer: Callable[[Any], bytes | Awaitable[bytes]]
    parser: Callable[[Limits], Parser]
    addresses: Sequence[str] = ()
    limits: Limits = Limits()
    counters: ServerCounters = field(default_factory=ServerCounters)
    name: str = ""
    stays_here: bool = False
    by_turns: bool = False


class Connections:
    """What the connections at one endpoint have in common."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.answer, self.parser = endpoint.answer, endpoint.parser
        self.limits, self.counters = endpoint.limits, endpoint.counters
        self.open: set[Connection] = set()
        self.turns = Turns() if endpoint.by_turns else None
        self.is_stopping = False
        # One buffer for all: asyncio fills it and hands it over within one turn. For a plain Protocol it makes a bytes
        # object of 256 KiB for every read, which a young heap maps and unmaps each time: that is four times slower.
        self.buffer = memoryview(bytearray(_BUFFER))
        self._all_are_gone = asyncio.Event()
        self._about = f"{endpoint.name}: " if endpoint.name else ""
        self._said: dict[str, tuple[float, int, int]] = {}

    def admits(self, connection: "Connection") -> bool:
        """Note a new connection, or count that no other one could make room for it."""
        self.counters.connections += 1
        if self.is_stopping:
            return False
        if len(self.open) >= self.limits.max_connections and not self._make_room():
            return False
        self.open.add(connection)
        self.counters.open = len(self.open)
        return True

    def _make_room(self) -> bool:
        """Close who has kept silent longest and is owed nothing, else nobody: whoever only sits there, or sends an
        octet a second, must not keep out those who ask. Postfix asks once more where a connection has gone.
        """
        most = f"more than {self.limits.max_connections} connections"
        silent = [(since, connection) for connection in self.open if (since := connection.silent_since) is not None]
        if not silent:
            self.counters.refused += 1
            self.warn("refused", f"{most}, all of which wait for an answer: the newest is closed", 1)
            return False
        self.counters.displaced += 1
        self.warn("displaced", f"{most}: the one that has been silent longest is closed", 1)
        _, longest = min(silent, key=lambda each: each[0])
        longest.cut()
        self.forget(longest)  # now: what asyncio does at the loop's next turn would count it until then
        return True

    def forget(self, connection: "Connection") -> None:
        """Count a connection no more; who waits for the last one goes on."""
        self.open.discard(connection)
        self.counters.open = len(self.open)
        if not self.open:
            self._all_are_gone.set()

    def check(self, now: float) -> None:
        """Cut off whoever takes too long."""
        for connection in tuple(self.open):
            connection.check(now)

    async def drain(self) -> None:
        """Close every connection when its answers are sent, or when it takes too long."""
        self.is_stopping = True
        for connection in tuple(self.open):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.stop_timeout):
                await self.until_all_are_gone()
        for connection in tuple(self.open):
            self.counters.unfinished += 1
            connection.cut()
        await self.until_all_are_gone()

    async def until_all_are_gone(self) -> None:
        """Wait until no connection is open."""
        self._all_are_gone.clear()
        if self.open:
            await self._all_are_gone.wait()

    def trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio tells of the loop. Where no file can be opened, it says so at each try, once a second."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self.warn("files", f"connections wait: {error.strerror}; raise LimitNOFILE=, or lower max_connections", 1)
        else:
            loop.default_exception_handler(context)

    def warn(self, kind: str, text: str, most: int = 10) -> None:
        """Log ``text`` behind the endpoint's name; of one kind ``most`` a minute, and then how many were left out."""
        now = time.monotonic()
        since, said, unsaid = self._said.get(kind, (-math.inf, 0, 0))
        if now - since >= 60:
            since, said = now, 0
        if said < most:
            more = f" ({unsaid} more were not logged)" if unsaid else ""
            logger.warning("%s%s%s", self._about, text, more)
            self._said[kind] = since, said + 1, 0
        else:
            self._said[kind] = since, said, unsaid + 1


class Connection(asyncio.BufferedProtocol):
    """One client. ``_todo`` are requests that are not begun, ``_answers`` those that are; both in order.

    None among the requests, and _END among the answers, is where the connection is to be closed.

    Whatever happens (octets come, a task ends, the client reads on, or has nothing more to say) changes one of these
    fields and then calls :meth:`_work`, which alone decides what is sent, begun and read next; so no two events need
    to know of each other. Answers leave in the order of their requests: one that is ready waits behind one that is
    not. While ``max_unanswered`` are begun, or the client takes too little, nothing is begun and nothing read: what the
    client sends then waits in the kernel, and a client that only sends is held up by TCP, not by our memory.
    """

    _transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._limits = connections.limits
        self._requests = connections.parser(connections.limits)
        self._todo: deque[Any] = deque()
        self._answers: deque[bytes | asyncio.Task[bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._heard = self._clock()
        """When something last came from the client, or an answer for it."""
        self._began: float | None = None
        """When the request that is not complete began."""
        self._blocked: float | None = None
        """Since when the client takes too little of what is sent."""
        self._octets = b""
        """What came and was not looked into."""
        self._is_paused = self._is_read_out = self._is_over = self._is_in_turn = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        if not self._connections.admits(self):
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop()
        self._connections.forget(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = self._clock()
        self._octets = self._connections.buffer[:nbytes].tobytes()
        if self._connections.turns is None:
            self._look()
        else:
            self._steer()

    def _look(self) -> None:
        """Look for requests in what came."""
        octets, self._octets = self._octets, b""
        try:
            found = self._requests.feed(octets)
        except RequestError as error:
            self._refuse(error)
            return
        if not self._requests.pending:
            self._began = None
        elif self._began is None or found:
            self._began = self._heard
        if len(found) == 1 and not self._answers:
            self._reply(found[0])
        else:
            self._todo.extend(found)
            self._work()
        if self._requests.is_over or self._is_read_out:
            self.finish()
        elif self._connections.turns is not None:
            self._steer()

    def _look_in_turn(self) -> None:
        self._is_in_turn = False
        try:
            if self._may_look():
                self._look()
        except Exception:
            self.cut()  # as asyncio does where reading fails
            raise

    def _may_look(self) -> bool:
        """Whether there is something to look into, and nothing that has to be done before."""
        return self._has_more() and not (self._is_over or self._todo or self._is_held_up())

    def _has_more(self) -> bool:
        return bool(self._octets) or self._requests.has_more

    def eof_received(self) -> bool:
        self.finish()
        return True

    def pause_writing(self) -> None:
        self._blocked = self._clock()
        self._steer()

    def resume_writing(self) -> None:
        if not self._is_over:
            self._blocked = None
            self._work()

    def finish(self) -> None:
        """Read nothing more, and close when what was read is answered."""
        self._is_read_out = True
        if not self._has_more():
            self._todo.append(None)
        self._work()

    def cut(self) -> None:
        """Close at once, whatever is unsent."""
        self._drop()
        self._transport.abort()

    @property
    def silent_since(self) -> float | None:
        """When it last completed a request, began the one that is not complete, or took its answers; None where it is
        owed some that are not sent.
        """
        if self._blocked is not None:
            return self._blocked
        if self._answers or self._todo:
            return None
        return self._heard if self._began is None else self._began

    def check(self, now: float) -> None:
        """Cut the connection off if it is time."""
        counters, limits = self._connections.counters, self._limits
        if self._blocked is not None:
            if now - self._blocked > limits.request_timeout:
                counters.slow_readers += 1
                self._cut_off("slow", "does not take its answers")
        elif self._answers or self._todo or self._has_more():
            if now - self._heard > limits.answer_timeout:
                counters.errors += 1
                self._cut_off("error", f"no answer within {limits.answer_timeout:g} s")
            # Nothing may be read meanwhile, so the time of a request that has only begun does not run.
            self._began = None if self._began is None else now
        elif self._began is not None:
            if now - self._began > limits.request_timeout:
                counters.timeouts += 1
                self._cut_off("timeout", f"did not complete a request in {limits.request_timeout:g} s")
        elif now - self._heard > limits.idle_timeout:
            counters.idle += 1
            self.cut()

    def _reply(self, request: Any) -> None:
        """What _work does, where one request has come and no other waits: nearly always, so it takes the short way."""
        answer = self._ask(request)
        if answer and isinstance(answer, bytes):
            self._transport.write(answer)
        else:
            self._answers.append(answer)
            self._work()

    def _work(self) -> None:
        """Send what is due, begin what may be begun, read or do not."""
        self._send()
        # Sending makes room among the answers, and what is begun may be answered at once: again, until neither helps.
        # It ends because each turn takes at least one request, and nothing is read in here.
        while self._todo and not self._is_held_up():
            self._begin()
            self._send()
        self._steer()

    def _steer(self) -> None:
        """Pause or resume reading, where that changes (asyncio takes neither twice), and queue for a turn."""
        must_pause = self._is_read_out or bool(self._todo) or self._is_held_up() or self._has_more()
        if must_pause is not self._is_paused:
            self._is_paused = must_pause
            (self._transport.pause_reading if must_pause else self._transport.resume_reading)()
        if self._connections.turns is not None and not self._is_in_turn and self._may_look():
            self._is_in_turn = True
            self._connections.turns.add(self._look_in_turn)

    def _is_held_up(self) -> bool:
        return self._blocked is not None or len(self._answers) >= self._limits.max_unanswered

    def _begin(self) -> None:
        """Ask for answers to as many requests as may be under way."""
        while self._todo and len(self._answers) < self._limits.max_unanswered:
            request = self._todo.popleft()
            self._answers.append(_END if request is None else self._ask(request))

    def _ask(self, request: Any) -> bytes | asyncio.Task[bytes]:
        """Call for the answer: the octets, or a task that will have them; _END where there will be none."""
        self._connections.counters.requests += 1
        try:
            answer = self._connections.answer(request)
            if isinstance(answer, bytes):
                return answer
            task = self._loop.create_task(self._later(answer))
        except Exception as error:
            return self._failed(error)
        task.add_done_callback(self._settled)
        return task

    async def _later(self, answer: Awaitable[bytes]) -> bytes:
        try:
            return await answer
        except (Exception, asyncio.CancelledError) as error:
            if self._is_over:
                raise
            return self._failed(error)

    def _settled(self, task: asyncio.Task[bytes]) -> None:
        """Go on when a task has ended; after the connection's end only look at its error, or asyncio would log it."""
        if not self._is_over:
            self._heard = self._clock()
            self._work()
        elif not task.cancelled():
            task.exception()

    def _send(self) -> None:
        """Write the answers that are there, up to the first that is not; _END closes."""
        due: list[bytes] = []
        while self._answers:
            head = self._answers[0]
            if not isinstance(head, bytes):
                if not head.done():
                    break
                head = _END if head.cancelled() else head.result()
            self._answers.popleft()
            due.append(head)
            if not head:
                break
        if due:
            self._transport.write(b"".join(due))
            if not due[-1]:
                self._close()

    def _close(self) -> None:
        """Close when what is written has left; a client that does not take it is cut off in time (:meth:`check`)."""
        self._drop()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._blocked = self._clock()

    def _drop(self) -> None:
        """Forget every request and answer; the tasks are cancelled."""
        self._is_over = True
        for task in self._answers:
            if isinstance(task, asyncio.Task):
                task.cancel()
        self._answers.clear()
        self._todo.clear()
        self._octets = b""

    def _failed(self, error: BaseException) -> bytes:
        """Count and log that there is no answer: then the connection ends, and Postfix asks once more."""
        self._connections.counters.errors += 1
        self._connections.warn("error", f"{self._peer()}: no answer, disconnected: {shown(error)}")
        logger.debug("no answer", exc_info=error)
        return _END

    def _refuse(self, error: RequestError) -> None:
        """Count and log what is no request, answer what came before it, and close."""
        if isinstance(error, TooLargeError):
            self._connections.counters.oversized += 1
        else:
            self._connections.counters.malformed += 1
        self._connections.warn("malformed", f"{self._peer()}: disconnected: {error}")
        self._todo.extend(error.before)
        self.finish()

    def _cut_off(self, kind: str, what: str) -> None:
        """Log why, and close at once."""
        self._connections.warn(kind, f"{self._peer()}: disconnected: {what}")
        self.cut()

    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        if name and isinstance(name, tuple):
            return f"[{name[0]}]:{name[1]}"
        with contextlib.suppress(OSError):
            there = self._transport.get_extra_info("socket")
            ids = there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return "process {} of uid {}".format(*struct.unpack("3i", ids))
        return "a client"


def shown(error: BaseException) -> str:
    """``error`` in printable ASCII, bounded."""
    return ascii(f"{type(error).__name__}: {error}")[1:-1][:300]
