"""Lines of Postfix that an administrator's log holds beside the common ones: odd, old, new, cut and hostile."""

import io
import json
from collections.abc import Sequence
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelist.rejections.formats import FORMATS
from safelist.rejections.log_files import LogFile
from safelist.rejections.providers import UNNAMED
from safelist.rejections.reading import ReadSoFar, UnreadLine
from safelist.rejections.reading import read as read_log
from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage
from tests.rejections.contract import NEWEST, read

HEAD = "Nov 26 08:00:01 mx postfix/"
DNSBL = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org"
REFUSED = f"NOQUEUE: reject: RCPT from unknown[192.0.2.9]: {DNSBL}"
TAIL = "from=<bob@aol.com> to=<you@corp.example> proto=ESMTP helo=<h>"


def one(text: str, service: str = "smtpd") -> Rejection:
    found, unread = read("postfix", [f"{HEAD}{service}[1]: {text}"])
    assert unread == []
    assert len(found) == 1
    return found[0]


def unread(text: str, service: str = "smtpd") -> str:
    found, unread = read("postfix", [f"{HEAD}{service}[1]: {text}"])
    assert found == []
    return unread[0]


@pytest.mark.parametrize(
    "program",
    ["postfix/smtpd", "postfix/submission/smtpd", "postfix-in/smtpd", "postfix-in/smtps/smtpd", "mail/postscreen",
     "postfix/cleanup", "postfix/relay/smtp", "postfix/lmtp", "postfix/dnsblog"],
)  # fmt: skip
def test_services_of_every_instance_are_known(program: str) -> None:
    assert FORMATS["postfix"].recognises(f"Nov 26 08:00:01 mx {program}[1]: text")


@pytest.mark.parametrize(
    "program", ["smtpd", "postfix", "postfix/qmgr", "postfix/local", "postfix/smtpd-x", "/smtpd", "exim", "rspamd"]
)
def test_other_programs_are_not(program: str) -> None:
    assert not FORMATS["postfix"].recognises(f"Nov 26 08:00:01 mx {program}[1]: reject")


@pytest.mark.parametrize("queue_id", ["NOQUEUE: ", "3F2A1: ", "4XYz0123456zBCD: ", ""])
def test_queue_ids_are_short_long_or_missing(queue_id: str) -> None:
    assert one(f"{queue_id}reject: RCPT from unknown[192.0.2.9]: {DNSBL}; {TAIL}").sender == "bob@aol.com"


@pytest.mark.parametrize(
    ("where", "stage"),
    [("CONNECT", Stage.CONNECT), ("HELO", Stage.HELO), ("EHLO", Stage.HELO), ("MAIL", Stage.MAIL), ("RCPT", Stage.RCPT),
     ("DATA", Stage.DATA), ("BDAT", Stage.DATA), ("END-OF-MESSAGE", Stage.MESSAGE), ("VRFY", None), ("ETRN", None),
     ("AUTH", None), ("STARTTLS", None)],
)  # fmt: skip
def test_the_stage_is_the_command(where: str, stage: Stage | None) -> None:
    assert one(f"NOQUEUE: reject: {where} from unknown[192.0.2.9]: {DNSBL}; proto=SMTP").stage is stage


@pytest.mark.parametrize(
    ("what", "reply", "kind"),
    [
        ("reject", "554 5.7.1 no", RejectionKind.REJECTED),
        ("reject", "454 4.7.1 no", RejectionKind.DEFERRED),
        ("milter-reject", "5.7.1 because of 4.7.1 no", RejectionKind.REJECTED),
        ("milter-reject", "4.7.1 no", RejectionKind.DEFERRED),
        ("milter-reject", "no", RejectionKind.REJECTED),
        ("reject_warning", "554 5.7.1 no", RejectionKind.WARNED),
        ("reject_warning", "450 4.7.1 no", RejectionKind.WARNED),
    ],
)
def test_the_kind_is_what_was_done_and_the_code(what: str, reply: str, kind: RejectionKind) -> None:
    found = one(f"NOQUEUE: {what}: RCPT from unknown[192.0.2.9]: {reply}; {TAIL}")
    assert (found.kind, found.reply) == (kind, reply)


