"""A real rspamd on loopback with Debian's configuration, and local.d and rspamd.local.lua of its own."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.filter.dns_server import nameserver
from tests.mail import world
from tests.mail.world import Offer
from tests.waiting import until

DNSBL = "RBL_TEST"
"""The symbol of the world's DNSBL; it weighs more than rspamd needs to reject."""
URIBL, LISTED_HOST = "URL_TEST", "phish.example"
"""The symbol of a list of URLs, which is of rspamd's group for them, and a host that it has."""

_LOCAL = {
    "worker-normal.inc": 'bind_socket = "127.0.0.1:{normal}"; count = 1;',
    "worker-controller.inc": 'bind_socket = "127.0.0.1:{controller}"; secure_ip = []; password = "secret";',
    "worker-proxy.inc": "enabled = false;",
    "worker-fuzzy.inc": "enabled = false;",
    "fuzzy_check.conf": "enabled = false;",
    "logging.inc": 'type = "console"; level = "info";',
    "rbl.conf": 'rbls {{ test {{ symbol = "RBL_TEST"; rbl = "{dnsbl}"; ipv6 = false; checks = ["from"]; '
    'returncodes {{ RBL_TEST = "127.0.0.2"; }} }} '
    'urls {{ symbol = "URL_TEST"; rbl = "{dnsbl}"; checks = ["urls"]; }} }}',
    "surbl_group.conf": 'symbols = {{ "URL_TEST" {{ weight = 6.5; }} }}',
    "rbl_group.conf": 'symbols = {{ "RBL_TEST" {{ weight = 20.0; }} "RBL_TEST_ANY" {{ weight = 16.0; }} }}',
    "composites.conf": 'RBL_TEST_ANY {{ expression = "RBL_TEST"; policy = "leave"; }}',
    "options.inc": 'dns {{ nameserver = ["{nameserver}"]; timeout = 5s; }} disable_hyperscan = true; '
    'map_watch_interval = 0.2s; url_tld = "{root}/suffixes";',
}
"""Files of local.d. Without hyperscan, and with few public suffixes, rspamd starts in two seconds instead of ten."""


def missing() -> str:
    """Why rspamd cannot run here; empty where it can."""
    return "" if shutil.which("rspamd") else "apt-get install rspamd"


@dataclass(frozen=True)
class Answer:
    """What rspamd says of a mail: its action, and its symbols with their weights and options."""

    action: str
    weights: Mapping[str, float]
    options: Mapping[str, list[str]]

    @property
    def is_lifted(self) -> bool:
        """Whether a mail from a listed client passes, and the DNSBL counts for nothing."""
        counts = self.weights.get(DNSBL, 0) > 0
        assert counts == (self.action == "reject") == ("SAFELIST_LIFTED" not in self.weights), self
        return not counts


@dataclass(frozen=True)
class Rspamd:
    """A running one, by the address of its normal worker."""

    normal: str

    def answer(self, offer: Offer, **headers: str) -> Answer:
        """Scan a mail as it is offered; ``headers`` go with the request."""
        given = {"IP": offer.client, "From": offer.sender, "Helo": "client.example", **headers}
        message = offer.message()
        with closing(http.client.HTTPConnection(self.normal.removeprefix("http://"), timeout=60)) as connection:
            connection.putrequest("POST", "/checkv2")
            for name, value in (*given.items(), *(("Rcpt", each) for each in offer.recipients)):
                connection.putheader(name, value.encode())
            connection.putheader("Content-Length", str(len(message)))
            connection.endheaders(message)
            found = json.loads(connection.getresponse().read())
        symbols = found["symbols"]
        return Answer(
            found["action"],
            {name: each["score"] for name, each in symbols.items()},
            {name: each.get("options", []) for name, each in symbols.items()},
        )

    def asked(self, offer: Offer) -> Mapping[str, list[str]]:
        """What safelist's rule alone says of a mail, without a proof: its symbols and their options."""
        return self.answer(offer, Settings='{"symbols_enabled":["SAFELIST_CHECK"]}').options

    def keys(self) -> list[str]:
        """How many keys it has of each map, for everybody first."""
        said = self.answer(Offer("x@x.example"), **{"Safelist-Check": "1"}).options["SAFELIST_READ"]
        return [each.partition("=")[2] for each in said if each.startswith(("everybody=", "recipients="))]

    def reads(self, everybody: int, recipients: int) -> bool:
        """Whether it comes to have so many keys."""
        return until(lambda: self.keys() == [str(everybody), str(recipients)])


