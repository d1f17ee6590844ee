"""A nameserver on loopback that obeys RFC 1035 from a dictionary, but for the names it is told to be faulty about."""

import os
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

Zone = Mapping[str, Mapping[str, Sequence[str]]]
"""Name to kind to values as master files write them; TXT values are plain text. A name of ``*.x`` holds all below x."""

Fault = Callable[[bytes, bytes], Sequence[bytes]]
"""The query and the right reply in, the datagrams that are sent instead out."""


def drop(query: bytes, reply: bytes) -> Sequence[bytes]:
    return ()


def garbage(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Noise, with and without the right id, and then nothing."""
    return [b"", b"\0", os.urandom(11), os.urandom(400), query[:2] + os.urandom(200), query, query[:2], reply[:12]]


def truncated(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Come over TCP (RFC 2181 9)."""
    return [_empty(query, flags=0x8380)]


def broken_off(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Shorter than it says, and not marked so."""
    return [reply[: _end_of_question(query) + 4]]


def wrong_id(query: bytes, reply: bytes) -> Sequence[bytes]:
    return [bytes([reply[0] ^ 0x55, reply[1]]) + reply[2:]]


def wrong_question(query: bytes, reply: bytes) -> Sequence[bytes]:
    return [reply[:13] + b"zz" + reply[15:]]


def servfail(query: bytes, reply: bytes) -> Sequence[bytes]:
    return [_empty(query, flags=0x8182)]


def refused(query: bytes, reply: bytes) -> Sequence[bytes]:
    return [_empty(query, flags=0x8105)]


def delayed(seconds: float) -> Fault:
    def wait(query: bytes, reply: bytes) -> Sequence[bytes]:
        time.sleep(seconds)
        return [reply]

    return wait


def once(fault: Fault) -> Fault:
    """Faulty the first time, right from then on."""
    times = Counter[str]()

    def first(query: bytes, reply: bytes) -> Sequence[bytes]:
        times["asked"] += 1
        return fault(query, reply) if times["asked"] == 1 else [reply]

    return first


def spoofed_before(*forged: Fault) -> Fault:
    """The forgers are faster than the right reply."""
    return lambda query, reply: [*(message for fault in forged for message in fault(query, reply)), reply]


def answering(*records: bytes, flags: int = 0x8180, counts: tuple[int, int] | None = None) -> Fault:
    """These records as they are, with these counts of answers and authorities."""
    total = counts or (len(records), 0)
    return lambda query, reply: [_empty(query, flags, total) + b"".join(records)]


def record(kind: int, data: bytes, owner: bytes = b"\xc0\x0c", ttl: int = 300) -> bytes:
    """One in class IN; by default it belongs to the name that was asked."""
    return owner + kind.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big") + len(data).to_bytes(2, "big") + data


def _empty(query: bytes, flags: int, counts: tuple[int, int] = (0, 0)) -> bytes:
    header = query[:2] + flags.to_bytes(2, "big") + b"\0\1" + b"".join(count.to_bytes(2, "big") for count in counts)
    return header + b"\0\0" + query[12 : _end_of_question(query)]


def _end_of_question(query: bytes) -> int:
    at = 12
    while query[at]:
        at += 1 + query[at]
    return at + 5


@dataclass
class Nameserver:
    """``address`` is where it listens; ``queries`` counts (name, kind), ``over_tcp`` those that came over TCP."""

    zone: Zone
    faults: Mapping[str, Fault]
    tcp_faults: Mapping[str, Fault]
    ttl: int
    negative_ttl: int | None
    address: tuple[str, int] = ("", 0)
    queries: Counter[tuple[str, str]] = field(default_factory=Counter)
    over_tcp: Counter[tuple[str, str]] = field(default_factory=Counter)
    ports: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def reply(self, query: bytes, tcp: bool) -> Sequence[bytes]:
        asked = dns.message.from_wire(query)
        name, kind = asked.question[0].name, asked.question[0].rdtype
        text = _plain(name)
        (self.over_tcp if tcp else self.queries)[text, kind.name] += 1
        self.ids.append(asked.id)
        reply = self._right(asked, name, kind).to_wire(max_size=65535)
        fault = (self.tcp_faults if tcp else self.faults).get(text)
        if fault is not None:
            return fault(query, reply)
        return [reply] if tcp or len(reply) <= max(512, asked.payload) else truncated(query, reply)

    def _right(
        self, asked: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> dns.message.Message:
        reply = dns.message.make_response(asked, recursion_available=True)
        for _ in range(20):
            kinds = self._kinds(name)
            if kinds is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                break
            found = kind.name if kind.name in kinds else "CNAME"
            if found not in kinds:
                break
            rrset = self._rrset(name, found, kinds[found])
            reply.answer.append(rrset)
            if found == kind.name:
                return reply
            name = rrset[0].target
        if self.negative_ttl is not None:
            soa = f"ns.test. admin.test. 1 60 60 60 {self.negative_ttl}"
            reply.authority.append(dns.rrset.from_text("test.", 86400, "IN", "SOA", soa))
        return reply

    def _kinds(self, name: dns.name.Name) -> Mapping[str, Sequence[str]] | None:
        labels = _plain(name).split(".")
        names = [".".join(labels), *("*." + ".".join(labels[at:]) for at in range(1, len(labels)))]
        return next((self.zone[text] for text in names if text in self.zone), None)

    def _rrset(self, name: dns.name.Name, kind: str, values: Sequence[str]) -> dns.rrset.RRset:
        if kind == "TXT":
            return dns.rrset.from_rdata_list(name, self.ttl, [_txt(value) for value in values])
        return dns.rrset.from_text_list(name, self.ttl, "IN", kind, values)


def _plain(name: dns.name.Name) -> str:
    """Its octets as they are, without escapes."""
    return b".".join(name.labels[:-1]).decode("latin-1").lower()


def _txt(value: str) -> TXT:
    """Made of its octets: to parse long texts takes most of a look-up's time."""
    octets = value.encode("latin-1")
    strings = [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


@contextmanager
def nameserver(
    zone: Zone,
    faults: Mapping[str, Fault] | None = None,
    tcp_faults: Mapping[str, Fault] | None = None,
    *,
    ttl: int = 300,
    negative_ttl: int | None = 300,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Nameserver]:
    """A running one, with UDP and TCP on one port; it takes each datagram in a thread of its own."""
    server = Nameserver(zone, faults or {}, tcp_faults or {}, ttl, negative_ttl)
    udp, tcp = _listen(server, at)
    server.address = (at[0], udp.server_address[1])
    threads = [threading.Thread(target=listener.serve_forever, args=(0.01,)) for listener in (udp, tcp)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for listener in (udp, tcp):
            listener.shutdown()
            listener.server_close()
        for thread in threads:
            thread.join()


def unused_address() -> tuple[str, int]:
    """Where nobody listens: an ICMP error comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


@contextmanager
def silent() -> Iterator[tuple[str, int]]:
    """Where somebody listens and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        yield "127.0.0.1", listener.getsockname()[1]


class _Threading(socketserver.ThreadingMixIn):
    daemon_threads = True
    block_on_close = False


class _Udp(_Threading, socketserver.UDPServer):
    max_packet_size = 4096


class _Tcp(_Threading, socketserver.TCPServer):
    request_queue_size = 128


def _listen(server: Nameserver, at: tuple[str, int]) -> tuple[_Udp, _Tcp]:
    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, listener = self.request
            server.ports.append(self.client_address[1])
            for message in server.reply(query, tcp=False):
                listener.sendto(message, self.client_address)

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            query = self.rfile.read(int.from_bytes(self.rfile.read(2), "big"))
            for message in server.reply(query, tcp=True) if query else ():  # rspamd opens one before it asks
                self.wfile.write(len(message).to_bytes(2, "big") + message)

    while True:
        udp = _Udp(at, Datagram)
        try:
            return udp, _Tcp(udp.server_address, Connection)
        except OSError:  # somebody has that port for TCP
            udp.server_close()
            if at[1]:
                raise
