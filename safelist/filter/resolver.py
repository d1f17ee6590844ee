"""DNS look-ups for many mails at once: asynchronous, cached, over UDP and where an answer is truncated over TCP.

Whatever a nameserver or a forger sends, a look-up ends within its time limit with an :class:`Answer`. No text in one
holds the name that was asked, for that may hold a key.
"""

import asyncio
import re
import secrets
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from time import monotonic
from typing import NamedTuple

import dns.rcode

from safelist.errors import ConfigError
from safelist.filter.resolv_conf import ResolvConf

MAX_TTL = 86_400
MAX_NEGATIVE_TTL = 3 * 3600
"""Seconds (RFC 2308 5: one to three hours have been found to work well)."""
NO_SOA_TTL = 60
"""Seconds that a negative answer without a SOA record counts."""
FAILED_TTL = 2
"""Seconds for which a failure is not repeated (RFC 2308 7 allows five minutes)."""

_MAX_RECORDS = 256
_MAX_ALIASES = 16
_MAX_CACHED_SIZE = 4096
_QUERIES_PER_PORT = 256
_STRAY_COSTS = 16
_READ_AT_ONCE = 64
_DATAGRAM = 4096

_KINDS = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
_NS, _CNAME, _SOA = 2, 5, 6
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_RECURSION_DESIRED = 0x0100
_OPT = bytes.fromhex("00 0029 04d0 00000000 0000")
"""Answers of up to 1,232 octets are welcome (RFC 6891 6.1.2; DNS flag day 2020)."""
_POINTER_TO_QUESTION = b"\xc0\x0c"
_PLAIN_LABEL = re.compile(rb"[!-\-/-~]+")
"""Printable ASCII without dots: text that leads back to the same name when it is asked for."""
_NO_ANSWER = "no answer in time"

_PLAIN_SECONDS = 600.0
"""For how long a nameserver that does not know EDNS is asked without."""
_KNOWS_NO_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP)


class Status(StrEnum):
    """How a look-up ended. ``FAILED`` tells nothing about the name."""

    FOUND = "found"
    NO_NAME = "no-name"
    NO_DATA = "no-data"
    FAILED = "failed"


class Answer(NamedTuple):
    """``values`` of the kind that was asked, each once, in the order of the answer; only ``FOUND`` has any.

    A and AAAA: addresses. PTR: names. MX: ``10 mail.example.com``. TXT: the strings of a record joined, a character
    for each octet (latin-1). Names with a dot or space inside a label are left out. ``why``: for ``FAILED``.
    ``expires``: seconds of :func:`time.monotonic` until which it counts.
    """

    status: Status
    values: tuple[str, ...] = ()
    why: str | None = None
    expires: float = 0.0


