"""Asks a policy service as Postfix would, to see that somebody answers, and in which mode a filter of ours runs."""

import os
import pwd
import socket
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from safelist.postfix.master_entries import PolicyAnswer

PROBE, PROBED = "safelist filter check", "safelist answers in mode "
"""The policy_context of a request that asks whether somebody answers (it is about no mail, and no verdict), and what
follows DUNNO then. A policy_context of main.cf switches nothing off: with what Postfix asks, an instance comes along.
"""
SECONDS = 10.0
_AT_ONCE = 64
_REQUEST = (
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=localhost\nqueue_id=\n"
    "sender=\nrecipient=postmaster@localhost\nrecipient_count=0\nclient_address=127.0.0.1\nclient_name=localhost\n"
    f"reverse_client_name=localhost\ninstance=\nsasl_username=\npolicy_context={PROBE}\n\n"
).encode()
_MAX_ANSWER = 8192
_END = b"\n\n"
_ACCEPTED = (
    ", though something holds the socket (systemd does with safelist-filter.socket, and starts the filter for it: "
    "`systemctl status safelist-filter` tells why that did not answer)"
)


def ask_all(addresses: Iterable[str], seconds: float = SECONDS) -> dict[str, PolicyAnswer]:
    """Ask at every one of them at once: however many keep silent, it takes ``seconds`` in all."""
    until, asked = monotonic() + seconds, list(dict.fromkeys(addresses))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(lambda address: _ask(address, seconds, until), asked)
        return dict(zip(asked, answers, strict=True))


def ask(address: str, seconds: float = SECONDS) -> PolicyAnswer:
    """Send a request to ``inet:HOST:PORT`` or ``unix:PATH``; what it gets there within ``seconds``."""
    return _ask(address, seconds, monotonic() + seconds)


def _ask(address: str, seconds: float, until: float) -> PolicyAnswer:
    late = f"no answer in {seconds:g} seconds"
    try:
        with connected(address, _left(until)) as peer:
            late += _ACCEPTED
            peer.settimeout(_left(until))
            peer.sendall(_REQUEST)
            return _read(peer, until)
    except TimeoutError:
        return PolicyAnswer(fault=late)
    except (OSError, ValueError) as error:
        return PolicyAnswer(fault=str(getattr(error, "strerror", None) or error))


def connected(address: str, seconds: float) -> socket.socket:
    """Connect to ``inet:HOST:PORT`` or ``unix:PATH``. Raises OSError, or ValueError for what is neither."""
    kind, _, rest = address.partition(":")
    if kind != "unix":
        host, _, port = rest.rpartition(":")
        number = int(port) if port.isdecimal() else socket.getservbyname(port, "tcp")
        return socket.create_connection((host.strip("[]"), number), seconds)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(seconds)
    try:
        peer.connect(rest)
    except OSError:
        peer.close()
        raise
    return peer


def _left(until: float) -> float:
    if (left := until - monotonic()) <= 0:
        raise TimeoutError
    return left


def receive(peer: socket.socket, until: float, end: bytes = b"", most: int = _MAX_ANSWER) -> bytes:
    """Read up to ``end``, to the end of the connection, or 8 KiB. Raises OSError; TimeoutError when it is ``until``."""
    said = b""
    while not (end and said.endswith(end)) and len(said) < most:
        peer.settimeout(_left(until))
        if not (more := peer.recv(4096)):
            break
        said += more
    return said


def _read(peer: socket.socket, until: float) -> PolicyAnswer:
    said = receive(peer, until, _END)
    if not said.endswith(_END) and len(said) < _MAX_ANSWER:
        return PolicyAnswer(fault="the connection was closed without an answer")
    action = said.decode(errors="replace").strip()
    if not action.startswith("action="):
        return PolicyAnswer(fault="what answers there is no policy service")
    return PolicyAnswer(mode=action.partition(PROBED)[2])


def refuses(path: Path, user: str) -> str:
    """What keeps ``user`` from connecting to the socket at ``path``; empty where nothing does, or no such user is."""
    try:
        entry = pwd.getpwnam(user)
        groups = os.getgrouplist(user, entry.pw_gid)
        for each, bit in [*((parent, stat.S_IXOTH) for parent in path.parents), (path, stat.S_IWOTH)]:
            found = each.stat()
            shift = 6 if found.st_uid == entry.pw_uid else 3 if found.st_gid in groups else 0
            if not found.st_mode & (bit << shift):
                return f"{user}, as whom smtpd runs, may not {'open' if each == path else 'enter'} {each}"
    except (KeyError, OSError):
        return ""
    return ""
