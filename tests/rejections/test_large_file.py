"""A large file is read in parts, in several processes: the same is found as where it is read in one piece."""

import errno
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safelist.rejections import grep, log_files
from safelist.rejections.format import LogFormat
from safelist.rejections.formats import FORMATS
from safelist.rejections.large_file import LargeFile, is_large
from safelist.rejections.mail_row import MailRow, MailRows
from safelist.rejections.reading import ReadSoFar, UnreadLine, read
from safelist.rejections.rejection import Rejection

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ROW_OF = MailRows(UTC).row_of
HEAD = "2026-11-26T10:00:00.5+00:00 mx postfix"
REFUSED = (
    f"{HEAD}/smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 Service unavailable; Client host "
    "[192.0.2.9] blocked using zen.spamhaus.org; from=<bob@aol.com> to=<you@corp.example> proto=ESMTP helo=<h>"
)
LINES = (
    REFUSED.encode(),
    REFUSED.replace("Client host", "Sender address").encode() + b"\r",
    REFUSED.replace("11-26", "11-31").encode(),
    REFUSED.replace("bob@", "b\xf6b@").encode() + b"\r\r",
    REFUSED.replace("zen.spamhaus.org", "127.0.0.9").encode() + b"\r",
    f"{HEAD}/smtpd[7]: connect from unknown[192.0.2.9]".encode(),
    f"{HEAD}/smtpd[7]: NOQUEUE: reject: something".encode(),
    f"{HEAD}/dnsblog[7]: addr 192.0.2.7 listed by domain bl.example as 127.0.0.2".encode(),
    f"{HEAD}/postscreen[7]: DNSBL rank 3 for [192.0.2.7]:1234".encode(),
    f"{HEAD}/postscreen[7]: DISCONNECT [192.0.2.7]:1234".encode(),
    b"",
    b"reject \xe9\x00",
    b"reject " + b"x" * 70_000,
)
LOGS = st.lists(st.sampled_from(LINES), max_size=12)


def in_one_piece(path: Path, formats: dict[str, LogFormat]) -> tuple[list[MailRow | UnreadLine], ReadSoFar]:
    so_far = ReadSoFar(str(path))
    with log_files.opened(str(path), NOW) as log:
        found = [each if isinstance(each, UnreadLine) else ROW_OF(each) for each in read(log, formats, UTC, so_far)]
    return found, so_far


def in_parts(
    path: Path, formats: dict[str, LogFormat], processes: int, size: int
) -> tuple[list[MailRow | UnreadLine], ReadSoFar]:
    so_far = ReadSoFar(str(path))
    with log_files.opened(str(path), NOW) as log:
        assert is_large(log, formats, 0)
        return list(LargeFile(log, formats, UTC, so_far, ROW_OF).read(processes, size)), so_far


@given(LOGS, st.sampled_from([b"", b"\n", b"\n\n"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_one_part_holds_what_the_whole_holds(tmp_path: Path, lines: list[bytes], end: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(lines) + end)
    assert in_parts(path, FORMATS, 1, 1 << 24) == in_one_piece(path, FORMATS)


@given(LOGS, st.sampled_from([b"", b"\n"]), st.integers(1, 700))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
def test_where_the_parts_are_cut_changes_nothing(tmp_path: Path, lines: list[bytes], end: bytes, size: int) -> None:
    """But for who listed a client that postscreen ranked: that is searched in the part where the rank is, and on."""
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(each for each in lines if b"listed by" not in each) + end)
    assert in_parts(path, FORMATS, 1, size) == in_one_piece(path, FORMATS)


def test_several_processes_find_the_same_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(each + b"\n" for number in range(40) for each in LINES[number % 3 :]))
    found, so_far = in_parts(path, FORMATS, 2, 50_000)
    assert (found, so_far) == in_one_piece(path, FORMATS)
    assert so_far.size == path.stat().st_size
    assert len(found) > 100


def test_only_what_is_wanted_is_found_in_any_process(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{REFUSED}\n{REFUSED.replace('bob@', 'eve@')}\n" * 3)
    so_far = ReadSoFar("log")

    def of_eve(rejection: Rejection) -> MailRow | None:
        return ROW_OF(rejection) if rejection.sender == "eve@aol.com" else None

    with log_files.opened(str(path), NOW) as log:
        rows = list(LargeFile(log, FORMATS, UTC, so_far, of_eve).read(2, 600))
    assert [row[-1] for row in rows] == [2, 4, 6]
    assert so_far.formats == {"postfix": 6}


def test_a_process_that_is_killed_is_told_and_what_it_had_found_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{REFUSED}\n" * 200)
    so_far = ReadSoFar(str(path))
    us = os.getpid()

    def row_of(rejection: Rejection) -> MailRow:
        if rejection.place.line == 3 and os.getpid() != us:
            os.kill(os.getpid(), signal.SIGKILL)
        return ROW_OF(rejection)

    with log_files.opened(str(path), NOW) as log:
        rows = list(LargeFile(log, FORMATS, UTC, so_far, row_of).read(2, 10_000))
    assert rows == []
    assert so_far.problem is not None
    assert so_far.problem.startswith(f"{path}: a process that read it was ended")


def test_a_file_that_cannot_be_searched_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"reject \n" * 10)
    (tmp_path / "grep").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "grep").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found, so_far = in_parts(path, FORMATS, 1, 1 << 24)
    assert (found, so_far.problem) == ([], f"{path}: grep could not read it to its end")