class Resolver:
    """Asks nameservers that recurse, in turn, and remembers. Belongs to one event loop; :meth:`close` it at the end.

    Every question has a random id and leaves from a random port, which is given up after some questions, and sooner
    where datagrams come in that nobody asked for (RFC 5452); an answer counts when it comes from the server that was
    asked, with that id and that question.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None = None,
        *,
        timeout: float = 5.0,
        max_cached: int = 20_000,
        max_in_flight: int = 256,
        resolv_conf: ResolvConf | None = None,
    ) -> None:
        """``nameservers``: IP address and port of each; ``timeout``: seconds a look-up.

        Without ``nameservers`` it is those of ``resolv_conf`` (/etc/resolv.conf), as that file changes. Raises
        ConfigError where there is no nameserver or one is no IP address.
        """
        self._file = (resolv_conf or ResolvConf()) if nameservers is None else None
        self._named: tuple[tuple[str, int], ...] = ()
        self._servers = _servers(nameservers) if nameservers is not None else []
        self._plain_until: dict[_Server, float] = {}
        self._timeout = timeout
        self._max_cached = max_cached
        self._known: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._flights: dict[tuple[str, str], asyncio.Future[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(max_in_flight)
        self._channels: dict[_Server, _Channel] = {}
        self._closed = False
        self.reread(again=False)

    def peek(self, name: str, kind: str = "A") -> Answer | None:
        """What is known without asking; None where :meth:`query` would ask."""
        key = (name.lower().removesuffix("."), kind)
        answer = self._known.get(key)
        if answer is None:
            return None
        if answer.expires <= monotonic():
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return answer

    async def query(self, name: str, kind: str = "A") -> Answer:
        """Look ``name`` (A-labels) up for ``kind``: A, AAAA, MX, PTR or TXT. Callers at the same time share one query.

        Raises ValueError for another kind; whatever happens in the network is ``FAILED``.
        """
        if kind not in _KINDS:
            raise ValueError(f"no such kind of record: {kind!a}")
        answer = self.peek(name, kind)
        if answer is not None:
            return answer
        key = (name.lower().removesuffix("."), kind)
        future = self._flights.get(key) or self._take_off(key)
        return future if isinstance(future, Answer) else await asyncio.shield(future)

    def reread(self, *, again: bool = True) -> None:
        """Take the nameservers that resolv.conf names now; ``again``: even where the file seems to be the same."""
        if self._file is None or (named := self._file.nameservers(again=again)) == self._named:
            return
        self._named, self._servers = named, _servers(named)
        for server in self._channels.keys() - set(self._servers):
            self._channels.pop(server).retire()
        self._plain_until.clear()

    def close(self) -> None:
        """Give every socket back; look-ups under way end as ``FAILED``."""
        self._closed = True
        for future in self._flights.values():
            future.set_result(_failed("the resolver has been closed"))
        self._flights.clear()
        for task in self._tasks:
            task.cancel()
        for channel in self._channels.values():
            channel.retire()
        self._channels.clear()

    def _take_off(self, key: tuple[str, str]) -> asyncio.Future[Answer] | Answer:
        question = _question(*key)
        if question is None or self._closed:
            return _failed("not a DNS name" if question is None else "the resolver has been closed")
        loop = asyncio.get_running_loop()
        future = self._flights[key] = loop.create_future()
        task = loop.create_task(self._fly(key, question, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def _fly(self, key: tuple[str, str], question: bytes, future: asyncio.Future[Answer]) -> None:
        try:
            answer = await self._within_limits(question, key[1])
            self._remember(key, answer)
            if not future.done():
                future.set_result(answer)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        finally:
            self._flights.pop(key, None)

    def _remember(self, key: tuple[str, str], answer: Answer) -> None:
        if answer.expires <= monotonic() or sum(map(len, answer.values)) > _MAX_CACHED_SIZE:
            return
        while len(self._known) >= self._max_cached:
            self._known.popitem(last=False)
        self._known[key] = answer

    async def _within_limits(self, question: bytes, kind: str) -> Answer:
        self.reread(again=False)
        flight = _Flight(question, _OPT if kind in ("TXT", "MX", "PTR") else b"")
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline), self._slots:
                return await self._ask_in_turn(flight, kind, deadline)
        except TimeoutError:
            return _failed(_NO_ANSWER)
        finally:
            flight.end()

    async def _ask_in_turn(self, flight: "_Flight", kind: str, deadline: float) -> Answer:
        """Each server twice, the one that answered last first; earlier ones may still answer when the next is asked."""
        loop = asyncio.get_running_loop()
        failures: dict[_Server, str] = {}
        turns = self._servers * 2
        for turn, server in enumerate(turns):
            until = loop.time() + (deadline - loop.time()) / (len(turns) - turn)
            is_silent = turn >= len(self._servers) and server not in failures
            if is_silent or self._is_plain(server):  # some drop what they do not know
                flight.leave_out_edns(server)
            if server not in failures and not self._send(flight, server):
                failures[server] = "cannot be reached"
            while server not in failures and (reply := await flight.reply(until)):
                if self._asks_for_less(flight, reply):
                    continue
                answer = await self._read(flight, reply, kind, until)
                if answer.status is not Status.FAILED:
                    if flight.has_left_out(reply.server) and not self._is_plain(reply.server):
                        self._plain_until[reply.server] = monotonic() + _PLAIN_SECONDS
                    self._prefer(reply.server)
                    return answer
                failures[reply.server] = answer.why or ""
        why = "; ".join(dict.fromkeys(failures.values())) if len(failures) == len(self._servers) else _NO_ANSWER
        return _failed(why)

    def _is_plain(self, server: "_Server") -> bool:
        return self._plain_until.get(server, 0.0) > monotonic()

    def _asks_for_less(self, flight: "_Flight", reply: "_Reply") -> bool:
        """Whether the server did not understand EDNS, and the question is on its way again without (RFC 6891 7)."""
        is_error = reply.message is not None and reply.message[3] & 0x0F in _KNOWS_NO_EDNS
        if not is_error or not flight.has_edns(reply.server):
            return False
        flight.leave_out_edns(reply.server)
        self._plain_until[reply.server] = monotonic() + _PLAIN_SECONDS
        return self._send(flight, reply.server)

    def _prefer(self, server: "_Server") -> None:
        if server is not self._servers[0]:
            self._servers = [server, *(other for other in self._servers if other is not server)]

    def _send(self, flight: "_Flight", server: "_Server") -> bool:
        try:
            channel = self._channels.get(server)
            if channel is None or channel.is_worn:
                if channel is not None:
                    channel.retire()
                    del self._channels[server]
                channel = self._channels[server] = _Channel(server)
            flight.send(channel)
        except OSError:
            return False
        return True

    async def _read(self, flight: "_Flight", reply: "_Reply", kind: str, until: float) -> Answer:
        message = reply.message
        if message is None:
            return _failed("cannot be reached")
        if message[2] & 0x02:
            message = await _over_tcp(reply.server, flight, until)
            if message is None:
                return _failed("a truncated answer, and none over TCP")
        return _read_answer(message, flight.question, kind)


class _Server(NamedTuple):
    host: str
    port: int
    family: socket.AddressFamily
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def _servers(nameservers: Sequence[tuple[str, int]]) -> list[_Server]:
    if not nameservers:
        raise ConfigError("nameservers: there is none, write the address of a resolver")
    return [_server(host, port) for host, port in dict.fromkeys(nameservers)]


def _server(host: str, port: int) -> _Server:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, OverflowError):
        raise ConfigError(f"nameservers: {host!a} port {port} is none, write an IP address and a port") from None
    return _Server(host, port, found[0][0], found[0][4])


class _Reply(NamedTuple):
    """What came for a flight; None where the server cannot be reached."""

    server: _Server
    message: bytes | None


class _Flight:
    """One question on its way to one server or more, and the replies that nobody has read yet."""

    def __init__(self, question: bytes, additional: bytes) -> None:
        self.question = question
        self._additional = additional
        self._without: set[_Server] = set()
        self._sent: list[tuple[_Channel, int]] = []
        self._replies: deque[_Reply] = deque(maxlen=_READ_AT_ONCE)
        self._waiter: asyncio.Future[None] | None = None

    def has_edns(self, server: _Server) -> bool:
        return bool(self._additional) and server not in self._without

    def leave_out_edns(self, server: _Server) -> None:
        self._without.add(server)

    def has_left_out(self, server: _Server) -> bool:
        return bool(self._additional) and server in self._without

    def packet(self, server: _Server) -> bytes:
        """All but the id."""
        additional = self._additional if self.has_edns(server) else b""
        counts = _HEADER.pack(0, _RECURSION_DESIRED, 1, 0, 0, 1 if additional else 0)[2:]
        return counts + self.question + additional

    def send(self, channel: "_Channel") -> None:
        self._sent.append((channel, channel.send(self)))

    def arrived(self, reply: _Reply) -> None:
        self._replies.append(reply)
        _wake(self._waiter)

    async def reply(self, until: float) -> _Reply | None:
        """The next one, or None at that time of the loop."""
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
        for channel, number in self._sent:
            channel.forget(number)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _Channel:
    """A UDP socket that is connected to one server, so that the kernel drops what comes from elsewhere."""

    def __init__(self, server: _Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._waiting: dict[int, _Flight] = {}
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

    def send(self, flight: _Flight) -> int:
        """Ask; returns the id. Raises OSError."""
        while (number := secrets.randbits(16)) in self._waiting:
            pass
        self._socket.send(number.to_bytes(2, "big") + flight.packet(self._server))
        self._left -= 1
        self._waiting[number] = flight
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
        flight = self._waiting.get(int.from_bytes(message[:2], "big"))
        if flight is not None and self._answers(message, flight):
            flight.arrived(_Reply(self._server, message))
        else:
            self._left -= _STRAY_COSTS

    def _answers(self, message: bytes, flight: _Flight) -> bool:
        is_bare = flight.has_edns(self._server) and _is_bare_error(message)
        return is_bare or _is_reply(message, flight.question)

    def _tell_all_unreachable(self) -> None:
        for flight in self._waiting.values():
            flight.arrived(_Reply(self._server, None))


async def _over_tcp(server: _Server, flight: _Flight, until: float) -> bytes | None:
    """The whole answer, asked for again (RFC 7766); None where there is none by that time of the loop."""
    number = secrets.token_bytes(2)
    packet = number + flight.packet(server)
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
    return message if message[:2] == number and _is_reply(message, flight.question) else None


def _question(name: str, kind: str) -> bytes | None:
    """The question section for ``name`` in class IN; None where that is no name (RFC 1035 2.3.4)."""
    if not name.isascii() or len(name) > 253:
        return None
    labels = name.encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        return None
    octets = b"".join([b"%c%b" % (len(label), label) for label in labels])
    return octets + b"\0" + _KINDS[kind].to_bytes(2, "big") + b"\0\1"


def _is_reply(message: bytes, question: bytes) -> bool:
    """A reply to a standard query with this one question; its letters may be in another case (RFC 4343)."""
    if len(message) < 12 + len(question) or message[2] & 0xF8 != 0x80 or message[4:6] != b"\0\1":
        return False
    return message[12 : 12 + len(question)].lower() == question


def _is_bare_error(message: bytes) -> bool:
    """What servers that do not know EDNS send: an error without the question that they could not read."""
    is_reply = len(message) == 12 and message[2] & 0xF8 == 0x80 and message[4:] == bytes(8)
    return is_reply and message[3] & 0x0F in _KNOWS_NO_EDNS


class _MalformedError(Exception):
    """A message that breaks off or contradicts itself."""


class _Record(NamedTuple):
    """Where in the message a record's owner and data lie. ``ttl`` in seconds."""

    owner: int
    kind: int
    ttl: int
    data: int
    length: int


