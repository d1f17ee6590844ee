"""rspamd's log: the line that each message gets at its end. Pure.

It is written by ``log_format`` of rspamd's ``logging.inc``, as Debian has it (3.4) and as it is by default (4.x)::

    2026-11-27 09:00:00 #77(normal) <a1b2c3>; task; rspamd_task_write_log: id: <1@aol.com>, ip: 192.0.2.9,
    from: <bob@aol.com>, (default: T (reject): [23.10/15.00] [RBL_X(20.00){192.0.2.9:from;},...]), len: 9, time: 9.1ms,
    dns req: 9, digest: <a9>, rcpts: <you@corp.example>, mime_rcpts: <you@corp.example>

Addresses stand there without quotes, and options of symbols hold words of the mail: whoever writes a mail can write
what looks like the line itself. A line with two verdicts is reported, and of one with two ends no recipient is taken.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from safelist.rejections.format import LineReader, LogFormat, LogLine, LogOrigin, LogReader, UnreadLineError
from safelist.rejections.log_values import client_of, time_of
from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage
from safelist.rejections.syslog import program_of, record

KINDS: Mapping[str, RejectionKind] = {"reject": RejectionKind.REJECTED, "soft reject": RejectionKind.DEFERRED}
"""By rspamd's action; with any other the mail is taken."""

_HEAD = re.compile(
    r"(?:(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) )?(?:\[[a-z]{1,16}\] )?(?:#\d{1,10}\([^()\s]{1,64}\) )?"
    r"(?:<[^<>\s]{0,64}>; )?(?:[a-z_]{1,32}; )?rspamd_task_write_log: ",
    re.ASCII,
)
_NUMBER = r"-?(?:\d{1,9}\.\d{1,6}|nan|inf)"
_VERDICT = re.compile(
    rf"\([a-z]{{1,32}}: [A-Z] \((?P<action>[a-z ]{{1,32}})\): \[(?P<score>{_NUMBER})/(?P<required>{_NUMBER})\] \["
)
_ENVELOPE = re.compile(
    r"id: <\S*?>,(?: qid: <[^<>\s]*+>,)?(?: ip: (?P<client>[^\s,]++),)?(?: user: [^,]*+,)?"
    r"(?: from: <(?P<sender>.*)>,)? ",
    re.DOTALL,
)
_END = re.compile(
    r"\]\), len: \d{1,12}, time: [0-9.]{1,20}ms(?: real, [0-9.]{1,20}ms virtual)?, dns req: \d{1,9}, "
    r"digest: <[0-9a-f]{1,128}>"
)
_SYMBOL = re.compile(
    r"(?<![^,])(?P<name>[^\s(){};,]{1,128})\((?P<weight>-?\d{1,9}\.\d{1,6})\)(?:\{(?P<options>[^}]*+))?"
)
_RECIPIENTS = re.compile(
    r", rcpts: <(?:(?P<all>.*?)>(?=, (?:mime_rcpts: <|file: |forced: |settings_id: )|$)|(?P<cut>.*))", re.DOTALL
)
_FORCED = re.compile(r', forced: [a-z ]{1,32}(?: "(?P<reply>.*)")?; score=\S{1,32} \(set by ', re.DOTALL)
_MORE = "..."
"""Stands for the recipients after the eighth."""

_OF_ADDRESSES = ("RBL_", "RCVD_IN_", "RECEIVED_SPAMHAUS_")
"""How the symbols of rspamd's own lists of IP addresses begin (``rbl.conf``)."""
_ASKED = re.compile(r"[0-9A-Fa-f.:]{2,45}:(?P<what>from|received)")
"""The option that rspamd's module of lists gives a symbol: an address, and whose it is."""


class WeighedSymbol(NamedTuple):
    """What a rule found in a message, and what that weighs."""

    name: str
    weight: float
    options: Sequence[str] = ()

    @property
    def is_dnsbl(self) -> bool:
        """Whether it is of a list of IP addresses, and speaks against the message."""
        return self.weight > 0 and (self.name.startswith(_OF_ADDRESSES) or any(map(_ASKED.fullmatch, self.options)))


def dnsbl_of(symbols: Iterable[WeighedSymbol], score: float, required: float) -> WeighedSymbol | None:
    """The list that a rejection is due to: the weightiest, if the message had passed without the weight of all lists.

    A message that is rejected without them as well, or whatever its score is, is no list's: taking their weight away,
    as safelist does, would not let it through.
    """
    lists = [each for each in symbols if each.is_dnsbl]
    if not score >= required > score - sum(each.weight for each in lists):
        return None
    return max(lists, key=lambda each: each.weight, default=None)


