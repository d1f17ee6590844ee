"""The filter at its place: an Exchange, `safelist sync --publish`, `safelist filter run`, and a Postfix that asks it.

``main.cf.in`` holds the lines that the documents tell an administrator to write.
"""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from safelist.config import toml
from safelist.junkrule import JunkRule
from tests.cli.command import Command
from tests.exchange import DemoServer, Mailbox, Organisation
from tests.filter.dns_server import Fault, nameserver, servfail, unused_address
from tests.postfix.servers import LISTED, Mailboxes, Postfix, mailboxes, postfix, rbldnsd
from tests.waiting import until

RECOMMENDED = (Path(__file__).parent / "main.cf.in").read_text()
"""As the documents quote it."""
LISTEN = "inet:127.0.0.1:10045"
"""What stands for the filter in it."""

PROVIDER, DNSBL = "Test DNSBL", "dnsbl.safelist.example"
FORGER = "127.0.0.4"
"""A client that the DNSBL lists, too, and that no SPF record permits."""

DESK, OTHER, THIRD = "desk@corp.example", "other@corp.example", "third@corp.example"
BOB, FLAKY = "bob@partner.example", "bob@flaky.example"
"""Safe for the desk; the SPF record of the second cannot be read."""
EVE, MALLORY = "eve@partner.example", "mallory@partner.example"
"""So are they, but an administrator has blocked them."""
NEWS, STRANGER = "news@paper.example", "spam@stranger.example"
"""Safe for two mailboxes, which is the quorum, and for none."""

_PERMITS_LISTED = {"TXT": [f"v=spf1 ip4:{LISTED} -all"]}
ZONE = {"partner.example": _PERMITS_LISTED, "paper.example": _PERMITS_LISTED, "flaky.example": _PERMITS_LISTED}
_SECONDS = 30


class Replies(NamedTuple):
    """What Postfix said to each RCPT TO, and to the mail; that is empty where no recipient was accepted."""

    recipients: Sequence[str]
    mail: str


@contextmanager
def session(postfix: Postfix, service: str, client: str) -> Iterator[smtplib.SMTP]:
    """A mail server outside that says hello from ``client``."""
    port = postfix.ports[service]
    with smtplib.SMTP("127.0.0.1", port, source_address=(client, 0), timeout=_SECONDS) as smtp:
        smtp.ehlo("client.example")
        yield smtp


def offer(smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], subject: str) -> Replies:
    """Offer one mail."""
    assert smtp.mail(sender)[0] == 250
    replies = [_text(smtp.rcpt(recipient)) for recipient in recipients]
    if not any(reply.startswith("250") for reply in replies):
        smtp.rset()
        return Replies(replies, "")
    return Replies(replies, _text(smtp.data(f"Subject: {subject}\r\n\r\nHello\r\n".encode())))


def _text(reply: tuple[int, bytes]) -> str:
    return f"{reply[0]} {reply[1].decode()}"


@dataclass(frozen=True)
class Filter:
    """A ``safelist filter run``: its process, its configuration, and where its standard error goes."""

    process: subprocess.Popen[bytes]
    configuration: Path
    snapshot: Path
    log: Path

    @property
    def address(self) -> str:
        """Where it listens; it chose the port itself."""
        return next(line.rpartition(" ")[2] for line in self.lines() if "listening on" in line)

    def lines(self) -> list[str]:
        """What it said, in whole lines; it writes them after it has answered."""
        return self.log.read_text().rpartition("\n")[0].splitlines()

    def has_said(self, words: str) -> bool:
        return any(words in line for line in self.lines())

    def verdicts(self, **keys: str) -> list[dict[str, Any]]:
        """Every verdict that has these values."""
        found = [json.loads(line) for line in self.lines() if line.startswith("{")]
        return [verdict for verdict in found if verdict | keys == verdict]

    def look_again(self) -> None:
        """For a new snapshot."""
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def running(
    directory: Path, name: str, snapshot: Path, dns: tuple[str, int], *options: str, **keys: Any
) -> Iterator[Filter]:
    """The filter with a configuration of its own (``keys`` in it), stopped by its process id."""
    configuration, log = directory / f"{name}.toml", directory / f"{name}.log"
    host, port = dns
    _configure(configuration, {"snapshot": str(snapshot), "resolvers": [f"{host}:{port}"]} | keys)
    command = [sys.executable, "-m", "safelist", "filter", "run", "--config", str(configuration), *options]
    with log.open("wb") as output:
        environment = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "PATH"))}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        yield Filter(process, configuration, snapshot, log)
    finally:
        process.terminate()
        code = process.wait(_SECONDS)
    assert code in (0, -signal.SIGKILL), log.read_text()
    assert "Traceback" not in log.read_text()