_Owner = tuple[bytes, ...] | None
"""Labels in lower case; None is the name that was asked for."""


def _read_answer(message: bytes, question: bytes, kind: str) -> Answer:
    """What a reply to ``question`` says."""
    code = message[3] & 0x0F
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return _failed(f"the nameserver answers {dns.rcode.to_text(dns.rcode.Rcode(code))}")
    answers, authorities = struct.unpack_from("!HH", message, 6)
    if answers > _MAX_RECORDS:
        return _failed(f"{answers} records in an answer, at most {_MAX_RECORDS} are read")
    try:
        records = _records(message, 12 + len(question), answers + min(authorities, _MAX_RECORDS))
        values, ttl = _values(message, kind, islice(records, answers))
        if values and code == dns.rcode.NOERROR:
            return Answer(Status.FOUND, values, None, monotonic() + ttl)
        return _negative(message, code, list(records), ttl)
    except (_MalformedError, IndexError, struct.error):
        return _failed("a malformed answer")


def _negative(message: bytes, code: int, authority: list[_Record], most: int) -> Answer:
    """NXDOMAIN or no data, for as long as the SOA record says (RFC 2308 5); a referral is neither."""
    status = Status.NO_NAME if code == dns.rcode.NXDOMAIN else Status.NO_DATA
    ttl = NO_SOA_TTL
    for record in authority:
        if record.kind == _SOA and record.length >= 22:
            end = record.data + record.length
            ttl = min(record.ttl, _seconds(int.from_bytes(message[end - 4 : end], "big")), MAX_NEGATIVE_TTL)
            break
    else:
        if not message[3] & 0x80 and any(record.kind == _NS for record in authority):
            return _failed("a referral: the nameserver does not recurse")
    return Answer(status, (), None, monotonic() + min(ttl, most))