@pytest.mark.parametrize("full", ["too many connections", "all server ports busy"])
def test_a_postscreen_that_has_no_place_left(full: str) -> None:
    found = one(f"NOQUEUE: reject: CONNECT from [192.0.2.9]:4711: {full}", "postscreen")
    assert (found.kind, found.client, found.reply) == (RejectionKind.DEFERRED, "192.0.2.9", full)
    assert (found.sender, found.recipient) == (None, None)


@pytest.mark.parametrize(
    ("client", "address", "host"),
    [
        ("mx.partner.example[192.0.2.9]", "192.0.2.9", "mx.partner.example"),
        ("mx.partner.example[192.0.2.9]:4711", "192.0.2.9", "mx.partner.example"),
        ("unknown[2001:db8::9]", "2001:db8::9", None),
        ("unknown[fe80::1%eth0]", "fe80::1%eth0", None),
        ("unknown[255.249.0.100]", "255.249.0.100", None),
        ("unknown[192.0.2.256]", None, None),
        ("unknown[192.0.02.9]", None, None),
        ("unknown[192.0.2.9.]", None, None),
        ("localhost[unknown]", None, "localhost"),
        ("unknown[unknown]", None, None),
    ],
)
def test_the_client(client: str, address: str | None, host: str | None) -> None:
    found = one(f"NOQUEUE: reject: RCPT from {client}: {DNSBL}; {TAIL}")
    assert (found.client, found.host) == (address, host)


@pytest.mark.parametrize(
    ("fields", "sender", "recipient"),
    [
        (TAIL, "bob@aol.com", "you@corp.example"),
        ("from=<> to=<you@corp.example> proto=ESMTP helo=<h>", "", "you@corp.example"),
        ("from=<bob@aol.com> proto=ESMTP helo=<h>", "bob@aol.com", None),
        ("to=<you@corp.example> proto=ESMTP", None, "you@corp.example"),
        ("proto=ESMTP helo=<h>", None, None),
        ("proto=SMTP", None, None),
        ("", None, None),
        ('from=<"a b"@aol.com> to=<"c; d"@corp.example> proto=SMTP', '"a b"@aol.com', '"c; d"@corp.example'),
        ("from=<a b@aol.com> to=<c; d@corp.example> proto=SMTP", "a b@aol.com", "c; d@corp.example"),
        ('from=<a"b@aol.com> to=<you@corp.example> proto=SMTP', 'a"b@aol.com', "you@corp.example"),
        (r'from=<"a\"b\\"@aol.com> to=<you@corp.example>', r'"a\"b\\"@aol.com', "you@corp.example"),
        (f"{TAIL} sasl_username=<desk@corp.example>", "bob@aol.com", "you@corp.example"),
        (f"{TAIL} sasl_method=PLAIN sasl_username=desk sasl_sender=x", "bob@aol.com", "you@corp.example"),
        (f"{TAIL}, sasl_method=PLAIN, sasl_username=desk", "bob@aol.com", "you@corp.example"),
        ("from=<bob@aol.com>, to=<you@corp.example>, proto=ESMTP, helo=<a>b>", "bob@aol.com", "you@corp.example"),
        ("from=<bob@aol.com> to=<you@corp.example> proto=ESMTP helo=<a b>", "bob@aol.com", "you@corp.example"),
    ],
)
def test_each_field_may_be_missing_and_each_be_quoted(fields: str, sender: str | None, recipient: str | None) -> None:
    found = one(f"{REFUSED}; {fields}".rstrip())
    assert (found.reply, found.sender, found.recipient) == (DNSBL, sender, recipient)


@pytest.mark.parametrize("length", range(len(f"; {TAIL}")))
def test_a_cut_line_is_read_as_far_as_it_goes(length: int) -> None:
    fields = f"; {TAIL}"[:length]
    found = one(REFUSED + fields)
    assert found.sender == ("bob@aol.com" if "aol.com>" in fields else None)
    assert found.recipient == ("you@corp.example" if "corp.example>" in fields else None)
    assert (found.client, found.provider, found.stage) == ("192.0.2.9", "zen.spamhaus.org", Stage.RCPT)
    assert found.reply == DNSBL


