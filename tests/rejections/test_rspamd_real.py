"""rspamd's own lines: a real one judges mails, and its log and its history are read back with every field."""

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist.rejections.formats import FORMATS
from safelist.rejections.log_files import opened
from safelist.rejections.reading import ReadSoFar, UnreadLine, read
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from tests.mail.world import BOB, CLEAN, DESK, FORGER, OTHER, Offer
from tests.programs import installation
from tests.rspamd import servers
from tests.rspamd.servers import DNSBL, Installation, free_port
from tests.waiting import until

WHY_NOT = servers.missing() or installation({"redis-server": "redis-server"})
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

MANY = tuple(f"r{number * 7 % 10}@corp.example" for number in range(10))
"""Not in order, which weighs as much as a list."""
TAIL = "]), len: 1, time: 1ms, dns req: 1, digest: <0123456789abcdef0123456789abcdef>, rcpts: <victim@corp.example>"
VERDICT = "(default: T (reject): [99.00/15.00] [RBL_X(99.00){}"
RULE = r"""
rspamd_config:register_symbol({ name = "SAID", type = "normal", score = 1.0, callback = function(task)
  local subject = task:get_subject() or ""
  if subject:find("say ") then return true, 1.0, { subject, "b}c" } end
end })
rspamd_config:register_symbol({ name = "SPAM", type = "normal", score = 30.0, callback = function(task)
  return (task:get_subject() or ""):find("spam") ~= nil
end })
rspamd_config:register_symbol({ name = "FORCED", type = "prefilter", callback = function(task)
  local subject = task:get_subject() or ""
  if subject == "reject" then task:set_pre_result("reject", '5.7.1 go "away"; now', "a rule") end
  if subject == "later" then task:set_pre_result("soft reject", "Try again later", "a rule") end
end })
"""
LOGGING = 'type = "console"; level = "info"; {}'
AT, PLACE = datetime.min.replace(tzinfo=UTC), LogPlace("", 0)


@dataclass(frozen=True)
class Scanned:
    """A mail, what is said of it by HTTP besides, and how it is refused: reply, and whether the DNSBL is why."""

    offer: Offer
    subject: str
    reply: str = ""
    is_listed: bool = True
    kind: RejectionKind | None = RejectionKind.REJECTED

    def rejections(self, told: tuple[str | None, ...]) -> list[Rejection]:
        """One for each recipient that is told of."""
        if self.kind is None:
            return []
        provider, listed = (DNSBL, Listed.CLIENT) if self.is_listed else (None, None)
        return [
            Rejection(AT, self.kind, PLACE, self.reply, self.offer.client, None, self.offer.sender, each, Stage.MESSAGE,
                      provider, listed)
            for each in told
        ]  # fmt: skip


MAILS = (
    Scanned(Offer(BOB), "an invoice"),
    Scanned(Offer("", (DESK, OTHER)), "an invoice"),
    Scanned(Offer(BOB, MANY, client=FORGER), "an invoice"),
    Scanned(Offer(BOB, client=CLEAN), "an invoice", kind=None),
    Scanned(Offer(BOB), "spam", is_listed=False),
    Scanned(Offer(BOB, client="2001:db8::9"), "spam", is_listed=False),
    Scanned(Offer(BOB), "reject", '5.7.1 go "away"; now', is_listed=False),
    Scanned(Offer(BOB), "later", "Try again later", is_listed=False, kind=RejectionKind.DEFERRED),
    Scanned(Offer("a b@partner.example"), "say \x1b[31m caf\xe9"),
)
FORGERIES = (Scanned(Offer(BOB), f"say {TAIL}"), Scanned(Offer(BOB), f"say {VERDICT}"))


def scan(address: str, mail: Scanned) -> None:
    """As a mail server asks; addresses come in quotes where they need them."""
    local, _, domain = mail.offer.sender.rpartition("@")
    sender = f'"{local}"@{domain}' if " " in local else mail.offer.sender
    message = mail.offer.message().replace(b"an invoice", mail.subject.encode("latin-1"))
    headers = [("IP", mail.offer.client), ("From", sender), ("Helo", "client.example"), ("Queue-Id", "4XYz")]
    with _connected(address) as connection:
        connection.putrequest("POST", "/checkv2")
        for name, value in (*headers, *(("Rcpt", each) for each in mail.offer.recipients)):
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(message)))
        connection.endheaders(message)
        assert json.loads(connection.getresponse().read())["action"] in ("reject", "soft reject", "add header")


