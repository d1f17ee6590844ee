"""Writes logs as Exchange does, by the columns that Microsoft documents, and knows what is refused in them.

Sessions interleave; a value is quoted where it has a comma or a quote; lines end with CR LF; a new file begins each
hour, and sessions go on in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from safelist.rejections.providers import UNNAMED
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from tests.rejections.contract import NOWHERE

RECEIVE, SEND = "SMTP Receive Protocol Log", "SMTP Send Protocol Log"
PROTOCOL = (
    "date-time", "connector-id", "session-id", "sequence-number", "local-endpoint", "remote-endpoint", "event", "data",
    "context",
)  # fmt: skip
AGENT = (
    "Timestamp", "SessionId", "LocalEndpoint", "RemoteEndpoint", "EnteredOrgFromIP", "MessageId", "P1FromAddress",
    "P2FromAddresses", "Recipient", "NumRecipients", "Agent", "Event", "Action", "SmtpResponse", "Reason", "ReasonData",
    "Diagnostics", "NetworkMsgID", "TenantID", "Directionality",
)  # fmt: skip
TRACKING = (
    "date-time", "client-ip", "client-hostname", "server-ip", "server-hostname", "source-context", "connector-id",
    "source", "event-id", "internal-message-id", "message-id", "network-message-id", "recipient-address",
    "recipient-status", "total-bytes", "recipient-count", "related-recipient-address", "reference", "message-subject",
    "sender-address", "return-path", "message-info", "directionality", "tenant-id", "original-client-ip",
    "original-server-ip", "custom-data", "transport-traffic-type", "log-id", "schema-version",
)  # fmt: skip
ON_A_LIST = "550 5.7.1 Recipient not authorized, your IP has been found on a block list"
LISTS = {
    ON_A_LIST: (UNNAMED, Listed.CLIENT),
    f"{ON_A_LIST} (Spamhaus ZEN)": ("Spamhaus ZEN", Listed.CLIENT),
    '550 5.7.1 192.0.2.9 is listed in zen.spamhaus.org, "see" https://x.example/?ip=192.0.2.9': (
        "zen.spamhaus.org",
        Listed.CLIENT,
    ),
    "554 5.7.1 Service unavailable; Sender address [a@b.example] blocked using dbl.example": (
        "dbl.example",
        Listed.SENDER,
    ),
}
"""What replies say of lists, and which, and what was asked about."""
BEGIN = datetime(2026, 11, 27, 8, 58, 30, tzinfo=UTC)


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def head(log_type: str, columns: Sequence[str], at: datetime = BEGIN) -> tuple[str, ...]:
    return (
        "#Software: Microsoft Exchange Server",
        "#Version: 15.0.0.0",
        f"#Log-type: {log_type}",
        f"#Date: {stamp(at)}",
        f"#Fields: {','.join(columns)}",
    )


def csv_line(columns: Sequence[str], values: dict[str, str]) -> str:
    """A line of these values by column; what is not given is empty."""
    assert set(values) <= set(columns)
    return ",".join(_value(values.get(column, "")) for column in columns)


def _value(text: str) -> str:
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text


def joined(values: Iterable[str]) -> str:
    """Several values in one column."""
    return ";".join("'" + value.replace("'", "''") + "'" if ";" in value or "'" in value else value for value in values)


def agent_line(**values: str) -> str:
    return csv_line(AGENT, {"Timestamp": stamp(BEGIN), "SessionId": "08C948C83FB951AC", **values})


def tracking_line(**values: str) -> str:
    return csv_line(TRACKING, {"date-time": stamp(BEGIN), **{name.replace("_", "-"): values[name] for name in values}})


@dataclass(frozen=True)
class SentMail:
    """One mail in a session, and what the server says to it; ``recipients`` have a reply each."""

    sender: str
    recipients: tuple[tuple[str, str], ...]
    to_sender: str = "250 2.1.0 Sender OK"
    to_message: str = "250 2.6.0 <1@x.example> [InternalId=110, Hostname=mx.corp.example] Queued mail for delivery"
    pipelined: bool = False
    chunked: bool = False


@dataclass(frozen=True)
class Conversation:
    """A session. ``old`` is as Exchange 2010 writes it: each line of a reply in a line of the log."""

    number: int
    client: str
    mails: tuple[SentMail, ...]
    banner: str = "220 mx.corp.example Microsoft ESMTP MAIL Service ready at Fri, 27 Nov 2026 08:58:30 +0000"
    sends: bool = False
    old: bool = False
    proxied_for: str | None = None

    @property
    def session(self) -> str:
        return f"{0x08D892B7A9440000 + self.number:016X}"


@dataclass(frozen=True)
class LogEntry:
    """A line to be, and what it refuses; time and place are not known yet."""

    event: str
    data: str = ""
    context: str = ""
    refused: tuple[Rejection, ...] = ()


@dataclass
class SessionWriter:
    """Writes the lines of one session."""

    of: Conversation
    entries: list[LogEntry] = field(default_factory=list)

    def write(self) -> list[LogEntry]:
        self.entries = [LogEntry("+")]
        if self.of.sends:
            self.entries.insert(0, LogEntry("*", context="attempting to connect"))
        else:
            self.note("SMTPSubmit SMTPAcceptAnySender AcceptRoutingHeaders", "Set Session Permissions")
        self.reply(self.of.banner, Stage.CONNECT)
        if self.of.banner.startswith("2"):
            self._greet()
            for mail in self.of.mails:
                self._mail(mail)
            self.command("QUIT")
            self.reply("221 2.0.0 Service closing transmission channel")
        self.entries.append(LogEntry("-", context="Local"))
        return self.entries

    def note(self, data: str, context: str = "") -> None:
        self.entries.append(LogEntry("*", data, context))

    def command(self, text: str) -> None:
        self.entries.append(LogEntry(">" if self.of.sends else "<", text))

    def reply(
        self,
        text: str,
        stage: Stage | None = None,
        sender: str | None = None,
        recipients: tuple[str | None, ...] = (None,),
    ) -> None:
        """``text`` may have several lines, each with its code; without a stage it refuses nobody."""
        *more, last = text.split("\n") if self.of.old else [_as_one(text)]
        event = "<" if self.of.sends else ">"
        self.entries += [LogEntry(event, each) for each in more]
        refused = self._refused(_as_one(text), stage, sender, recipients) if stage is not None else ()
        self.entries.append(LogEntry(event, last, refused=tuple(refused)))

    def _refused(
        self, text: str, stage: Stage, sender: str | None, recipients: tuple[str | None, ...]
    ) -> Iterator[Rejection]:
        kind = {"4": RejectionKind.DEFERRED, "5": RejectionKind.REJECTED}.get(text[0])
        # A banner comes before it is known for whom a front end asks.
        proxied_for = self.of.proxied_for if stage is not Stage.CONNECT else None
        if self.of.sends and proxied_for is None:
            kind = RejectionKind.BOUNCED if text[0] == "5" else None
        if kind is None:
            return
        client = proxied_for or self.of.client
        for each in recipients:
            yield Rejection(
                BEGIN, kind, NOWHERE, text, client, None, sender, each, stage, *LISTS.get(text, (None, None))
            )

    def _greet(self) -> None:
        self.command("EHLO mail.aol.com")
        self.reply("250-mx.corp.example Hello [192.0.2.9]\n250-SIZE 37748736\n250-PIPELINING\n250 CHUNKING")
        self.command("AUTH LOGIN")
        self.reply("334 <authentication response>")
        self.reply("334 <authentication response>")
        self.note("CORP\\someone", "authenticated")
        self.reply("235 2.7.0 Authentication successful")
        if self.of.proxied_for:
            self.command(f"XPROXYFROM SID=08D892B7A9449999 IP={self.of.proxied_for} PORT=2525 DOMAIN=x SEQNUM=1")
            self.reply("250 XProxyFrom accepted")

    def _mail(self, mail: SentMail) -> None:
        accepted = tuple(name for name, reply in mail.recipients if reply.startswith("2"))
        if not mail.to_sender.startswith("2"):
            accepted = ()
        commands = [f"MAIL FROM:<{mail.sender}> SIZE=1500", *(f"RCPT TO:<{name}>" for name, _ in mail.recipients)]
        commands.append("BDAT 1500 LAST" if mail.chunked else "DATA")
        replies = list(self._replies(mail, accepted))
        for at, command in enumerate(commands):
            self.command(command)
            if at == 0:
                self.note(f"{self.of.session};2026-11-27T08:58:30.100Z;1", "receiving message")
            if not mail.pipelined:
                self.reply(*replies[at])
        if mail.pipelined:
            self.note("Tarpit for '0.00:00:05'")
            for each in replies:
                self.reply(*each)
        if accepted and not mail.chunked:
            self.reply(mail.to_message, Stage.MESSAGE, mail.sender, accepted)

    def _replies(
        self, mail: SentMail, accepted: tuple[str, ...]
    ) -> Iterator[tuple[str, Stage | None, str | None, tuple[str | None, ...]]]:
        """To each command up to DATA or the last BDAT: text, stage, sender, recipients."""
        yield mail.to_sender, Stage.MAIL, mail.sender, (None,)
        for name, reply in mail.recipients:
            if mail.to_sender.startswith("2"):
                yield reply, Stage.RCPT, mail.sender, (name,)
            else:
                yield "503 5.5.2 Need mail command", None, None, ()
        if not accepted:
            yield "503 5.5.2 Need rcpt command", None, None, ()
        elif mail.chunked:
            yield mail.to_message, Stage.MESSAGE, mail.sender, accepted
        else:
            yield "354 Start mail input; end with <CRLF>.<CRLF>", None, None, ()


def _as_one(text: str) -> str:
    """A reply as later versions write it: the codes once."""
    first, *rest = text.split("\n")
    enhanced = first[4:].partition(" ")[0] + " "
    return " ".join([f"{first[:3]} {first[4:]}", *(each[4:].removeprefix(enhanced) for each in rest)])


@dataclass(frozen=True)
class WrittenLog:
    """The lines below the head, and what is refused in them, by the numbers that the lines have below this head."""

    head: tuple[str, ...]
    lines: tuple[str, ...]
    refused: tuple[Rejection, ...]

    def text(self) -> bytes:
        return "".join(f"{line}\r\n" for line in (*self.head, *self.lines)).encode()


def protocol_log(conversations: Sequence[Conversation], random: Random, late: int = 0) -> WrittenLog:
    """A log of these sessions, all of them receiving or all sending, interleaved at random.

    Lines of one session come up to ``late`` lines later than others of it.
    """
    waiting = [_in_sequence(each, random, late) for each in conversations]
    top = head(SEND if conversations[0].sends else RECEIVE, PROTOCOL)
    lines: list[str] = []
    refused: list[Rejection] = []
    at = BEGIN
    while waiting := [each for each in waiting if each[1]]:
        conversation, entries = random.choice(waiting)
        sequence, entry = entries.pop(0)
        at += timedelta(milliseconds=random.randrange(5000))
        lines.append(_protocol_line(conversation, sequence, entry, at))
        place = LogPlace("log", len(top) + len(lines))
        refused += [each._replace(at=at, place=place) for each in entry.refused]
    return WrittenLog(top, tuple(lines), tuple(refused))


def _in_sequence(
    conversation: Conversation, random: Random, late: int
) -> tuple[Conversation, list[tuple[int, LogEntry]]]:
    entries = list(enumerate(SessionWriter(conversation).write()))
    order = [(number + random.uniform(0, late + 0.5) * bool(number), number) for number, _ in entries]
    return conversation, [entries[number] for _, number in sorted(order)]


def _protocol_line(conversation: Conversation, sequence: int, entry: LogEntry, at: datetime) -> str:
    client = f"[{conversation.client}]" if ":" in conversation.client else conversation.client
    connector = "To Internet" if conversation.sends else "MBX1\\Default Frontend, MBX1"
    return csv_line(
        PROTOCOL,
        {
            "date-time": stamp(at),
            "connector-id": connector,
            "session-id": conversation.session,
            "sequence-number": str(sequence),
            "local-endpoint": "10.0.1.5:25",
            "remote-endpoint": "" if entry.context == "attempting to connect" else f"{client}:54368",
            "event": entry.event,
            "data": entry.data,
            "context": entry.context,
        },
    )


def hour_files(log: WrittenLog) -> list[bytes]:
    """The log as Exchange keeps it: a file each hour, with a head each."""
    by_hour: dict[str, list[str]] = {}
    for line in log.lines:
        by_hour.setdefault(line[:13], []).append(line)
    return [
        "".join(f"{line}\r\n" for line in (*log.head[:3], f"#Date: {hour}:00:00.113Z", log.head[4], *lines)).encode()
        for hour, lines in by_hour.items()
    ]