FORGED = "; from=<x@yahoo.com> to=<y@corp.example> proto=ESMTP helo=<h>"


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [
        (f'"a{FORGED}"@evil.example', "you@corp.example"),
        ("bob@aol.com", f'"a{FORGED}"@corp.example'),
        (r'"a; from=<x@yahoo.com> to=<y\"b"@evil.example', "you@corp.example"),
        ("bob@aol.com", f'"a{FORGED} sasl_username=<"@corp.example'),
        ("bob@aol.com", r'"a; from=<x@yahoo.com> to=<y\"b\"@z> proto=ESMTP helo=<h"@corp.example'),
    ],
)
def test_a_quoted_local_part_forges_no_sender(sender: str, recipient: str) -> None:
    found = one(f"{REFUSED}; from=<{sender}> to=<{recipient}> proto=ESMTP helo=<x>")
    assert (found.sender, found.recipient, found.reply) == (sender, recipient, DNSBL)


def test_a_reply_that_looks_like_fields_forges_no_sender() -> None:
    assert one(f"{REFUSED}{FORGED}; {TAIL}").sender == "bob@aol.com"
    forged = f"5ABCDE: reject: header Subject: a from x[192.0.2.1]{FORGED}: 5.7.1 b from unknown[192.0.2.9]; {TAIL}: no"
    found = one(forged, "cleanup")
    assert (found.sender, found.client, found.reply) == ("bob@aol.com", "192.0.2.9", "no")
    quoted = (
        f'5ABCDE: reject: header X: y from unknown[192.0.2.9]; from=<"a{FORGED}: "@evil.example> to=<z> helo=<h>: no'
    )
    assert one(quoted, "cleanup").sender == f'"a{FORGED}: "@evil.example'


def test_what_could_be_read_in_two_ways_is_not_read() -> None:
    """As Postfix before 3.5 wrote a sender whose local part was quoted."""
    assert "expected from=<" in unread(
        f"{REFUSED}; from=<a; from=<x@yahoo.com> to=<v@evil.example> to=<you@corp.example>"
    )
    assert "expected a command" in unread("NOQUEUE: reject: what is this")


@pytest.mark.parametrize(
    ("reply", "provider", "listed"),
    [
        (DNSBL + "; https://lists.example/q/192.0.2.9", "zen.spamhaus.org", Listed.CLIENT),
        ("554 5.7.1 Service unavailable; Unverified Client host [x.example] blocked using rhsbl.example; a; b%",
         "rhsbl.example", Listed.CLIENT),
        ("554 5.7.1 Service unavailable; Helo command [x] blocked using dbl.example", "dbl.example", Listed.HELO),
        ("554 5.7.1 Service unavailable; Sender address [a@b.example] blocked using dbl.example", "dbl.example",
         Listed.SENDER),
        ("554 5.7.1 Service unavailable; Client host [x] blocked using a1b2c3d4e5f6g7h8i9j0k1l2.zen.dq.spamhaus.net",
         "***.zen.dq.spamhaus.net", Listed.CLIENT),
        ("550 5.7.1 Service unavailable; client [192.0.2.9] blocked using our own list", "our own list", Listed.CLIENT),
        ("554 5.7.1 go away", None, None),
        ("554 5.7.1 you are listed at bl.example", "bl.example", None),
        ("550 5.1.1 <blocked using x.example>: Recipient address rejected: User unknown", None, None),
        ('550 5.1.1 <"x>: listed by y.example"@z>: Sender address rejected: not owned', None, None),
        ("554 5.7.1 <you@corp.example>: Recipient address rejected: found in dnsbl y.example", "y.example", None),
    ],
)  # fmt: skip
def test_the_list_is_what_the_reason_names(reply: str, provider: str | None, listed: Listed | None) -> None:
    found = one(f"NOQUEUE: reject: RCPT from unknown[192.0.2.9]: {reply}; {TAIL}")
    assert (found.provider, found.listed, found.reply) == (provider, listed, reply)


