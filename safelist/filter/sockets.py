"""Sockets to listen on, as inet:HOST:PORT and unix:PATH name them."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from pathlib import Path

from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError

_ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Where localhost has an address of a family that is switched off."""
_BACKLOG = 1024


def open_inet(address: str, rest: str) -> list[socket.socket]:
    """Listen at ``HOST:PORT``, the ``rest`` of ``address``: one socket for each address that the host has."""
    host, _, port = rest.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ConfigError(f"{address!r}: write inet:HOST:PORT, for example inet:127.0.0.1:10045")
    with _named_errors(address):
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    opened = []
    for family, kind, number, _, where in dict.fromkeys(found):
        with _named_errors(address, _ABSENT if len(found) > 1 else ()):
            opened.append(_listening(socket.socket(family, kind, number), where))
    if not opened:
        raise UnavailableError(f"{address}: this host has no such address")
    return opened


def open_unix(address: str, path: Path, mode: int) -> socket.socket:
    """Listen at a path; a file that a killed server left there is replaced."""
    with _named_errors(address):
        _make_room(address, path)
        before = os.umask(0o777 & ~mode)
        try:
            return _listening(socket.socket(socket.AF_UNIX), str(path))
        finally:
            os.umask(before)


def _listening(opened: socket.socket, where: object) -> socket.socket:
    try:
        if opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(where)  # type: ignore[arg-type] # what getaddrinfo gave, or a path
        opened.listen(_BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def _make_room(address: str, path: Path) -> None:
    """Remove the socket that a killed server has left at ``path``, and nothing else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UnavailableError(f"{address}: something that is no socket is there; remove it, or listen elsewhere")
    if _is_in_use(path):
        raise UnavailableError(f"{address}: another process uses that socket; stop it, or listen elsewhere")
    path.unlink()


def _is_in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


@contextlib.contextmanager
def _named_errors(address: str, harmless: Collection[int] = ()) -> Iterator[None]:
    """What the system says about ``address`` as an error of ours, except for the errno that are ``harmless``."""
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(f"{address}: {error.strerror}") from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) not in harmless:
            raise UnavailableError(f"{address}: {getattr(error, 'strerror', None) or error}") from None


def stays_here(listening: socket.socket) -> bool:
    """Whether only this host can connect to a socket that listens."""
    return listening.family == socket.AF_UNIX or ip_address(listening.getsockname()[0]).is_loopback


def name(listening: socket.socket) -> str:
    """The address of a socket that listens, as the configuration writes it."""
    where = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{where.decode(errors='replace') if isinstance(where, bytes) else where}".replace("\0", "@")
    return f"inet:[{where[0]}]:{where[1]}" if ":" in where[0] else f"inet:{where[0]}:{where[1]}"
