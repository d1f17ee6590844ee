"""Shoots at all that reads what strangers have written into logs and bounces: damaged ones must be read or passed over.

Logs, also packed, go through every format, into the database of mails, and out again in words and as JSON; bounces
through the same as ``safelist explain``. Nothing but the named errors may come of it, and in bounded time.

python fuzz/logs_and_bounces.py [--seconds 60] [--seed N]
"""

import argparse
import bz2
import gzip
import json
import lzma
import random
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn
from zoneinfo import ZoneInfo

from mutation import damage

from safelist.errors import UsageError
from safelist.rejections import explanation, json_form, words
from safelist.rejections.collected import CollectedMails
from safelist.rejections.fingerprints import FingerprintTable, table
from safelist.rejections.format import LogFormat
from safelist.rejections.formats import FORMATS
from safelist.rejections.log_files import opened
from safelist.rejections.reading import ReadSoFar, UnreadLine, read
from safelist.rejections.rejection import Rejection
from safelist.rejections.summary import summary
from safelist.rejections.whose_box import Heard, whose_boxes
from tests.rejections import test_bounce as bounces
from tests.rejections.cases import CASES

MOST_SECONDS = 5
"""Of the processor, for one input of some hundred kilobytes."""
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
INTERESTING = [
    b"\0", b"\xff", b"\r", b"\n", b"\n\n", b'"', b"\\", b"\\ud800", b"{", b"}", b"[", b"]", b"<", b">", b"(", b")",
    b";", b"=", b",", b": ", b" ", b"@", b"%", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x1b[31m", b"reject",
    b"rejected RCPT ", b'"MESSAGE":[', b"status=bounced (", b"from=<", b"F=<", b"blocked using ", b"0", b"-1",
    b"9" * 400, b"1e999",
    b"Feb 29", b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"550 5.7.1 ", b"Diagnostic-Code: smtp; ",
    b"Content-Type: text/html; charset=", b"=?utf-8?b?", b"--", b"#Fields: ",
]  # fmt: skip
BOUNCES = [
    bounces.bounced(),
    *(
        text.encode()
        for text in (
            bounces.POSTFIX, bounces.EXIM, bounces.SENDMAIL, bounces.QMAIL, bounces.EXCHANGE_2007,
            bounces.EXCHANGE_2010, bounces.EXCHANGE_2013, bounces.EXCHANGE_ONLINE, bounces.LOG, bounces.TALK,
        )
    ),
]  # fmt: skip


def some_log(chance: random.Random) -> bytes:
    """Lines of one format below its head, or of all that share files, some of them as the journal writes them."""
    case = chance.choice(CASES)
    if case.head or not FORMATS[case.format].needles:
        return "\n".join((*case.head, *case.lines, *case.others)).encode()
    shared = [line for each in CASES if FORMATS[each.format].needles for line in each.lines + each.others]
    return "\n".join(
        in_journal(line, chance) if chance.random() < 0.2 else line
        for line in chance.choices(shared, k=chance.randrange(1, 12))
    ).encode()


def in_journal(line: str, chance: random.Random) -> str:
    """The line as ``journalctl -o json`` writes it."""
    program, _, said = line.partition("]: ")
    entry = {
        "__REALTIME_TIMESTAMP": str(chance.choice([0, 1764200000000000, 10**18, 10**30])), "_HOSTNAME": "mx",
        "SYSLOG_IDENTIFIER": program.rpartition(" ")[2].partition("[")[0],
        "MESSAGE": list(said.encode()) if chance.random() < 0.5 else said,
    }  # fmt: skip
    return json.dumps(entry, separators=(",", ":"))


def some_bounce(chance: random.Random) -> bytes:
    """A bounce, or a log's lines, which people pass on as well."""
    return chance.choice(BOUNCES) if chance.random() < 0.9 else some_log(chance)


TIME = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?|[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{16}"
)
TIMES = [
    b"0001-01-01T00:00:00", b"0001-01-01 00:00:00", b"0001-01-01T00:00:00.000000+23:59", b"9999-12-31T23:59:59",
    b"9999-12-31 23:59:59.999", b"9999-12-31T23:59:59-23:59", b"1600-02-29T12:00:00Z", b"Feb 29 00:00:00",
    b"Dec 31 23:59:60", b"Jan  1 00:00:00", b"0000000000000000", b"253402300799999999", b"-62135596800000000",
]  # fmt: skip


def other_time(data: bytes, chance: random.Random) -> bytes:
    """One of the times in it is another one, such as only a forger writes."""
    found = list(TIME.finditer(data))
    if not found:
        return data
    begin, end = chance.choice(found).span()
    return data[:begin] + chance.choice(TIMES) + data[end:]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """What :func:`mutation.damage` makes of it; of every fifth log or bounce, first of one with another time in it."""
    return damage(other_time(data, chance) if chance.random() < 0.2 else data, INTERESTING, chance, may_repeat=True)


def packed(data: bytes, chance: random.Random) -> bytes:
    """The log as rotation leaves it, which is mostly whole."""
    pack: list[Callable[[bytes], bytes]] = [gzip.compress, lzma.compress, bz2.compress]
    done = chance.choice(pack)(data)
    return damaged(done, chance) if chance.random() < 0.5 else done


class Shots:
    """What is shot, and what came of it."""

    def __init__(self, chance: random.Random, log: Path) -> None:
        self._chance, self._log = chance, log
        self._table: FingerprintTable = table()
        self.tried = self.refused = self.rejections = self.unread = self.replies = 0

    def one(self) -> bytes:
        """The next input, and which reader it is for."""
        self.tried += 1
        if self._chance.random() < 0.4:
            return b"B" + damaged(some_bounce(self._chance), self._chance)
        data = damaged(some_log(self._chance), self._chance)
        return b"L" + (packed(data, self._chance) if self._chance.random() < 0.1 else data)

    def at(self, data: bytes) -> None:
        """Have it read. Raises AssertionError for what it must not become, and what the readers raise."""
        (self.bounce if data.startswith(b"B") else self.log)(data[1:])

    def log(self, data: bytes) -> None:
        """What ``safelist rejections`` does with a log."""
        self._log.write_bytes(data)
        zone, so_far = ZoneInfo("Europe/Berlin"), ReadSoFar("log")
        formats: dict[str, LogFormat] = dict(FORMATS)
        with CollectedMails(zone) as mails:
            try:
                with opened(str(self._log), NOW) as log:
                    found = list(read(log, formats, zone, so_far))
            except UsageError:
                self.refused += 1
                return
            read_ = [each for each in found if isinstance(each, Rejection)]
            unread = [each for each in found if isinstance(each, UnreadLine)]
            mails.add(read_)
            figures = summary(mails, [so_far], len(unread), None, is_judged=False)
            assert figures.attempts + figures.bounced <= len(read_) <= sum(so_far.formats.values())
            assert len(list(words.in_words(figures))) <= 10
            answer = json_form.rejection_summary(figures), *map(json_form.refused_mail, mails.mails())
            json.dumps([*answer, *map(json_form.unread_line, unread)]).encode()
            "".join(str(each) for each in found).encode()  # a terminal and a file take no surrogates
        assert all(1 <= each.place.line <= so_far.lines for each in found)
        self.rejections += len(read_)
        self.unread += len(unread)

    def bounce(self, data: bytes) -> None:
        """What ``safelist explain`` does with a bounce."""
        found = explanation.explain([data], self._table)
        told = [each.said for each in found.replies]
        heard = [Heard(said.text, (said.recipient or "").rpartition("@")[2], said.remote) for said in told]
        boxes = whose_boxes([each for each in heard if each.recipient_domain], self._table)
        answer = [*map(explanation.reply_form, found.replies), *map(explanation.trace_form, found.traces)]
        json.dumps([*answer, *(box.sentence for box in boxes)]).encode()
        self.replies += len(found.replies)


def too_long(_: int, __: FrameType | None) -> NoReturn:
    raise TimeoutError(f"more than {MOST_SECONDS} seconds of the processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    signal.signal(signal.SIGPROF, too_long)
    print(f"seed {options.seed}", flush=True)
    with TemporaryDirectory() as directory:
        shots = Shots(random.Random(options.seed), Path(directory) / "log")
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            shot_at(shots)
    print(
        f"{shots.tried} inputs: {shots.rejections} rejections, {shots.unread} lines unread, {shots.refused} logs of a "
        f"packing that is not read, {shots.replies} replies, no other outcome"
    )


def shot_at(shots: Shots) -> None:
    """Shoot once; what breaks is printed."""
    data = shots.one()
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        shots.at(data)
    except BaseException:
        print(f"after {shots.tried} inputs, this one breaks the readers (L: a log, B: a bounce):\n{data[:100_000]!r}")
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