def test_a_proxy_filter_names_no_client() -> None:
    found = one(f"proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject, id=123-05 - spam; {TAIL}")
    assert (found.client, found.stage, found.sender) == (None, Stage.MESSAGE, "bob@aol.com")
    assert found.reply == "554 5.7.0 Reject, id=123-05 - spam"


@pytest.mark.parametrize(
    ("text", "reply", "client"),
    [
        (f"reject: body buy now from mx.x.example[192.0.2.9]; {TAIL}: 4.7.1 not here", "4.7.1 not here", "192.0.2.9"),
        (f"reject: header Subject: from me from local; {TAIL}", "header Subject: from me", None),
        ("reject: mime-error improper use of 8-bit data in header: x from unknown[192.0.2.9]; from=<bob@aol.com>",
         "mime-error improper use of 8-bit data in header: x", "192.0.2.9"),
        ("reject: header Subject: cut", "header Subject: cut", None),
    ],
)  # fmt: skip
def test_what_cleanup_refuses_for_its_content(text: str, reply: str, client: str | None) -> None:
    found = one(f"5ABCDE012: {text}", "cleanup")
    assert (found.reply, found.client, found.stage, found.provider) == (reply, client, Stage.MESSAGE, None)
    assert found.sender == ("bob@aol.com" if "aol.com" in text else None)


def bounce(why: str, to: str = "to=<bob@aol.com>", more: str = "") -> str:
    relay = "relay=mx.aol.com[192.0.2.9]:25"
    return f"5ABCDE012: {to}, {relay}, {more}delay=1.5, delays=0.1/0/1/0.4, dsn=5.7.1, status=bounced ({why})"


@pytest.mark.parametrize(
    ("why", "stage", "reply"),
    [
        ("said: 550 5.7.1 [BL21] blocked (in reply to MAIL FROM command)", Stage.MAIL, "550 5.7.1 [BL21] blocked"),
        ("said: 550 no (x) (in reply to RCPT TO command)", Stage.RCPT, "550 no (x)"),
        ("said: 550-5.7.1 a 550 5.7.1 b (in reply to end of DATA command)", Stage.MESSAGE, "550-5.7.1 a 550 5.7.1 b"),
        ("said: 550 no (in reply to sending message body)", Stage.DATA, "550 no"),
        ("said: 550 no (in reply to EHLO command)", Stage.HELO, "550 no"),
        ("said: 550 no (in reply to AUTH LOGIN command)", None, "550 no"),
        ("said: 550 no", None, "550 no"),
        ("refused to talk to me: 554 5.7.1 no", Stage.CONNECT, "554 5.7.1 no"),
    ],
)
def test_what_another_server_said_and_to_what(why: str, stage: Stage | None, reply: str) -> None:
    found = one(bounce(f"host mx.aol.com[192.0.2.9] {why}"), "smtp")
    assert (found.kind, found.stage, found.reply) == (RejectionKind.BOUNCED, stage, reply)
    assert (found.client, found.host, found.recipient, found.sender) == ("192.0.2.9", "mx.aol.com", "bob@aol.com", None)


@pytest.mark.parametrize(
    ("to", "more", "recipient"),
    [
        ("to=<bob@aol.com>, orig_to=<list@corp.example>", "conn_use=2, ", "bob@aol.com"),
        ('to=<"a>, relay=b"@aol.com>', "", '"a>, relay=b"@aol.com'),
        ('to=<a b@aol.com>, orig_to=<"c>, d"@corp.example>', "", "a b@aol.com"),
    ],
)
def test_who_did_not_get_the_mail(to: str, more: str, recipient: str) -> None:
    found = one(bounce("host mx.aol.com[2001:db8::9] said: 550 no (in reply to RCPT TO command)", to, more), "lmtp")
    assert (found.recipient, found.client) == (recipient, "2001:db8::9")


