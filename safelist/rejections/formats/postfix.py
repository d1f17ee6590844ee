"""Postfix's log: what smtpd, postscreen and cleanup refuse, and what other servers refuse of smtp and lmtp. Pure.

The forms are those of Postfix's sources (smtpd_check.c, smtpd.c, postscreen_early.c, postscreen_smtpd.c,
cleanup_message.c, cleanup_milter.c, log_adhoc.c), 2.8 to 3.10.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from safelist.postfix.lookup_domain import shown
from safelist.rejections.format import LogFormat, LogLine, LogOrigin, QuickForm, UnreadLineError
from safelist.rejections.providers import UNNAMED, listed_of, provider_of
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from safelist.rejections.syslog import HEAD_TIME, SyslogRecord, program_of, record, time_of

_SESSIONS = 1000
"""How many clients of postscreen are remembered: those that it found listed, and has not let go of."""
_ENDS = 8
"""How many places are tried where a reply may end: an address can be made to look like the end of a line."""

_REFUSED = re.compile(
    r"(?:[0-9A-Za-z]{5,40}: )?(?P<what>reject|reject_warning|milter-reject|proxy-reject): (?P<rest>.*)", re.DOTALL
)
_CLIENT = r"(?P<name>[^\s\[]{0,255})\[(?P<address>[^\]\s]{1,64})\]"
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_COMMAND = re.compile(
    rf"(?P<where>[A-Za-z-]{{2,20}})(?: from {_CLIENT}(?::(?P<port>\d{{1,5}}))?)?: (?P<said>.*)", re.DOTALL
)
_CONTENT = ("header ", "body ", "mime-error ")
_ORIGIN = re.compile(rf"(?P<content>.*) from (?:{_CLIENT}|\S{{1,255}})", re.DOTALL)
_BEGUN = tuple("; from="[:length] for length in range(7, 0, -1))
"""What may be left of the fields of a line that is cut; of a line without fields the semicolon."""
_END = re.compile(r";(?= (?:from=<|to=<|proto=))")


def _envelope_form(address: str, end: str) -> re.Pattern[str]:
    """The end of a line: each field may be missing, and postscreen writes commas between them."""
    return re.compile(
        rf";(?: from=<(?P<sender>{address})>,?)?(?: to=<(?P<recipient>{address})>,?)?"
        rf"(?: proto=[^\s<>,]*,?)?(?: helo=<(?:[^<>]*|\S*)>)?{end}",
        re.DOTALL,
    )


_QUOTED = r'(?:"(?:[^"\\]|\\.)*+"|[^<>"\\])*+'
_BARE = r"[^<>]*+"
_LOGIN = r"(?:,? sasl_[a-z]{1,20}=(?:<[^<>]*>|[^\s<>]*)){0,3}"
_REST = r"(?: [^<>]*(?:<[^<>]*)?)?"
_TEXT = r"(?:: (?P<text>(?:(?!helo=<).)*))?"
_WHOLE, _CUT = _envelope_form(_QUOTED, _LOGIN), _envelope_form(_BARE, _REST)
_WHOLE_WITH_TEXT, _CUT_WITH_TEXT = _envelope_form(_QUOTED, _TEXT), _envelope_form(_BARE, f"(?:{_TEXT}|{_REST})")

_PLAIN = r"!#-:=?-\[\]-~"
"""ASCII that stands in an address without quotes: no space, none of ``"<>\\`` and no semicolon."""
_COMMON = (
    rf"({HEAD_TIME}) [!-~]{{1,255}}+ postfix[a-z0-9-]{{0,32}}+(?:/[a-z0-9-]{{1,32}}+)?/smtpd\[[0-9]{{1,10}}+\]: "
    r"NOQUEUE: reject: RCPT from ([!-:<-Z\\^-~]{1,255}+)\[([0-9.]{7,15}+)\]: "
    r"(([45])[0-9]{2} [0-9]\.[0-9]{1,3}+\.[0-9]{1,3}+ Service unavailable; Client host \[[0-9.]{7,15}+\] "
    r"blocked using ([A-Za-z0-9.-]{3,255}+)(?:; [ !#-:=?-Z\\^-~]{0,300}+)?); "
    rf"from=<([{_PLAIN}]{{0,320}}+)> to=<([{_PLAIN}]{{1,320}}+)> proto=E?SMTP helo=<[!-:=?-~]{{0,255}}+>"
)
"""The line that a site with DNS blocklists has most of, whole; of this form the grammar below finds the same."""
_NAMED_ZONE = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z][A-Za-z0-9-]{0,62}")

