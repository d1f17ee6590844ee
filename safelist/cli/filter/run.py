"""``safelist filter run``: the service."""

import asyncio
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Annotated, Literal, TextIO

import typer

from safelist.cli.filter.configured import FilterConfigOption, load_filter
from safelist.cli.terminal import now
from safelist.errors import UsageError
from safelist.filter.log import JournalFormatter, QueuedHandler
from safelist.filter.running import serve
from safelist.override import days

_LAST_LINES = 2.0
"""Seconds that the end waits for whoever reads standard error."""
_OTHER_FILES = 400
"""Files beside Postfix's connections: 256 look-ups over TCP, the resolver's ports, metrics, the snapshot, libraries."""
_logger = logging.getLogger("safelist.filter")


def run(
    config_file: FilterConfigOption = None,
    mode: Annotated[
        Literal["enforce", "observe"] | None, typer.Option("--mode", help="Instead of the configuration's.")
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="SPAN", help="Instead of the configuration's: 7d, 2w, 6m or 1y."),
    ] = None,
) -> None:
    """Answer Postfix until SIGTERM; every verdict is one line on standard error. SIGHUP looks for changed files."""
    chosen = load_filter(config_file)
    given = {"mode": mode, "max_age": None if max_age is None else _days(max_age)}
    chosen = chosen.model_copy(update={name: value for name, value in given.items() if value is not None})
    log = log_to(sys.stderr)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # whoever read standard error may have gone
    _allow_files(chosen.max_connections, 2 if chosen.lookup else 1)
    try:
        asyncio.run(serve(chosen, now))
    finally:
        log.finish(_LAST_LINES)


def _days(text: str) -> str:
    try:
        days(text[:60])
    except ValueError as fault:
        raise UsageError(f"--max-age: {fault}") from None
    return text


def log_to(stream: TextIO) -> QueuedHandler:
    """One line a verdict; for journald with the priority in front, sd-daemon(3). Nothing that is logged ever waits."""
    # A descriptor of its own: whatever becomes of the stream, no other file gets this number.
    log = QueuedHandler(os.dup(stream.fileno()))
    if "JOURNAL_STREAM" in os.environ:
        log.setFormatter(JournalFormatter())
    logging.getLogger().addHandler(log)  # asyncio's complaints, too: by themselves they would go to standard error
    logging.captureWarnings(True)
    logging.getLogger("safelist.filter").setLevel(logging.INFO)
    # What no line shows needs no looking up (docs.python.org/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    return log


def _allow_files(connections: int, kinds: int) -> None:
    """Let as many files be open as that many connections of each kind and all the rest may need, or say that not."""
    needed = connections * kinds + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if most > soft:  # a unit may forbid the call, and then it sets both limits
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        _logger.warning(
            "max_connections = %d needs up to %d open files, and this process may have %d: lower it, or set "
            "LimitNOFILE=%d in the unit (ulimit -n)", connections, needed, most, needed,
        )  # fmt: skip