def _configure(path: Path, keys: Mapping[str, Any]) -> None:
    general = {"listen": ["inet:127.0.0.1:0"], "trusted_networks": ["192.0.2.0/24"], **keys}
    provider = {
        "name": PROVIDER, "lookup_domain": DNSBL, "ip_address_match": [LISTED],
        "rejection_response": "{0} is listed by {1}, see https://{2}/",
    }  # fmt: skip
    sections = ["".join(f"{key} = {toml(value)}\n" for key, value in keys.items()) for keys in (general, provider)]
    path.write_text("[[providers]]\n".join(sections))


class Forwarding(dict[str, Fault]):
    """Faults of a nameserver by name; whatever lies in the DNSBL's zone is asked of rbldnsd and answered as it says."""

    def __init__(self, rbldnsd: str, faults: Mapping[str, Fault]) -> None:
        super().__init__(faults)
        self._rbldnsd = rbldnsd

    def get(self, name: str, default: Any = None) -> Any:
        return self._forward if name.endswith(f".{DNSBL}") else super().get(name, default)

    def _forward(self, query: bytes, reply: bytes) -> Sequence[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(5)
            asking.connect((self._rbldnsd, 53))
            asking.send(query)
            return [asking.recv(4096)]


@dataclass(frozen=True)
class Site:
    """Everything, running. Each filter has an smtpd service of its name that asks it."""

    safelist: Command
    snapshot: Path
    filters: Mapping[str, Filter]
    postfix: Postfix
    mailboxes: Mailboxes

    def offer(self, service: str, client: str, sender: str, *recipients: str, subject: str = "x") -> Replies:
        """Offer a mail from ``client`` to Postfix."""
        with session(self.postfix, service, client) as smtp:
            return offer(smtp, sender, recipients, subject)

    def run(self, *arguments: str) -> Any:
        """The installed command, which has to succeed; what it prints with --json."""
        done = self.safelist(*arguments, "--json")
        assert done.code == 0, done
        return done.json


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """The lists collected and published, and a filter for each kind of trouble."""
    with ExitStack() as stack:
        dnsbl = stack.enter_context(rbldnsd(DNSBL, [LISTED, FORGER]))
        dns = stack.enter_context(nameserver(ZONE, Forwarding(dnsbl, {"flaky.example": servfail})))
        safelist = stack.enter_context(published(directory))
        snapshot = directory / "snapshot"
        own = {name: directory / f"{name}.snapshot" for name in ("busy", "broken")}
        for path in own.values():
            path.write_bytes(snapshot.read_bytes())
        filters = {
            "enforce": running(directory, "enforce", snapshot, dns.address),
            "observe": running(directory, "observe", snapshot, dns.address, "--mode", "observe"),
            "deaf": running(directory, "deaf", snapshot, unused_address()),
            "doomed": running(directory, "doomed", snapshot, dns.address),
        } | {name: running(directory, name, path, dns.address) for name, path in own.items()}
        started = {name: stack.enter_context(each) for name, each in filters.items()}
        for each in started.values():
            assert until(partial(each.has_said, "listening on")), each.log.read_text()
        inboxes = stack.enter_context(mailboxes())
        mail = f"transport_maps = inline:{{ {{ corp.example = lmtp:inet:127.0.0.1:{inboxes.port} }} }}\n"
        mail += "lmtp_connection_cache_on_demand = no\n"  # there is no scache
        services = {name: _service(each) for name, each in started.items()}
        server = stack.enter_context(postfix(mail + RECOMMENDED, services, dnsbl))
        yield Site(safelist, snapshot, started, server, inboxes)


def _service(asked: Filter) -> Mapping[str, str]:
    """The documents' restrictions with the filter's port; and no delays for a client that is refused often."""
    assert LISTEN in RECOMMENDED
    restrictions = RECOMMENDED.replace(LISTEN, asked.address).partition("=")[2]
    patient = {"smtpd_soft_error_limit": "10000", "smtpd_hard_error_limit": "20000"}
    return {"smtpd_recipient_restrictions": restrictions} | patient


@contextmanager
def published(directory: Path) -> Iterator[Command]:
    """What the collector's machine does: the database, an override, and the snapshot of what Exchange holds."""
    safe = {DESK: (BOB, FLAKY, EVE, MALLORY, NEWS), OTHER: (NEWS,), THIRD: ("somebody@else.example",)}
    organisation = Organisation.of(Mailbox(box, JunkRule(safe_senders=senders)) for box, senders in safe.items())
    safelist = Command(directory)
    with DemoServer(organisation) as exchange:
        target = {"publish.filter": {"path": str(directory / "snapshot")}}
        safelist.configure(exchange, list(safe), **target)
        blocks = [("override", "block", blocked, "--reason", "forged every week") for blocked in (EVE, MALLORY)]
        for command in (("db", "upgrade"), *blocks, ("sync", "--publish")):
            done = safelist(*command)
            assert done.code == 0, done
        yield safelist
