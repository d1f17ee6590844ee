"""A real Postfix and a real rbldnsd on loopback, with directories of their own; nothing of the system's is touched.

``main.cf.in`` holds the lines that the documents tell an administrator to write.
"""

import os
import random
import shutil
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.programs import installation
from tests.waiting import until

RECOMMENDED = (Path(__file__).parent / "main.cf.in").read_text()
"""As the documents quote it."""
MAP, ZONE = "$default_database_type:/var/lib/safelist-map/postfix", "zen.spamhaus.org"
"""What stands for the map and for the DNSBL in it."""

LISTED, CLEAN = "127.0.0.2", "127.0.0.3"
"""Client addresses that the DNSBL lists, and does not."""

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"


def missing() -> str:
    """Why these servers cannot run here; empty where they can."""
    if absent := installation({"postfix": "postfix", "rbldnsd": "rbldnsd"}):
        return absent
    return "" if os.geteuid() == 0 else "only root may start Postfix and open port 53: sudo make test"


@dataclass(frozen=True)
class Postfix:
    """A running one: its configuration directory and log, and the port of each of its smtpd services."""

    configuration: Path
    log: Path
    ports: Mapping[str, int]

    def send(self, service: str, client: str, sender: str, recipient: str) -> tuple[int, str]:
        """Offer a mail from ``client``; the reply to RCPT TO where that refuses, else the reply to the mail itself."""
        with smtplib.SMTP("127.0.0.1", self.ports[service], source_address=(client, 0), timeout=30) as smtp:
            smtp.ehlo("client.example")
            assert smtp.mail(sender)[0] == 250
            code, reply = smtp.rcpt(recipient)
            if code == 250:
                code, reply = smtp.data(b"Subject: test\r\n\r\nHello\r\n")
        return code, reply.decode()

    def delivered(self, queue_id: str) -> bool:
        """Whether the mail reaches its mailbox (here: discard) within 20 seconds."""
        return until(lambda: any(queue_id in line and "status=sent" in line for line in self._lines()))

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines()


@contextmanager
def rbldnsd(zone: str, listed: Sequence[str] = (LISTED,), names: Sequence[str] = ()) -> Iterator[str]:
    """A DNSBL on port 53 of a loopback address of its own, which is the context's value.

    It lists the addresses ``listed``, and the domains ``names``.
    """
    with _directory() as directory:
        head = f"$SOA 60 ns.{zone} a.{zone} 0 60 60 60 60\n:2:listed for a test\n"
        (directory / "zone").write_text(head + "".join(f"{address}\n" for address in listed))
        (directory / "names").write_text("".join(f"{name} :2:listed for a test\n" for name in names))
        address = f"127.53.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        command = ["rbldnsd", "-n", "-b", f"{address}/53", "-w", str(directory)]
        command += [f"{zone}:ip4set:zone", f"{zone}:dnset:names"]
        with _running(command, directory / "log"):
            assert until(lambda: _answers(address, zone)), (directory / "log").read_text()
            yield address


@dataclass(frozen=True)
class Mailboxes:
    """Where mail for everybody arrives, over LMTP (or SMTP) at ``port``; each is a file in ``directory``."""

    port: int
    directory: Path

    def mail(self, text: str) -> str:
        """The mail that holds ``text``, when it has arrived."""
        assert until(lambda: any(text in mail for mail in self._mails())), text
        return next(mail for mail in self._mails() if text in mail)

    def _mails(self) -> list[str]:
        return [path.read_text() for path in self.directory.iterdir()]


@contextmanager
def mailboxes(*, lmtp: bool = True) -> Iterator[Mailboxes]:
    """Postfix's smtp-sink, which keeps what it gets."""
    with _directory() as root:
        directory, port = root / "mail", _free_port()
        directory.mkdir()
        shutil.chown(directory, "postfix")
        command = ["smtp-sink", *(["-L"] if lmtp else []), "-u", "postfix", "-d", f"{directory}/%s."]
        command += [f"127.0.0.1:{port}", "20"]
        with _running(command, root / "log"):
            assert until(lambda: _greets(port)), (root / "log").read_text()
            yield Mailboxes(port, directory)


@contextmanager
def refusing(command: str, reply: str, *options: str) -> Iterator[int]:
    """Postfix's smtp-sink, which answers a command with ``reply`` (5xx); its port."""
    with _directory() as root:
        port = _free_port()
        sink = ["smtp-sink", "-u", "postfix", *options, "-B", reply, "-f", command, f"127.0.0.1:{port}", "20"]
        with _running(sink, root / "log"):
            assert until(lambda: _greets(port)), (root / "log").read_text()
            yield port


