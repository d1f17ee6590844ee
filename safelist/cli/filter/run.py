"""``safelist filter run``: the service."""

import asyncio
import logging
import os
import sys
from typing import Annotated, Literal, TextIO

import typer

from safelist import used
from safelist.cli.filter.configured import FilterConfigOption, load_filter, resolver_of
from safelist.cli.terminal import now
from safelist.errors import ConfigError, SafelistError, UsageError
from safelist.filter.answering import Service, write_used
from safelist.filter.holder import Holder
from safelist.filter.lists import Lists
from safelist.filter.proof import Prover
from safelist.filter.server import Limits, Server
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.used import Book

_LEVELS = {logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def run(
    config_file: FilterConfigOption = None,
    mode: Annotated[
        Literal["enforce", "observe"] | None, typer.Option("--mode", help="Instead of the configuration's.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="DAYS", help="Instead of the configuration's, such as 7d.")
    ] = None,
) -> None:
    """Answer Postfix until SIGTERM; every verdict is one line on standard error. SIGHUP looks for a new snapshot."""
    chosen = load_filter(config_file)
    given = {"mode": mode, "max_age": None if max_age is None else _days(max_age)}
    chosen = chosen.model_copy(update={name: value for name, value in given.items() if value is not None})
    log_to(sys.stderr)
    asyncio.run(_serve(chosen))


def _days(text: str) -> str:
    try:
        days(text[:60])
    except ValueError as fault:
        raise UsageError(f"--max-age: {fault}") from None
    return text


def log_to(stream: TextIO) -> None:
    """One line a verdict; for journald with the priority in front, sd-daemon(3)."""
    handler = logging.StreamHandler(stream)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_Journal())
    logger = logging.getLogger("safelist.filter")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # What no line shows needs no looking up (docs.python.org/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


class _Journal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{_LEVELS.get(record.levelno, 6)}>{record.getMessage()}"


async def _serve(chosen: Filter) -> None:
    resolver = resolver_of(chosen)
    holder, book = Holder(chosen.snapshot, days(chosen.max_age)), Book()
    lists = Lists(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
    service = Service(chosen, lists, holder, Prover(resolver, chosen.timeout), book, now)
    tasks: set[asyncio.Task[None]] = set()

    def start(work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = Server(
        service.answer, chosen.listen, limits=Limits(max_connections=chosen.max_connections),
        socket_mode=int(chosen.socket_mode, 8), on_reload=lambda: start(holder.refresh(again=True)),
    )  # fmt: skip
    try:
        await holder.refresh()
        server.listen()
        logging.getLogger("safelist.filter").info("mode %s, %d providers", chosen.mode, len(chosen.providers))
        if chosen.used is not None:
            used.add(chosen.used, [])
        _start_metrics(chosen, service, server, holder)
        start(holder.watch())
        start(lists.watch())
        if chosen.used is not None:
            start(write_used(book, lambda rows: used.add(chosen.used, rows)))  # type: ignore[arg-type]
        await server.run()
    finally:
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if chosen.used is not None and (rows := book.take()):
            try:
                used.add(chosen.used, rows)
            except SafelistError as error:
                logging.getLogger("safelist.filter").warning("the last uses could not be noted: %s", error)
        holder.close()
        resolver.close()


def _start_metrics(chosen: Filter, service: Service, server: Server, holder: Holder) -> None:
    if chosen.metrics is None:
        return
    try:
        from safelist.filter import metrics
    except ModuleNotFoundError:
        raise ConfigError("metrics: prometheus-client is not installed: pip install 'safelist[metrics]'") from None
    metrics.start(chosen.metrics, service, server, holder)
