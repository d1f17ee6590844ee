"""`safelist filter run` that answers look-ups: the documents' lines, what it counts and logs, and the check."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

import safelist
from safelist import snapshot
from safelist.config import toml
from safelist.entry import UserList
from safelist.filter.lookup_probe import fault_at
from tests.cli.command import Command, Done
from tests.docs.documents import PAGES
from tests.filter.dns_server import unused_address
from tests.filter.loopback import LOOPBACK, dial, dripping, rest
from tests.filter.site import Filter, running
from tests.filter.test_lookup import ALL, BOB, DESK, OTHER, held, reply_of, sample
from tests.filter.test_server import ACTIVATION, ask, asked
from tests.waiting import until

PAGE = "docs/filters/dnsbl-filter.md"
NOBODY_HERE = unused_address()


ADVICE = ": is safelist-filter.service running, and was it restarted since `lookup` was written?"


@contextmanager
def refusing(host: str = "127.0.0.1") -> Iterator[str]:
    """An address that nobody else gets, and where nobody listens."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        yield f"inet:{host}:{bound.getsockname()[1]}"


def where(started: Filter) -> str:
    """The first address at which it answers look-ups; it chose the port itself."""
    return next(re.split("[ ,]+", line)[4] for line in started.lines() if "listening for lookup on" in line)


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("inet:").rpartition(":")
    return host, int(port)


@contextmanager
def filter_(directory: Path, **keys: Any) -> Iterator[Filter]:
    """A filter with the sample's snapshot, ready to answer."""
    path = directory / "snapshot"
    if not path.exists():
        snapshot.write(path, sample())
    with running(directory, "filter", path, NOBODY_HERE, **keys) as started:
        assert until(lambda: started.has_said("listening for lookup")), started.log.read_text()
        yield started


def status(address: str, target: str) -> int:
    """What one question gets."""
    with dial(address) as client:
        client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        return reply_of(rest(client)).status


def test_both_questions_are_answered_by_one_process(tmp_path: Path) -> None:
    unix = f"unix:{tmp_path}/lookup"
    with filter_(tmp_path, lookup=[LOOPBACK, unix], mode="observe") as started:
        lookup = where(started)
        assert started.has_said(f"listening for lookup on {lookup}, {unix}")
        for address in (lookup, unix):
            assert status(address, f"/lookup?key={DESK}%7C{BOB}") == 200
            assert status(address, f"/lookup?key={OTHER}%7C{BOB}") == 404
        assert asked(started.address, ask()) == "DUNNO"
        assert Path(tmp_path, "lookup").stat().st_mode & 0o777 == 0o660
        assert until(lambda: len(logged(started)) == 2)
        (line, _) = logged(started)
        assert line["lookup"] == {"sender": BOB, "recipient": DESK}
        assert (line["safe"], line["reason"], line["authentication"]) == (True, "trusted-address", "dkim-or-spf")
        assert not started.has_said(OTHER), "who is not safe is counted, and no line"
    assert not Path(tmp_path, "lookup").exists()


def logged(started: Filter) -> list[dict[str, Any]]:
    """What it said of look-ups."""
    return [line for line in started.verdicts() if "lookup" in line]


def test_a_new_snapshot_counts_at_once(tmp_path: Path) -> None:
    with filter_(tmp_path, lookup=[LOOPBACK]) as started:
        lookup = where(started)
        assert status(lookup, f"/lookup?key={ALL}") == 200
        snapshot.write(tmp_path / "new", sample()._replace(tallies=()))
        (tmp_path / "new").rename(started.snapshot)
        started.look_again()
        assert until(lambda: status(lookup, f"/lookup?key={ALL}") == 404)


def test_what_is_looked_up_is_counted_apart(tmp_path: Path) -> None:
    host, port = unused_address()
    metrics = f"inet:{host}:{port}"
    with filter_(tmp_path, lookup=[LOOPBACK], metrics=f"{host}:{port}") as started:
        lookup = where(started)
        for target in (f"/lookup?key={DESK}|{BOB}", f"/lookup?key={DESK}|{BOB}", f"/lookup?key={BOB}", "/"):
            status(lookup, target)
        assert until(lambda: not fault(metrics))
        client = HTTPConnection(*host_and_port(metrics), timeout=20)
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
        client.close()
    for line in (
        'safelist_lookups_total{reason="trusted-address",status="200"} 2.0',
        'safelist_lookups_total{reason="nobody",status="404"} 1.0',
        'safelist_lookups_total{reason="",status="400"} 1.0',
        'safelist_lookup_events_total{event="requests"} 4.0',
        'safelist_server_events_total{event="requests"} 0.0',
    ):
        assert line in text


def fault(address: str) -> int:
    with socket.socket() as probe:
        return probe.connect_ex(host_and_port(address))


