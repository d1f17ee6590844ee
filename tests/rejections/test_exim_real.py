"""Exim's own lines: it refuses mail in each of its ways, and its logs are read back with every field."""

import base64
import shutil
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelist.rejections.formats import FORMATS
from safelist.rejections.log_files import opened
from safelist.rejections.reading import ReadSoFar, UnreadLine, read
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from tests.exim.machine import Machine, machine, missing
from tests.mail import world
from tests.mail.world import BOB, CLEAN, DESK, DNSBL, FORGER, LISTED, OTHER, THIRD, Offer
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

BARRED, BARRED_FOR_NOW = "198.51.100.30", "198.51.100.31"
QUOTED, FORGED = '"front desk"@corp.example', '"a> rejected RCPT <b"@partner.example'
LONG = f"{'l' * 60}@{'d' * 60}.corp.example"
SCAN = "554-Permanent scan failure.\r\n554 Email Session ID: {4E6B-0-1-2}"
FORGED_HELO = "h) [192.0.2.66] F=<x@aol.com> rejected RCPT <y@corp.example>: found in dnsbl rbl.example"

CONFIGURATION = r"""
exim_path = {exim}
primary_hostname = mx.corp.example
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
hosts_proxy = 127.0.0.1
host_lookup = *
tls_advertise_hosts =
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog : syslog
queue_only = true
{more}
acl_smtp_connect = connect
acl_smtp_helo = helo
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_predata = predata
acl_smtp_data = data
acl_smtp_mime = mime
begin acl
connect:
  deny hosts = 198.51.100.30
       log_message = found in rbl rbl.example
  defer hosts = 198.51.100.31
  accept
helo:
  deny condition = ${{if eq{{$sender_helo_name}}{{listed.example}}}}
       message = listed in rbl.example
  accept
mail:
  deny senders = mail@partner.example
       message = not you
  defer senders = later@partner.example
  accept
rcpt:
  warn dnslists = dnsbl.example
       log_message = $sender_host_address is listed at $dnslist_domain ($dnslist_value: $dnslist_text)
  deny recipients = desk@corp.example
       dnslists = dnsbl.example
       message = rejected because $sender_host_address is in a black list at $dnslist_domain\n$dnslist_text
  defer recipients = other@corp.example
       dnslists = dnsbl.example
       log_message = found in dnsbl $dnslist_domain
  deny recipients = "front desk"@corp.example
       dnslists = dnsbl.example
       log_message = "JunkMail rejected - $sender_fullhost is in an RBL: https://$dnslist_domain/q"
  deny domains = !corp.example : !relay.example
       message = relay not permitted
  accept
predata:
  deny senders = predata@partner.example
       message = no data
  accept
data:
  deny dnslists = dnsbl.example
       message = 5.7.1 $sender_host_address is listed in $dnslist_domain
  accept
mime:
  deny senders = mime@partner.example
  accept
begin routers
relay:
  driver = manualroute
  domains = relay.example
  route_list = relay.example 127.0.0.1::{remote}
  self = send
  transport = smtp
nowhere:
  driver = redirect
  data = :blackhole:
begin transports
smtp:
  driver = smtp
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = yes
  server_set_id = $auth2
"""
MORE = """
log_selector = +all
log_timezone = true
timezone = Europe/Berlin
helo_accept_junk_hosts = *
"""


class _Remote(socketserver.StreamRequestHandler):
    """A server that refuses each mail: by its sender, by its recipient, or when it has it."""

    def handle(self) -> None:
        self._say("220 mx.relay.example ESMTP")
        for line in self.rfile:
            command = line.decode().strip()
            if command.startswith("MAIL") and "refused" in command:
                self._say("550 5.1.8 not from you")
            elif command.startswith("RCPT") and "refused" in command:
                self._say("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example; why")
            elif command == "DATA":
                self._say("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self._say(SCAN)
            else:
                self._say("250 yes" if command != "QUIT" else "221 bye")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def remote() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Remote) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def syslog(site: Machine) -> Iterator[list[str]]:
    """The messages that come to /dev/log there, in a /dev of the machine's own."""
    place = site.root / "dev"
    place.mkdir()
    site.run("sh", "-ec", f"for each in null zero full random urandom; do touch {place}/$each; mount --bind /dev/$each "
                          f"{place}/$each; done; mount --bind {place} /dev")  # fmt: skip
    came: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(place / "log"))
        (place / "log").chmod(0o666)

        def take() -> None:
            while text := log.recv(1 << 16):
                came.append(text.decode(errors="surrogateescape").rstrip("\n\0"))

        threading.Thread(target=take, daemon=True).start()
        yield came
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(place / "log"))


