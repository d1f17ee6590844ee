"""Lists in a hash of a Redis: read in pieces, filled under another name, and swapped in at once.

A line is a field, ``!`` and its value, as in a file. One hash holds all lists, so that whoever asks for many fields by
one HMGET is told of all of them as of one moment. Its field ``!`` names what was published, by which safelist knows a
hash of its own. What is not whole lies under a name of its own, and has an expiry: who is killed leaves nothing.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError

MARK = b"!"
"""The field that no entry can have."""
EXPIRY = 600
"""Seconds that an unfinished hash stays without being filled further."""
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
_AT_ONCE = 1000
_NETWORK = re.compile(
    r"redis://(?:(?P<user>[^\s:@/?#]+)@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/(?P<db>[0-9]{0,5}))?"
)
_SOCKET = re.compile(r"unix://(?:(?P<user>[^\s:@/?#]+)@)?(?P<path>/[^\s?#@]+)(?:\?db=(?P<db>[0-9]{1,5}))?")


class RedisPlace(NamedTuple):
    """Where a Redis listens, on a port or on a socket, and which of its databases is meant."""

    host: str
    port: int
    path: str
    db: int
    user: str

    @property
    def server(self) -> str:
        """As rspamd's configuration names it."""
        return self.path or f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """As a URL without a user."""
        return f"unix://{self.path}?db={self.db}" if self.path else f"redis://{self.host}:{self.port}/{self.db}"


def parse(url: str) -> RedisPlace:
    """Read ``redis://[USER@]HOST[:PORT][/DB]`` or ``unix://[USER@]/PATH[?db=DB]``. Raises ValueError without the text.

    There is no room for a password: it would make a secret of the configuration.
    """
    if re.match(r"\w+://[^/]*:[^/]*@", url) or "password=" in url:
        raise ValueError("must hold no password: write it into a file, and name that as redis_password_file")
    if found := _NETWORK.fullmatch(url):
        place = RedisPlace(found["host"], int(found["port"] or 6379), "", int(found["db"] or 0), found["user"] or "")
        if 0 < place.port < 65536:
            return place
    if found := _SOCKET.fullmatch(url):
        return RedisPlace("", 0, found["path"], int(found["db"] or 0), found["user"] or "")
    raise ValueError("must be redis://HOST:PORT/DB or unix:///PATH?db=DB, such as redis://127.0.0.1:6379/0")


def is_installed() -> bool:
    """Whether the library is there, which only an extra brings."""
    return find_spec("redis") is not None


@contextmanager
def connected(place: RedisPlace, password_file: Path | None, key: str, setting: str) -> Iterator["RedisHash"]:
    """The hash of that name, through a connection that ends with the context.

    Raises errors that name the ``setting``, such as ``publish.x.redis``: ConfigError, PermissionDeniedError,
    UnavailableError, TemporaryError.
    """
    if not is_installed():
        raise ConfigError(f"{setting}: redis is not installed: in safelist's checkout, pip install '.[redis]'")
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    at = {"unix_socket_path": place.path} if place.path else {"host": place.host.strip("[]"), "port": place.port}
    client = Redis(
        **at, db=place.db, username=place.user or None, password=_password(password_file, setting),
        socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0), protocol=2,
    )  # fmt: skip
    try:
        with _failures(place, setting):
            yield RedisHash(client, key, f"{place} {key}")
    finally:
        client.close()


def _password(file: Path | None, setting: str) -> str | None:
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise PermissionDeniedError(f"{setting}_password_file: {file} cannot be read: {why}") from None
    if not text:
        raise ConfigError(f"{setting}_password_file: {file} is empty; write the password into its first line")
    return text


@contextmanager
def _failures(place: RedisPlace, setting: str) -> Iterator[None]:
    """Turn what the library raises into errors that say what to do."""
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise _named(error, place, setting) from None