_STAGES = {
    "CONNECT": Stage.CONNECT,
    "HELO": Stage.HELO,
    "EHLO": Stage.HELO,
    "MAIL": Stage.MAIL,
    "RCPT": Stage.RCPT,
    "DATA": Stage.DATA,
    "BDAT": Stage.DATA,
    "END-OF-MESSAGE": Stage.MESSAGE,
}
_FOR_NOW = re.compile(r"4\d\d[ -]|4\.\d{1,3}\.\d{1,3} |too many connections$|all (?:server|screening) ports busy$")
_ABOUT_SOMETHING = re.compile(r"(?:\d{3} )?(?:\d\.\d{1,3}\.\d{1,3} )?<")
_BLOCKED = " blocked using "

_BOUNCED = re.compile(
    rf"[0-9A-Za-z]{{5,40}}: to=<(?P<recipient>{_QUOTED}|{_BARE})>, (?:orig_to=<(?:{_QUOTED}|{_BARE})>, )?"
    r"relay=\S{1,300}, (?:[a-z_]{1,12}=\S{1,80}, ){0,6}status=bounced \((?P<why>.*)",
    re.DOTALL,
)
_SAID = re.compile(rf"host {_CLIENT} (?:said|(?P<greeted>refused to talk to me)): (?P<reply>.*)", re.DOTALL)
_ANSWERED = re.compile(r"(?P<reply>.*) \(in reply to (?P<command>[A-Za-z ]{1,40})\)?", re.DOTALL)
_COMMANDS = {
    "EHLO command": Stage.HELO,
    "HELO command": Stage.HELO,
    "LHLO command": Stage.HELO,
    "MAIL FROM command": Stage.MAIL,
    "RCPT TO command": Stage.RCPT,
    "DATA command": Stage.DATA,
    "sending message body": Stage.DATA,
    "end of DATA command": Stage.MESSAGE,
}

_ENDPOINT = r"\[(?P<address>[^\]\s]{1,64})\]:(?P<port>\d{1,5})"
_RANK = re.compile(rf"(?P<rank>DNSBL rank -?\d{{1,9}}) for {_ENDPOINT}")
_DISCONNECT = re.compile(rf"DISCONNECT {_ENDPOINT}")
_LISTED_BY = re.compile(r"addr (?P<address>\S{1,64}) listed by domain (?P<domain>\S{1,255}) as ")
_ALLOWS = re.compile(r"(?:^|[.-])(?:dns|s)?wl[.-]|dnswl|white|allow")
"""Lists that speak for a client, among those that postscreen_dnsbl_sites asks."""


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Envelope(NamedTuple):
    """A line taken apart: what stands before the fields, two of them, and what cleanup writes behind them."""

    said: str
    sender: str | None = None
    recipient: str | None = None
    text: str = ""


class _Screening:
    """What is remembered of postscreen's clients: a connection that is dropped is told of in several lines.

    A rank alone does not say what became of the client (postscreen_dnsbl_action may be ignore, which is its default).
    """

    def __init__(self) -> None:
        self._ranked: dict[tuple[str, str], Rejection] = {}
        self._lists: dict[str, str] = {}

    def list(self, address: str, domain: str) -> None:
        """A DNS list has the address; the last one that said so is kept."""
        if not _ALLOWS.search(domain):
            self._lists.pop(address, None)
            _remember(self._lists, address, shown(domain.lower()))

    def rank(self, said: re.Match[str], at: SyslogRecord, place: LogPlace) -> None:
        """The lists together spoke against the client."""
        rejection = Rejection(
            at=at.at,
            kind=RejectionKind.DISCONNECTED,
            place=place,
            reply=said["rank"],
            client=_address(said["address"]),
            stage=Stage.CONNECT,
            provider=self._lists.get(said["address"], UNNAMED),
            listed=Listed.CLIENT,
        )
        _remember(self._ranked, (said["address"], said["port"]), rejection)

    def pop(self, address: str, port: str) -> Rejection | None:
        """Forget the connection; the rejection that it was, unless another line has told of it."""
        return self._ranked.pop((address, port), None)


