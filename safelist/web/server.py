"""Where it listens and how it ends: on a UNIX socket for the site's web server, or on loopback for a demonstration."""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from safelist.config import Config, Web
from safelist.errors import ConfigError
from safelist.filter.sockets import open_inet, open_unix
from safelist.filter.systemd import notify, passed
from safelist.runs.web_check import uids_of
from safelist.store import open_store
from safelist.web.application import application
from safelist.web.believed_connection import protocol
from safelist.web.pages import PAGES
from safelist.web.visit import Clock, PageService

_HEADER_BYTES = 65_536
"""Of a request that has not come whole: more than a page takes, which says so."""
_BEAT = 10
"""Seconds between two signs of life for systemd."""
_GRACE = 10
logger = logging.getLogger("safelist.web")


def serve(config: Config, clock: Clock) -> None:
    """Answer the site's web server until SIGTERM. Raises ConfigError, PermissionDeniedError, UnavailableError."""
    rules = rules_of(config)
    believed = uids_of(rules.proxy_users)
    url = rules.database or config.database.url
    with _in_order_at_sigterm(), open_store(url, only_looks=True) as opened, _unix_sockets(rules) as sockets:
        service = PageService(config, rules, opened, clock, PAGES)
        where = ", ".join(str(each.getsockname()) for each in sockets)
        logger.info("listening on %s for %s", where, ", ".join(rules.proxy_users))
        _run(application(service), sockets, believed)


def demonstrate(config: Config, clock: Clock, user: str, port: int) -> None:
    """Answer everybody on this machine as if they were ``user``, without a log-in, at 127.0.0.1 until SIGTERM."""
    rules = config.web or Web()
    address = f"inet:127.0.0.1:{port}"
    with _in_order_at_sigterm(), open_store(rules.database or config.database.url, only_looks=True) as opened:
        (listening,) = open_inet(address, address.removeprefix("inet:"))
        port = listening.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        logger.warning("DEMONSTRATION, no log-in: whoever opens %s on this machine is %s (Ctrl-C ends it)", url, user)
        hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        _run(application(PageService(config, rules, opened, clock, PAGES, user), hosts), [listening], None)


def rules_of(config: Config) -> Web:
    """The section [web]. Raises ConfigError where there is none."""
    if config.web is None:
        raise ConfigError("web: the section is missing; `safelist init` shows it in the file that it writes")
    return config.web


@contextmanager
def _unix_sockets(rules: Web) -> Iterator[list[socket.socket]]:
    """The sockets of systemd, or one at the path of the settings, which is removed at the end."""
    given = [opened for _, opened in passed()]
    if any(opened.family != socket.AF_UNIX for opened in given):
        raise ConfigError(
            "web: systemd passed a TCP socket, over which anybody could name any user: write a path into ListenStream="
        )
    if given:
        yield given
        return
    path = Path(rules.socket)
    # Who may connect does not matter: of those who do, the kernel says who they are.
    made = open_unix(f"unix:{path}", path, 0o666)
    try:
        yield [made]
    finally:
        path.unlink(missing_ok=True)


def _run(app: object, sockets: list[socket.socket], believed: frozenset[int] | None) -> None:
    settings = uvicorn.Config(
        app,  # type: ignore[arg-type] # ours is an ASGI application
        http=protocol(believed), ws="none", loop="asyncio", lifespan="on", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE, callback_notify=_alive, timeout_notify=_BEAT,
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets)


@contextmanager
def _in_order_at_sigterm() -> Iterator[None]:
    """End in order also before uvicorn handles the signal, and behind that, when it raises the signal once more."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _alive() -> None:
    notify("READY=1", "WATCHDOG=1")
