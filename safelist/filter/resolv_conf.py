"""The nameservers of /etc/resolv.conf, read as leniently as glibc reads them (resolv.conf(5))."""

import errno
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

PATH = Path("/etc/resolv.conf")
DEFAULT = "127.0.0.1"
"""Where none is named, or there is no such file: the resolver on this machine."""

_PORT = 53
_MAX_SIZE = 1 << 20
_MOST = 3
_LINE = re.compile(rb"nameserver[ \t]+([^;#\s]+)")
_LOOK_EVERY = 1.0
_NO_FILE = frozenset({
    errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.ENXIO,
})  # fmt: skip
"""glibc takes the defaults (resolv/resolv_conf.c); any other error, and what was known goes on counting."""

_logger = logging.getLogger("safelist.filter")


def nameservers(text: bytes, port: int = _PORT) -> tuple[tuple[str, int], ...]:
    """Address and port of the first three that are IP addresses; what else the lines say changes nothing.

    Warns of those that are none. Where nothing is left it is ``DEFAULT``.
    """
    found = [(host, port) for host in dict.fromkeys(_named(text)) if _is_usable(host, port)]
    if not found:
        _logger.warning("%s names no nameserver that can be used; %s is asked", PATH.name, DEFAULT)
    return tuple(found[:_MOST]) or ((DEFAULT, port),)


def _named(text: bytes) -> Iterator[str]:
    for line in text.splitlines():
        if found := _LINE.match(line):
            yield found[1].decode("ascii", "backslashreplace")


def _is_usable(host: str, port: int) -> bool:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, ValueError):
        _logger.warning(
            "%s: nameserver %a is no IP address of this machine's network; it is passed over", PATH.name, host
        )
        return False
    return True


class ResolvConf:
    """One such file, looked at again at most once a second; it is read anew when it is another one or has changed."""

    def __init__(self, path: Path = PATH, port: int = _PORT) -> None:
        self._path = path
        self._port = port
        self._known: tuple[tuple[str, int], ...] = ()
        self._mark: object = None
        self._look_at = 0.0

    def nameservers(self, *, again: bool = False) -> tuple[tuple[str, int], ...]:
        """Those that count now. ``again``: read it in any case. Never raises."""
        if self._known and not again and monotonic() < self._look_at:
            return self._known
        self._look_at = monotonic() + _LOOK_EVERY
        mark = self._stat()
        if again or not self._known or mark != self._mark:
            text = self._read()
            if text is not None or not self._known:
                self._known, self._mark = nameservers(text or b"", self._port), mark
        return self._known

    def _stat(self) -> object:
        try:
            found = self._path.stat()
        except OSError as error:
            return error.errno
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> bytes | None:
        """What it holds, nothing where glibc would take its defaults, None where it cannot be read just now."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
            try:
                return os.read(handle, _MAX_SIZE)
            finally:
                os.close(handle)
        except OSError as error:
            _logger.warning("%s cannot be read: %s", self._path, error.strerror)
            return b"" if error.errno in _NO_FILE else None
