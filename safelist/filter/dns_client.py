"""Asking nameservers: over UDP, again and elsewhere until somebody answers, and over TCP where an answer is truncated.

dnspython can ask, too. It opens a socket for every question and serves one caller: for a filter that asks ten lists
about every mail, these share a socket for some questions, and none waits for more than its own answer.
"""

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from safelist.errors import ConfigError
from safelist.filter import dns_message
from safelist.filter.dns_message import DnsAnswer, Status, failed
from safelist.filter.resolv_conf import ResolvConf

_QUERIES_PER_PORT = 256
_STRAY_COSTS = 16
_READ_AT_ONCE = 64
_DATAGRAM = 4096
_NO_ANSWER = "no answer in time"

_PLAIN_SECONDS = 600.0
"""For how long a nameserver that does not know EDNS is asked without."""


class DnsClient:
    """Asks nameservers that recurse, in turn. Belongs to one event loop; :meth:`close` it at the end.

    Every question has a random id and leaves from a random port, which is given up after some questions, and sooner
    where datagrams come in that nobody asked for (RFC 5452); an answer counts when it comes from the server that was
    asked, with that id and that question.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None,
        *,
        timeout: float,
        max_in_flight: int,
        resolv_conf: ResolvConf | None,
    ) -> None:
        """``nameservers``: IP address and port of each; ``timeout``: seconds a look-up.

        Without ``nameservers`` it is those of ``resolv_conf`` (/etc/resolv.conf), as that file changes. Raises
        ConfigError where there is no nameserver or one is no IP address.
        """
        self._file = (resolv_conf or ResolvConf()) if nameservers is None else None
        self._named: tuple[tuple[str, int], ...] = ()
        self._servers = _nameservers(nameservers) if nameservers is not None else []
        self._plain_until: dict[_Nameserver, float] = {}
        self._timeout = timeout
        self._slots = asyncio.Semaphore(max_in_flight)
        self._sockets: dict[_Nameserver, _UdpSocket] = {}
        self.reread(again=False)

    def reread(self, *, again: bool = True) -> None:
        """Take the nameservers that resolv.conf names now; ``again``: even where the file seems to be the same."""
        if self._file is None or (named := self._file.nameservers(again=again)) == self._named:
            return
        self._named, self._servers = named, _nameservers(named)
        for server in self._sockets.keys() - set(self._servers):
            self._sockets.pop(server).retire()
        self._plain_until.clear()

    def close(self) -> None:
        """Give every socket back, those that wait for an answer when they have it or give it up."""
        for each in self._sockets.values():
            each.retire()
        self._sockets.clear()

    async def ask(self, question: bytes, kind: str) -> DnsAnswer:
        """Send a question (:func:`dns_message.question`) and wait for the answer, within the time limit."""
        self.reread(again=False)
        query = _Query(question, kind)
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline), self._slots:
                return await self._ask_in_turn(query, deadline)
        except TimeoutError:
            return failed(_NO_ANSWER)
        finally:
            query.end()

    async def _ask_in_turn(self, query: "_Query", deadline: float) -> DnsAnswer:
        """Ask each server twice, the one that answered last first, until one answers well.

        The time that is left is shared among the turns that are left, so a server that is silent costs its share and
        no more. Each question stays open until the end: while the next server is asked, an earlier one may still
        answer, and whatever comes is read, whoever it comes from. A server that failed is not asked again, one that
        was silent is: without EDNS, which some drop unread.
        """
        loop = asyncio.get_running_loop()
        failures: dict[_Nameserver, str] = {}
        turns = self._servers * 2
        for turn, server in enumerate(turns):
            until = loop.time() + (deadline - loop.time()) / (len(turns) - turn)
            is_silent = turn >= len(self._servers) and server not in failures
            if is_silent or self._is_plain(server):  # some drop what they do not know
                query.leave_out_edns(server)
            if server not in failures and not self._send(query, server):
                failures[server] = "cannot be reached"
            while server not in failures and (reply := await query.reply(until)):
                if self._asks_for_less(query, reply):
                    continue
                answer = await self._read(query, reply, until)
                if answer.status is not Status.FAILED:
                    if query.has_left_out(reply.server) and not self._is_plain(reply.server):
                        self._plain_until[reply.server] = monotonic() + _PLAIN_SECONDS
                    self._prefer(reply.server)
                    return answer
                failures[reply.server] = answer.why or ""
        why = "; ".join(dict.fromkeys(failures.values())) if len(failures) == len(self._servers) else _NO_ANSWER
        return failed(why)

    def _is_plain(self, server: "_Nameserver") -> bool:
        return self._plain_until.get(server, 0.0) > monotonic()

    def _asks_for_less(self, query: "_Query", reply: "_Received") -> bool:
        """Ask again without EDNS where the reply says that it was not understood (RFC 6891 7); whether that is so."""
        is_error = reply.message is not None and dns_message.wants_no_edns(reply.message)
        if not is_error or not query.has_edns(reply.server):
            return False
        query.leave_out_edns(reply.server)
        self._plain_until[reply.server] = monotonic() + _PLAIN_SECONDS
        return self._send(query, reply.server)

    def _prefer(self, server: "_Nameserver") -> None:
        """Ask it first from now on."""
        if server is not self._servers[0]:
            self._servers = [server, *(other for other in self._servers if other is not server)]

    def _send(self, query: "_Query", server: "_Nameserver") -> bool:
        """Send the question from a port that is not worn; whether that could be done."""
        try:
            opened = self._sockets.get(server)
            if opened is None or opened.is_worn:
                if opened is not None:
                    opened.retire()
                    del self._sockets[server]
                opened = self._sockets[server] = _UdpSocket(server)
            query.send(opened)
        except OSError:
            return False
        return True

    async def _read(self, query: "_Query", reply: "_Received", until: float) -> DnsAnswer:
        message = reply.message
        if message is None:
            return failed("cannot be reached")
        if dns_message.is_truncated(message):
            message = await _over_tcp(reply.server, query, until)
            if message is None:
                return failed("a truncated answer, and none over TCP")
        return dns_message.read_answer(message, query.question, query.kind)


class _Nameserver(NamedTuple):
    host: str
    port: int
    family: socket.AddressFamily
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def _nameservers(nameservers: Sequence[tuple[str, int]]) -> list[_Nameserver]:
    if not nameservers:
        raise ConfigError("nameservers: there is none, write the address of a resolver")
    return [_nameserver(host, port) for host, port in dict.fromkeys(nameservers)]


def _nameserver(host: str, port: int) -> _Nameserver:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, OverflowError):
        raise ConfigError(f"nameservers: {host!a} port {port} is none, write an IP address and a port") from None
    return _Nameserver(host, port, found[0][0], found[0][4])


class _Received(NamedTuple):
    """What came for a query; None where the server cannot be reached."""

    server: _Nameserver
    message: bytes | None


class _Query:
    """A question on its way to one server or more, and the replies that nobody has read yet."""

    def __init__(self, question: bytes, kind: str) -> None:
        self.question = question
        self.kind = kind
        self._may_be_large = dns_message.may_be_large(kind)
        self._without: set[_Nameserver] = set()
        self._sent: list[tuple[_UdpSocket, int]] = []
        self._replies: deque[_Received] = deque(maxlen=_READ_AT_ONCE)
        self._waiter: asyncio.Future[None] | None = None

    def has_edns(self, server: _Nameserver) -> bool:
        return self._may_be_large and server not in self._without

    def leave_out_edns(self, server: _Nameserver) -> None:
        self._without.add(server)

    def has_left_out(self, server: _Nameserver) -> bool:
        return self._may_be_large and server in self._without

    def packet(self, server: _Nameserver) -> bytes:
        """The message, all but its id."""
        return dns_message.query(self.question, self.kind, with_edns=self.has_edns(server))

    def send(self, opened: "_UdpSocket") -> None:
        self._sent.append((opened, opened.send(self)))

    def arrived(self, reply: _Received) -> None:
        """Keep what came for whoever waits in :meth:`reply`, and wake him."""
        self._replies.append(reply)
        _wake(self._waiter)

    async def reply(self, until: float) -> _Received | None:
        """Wait for the next one; None at that time of the loop."""
        if not self._replies:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_at(until, _wake, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
        return self._replies.popleft() if self._replies else None

    def end(self) -> None:
        for opened, number in self._sent:
            opened.forget(number)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _UdpSocket:
    """A UDP socket that is connected to one server, so that the kernel drops what comes from elsewhere."""

    def __init__(self, server: _Nameserver) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._waiting: dict[int, _Query] = {}
        self._left = _QUERIES_PER_PORT
        self._retired = False
        self._socket = socket.socket(server.family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server.address)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._readable)

    @property
    def is_worn(self) -> bool:
        return self._left <= 0

    def send(self, query: _Query) -> int:
        """Send the question under a new id, which is returned. Raises OSError."""
        while (number := secrets.randbits(16)) in self._waiting:
            pass
        self._socket.send(number.to_bytes(2, "big") + query.packet(self._server))
        self._left -= 1
        self._waiting[number] = query
        return number

    def forget(self, number: int) -> None:
        del self._waiting[number]
        if self._retired and not self._waiting:
            self._close()

    def retire(self) -> None:
        """Take no more questions; close when the last one is answered or given up."""
        self._retired = True
        if not self._waiting:
            self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        """Read what has come, but not for ever: a flood must leave the loop to others."""
        for _ in range(_READ_AT_ONCE):
            try:
                message = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                self._tell_all_unreachable()
                return
            self._take(message)

    def _take(self, message: bytes) -> None:
        query = self._waiting.get(int.from_bytes(message[:2], "big"))
        if query is not None and self._answers(message, query):
            query.arrived(_Received(self._server, message))
        else:
            self._left -= _STRAY_COSTS

    def _answers(self, message: bytes, query: _Query) -> bool:
        is_bare = query.has_edns(self._server) and dns_message.is_bare_error(message)
        return is_bare or dns_message.is_reply(message, query.question)

    def _tell_all_unreachable(self) -> None:
        for query in self._waiting.values():
            query.arrived(_Received(self._server, None))


async def _over_tcp(server: _Nameserver, query: _Query, until: float) -> bytes | None:
    """Ask again for the whole answer (RFC 7766); None where there is none by that time of the loop."""
    number = secrets.token_bytes(2)
    packet = number + query.packet(server)
    writer = None
    try:
        async with asyncio.timeout_at(until):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(len(packet).to_bytes(2, "big") + packet)
            message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    except (OSError, EOFError):  # TimeoutError is an OSError
        return None
    finally:
        if writer is not None:
            writer.close()
    return message if message[:2] == number and dns_message.is_reply(message, query.question) else None