@contextmanager
def directory() -> Iterator[Path]:
    """A new directory that rspamd's own user may enter."""
    found = Path(tempfile.mkdtemp(prefix="safelist-rspamd-"))
    found.chmod(0o755)
    try:
        yield found
    finally:
        shutil.rmtree(found)


@dataclass(frozen=True)
class Installation:
    """The files of an rspamd that may be started several times: below ``root`` its configuration, and its ports."""

    root: Path
    ports: Mapping[str, int]

    @property
    def configuration(self) -> Path:
        """What /etc/rspamd is for the system's."""
        return self.root / "etc"

    @property
    def normal(self) -> str:
        """The address of the normal worker."""
        return f"http://127.0.0.1:{self.ports['normal']}"

    @property
    def controller(self) -> str:
        """The address of the controller, whose password is ``secret``."""
        return f"http://127.0.0.1:{self.ports['controller']}"

    @contextmanager
    def running(self) -> Iterator[Rspamd]:
        """Start it, and stop it."""
        with (self.root / "log").open("wb") as log:
            server = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            assert until(lambda: server.poll() is not None or self._listens()), "it does not answer"
            assert server.poll() is None, (self.root / "log").read_text()
            yield Rspamd(self.normal)
        finally:
            server.terminate()
            server.wait(60)

    def _listens(self) -> bool:
        return all(map(_pongs, self.ports.values()))

    @property
    def _command(self) -> list[str]:
        places = {"LOCAL_CONFDIR": "etc", "DBDIR": "db", "RUNDIR": "run", "LOGDIR": "run"}
        variables = [f"--var={name}={self.root / place}" for name, place in places.items()]
        user = ["-u", "_rspamd", "-g", "_rspamd"] if os.geteuid() == 0 else []
        return ["rspamd", "-f", *user, "-c", "/etc/rspamd/rspamd.conf", *variables]


@contextmanager
def installed(rule: str = "", more: Mapping[str, str] | None = None) -> Iterator[Installation]:
    """rspamd with ``rule`` as its rspamd.local.lua (none if empty), ``more`` files of local.d, and the world's DNS."""
    listed = {f"{LISTED_HOST}.{world.DNSBL}": {"A": ["127.0.0.2"]}}
    with directory() as root, nameserver({**world.zone(), **listed}) as dns:
        found = Installation(root, {name: free_port() for name in ("normal", "controller")})
        values = {"nameserver": "{}:{}".format(*dns.address), "dnsbl": world.DNSBL, "root": str(root), **found.ports}
        for name in ("etc/local.d", "etc/override.d", "etc/maps.d", "db", "run"):
            (root / name).mkdir(parents=True)
        for name, text in ({name: text.format(**values) for name, text in _LOCAL.items()} | dict(more or {})).items():
            (root / "etc/local.d" / name).write_text(text)
        if rule:
            (root / "etc/rspamd.local.lua").write_text(rule)
        (root / "suffixes").write_text("example\ncom\n")
        for name in ("db", "run") if os.geteuid() == 0 else ():
            shutil.chown(root / name, "_rspamd", "_rspamd")
        yield found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _pongs(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/ping")
            return connection.getresponse().read().strip() == b"pong"
    except (OSError, http.client.HTTPException):
        return False