@pytest.mark.parametrize("kept", [0, 700, 1500])
def test_a_log_that_is_shortened_meanwhile_ends_where_it_ends(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "log"
    path.write_text(f"{REFUSED}\n" * 200)
    so_far = ReadSoFar(str(path))
    with log_files.opened(str(path), NOW) as log:
        reading = LargeFile(log, FORMATS, UTC, so_far, ROW_OF).read(1, 1000)
        found = [next(reading)]
        os.truncate(path, kept)
        found += reading
    assert 1 <= len(found) < 20
    assert so_far.problem is None


def test_a_log_that_the_disk_does_not_give_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text(f"{REFUSED}\n" * 5)

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for call in ("sendfile", "pread"):
        so_far = ReadSoFar(str(path))
        with log_files.opened(str(path), NOW) as log, monkeypatch.context() as patched:
            patched.setattr(os, call, broken)
            assert list(LargeFile(log, FORMATS, UTC, so_far, ROW_OF).read(1, 1 << 24)) == []
        assert so_far.problem == f"{path}: cannot be read to its end ([Errno 5] Input/output error)"


@pytest.mark.parametrize(
    ("content", "formats", "is_it"),
    [
        (b"x\n", FORMATS, True),
        (b"", FORMATS, True),
        (b'{"MESSAGE": "x"}\n', FORMATS, False),
        (b"#Software: Microsoft Exchange Server\r\n#Log-type: SMTP Receive Protocol Log\r\n", FORMATS, False),
        (b"\x1f\x8b", FORMATS, False),
    ],
    ids=["lines", "nothing", "journal", "exchange", "packed"],
)
def test_what_grep_can_search(tmp_path: Path, content: bytes, formats: dict[str, LogFormat], is_it: bool) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with log_files.opened(str(path), NOW) as log:
        assert is_large(log, formats, 0) is is_it
        assert not is_large(log, formats, 1000)


@pytest.fixture
def needles_log(tmp_path: Path) -> Iterator[tuple[int, list[bytes], list[bytes], int]]:
    needles = [b", status=bounced (", b"DISCONNECT [", b"a.b*c+d?", b"{x}|y^$", b"\\back", b" -e"]
    lines = [b"<" + needle + b">" for needle in needles]
    others = [b"aXbbc", b"x y", b", statusXbounced", b"DISCONNECT", b"e"]
    content = b"\n".join([*lines, *others])
    (tmp_path / "log").write_bytes(b"-e\n" + content + b"\n{x}|y^$")
    with (tmp_path / "log").open("rb") as file:
        yield file.fileno(), needles, lines, len(content)


def test_needles_mean_to_grep_what_they_say(needles_log: tuple[int, list[bytes], list[bytes], int]) -> None:
    """What an extended regular expression would take for something else; nothing outside the part is found."""
    descriptor, needles, lines, length = needles_log
    output = grep.lines_with_one_of(needles, descriptor, 3, 3 + length)
    found = [re.fullmatch(rf"{grep.HEAD}(.*)".encode(), each) for each in output.splitlines()]
    assert [each and (int(each[1]), each[3]) for each in found] == list(enumerate(lines, 1))
    assert [each and os.pread(descriptor, len(each[3]), 3 + int(each[2])) for each in found] == lines


@pytest.mark.parametrize(
    ("needle", "searched"),
    [(b"reject", b"ject"), (b"bounced", b"bounced"), (b" listed by domain ", b"y domain "), (b"    <", b"    <"),
     (b"abc", b"abc"), (b"", b"")],
)  # fmt: skip
def test_the_end_of_a_needle_is_searched_that_begins_with_a_rare_byte(needle: bytes, searched: bytes) -> None:
    assert grep.rare_end(needle) == searched


def test_what_holds_the_end_of_a_needle_alone_is_not_read(tmp_path: Path) -> None:
    """``ject`` stands in ``Subject``, too: a site may log each."""
    path = tmp_path / "log"
    subject = f"{HEAD}/smtpd[7]: NOQUEUE: Subject: from x"
    path.write_text(f"{subject}\n{REFUSED}\n{subject}\n")
    found, so_far = in_parts(path, {"postfix": FORMATS["postfix"]}, 1, 1 << 24)
    assert [row[-1] for row in found] == [2]
    assert (found, so_far) == in_one_piece(path, {"postfix": FORMATS["postfix"]})
