"""An aggregate for the pages' tests, the command that serves it, and questions over its socket."""

import getpass
import http.client
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from safelist import store, used
from safelist.config import toml
from safelist.entry import Entry, UserList
from safelist.override import Effect, Terms
from safelist.sender import Form, Pattern, Refusal
from safelist.store import RejectionCount, RuleVersion, Store
from safelist.used import Key
from tests import aggregate
from tests.waiting import until

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
PAYLOAD = "<img src=x onerror=window.hacked=1>"
HOSTILE = (
    "\"<script>window.hacked=1</script>\"@evil.example",
    'x" onmouseover="window.hacked=1" y="@evil.example',
    "'><svg/onload=window.hacked=1>@evil.example",
    "{{7*7}}{% raw %}@evil.example",
    "</style></title>&lt;b&gt;<!--@evil.example",
    "\u202egnp.exe@evil.example",
    "\x1b[31mred\x07@evil.example",
    f"{'long' * 60}@{'label.' * 8}evil.example",
)  # fmt: skip
USER, HELPDESK, AUDITOR = "user@corp.example", "anna@corp.example", "otto@corp.example"
AOL = "accounts.desk@aol.com"


def entries(*texts: str, list_: UserList = UserList.SAFE_SENDERS) -> frozenset[Entry]:
    return frozenset(Entry(list_, Pattern(text, Form.ADDRESS)) for text in texts)


def fill(opened: Store) -> None:
    """Something on every page, and texts that try to break out of it."""
    run = opened.begin_run(NOW, "sync", "root")
    refused = Entry(UserList.SAFE_SENDERS, Pattern("/o=corp/cn=old", Form.REFUSED, Refusal.X500))
    domains = {Entry(UserList.SAFE_SENDER_DOMAINS, Pattern("aol.com", Form.DOMAIN)), refused}
    lists = {
        USER: entries(AOL, "lonely@x.example", "boss@corp.example") | domains
        | entries("spam@bulk.example", list_=UserList.BLOCKED_SENDERS),
        "second@corp.example": entries(AOL, *HOSTILE), "third@corp.example": entries(AOL),
        **{f"m{number:03}@corp.example": entries("popular@x.example") for number in range(130)},
    }  # fmt: skip
    for address, held in lists.items():
        opened.record(run, address, RuleVersion(address, "r", "c", b"d", 1), held, frozenset(UserList), NOW)
    opened.end_run(run, NOW, {"collected": len(lists)}, None)
    for text in HOSTILE:
        terms = Terms(Effect.BLOCK, Pattern(text, Form.ADDRESS), f"{PAYLOAD}{text}", ticket=PAYLOAD)
        opened.make_overrides([terms], NOW, f"root{PAYLOAD}")
    opened.keep_rejections([RejectionCount("2026-11-20", PAYLOAD, "lifted", "quorum", 7, 9)])


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    text: str


class _Connection(http.client.HTTPConnection):
    """HTTP to a socket's path."""

    def __init__(self, path: Path) -> None:
        super().__init__("safelist", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Reach the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Served:
    """The command that serves the aggregate in ``directory``."""

    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def config(self) -> Path:
        return self.directory / "safelist.toml"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.directory / 'safelist.db'}"

    def ask(self, path: str, user: str | None = USER, method: str = "GET", **query: str) -> Answer:
        """What the page at ``path`` answers that user."""
        given = {} if user is None else {"X-Remote-User": user}
        with closing(_Connection(self.socket)) as connection:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, headers=given)
            answered = connection.getresponse()
            return Answer(answered.status, answered.headers, answered.read().decode())

    def send(self, data: bytes) -> bytes:
        """What the server says to those bytes, until it closes."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(60)
            plain.connect(str(self.socket))
            plain.sendall(data)
            found = b""
            while piece := plain.recv(65536):
                found += piece
            return found

    def looks(self) -> list[tuple[str, str, str | None, str | None, int]]:
        """Who was shown what, in the order of time."""
        with store.open_store(self.url) as opened:
            found = opened.looks(store.Window())
            return [
                (event.actor, look.page, look.mailbox, look.sender, look.names)
                for event in found if (look := event.look) is not None
            ]  # fmt: skip


def made(directory: Path, proxy_users: tuple[str, ...] = ()) -> Served:
    """An aggregate that is filled, and a configuration whose web server runs as whoever runs the test."""
    site = Served(directory)
    aggregate.create(directory / "safelist.db")
    with store.open_store(site.url) as opened:
        fill(opened)
    at = int(NOW.timestamp())
    used.add(directory / "used.db", [(*Key("quorum", AOL, ""), at, at, 3)])
    users = proxy_users or (str(os.getuid()),)
    site.config.write_text(
        f"""\
[database]
url = {toml(site.url)}
[publish.filter]
path = {toml(str(directory / "snapshot"))}
used = {toml(str(directory / "used.db"))}
[web]
socket = {toml(str(site.socket))}
proxy_users = {toml(users)}
domain = "corp.example"
realms = ["AD.EXAMPLE"]
helpdesk = [{toml(HELPDESK)}]
auditors = [{toml(AUDITOR)}]
""",
        encoding="utf-8",
    )
    return site


@contextmanager
def running(site: Served, *options: str) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """The command, serving; and the file of what it says."""
    log = site.directory / "log"
    with log.open("w") as said:
        line = [sys.executable, "-m", "safelist", "web", "--config", str(site.config), *options]
        process = subprocess.Popen(line, stderr=said, text=True)
        try:
            words = "DEMONSTRATION" if options else "listening on"
            assert until(lambda: words in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process, log
        finally:
            process.terminate()
            process.wait(60)


def me() -> str:
    """The account that runs the test."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return getpass.getuser()
