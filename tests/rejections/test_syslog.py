"""Heads of syslog lines, as the loggers of today and of yesterday write them."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.rejections.format import LogOrigin
from safelist.rejections.syslog import JOURNAL_NEEDLES, SyslogRecord, program_of, record
from tests.rejections.contract import NEWEST

ORIGIN = LogOrigin(NEWEST, UTC)
BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 11, 26, 18, 19, 15, tzinfo=UTC)
RECORD = SyslogRecord(AT, "mx", "postfix/smtpd", "NOQUEUE: reject: x [y]: z")
BODY = "NOQUEUE: reject: x [y]: z"


def at(text: str, origin: LogOrigin = ORIGIN) -> datetime:
    read = record(text, origin)
    assert read is not None
    return read.at


@pytest.mark.parametrize(
    "head",
    [
        "Nov 26 18:19:15 mx postfix/smtpd[1574]: ",
        "Nov 26 18:19:15 mx postfix/smtpd: ",
        "<22>Nov 26 18:19:15 mx postfix/smtpd[1574]: ",
        "Nov 26 18:19:15 mx mail.info postfix/smtpd[1574]: ",
        "2026-11-26T18:19:15+00:00 mx postfix/smtpd[1574]: ",
        "2026-11-26T18:19:15Z mx postfix/smtpd[1574]: ",
        "2026-11-26T19:19:15+01:00 mx postfix/smtpd[1574]: ",
        "2026-11-26T13:19:15-0500 mx postfix/smtpd[1574]: ",
        "2026-11-26T18:19:15 mx postfix/smtpd[1574]: ",
        "<22>1 2026-11-26T18:19:15Z mx postfix/smtpd 1574 - - ",
        "1 2026-11-26T18:19:15Z mx postfix/smtpd - - - ",
        "<22>1 2026-11-26T18:19:15Z mx postfix/smtpd 1574 ID47 - \ufeff",
        r'<22>1 2026-11-26T18:19:15Z mx postfix/smtpd 1574 - [a@1 k="]\"\\ v"][b@2 n="["] ',
    ],
)
def test_each_head_tells_the_same(head: str) -> None:
    assert record(head + BODY, ORIGIN) == RECORD
    assert program_of(head + BODY) == "postfix/smtpd"


def test_a_fraction_of_a_second_is_kept() -> None:
    fraction = timedelta(microseconds=572449)
    assert at("2026-11-26T18:19:15.572449+00:00 mx a[1]: b") == AT + fraction
    assert at("2026-11-26T18:19:15.572449123Z mx a[1]: b") == AT + fraction
    assert at("Nov 26 18:19:15.572449 mx a[1]: b") == AT + fraction
    assert at("<22>1 2026-11-26T18:19:15.572449Z mx a 1 - - b") == AT + fraction


def test_a_leap_second_is_the_next_one() -> None:
    assert at("Dec 31 23:59:60 mx a[1]: b") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "newest", "year"),
    [
        ("Nov 27 12:00:00", NEWEST, 2026),
        ("Nov 28 12:00:00", NEWEST, 2026),
        ("Nov 28 12:01:00", NEWEST, 2025),
        ("Dec 31 23:59:59", datetime(2027, 1, 2, tzinfo=UTC), 2026),
        ("Jan  1 00:00:00", datetime(2026, 12, 31, 12, tzinfo=UTC), 2027),
        ("Feb 29 12:00:00", NEWEST, 2024),
        ("Feb 29 12:00:00", datetime(1903, 6, 1, tzinfo=UTC), 1896),
        ("Mar 01 00:00:00", NEWEST, 2026),
    ],
)
def test_a_time_without_a_year_is_the_latest_that_can_be(time: str, newest: datetime, year: int) -> None:
    assert at(f"{time} mx a[1]: b", LogOrigin(newest, UTC)).year == year


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("Jul  1 12:00:00", "2026-07-01T10:00:00"),
        ("Nov 26 12:00:00", "2026-11-26T11:00:00"),
        ("Oct 25 02:30:00", "2026-10-25T00:30:00"),  # there twice: an hour later again
        ("Mar 29 02:30:00", "2026-03-29T01:30:00"),  # not there: the clock was at 03:30
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00"),
        ("2026-07-01T12:00:00", "2026-07-01T10:00:00"),
    ],
)
def test_a_time_without_a_zone_is_of_the_logs(time: str, utc: str) -> None:
    assert at(f"{time} mx a[1]: b", LogOrigin(NEWEST, BERLIN)) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_the_newest_time_and_the_lines_are_compared_where_they_hold() -> None:
    """23:30 in Berlin on the 28th is 22:30 UTC: less than a day after the newest, whatever the calendar says."""
    origin = LogOrigin(datetime(2026, 11, 27, 22, 30, tzinfo=UTC), BERLIN)
    assert at("Nov 28 23:30:00 mx a[1]: b", origin).year == 2026
    assert at("Nov 28 23:31:00 mx a[1]: b", origin).year == 2025


ENTRY = {
    "__REALTIME_TIMESTAMP": str(int(AT.timestamp()) * 1_000_000),
    "_HOSTNAME": "mx",
    "SYSLOG_IDENTIFIER": "postfix/smtpd",
    "_COMM": "smtpd",
    "MESSAGE": BODY,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, RECORD),
        ({"MESSAGE": list(BODY.encode())}, RECORD),
        ({"MESSAGE": [0x61, 0xFF, 0x62]}, RECORD._replace(text="a\\xffb")),
        ({"MESSAGE": "a\ud800b"}, RECORD._replace(text="a\\ud800b")),
        ({"MESSAGE": None}, RECORD._replace(text="")),
        ({"MESSAGE": [1, 256]}, RECORD._replace(text="")),
        ({"MESSAGE": ["a", "b"]}, RECORD._replace(text="")),
        ({"MESSAGE": "one\r\ntwo\nthree"}, RECORD._replace(text="one two three")),
        ({"SYSLOG_IDENTIFIER": None}, RECORD._replace(program="smtpd")),
        ({"SYSLOG_IDENTIFIER": None, "_COMM": None}, RECORD._replace(program="")),
        ({"_HOSTNAME": 1}, RECORD._replace(host="")),
        ({"__REALTIME_TIMESTAMP": None}, None),
        ({"__REALTIME_TIMESTAMP": "9" * 5000}, None),
        ({"__REALTIME_TIMESTAMP": "9" * 18}, None),
    ],
)
def test_an_entry_of_the_journal(change: dict[str, object], expected: SyslogRecord | None) -> None:
    assert record(json.dumps(ENTRY | change), ORIGIN) == expected


@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_a_text_that_the_journal_writes_as_bytes_can_be_found(separators: tuple[str, str]) -> None:
    """Old and new versions of journalctl put blanks into their objects, or none."""
    entry = json.dumps(ENTRY | {"MESSAGE": [0xFF]}, separators=separators).replace(" : [255", " : [ 255").encode()
    assert any(needle in entry for needle in JOURNAL_NEEDLES)
    assert not any(needle in json.dumps(ENTRY, separators=separators).encode() for needle in JOURNAL_NEEDLES)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "postfix/smtpd[1574]: " + BODY,
        BODY,
        "Nov 26 18:19:15 mx nothing that names a program",
        "Nov 31 18:19:15 mx a[1]: b",
        "Xyz 26 18:19:15 mx a[1]: b",
        "Nov 26 24:19:15 mx a[1]: b",
        "Nov 26 18:19:61 mx a[1]: b",
        "2026-02-29T18:19:15Z mx a[1]: b",
        "0001-01-01T00:00:00+23:59 mx a[1]: b",
        "2026-11-26T18:19:15+24:00 mx a[1]: b",
        "<22>1 - mx a 1 - - b",
        "<22>1 2026-11-26T18:19:15Z mx a 1 - [a b",
        '<22>1 2026-11-26T18:19:15Z mx a 1 - [a b="] c',
        "{",
        "{}",
        '{"a":' * 100_000,
        "[" * 100_000,
        "-- Logs begin at Thu 2026-11-26 18:19:15 UTC. --",
    ],
)
def test_what_does_not_tell_its_time_is_no_record(line: str) -> None:
    assert record(line, ORIGIN) is None


def test_a_container_that_writes_heads_is_read_and_one_that_writes_none_names_its_program_only() -> None:
    assert at("Nov 26 18:19:15 4f3c1d2e postfix/smtpd[80]: " + BODY) == AT
    assert program_of("postfix/smtpd[80]: " + BODY) == ""


def test_a_message_is_one_line() -> None:
    read = record("Nov 26 18:19:15 mx a[1]: b\nc\x1b[31m\udcff\x00", ORIGIN)
    assert read == SyslogRecord(AT, "mx", "a", "b c\x1b[31m\udcff\x00")


@given(st.text(alphabet='<>[]":\\ \n1Z-', max_size=80), st.integers(0, 60))
def test_whatever_stands_there_no_error_comes_out(text: str, cut: int) -> None:
    record(r'<22>1 2026-11-26T18:19:15Z mx a 1 - [a@1 k="v\"w"] b'[:cut] + text, ORIGIN)
    record(json.dumps(ENTRY)[:cut] + text, ORIGIN)


@pytest.mark.parametrize("part", ["[", "[a ", '[a b="', "\\", '"', "[]", '[a b="c"]', "a ", "<1>", "]"])
def test_a_long_line_is_read_once(part: str) -> None:
    """Three megabytes: what went through them again for each of their characters would not come back today."""
    length = 3_000_000 // len(part)
    for head in (
        "Nov 26 18:19:15 mx ",
        "<22>1 2026-11-26T18:19:15Z mx a 1 - ",
        "<22>1 2026-11-26T18:19:15Z mx a 1 - [x ",
    ):
        record(head + part * length, ORIGIN)
