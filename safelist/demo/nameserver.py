"""A small nameserver on loopback, for ``safelist demo``: it lists two clients, and says who sends for two domains.

It plays a part: no question leaves the machine, whatever its own resolver can or cannot do.
"""

import socketserver
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from dns.exception import DNSException
from dns.flags import RA
from dns.message import Message, from_wire, make_response
from dns.rcode import NXDOMAIN
from dns.rdatatype import RdataType, to_text
from dns.rrset import from_text

DNSBL = "zen.spamhaus.org"
AOL_SERVER = "192.0.2.25"
"""Sends mail for aol.com, as its SPF record says, and is listed."""
YAHOO_SERVER = "192.0.2.70"
"""Sends for yahoo.com, and is not listed."""
STRANGE_SERVER = "203.0.113.66"
"""Is listed, and may send for nobody."""

Zone = Mapping[str, Mapping[str, str]]
"""The name that is asked, in lower case, to the kind of record and its text as a master file has it."""

_LISTED = MappingProxyType({"A": "127.0.0.4", "TXT": '"listed by the demo"'})
ZONE: Zone = MappingProxyType(
    {
        f"25.2.0.192.{DNSBL}": _LISTED,
        f"66.113.0.203.{DNSBL}": _LISTED,
        f"2.0.0.127.{DNSBL}": {"A": "127.0.0.2"},  # the test point that every list has (RFC 5782 5)
        "aol.com": {"TXT": f'"v=spf1 ip4:{AOL_SERVER} -all"'},
        "yahoo.com": {"TXT": f'"v=spf1 ip4:{YAHOO_SERVER} -all"'},
    }
)
_TTL = 300


def answer(query: bytes, zone: Zone = ZONE) -> bytes:
    """Answer one query, as wire format (RFC 1035); NXDOMAIN for what is not in the zone. Raises DNSException."""
    asked = from_wire(query)
    reply = make_response(asked)
    reply.flags |= RA
    for question in asked.question:
        kinds = zone.get(question.name.to_text(omit_final_dot=True).lower())
        if kinds is None:
            reply.set_rcode(NXDOMAIN)
        elif text := kinds.get(to_text(question.rdtype)):
            _add(reply, question.name.to_text(), question.rdtype, text)
    return reply.to_wire()


def _add(reply: Message, name: str, kind: RdataType, text: str) -> None:
    reply.answer.append(from_text(name, _TTL, "IN", kind, text))


class _Datagram(socketserver.BaseRequestHandler):
    """One question over UDP; what is none gets no answer."""

    def handle(self) -> None:
        query, listening = self.request
        try:
            reply = answer(query)
        except DNSException:
            return
        listening.sendto(reply, self.client_address)


class DemoNameserver(socketserver.ThreadingUDPServer):
    """The nameserver on 127.0.0.1 and a free port, in threads of this process; a context manager."""

    daemon_threads = True
    max_packet_size = 4096

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Datagram)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="nameserver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def address(self) -> str:
        """``ADDRESS:PORT``, as ``resolvers`` of filter.toml names it."""
        return f"127.0.0.1:{self.server_address[1]}"
