"""Bounces, and the log, of a real Postfix and a real Exim whose mail a server refuses: they are read as they are."""

import smtplib
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import make_msgid

import pytest

from safelist.rejections.bounce import read
from safelist.rejections.bounce_text import BounceReply
from safelist.rejections.fingerprints import match
from safelist.rejections.rejection import Stage
from tests.exim import machine as exim
from tests.postfix import servers as postfix
from tests.waiting import until

SCAN = "554 Permanent scan failure. Email Session ID: {4C209A7E-0-3A6A8C0-1FFFF}"
GMAIL = (
    "550-5.7.1 [192.0.2.9 12] Our system has detected that this message is",
    "550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,",
    "550 5.7.1 this message has been blocked. - gsmtp",
)
BLOCKED = "550 5.7.1 Recipient not authorized, your IP has been found on a block list"
SENDER = "bob@partner.example"


@dataclass
class Refusing:
    """A mail server that refuses every recipient by its name, and keeps the bounces that come back to the sender."""

    port: int = 0
    bounces: list[bytes] = field(default_factory=list)

    def bounce(self, text: str) -> bytes:
        """The one that holds ``text``, when it has come."""
        assert until(lambda: any(text.encode() in each for each in self.bounces)), text
        return next(each for each in self.bounces if text.encode() in each)


@contextmanager
def refusing() -> Iterator[Refusing]:
    """SMTP, or LMTP, as the client greets it; ``block``, ``scan`` and ``gmail`` are whom it refuses."""
    found = Refusing()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 mx.corp.example ready")
            to = ""
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"RCPT":
                    to = line.decode()
                    self.say(BLOCKED if "block@" in to else "250 ok")
                elif verb == b"DATA":
                    self.say("354 go ahead")
                    self.data(to)
                elif verb == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def data(self, to: str) -> None:
            content = b"".join(iter(self.rfile.readline, b".\r\n"))
            if SENDER in to:
                found.bounces.append(content.replace(b"\r\n", b"\n"))
            self.say(*((SCAN,) if "scan@" in to else GMAIL if "gmail@" in to else ("250 ok",)))

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


CASES = [
    ("block@corp.example", BLOCKED, "exchange-block-list", Stage.RCPT),
    ("scan@corp.example", SCAN, "check-point", Stage.MESSAGE),
    ("gmail@corp.example", " ".join(GMAIL), "gmail-reputation", Stage.MESSAGE),
]
each_case = pytest.mark.parametrize(("to", "reply", "name", "stage"), CASES)


@pytest.fixture(scope="module")
def of_postfix() -> Iterator[tuple[Refusing, str]]:
    """What it is told to send has been sent back; and its log."""
    if postfix.missing():
        pytest.skip(postfix.missing())
    with refusing() as server:
        transport = f"lmtp:inet:127.0.0.1:{server.port}"
        main = (
            f"local_transport = {transport}\nmydestination = corp.example, partner.example\nmaximal_backoff_time = 1s\n"
        )
        with postfix.postfix(main, {"smtpd": {}}, "127.0.0.1") as running:
            with smtplib.SMTP("127.0.0.1", running.ports["smtpd"], timeout=30) as smtp:
                for to, *_ in CASES:
                    smtp.sendmail(SENDER, [to], f"Message-ID: {make_msgid()}\nX-Barracuda-Connect: a\n\nhello\n")
            for to, *_ in CASES:
                server.bounce(f"rfc822; {to}")
            yield server, running.log.read_text()


@each_case
def test_a_bounce_of_postfix_is_read(
    of_postfix: tuple[Refusing, str], to: str, reply: str, name: str, stage: Stage
) -> None:
    found = read(of_postfix[0].bounce(f"rfc822; {to}"))
    assert found.replies == (BounceReply(reply, to, "127.0.0.1", "mx.corp.example", stage),)
    assert match(found.replies[0].text, stage)[0].id == name
    assert "X-Barracuda-Connect: a" in found.headers


@each_case
def test_a_line_of_postfix_s_log_is_read(
    of_postfix: tuple[Refusing, str], to: str, reply: str, name: str, stage: Stage
) -> None:
    (line,) = (line for line in of_postfix[1].splitlines() if f"to=<{to}>" in line and "status=bounced" in line)
    assert read(line.encode()).replies == (BounceReply(reply, to, "127.0.0.1", None, stage),)


EXIM = """\
exim_path = {program}
primary_hostname = mail.partner.example
qualify_domain = partner.example
log_file_path = /var/log/exim4/%slog
never_users =
keep_environment =
begin routers
all:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1
  self = send
begin transports
out:
  driver = smtp
  port = {port}
  allow_localhost
"""


@pytest.fixture(scope="module")
def of_exim() -> Iterator[Refusing]:
    """What Exim, told so on its command line, has sent back."""
    if exim.missing():
        pytest.skip(exim.missing())
    with refusing() as server, exim.machine(exim.LIGHT) as made:
        made.plain(EXIM.format(port=server.port, program=made.exim))
        for to, *_ in CASES:
            given = b"From: bob@partner.example\nSubject: x\n\nhello\n"
            made.run(made.exim, "-odi", "-oi", "-f", SENDER, to, given=given)
        made.run(made.exim, "-qff")
        yield server


@each_case
def test_a_bounce_of_exim_is_read(of_exim: Refusing, to: str, reply: str, name: str, stage: Stage) -> None:
    (found,) = read(of_exim.bounce(f"rfc822;{to}")).replies
    assert (found.recipient, found.remote, found.reporter, found.stage) == (
        to,
        "127.0.0.1",
        "mail.partner.example",
        stage,
    )
    assert match(found.text)[0].id == name