def _remember(values: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """As the newest; the oldest is forgotten where there are too many."""
    values[key] = value
    if len(values) > _SESSIONS:
        del values[next(iter(values))]


class _PostfixReader:
    """Reads the lines of one log."""

    def __init__(self, origin: LogOrigin) -> None:
        self._origin = origin
        self._screening = _Screening()

    def read(self, line: LogLine) -> Iterable[Rejection]:
        """What the line completes. Raises UnreadLineError."""
        if (said := record(line.text, self._origin)) is None:
            raise UnreadLineError("expected the time, the host and the program in front of what Postfix says")
        service = said.program.rpartition("/")[2]
        if service in ("smtp", "lmtp"):
            return _bounces(said, line.place)
        if service == "dnsblog":
            return self._listing(said)
        if service == "postscreen" and (found := self._screened(said, line.place)) is not None:
            return found
        return self._refusals(said, line.place)

    def end(self) -> Iterator[Rejection]:
        """Nothing: what became of the clients that postscreen still has is not known."""
        return iter(())

    def _listing(self, said: SyslogRecord) -> Iterable[Rejection]:
        if (found := _LISTED_BY.match(said.text)) is not None:
            self._screening.list(found["address"], found["domain"])
        return ()

    def _screened(self, said: SyslogRecord, place: LogPlace) -> Iterable[Rejection] | None:
        """What postscreen says of a connection; None where it is something else."""
        if (ranked := _RANK.fullmatch(said.text)) is not None:
            self._screening.rank(ranked, said, place)
            return ()
        if (left := _DISCONNECT.fullmatch(said.text)) is not None:
            dropped = self._screening.pop(left["address"], left["port"])
            return () if dropped is None else (dropped,)
        return None

    def _refusals(self, said: SyslogRecord, place: LogPlace) -> Iterable[Rejection]:
        refused = _REFUSED.fullmatch(said.text)
        if refused is None:
            return ()
        if refused["rest"].startswith(_CONTENT):
            return (_of_content(said, place, refused),)
        command = _COMMAND.fullmatch(refused["rest"])
        if command is None:
            raise UnreadLineError("expected a command of SMTP and a reply after " + refused["what"])
        if command["port"] is not None:
            self._screening.pop(command["address"], command["port"])
        return (_of_command(said, place, refused, command),)


def _quick(said: Sequence[str], place: LogPlace, origin: LogOrigin) -> Rejection | None:
    """What smtpd refused by a DNS blocklist that has the client, in Postfix's own words."""
    time, name, address, reply, digit, zone, sender, recipient = said
    if (at := time_of(time, origin)) is None or (provider := _shown(zone)) is None:
        return None
    return Rejection(
        at, _DEFERRED if digit == "4" else _REJECTED, place, reply, _address(address),
        None if name in ("unknown", address) else name, sender, recipient, _AT_RCPT, provider, _CLIENT_LISTED,
    )  # fmt: skip


_DEFERRED, _REJECTED = RejectionKind.DEFERRED, RejectionKind.REJECTED
_AT_RCPT, _CLIENT_LISTED = Stage.RCPT, Listed.CLIENT
"""Python 3.11 takes a microsecond to find four of them in their classes, a tenth of what the line takes."""


@lru_cache(maxsize=1024)
def _shown(zone: str) -> str | None:
    """None: it is no name of a zone, and what the line means is for the grammar to say."""
    return shown(zone.lower()) if _NAMED_ZONE.fullmatch(zone) else None


def _of_command(said: SyslogRecord, place: LogPlace, refused: re.Match[str], command: re.Match[str]) -> Rejection:
    """What smtpd, postscreen, or a milter refused in answer to a command."""
    envelope = _envelope(command["said"], _WHOLE, _CUT)
    return Rejection(
        at=said.at,
        kind=_kind(refused["what"], envelope.said),
        place=place,
        reply=envelope.said,
        client=_address(command["address"]),
        host=_name(command),
        sender=envelope.sender,
        recipient=envelope.recipient,
        stage=_STAGES.get(command["where"].upper()),
        provider=_provider(envelope.said),
        listed=listed_of(envelope.said),
    )


def _of_content(said: SyslogRecord, place: LogPlace, refused: re.Match[str]) -> Rejection:
    """What cleanup refused for a header, a line of the body or an error of MIME."""
    envelope = _envelope(refused["rest"], _WHOLE_WITH_TEXT, _CUT_WITH_TEXT)
    origin = _ORIGIN.fullmatch(envelope.said)
    reply = envelope.text or (origin["content"] if origin else envelope.said)
    return Rejection(
        at=said.at,
        kind=_kind(refused["what"], reply),
        place=place,
        reply=reply,
        client=_address(origin["address"]) if origin else None,
        host=_name(origin) if origin else None,
        sender=envelope.sender,
        recipient=envelope.recipient,
        stage=Stage.MESSAGE,
        provider=_provider(envelope.text),
    )


def _envelope(text: str, whole: re.Pattern[str], cut: re.Pattern[str]) -> _Envelope:
    """Split where the fields begin: at the last place from which all to the end are fields.

    Text in front of them may look like fields, and so may a quoted local part. Postfix before 3.5 did not write the
    quotes, and a line may be cut: such a line is read if there is one place only that a sender can stand at.
    """
    if (found := whole.fullmatch(text, max(0, text.rfind("; from=<")))) is not None:
        return _taken_apart(text, found)
    ends = [found.start() for found in _END.finditer(text)][-_ENDS:]
    if not ends:
        begun = next((begun for begun in _BEGUN if text.endswith(begun)), "")
        return _Envelope(text.removesuffix(begun))
    for form in (whole, cut) if text.count("; from=<") < 2 else (whole,):
        for end in reversed(ends):
            if (found := form.fullmatch(text, end)) is not None:
                return _taken_apart(text, found)
    raise UnreadLineError("expected from=<...> to=<...> proto=... helo=<...> after the reply")


def _taken_apart(text: str, found: re.Match[str]) -> _Envelope:
    after = found["text"] if "text" in found.re.groupindex else None
    return _Envelope(text[: found.start()], found["sender"], found["recipient"], after or "")


def _bounces(said: SyslogRecord, place: LogPlace) -> Iterable[Rejection]:
    """What another server refused; a mail that came back for want of a server was refused by none."""
    if "status=bounced (" not in said.text:
        return ()
    if (bounced := _BOUNCED.fullmatch(said.text)) is None:
        raise UnreadLineError("expected to=<...>, relay=... and status=bounced (...)")
    if (by := _SAID.match(bounced["why"])) is None:
        return ()
    reply, stage = _answer(by)
    found = Rejection(
        at=said.at,
        kind=RejectionKind.BOUNCED,
        place=place,
        reply=reply,
        client=_address(by["address"]),
        host=_name(by),
        recipient=bounced["recipient"],
        stage=stage,
        provider=provider_of(reply),
        listed=listed_of(reply),
    )
    return (found,)


def _answer(by: re.Match[str]) -> tuple[str, Stage | None]:
    """The reply of the other server, and to what."""
    if by["greeted"]:
        return by["reply"].removesuffix(")"), Stage.CONNECT
    text = by["reply"].removesuffix(")")
    if (answered := _ANSWERED.fullmatch(text)) is None:
        return text, None
    return answered["reply"], _COMMANDS.get(answered["command"])


def _kind(what: str, reply: str) -> RejectionKind:
    if what == "reject_warning":
        return RejectionKind.WARNED
    return RejectionKind.DEFERRED if _FOR_NOW.match(reply) else RejectionKind.REJECTED


def _provider(reply: str) -> str | None:
    """The list that was the reason. What a client called itself, or its sender, in front of the reason names none."""
    reason = reply.rpartition(">: ")[2] if _ABOUT_SOMETHING.match(reply) else reply
    if (provider := provider_of(reason)) is not None or "; client [" not in reason:
        return provider
    return reason.partition(_BLOCKED)[2] or None  # what postscreen_dnsbl_reply_map calls it


@lru_cache(maxsize=4096)
def _address(text: str | None) -> str | None:
    if not text or _IPV4.fullmatch(text):
        return text or None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _name(found: re.Match[str]) -> str | None:
    """A client whose name is not known is called unknown, a server by its address; postscreen asks for no name."""
    return None if found["name"] in (None, "", "unknown", found["address"]) else found["name"]


_SERVICES = {"smtpd", "postscreen", "dnsblog", "cleanup", "smtp", "lmtp"}


def _recognises(line: str) -> bool:
    """Whether a service of an instance of Postfix wrote it: ``postfix/smtpd``, ``postfix-in/submission/smtpd``."""
    instance, _, service = program_of(line).rpartition("/")
    return bool(instance) and service in _SERVICES


POSTFIX = LogFormat(
    name="postfix",
    title="Postfix",
    needles=(b"reject", b"bounced", b"DNSBL r"),  # as long as each other: grep skips no more than the shortest has
    beside={b"DNSBL r": (b"DISCONNECT [", b" listed by domain ")},
    recognises=_recognises,
    reader=_PostfixReader,
    quick=QuickForm(_COMMON, _quick),
    cannot_tell=(
        "Who sent a mail that another server refused (only the queue manager's line tells), and what other servers "
        "refused for now; more than one recipient of a mail that was refused after its data, and the client where a "
        "proxy filter refused it; sender and recipient of a connection that postscreen dropped; the DNS list where "
        "rbl_reply_maps gives a reply that names none."
    ),
)
