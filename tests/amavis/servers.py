"""A real amavisd-new on loopback with a SpamAssassin of one rule, which is the DNSBL, and directories of its own.

``amavisd.conf.in`` holds the lines that the documents tell an administrator to write.
"""

import os
import shutil
import signal
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mail import world
from tests.mail.world import Offer
from tests.postfix.servers import _free_port, _greets
from tests.programs import installation
from tests.waiting import until

RECOMMENDED = (Path(__file__).parent / "amavisd.conf.in").read_text()
"""As the documents quote it."""
DSN = "DBI:Pg:dbname=amavis;host=/run/postgresql"
"""What stands for the database in it."""
KILL, POINTS = 6, 8
"""Points from which on amavisd rejects, and those of the DNSBL."""


def lines(database: str, host: str, role: str) -> str:
    """Those lines for another database."""
    assert DSN in RECOMMENDED
    return RECOMMENDED.replace(DSN, f"DBI:Pg:dbname={database};host={host}").replace("'amavis', ''", f"'{role}', ''")


def missing() -> str:
    """Why amavisd cannot run here; empty where it can."""
    programs = {"amavisd": "amavisd-new", "spamassassin": "spamassassin", "smtp-sink": "postfix"}
    modules = {"DBD::Pg": "libdbd-pg-perl", "DBD::SQLite": "libdbd-sqlite3-perl"}
    if absent := installation(programs, modules):
        return absent
    return "" if os.geteuid() == 0 else "only root may start amavisd as its own user: sudo make test"


@dataclass(frozen=True)
class Amavisd:
    """A running one: its configuration, its log, the port where it takes mail."""

    configuration: Path
    log: Path
    port: int

    def offer(self, offer: Offer) -> dict[str, int]:
        """Give it the mail as the MTA in front would; each recipient's reply code. 250 is delivered, 554 is spam."""
        with smtplib.LMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo("mx.corp.example")
            return _given(client, offer, _received(offer.client) + offer.message())


def _given(client: smtplib.LMTP, offer: Offer, message: bytes) -> dict[str, int]:
    """LMTP replies for each recipient (RFC 2033 4.2)."""
    assert client.mail(offer.sender)[0] == 250
    codes = {each: client.rcpt(each)[0] for each in offer.recipients}
    if set(codes.values()) != {250}:
        return codes
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    return {each: client.getreply()[0] for each in offer.recipients}


def _received(address: str) -> bytes:
    return (
        f"Received: from client.example (client.example [{address}])\r\n\tby mx.corp.example (Postfix) with ESMTP id 1;"
        "\r\n\tFri, 27 Nov 2026 09:00:00 +0000\r\n"
    ).encode()


@contextmanager
def amavisd(lines: str, nameserver: tuple[str, int], sink: int) -> Iterator[Amavisd]:
    """One with those lines in its configuration; it delivers by LMTP to the port ``sink``."""
    root = Path(tempfile.mkdtemp(prefix="safelist-amavis-"))
    try:
        port = _configure(root, lines, nameserver, sink)
        root.chmod(0o755)
        for name in ("home", "tmp", "db", "log"):  # amavisd refuses a configuration that it could change
            shutil.chown(root / name, "amavis", "amavis")
        with (root / "out").open("wb") as out:
            server = subprocess.Popen(
                ["/usr/sbin/amavisd", "-c", str(root / "amavisd.conf"), "foreground"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=root,
            )  # fmt: skip
        try:
            assert until(lambda: _greets(port) or server.poll() is not None)
            assert server.poll() is None, (root / "out").read_text() + (root / "log").read_text()
            yield Amavisd(root / "amavisd.conf", root / "log", port)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    finally:
        shutil.rmtree(root)


def _configure(root: Path, lines: str, nameserver: tuple[str, int], sink: int) -> int:
    for name in ("home", "tmp", "db", "rules", "site"):
        (root / name).mkdir()
    host, port = nameserver
    (root / "site/init.pre").write_text(
        "loadplugin Mail::SpamAssassin::Plugin::Check\nloadplugin Mail::SpamAssassin::Plugin::DNSEval\n"
    )
    (root / "rules/rules.cf").write_text(_RULES.format(zone=world.DNSBL, points=POINTS, host=host, port=port))
    (root / "log").touch()
    taken = _free_port()
    (root / "amavisd.conf").write_text(_CONFIGURATION.format(root=root, port=taken, sink=sink, kill=KILL, lines=lines))
    return taken


_RULES = """\
dns_server {host}:{port}
util_rb_tld example
trusted_networks 192.0.2.1
internal_networks 192.0.2.1
header RCVD_IN_TEST eval:check_rbl('test-lastexternal', '{zone}.')
describe RCVD_IN_TEST the client is listed
tflags RCVD_IN_TEST net
score RCVD_IN_TEST {points}
"""
_CONFIGURATION = """\
use strict;
$MYHOME = '{root}/home'; $TEMPBASE = '{root}/tmp'; $db_home = '{root}/db'; $helpers_home = '{root}/home';
$pid_file = '{root}/home/pid'; $lock_file = '{root}/home/lock'; $daemon_user = 'amavis'; $daemon_group = 'amavis';
$mydomain = 'corp.example'; $myhostname = 'mx.corp.example'; @local_domains_maps = (['.corp.example']);
$max_servers = 2; $enable_db = 0; $enable_zmq = 0; $enable_dkim_verification = 0;
$inet_socket_bind = '127.0.0.1'; $inet_socket_port = [{port}]; $protocol = 'LMTP';
$interface_policy{{'{port}'}} = 'IN'; $policy_bank{{'IN'}} = {{ protocol => 'LMTP' }};
$log_level = 5; $do_syslog = 0; $LOGFILE = '{root}/log';
@bypass_virus_checks_maps = (1); @bypass_banned_checks_maps = (1); @bypass_header_checks_maps = (1);
$sa_local_tests_only = 0; $sa_configpath = '{root}/rules'; $sa_siteconfigpath = '{root}/site';
$sa_tag_level_deflt = -999; $sa_tag2_level_deflt = {kill}; $sa_kill_level_deflt = {kill};
$final_spam_destiny = D_REJECT; $spam_quarantine_method = undef; $virus_admin = undef; $spam_admin = undef;
$forward_method = 'lmtp:[127.0.0.1]:{sink}'; $notify_method = $forward_method;
{lines}
1;
"""