def history(address: str) -> bytes:
    with _connected(address) as connection:
        connection.request("GET", "/history", headers={"Password": "secret"})
        return connection.getresponse().read()


def _connected(address: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60))


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """Its address; it keeps nothing."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@dataclass(frozen=True)
class Kept:
    """What was written of the mails: the log's file, and the history."""

    log: Path
    history: Path
    begin: datetime


def keep(directory: Path, more: dict[str, str], is_there: Callable[[bytes], bool]) -> Kept:
    """Let a real rspamd judge the mails."""
    begin = datetime.now(UTC) - timedelta(seconds=1)
    with servers.installed(RULE, more) as found, found.running():
        for mail in (*MAILS, *FORGERIES):
            scan(found.normal, mail)
        assert until(lambda: is_there(history(found.controller)))
        (directory / "history").write_bytes(history(found.controller))
        assert until(lambda: _lines(found) == len(MAILS) + len(FORGERIES))
        (directory / "log").write_bytes((found.root / "log").read_bytes())
    return Kept(directory / "log", directory / "history", begin)


def _lines(found: Installation) -> int:
    return (found.root / "log").read_bytes().count(b"rspamd_task_write_log")


def _rows(document: bytes) -> int:
    rows = json.loads(document)
    return len(rows["rows"] if isinstance(rows, dict) else rows)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """As it comes, without Redis."""
    more = {"history_redis.conf": "enabled = false;", "greylist.conf": "enabled = false;"}
    return keep(tmp_path_factory.mktemp("plain"), more, lambda it: _rows(it) == len(MAILS) + len(FORGERIES))


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """With Redis, and a log that says more."""
    directory = tmp_path_factory.mktemp("rich")
    with redis(directory) as address:
        more = {
            "history_redis.conf": f'servers = "{address}";',
            "greylist.conf": "enabled = false;",
            "logging.inc": LOGGING.format("log_usec = true; log_severity = true;"),
        }
        yield keep(directory, more, lambda it: _rows(it) == len(MAILS) + len(FORGERIES))


def found_in(path: Path, begin: datetime) -> tuple[list[Rejection], list[UnreadLine]]:
    so_far = ReadSoFar(str(path))
    now = datetime.now(UTC)
    with opened(str(path), now) as log:
        zone = now.astimezone().tzinfo
        assert zone is not None
        found = list(read(log, FORMATS, zone, so_far))
    rejections = [each for each in found if isinstance(each, Rejection)]
    assert all(begin <= each.at <= now for each in rejections)
    plain = [each._replace(at=AT, place=PLACE) for each in rejections]
    return plain, [each for each in found if isinstance(each, UnreadLine)]


@pytest.mark.parametrize("kept", ["plain", "rich"])
def test_the_log_has_every_rejection(kept: str, request: pytest.FixtureRequest) -> None:
    """Of ten recipients eight, and that there are more; a mail's own words choose no recipient and no verdict."""
    written: Kept = request.getfixturevalue(kept)
    found, unread = found_in(written.log, written.begin)
    expected = [
        each
        for mail in MAILS
        for each in mail.rejections((*MANY[:8], None) if mail.offer.recipients == MANY else mail.offer.recipients)
    ]
    forged, _ = FORGERIES
    assert found == [*expected, *(each._replace(sender=BOB) for each in forged.rejections((None,)))]
    assert [each.why for each in unread] == [
        "expected one verdict, and found another one, which the mail's writer may have written"
    ]


def test_the_history_of_redis_has_every_rejection(rich: Kept) -> None:
    """The latest first; of a forced action without its words."""
    found, unread = found_in(rich.history, rich.begin)
    expected = [
        each._replace(reply="")
        for mail in reversed((*MAILS, *FORGERIES))
        for each in mail.rejections(mail.offer.recipients)
    ]
    assert (found, unread) == (expected, [])


def test_the_history_without_redis_has_less(plain: Kept) -> None:
    found, unread = found_in(plain.history, plain.begin)
    assert unread == []
    assert found == [
        each._replace(reply="", sender=None, provider=None, listed=None)
        for mail in (*MAILS, *FORGERIES)
        for each in mail.rejections((None,))
    ]
