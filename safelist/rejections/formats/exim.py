"""Exim's main log and reject log: what an ACL refused, and what other servers refused of what this one sent. Pure.

The lines are those of Exim's specification ("Log files") and of ``smtp_in.c``, ``receive.c`` and ``deliver.c``::

    2026-11-27 09:00:00 H=(helo.example) [192.0.2.9] F=<bob@aol.com> rejected RCPT <you@corp.example>: TEXT

TEXT is what the ACL says to the log, which need not be what it says to the client. After the end of the data the
recipients are known from the reject log alone, which has the envelope in the lines that follow it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from safelist.rejections.format import LogFormat, LogLine, LogOrigin, UnreadLineError
from safelist.rejections.log_values import client_of, time_of
from safelist.rejections.providers import listed_of, provider_of
from safelist.rejections.rejection import Rejection, RejectionKind, Stage
from safelist.rejections.syslog import program_of, record

_ID = r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
"""Of a message: the longer one since Exim 4.97."""
_HEAD = re.compile(
    r"(?:\[\d{1,6}[\\/]\d{1,6}\] )?"  # a part of several, in syslog
    r"(?:(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?(?P<zone> [+-]\d{4})?) )?"
    rf"(?:\[\d{{1,10}}\] )?(?:(?P<id>{_ID}) )?(?=(?:DS )?[HUF]=|(?:temporarily )?rejected |\*\* )",
    re.ASCII,
)
_PROGRAMS = ("exim", "exim4")

_ADDRESS = r'(?:"(?:[^"\\]|\\.)*+"|[^"<>])*+'
_HOST = r"(?:(?P<name>[^\s()\[\]=]{1,255}) )?(?:\((?P<helo>\S*?)\) (?=\[))?\[(?P<client>[^\s\[\]]{2,64})\](?::\d{1,5})?"
_GROUPS = r'(?: (?!F=)[A-Za-z]{1,6}=(?:"(?:[^"\\]|\\.)*+"|\S*+))*+'
_BEFORE = re.compile(
    rf"(?:DS )?(?:H={_HOST})?(?: ?U=\S*+)?{_GROUPS}"
    rf"(?P<from> ?F=(?:<(?P<sender>{_ADDRESS})>|(?P<bare>[^\s<]\S*+)))?{_GROUPS} ?",
    re.ASCII,
)
"""What stands before the refusal: the host, things that ``log_selector`` adds, and the sender."""
_REFUSED = re.compile(r"(?P<temporarily>temporarily )?rejected (?P<what>.*)", re.DOTALL)
_REFUSED_COMMAND = re.compile(
    r"(?:^| )rejected (?:RCPT|MAIL|DATA|EHLO|HELO|connection in|after DATA|during MIME|by local_scan|from <)"
)
_STAGES = {
    "RCPT ": Stage.RCPT,
    "MAIL ": Stage.MAIL,
    "EHLO or HELO ": Stage.HELO,
    "EHLO from ": Stage.HELO,
    "HELO from ": Stage.HELO,
    "connection in ": Stage.CONNECT,
    "DATA": Stage.DATA,
    "after DATA": Stage.MESSAGE,
    "during MIME ACL checks": Stage.MESSAGE,
    "by local_scan()": Stage.MESSAGE,
    "from <": Stage.MESSAGE,
}
"""By how it goes on after "rejected ". What is said of other commands (AUTH, VRFY, ETRN) refuses no mail."""
_ENVELOPE_ADDRESS = re.compile(
    rf"(?:FROM:)?(?:<(?P<address>{_ADDRESS})>[^:]*+|(?P<bare>[^\s<]\S*?)(?=: |:?$)|.*?(?=: |$))(?:: ?(?P<text>.*))?",
    re.DOTALL,
)
"""Exim writes 100 characters of it: of a longer one the end is missing, and it is not told."""
_FROM_HOST = re.compile(rf"(?:<(?P<sender>{_ADDRESS})>)?(?: ?(?:H=)?{_HOST})?.*?(?:: (?P<text>.*))?", re.DOTALL)

_BOUNCED = re.compile(
    r"\*\* (?P<recipient>(?:\"(?:[^\"\\]|\\.)*+\")?\S*+)(?P<way>.*?)"
    r": SMTP error from remote mail server after (?:pipelined )?(?P<said>.*)",
    re.DOTALL,
)
_SENDER = re.compile(rf" (?:F|P)=<(?P<sender>{_ADDRESS})>")
_SERVER = re.compile(rf" H={_HOST}", re.ASCII)
_ANSWER = re.compile(rf".*?(?:: host {_HOST}(?=: )|(?=: \d{{3}}[ -])): (?P<reply>.*)", re.DOTALL | re.ASCII)
_TIMES = re.compile(r"(?: (?:DT|QT|RT)=[0-9.wdhms]{1,20}){1,3}$")
_ANSWERED = {
    "initial connection": Stage.CONNECT,
    "EHLO": Stage.HELO,
    "HELO": Stage.HELO,
    "MAIL": Stage.MAIL,
    "RCPT": Stage.RCPT,
    "DATA": Stage.DATA,
    "end of data": Stage.MESSAGE,
    "sending data block": Stage.MESSAGE,
}

_ENVELOPE_TO = re.compile(rf"(?P<first>Envelope-to: |    )<(?P<address>{_ADDRESS})>")
_LINES_TO_ENVELOPE_TO = 2
"""From a refusal in the reject log; ``Envelope-from:`` stands between."""


class _EximRefusal(NamedTuple):
    """What a line says besides when: as in a :class:`Rejection`."""

    stage: Stage | None
    reply: str
    kind: RejectionKind = RejectionKind.REJECTED
    client: str | None = None
    host: str | None = None
    sender: str | None = None
    recipient: str | None = None


class _EximReader:
    """Reads lines; a message that was refused waits for its recipients, who stand in the lines below or nowhere."""

    def __init__(self, origin: LogOrigin) -> None:
        self._origin = origin
        self._refused: Rejection | None = None
        self._recipients: list[str] = []

    def read(self, line: LogLine) -> Iterator[Rejection]:
        """The refusals that nothing can be added to any more."""
        if line.text.startswith(("Envelope-", "    <")):
            self._add(line)
            return
        yield from self.end()
        rejection = _rejection(line, self._origin)
        if rejection is not None and rejection.stage is Stage.MESSAGE and rejection.recipient is None:
            self._refused = rejection
        elif rejection is not None:
            yield rejection

    def end(self) -> Iterator[Rejection]:
        """What waits."""
        refused, recipients = self._refused, dict.fromkeys(self._recipients)
        self._refused, self._recipients = None, []
        if refused is not None:
            yield from (refused._replace(recipient=each) for each in recipients or (None,))

    def _add(self, line: LogLine) -> None:
        found = _ENVELOPE_TO.fullmatch(line.text)
        if self._refused is None or found is None or (found["first"] == "    ") != bool(self._recipients):
            return
        file, number = self._refused.place
        if line.place == (file, number + _LINES_TO_ENVELOPE_TO + len(self._recipients)):
            self._recipients.append(found["address"])


def _recognises(text: str) -> bool:
    if text[:4].isdecimal() and text[10:11] == " ":
        return (found := _HEAD.match(text)) is not None and found["time"] is not None
    return _ENVELOPE_TO.fullmatch(text) is not None or program_of(text) in _PROGRAMS


def _rejection(line: LogLine, origin: LogOrigin) -> Rejection | None:
    """The refusal that a line tells of; None if it tells of something else."""
    said = record(line.text, origin)
    text = line.text if said is None else said.text
    if (head := _HEAD.match(text)) is None:
        return None
    rest = text[head.end() :]
    if (found := _bounced(rest) if rest.startswith("** ") else _refused(rest)) is None:
        return None
    # Exim's zone need not be syslog's, which the head of its line tells of only if it has one.
    at = time_of(head["time"] or "", origin) if said is None or head["zone"] else said.at
    provider, listed = provider_of(found.reply), listed_of(found.reply)
    return Rejection(at=at, place=line.place, provider=provider, listed=listed, **found._asdict())


def _refused(text: str) -> _EximRefusal | None:
    """What an ACL refused, or Exim by itself."""
    before = _BEFORE.match(text)
    rest = text[before.end() :] if before is not None else text
    if before is None or (refused := _REFUSED.fullmatch(rest)) is None:
        if rest.startswith(("H=", "F=", "DS ")) and _REFUSED_COMMAND.search(rest):
            raise UnreadLineError("expected H=HOST [IP], F=<SENDER> and what was rejected")
        return None
    what = refused["what"]
    begin = next((each for each in _STAGES if what.startswith(each)), None)
    if begin is None:
        return None
    found = _before(before, _told(_STAGES[begin], what, begin))
    if before["helo"]:
        _demand_one_refusal(found.reply)
    return found._replace(kind=RejectionKind.DEFERRED) if refused["temporarily"] else found


def _told(stage: Stage, what: str, begin: str) -> _EximRefusal:
    """What stands behind "rejected"."""
    if begin in ("RCPT ", "MAIL "):
        found = _ENVELOPE_ADDRESS.fullmatch(what, len(begin))
        address, reply = _address(found), (found and found["text"]) or ""
        if stage is Stage.RCPT:
            return _EximRefusal(stage, reply, recipient=address)
        return _EximRefusal(stage, reply, sender=address)
    if begin in ("EHLO from ", "HELO from ", "from <"):
        return _by_exim_itself(stage, what.partition("from ")[2])
    kind = RejectionKind.DISCONNECTED if stage is Stage.CONNECT else RejectionKind.REJECTED
    return _EximRefusal(stage, what.partition(": ")[2], kind)


def _address(found: re.Match[str] | None) -> str | None:
    if found is None or (found["address"] is None and found["bare"] is None):
        return None
    return found["address"] or found["bare"] or ""


def _by_exim_itself(stage: Stage, text: str) -> _EximRefusal:
    """A refusal that names the host behind it: ``from <S> H=NAME [IP]: message too big``."""
    if (found := _FROM_HOST.fullmatch(text)) is None:
        return _EximRefusal(stage, "")
    client = client_of(found["client"]) if found["client"] else None
    return _EximRefusal(stage, found["text"] or "", client=client, host=found["name"], sender=found["sender"])


def _before(before: re.Match[str], found: _EximRefusal) -> _EximRefusal:
    """With the host and the sender that stand before "rejected"."""
    if before["client"]:
        found = found._replace(client=client_of(before["client"]), host=before["name"])
    if before["from"]:
        found = found._replace(sender=before["sender"] or before["bare"] or "")
    return found


def _demand_one_refusal(reply: str) -> None:
    """Where HELO may be anything (``helo_accept_junk_hosts``), a client can write a whole refusal into it.

    What follows then is the end of the real host, ``) [IP]``, and what Exim says of it.
    """
    at = reply.find(") [")
    if at >= 0 and (reply.count("(", 0, at) < reply.count(")", 0, at + 1) or _REFUSED_COMMAND.search(reply, at)):
        raise UnreadLineError("expected one host, and found the end of another, which the client may have written")


def _bounced(text: str) -> _EximRefusal | None:
    """What another server refused; None if the mail came back for another reason."""
    if (found := _BOUNCED.fullmatch(text)) is None:
        return None
    answer = _ANSWER.fullmatch(found["said"])
    server = answer if answer is not None and answer["client"] else _SERVER.search(found["way"])
    sender = _SENDER.search(found["way"])
    return _EximRefusal(
        next((stage for begin, stage in _ANSWERED.items() if found["said"].startswith(begin)), None),
        _TIMES.sub("", answer["reply"]) if answer is not None else "",
        RejectionKind.BOUNCED,
        client=client_of(server["client"]) if server is not None else None,
        host=server["name"] if server is not None else None,
        sender=sender["sender"] if sender is not None else None,
        recipient=found["recipient"],
    )


EXIM = LogFormat(
    name="exim",
    title="Exim's main log and reject log",
    needles=(
        b" rejected ",
        b": SMTP error from remote mail server after ",
    ),
    beside={b" rejected ": (b"Envelope-to: <", b"    <")},
    recognises=_recognises,
    reader=_EximReader,
    cannot_tell=(
        "The code that a client was answered, and the words where the ACL has others for the log; the recipients of a "
        "message that was refused after its data, which the reject log alone has; the sender of a mail that another "
        "server refused, without `log_selector = +sender_on_delivery`; what of a mail a DNS list was asked about."
    ),
)
