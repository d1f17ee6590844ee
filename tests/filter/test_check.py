"""`safelist filter check` and its questions to a real postconf, with main.cf and master.cf of their own, and to filters
that run.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from safelist import policy, snapshot
from safelist.postfix import policy_probe
from safelist.postfix.master_entries import PolicyAnswer
from safelist.postfix.policy_probe import PROBE, PROBED
from tests.cli.command import Command, Done
from tests.filter.dns_server import nameserver
from tests.filter.loopback import dripping
from tests.filter.site import Filter, running
from tests.publisher.site import POSTCONF
from tests.waiting import until

pytestmark = pytest.mark.skipif(POSTCONF is None, reason="postconf is missing: apt-get install postfix")

KEY = "abcdefghij0123456789abcd"
ASKS = "check_policy_service {{ {address}, timeout=10s, default_action=DUNNO }}"
MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
lists = reject_rbl_client dnsbl.safelist.example
smtpd_restriction_classes = strict
strict = $lists
smtpd_recipient_restrictions =
    permit_mynetworks,
    # as everywhere
    reject_unauth_destination,
    {asks}{behind}
"""
MASTER = """\
smtp inet n - y - - smtpd
submission inet n - y - - smtpd
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=
127.0.0.1:10025 inet n - n - - smtpd -o smtpd_client_restrictions=permit_mynetworks,reject
"""


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Filter]]:
    """One that enforces and one that observes; the list's test points are as they have to be."""
    directory = tmp_path_factory.mktemp("filters")
    path = directory / "snapshot"
    snapshot.write(path, snapshot.Contents("a test", policy.Settings(), (), (), ()))
    zone = {"2.0.0.127.dnsbl.safelist.example": {"A": ["127.0.0.2"]}}
    with (
        nameserver(zone) as dns,
        running(directory, "enforce", path, dns.address) as enforcing,
        running(directory, "observe", path, dns.address, "--mode", "observe") as observing,
    ):
        found = {"enforce": enforcing, "observe": observing}
        for each in found.values():
            assert until(partial(each.has_said, "listening on")), each.log.read_text()
        observing.configuration.write_text('mode = "observe"\n' + observing.configuration.read_text())
        yield found


def postfix(directory: Path, address: str, behind: str = "", master: str = MASTER, more: str = "") -> Path:
    """The configuration directory of a Postfix that asks the filter at ``address``."""
    directory.mkdir(exist_ok=True)
    main = MAIN.format(queue=directory / "queue", asks=ASKS.format(address=address), behind=behind)
    (directory / "main.cf").write_text(main + more)
    (directory / "master.cf").write_text(master)
    return directory


def check(configuration: Path, etc: Path) -> list[str]:
    """The faults; the exit code says whether there are any."""
    done: Done = Command(etc)("filter", "check", "--config", str(configuration), "--json", MAIL_CONFIG=str(etc))
    faults = [row["text"] for row in done.json if row["fault"]]
    assert (done.code, done.err) == (78 if faults else 0, "")
    return faults


def test_good_places_have_no_faults(filters: dict[str, Filter], tmp_path: Path) -> None:
    for mode, behind in (("enforce", ""), ("observe", ", $lists")):
        chosen = filters[mode]
        assert check(chosen.configuration, postfix(tmp_path, chosen.address, behind)) == []


@pytest.mark.parametrize(
    ("behind", "where"),
    [
        (", $lists", "in smtpd_recipient_restrictions"),
        (", strict", "in the class strict of smtpd_recipient_restrictions"),
    ],
)
def test_lists_behind_macros_and_classes_are_seen(
    filters: dict[str, Filter], tmp_path: Path, behind: str, where: str
) -> None:
    chosen = filters["enforce"]
    (fault,) = check(chosen.configuration, postfix(tmp_path, chosen.address, behind))
    assert fault.startswith(f"reject_rbl_client dnsbl.safelist.example {where} rejects whatever the filter says: take")


