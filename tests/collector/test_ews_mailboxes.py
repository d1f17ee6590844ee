"""Which mailboxes are asked: named ones, a file of them, and groups with the groups inside them, even in a circle."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import mailboxes
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.mailboxes import read_file, select
from safelist.config import Exchange as Settings
from safelist.config import Mailboxes
from safelist.errors import ConfigError, PermissionDeniedError
from tests.exchange import DemoServer, DistributionGroup, DlMember, Fault, Mailbox, Organisation, Trouble

GROUPS = [
    DistributionGroup("all@corp.example", (DlMember("desk1@corp.example"), DlMember("inner@corp.example", "PublicDL"))),
    DistributionGroup(
        "inner@corp.example",
        (
            DlMember("Desk1@Corp.example"),
            DlMember("desk2@corp.example"),
            DlMember("all@corp.example", "PublicDL"),
            DlMember("outside@partner.example", "Contact"),
            DlMember("folder@corp.example", "PublicFolder"),
            DlMember("own@corp.example", "PrivateDL"),
        ),
    ),
    DistributionGroup("own@corp.example", (DlMember("desk3@corp.example"), DlMember("/o=Corp/cn=nobody"))),
]


@pytest.fixture
def server() -> Iterator[DemoServer]:
    boxes = [Mailbox(f"desk{n}@corp.example") for n in range(5)]
    with DemoServer(Organisation.of(boxes, GROUPS)) as running:
        yield running


@pytest.fixture
def exchange(server: DemoServer) -> Iterator[ExchangeServer]:
    account = server.organisation.account
    settings = Settings(endpoint=server.url, authentication="basic", username=account.principal, secret=SecretStr("x"))
    with ExchangeServer(settings, account.password) as opened:
        yield opened


def test_groups_are_expanded_once_each_even_in_a_circle(server: DemoServer, exchange: ExchangeServer) -> None:
    selection = select(Mailboxes(groups=("all@corp.example",)), exchange)
    assert sorted(selection.addresses) == ["desk1@corp.example", "desk2@corp.example", "desk3@corp.example"]
    assert selection.problems == []
    assert Counter(asked.operation for asked in server.requests) == {"ExpandDL": 3}


def test_a_group_that_is_not_there_is_a_problem_and_the_rest_counts(exchange: ExchangeServer) -> None:
    selection = select(Mailboxes(addresses=("desk4@corp.example",), groups=("none@corp.example",)), exchange)
    assert selection.addresses == ["desk4@corp.example"]
    ((group, problem),) = selection.problems
    assert group == "none@corp.example"
    assert "remove it from mailboxes.groups" in problem


def test_a_group_without_a_mailbox_is_called_empty(server: DemoServer, exchange: ExchangeServer) -> None:
    empty = DistributionGroup("empty@corp.example", ())
    contacts = DistributionGroup("friends@corp.example", (DlMember("x@partner.example", "Contact"),))
    server.organisation.groups = {**server.organisation.groups, empty.address: empty, contacts.address: contacts}
    named = Mailboxes(groups=("empty@corp.example", "own@corp.example", "friends@corp.example"))
    selection = select(named, exchange)
    assert selection.addresses == ["desk3@corp.example"]
    assert [group for group, _ in selection.problems] == ["empty@corp.example", "friends@corp.example"]
    assert all("it is empty" in problem for _, problem in selection.problems)


def test_no_group_is_asked_when_the_time_is_up(server: DemoServer, exchange: ExchangeServer) -> None:
    named = Mailboxes(addresses=("desk4@corp.example",), groups=("all@corp.example", "own@corp.example"))
    selection = select(named, exchange, until=time.monotonic())
    assert selection.addresses == ["desk4@corp.example"]
    assert [group for group, _ in selection.problems] == ["all@corp.example", "own@corp.example"]
    assert all("the run's time was up" in problem for _, problem in selection.problems)
    assert list(server.requests) == []


def test_a_group_that_does_not_answer_in_the_time_that_is_left(server: DemoServer, exchange: ExchangeServer) -> None:
    server.organisation.faults.append(Fault(Trouble.SLOW, times=None, operation="ExpandDL", seconds=600))
    named = Mailboxes(addresses=("desk4@corp.example",), groups=("all@corp.example",))
    selection = select(named, exchange, until=time.monotonic() + 1)
    assert selection.addresses == ["desk4@corp.example"]
    ((group, problem),) = selection.problems
    assert (group, problem[:21]) == ("all@corp.example", "the run's time was up")


@pytest.mark.parametrize("back_off_ms", [0, 250_000])
def test_rooms_are_not_waited_for_when_the_time_is_up(
    server: DemoServer, exchange: ExchangeServer, back_off_ms: int
) -> None:
    server.organisation.room_lists = {"hall@corp.example": ("desk1@corp.example",)}
    server.organisation.faults.append(
        Fault(Trouble.SERVER_BUSY, times=None, operation="GetRooms", back_off_ms=back_off_ms)
    )
    with pytest.raises(FetchError, match="the run's time was up before the answer came; raise") as caught:
        exchange.rooms(until=time.monotonic() + 1)
    assert caught.value.reason is FailureReason.TIMEOUT
    server.organisation.faults.clear()


def test_leaving_out_every_mailbox_is_a_fault_of_the_configuration(exchange: ExchangeServer) -> None:
    named = Mailboxes(groups=("own@corp.example",), exclude=("desk3@corp.example",))
    with pytest.raises(ConfigError, match=r"mailboxes\.exclude names every mailbox"):
        select(named, exchange)


def test_members_can_be_excluded(exchange: ExchangeServer) -> None:
    settings = Mailboxes(groups=("all@corp.example",), exclude=("desk2@corp.example",))
    assert sorted(select(settings, exchange).addresses) == ["desk1@corp.example", "desk3@corp.example"]


def test_a_rejected_log_in_is_tried_once_however_many_groups(server: DemoServer) -> None:
    account = server.organisation.account
    settings = Settings(endpoint=server.url, authentication="basic", username=account.principal, secret=SecretStr("x"))
    groups = Mailboxes(groups=tuple(group.address for group in GROUPS))
    with (
        ExchangeServer(settings, "pässwörd €") as opened,
        pytest.raises(PermissionDeniedError, match="no mailbox was asked"),
    ):
        select(groups, opened)
    assert server.connections <= 2


def test_every_mailbox_is_named_once(tmp_path: Path, exchange: ExchangeServer) -> None:
    path = tmp_path / "mailboxes"
    path.write_text("\ufeff# the front office\nDESK1@corp.example\n\n  desk4@corp.example  # and its neighbour\n")
    settings = Mailboxes(addresses=("desk4@corp.example",), file=path, groups=("own@corp.example",))
    assert select(settings, exchange).addresses == ["desk4@corp.example", "desk1@corp.example", "desk3@corp.example"]


def test_no_mailbox_at_all_is_an_error(exchange: ExchangeServer) -> None:
    with pytest.raises(ConfigError, match="no mailbox is named"):
        select(Mailboxes(), exchange)


def test_every_bad_line_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "mailboxes"
    path.write_bytes(b"good@corp.example\nbad line\n\xc2\xa0\x01\n@corp.example\n" + b"x" * 5000)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert [fault.split(": ")[1].rsplit(" ", 1)[1] for fault in caught.value.faults] == ["2", "3", "4", "5"]
    assert all(len(fault) < 400 for fault in caught.value.faults)


LATIN_1 = "is not UTF-8 in line 2; save it as UTF-8; it seems to be Windows-1252 (Latin-1) or the like: iconv -f "
UTF_16 = "save it as UTF-8; it seems to be UTF-16: iconv -f "


@pytest.mark.parametrize(
    ("encoding", "mark", "words"),
    [
        ("latin-1", b"", f"{LATIN_1}WINDOWS-1252 -t UTF-8"),
        ("utf-16", b"", f"is not UTF-8 in line 1; {UTF_16}UTF-16 -t UTF-8"),
        ("utf-16-be", b"\xfe\xff", f"is not UTF-8 in line 1; {UTF_16}UTF-16 -t UTF-8"),
        ("utf-16-le", b"", UTF_16 + "UTF-16LE -t UTF-8"),
        ("utf-16-be", b"", UTF_16 + "UTF-16BE -t UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_named_as_such(tmp_path: Path, encoding: str, mark: bytes, words: str) -> None:
    path, text = tmp_path / "mailboxes", "good@corp.example\n# Müller\njoe@corp.example\n"
    path.write_bytes(mark + text.encode(encoding))
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"mailboxes.file: {path} is not UTF-8")
    assert fault.endswith(words)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_file(path) == ["good@corp.example", "joe@corp.example"]


def test_what_is_ascii_in_utf_16_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "mailboxes"
    path.write_bytes("good@corp.example\n".encode("utf-16-le"))
    with pytest.raises(ConfigError, match=r"is not UTF-8; save it as UTF-8; it seems to be UTF-16: iconv -f UTF-16LE"):
        read_file(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(tmp_path / "none")
    with pytest.raises((ConfigError, PermissionDeniedError), match=r"cannot be read|may not be read"):
        read_file(tmp_path)
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(mailboxes.MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigError, match="larger than"):
        read_file(path)