def test_a_socket_has_no_address_and_a_list_is_named_by_others_too() -> None:
    found = one(bounce(f"host mx.corp.example[private/lmtp] said: {DNSBL} (in reply to RCPT TO command)"), "lmtp")
    assert (found.client, found.host) == (None, "mx.corp.example")
    assert (found.provider, found.listed) == ("zen.spamhaus.org", Listed.CLIENT)
    assert "expected to=<" in unread("5ABCDE012: what, status=bounced (host x[y] said: no)", "smtp")


RANK, LEFT = "DNSBL rank 3 for [192.0.2.9]:{}", "DISCONNECT [192.0.2.9]:{}"


def screened(*texts: str) -> list[Rejection]:
    services = ["dnsblog" if " listed by " in text else "postscreen" for text in texts]
    found, unread = read("postfix", [f"{HEAD}{it}[1]: {text}" for it, text in zip(services, texts, strict=True)])
    assert unread == []
    return found


def test_postscreen_that_drops_tells_so_when_it_disconnects() -> None:
    listed = "addr 192.0.2.9 listed by domain {} as 127.0.0.2"
    texts = [listed.format("zen.example"), listed.format("list.dnswl.example"), RANK.format(1), LEFT.format(1)]
    (found,) = screened(*texts)
    assert (found.kind, found.provider, found.place.line) == (RejectionKind.DISCONNECTED, "zen.example", 3)
    assert (found.sender, found.recipient) == (None, None)
    (found,) = screened(RANK.format(1), LEFT.format(1))
    assert found.provider == UNNAMED


def test_postscreen_that_enforces_tells_so_for_each_recipient() -> None:
    said = "NOQUEUE: reject: RCPT from [192.0.2.9]:1: 550 5.7.1 no; from=<a@b.example>, to=<{}@corp.example>"
    found = screened(RANK.format(1), said.format("x"), said.format("y"), LEFT.format(1))
    assert [each.recipient for each in found] == ["x@corp.example", "y@corp.example"]


def test_postscreen_that_ignores_disconnects_nobody() -> None:
    assert screened(RANK.format(1), "PASS NEW [192.0.2.9]:1", LEFT.format(2)) == []


def test_the_connections_that_are_remembered_are_bounded() -> None:
    ports = range(1, 1102)
    assert screened(*(RANK.format(port) for port in ports), LEFT.format(1)) == []
    assert len(screened(*(RANK.format(port) for port in ports), *(LEFT.format(port) for port in ports))) == 1000


def whole(log: bytes) -> list[Rejection | UnreadLine]:
    return list(read_log(LogFile("log", io.BytesIO(log), NEWEST), FORMATS, UTC, ReadSoFar("log")))


def test_lines_beside_a_rank_are_found_in_a_large_log() -> None:
    """The connection ends in the next mebibyte, where nothing else says that postscreen is there."""
    other = f"{HEAD}qmgr[1]: 5ABCDE012: removed\n".encode() * 20_000
    texts = ["dnsblog[1]: addr 192.0.2.9 listed by domain zen.example as 127.0.0.2",
             f"postscreen[1]: {RANK.format(1)}", f"postscreen[1]: {LEFT.format(1)}"]  # fmt: skip
    listed, rank, left = (f"{HEAD}{text}\n".encode() for text in texts)
    (found,) = whole(other + listed + rank + other + left + other)
    assert isinstance(found, Rejection)
    assert (found.kind, found.provider, found.place.line) == (RejectionKind.DISCONNECTED, "zen.example", 20_002)


