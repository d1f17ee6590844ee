"""`sync --ping`: a monitor of timers is told of start and end, and nobody of its address, whatever it answers."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import safelist as package
from safelist.cli.ping import pinged
from tests.cli.command import Command, Done
from tests.exchange import Organisation
from tests.filter.dns_server import unused_address
from tests.status.ping_server import SECRET, Monitor, monitor


@pytest.fixture
def told() -> Iterator[Monitor]:
    with monitor() as running:
        yield running


def test_start_and_success(safelist: Command, told: Monitor) -> None:
    assert safelist("sync", "--ping", told.url) == Done(0, "", "")
    assert told.paths == ["/start", ""]
    assert told.agents == {f"safelist/{package.__version__}"}
    assert safelist("sync", "--ping", f"{told.url}/?create=1") == Done(0, "", "")
    assert told.paths[2:] == ["/start?create=1", "?create=1"]


def test_the_environment_and_a_file_can_name_it(safelist: Command, told: Monitor, tmp_path: Path) -> None:
    assert safelist("sync", SAFELIST_PING=told.url).code == 0
    path = tmp_path / "ping"
    path.write_text(f"{told.url}\nand no other line\n")
    assert safelist("sync", "--ping", str(path)).code == 0
    assert told.paths == ["/start", "", "/start", ""]


def test_failures_come_with_the_exit_code(safelist: Command, told: Monitor, organisation: Organisation) -> None:
    organisation.mailboxes["desk1@corp.example"].impersonation = False
    assert safelist("sync", "--ping", told.url).code == 75
    assert safelist("sync", "--ping", told.url, "--source", "other").code == 64
    safelist.config.write_text("[nothing]\n")
    assert safelist("sync", "--ping", told.url).code == 78
    assert told.paths == ["/start", "/75", "/start", "/64", "/start", "/78"]


def test_a_monitor_that_refuses_changes_nothing(safelist: Command, told: Monitor) -> None:
    told.status = 404
    done = safelist("sync", "--ping", told.url)
    changes_nothing_and_prints_no_address(done)
    assert "--ping: the monitor answers HTTP 404" in done.err
    assert told.paths == [*["/start"] * 3, *[""] * 3]


NO_MONITOR = (b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n")
NOWHERE = (
    f"http://127.0.0.1:{unused_address()[1]}{SECRET}", f"http://[::ffff:999{SECRET}", f"ftp://127.0.0.1{SECRET}",
    f"http://127.0.0.1:99999{SECRET}", f"http://127.0.0.1 :8{SECRET}", f"/no/such/file{SECRET}",
    f"https://ä.example{SECRET}", SECRET[1:], f"http://{SECRET}", "",
)  # fmt: skip


def changes_nothing_and_prints_no_address(done: Done) -> None:
    assert (done.code, done.out) == (0, "")
    assert done.err
    assert all(line.startswith("safelist: --ping: ") for line in done.err.splitlines())
    assert SECRET[1:] not in done.err


def test_what_is_no_monitor_changes_nothing(safelist: Command, told: Monitor) -> None:
    for raw in NO_MONITOR:
        told.raw = raw
        changes_nothing_and_prints_no_address(safelist("sync", "--ping", told.url))
    changes_nothing_and_prints_no_address(safelist.in_a_process("sync", "--ping", told.url))


def test_an_address_that_leads_nowhere_changes_nothing(safelist: Command) -> None:
    for url in NOWHERE:
        changes_nothing_and_prints_no_address(safelist("sync", "--ping", url))
    assert safelist("audit", "verify").code == 0


def test_a_log_on_a_full_disk_changes_nothing(safelist: Command) -> None:
    line = [sys.executable, "-m", "safelist", "sync", "--ping", NOWHERE[0]]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(line, env=safelist.environment, stderr=full).returncode == 0


def test_a_run_that_is_broken_off_is_told_as_such(safelist: Command, told: Monitor) -> None:
    safelist.database.unlink()
    assert safelist("sync", "--ping", told.url).code == 78
    assert told.paths == ["/start", "/78"]


@pytest.mark.parametrize(
    ("ended", "path"), [(KeyboardInterrupt(), "/130"), (BrokenPipeError(), ""), (ZeroDivisionError(), "/70")]
)
def test_whatever_ends_the_run_is_told(told: Monitor, ended: BaseException, path: str) -> None:
    with pytest.raises(type(ended)), pinged(told.url):
        raise ended
    assert told.paths == ["/start", path]


def test_a_monitor_that_keeps_silent_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, pinged(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.1):
        pass
    assert set(capsys.readouterr().err.splitlines()) <= {
        "safelist: --ping: no answer in 0.1 seconds", "safelist: --ping: the monitor cannot be reached: TimeoutError",
    }  # fmt: skip
