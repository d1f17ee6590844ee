"""Three days of a Postfix's log in front of the sample organisation, for ``safelist rejections``; Debian 12's form."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from safelist.demo.nameserver import AOL_SERVER, DNSBL, STRANGE_SERVER, YAHOO_SERVER
from safelist.demo.sample import AOL_SENDER, DOMAIN, LONE_SENDER, YAHOO_SENDER

SPAMCOP = "bl.spamcop.net"
_SAYS = {
    DNSBL: "https://www.spamhaus.org/query/ip/",
    SPAMCOP: "Blocked - see https://www.spamcop.net/bl.shtml?",
}
SPAN = timedelta(days=3)
"""From the first line to the last one."""


class LoggedRefusal(NamedTuple):
    """A mail that a DNSBL refused, ``attempts`` times; ``recipient`` is a name in the organisation."""

    sender: str
    recipient: str
    client: str
    attempts: int = 1
    dnsbl: str = DNSBL


_WANTED = (
    LoggedRefusal(AOL_SENDER, "accounts1", AOL_SERVER, 3),
    LoggedRefusal(AOL_SENDER, "purchasing2", AOL_SERVER),
    LoggedRefusal(YAHOO_SENDER, "sales1", YAHOO_SERVER, 2, SPAMCOP),
    LoggedRefusal(YAHOO_SENDER, "dispatch1", YAHOO_SERVER, 1, SPAMCOP),
    LoggedRefusal(LONE_SENDER, "sales5", AOL_SERVER, 2),
    LoggedRefusal(AOL_SENDER, "support1", AOL_SERVER),
    LoggedRefusal("tracking@carrier.example", "dispatch2", "198.51.100.24", 1, SPAMCOP),
)
"""Somebody there waited for them."""
_OTHERS = (
    LoggedRefusal(LONE_SENDER, "accounts4", AOL_SERVER),
    LoggedRefusal("news@bulk.example", "sales1", "198.51.100.90"),
    LoggedRefusal("", "support4", STRANGE_SERVER),
    *(
        LoggedRefusal(f"offer{n}@{domain}", f"sales{n % 8 + 1}", f"203.0.113.{n + 100}", 1 + n % 2, DNSBL)
        for n in range(40)
        for domain in (("aol.com", "yahoo.com", "bulk.example", "lottery.example")[n % 4],)
    ),
)
_UNKNOWN_USER = (
    f"NOQUEUE: reject: RCPT from mail.partner.example[198.51.100.7]: 550 5.1.1 <nobody@{DOMAIN}>: Recipient address "
    f"rejected: User unknown in local recipient table; from=<office@partner.example> to=<nobody@{DOMAIN}> "
    "proto=ESMTP helo=<mail.partner.example>"
)


def mail_log(now: datetime) -> list[str]:
    """The lines in their order, all before ``now``: among the refusals those of wanted mails, and what came through."""
    mails = [*_OTHERS]
    for place, wanted in enumerate(_WANTED):
        mails.insert(6 * place, wanted)
    step = SPAN / len(mails)
    return [line for number, mail in enumerate(mails) for line in _lines(mail, number, now - SPAN + number * step)]


def _lines(mail: LoggedRefusal, number: int, moment: datetime) -> Iterator[str]:
    """Each with the head that rsyslog gives it, a second after the one before."""
    for seconds, (service, text) in enumerate((*_refused(mail), *_delivered(mail, number))):
        at = moment + timedelta(seconds=seconds)
        yield f"{at.isoformat(timespec='microseconds')} mx1 postfix/{service}: {text}"


def _refused(mail: LoggedRefusal) -> Iterator[tuple[str, str]]:
    """Each attempt: a connection, the DNSBL's answer, and the end."""
    client, to = f"unknown[{mail.client}]", f"{mail.recipient}@{DOMAIN}"
    refusal = (
        f"NOQUEUE: reject: RCPT from {client}: 554 5.7.1 Service unavailable; Client host [{mail.client}] blocked "
        f"using {mail.dnsbl}; {_SAYS[mail.dnsbl]}{mail.client}; from=<{mail.sender}> to=<{to}> proto=ESMTP "
        "helo=<mail.example>"
    )
    for _ in range(mail.attempts):
        yield "smtpd[2416]", f"connect from {client}"
        yield "smtpd[2416]", refusal
        yield "smtpd[2416]", f"disconnect from {client} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"


def _delivered(mail: LoggedRefusal, number: int) -> Iterator[tuple[str, str]]:
    """What came through after it: now and then also a mail to somebody who does not exist."""
    queue_id = f"4XkQ2b{number:03}z9z3Kp"
    relayed = (
        f"{queue_id}: to=<{mail.recipient}@{DOMAIN}>, relay=exchange.{DOMAIN}[198.51.100.2]:25, delay=0.3, "
        "delays=0.1/0/0.1/0.1, dsn=2.6.0, status=sent (250 2.6.0 Queued mail for delivery)"
    )
    yield "qmgr[901]", f"{queue_id}: from=<tickets@vendor.example>, size=4211, nrcpt=1 (queue active)"
    yield "smtp[2422]", relayed
    yield "qmgr[901]", f"{queue_id}: removed"
    if number % 16 == 0:
        yield "smtpd[2417]", _UNKNOWN_USER
