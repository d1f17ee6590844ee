"""How a log is read: in large pieces, packed or not, several programs' lines in one file."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.errors import PermissionDeniedError, UsageError
from safelist.rejections import log_files, reading
from safelist.rejections.collected import CollectedMails
from safelist.rejections.format import LineReader, LogFormat, LogLine, UnreadLineError
from safelist.rejections.log_files import LogFile
from safelist.rejections.reading import ReadSoFar, UnreadLine, lines_with, read, shortest
from safelist.rejections.rejection import Rejection, RejectionKind
from safelist.runs.rejections import LogOptions, open_logs, rejections

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def parsed(line: LogLine) -> Iterable[Rejection]:
    program, _, said = line.text.partition(": ")
    if not said.startswith("refused "):
        raise UnreadLineError("expected refused")
    yield Rejection(NOW, RejectionKind.REJECTED, line.place, said, host=program)


def format_of(name: str, *needles: bytes) -> LogFormat:
    def recognises(text: str) -> bool:
        return text.startswith(f"{name}: ")

    return LogFormat(name, name.title(), needles, recognises, lambda _: LineReader(parsed), "Nothing.")


MIXED = {each.name: each for each in (format_of("one", b"refuse"), format_of("two", b"refuse", b"refused twice"))}
ALONE = {"all": format_of("all"), **MIXED}


def found_in(
    content: bytes, formats: dict[str, LogFormat] = MIXED
) -> tuple[list[tuple[str, int]], list[UnreadLine], ReadSoFar]:
    so_far = ReadSoFar("log")
    every = list(read(LogFile("log", io.BytesIO(content), NOW), formats, UTC, so_far))
    found = [(str(each.host), each.place.line) for each in every if isinstance(each, Rejection)]
    return found, [each for each in every if isinstance(each, UnreadLine)], so_far


def test_lines_of_several_programs_stand_in_one_log() -> None:
    log = (
        b"one: refused a\nthree: refused b\ntwo: hello\ntwo: refused twice\r\none: refusenik\n\xff\xfe\none: refused c"
    )
    found, unread, so_far = found_in(log)
    assert found == [("one", 1), ("two", 4), ("one", 7)]
    assert [(each.place.line, each.text, each.why) for each in unread] == [(5, "one: refusenik", "expected refused")]
    assert (so_far.size, so_far.lines, so_far.formats) == (len(log), 7, {"one": 2, "two": 1})


def test_a_file_of_one_format_is_read_whole() -> None:
    found, unread, so_far = found_in(b"all: refused 1\nall: hello\nall: refused 2\n", ALONE)
    assert found == [("all", 1), ("all", 3)]
    assert [each.place.line for each in unread] == [2]
    assert (so_far.lines, so_far.formats) == (3, {"all": 2})


@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 100, b"\xff" * 100, b"refused", b"one", b"one: ", b"all: "])
@pytest.mark.parametrize("formats", [MIXED, ALONE])
def test_what_is_no_log_holds_nothing(content: bytes, formats: dict[str, LogFormat]) -> None:
    found, _, so_far = found_in(content, formats)
    assert found == []
    assert so_far.problem is None


def test_what_is_no_utf_8_is_seen_as_its_bytes() -> None:
    _, unread, _ = found_in(b"one: refuse \xe9\x1b[31m\n")
    assert [each.text for each in unread] == ["one: refuse \\xe9\x1b[31m"]


@pytest.mark.parametrize("formats", [MIXED, ALONE])
def test_a_line_without_end_is_reported(formats: dict[str, LogFormat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_ALONE", 1 << 16)
    name = next(iter(formats)).encode()
    long_ = name + b": refused " + b"x" * (3 << 20)
    found, unread, _ = found_in(name + b": refused a\n" + long_ + b"\n" + name + b": refused b\n", formats)
    assert [name_ for name_, _ in found] == [name.decode()] * 2
    assert unread
    assert all("has more than" in each.why and len(each.text) < 2000 for each in unread)


@given(st.lists(st.sampled_from([b"one: refused", b"two: refused twice", b"x", b"", b"refused", b"y" * 50])))
def test_where_the_pieces_are_cut_changes_nothing(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    whole = found_in(content)

    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(7)

    so_far = ReadSoFar("log")
    every = list(read(LogFile("log", Dripping(content), NOW), MIXED, UTC, so_far))
    assert [(each.host, each.place.line) for each in every if isinstance(each, Rejection)] == whole[0]
    assert (so_far.lines, so_far.size) == (
        content.count(b"\n") + (content != b"" and content[-1:] != b"\n"),
        len(content),
    )


@given(st.lists(st.sampled_from([b"a needle b", b"needles", b"pin", b"", b"needle pin", b"\n"])))
def test_every_line_with_a_needle_is_found_once(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    spans = lines_with([b"needle", b"pin"], content)
    assert [content[a:b] for a, b in spans] == [x for x in content.split(b"\n") if b"needle" in x or b"pin" in x]


def test_a_needle_that_holds_another_is_not_searched() -> None:
    assert shortest({b"reject", b"milter-reject", b"bounced"}) == [b"bounced", b"reject"]


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("mail.log", lambda content: content), ("mail.log.2.gz", gzip.compress), ("mail.log-20261126", lzma.compress),
    ("mail.log.bz2", bz2.compress),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_a_log_is_unpacked_by_what_it_begins_with(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"one: refused a\n" * 10_000))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    with log_files.opened(str(path), NOW) as log:
        assert log.newest == datetime.fromtimestamp(1_700_000_000, UTC)
        so_far = ReadSoFar(log.name)
        assert len(list(read(log, MIXED, UTC, so_far))) == 10_000
    assert so_far.problem is None


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "pack"), PACKED[1:])
def test_what_stands_before_a_cut_counts(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    lines = b"".join(b"one: refused %d\n" % (n * 7919 % 100_003) for n in range(200_000))
    packed = pack(lines)
    path.write_bytes(packed[: len(packed) * 9 // 10])
    with log_files.opened(str(path), NOW) as log:
        so_far = ReadSoFar(log.name)
        assert len(list(read(log, MIXED, UTC, so_far))) > 1000
    assert so_far.problem is not None
    assert str(path) in so_far.problem


@pytest.mark.parametrize(("name", "pack"), PACKED[1:])
def test_what_was_damaged_while_it_was_packed_is_a_cut_too(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = bytearray(pack(b"one: refused a\n" * 10_000))
    path = tmp_path / name
    for place in range(10, len(packed) - 1):
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :])
        with log_files.opened(str(path), NOW) as log:
            so_far = ReadSoFar(log.name)
            assert len(list(read(log, MIXED, UTC, so_far))) <= 10_000
    assert so_far.problem is not None


def test_a_directory_is_read_from_its_oldest_file_on(tmp_path: Path) -> None:
    for age, name in enumerate(("c", "a", "b")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "sub").mkdir()
    assert list(log_files.named([str(tmp_path), "-"])) == [str(tmp_path / name) for name in ("b", "a", "c")] + ["-"]


def test_a_directory_of_directories_says_which_one_to_name(tmp_path: Path) -> None:
    """As Exchange's TransportRoles\\Logs is one; else all would be well, with nothing read."""
    (tmp_path / "SmtpReceive").mkdir()
    with pytest.raises(UsageError, match="no file is in it; directories below it are not looked into"):
        list(log_files.named([str(tmp_path)]))


