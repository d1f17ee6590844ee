"""A server in a thread of its own, and clients of it."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from safelist.filter.server import Server
from tests.waiting import until

LOOPBACK = "inet:127.0.0.1:0"


@contextmanager
def running(server: Server) -> Iterator[asyncio.AbstractEventLoop]:
    loops: list[asyncio.AbstractEventLoop] = []
    ended: list[BaseException | None] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.run()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert until(lambda: bool(loops))
    try:
        yield loops[0]
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended
            loops[0].call_soon_threadsafe(server.stop)
        thread.join(30)
        assert not thread.is_alive()
        assert not ended, ended


def dial(address: str) -> socket.socket:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        client = socket.socket(socket.AF_UNIX)
        client.connect(rest)
    else:
        host, _, port = rest.rpartition(":")
        client = socket.create_connection((host.strip("[]"), int(port)))
    client.settimeout(20)
    return client


def rest(client: socket.socket) -> bytes:
    """Everything up to the end of the connection, which must come within the client's timeout."""
    data = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := client.recv(65536):
            data += piece
    return data


@contextmanager
def dripping() -> Iterator[str]:
    """The address of one that answers an octet at a time, for as long as its client stays."""

    def drip() -> None:
        with server.accept()[0] as peer, contextlib.suppress(OSError):
            while True:
                peer.sendall(b"a")
                peer.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        yield f"inet:127.0.0.1:{server.getsockname()[1]}"
        thread.join()