@contextmanager
def postfix(
    main: str,
    services: Mapping[str, Mapping[str, str]],
    nameserver: str,
    screens: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[Postfix]:
    """Postfix with the lines of ``main``; an smtpd for each of ``services``, and a postscreen for each of ``screens``.

    Both are names and their own parameters.
    """
    with _directory() as root:
        ports = {name: _free_port() for name in (*services, *screens)}
        _configure(root, main, services, ports)
        with (root / "etc/master.cf").open("a") as master:
            master.writelines(
                f"127.0.0.1:{ports[name]} inet n - y - 1 postscreen{_options(own)}\n" for name, own in screens.items()
            )
        check = subprocess.run([_sbin("postfix"), "-c", str(root / "etc"), "check"], capture_output=True, check=False)
        assert check.returncode == 0, check
        _resolve_by(nameserver, root)
        daemons = _parameter(root, "daemon_directory")
        log = root / "log"
        with _running([f"{daemons}/master", "-c", str(root / "etc"), "-s"], log), _told(log):
            assert until(lambda: all(map(_greets, ports.values())))
            yield Postfix(root / "etc", log, ports)


@contextmanager
def _told(log: Path) -> Iterator[None]:
    """What fails beside a server has the server's log with it."""
    try:
        yield
    except Exception as error:
        error.add_note(log.read_text(errors="replace"))
        raise


def _configure(root: Path, main: str, services: Mapping[str, Mapping[str, str]], ports: Mapping[str, int]) -> None:
    for name in ("etc", "data", "queue"):
        (root / name).mkdir(parents=True)
    shutil.chown(root / "data", "postfix")
    (root / "etc/main.cf").write_text(_MAIN.format(root=root) + main)
    rows = [f"127.0.0.1:{ports[name]} inet n - y - - smtpd" + _options(own) for name, own in services.items()]
    (root / "etc/master.cf").write_text("\n".join([*rows, _MASTER]))


def _resolve_by(nameserver: str, root: Path) -> None:
    """smtpd is chrooted into the queue directory, where its resolver reads this file and not the system's.

    Since Debian 13 the check puts the system's there, which hence comes first.
    """
    (root / "queue/etc").mkdir(exist_ok=True)
    (root / "queue/etc/resolv.conf").write_text(f"nameserver {nameserver}\noptions timeout:5 attempts:3\n")


def _options(own: Mapping[str, str]) -> str:
    return "".join(f"\n  -o {{ {name} = {' '.join(value.split())} }}" for name, value in own.items())


_MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = /dev/stdout
myhostname = mx.corp.example
mydestination = corp.example
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_transport = discard
smtpd_peername_lookup = no
smtpd_tls_security_level = none
"""
_MASTER = """\
pickup    unix       n - y 60  1 pickup
cleanup   unix       n - y -   0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - y -   - trivial-rewrite
bounce    unix       - - y -   0 bounce
defer     unix       - - y -   0 bounce
trace     unix       - - y -   0 bounce
proxymap  unix       - - n -   - proxymap
error     unix       - - y -   - error
retry     unix       - - y -   - error
discard   unix       - - y -   - discard
smtp      unix       - - y -   - smtp
smtpd     pass       - - y -   - smtpd
dnsblog   unix       - - y -   0 dnsblog
lmtp      unix       - - y -   - lmtp
anvil     unix       - - y -   1 anvil
postlog   unix-dgram n - n -   1 postlogd
"""


def _parameter(root: Path, name: str) -> str:
    command = [_sbin("postconf"), "-c", str(root / "etc"), "-h", name]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@contextmanager
def _directory() -> Iterator[Path]:
    """A new directory that the servers' own users may enter."""
    directory = Path(tempfile.mkdtemp(prefix="safelist-postfix-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    """A server that is stopped by its process id, whatever happens; master passes the signal on to its children."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [_sbin(command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _sbin(program: str) -> str:
    found = shutil.which(program, path=_SBIN)
    assert found, program
    return found


def _free_port() -> int:
    """Below the range that outgoing connections take theirs from, so that it stays free until Postfix opens it."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False


def _answers(address: str, zone: str) -> bool:
    """Whether the test point of every DNSBL is listed (RFC 5782 5)."""
    labels = f"2.0.0.127.{zone}".split(".")
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.settimeout(1)
        try:
            resolver.connect((address, 53))
            resolver.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x00\x01\x00\x01")
            answer = resolver.recv(512)
        except OSError:
            return False
    return answer[:2] == b"\x12\x34" and answer[7] > 0
