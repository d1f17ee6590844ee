"""Postfix's own lines: it refuses mail in each of its ways, and its log is read back with every field."""

import smtplib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist.rejections.formats import FORMATS
from safelist.rejections.log_files import opened
from safelist.rejections.reading import ReadSoFar, read
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from tests.postfix.servers import CLEAN, LISTED, Postfix, missing, postfix, rbldnsd, refusing
from tests.rejections.milter import milter
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ZONE, LISTED_NAME = "dnsbl.example", "listed.example"
BOB, YOU, OTHER = "bob@aol.example", "you@corp.example", "other@corp.example"
FORGED = '"a; from=<x@yahoo.example>, to=<y@corp.example>, proto=ESMTP, helo=<h>"@aol.example'
SCAN = "554 Permanent scan failure. Email Session ID: {4E6B-0-1-2}"
OURS = "127.0.0.1"
AT, PLACE = datetime.min.replace(tzinfo=UTC), LogPlace("", 0)


def services(spam_milter: str, scanner: int) -> dict[str, dict[str, str]]:
    """A way to refuse mail each, by their names."""
    listed = {"smtpd_recipient_restrictions": f"reject_rbl_client {ZONE}"}
    at_once = {"smtpd_delay_reject": "no"}
    warn = {"smtpd_recipient_restrictions": f"warn_if_reject reject_rbl_client {ZONE}"}
    return {
        "client": listed,
        "warn": warn | {"syslog_name": "postfix-in/warn"},
        "soft": listed | {"soft_bounce": "yes"},
        "mapped": listed | {"rbl_reply_maps": "static:{554 5.7.1 go away}"},
        "helo": at_once | {"smtpd_helo_restrictions": f"reject_rhsbl_helo {ZONE}"},
        "sender": {"smtpd_sender_restrictions": f"reject_rhsbl_sender {ZONE}"},
        "connect": at_once
        | {"smtpd_client_restrictions": f"reject_rbl_client {ZONE}", "smtpd_client_port_logging": "yes"},
        "milter": {"smtpd_milters": spam_milter},
        "proxy": {"smtpd_proxy_filter": f"127.0.0.1:{scanner}"},
        "plain": {},
    }


