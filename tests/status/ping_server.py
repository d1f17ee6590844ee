"""A monitor of timers on loopback: real HTTP, and whatever it is told to answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "/3b241101-e2bb-4255-8caf-4136c566a962"


@dataclass
class Monitor:
    """Where it is, what it was told (behind the secret), and what it answers."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    status: int = 200
    raw: bytes | None = None
    """What is sent instead of an answer."""


@contextmanager
def monitor() -> Iterator[Monitor]:
    told = Monitor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.startswith(SECRET) or told.raw is not None
            told.paths.append(self.path.removeprefix(SECRET))
            told.agents.add(self.headers["User-Agent"])
            if told.raw is not None:
                self.wfile.write(told.raw)
                return
            self.send_response(told.status)
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}{SECRET}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
