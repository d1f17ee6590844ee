"""Connections of the site's web server, and of nobody else: by the account that the kernel names, unix(7)."""

import asyncio
import functools
import logging
import pwd
import socket
import struct
from collections.abc import Collection
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_STRANGERS = 8
"""Connections of others that are kept at a time to be told why they get nothing: all that there may be are ours."""
_STRANGERS_SECONDS = 5
_CREDENTIALS = struct.Struct("3i")
logger = logging.getLogger("safelist.web")


def protocol(believed: Collection[int] | None) -> type[asyncio.Protocol]:
    """The protocol of a server that answers processes of those accounts; None: of every one, on loopback."""
    strangers: set[BelievedConnection] = set()
    return functools.partial(BelievedConnection, believed=believed, strangers=strangers)  # type: ignore[return-value] # it is only called


class BelievedConnection(H11Protocol):
    """A connection whose requests never reach a page unless its process is one of the web server's."""

    def __init__(
        self, *args: Any, believed: Collection[int] | None, strangers: "set[BelievedConnection]", **more: Any
    ) -> None:  # fmt: skip
        super().__init__(*args, **more)
        self._believed, self._strangers = believed, strangers
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look at who has connected, once for all of the connection's requests."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if self._believed is not None and (stranger := _stranger(transport, self._believed)) is not None:
            self._refuse(stranger)

    def _refuse(self, stranger: str) -> None:
        """Tell it so, whatever it asks; one that asks nothing, or comes many times at once, keeps no place."""
        self.app = _refusal(stranger)
        if len(self._strangers) >= MOST_STRANGERS:
            self.transport.abort()
            return
        self._strangers.add(self)
        self._end = self.loop.call_later(_STRANGERS_SECONDS, self.transport.abort)
        logger.warning("%s connected, who is none of [web] proxy_users: refused", stranger)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is free again."""
        self._strangers.discard(self)
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def _stranger(transport: asyncio.BaseTransport, believed: Collection[int]) -> str | None:
    """Who has connected, where that is none of those accounts."""
    there = transport.get_extra_info("socket")
    if there is None or there.family != socket.AF_UNIX:
        return "a host over TCP"
    packed = there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return None if uid in believed else f"process {pid} of {_name(uid)}"


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _refusal(stranger: str) -> ASGIApp:
    text = (
        f"safelist web answers the web server alone, and {stranger} is none of [web] proxy_users.\n"
        "If that is the web server, name its account there and restart safelist web.\n"
    )
    return PlainTextResponse(text, 403, {"Cache-Control": "no-store"})