def test_a_file_is_read_once_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("a")
    names = [str(tmp_path / "c"), str(tmp_path), str(tmp_path / "a"), "-", "-"]
    assert list(log_files.named(names)) == [str(tmp_path / "c"), "-", "-"]


def test_one_file_in_a_directory_that_cannot_be_opened_leaves_the_others(tmp_path: Path) -> None:
    """Rotation packs as an administrator chose, and takes files away while others are read."""
    (tmp_path / "a.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    (tmp_path / "b").write_text("one: refused a\n")
    (tmp_path / "c").write_text("")
    logs = list(open_logs([str(tmp_path)], with_journal=False, now=NOW))
    (tmp_path / "c").unlink()
    with CollectedMails(UTC) as mails:
        found = rejections(mails, logs, LogOptions(MIXED, UTC), None)
    assert [(log.lines, log.problem is None) for log in found.logs] == [(0, False), (1, True), (0, False)]
    assert "zstd -dc" in str(found.logs[0].problem)
    assert "c: cannot be read (No such file or directory)" in str(found.logs[2].problem)
    assert found.mails == 1


def test_a_packed_log_that_is_broken_in_the_middle(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(os.urandom(1 << 16).hex().encode()))
    content[1000:1100] = bytes(each ^ 0x5A for each in content[1000:1100])
    (tmp_path / "a.gz").write_bytes(content)
    so_far = ReadSoFar("a.gz")
    with log_files.opened(str(tmp_path / "a.gz"), NOW) as log:
        assert list(read(log, MIXED, UTC, so_far)) == []
    assert "cannot be read to its end" in str(so_far.problem)


def _missing(path: Path) -> Sequence[str]:
    return list(log_files.named([str(path / "no.log")]))


def _zstd(path: Path) -> None:
    (path / "a.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    with log_files.opened(str(path / "a.zst"), NOW):
        pass


@pytest.mark.parametrize(
    ("refused", "says"), [(_missing, "no.log: there is no such file"), (_zstd, "zstd -dc .*a.zst | ... -")]
)
def test_what_cannot_be_opened_says_what_to_do(tmp_path: Path, refused: Callable[[Path], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        refused(tmp_path)


def test_a_device_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UsageError, match="/proc/self/mem: cannot be read"), log_files.opened("/proc/self/mem", NOW):
        pass


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="run it as one who may"), log_files.opened(str(tmp_path), NOW):
        pass