@dataclass(frozen=True)
class Written:
    """The logs of a day, and when it was."""

    main: Path
    reject: Path
    syslog: Path
    begin: datetime
    end: datetime
    is_default: bool


def talk(site: Machine, client: str, helo: str, *commands: str) -> None:
    with site.connected(client) as smtp:
        smtp.docmd("EHLO", helo)
        for each in commands:
            smtp.docmd(each)


def a_day(site: Machine) -> None:
    """Every way to be refused, in the order of REFUSED, and then mails that others refuse."""
    site.send(Offer(BOB, (DESK, OTHER, QUOTED, "x@nowhere.example", LONG)))
    site.send(Offer(FORGED, (DESK,), client=FORGER))
    talk(site, LISTED, "client.example", f"MAIL FROM:{BOB}", f"RCPT TO:{DESK}")
    login = base64.b64encode(b"\0fax\0secret").decode()
    talk(site, LISTED, "client.example", f"AUTH PLAIN {login}", "MAIL FROM:<>", f"RCPT TO:<{DESK}>")
    for sender in ("mail@partner.example", "later@partner.example"):
        talk(site, CLEAN, "client.example", f"MAIL FROM:<{sender}>")
    for client in (BARRED, BARRED_FOR_NOW):
        with socket.create_connection(("127.0.0.1", site.port)) as connection:
            connection.sendall(f"PROXY TCP4 {client} 127.0.0.1 40000 {site.port}\r\n".encode())
            assert connection.makefile().read(3) in ("550", "451", "554")
    talk(site, LISTED, "listed.example")
    site.send(Offer(BOB, (THIRD, "fourth@corp.example")))
    site.send(Offer("mime@partner.example", (THIRD,), client=CLEAN))
    talk(site, CLEAN, "client.example", "MAIL FROM:<predata@partner.example>", f"RCPT TO:<{THIRD}>", "DATA")
    site.send(Offer(BOB, ("refused@relay.example", "taken@relay.example"), client=CLEAN))
    site.send(Offer("refused@partner.example", ("taken@relay.example",), client=CLEAN))
    assert site.run(site.exim, "-qff").returncode == 0


AT, PLACE = datetime.min.replace(tzinfo=UTC), LogPlace("", 0)
NO = RejectionKind.REJECTED


def refused(kind: RejectionKind, stage: Stage, reply: str, client: str = LISTED, **more: str | None) -> Rejection:
    names = {LISTED: "mx.partner.example"}
    return Rejection(AT, kind, PLACE, reply, client, names.get(client), stage=stage, **more)  # type: ignore[arg-type]


