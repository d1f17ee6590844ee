"""What systemd passes to a service and is told by it: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)."""

import logging
import os
import socket

from safelist.errors import ConfigError

logger = logging.getLogger("safelist.filter")


def passed() -> list[tuple[str, socket.socket]]:
    """The sockets that systemd has opened for this process, each with the name that its unit gives it (none: empty).

    The environment then says so no more: sd_listen_fds_with_names(3).
    """
    pid, count, names, _ = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES", "PIDFDID"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    given = [*names.split(":"), *[""] * int(count)]
    return [(given[number], _passed_socket(3 + number)) for number in range(int(count))]


def _passed_socket(descriptor: int) -> socket.socket:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(f"systemd passed descriptor {descriptor}, which is no socket: {error.strerror}") from None
    passed.set_inheritable(False)
    if passed.type != socket.SOCK_STREAM or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        passed.close()
        raise ConfigError(f"systemd passed descriptor {descriptor}, which does not listen: use ListenStream=")
    return passed


def notify(*lines: str) -> None:
    """Tell systemd, where it has asked for that (sd_notify(3)): NAME=value each. Trouble is logged, no more."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
    except OSError as error:
        logger.warning("systemd was not notified of %s: %s", lines[0], error)


def watchdog_interval() -> float | None:
    """Half of the time in which systemd wants to hear of this process (sd_watchdog_enabled(3)), in seconds."""
    length = os.environ.get("WATCHDOG_USEC", "")
    if not length.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(length) / 2_000_000 or None
