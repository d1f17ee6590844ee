"""The filter's parts, put together as its configuration says: to serve until it is stopped, or for one question."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import NamedTuple

from safelist import used
from safelist.errors import ConfigError
from safelist.filter.authentication import Authenticator
from safelist.filter.background import keep_up
from safelist.filter.connections import Limits, ServerCounters
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.decision import Facts, Verdict
from safelist.filter.lookup_service import LookupService, lookup_endpoint
from safelist.filter.policy_service import Mail, Service, write_used
from safelist.filter.providers import Providers
from safelist.filter.resolver import Resolver
from safelist.filter.server import Server
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.used import UseBuffer

_logger = logging.getLogger("safelist.filter")


class _Parts(NamedTuple):
    resolver: Resolver
    providers: Providers
    snapshot: CurrentSnapshot
    uses: UseBuffer
    service: Service
    lookups: LookupService


@contextmanager
def _parts(chosen: Filter, now: Callable[[], datetime]) -> Iterator[_Parts]:
    """Put them together inside the event loop, and give everything back."""
    resolver = resolver_of(chosen)
    snapshot, uses = CurrentSnapshot(chosen.snapshot, days(chosen.max_age)), UseBuffer()
    providers = Providers(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
    service = Service(chosen, providers, snapshot, Authenticator(resolver, chosen.timeout), uses, now)
    lookups = LookupService(snapshot, chosen.recipient_delimiter, now)
    try:
        yield _Parts(resolver, providers, snapshot, uses, service, lookups)
    finally:
        snapshot.close()
        resolver.close()


def resolver_of(chosen: Filter) -> Resolver:
    """A resolver as the configuration says; to be made inside the event loop."""
    return Resolver(chosen.nameservers or None, timeout=chosen.timeout, max_cached=chosen.cache_entries)


async def examine(chosen: Filter, mail: Mail, now: Callable[[], datetime]) -> tuple[Service, Facts, Verdict]:
    """Decide about one mail as the service would, and ask whom it would ask."""
    with _parts(chosen, now) as parts:
        await parts.snapshot.refresh()
        await parts.providers.check_test_points()  # as the service does: it believes no list that lists everybody
        facts, verdict = await parts.service.examine(parts.service.begin(mail), mail)
        return parts.service, facts, verdict


async def serve(chosen: Filter, now: Callable[[], datetime]) -> None:
    """Answer Postfix, and look-ups, until SIGTERM. Raises ConfigError, PermissionDeniedError, UnavailableError."""
    with _parts(chosen, now) as parts:
        background, limits = _Background(), Limits(max_connections=chosen.max_connections)
        lookups = lookup_endpoint(
            parts.lookups.answer, chosen.lookup, limits, stays_here=not chosen.lookup_beyond_loopback
        )
        server = Server(
            parts.service.answer, chosen.listen, limits=limits, socket_mode=int(chosen.socket_mode, 8),
            on_reload=partial(_reload, parts, background), others=[lookups],
        )  # fmt: skip
        with server.signals():
            try:
                await parts.snapshot.refresh()
                server.listen()
                _logger.info("mode %s, %d providers", chosen.mode, len(chosen.providers))
                _start(background, chosen, parts, [server.counters, lookups.counters])
                await server.run()
            finally:
                await background.stop()
                _write_the_last(chosen, parts.uses)


class _Background:
    """Tasks beside the answers, which they never end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``, again and again where it fails; ``name`` says in the log whose trouble it is."""
        task = asyncio.create_task(keep_up(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel them, and wait until they have ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _reload(parts: _Parts, background: _Background) -> None:
    """Look for changed files, whatever their marks say."""
    parts.resolver.reread()
    background.start("snapshot", lambda: parts.snapshot.refresh(again=True))


def _start(background: _Background, chosen: Filter, parts: _Parts, counters: Sequence[ServerCounters]) -> None:
    """Begin everything that runs beside the answers."""
    background.start("snapshot", parts.snapshot.watch)
    background.start("lists", parts.providers.watch)
    if chosen.used is not None:
        background.start("used", partial(write_used, parts.uses, partial(used.add, chosen.used)))
    if chosen.metrics is not None:
        background.start("metrics", partial(_serve_metrics, chosen.metrics, parts, counters))


def _write_the_last(chosen: Filter, uses: UseBuffer) -> None:
    """Note what was used since it was noted last."""
    if chosen.used is None or not (rows := uses.take()):
        return
    try:
        used.add(chosen.used, rows)
    except Exception as error:  # whatever it is, the end must come
        _logger.warning("used: the last uses could not be noted: %s", error)


async def _serve_metrics(address: str, parts: _Parts, counters: Sequence[ServerCounters]) -> None:
    """Serve them for ever, if the library is there."""
    try:
        from safelist.filter import metrics
    except ModuleNotFoundError:
        raise ConfigError(
            "prometheus-client is not installed: in safelist's checkout, pip install '.[metrics]'"
        ) from None
    counted = metrics.Counted(parts.service.counts, parts.lookups.counts, *counters)
    await metrics.serve(address, counted, parts.snapshot)
