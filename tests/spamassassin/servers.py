"""A real spamd on loopback, with the stock rules and a site of its own; nothing of the system's is touched."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mail.world import CLEAN, DNSBL, Offer
from tests.programs import installation
from tests.waiting import until

STOCK = Path("/usr/share/spamassassin")
_PLUGINS = Path("/etc/spamassassin")
_SBIN = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"
RULE, SCORE = "RCVD_IN_SAFELIST_TEST", 20.0
"""The site's own DNSBL rule: what lists a client of the tests' world makes its mail spam."""

_LOCAL = f"""\
dns_server {{nameserver}}
trusted_networks 127.0.0.1 {CLEAN}
internal_networks 127.0.0.1
use_bayes 0
header {RULE} eval:check_rbl('safelisttest-lastexternal', '{DNSBL}.')
tflags {RULE} net
score {RULE} {SCORE:g}
"""


def missing() -> str:
    """Why these programs cannot run here; empty where they can."""
    programs = {name: name for name in ("spamassassin", "spamd", "spamc")}
    modules = {"Mail::SPF": "libmail-spf-perl", "Mail::DKIM": "libmail-dkim-perl"}
    if absent := installation(programs, modules):
        return absent
    return "" if os.geteuid() == 0 else "only root may start spamd for another user: sudo make test"


@dataclass
class Spamd:
    """A running one. ``site`` is its site configuration; ``files`` is where safelist may write."""

    root: Path
    site: Path
    files: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def spamc(self) -> list[str]:
        return ["-p", str(self.port)]

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def verdict(self, recipient: str, message: bytes) -> tuple[float, set[str]]:
        """The score of a mail for a recipient, and the rules that fired."""
        line = ["spamc", *self.spamc, f"--username={recipient}", "-R"]
        done = subprocess.run(line, input=message, capture_output=True, check=False, timeout=60)
        report = done.stdout.decode(errors="replace")
        score = float(report.split("/", 1)[0])
        rows = [row.split() for row in report.splitlines()]
        return score, {row[1] for row in rows if len(row) > 1 and _is_number(row[0])}

    def reload(self) -> None:
        """As ``systemctl reload spamd`` does, until it answers with the new configuration."""
        before = self.log.count("server started on")
        self.process.send_signal(signal.SIGHUP)
        assert until(lambda: self.log.count("server started on") > before and self.answers()), self.log

    def answers(self) -> bool:
        return subprocess.run(["spamc", *self.spamc, "-K"], capture_output=True, check=False).returncode == 0


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()


def received(offer: Offer, *more: str, by: str = "(Postfix) with ESMTP id 4ABCDE1234") -> bytes:
    """The mail as the site's server hands it to SpamAssassin; ``more`` are header lines that the client sends."""
    trace = (
        f"Return-Path: <{offer.sender}>\r\n"
        f"Received: from mx.client.example (unknown [{offer.client}])\r\n\tby mx.corp.example {by}\r\n"
        f"\tfor <{offer.recipients[0]}>; Fri, 27 Nov 2026 09:00:01 +0000 (UTC)\r\n"
    )
    return trace.encode() + "".join(f"{line}\r\n" for line in more).encode() + offer.message()


@contextmanager
def site(nameserver: tuple[str, int], include: str = "") -> Iterator[tuple[Path, Path, Path]]:
    """Directories for a spamd: its own, its site configuration (with ``include`` as safelist.cf), and safelist's."""
    with tempfile.TemporaryDirectory(prefix="safelist-spamd-") as made:
        root = Path(made)
        root.chmod(0o755)
        for name in ("site", "files", "tmp", "home", "bare"):
            (root / name).mkdir()
        for name in ("tmp", "home"):
            (root / name).chmod(0o777)
        shutil.copy(STOCK / "10_default_prefs.cf", root / "bare")
        (root / "bare/20_rule.cf").write_text("header FROM_NOWHERE exists:X-Nowhere\n")
        for plugin in _PLUGINS.glob("*.pre"):
            shutil.copy(plugin, root / "site")
        (root / "site/local.cf").write_text(_LOCAL.format(nameserver=f"{nameserver[0]}:{nameserver[1]}"))
        if include:
            (root / "site/safelist.cf").write_text(include.replace("FILES", str(root / "files")))
        yield root, root / "site", root / "files"


@contextmanager
def spamd(root: Path, options: Sequence[str], rules: Path = STOCK) -> Iterator[Spamd]:
    """One that answers at a port of its own, with the stock ``rules``, or the few of another directory."""
    port = _free_port()
    line = [
        shutil.which("spamd", path=_SBIN) or "spamd", "-C", str(rules), "--siteconfigpath", str(root / "site"),
        "-i", "127.0.0.1", "-p", str(port), "-s", "stderr", "-H", str(root / "home"), "--min-children=1", *options,
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(root / "tmp"), "HOME": str(root / "home")}
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/")
    try:
        running = Spamd(root, root / "site", root / "files", port, process)
        assert until(lambda: process.poll() is not None or running.answers()), running.log
        assert process.poll() is None, running.log
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