def _records(message: bytes, at: int, count: int) -> Iterator[_Record]:
    for _ in range(count):
        owner, at = at, _after_name(message, at)
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        data, at = at + _RECORD.size, at + _RECORD.size + length
        if at > len(message):
            raise _MalformedError
        yield _Record(owner, kind, _seconds(ttl), data, length)


def _seconds(ttl: int) -> int:
    """RFC 2181 8: with the highest bit set it counts as 0."""
    return min(ttl, MAX_TTL) if ttl < 1 << 31 else 0


def _after_name(message: bytes, at: int) -> int:
    while length := message[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise _MalformedError
        at += 1 + length
    return at + 1


def _values(message: bytes, kind: str, answers: Iterable[_Record]) -> tuple[tuple[str, ...], int]:
    """The values at the end of the chain of aliases, and the seconds for which the whole chain counts."""
    values: dict[_Owner, list[str]] = {}
    aliases: dict[_Owner, _Owner] = {}
    ttls: dict[_Owner, int] = {}
    for record in answers:
        if record.kind not in (_KINDS[kind], _CNAME):
            continue
        owner = _owner(message, record.owner)
        ttls[owner] = min(record.ttl, ttls.get(owner, MAX_TTL))
        if record.kind == _CNAME:
            aliases[owner] = _owner(message, record.data)
        else:
            values.setdefault(owner, []).extend(_READERS[kind](message, record.data, record.length))
    owner, ttl = _follow(aliases, ttls)
    return tuple(dict.fromkeys(values.get(owner, ()))), ttl


def _follow(aliases: Mapping[_Owner, _Owner], ttls: Mapping[_Owner, int]) -> tuple[_Owner, int]:
    owner: _Owner = None
    ttl = ttls.get(None, MAX_TTL)
    for _ in range(_MAX_ALIASES):
        if owner not in aliases:
            return owner, ttl
        owner = aliases[owner]
        ttl = min(ttl, ttls.get(owner, MAX_TTL))
    raise _MalformedError


def _owner(message: bytes, at: int) -> _Owner:
    if message[at : at + 2] == _POINTER_TO_QUESTION:
        return None
    labels = _labels(message, at)
    return None if labels == _labels(message, 12) else labels


_MAX_POINTERS = 16
"""In one name, as dnspython has it; a nameserver needs one."""


def _labels(message: bytes, at: int) -> tuple[bytes, ...]:
    """Those of the name there, in lower case; a pointer leads back, never forth (RFC 1035 4.1.4: a prior name)."""
    labels, size, hops, begin, end = [], 1, 0, at, len(message)
    while length := message[at]:
        following = at + (2 if length >= 0xC0 else 1 + length)
        if following >= end and (following > end or length < 0xC0):
            raise _MalformedError
        if length >= 0xC0:
            at, hops = int.from_bytes(message[at:following], "big") & 0x3FFF, hops + 1
            if at >= begin or hops > _MAX_POINTERS:
                raise _MalformedError
            begin, end = at, begin  # what it leads to ends before the part that leads there
            continue
        labels.append(message[at + 1 : following].lower())
        size += 1 + length
        at = following
        if length > 63 or size > 255:
            raise _MalformedError
    return tuple(labels)


def _ipv4(message: bytes, at: int, length: int) -> Iterable[str]:
    if length != 4:
        raise _MalformedError
    return (socket.inet_ntoa(message[at : at + 4]),)


def _ipv6(message: bytes, at: int, length: int) -> Iterable[str]:
    if length != 16:
        raise _MalformedError
    return (socket.inet_ntop(socket.AF_INET6, message[at : at + 16]),)


def _text(message: bytes, at: int, length: int) -> Iterable[str]:
    strings, end = [], at + length
    while at < end:
        start, at = at + 1, at + 1 + message[at]
        strings.append(message[start:at])
    if at != end:
        raise _MalformedError
    return (b"".join(strings).decode("latin-1"),)


def _host(message: bytes, at: int, length: int) -> Iterable[str]:
    labels = _labels(message, at)
    if _after_name(message, at) != at + length:
        raise _MalformedError
    is_plain = all(map(_PLAIN_LABEL.fullmatch, labels))
    return (b".".join(labels).decode("ascii") or ".",) if is_plain else ()


def _exchange(message: bytes, at: int, length: int) -> Iterable[str]:
    preference = int.from_bytes(message[at : at + 2], "big")
    return (f"{preference} {host}" for host in _host(message, at + 2, length - 2))


_READERS: Mapping[str, Callable[[bytes, int, int], Iterable[str]]] = {
    "A": _ipv4, "AAAA": _ipv6, "MX": _exchange, "PTR": _host, "TXT": _text,
}  # fmt: skip


def _failed(why: str) -> Answer:
    return Answer(Status.FAILED, (), why, monotonic() + FAILED_TTL)