@pytest.mark.parametrize(
    "option", ["smtpd_client_restrictions=$lists", "{ smtpd_helo_restrictions = permit_mynetworks, strict }"]
)
def test_lists_in_the_options_of_master_cf_are_seen(filters: dict[str, Filter], tmp_path: Path, option: str) -> None:
    chosen = filters["enforce"]
    master = MASTER + f"192.0.2.1:smtp inet n - y - - smtpd\n  -o {option}\n"
    (fault,) = check(chosen.configuration, postfix(tmp_path, chosen.address, master=master))
    assert fault.startswith("master.cf, 192.0.2.1:smtp/inet: reject_rbl_client dnsbl.safelist.example in ")


def test_a_macro_that_a_service_changes_is_seen_with_its_value_there(
    filters: dict[str, Filter], tmp_path: Path
) -> None:
    chosen = filters["observe"]
    master = MASTER + "192.0.2.1:smtp inet n - y - - smtpd\n  -o lists=permit_mynetworks\n"
    (fault,) = check(chosen.configuration, postfix(tmp_path, chosen.address, ", strict", master))
    assert fault.startswith("master.cf, 192.0.2.1:smtp/inet: the filter observes and rejects nobody")


def test_a_policy_service_without_braces_stops_all_mail(filters: dict[str, Filter], tmp_path: Path) -> None:
    chosen = filters["enforce"]
    etc = postfix(tmp_path, chosen.address)
    main = (etc / "main.cf").read_text()
    (etc / "main.cf").write_text(main.replace("{ ", "").replace(" }", ""))
    (fault,) = check(chosen.configuration, etc)
    assert "`timeout=10s` in smtpd_recipient_restrictions is no restriction: Postfix answers 451 to all mail" in fault
    assert "check_policy_service { inet:127.0.0.1:10045, timeout=10s, default_action=DUNNO }" in fault


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hash:{etc}/safelist", "which Postfix cannot open: Postfix answers 451 to all mail that gets there; write it"),
        (
            "texthash:{etc}/safelist",
            "which Postfix cannot open: Postfix answers 451 to all mail that gets there; write",
        ),
        ("hash:{etc}/theirs.db", "leave `.db` off: write hash:{etc}/theirs"),
        ("mongodb:{etc}/safelist", "`postconf -m` lists no mongodb: apt-get install postfix-mongodb"),
        ("{etc}/safelist", "the type is missing: write TYPE:{etc}/safelist, such as hash:{etc}/safelist"),
    ],
)
def test_a_table_that_postfix_cannot_open_stops_all_mail(
    filters: dict[str, Filter], tmp_path: Path, name: str, words: str
) -> None:
    chosen = filters["observe"]
    behind = f", check_sender_access {name.format(etc=tmp_path)}, $lists"
    etc = postfix(tmp_path, chosen.address, behind)
    (fault,) = check(chosen.configuration, etc)
    assert fault.startswith(f"main.cf names {name.format(etc=tmp_path)} in smtpd_recipient_restrictions")
    assert words.format(etc=tmp_path) in fault


def test_an_observer_without_the_lists_is_a_fault(filters: dict[str, Filter], tmp_path: Path) -> None:
    chosen = filters["observe"]
    (fault,) = check(chosen.configuration, postfix(tmp_path, chosen.address))
    assert "write reject_rbl_client dnsbl.safelist.example behind check_policy_service" in fault


def test_the_mode_that_runs_counts_and_not_the_one_that_is_written(filters: dict[str, Filter], tmp_path: Path) -> None:
    faults = check(filters["enforce"].configuration, postfix(tmp_path, filters["observe"].address, ", $lists"))
    (fault,) = faults
    assert "runs in mode observe: restart it" in fault


