"""A server of policy requests, and of what else is asked: sockets, signals, and what systemd is told."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from safelist.errors import ConfigError
from safelist.filter import protocol
from safelist.filter.connections import Connection, Connections, Endpoint, Limits, shown
from safelist.filter.protocol import PolicyRequest, RequestParser
from safelist.filter.sockets import name, open_inet, open_unix, stays_here
from safelist.filter.systemd import notify, passed, watchdog_interval

RequestHandler = Callable[[PolicyRequest], str | Awaitable[str]]
"""The action for a request, now or later."""

logger = logging.getLogger("safelist.filter")

_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 8
"""Connections, at each socket and in each turn of the loop: asyncio takes as many as its backlog, and does so while
whoever has asked waits."""
_TURNS_TO_ACCEPT = 2
"""Of the loop, from accept(2) to connection_made."""


def policy_endpoint(answer: RequestHandler, addresses: Sequence[str], limits: Limits | None = None) -> Endpoint:
    """Postfix's policy protocol; where the action is none, the connection is closed without an answer."""

    def encoded(request: PolicyRequest) -> bytes | Awaitable[bytes]:
        action = answer(request)
        return protocol.answer(action) if isinstance(action, str) else _encoded_later(action)

    return Endpoint(encoded, _policy_parser, addresses, limits or Limits())


async def _encoded_later(action: Awaitable[str]) -> bytes:
    return protocol.answer(await action)


def _policy_parser(limits: Limits) -> RequestParser:
    return RequestParser(limits.max_request, limits.max_attributes)