SCREEN = {"postscreen_dnsbl_sites": f"{ZONE}*2", "postscreen_greet_wait": "3s", "postscreen_cache_map": ""}
MAIN = """\
enable_long_queue_ids = yes
header_checks = regexp:{{{{/^Subject: forbidden/ REJECT not here}}}}
transport_maps = inline:{{scanned.example=smtp:[127.0.0.1]:{scanner}, local.example=lmtp:inet:127.0.0.1:{mailbox}}}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Postfix]:
    with ExitStack() as running:
        nameserver = running.enter_context(rbldnsd(ZONE, names=[LISTED_NAME]))
        replies = {b"R": (b"refused@", b"550 5.7.1 not this one"), b"E": (b"", b"550 5.7.1 Spam message rejected")}
        spam_milter = running.enter_context(milter(replies))
        scanner = running.enter_context(refusing(".", SCAN))
        mailbox = running.enter_context(refusing("RCPT", "550 5.1.1 no such user", "-L"))
        main = MAIN.format(scanner=scanner, mailbox=mailbox)
        screens = {action: SCREEN | {"postscreen_dnsbl_action": action} for action in ("enforce", "drop", "ignore")}
        yield running.enter_context(postfix(main, services(spam_milter, scanner), nameserver, screens))


def offer(
    site: Postfix, service: str, client: str = LISTED, sender: str = BOB, to: Sequence[str] = (YOU,), subject: str = "",
    helo: str = "client.example",
) -> None:  # fmt: skip
    """Offer a mail as far as the server lets it; with a subject also its data."""
    try:
        with smtplib.SMTP(OURS, site.ports[service], source_address=(client, 0), timeout=30) as smtp:
            smtp.ehlo(helo)
            for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in to)):
                smtp.docmd(command)
            if subject:
                smtp.data(f"Subject: {subject}\r\n\r\nHello\r\n".encode())
    except smtplib.SMTPConnectError:
        pass


def offer_all(site: Postfix) -> None:
    for service in ("client", "warn", "soft", "mapped", "connect"):
        offer(site, service)
    offer(site, "client", sender="", helo="a> to=<b; c")
    offer(site, "sender", sender=f"eve@{LISTED_NAME}", to=['"a b; c"@corp.example'])
    offer(site, "helo", helo=LISTED_NAME)
    offer(site, "milter", CLEAN, to=["refused@corp.example", YOU, OTHER], subject="offer")
    offer(site, "proxy", CLEAN, subject="offer")
    offer(site, "plain", CLEAN, subject=f"forbidden from x[192.0.2.1]; from=<{YOU}> to=<{BOB}> proto=SMTP helo=<h>: no")
    offer(site, "plain", OURS, sender=YOU, to=["eve@scanned.example", "eve@local.example"], subject="offer")
    for service in ("drop", "ignore"):
        offer(site, service)
    offer(site, "enforce", sender=FORGED, to=[YOU, OTHER], helo="a>b")


def blocked(code: str, what: str) -> str:
    return f"{code} Service unavailable; {what} blocked using {ZONE}; listed for a test"


def expected() -> Iterator[Rejection]:
    by_client = blocked("554 5.7.1", f"Client host [{LISTED}]")
    refused = Rejection(
        AT, RejectionKind.REJECTED, PLACE, by_client, LISTED, None, BOB, YOU, Stage.RCPT, ZONE, Listed.CLIENT
    )
    yield refused
    yield refused._replace(sender="")
    yield refused._replace(kind=RejectionKind.WARNED)
    yield refused._replace(kind=RejectionKind.DEFERRED, reply=by_client.replace("554 5.7.1", "454 4.7.1"))
    yield refused._replace(reply="554 5.7.1 go away", provider=None, listed=None)
    yield refused._replace(sender=None, recipient=None, stage=Stage.CONNECT)
    eve = f"eve@{LISTED_NAME}"
    yield refused._replace(
        reply=blocked("554 5.7.1", f"Sender address [{eve}]"), sender=eve, recipient='"a b; c"@corp.example',
        listed=Listed.SENDER,
    )  # fmt: skip
    yield refused._replace(
        reply=blocked("554 5.7.1", f"Helo command [{LISTED_NAME}]"), sender=None, recipient=None, stage=Stage.HELO,
        listed=Listed.HELO,
    )  # fmt: skip
    content = refused._replace(client=CLEAN, provider=None, listed=None)
    yield content._replace(reply="550 5.7.1 not this one", recipient="refused@corp.example")
    content = content._replace(stage=Stage.MESSAGE)
    # The last recipient of two, which is all that Postfix says.
    yield content._replace(reply="5.7.1 Spam message rejected", recipient=OTHER)
    yield content._replace(reply="5.7.1 not here")
    yield content._replace(reply=SCAN, client=None)
    bounced = Rejection(AT, RejectionKind.BOUNCED, PLACE, SCAN, OURS)
    yield bounced._replace(recipient="eve@scanned.example", stage=Stage.MESSAGE)
    yield bounced._replace(recipient="eve@local.example", stage=Stage.RCPT, reply="550 5.1.1 no such user")
    reply = f"550 5.7.1 Service unavailable; client [{LISTED}] blocked using {ZONE}"
    yield refused._replace(reply=reply, sender=FORGED)
    yield refused._replace(reply=reply, sender=FORGED, recipient=OTHER)
    yield refused._replace(
        kind=RejectionKind.DISCONNECTED, reply="DNSBL rank 2", sender=None, recipient=None, stage=Stage.CONNECT
    )


def found_in(log: Path) -> list[Rejection]:
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    with opened(str(log), datetime.now(UTC)) as file:
        found = list(read(file, FORMATS, zone, ReadSoFar(str(log))))
    assert all(isinstance(each, Rejection) for each in found), found
    return [each for each in found if isinstance(each, Rejection)]


def without_time_and_place(found: Sequence[Rejection]) -> list[Rejection]:
    return sorted((each._replace(at=AT, place=PLACE) for each in found), key=repr)


def test_every_refusal_is_found_in_its_log_with_every_field(site: Postfix) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)
    offer_all(site)
    wanted = sorted(expected(), key=repr)
    # Mail that other servers refuse is told of when they have refused it.
    until(lambda: len(found_in(site.log)) >= len(wanted), 20)
    found = found_in(site.log)
    assert without_time_and_place(found) == wanted
    assert all(begin <= each.at <= datetime.now(UTC) + timedelta(seconds=1) for each in found)
    lines = site.log.read_text().splitlines()
    assert all(each.reply in lines[each.place.line - 1] for each in found)
    assert any("postfix-in/warn/smtpd[" in lines[each.place.line - 1] for each in found)