IN_LIST = {"provider": DNSBL}
LISTED_AT = "rejected because {} is in a black list at dnsbl.example"
REFUSED = (
    refused(NO, Stage.RCPT, LISTED_AT.format(LISTED), sender=BOB, recipient=DESK, **IN_LIST),
    refused(RejectionKind.DEFERRED, Stage.RCPT, "found in dnsbl dnsbl.example", sender=BOB, recipient=OTHER, **IN_LIST),
    refused(NO, Stage.RCPT, "JUNK", sender=BOB, recipient=QUOTED, **IN_LIST),
    refused(NO, Stage.RCPT, "relay not permitted", sender=BOB, recipient="x@nowhere.example"),
    refused(NO, Stage.RCPT, "relay not permitted", sender=BOB),
    refused(NO, Stage.RCPT, LISTED_AT.format(FORGER), FORGER, sender=FORGED, recipient=DESK, **IN_LIST),
    refused(NO, Stage.RCPT, LISTED_AT.format(LISTED), sender=BOB, recipient=DESK, **IN_LIST),
    refused(NO, Stage.RCPT, LISTED_AT.format(LISTED), sender="", recipient=DESK, **IN_LIST),
    refused(NO, Stage.MAIL, "not you", CLEAN, sender="mail@partner.example"),
    refused(RejectionKind.DEFERRED, Stage.MAIL, "", CLEAN, sender="later@partner.example"),
    refused(RejectionKind.DISCONNECTED, Stage.CONNECT, "found in rbl rbl.example", BARRED, provider="rbl.example"),
    refused(RejectionKind.DEFERRED, Stage.CONNECT, "", BARRED_FOR_NOW),
    refused(NO, Stage.HELO, "listed in rbl.example", provider="rbl.example"),
)
AFTER_DATA = (
    (refused(NO, Stage.MESSAGE, f"5.7.1 {LISTED} is listed in dnsbl.example", sender=BOB, **IN_LIST),
     (THIRD, "fourth@corp.example")),
    (refused(NO, Stage.MESSAGE, "", CLEAN, sender="mime@partner.example"), (THIRD,)),
)  # fmt: skip
AT_DATA = refused(NO, Stage.DATA, "no data", CLEAN)
BOUNCED = tuple(
    Rejection(AT, RejectionKind.BOUNCED, PLACE, reply, "127.0.0.1", "127.0.0.1", *more)
    for reply, *more in (
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example; why", BOB,
         "refused@relay.example", Stage.RCPT, "zen.example", Listed.CLIENT),
        (SCAN.replace("\r\n", "\\n"), BOB, "taken@relay.example", Stage.MESSAGE, None, None),
        ("550 5.1.8 not from you", "refused@partner.example", "taken@relay.example", Stage.MAIL, None, None),
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def site() -> Iterator[Machine]:
    names: Mapping[str, Mapping[str, list[str]]] = {
        "7.100.51.198.in-addr.arpa": {"PTR": ["mx.partner.example."]}
    }  # fmt: skip
    with machine(zone={**world.zone(), **names}) as made:
        yield made


@pytest.fixture(scope="module")
def messages(site: Machine) -> Iterator[list[str]]:
    with syslog(site) as came:
        yield came


@pytest.fixture(scope="module", params=["", MORE], ids=["default", "everything"])
def written(
    site: Machine, messages: list[str], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    logs = tmp_path_factory.mktemp("logs")
    begin = datetime.now(UTC).replace(microsecond=0)
    messages.clear()
    with remote() as port:
        site.plain(CONFIGURATION.format(exim=site.exim, port=site.port, remote=port, more=request.param))
        with site.daemon():
            a_day(site)
            if request.param:
                talk(site, LISTED, FORGED_HELO, f"MAIL FROM:<{BOB}>", f"RCPT TO:<{DESK}>")
    assert until(lambda: any("End queue run" in each for each in messages))
    for name in ("mainlog", "rejectlog"):
        shutil.move(site.root / "var/log/exim4" / name, logs / name)
    # A daemon of syslog writes who said it after the time.
    (logs / "syslog").write_text("".join(f"{each[:20]}mx {each[20:]}\n" for each in messages))
    return Written(logs / "mainlog", logs / "rejectlog", logs / "syslog", begin, datetime.now(UTC), not request.param)


def found_in(path: Path, written: Written) -> tuple[list[Rejection], list[UnreadLine]]:
    """What is read of a log that is at hand after its last line, and where its lines say that they hold."""
    so_far = ReadSoFar(str(path))
    with opened(str(path), datetime.now(UTC)) as log:
        found = list(read(log, FORMATS, UTC, so_far))
    rejections = [each for each in found if isinstance(each, Rejection)]
    assert all(written.begin <= each.at <= written.end for each in rejections)
    assert so_far.formats == {"exim": len(rejections)}
    return [_plain(each) for each in rejections], [each for each in found if isinstance(each, UnreadLine)]


def _plain(it: Rejection) -> Rejection:
    """Without time and place, and the words of JunkMail, which hold the client's port."""
    reply = "JUNK" if it.reply.startswith('"JunkMail rejected - mx.partner.example (client.example) [') else it.reply
    return it._replace(at=AT, place=PLACE, reply=reply)


def bounced(written: Written) -> Counter[Rejection]:
    """Exim names the sender if it is told to."""
    return Counter(each._replace(sender=None) if written.is_default else each for each in BOUNCED)


def test_the_main_log_has_every_refusal(written: Written) -> None:
    found, unread = found_in(written.main, written)
    ours = [each for each in found if each.kind is not RejectionKind.BOUNCED]
    assert ours == [*REFUSED, *(each for each, _ in AFTER_DATA), AT_DATA]
    assert Counter(found) - Counter(ours) == bounced(written)
    assert all(FORGED_HELO in each.text for each in unread)
    assert bool(unread) is not written.is_default


def test_the_reject_log_has_the_recipients_as_well(written: Written) -> None:
    found, unread = found_in(written.reject, written)
    after_data = [each._replace(recipient=name) for each, names in AFTER_DATA for name in names]
    assert found == [*REFUSED, *after_data, AT_DATA]
    assert len(unread) == (0 if written.is_default else 1)


def test_syslog_has_both_with_the_time_a_second_time(written: Written) -> None:
    """And each line of the reject log behind its number."""
    assert "mx exim[" in written.syslog.read_text()
    assert "]: [1" in written.syslog.read_text()
    found, _ = found_in(written.syslog, written)
    assert set(found) == {*REFUSED, *(each for each, _ in AFTER_DATA), AT_DATA, *bounced(written)}
    times = Counter(found)
    assert all(times[each] >= 2 for each in REFUSED)