def unused() -> str:
    """An address where nobody listens: a bound socket that does not."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"inet:127.0.0.1:{taken.getsockname()[1]}"


def test_a_filter_that_nobody_can_reach_is_a_fault(filters: dict[str, Filter], tmp_path: Path) -> None:
    address = unused()
    configuration = tmp_path / "filter.toml"
    text = filters["enforce"].configuration.read_text().replace("inet:127.0.0.1:0", address)
    configuration.write_text(text)
    (asked,) = check(configuration, postfix(tmp_path / "etc", address, ", $lists"))
    assert f"Postfix asks the filter at {address}, where nobody answers: Connection refused" in asked
    elsewhere, listens = check(configuration, postfix(tmp_path / "etc", unused(), ", $lists"))
    assert f"the filter listens on {address}: name that address in main.cf" in elsewhere
    assert f"nobody answers on {address} (Connection refused)" in listens


def test_a_socket_in_the_queue_directory_is_found_and_one_outside_a_chroot_is_not(
    filters: dict[str, Filter], tmp_path: Path
) -> None:
    configuration, etc = tmp_path / "filter.toml", tmp_path / "etc"
    text = filters["enforce"].configuration.read_text()
    with socket.socket(socket.AF_UNIX) as listening:
        (etc / "queue/private").mkdir(parents=True)
        path = etc / "queue/private/safelist"
        listening.bind(str(path))
        configuration.write_text(text.replace("inet:127.0.0.1:0", f"unix:{path}"))
        (first,) = check(configuration, postfix(etc, "unix:private/safelist"))
        assert f"Postfix asks the filter at unix:private/safelist (unix:{path}), where nobody answers" in first
        (first, _) = check(configuration, postfix(etc, f"unix:{path}"))
        assert f"its smtpd is chrooted (master.cf) and looks for unix:{etc}/queue{path}" in first
        (first,) = check(configuration, postfix(etc, f"unix:{path}", master=MASTER.replace("- y -", "- n -")))
        assert f"Postfix asks the filter at unix:{path}, where nobody answers: Connection refused" in first


def test_no_key_is_printed(filters: dict[str, Filter], tmp_path: Path) -> None:
    configuration = tmp_path / "filter.toml"
    text = filters["enforce"].configuration.read_text()
    configuration.write_text(text.replace("dnsbl.safelist.example", f"{KEY}.dnsbl.safelist.example"))
    configuration.chmod(0o600)
    lists = f"reject_rbl_client {KEY}.dnsbl.safelist.example"
    etc = postfix(tmp_path / "etc", filters["enforce"].address, f", {lists}")
    done = Command(etc)("filter", "check", "--config", str(configuration), MAIL_CONFIG=str(etc))
    assert done.code == 78
    assert "reject_rbl_client ***.dnsbl.safelist.example in smtpd_recipient_restrictions" in done.err
    assert KEY not in done.out + done.err


def test_what_answers_is_told_apart(filters: dict[str, Filter]) -> None:
    before = [each.verdicts() for each in filters.values()]
    assert policy_probe.ask(filters["enforce"].address) == PolicyAnswer(mode="enforce")
    assert policy_probe.ask(filters["observe"].address) == PolicyAnswer(mode="observe")
    assert [each.verdicts() for each in filters.values()] == before  # it is about no mail
    assert policy_probe.ask(unused()) == PolicyAnswer("Connection refused")
    assert policy_probe.ask("unix:/nonexistent/socket") == PolicyAnswer("No such file or directory")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"inet:127.0.0.1:{silent.getsockname()[1]}"
        assert policy_probe.ask(address, 0.2).fault.startswith(
            "no answer in 0.2 seconds, though something holds the socket"
        )


def test_all_are_asked_at_once_so_that_the_silent_take_no_longer_together() -> None:
    """Nobody gets an answer before everybody has asked."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(20)]
        everybody = threading.Barrier(len(listening))
        for server in listening:
            thread = threading.Thread(target=answer_together, args=(server, everybody))
            thread.start()
            stack.callback(thread.join)
        addresses = [f"inet:127.0.0.1:{server.getsockname()[1]}" for server in listening]
        assert policy_probe.ask_all([*addresses, *addresses], 60) == dict.fromkeys(
            addresses, PolicyAnswer(mode="enforce")
        )
    assert policy_probe.ask_all([]) == {}


def answer_together(server: socket.socket, everybody: threading.Barrier) -> None:
    server.settimeout(60)
    with server.accept()[0] as peer:
        peer.recv(4096)
        everybody.wait(60)
        peer.sendall(f"action=DUNNO {PROBED}enforce\n\n".encode())


def test_who_answers_an_octet_at_a_time_has_no_more_time() -> None:
    with dripping() as address:
        found = policy_probe.ask(address, 0.5)
    assert found.fault.startswith("no answer in 0.5 seconds, though something holds the socket")


