"""`safelist check rspamd`, and what it asks of a real one."""

import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from safelist.publisher import rspamd_check
from safelist.publisher.targets import rspamd
from safelist.publisher.targets.rspamd import RspamdSettings
from tests.cli.command import Command
from tests.mail.world import ALL, BOB, DESK
from tests.publisher.site import needs_root
from tests.rspamd import servers
from tests.rspamd.conftest import write
from tests.rspamd.servers import Installation
from tests.rspamd.test_mail import everybody, pair
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(servers.missing()), reason=servers.missing())

DATABASE = '[database]\nurl = "sqlite:////nonexistent/safelist.db"\n'
"""Which the check does not open."""


@pytest.fixture(scope="module")
def maps() -> Iterator[Path]:
    with servers.directory() as root:
        yield root / "senders"


@pytest.fixture(scope="module")
def site(maps: Path) -> Iterator[Installation]:
    """Running, with the rule."""
    with servers.installed(rspamd.rule(RspamdSettings(path=maps))) as found, found.running():
        yield found


@pytest.fixture
def published(maps: Path) -> Path:
    write(
        RspamdSettings(path=maps), [everybody(ALL), everybody(".x.example")], [pair(BOB, safe=False), pair("y.example")]
    )
    return maps


def configured(directory: Path, path: Path, **keys: str) -> Command:
    safelist = Command(directory)
    lines = "".join(f"{name} = {value}\n" for name, value in keys.items())
    safelist.config.write_text(f'{DATABASE}[publish.rspamd]\npath = "{path}"\n{lines}')
    return safelist


def faults(safelist: Command) -> list[str]:
    done = safelist("check", "rspamd", "--json")
    found = [row["text"] for row in done.json if row["fault"]]
    assert (done.code, done.err) == (78 if found else 0, "")
    return found


def only_fault(safelist: Command) -> str:
    (fault,) = faults(safelist)
    return fault