def _named(error: Exception, place: RedisPlace, setting: str) -> SafelistError:
    from redis import exceptions as of

    why, what = str(error) or type(error).__name__, f"the Redis at {place}"
    if isinstance(error, of.BusyLoadingError):
        return TemporaryError(f"{what} still loads its data; try again later")
    if isinstance(error, (of.AuthenticationError, of.NoPermissionError, of.AuthorizationError)) or "NOAUTH" in why:
        return PermissionDeniedError(
            f"{what} refuses the log-in or a command ({why}): correct the user in {setting} or {setting}_password_file"
        )
    if isinstance(error, of.ReadOnlyError):
        return ConfigError(f"{what} is a replica, which takes no list: name the server that it follows in {setting}")
    if isinstance(error, of.WatchError):
        return TemporaryError(f"{what} lost the new list before it was whole; try again")
    if isinstance(error, (of.ConnectionError, of.TimeoutError)):
        return UnavailableError(f"{what} cannot be reached ({why}): start it, or correct {setting}; {_IN_USE}")
    return UnavailableError(f"{what} refuses to work ({why}): mend that and publish again; {_IN_USE}")


_IN_USE = "a list that it holds stays as it is"


class RedisHash:
    """A hash under a name; ``place`` is what people know it by."""

    def __init__(self, client: Any, key: str, place: str) -> None:
        """``client`` is the library's, whose commands have no types."""
        self._client, self._key, self.place = client, key, place

    def _ask(self, *command: Any) -> Any:
        return self._client.execute_command(*command)

    def mark(self) -> str:
        """What was published last; empty where nothing is there. Raises ConfigError for what is not safelist's."""
        kind = self._ask("TYPE", self._key)
        if kind == b"none":
            return ""
        mark = self._ask("HGET", self._key, MARK) if kind == b"hash" else None
        if mark is None:
            raise ConfigError(
                f"{self.place}: safelist did not write this key and leaves it alone; rename or delete it, or choose "
                "another redis_prefix"
            )
        return str(mark.decode("utf-8", "backslashreplace"))

    def lines(self) -> Iterator[bytes]:
        """All entries in no order, perhaps some of them twice, a thousand or so at a time."""
        cursor: Any = 0
        while True:
            cursor, found = self._ask("HSCAN", self._key, cursor, "COUNT", _AT_ONCE)
            for field, value in found.items():
                if field != MARK:
                    yield b"%s!%s\n" % (field, value)
            if not int(cursor):
                return

    def replace(self, lines: Iterable[bytes], count: int, mark: str) -> None:
        """Put these entries, so many, in the place of all that are there: who reads sees either.

        Raises TemporaryError where the new ones were not whole at the end.
        """
        new = f"{self._key}:new:{secrets.token_hex(8)}"
        try:
            rest = iter(lines)
            while some := list(islice(rest, _AT_ONCE)):
                self._fill(new, [part for line in some for part in line.rstrip(b"\n").split(b"!", 1)])
            self._fill(new, [MARK, mark.encode()])
            self._swap_in(new, count + 1)
        except BaseException:
            with suppress(Exception):  # it expires
                self._ask("UNLINK", new)
            raise

    def _fill(self, new: str, parts: Sequence[bytes]) -> None:
        with self._client.pipeline(transaction=True) as together:
            together.execute_command("HSET", new, *parts)
            together.execute_command("EXPIRE", new, EXPIRY)
            together.execute()

    def _swap_in(self, new: str, fields: int) -> None:
        """Nothing of this can fail once the new one is there: that it still is, is watched.

        RENAME alone would free the old one while everybody waits, a second for a million of fields; UNLINK does not.
        """
        with self._client.pipeline(transaction=True) as together:
            together.watch(new)
            if (there := together.execute_command("HLEN", new)) != fields:
                raise TemporaryError(
                    f"{self.place}: of the new list's {fields} fields Redis holds {there}: give it more memory, or a "
                    "maxmemory-policy that evicts nothing that is being written, and publish again"
                )
            together.multi()
            together.execute_command("PERSIST", new)
            together.execute_command("UNLINK", self._key)
            together.execute_command("RENAME", new, self._key)
            together.execute()
