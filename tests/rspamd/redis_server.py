"""A real Redis on loopback that keeps nothing on the disk."""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.rspamd.servers import free_port
from tests.waiting import until


def missing() -> str:
    """Why Redis cannot run here; empty where it can."""
    return "" if shutil.which("redis-server") else "apt-get install redis-server"


@dataclass
class RedisServer:
    """A server that may be stopped and started again, always on the same port, and then holds nothing."""

    root: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        return self.root / "socket"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> None:
        line = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.root), "--save", ""]
        line += ["--unixsocket", str(self.socket), "--logfile", str(self.root / "log"), *options]
        self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert until(lambda: self._answers()), (self.root / "log").read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # also one that is held up
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except AuthenticationError:
            return True
        except RedisConnectionError:
            return False

    def client(self) -> Redis:
        return Redis(port=self.port, decode_responses=True, protocol=2)

    def keys(self) -> set[str]:
        with self.client() as client:
            return set(client.scan_iter())

    def hash(self, key: str = "safelist:senders") -> dict[str, str]:
        with self.client() as client:
            found: dict[str, str] = client.hgetall(key)
        return found

    def changes(self) -> int:
        """How many changes it has been given since it was started."""
        with self.client() as client:
            return int(client.info("persistence")["rdb_changes_since_last_save"])


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Start it, and stop it."""
    root = Path(tempfile.mkdtemp(prefix="safelist-redis-"))
    root.chmod(0o755)
    found = RedisServer(root, free_port())
    try:
        found.start(*options)
        yield found
    finally:
        found.stop()
        shutil.rmtree(root)


@cache
def shared() -> RedisServer:
    """One that all tests of a process may use, each with a prefix of its own; it ends with the process."""
    open_ = ExitStack()
    atexit.register(open_.close)
    return open_.enter_context(redis_server())