@pytest.mark.parametrize("message", [f"{REFUSED}; {TAIL}", list(f"{REFUSED}; {TAIL}".encode())])
def test_the_journal_writes_text_or_bytes(message: str | Sequence[int]) -> None:
    entry = {"__REALTIME_TIMESTAMP": "1795766401000000", "SYSLOG_IDENTIFIER": "postfix/smtpd", "MESSAGE": message}
    (found,) = whole(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
    assert isinstance(found, Rejection)
    assert (found.sender, found.recipient, found.provider) == ("bob@aol.com", "you@corp.example", "zen.spamhaus.org")


def test_hostile_text_is_a_value() -> None:
    odd = "=cmd()\x1b]0;x\x07<b>\x00\\xff"
    found = one(
        f"NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 {odd}; from=<\x1b[31m@x> to=<=1+1> proto=SMTP"
    )
    assert (found.reply, found.sender, found.recipient) == (f"554 5.7.1 {odd}", "\x1b[31m@x", "=1+1")


@pytest.mark.parametrize(
    "part",
    ["; from=<", "; from=<a> to=<", "; proto=", '"', '\\"', "; from=<\"", ">: ", " from x[", " from x[1]; from=<a>",
     "<>", " sasl_a=<", ", a=b", "(in reply to ", ">, orig_to=<", " helo=<", "[", "a ", "client [", "host x["],
)  # fmt: skip
@pytest.mark.parametrize(
    ("service", "begin"),
    [("smtpd", f"{REFUSED}; from=<"), ("cleanup", "5ABCDE: reject: header a"), ("smtp", "5ABCDE: to=<"),
     ("smtp", bounce("host x[192.0.2.9] said: "))],
)  # fmt: skip
def test_a_long_line_is_read_once(service: str, begin: str, part: str) -> None:
    """100 kB, more than a line may have: what went through it again for each of its parts would take minutes."""
    text = begin + part * (100_000 // len(part))
    read("postfix", [f"{HEAD}{service}[1]: {text}", f"{HEAD}{service}[1]: {text}, status=bounced (x)"])


_PIECES = st.tuples(
    st.sampled_from(["Nov 26 08:00:01", "2026-11-26T08:00:01.5+01:00", "2026-11-26T25:00:00Z", "Feb 30 08:00:01"]),
    st.sampled_from(["postfix/smtpd", "postfix-in/submission/smtpd", "postfix/smtps", "smtpd"]),
    st.sampled_from(["unknown[192.0.2.9]", "192.0.2.9[192.0.2.9]", "mx.aol.example[999.0.2.9]", "a[b[192.0.2.9]",
                     "x[::1]"]),
    st.sampled_from(["554 5.7.1", "450 4.7.1", "454 4.7.1", "554-5.7.1", "5.7.1"]),
    st.sampled_from(["zen.spamhaus.org", "ZEN.example", "abcdefghij0123456789ab.zen.dq.spamhaus.net", "x", "9.9",
                     "a..b", "x.1a"]),
    st.sampled_from(["", "; why", "; listed at b.example", "; proto=x", "; [x]", "; from=<a> to=<b>", "; a; b", ";",
                     "; x\r", " y"]),
    st.sampled_from(["bob@aol.com", "", "a b@x", '"q; to=<z>"@x', "a;b@x", "a<b@x", "x" * 400, "\x1b@x", "\xe9@x"]),
    st.sampled_from(["you@corp.example", "", '"front desk"@x', "Y@X", "a>b"]),
    st.sampled_from([" proto=ESMTP helo=<h>", " proto=SMTP helo=<>", " proto=ESMTP helo=<a b>", " proto=ESMTP", "",
                     " proto=ESMTP helo=<h> sasl_method=PLAIN", " proto=ESMTP helo=<h"]),
)  # fmt: skip


@given(_PIECES)
@settings(max_examples=400)
def test_the_commonest_line_is_read_as_by_the_whole_grammar(pieces: tuple[str, ...]) -> None:
    """A priority in front is no part of it, and changes nothing else."""
    time, program, client, code, zone, why, sender, recipient, tail = pieces
    said = f"{code} Service unavailable; Client host [192.0.2.9] blocked using {zone}{why}"
    line = (
        f"{time} mx {program}[1]: NOQUEUE: reject: RCPT from {client}: {said}; from=<{sender}> to=<{recipient}>{tail}"
    )
    assert read("postfix", [line]) == read("postfix", [f"<22>{line}"])
    assert FORMATS["postfix"].recognises(line) == FORMATS["postfix"].recognises(f"<22>{line}")
