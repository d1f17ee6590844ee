"""Counters for Prometheus, on a port of their own (the extra ``metrics``).

Whoever connects there gets one answer and takes none of the policy port's descriptors: connections are few, and short.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from safelist.filter.connections import ServerCounters
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.sockets import open_inet

MAX_CONNECTIONS = 8
"""More are closed at once."""
_BACKLOG = 32
"""So many may be accepted in one turn of the loop, before they are closed."""
_SECONDS = 5.0
"""From the connection to the last octet of the answer; whoever needs longer is cut off."""
_MAX_REQUEST = 8 * 1024


class Counted(NamedTuple):
    """The counters: of verdicts by action and reason, of look-ups by status and reason, and of the two endpoints."""

    verdicts: Mapping[tuple[str, str], int]
    lookups: Mapping[tuple[str, str], int]
    policy_events: ServerCounters
    lookup_events: ServerCounters


class _CounterCollector(Collector):
    """Reads the counters that are kept anyhow."""

    def __init__(self, counted: Counted, current: CurrentSnapshot) -> None:
        self._counted = counted
        self._current = current

    def collect(self) -> Iterator[Metric]:
        """The verdicts, the look-ups, the connections, and how old the snapshot is."""
        counted = self._counted
        yield _pairs("safelist_verdicts", "Verdicts.", "action", counted.verdicts)
        yield _pairs("safelist_lookups", "Answers to look-ups.", "status", counted.lookups)
        yield _events("safelist_server_events", "What the server counts of policy requests.", counted.policy_events)
        yield _events("safelist_lookup_events", "What the server counts of look-ups.", counted.lookup_events)
        published = self._current.published
        text = "When the snapshot in use was published last; 0: there is none."
        seconds = 0.0 if published is None else published.timestamp()
        yield GaugeMetricFamily("safelist_snapshot_published_timestamp_seconds", text, seconds)


def _pairs(name: str, text: str, label: str, counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label, "reason"])
    for (value, reason), count in list(counts.items()):
        family.add_metric([value, reason], count)
    return family


def _events(name: str, text: str, counters: ServerCounters) -> Metric:
    family = CounterMetricFamily(name, text, labels=["event"])
    for event, count in asdict(counters).items():
        family.add_metric([event], count)
    return family


async def serve(address: str, counted: Counted, current: CurrentSnapshot) -> None:
    """Serve them at ``HOST:PORT`` for ever. Raises ConfigError, PermissionDeniedError, UnavailableError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_CounterCollector(counted, current))
    endpoint = _HttpEndpoint(registry)
    async with contextlib.AsyncExitStack() as stack:
        for listening in await asyncio.to_thread(open_inet, address, address):  # a name is looked up in there
            stack.callback(listening.close)
            await stack.enter_async_context(
                await asyncio.start_server(endpoint.begin, sock=listening, limit=_MAX_REQUEST, backlog=_BACKLOG)
            )
        await asyncio.get_running_loop().create_future()


class _HttpEndpoint:
    """One request and one answer each, few at a time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._open = 0

    async def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer and close, or close at once where there are too many."""
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(_SECONDS):
                    writer.write(self._reply(await reader.readuntil(b"\r\n\r\n")))
                    writer.close()
                    await writer.wait_closed()
        except (OSError, EOFError, asyncio.LimitOverrunError):  # TimeoutError is an OSError
            pass
        finally:
            writer.transport.abort()
            self._open -= 1

    def _reply(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "text/plain", b"ask with GET\n")
        try:
            accepted = parse_headers(BytesIO(rest.partition(b"\r\n")[2])).get("Accept", "")
        except HTTPException:
            return _response("400 Bad Request", "text/plain", b"too many header lines\n")
        encode, kind = _encoder(accepted)
        response = _response("200 OK", kind, encode(self._registry))
        return response if method == b"GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _encoder(accepted: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """The form of the answer; the plain one for a header that the library cannot read, whatever that raises."""
    try:
        return choose_encoder(accepted)
    except Exception:
        return choose_encoder("")


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
