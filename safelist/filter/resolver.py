"""DNS look-ups for many mails at once: what is known is told at once, and what is asked is asked once for all callers.

Whatever a nameserver or a forger sends, a look-up ends within its time limit with a
:class:`~safelist.filter.dns_message.DnsAnswer`.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic

from safelist.filter import dns_message
from safelist.filter.dns_cache import DnsCache, NameAndKind
from safelist.filter.dns_client import DnsClient
from safelist.filter.dns_message import DnsAnswer, failed
from safelist.filter.resolv_conf import ResolvConf

_CLOSED = "the resolver has been closed"


class Resolver:
    """Asks nameservers and remembers. Belongs to one event loop; :meth:`close` it at the end."""

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
        self._client = DnsClient(nameservers, timeout=timeout, max_in_flight=max_in_flight, resolv_conf=resolv_conf)
        self._cache = DnsCache(max_cached)
        self._pending: dict[NameAndKind, asyncio.Future[DnsAnswer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def peek(self, name: str, kind: str = "A") -> DnsAnswer | None:
        """What is known without asking; None where :meth:`query` would ask."""
        return self._cache.get((name.lower().removesuffix("."), kind), monotonic())

    async def query(self, name: str, kind: str = "A") -> DnsAnswer:
        """Look ``name`` (A-labels) up for ``kind``: A, AAAA, MX, PTR or TXT. Callers at the same time share one query.

        Raises ValueError for another kind; whatever happens in the network is ``FAILED``.
        """
        if kind not in dns_message.KINDS:
            raise ValueError(f"no such kind of record: {kind!a}")
        answer = self.peek(name, kind)
        if answer is not None:
            return answer
        key = (name.lower().removesuffix("."), kind)
        future = self._pending.get(key) or self._begin(key)
        # Shielded: who gives up takes the answer from nobody else who waits for it, nor from the cache.
        return future if isinstance(future, DnsAnswer) else await asyncio.shield(future)

    def reread(self) -> None:
        """Read resolv.conf again, even where the file seems to be the same."""
        self._client.reread()

    def close(self) -> None:
        """Give every socket back; look-ups under way end as ``FAILED``."""
        self._closed = True
        for future in self._pending.values():
            future.set_result(failed(_CLOSED))
        self._pending.clear()
        for task in self._tasks:
            task.cancel()
        self._client.close()

    def _begin(self, key: NameAndKind) -> asyncio.Future[DnsAnswer] | DnsAnswer:
        """Ask in a task of its own, which no caller's end touches; an answer at once where nothing can be asked."""
        question = dns_message.question(*key)
        if question is None or self._closed:
            return failed("not a DNS name" if question is None else _CLOSED)
        loop = asyncio.get_running_loop()
        future = self._pending[key] = loop.create_future()
        task = loop.create_task(self._ask(key, question, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def _ask(self, key: NameAndKind, question: bytes, future: asyncio.Future[DnsAnswer]) -> None:
        try:
            answer = await self._client.ask(question, key[1])
            self._cache.put(key, answer, monotonic())
            if not future.done():
                future.set_result(answer)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        finally:
            self._pending.pop(key, None)
