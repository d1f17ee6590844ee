"""Two days of a Postfix's log as the documents show them, and the people whose lists are put beside it."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from safelist.junkrule import JunkRule
from tests.exchange import Mailbox

DESK, SALES, SUPPORT = (f"{name}@corp.example" for name in ("desk", "sales", "support"))
PEOPLE = (
    Mailbox(DESK, JunkRule(safe_senders=("accounts.desk@aol.com", "news@paper.example"))),
    Mailbox(SALES, JunkRule(safe_senders=("orders@yahoo.com", "news@paper.example", "office@partner.example"))),
    Mailbox(SUPPORT, JunkRule()),
)
ZEN, SPAMCOP = "zen.spamhaus.org", "bl.spamcop.net"
BEGIN = datetime(2026, 11, 24, 11, tzinfo=UTC)


class _Refused(NamedTuple):
    sender: str
    recipient: str
    client: str
    attempts: int = 1
    zone: str = ZEN


REFUSED = (
    _Refused("accounts.desk@aol.com", DESK, "192.0.2.9", 3),
    _Refused("accounts.desk@aol.com", SUPPORT, "192.0.2.9"),
    _Refused("orders@yahoo.com", SALES, "192.0.2.17", 2),
    _Refused("orders@yahoo.com", DESK, "192.0.2.17"),
    _Refused("news@paper.example", SUPPORT, "192.0.2.30", 1, SPAMCOP),
    _Refused("news@paper.example", DESK, "192.0.2.30", 1, SPAMCOP),
    _Refused("", DESK, "192.0.2.44"),
    *(
        _Refused(f"offer{n}@{domain}", recipient, f"198.51.100.{n}", 1 + n % 2, SPAMCOP if n % 5 == 0 else ZEN)
        for n in range(1, 31)
        for domain in ("aol.com", "yahoo.com", "bulk.example")[n % 3 : n % 3 + 1]
        for recipient in (DESK, SALES, SUPPORT)
    ),
)


def lines() -> list[str]:
    """The log, in its order."""
    said = [message for mail in REFUSED for message in _of(mail)]
    said += [("smtpd[812]", _UNKNOWN_USER), ("smtp[815]", _BOUNCED), ("smtpd[812]", "NOQUEUE: reject: cut by the disk")]
    step = timedelta(hours=26) / len(said)
    return [
        f"{(BEGIN + n * step).isoformat(timespec='seconds')} mx postfix/{program}: {text}"
        for n, (program, text) in enumerate(said)
    ]


def _of(mail: _Refused) -> list[tuple[str, str]]:
    """A connection for each attempt."""
    refused = (
        f"NOQUEUE: reject: RCPT from unknown[{mail.client}]: 554 5.7.1 Service unavailable; Client host "
        f"[{mail.client}] blocked using {mail.zone}; from=<{mail.sender}> to=<{mail.recipient}> proto=ESMTP helo=<mail>"
    )
    talk = ("connect from", "disconnect from")
    begin, end = (f"{each} unknown[{mail.client}]" for each in talk)
    return [("smtpd[811]", each) for _ in range(mail.attempts) for each in (begin, refused, end)]


_UNKNOWN_USER = (
    "NOQUEUE: reject: RCPT from mail.partner.example[192.0.2.50]: 550 5.1.1 <nobody@corp.example>: Recipient address "
    "rejected: User unknown in local recipient table; from=<office@partner.example> to=<nobody@corp.example> "
    "proto=ESMTP helo=<mail.partner.example>"
)
_BOUNCED = (
    "4F1D20C3A: to=<office@partner.example>, relay=mx.partner.example[192.0.2.51]:25, delay=1, delays=0/0/0/1, "
    "dsn=5.0.0, status=bounced (host mx.partner.example[192.0.2.51] said: 554 Permanent scan failure. Email Session "
    "ID: {4C209A7E-0-3A6A8C0-1FFFF} (in reply to end of DATA command))"
)
