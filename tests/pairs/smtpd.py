"""A real OpenSMTPD on loopback, with a /var of its own; nothing of the system's is touched."""

import os
import re
import shutil
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.docs.documents import PAGES
from tests.waiting import until

UNPACKED = Path("/opt/safelist-tests/opensmtpd/usr/sbin")
(RECOMMENDED,) = PAGES["docs/filters/other-filters.md"].blocks("smtpd")
TABLE = "/var/lib/safelist-pairs/opensmtpd"
"""What the documents tell an administrator to write, and where the table is in it."""

_VAR = """set -e
mount -t tmpfs none /var
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty /var/run
chmod 711 /var/spool/smtpd
exec "$@"
"""
_FILTER = Path(__file__).parent / "listed-filter.sh"


def missing() -> str:
    """Why it cannot run here; empty where it can."""
    if not (UNPACKED / "smtpd").exists():
        return ".ci/unpack opensmtpd"
    return "" if os.geteuid() == 0 else "only root may start OpenSMTPD: sudo make test"


@dataclass(frozen=True)
class OpenSmtpd:
    """A running one, and its directory."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def configuration(self) -> Path:
        return self.directory / "smtpd.conf"

    @property
    def programs(self) -> Path:
        """Where its programs are, as a site has them."""
        return self.directory / "bin"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def reply(self, sender: str) -> tuple[int, bytes]:
        """What answers a mail of this sender to a local user: to MAIL FROM, or to what follows it up to DATA."""
        with closing(smtplib.SMTP("127.0.0.1", self.port, timeout=30)) as smtp:  # after DATA no QUIT is answered
            smtp.ehlo("client.example")
            answer = smtp.mail(sender)
            if answer[0] == 250:
                answer = smtp.rcpt("root@corp.example")
            return answer if answer[0] != 250 else smtp.docmd("DATA")

    def lifts(self, sender: str) -> bool:
        """Whether a mail of this sender gets past the filter that takes every client for listed."""
        code, text = self.reply(sender)
        assert code == 354 or text == b"listed", (code, text)
        return code == 354


def configured(directory: Path, table: Path, port: int, phase: str = "mail-from", rejects: str = "mail-from") -> str:
    """The lines of the documents with what is this test's own: paths, the listener, and a filter that rejects all."""
    text = RECOMMENDED.text.replace(TABLE, str(table)).replace("listen on 0.0.0.0", f"listen on 127.0.0.1 port {port}")
    text = text.replace("phase mail-from", f"phase {phase}")
    command = f"{directory / _FILTER.name} {rejects}"
    replaced = re.sub('proc-exec "[^"]*"', f'proc-exec "{command}"', text)
    return f'{replaced}action "sink" maildir "{directory}/mail"\nmatch from any for any action "sink"\n'


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@contextmanager
def laid_out() -> Iterator[Path]:
    """A directory that its users may enter, with its programs: smtpctl has its group, as the package would give it."""
    with TemporaryDirectory(prefix="safelist-smtpd-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        _lay_out(directory)
        yield directory


def _lay_out(directory: Path) -> None:
    (directory / "bin").mkdir()
    for name in ("smtpd", "smtpctl"):
        shutil.copy(UNPACKED / name, directory / "bin" / name)
    shutil.chown(directory / "bin" / "smtpctl", group="opensmtpq")
    (directory / "bin" / "smtpctl").chmod(0o2755)
    shutil.copy(_FILTER, directory / _FILTER.name)


@contextmanager
def running(directory: Path, port: int) -> Iterator[OpenSmtpd]:
    """Start it with the ``smtpd.conf`` of the directory, and end it."""
    with (directory / "log").open("wb") as log:
        line = ["unshare", "-m", "sh", "-c", _VAR, "sh", str(directory / "bin/smtpd"), "-d", "-f"]
        process = subprocess.Popen([*line, str(directory / "smtpd.conf")], stdout=log, stderr=log)
        try:
            assert until(lambda: _answers(port) or process.poll() is not None)
            assert process.poll() is None, (directory / "log").read_text()
            yield OpenSmtpd(directory, port, process)
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(3) in (b"220", b"550")
    except OSError:
        return False