def test_lookups_alone_need_neither_lists_nor_postfix(tmp_path: Path) -> None:
    snapshot.write(tmp_path / "snapshot", sample())
    keys = {"snapshot": "snapshot", "listen": [], "lookup": [f"unix:{tmp_path}/lookup"]}
    (tmp_path / "filter.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in keys.items()))
    command = [sys.executable, "-m", "safelist", "filter", "run", "--config", str(tmp_path / "filter.toml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: not fault_at(f"unix:{tmp_path}/lookup"))
        assert status(f"unix:{tmp_path}/lookup", f"/lookup?key={ALL}") == 200
        assert checked(tmp_path) == []
    finally:
        process.terminate()
        assert process.wait(60) == 0
    (told,) = checked(tmp_path)
    assert told == f"lookup: no answers on unix:{tmp_path}/lookup (No such file or directory)" + ADVICE


def test_systemd_passes_the_sockets_of_both_by_name(tmp_path: Path) -> None:
    snapshot.write(tmp_path / "snapshot", sample())
    (tmp_path / "filter.toml").write_text(
        'snapshot = "snapshot"\nlisten = ["inet:192.0.2.1:1"]\nlookup = ["unix:/nonexistent/x"]\n'
        '[[providers]]\nname = "x"\nlookup_domain = "x.example"\nany_match = true\n'
    )
    arguments = ["-m", "safelist", "filter", "run", "--config", str(tmp_path / "filter.toml")]
    with socket.create_server(("127.0.0.1", 0)) as lookup, socket.create_server(("127.0.0.1", 0)) as policy:
        passed = [lookup.fileno(), policy.fileno()]
        activation = ACTIVATION.replace('"a:b"', '"lookup:safelist-filter.socket"')
        command = [sys.executable, "-c", activation, " ".join(map(str, passed)), "0", *arguments]
        process = subprocess.Popen(command, pass_fds=passed, stderr=subprocess.DEVNULL, env=dict(os.environ))
        try:
            where = [f"inet:127.0.0.1:{each.getsockname()[1]}" for each in (lookup, policy)]
            assert status(where[0], f"/lookup?key={ALL}") == 200
            assert asked(where[1], ask()) == "DUNNO"
        finally:
            process.terminate()
            assert process.wait(60) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_systemds_socket_for_lookups_may_not_reach_beyond_this_host(host: str, tmp_path: Path) -> None:
    """ListenStream=10046 would open it to everybody."""
    snapshot.write(tmp_path / "snapshot", sample())
    keys = {"snapshot": "snapshot", "listen": [], "lookup": ["inet:127.0.0.1:1"]}
    text = "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
    activation = ACTIVATION.replace('"a:b"', '"lookup"')
    arguments = ["-m", "safelist", "filter", "run", "--config", str(tmp_path / "filter.toml")]
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as passed:
        passed.bind((host, 0))
        passed.listen()
        command = [sys.executable, "-c", activation, str(passed.fileno()), "0", *arguments]
        (tmp_path / "filter.toml").write_text(text)
        ended = subprocess.run(
            command, pass_fds=[passed.fileno()], stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert ended.returncode == os.EX_CONFIG
        assert f"lookup: other hosts may reach inet:{f'[{host}]' if ':' in host else host}:" in ended.stderr
        (tmp_path / "filter.toml").write_text(text + "lookup_beyond_loopback = true\n")
        process = subprocess.Popen(command, pass_fds=[passed.fileno()], stderr=subprocess.DEVNULL)
        try:
            assert status(f"inet:127.0.0.1:{passed.getsockname()[1]}", f"/lookup?key={ALL}") == 200
        finally:
            process.terminate()
            assert process.wait(60) == 0


# -- the documents


def test_the_curl_lines_of_the_page(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is missing: apt-get install curl")
    (block,) = (each for each in PAGES[PAGE].blocks("sh") if "curl" in each.text)
    unix = f"{tmp_path}/lookup"
    snapshot.write(tmp_path / "snapshot", sample()._replace(mailboxes=trusting("you@example.com", "bob@aol.com")))
    with filter_(tmp_path, lookup=[LOOPBACK, f"unix:{unix}"]) as started:
        told = []
        for line in block.text.splitlines():
            here = line.replace("127.0.0.1:10046", where(started).removeprefix("inet:"))
            words = shlex.split(here.replace("/run/safelist-filter/lookup", unix))
            told.append(subprocess.run([curl, "-sS", *words[1:]], capture_output=True, text=True, check=True).stdout)
    assert re.match(r"HTTP/1\.1 200 OK\n(.+\n)+\n1 dkim-or-spf\ntrusted-address: you@example.com has ", told[0])
    assert told[1].startswith('{"safe": true, "reason": "trusted-address", "authentication": "dkim-or-spf", "why": ')
    assert told[2].startswith("0\nnobody: no mailbox trusts bob@aol.com")


def trusting(mailbox: str, *senders: str) -> list[Any]:
    return [(mailbox, held(mailbox, UserList.SAFE_SENDERS, *senders))]


AS_RSPAMD = (
    "GET {path} HTTP/1.1\r\nConnection: keep-alive\r\nHost: 127.0.0.1:10046\r\nContent-Length: 0\r\n"
    "User-Agent: rspamd-3.12.1\r\nkey: {recipient}|{sender}\r\n\r\n"
)
"""What rspamd 3.12.1 sends for a map with ``method = "header"``."""


def test_rspamd_is_answered_as_its_lines_on_the_page_ask(tmp_path: Path) -> None:
    """rspamd itself is asked by hand: Debian 12's cannot ask over HTTP."""
    (block,) = PAGES[PAGE].blocks("ucl")
    backends = re.findall(r'external = true; backend = "http://127\.0\.0\.1:10046(\S+)"; method = "header"', block.text)
    assert backends == ["/lookup?proven=spf", "/lookup?proven=dkim"]
    with filter_(tmp_path, lookup=[LOOPBACK]) as started, dial(where(started)) as client:
        for path, recipient, sender_, status_, first in (
            (backends[0], DESK, BOB, 200, "1"),
            (backends[1], DESK, BOB, 200, "1"),
            (backends[0], OTHER, BOB, 404, "0"),
            (backends[0], OTHER, "spf@x.example", 200, "1"),
            (backends[1], OTHER, "spf@x.example", 404, "0"),
            (backends[0], DESK, "front desk@partner.example", 200, "1"),
            (backends[0], DESK, "", 404, "0"),
        ):
            client.sendall(AS_RSPAMD.format(path=path, recipient=recipient, sender=sender_).encode())
            reply = reply_of(client.recv(65536))
            assert (reply.status, reply.body[0]) == (status_, first)
            assert int(reply.headers["Content-Length"]) == len(reply.body.encode())
            assert "Connection" not in reply.headers


def test_the_socket_unit_is_for_lookups() -> None:
    units = Path(safelist.__file__).parent / "systemd" / "system"
    unit = (units / "safelist-filter-lookup.socket").read_text()
    assert {"FileDescriptorName=lookup", "Service=safelist-filter.service", "ListenStream=127.0.0.1:10046"} <= set(
        unit.splitlines()
    )


# -- the check


def checked(directory: Path, name: str = "filter.toml") -> list[str]:
    """What the check says of look-ups."""
    done: Done = Command(directory)("filter", "check", "--config", str(directory / name), "--json")
    return [text for each in done.json if (text := str(each["text"])).startswith("lookup")]


def test_the_check_asks(tmp_path: Path) -> None:
    with filter_(tmp_path, lookup=[LOOPBACK], timeout=0.2) as started, refusing() as nobody:
        text, path = started.configuration.read_text(), started.configuration
        for address, faults in (
            (LOOPBACK, []),
            (where(started), []),
            (nobody, [f"lookup: no answers on {nobody} (Connection refused){ADVICE}"]),
            (started.address, [f"lookup: no answers on {started.address} (what answers there is no safelist){ADVICE}"]),
        ):
            path.write_text(text.replace(f'lookup = ["{LOOPBACK}"]', f'lookup = ["{address}"]'))
            assert checked(tmp_path) == faults


def test_the_check_says_who_else_may_ask(tmp_path: Path) -> None:
    with refusing("0.0.0.0") as lookup:
        keys = {"snapshot": "snapshot", "listen": [], "lookup": [lookup], "lookup_beyond_loopback": True}
        (tmp_path / "filter.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in keys.items()))
        assert checked(tmp_path) == [
            f"lookup: whoever reaches {lookup} may ask who trusts whom; keep a firewall before it",
            f"lookup: no answers on {lookup} (Connection refused){ADVICE}",
        ]


def test_a_filter_without_a_snapshot_answers_and_the_check_says_so(tmp_path: Path) -> None:
    with running(tmp_path, "filter", tmp_path / "none", NOBODY_HERE, lookup=[LOOPBACK]) as started:
        assert until(lambda: started.has_said("listening for lookup"))
        assert status(where(started), f"/lookup?key={ALL}") == 404
        assert fault_at(where(started)) == f"there is no snapshot at {tmp_path}/none, so nobody is safe."


OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("says", [b"", OK, b"\xff" * 100, OK + b"[1]", OK + b"[" * 8000], ids=range(5))
def test_whatever_else_answers_there_is_no_safelist(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer() -> None:
            peer, _ = stranger.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(says)

        thread = threading.Thread(target=answer)
        thread.start()
        assert fault_at(f"inet:127.0.0.1:{stranger.getsockname()[1]}") == "what answers there is no safelist"
        thread.join()


def test_who_keeps_silent_is_waited_for_no_longer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert fault_at(f"inet:127.0.0.1:{silent.getsockname()[1]}", 0.2) == "no answer in 0.2 seconds"
    with dripping() as address:
        assert fault_at(address, 0.2) == "no answer in 0.2 seconds"