class Silent(BaseHTTPRequestHandler):
    """Knows no method, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None: ...


def test_an_rspamd_that_has_read_what_was_published_has_no_faults(
    site: Installation, published: Path, tmp_path: Path
) -> None:
    safelist = configured(tmp_path, published, url=f'"{site.normal}"')
    assert until(lambda: faults(safelist) == [])
    done = safelist("check", "rspamd")
    assert (done.code, done.err) == (0, "")
    assert rspamd.rule(RspamdSettings(path=published)) in done.out
    assert done.out.splitlines()[-5:] == [
        f"note: rspamd has read {published}: 2 keys",
        f"note: rspamd has read {published}.recipients: 2 keys",
        f"note: rspamd finds {ALL} safe for everybody, if it proves itself",
        f"note: rspamd finds y.example safe for {DESK}, if it proves itself",
        "no faults",
    ]


def test_what_has_been_read_is_asked_once(site: Installation, published: Path, tmp_path: Path) -> None:
    """The rule goes through all keys then, and the worker answers nobody else meanwhile."""
    asked: list[str | None] = []

    class Relay(Silent):
        def do_POST(self) -> None:
            asked.append(self.headers["Safelist-Check"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(f"{site.normal}/checkv2", body, dict(self.headers))
            with urlopen(request, timeout=20) as answer:
                self.send_response(answer.status)
                self.end_headers()
                self.wfile.write(answer.read())

    assert until(lambda: faults(configured(tmp_path, published, url=f'"{site.normal}"')) == [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found = faults(configured(tmp_path, published, url=f'"http://127.0.0.1:{server.server_port}"'))
        server.shutdown()
    assert (found, asked) == ([], ["1", None, None])


def test_a_controller_is_asked_with_its_password(site: Installation, published: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    url = f'"{site.controller}"'
    assert "asks for a password" in only_fault(configured(tmp_path, published, url=url))
    safelist = configured(tmp_path, published, url=url, password_file=f'"{secret}"')
    assert f"password_file: {secret} cannot be read" in only_fault(safelist)
    secret.write_text("wrong\n")
    assert "asks for a password" in only_fault(safelist)
    secret.write_text("secret\n")
    assert until(lambda: faults(safelist) == [])


def test_without_a_section_it_says_what_to_write(tmp_path: Path) -> None:
    safelist = Command(tmp_path)
    safelist.config.write_text(DATABASE)
    assert only_fault(safelist).startswith("the configuration has no [publish.rspamd]: write that section")


def test_what_is_not_published_is_to_be_published(site: Installation, tmp_path: Path) -> None:
    safelist = configured(tmp_path, tmp_path / "senders", url=f'"{site.normal}"')
    assert only_fault(safelist) == f"{tmp_path}/senders has not been published: run `safelist publish`"
    (tmp_path / "senders").write_text("bob@partner.example\n")
    assert "safelist did not write this file" in only_fault(safelist)


def test_where_no_rspamd_answers_it_is_to_be_started(published: Path, tmp_path: Path) -> None:
    port = servers.free_port()
    safelist = configured(tmp_path, published, url=f'"http://127.0.0.1:{port}"')
    fault = only_fault(safelist)
    assert fault.startswith(f"no rspamd answers at http://127.0.0.1:{port} ([Errno 111] Connection refused)")
    assert "`systemctl start rspamd`" in fault


def test_something_else_that_answers_is_told_apart(published: Path, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        fault = only_fault(configured(tmp_path, published, url=f'"http://127.0.0.1:{server.server_port}"'))
        server.shutdown()
    assert "answers with HTTP status 501, and not as rspamd does" in fault


def test_another_rule_than_the_one_that_is_configured_is_to_be_replaced(
    site: Installation, published: Path, tmp_path: Path
) -> None:
    safelist = configured(tmp_path, published, url=f'"{site.normal}"', every_recipient="true")
    fault = only_fault(safelist)
    assert "has loaded another rule than `safelist check rspamd` prints" in fault
    assert "put this one in its place in /etc/rspamd/rspamd.local.lua and run `systemctl restart rspamd`" in fault


def test_an_rspamd_without_the_rule_or_without_spf_has_a_fault(published: Path, tmp_path: Path) -> None:
    with servers.installed(more={"spf.conf": "enabled = false;"}) as found:
        safelist = configured(tmp_path, published, url=f'"{found.normal}"')
        rule = found.configuration / "rspamd.local.lua"
        with found.running():
            assert "has not loaded safelist's rule: write what `safelist check rspamd` prints" in only_fault(safelist)
            rule.write_text(rspamd.rule(RspamdSettings(path=published)))
            assert "has not loaded safelist's rule" in only_fault(safelist), "it is there, and not read"
        with found.running():
            assert until(lambda: len(faults(safelist)) == 1)
            assert "this rspamd does not check SPF" in only_fault(safelist)


@needs_root
def test_a_map_that_rspamd_may_not_read_has_a_fault(site: Installation, published: Path, tmp_path: Path) -> None:
    safelist = configured(tmp_path, published, url=f'"{site.normal}"')
    assert until(lambda: faults(safelist) == [])
    new = published.with_name("new")
    new.write_bytes(published.read_bytes() + b"new@partner.example!none\n")
    new.chmod(0o600)
    new.rename(published)
    fault = faults(safelist)[0]  # newer versions hold nothing more of it, and have a second one
    assert re.match(rf"rspamd's user \(_rspamd\) cannot open {published}: it has (0|2|no) keys of it", fault)
    published.chmod(0o644)
    assert until(lambda: faults(safelist) == [])


@needs_root
def test_a_directory_that_rspamd_may_enter_at_its_start_only_has_a_fault(published: Path, tmp_path: Path) -> None:
    """It is root then, and has read all: the next map would never be read."""
    with servers.installed(rspamd.rule(RspamdSettings(path=published))) as found:
        safelist = configured(tmp_path, published, url=f'"{found.normal}"')
        published.parent.chmod(0o700)
        try:
            with found.running():
                for_all, pairs = faults(safelist)
        finally:
            published.parent.chmod(0o755)
    assert for_all.startswith(
        f"rspamd's user (_rspamd) cannot open {published}: it has 2 keys of it, from before or, as root, from"
    )
    assert f"cannot open {published}.recipients: it has 2 keys" in pairs
    assert "enter each directory above it" in for_all


def test_as_many_keys_of_another_map_are_told_apart(site: Installation, published: Path, tmp_path: Path) -> None:
    """The file that is there when the check looks, and the one that rspamd has read, have the same first sender."""
    safelist = configured(tmp_path, published, url=f'"{site.normal}"')
    assert until(lambda: faults(safelist) == [])
    other = tmp_path / "senders"
    shutil.copy(f"{published}.recipients", f"{other}.recipients")
    other.write_bytes(published.read_bytes().replace(b".x.example", b".z.example"))
    asked = rspamd_check.PublishedRule(
        rspamd.NAME, site.normal, None, rspamd.digest(RspamdSettings(path=published)), rspamd.RULE_FILE
    )
    maps = rspamd_check.PublishedMaps((other, rspamd.recipients(other)), rspamd.HEADER, rspamd.EXCEPTION)
    (fault,) = (each.text for each in rspamd_check.remarks(asked, maps) if each.is_fault)
    assert fault.startswith(f"rspamd has read other keys than {other} has, though as many, 2: it looks every few sec")
