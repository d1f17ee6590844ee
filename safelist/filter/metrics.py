"""Counters for Prometheus, on a port of their own (the extra ``metrics``)."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from safelist.errors import ConfigError, UnavailableError
from safelist.filter.answering import Service
from safelist.filter.holder import Holder
from safelist.filter.server import Server


class _Counts(Collector):
    """Reads the counters that the service and the server keep anyhow."""

    def __init__(self, service: Service, server: Server, holder: Holder) -> None:
        self._service = service
        self._server = server
        self._holder = holder

    def collect(self) -> Iterator[Metric]:
        """The verdicts, the connections, and how old the snapshot is."""
        verdicts = CounterMetricFamily("safelist_verdicts", "Verdicts.", labels=["action", "reason"])
        for (action, reason), count in list(self._service.counts.items()):
            verdicts.add_metric([action, reason], count)
        yield verdicts
        events = CounterMetricFamily("safelist_server_events", "What the server counts.", labels=["event"])
        for name, count in asdict(self._server.counters).items():
            if isinstance(count, int):
                events.add_metric([name], count)
        yield events
        published = self._holder.published
        text = "When the snapshot in use was published last; 0: there is none."
        seconds = 0.0 if published is None else published.timestamp()
        yield GaugeMetricFamily("safelist_snapshot_published_timestamp_seconds", text, seconds)


def start(address: str, service: Service, server: Server, holder: Holder) -> None:
    """Serve them at ``HOST:PORT`` in a thread of its own. Raises ConfigError, UnavailableError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"metrics: {address!r}: write HOST:PORT, such as 127.0.0.1:9945")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counts(service, server, holder))
    try:
        start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise UnavailableError(f"metrics: cannot listen on {address}: {error.strerror}") from None