def listed_by(symbol: WeighedSymbol | None) -> Listed | None:
    """What the list was asked about, where the symbol tells."""
    found = [_ASKED.fullmatch(each) for each in symbol.options] if symbol is not None else []
    return Listed.CLIENT if any(each is not None and each["what"] == "from" for each in found) else None


def _reader(origin: LogOrigin) -> LogReader:
    return LineReader(lambda line: _rejections(line, origin))


def _recognises(text: str) -> bool:
    if "rspamd_task_write_log: " not in text and not text.startswith("{"):
        return False
    if text[:4].isdecimal() and text[10:11] == " ":
        return _HEAD.match(text) is not None
    return program_of(text) == "rspamd"


def _rejections(line: LogLine, origin: LogOrigin) -> Iterator[Rejection]:
    """One for each recipient."""
    said = record(line.text, origin)
    text = line.text if said is None else said.text
    if (head := _HEAD.match(text)) is None or (verdict := _verdict(text, head.end())) is None:
        return
    at = said.at if said is not None else time_of(head["time"] or "", origin)
    symbols, end = _parts(text, verdict.end())
    recipients = _recipients(end)
    reply = _forced(end)
    dnsbl = _dnsbl(symbols, verdict) if reply is None else None
    client, sender = _envelope(text, head.end(), verdict.start())
    told = Rejection(
        at, KINDS[verdict["action"]], line.place, reply or "", client, stage=Stage.MESSAGE,
        sender=sender or ("" if any(recipients) else None),
        provider=dnsbl.name if dnsbl is not None else None,
        listed=listed_by(dnsbl),
    )  # fmt: skip
    yield from (told._replace(recipient=each) for each in recipients)


def _verdict(text: str, begin: int) -> re.Match[str] | None:
    """The verdict, if the mail was refused."""
    found = list(islice(_VERDICT.finditer(text, begin), 2))
    if not any(each["action"] in KINDS for each in found):
        return None
    if len(found) > 1:
        raise UnreadLineError("expected one verdict, and found another one, which the mail's writer may have written")
    return found[0]


def _envelope(text: str, begin: int, end: int) -> tuple[str | None, str | None]:
    """Client and sender. rspamd says nothing of an empty sender."""
    if (found := _ENVELOPE.fullmatch(text, begin, end)) is None:
        raise UnreadLineError("expected id: <ID>, ip: IP, from: <SENDER>, and rspamd's verdict")
    return client_of(found["client"]) if found["client"] else None, found["sender"]


def _parts(text: str, begin: int) -> tuple[str, str]:
    """The symbols, and what stands behind the message's digest."""
    found = list(islice(_END.finditer(text, begin), 2))
    if not found:
        return text[begin:], ""
    return text[begin : found[0].start()], text[found[0].end() :] if len(found) == 1 else ""


def _dnsbl(symbols: str, verdict: re.Match[str]) -> WeighedSymbol | None:
    found = (
        WeighedSymbol(each["name"], float(each["weight"]), (each["options"] or "").split(";"))
        for each in _SYMBOL.finditer(symbols)
    )
    return dnsbl_of(found, float(verdict["score"]), float(verdict["required"]))


def _recipients(end: str) -> list[str | None]:
    """Those that the line names; None stands for one or more that it does not."""
    if (found := _RECIPIENTS.match(end)) is None:
        return [None]
    if found["all"] is None:
        return [*filter(None, found["cut"].split(",")[:-1]), None]
    return [None if each == _MORE else each for each in found["all"].split(",") if each] or [None]


def _forced(end: str) -> str | None:
    """What the client is answered where a module rejects whatever the score is; None where none did."""
    found = _FORCED.match(end, max(end.rfind(", forced: "), 0))
    return None if found is None else found["reply"] or ""


RSPAMD = LogFormat(
    name="rspamd",
    title="rspamd's log",
    needles=(b"rspamd_task_write_log",),
    recognises=_recognises,
    reader=_reader,
    cannot_tell=(
        "What the client was answered, unless a module of rspamd's forced the action; the recipients after the "
        "eighth; the name of the client; whether the mail server did as rspamd said; the lookup domain of a list, "
        "which has its symbol's name instead. Only the log_format that comes with rspamd is read."
    ),
)