class Server:
    """Answers the policy requests that come in on ``addresses`` until it is stopped, and those at ``others``.

    ``answer`` and ``addresses`` are as :class:`Endpoint` says, with ``socket_mode``; sockets that systemd passes under
    a name that none of the ``others`` has are for policy requests. ``on_reload`` is called at SIGHUP.
    """

    def __init__(
        self,
        answer: RequestHandler,
        addresses: Sequence[str] = (),
        *,
        limits: Limits | None = None,
        socket_mode: int = 0o660,
        on_reload: Callable[[], object] | None = None,
        others: Sequence[Endpoint] = (),
    ) -> None:
        self._endpoints = (policy_endpoint(answer, addresses, limits), *others)
        self.counters = self._endpoints[0].counters
        """Of the policy requests."""
        self.addresses: Sequence[str] = ()
        """Where it listens for policy requests, as bound; empty before ``listen``."""
        self._mode = socket_mode
        self._on_reload = on_reload
        self._connections = tuple(map(Connections, self._endpoints))
        self._sockets: list[tuple[int, socket.socket]] = []
        """Each with the number of its endpoint."""
        self._files: dict[Path, os.stat_result] = {}
        self._stopping = asyncio.Event()
        self._is_handling = False

    def listen(self) -> None:
        """Open the sockets, unless they are open. Raises ConfigError, PermissionDeniedError or UnavailableError."""
        if self._sockets:
            return
        try:
            for named, opened in passed():
                self._sockets.append((self._endpoint_of(named), opened))
            has_passed = {number for number, _ in self._sockets}
            for number, endpoint in enumerate(self._endpoints):
                for address in () if number in has_passed else endpoint.addresses:
                    self._sockets += ((number, opened) for opened in self._opened(address))
            self._refuse_open_ones()
        except BaseException:
            self._close_sockets()
            raise
        if not self._sockets:
            raise ConfigError("nothing to listen on: name an inet:HOST:PORT or a unix:PATH")
        self.addresses = self.addresses_of(self._endpoints[0])

    def _refuse_open_ones(self) -> None:
        """Raise ConfigError where other hosts may reach what is for this one; settings know not what systemd opens."""
        for number, listening in self._sockets:
            if self._endpoints[number].stays_here and not stays_here(listening):
                what = self._endpoints[number].name
                raise ConfigError(
                    f"{what}: other hosts may reach {name(listening)}: write an address such as 127.0.0.1:10046 or a "
                    f"path into ListenStream= of its socket unit, or, behind a firewall, {what}_beyond_loopback = true"
                )

    def addresses_of(self, endpoint: Endpoint) -> Sequence[str]:
        """Where it listens for an endpoint, as bound; empty before ``listen``."""
        return [name(listening) for number, listening in self._sockets if self._endpoints[number] is endpoint]

    def _endpoint_of(self, named: str) -> int:
        """The number of the endpoint for which systemd passes a socket of this name."""
        return next((number for number, each in enumerate(self._endpoints) if number and each.name == named), 0)

    def stop(self) -> None:
        """Let ``run`` come to its end. To be called in its event loop, like everything of asyncio's."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until ``stop``, SIGTERM or SIGINT; then take no more, answer what is under way, and return.

        Signals are handled only in the main thread. Raises what ``listen`` raises.
        """
        with self.signals():
            self.listen()
            try:
                await self._serve()
            finally:
                self._close_sockets()

    async def _serve(self) -> None:
        """Take connections until ``stop``, and then let them come to their end."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._connections[0].trouble)
        servers = [
            await loop.create_server(
                partial(Connection, self._connections[number]), sock=listening, backlog=_ACCEPTED_AT_ONCE
            )
            for number, listening in self._sockets
        ]
        for _, listening in self._sockets:
            listening.listen(_BACKLOG)  # asyncio has told the kernel, too
        self._say_where()
        notify("READY=1", self._status())
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(self._sweep()), group.create_task(self._beat())]
            try:
                await self._stopping.wait()
            finally:
                notify("STOPPING=1", "STATUS=stopping")
                await self._accept_no_more(servers)
                await self._drain()
                for task in background:
                    task.cancel()

    def _say_where(self) -> None:
        for endpoint in self._endpoints:
            if addresses := self.addresses_of(endpoint):
                what = f"for {endpoint.name} " if endpoint.name else ""
                logger.info("listening %son %s", what, ", ".join(addresses))

    async def _accept_no_more(self, servers: Sequence[asyncio.Server]) -> None:
        """Close the sockets, when whoever asyncio has accepted is a connection here.

        It makes the transport in the turn after, and a server that has been closed by then takes none: the client
        would be neither answered nor disconnected (python/cpython#109564).
        """
        for _, listening in self._sockets:
            asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        self._close_sockets()

    async def _drain(self) -> None:
        """Close every connection when its answers are sent, or when it takes too long."""
        async with asyncio.TaskGroup() as group:
            for connections in self._connections:
                group.create_task(connections.drain())

    async def _sweep(self) -> None:
        """Cut off whoever takes too long, for ever: one timer for all connections instead of one for each octet."""
        limits, clock = [each.limits for each in self._endpoints], asyncio.get_running_loop().time
        pause = min(1.0, *(min(each.request_timeout, each.idle_timeout) / 4 for each in limits))
        while True:
            await asyncio.sleep(pause)
            now = clock()
            for connections in self._connections:
                connections.check(now)

    async def _beat(self) -> None:
        """Show systemd that the event loop turns (sd_watchdog_enabled(3)), and what it does."""
        interval = watchdog_interval()
        while interval is not None:
            notify("WATCHDOG=1", self._status())
            await asyncio.sleep(interval)

    def _status(self) -> str:
        """What systemctl status shows, of all endpoints: a filter may be there for look-ups alone."""
        counted = [endpoint.counters for endpoint in self._endpoints]
        connections, requests = sum(each.open for each in counted), sum(each.requests for each in counted)
        errors = sum(each.errors for each in counted)
        return f"STATUS=listening; {connections} connections, {requests} requests, {errors} errors"

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Handle signals in here, where this thread may; to be entered before ``listen``, or one could kill in between.

        ``run`` does so itself, unless that has been done.
        """
        if self._is_handling or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._is_handling, loop = True, asyncio.get_running_loop()
        handlers = {signal.SIGHUP: self._reload, signal.SIGTERM: self.stop, signal.SIGINT: self.stop}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            self._is_handling = False
            for number in handlers:
                loop.remove_signal_handler(number)

    def _reload(self) -> None:
        """Call ``on_reload``, and tell systemd before and after (sd_notify(3)); its trouble ends nothing."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            if self._on_reload is not None:
                self._on_reload()
        except Exception as error:
            self.counters.errors += 1
            self._connections[0].warn("reload", f"reload failed: {shown(error)}")
            logger.debug("reload failed", exc_info=True)
        notify("READY=1", self._status())

    def _opened(self, address: str) -> Sequence[socket.socket]:
        """Open the sockets of an address, and remember whose file it is."""
        kind, _, rest = address.partition(":")
        if kind == "inet":
            return open_inet(address, rest)
        if kind == "unix" and rest:
            opened = open_unix(address, Path(rest), self._mode)
            self._files[Path(rest)] = Path(rest).lstat()
            return [opened]
        raise ConfigError(f"{address!r}: write inet:HOST:PORT or unix:PATH")

    def _close_sockets(self) -> None:
        """Close them, and remove the files of those that were made here, unless another server has replaced them."""
        for _, listening in self._sockets:
            listening.close()
        for path, made in self._files.items():
            with contextlib.suppress(OSError):
                if os.path.samestat(path.lstat(), made):
                    path.unlink()
        self._sockets.clear()
        self._files.clear()