def test_a_socket_that_systemd_holds_is_reachable_only_with_a_filter_behind_it(
    filters: dict[str, Filter], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:  # which nobody accepts from
        address = f"inet:127.0.0.1:{held.getsockname()[1]}"
        configuration = tmp_path / "filter.toml"
        text = filters["enforce"].configuration.read_text()
        configuration.write_text(text.replace("inet:127.0.0.1:0", address))
        etc = postfix(tmp_path / "etc", address)
        (fault,) = check(configuration, etc)
        assert f"Postfix asks the filter at {address}, where nobody answers: no answer in 10 seconds, though" in fault
        assert "systemctl status safelist-filter" in fault
        configuration.write_text(text.replace("inet:127.0.0.1:0", unused()))  # systemd's sockets are used instead
        start = (
            f"import os; os.dup2({held.fileno()}, 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
            f"os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'safelist', 'filter', 'run', '--config', "
            f"{str(configuration)!r}])"
        )
        with (tmp_path / "log").open("wb") as log:
            activated = subprocess.Popen(
                [sys.executable, "-c", start],
                pass_fds=[held.fileno()],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            assert until(lambda: "listening on" in (tmp_path / "log").read_text()), (tmp_path / "log").read_text()
            assert check(configuration, etc) == []
        finally:
            activated.terminate()
            assert activated.wait(20) == 0


def test_a_policy_context_of_main_cf_switches_nothing_off(filters: dict[str, Filter]) -> None:
    """The very words by which the check asks, in a request as Postfix makes it, are answered with a verdict."""
    chosen = filters["enforce"]
    before = len(chosen.verdicts())
    host, _, port = chosen.address.removeprefix("inet:").rpartition(":")
    request = (
        f"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=203.0.113.9\nsender=a@context.example\n"
        f"recipient=desk@corp.example\ninstance=1.2.3.0\npolicy_context={PROBE}\n\n"
    )
    with socket.create_connection((host, int(port)), 20) as peer:
        peer.sendall(request.encode())
        assert PROBED.encode() not in peer.recv(4096)
    assert until(lambda: len(chosen.verdicts()) == before + 1)
    assert chosen.verdicts()[-1]["sender"] == "a@context.example"


def test_a_table_by_way_of_proxymap_has_to_be_approved(filters: dict[str, Filter], tmp_path: Path) -> None:
    chosen = filters["observe"]
    (tmp_path / "theirs").write_text("a.example DUNNO\n")
    name = f"proxy:texthash:{tmp_path}/theirs"
    asks = f", check_sender_access {name}, $lists"
    assert check(chosen.configuration, postfix(tmp_path, chosen.address, asks)) == []  # its default names that list
    master = MASTER + f"192.0.2.1:smtp inet n - y - - smtpd\n  -o {{ smtpd_helo_restrictions = {asks[2:-8]} }}\n"
    (fault,) = check(chosen.configuration, postfix(tmp_path, chosen.address, ", $lists", master))
    assert fault.startswith(f"master.cf, 192.0.2.1:smtp/inet: main.cf names {name} in smtpd_helo_restrictions, which")
    assert (
        f"smtpd ends at once and greets nobody, for proxymap opens only what proxy_read_maps names; add {name}" in fault
    )
    more = f"proxy_read_maps = $smtpd_recipient_restrictions, {name}\n"
    assert check(chosen.configuration, postfix(tmp_path, chosen.address, ", $lists", master, more)) == []
    own = f"proxymap unix - - n - - proxymap\n  -o proxy_read_maps={name}\n"
    assert check(chosen.configuration, postfix(tmp_path, chosen.address, ", $lists", master + own)) == []


def test_a_socket_that_smtpd_may_not_open_is_told(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        for parent in (tmp_path, *tmp_path.parents[:-2]):
            parent.chmod(0o711)
        assert policy_probe.refuses(path, "nobody") == f"nobody, as whom smtpd runs, may not open {path}"
        tmp_path.chmod(0o700)
        assert policy_probe.refuses(path, "nobody") == f"nobody, as whom smtpd runs, may not enter {tmp_path}"
        tmp_path.chmod(0o711)
        path.chmod(0o666)
        assert policy_probe.refuses(path, "nobody") == ""
