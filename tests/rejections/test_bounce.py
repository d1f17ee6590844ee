"""The replies in bounces as programs write them, and as people pass them on."""

import base64
import quopri
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.rejections import bounce
from safelist.rejections.bounce import MOST_READ, MOST_REPLIES, read
from safelist.rejections.bounce_text import BounceReply
from safelist.rejections.rejection import Stage

SAID = "554 Permanent scan failure. Email Session ID: {4C209A7E-0-3A6A8C0-1FFFF}"
YOU, MX, OURS = "you@corp.example", "mx.corp.example", "mail.partner.example"
BLOCKED = "550 5.7.1 Recipient not authorized, your IP has been found on a block list"


def said(text: str) -> tuple[BounceReply, ...]:
    return read(text.encode()).replies


POSTFIX = f"""\
This is the mail system at host {OURS}.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

                   The mail system

<{YOU}>: host {MX}[192.0.2.25] said: 554 Permanent scan
    failure. Email Session ID: {{4C209A7E-0-3A6A8C0-1FFFF}} (in reply to end of DATA command)
"""
EXIM = f"""\
A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {YOU}
    host {MX} [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<{YOU}>:
    {BLOCKED}
"""
SENDMAIL = f"""\
   ----- Transcript of session follows -----
... while talking to {MX}.:
>>> DATA
<<< {SAID}
"""
QMAIL = f"""\
Hi. This is the qmail-send program at {OURS}.
I'm afraid I wasn't able to deliver your message to the following addresses.

<{YOU}>:
192.0.2.25 does not like recipient.
Remote host said: {BLOCKED}
Giving up on 192.0.2.25.
"""
EXCHANGE_2007 = f"""\
Delivery has failed to these recipients or distribution lists:

Diagnostic information for administrators:

Generating server: {OURS}

{YOU}
{MX} #{SAID} ##
"""
EXCHANGE_2010 = f"""\
Generating server: {OURS}

{YOU}
{OURS} #<{MX} #5.0.0 smtp; {SAID}> #SMTP#
"""
EXCHANGE_2013 = f"""\
{MX} rejected your message to the following email addresses:
{YOU}

Remote Server returned '{BLOCKED}'
"""
EXCHANGE_ONLINE = f"""\
Your message to {YOU} couldn't be delivered.

{MX} gave this error:
{BLOCKED}
"""
LOG = (
    f"Nov 27 10:00:00 mx postfix/smtp[1]: 4F1: to=<{YOU}>, relay={MX}[192.0.2.25]:25, delay=1, delays=0/0/0/1, "
    f"dsn=5.0.0, status=bounced (host {MX}[192.0.2.25] said: {SAID} (in reply to end of DATA command))"
)
TALK = (
    f"<{YOU}>: host {MX}[192.0.2.25] refused to talk to me:\n    554-{MX}\n    554 Your access to this mail system has "
    "been rejected due to the sending MTA's poor reputation."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAID, BounceReply(SAID)),
        (POSTFIX, BounceReply(SAID, YOU, MX, stage=Stage.MESSAGE)),
        (EXIM, BounceReply(BLOCKED, YOU, MX, stage=Stage.RCPT)),
        (SENDMAIL, BounceReply(SAID, None, MX)),
        (QMAIL, BounceReply(BLOCKED, YOU, "192.0.2.25")),
        (EXCHANGE_2007, BounceReply(SAID, YOU, MX)),
        (EXCHANGE_2010, BounceReply(SAID, YOU, MX)),
        (EXCHANGE_2013, BounceReply(BLOCKED, YOU, MX)),
        (EXCHANGE_ONLINE, BounceReply(BLOCKED, YOU, MX)),
        (LOG, BounceReply(SAID, YOU, MX, stage=Stage.MESSAGE)),
        (
            TALK,
            BounceReply(
                f"554-{MX} 554 Your access to this mail system has been rejected due to the sending MTA's poor "
                "reputation.",
                YOU,
                MX,
                stage=Stage.CONNECT,
            ),
        ),
    ],
    ids=["alone", "postfix", "exim", "sendmail", "qmail", "2007", "2010", "2013", "online", "log", "greeting"],
)
def test_each_program_s_words_are_read(text: str, expected: BounceReply) -> None:
    (found,) = said(text)
    assert found == expected
    assert said(text.replace("\n", "\r\n")) == (found,)
    assert said("".join(f"> > {line}\n" for line in text.splitlines())) == (found,)
    assert said("".join(f"| {line}\n" for line in text.splitlines())) == (found,)


def test_each_recipient_has_a_reply() -> None:
    other = POSTFIX.replace("corp.example", "other.example").partition("\n\n                   ")[2]
    assert [(each.recipient, each.remote) for each in said(POSTFIX + "\n" + other)] == [
        (YOU, MX), ("you@other.example", "mx.other.example"),
    ]  # fmt: skip


def test_the_lines_of_one_reply_are_one_and_another_code_begins_another() -> None:
    lines = "550-5.7.1 one\n550-5.7.1 two\n550 5.7.1 three\n554 other"
    assert [each.text for each in said(lines)] == ["550-5.7.1 one 550-5.7.1 two 550 5.7.1 three", "554 other"]


@pytest.mark.parametrize("text", ["220 ****************", "TCP connection dropped after DATA", "Greylisted", "> hello"])
def test_a_text_without_a_code_is_one_reply(text: str) -> None:
    assert said(text) == (BounceReply(text.removeprefix("> ")),)


def test_what_exchange_online_writes_below_a_reply_is_none_of_it() -> None:
    text = f"Reported error:\t550 5.4.1 Access denied\nDSN generated by:\tFR0P281MB0001.{MX}\n"
    assert [each.text for each in said(text)] == ["550 5.4.1 Access denied"]


def test_nothing_is_nothing() -> None:
    assert read(b"") == read(b" \r\n\r\n") == ((), ())


REPORT = f"""\
Reporting-MTA: dns; {OURS}
Arrival-Date: Fri, 27 Nov 2026 10:00:00 +0000

Original-Recipient: rfc822;office@corp.example
Final-Recipient: rfc822; {YOU}
Action: failed
Status: 5.0.0
Remote-MTA: dns; {MX}
Diagnostic-Code: smtp; 554 Permanent scan failure. Email Session ID:
    {{4C209A7E-0-3A6A8C0-1FFFF}}
"""
RETURNED = "Received: from desk (desk [192.0.2.9])\n\tby mail.partner.example with ESMTP\nX-CheckPoint: {4B}\n\nhello\n"


def bounced(text: str = POSTFIX, report: str = REPORT, report_head: str = "", returned: str = RETURNED) -> bytes:
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@{OURS}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

{text}
--b
Content-Type: message/delivery-status
{report_head}
{report}
--b
Content-Type: message/rfc822

{returned}
--b--
""".encode()


def test_a_report_and_what_was_written_for_people_are_one_reply() -> None:
    found = read(bounced())
    assert found.replies == (BounceReply(SAID, YOU, MX, OURS, Stage.MESSAGE),)
    assert "Received: from desk (desk [192.0.2.9]) by mail.partner.example with ESMTP" in found.headers
    assert "X-CheckPoint: {4B}" in found.headers
    assert found.headers[1] == f"From: MAILER-DAEMON@{OURS}"


@pytest.mark.parametrize("value", [f"{MX}.", f"{MX}. (192.0.2.25, the server for the domain corp.example.)"])
def test_a_server_s_name_is_told_without_what_gmail_writes_behind_it(value: str) -> None:
    """Else one server is another for each domain."""
    (found,) = read(bounced("", REPORT.replace(f"dns; {MX}", f"dns; {value}"))).replies
    assert found == BounceReply(SAID, YOU, MX, OURS)


def test_a_report_alone_is_enough() -> None:
    assert read(bounced(text="")).replies == (BounceReply(SAID, YOU, MX, OURS),)
    assert said(REPORT) == (BounceReply(SAID, YOU, MX),)


def test_the_beginning_of_a_mailbox_file_and_empty_lines_do_not_matter() -> None:
    assert read(b"\n\nFrom MAILER-DAEMON Fri Nov 27 10:00:00 2026\n" + bounced()) == read(bounced())


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_report_is_read(encoding: str) -> None:
    encode = base64.encodebytes if encoding == "base64" else quopri.encodestring
    content = bounced("", encode(REPORT.encode()).decode(), f"Content-Transfer-Encoding: {encoding}\n")
    assert read(content).replies == (BounceReply(SAID, YOU, MX, OURS),)


def test_a_report_of_exchange_has_the_reply_of_another_server_in_it() -> None:
    report = REPORT.replace(
        "smtp; 554", f"smtp;550 5.0.350 Remote server returned an error -> 554 5.0.0 <{MX} #5.0.0 smtp;554"
    )
    assert SAID in read(bounced("", report)).replies[-1].text


HTML = (
    "<html><head><title>550 no</title><style>p { margin: 500 auto }</style></head><body><p>Your message to "
    f"{YOU} couldn&#39;t be delivered.</p><table><tr><td>Remote Server at {MX} (192.0.2.25) returned &#39;550 5.7.1 "
    "Recipient not <b>author</b>ized, your IP has been found\non a&nbsp;block list&#39;</td></tr></table></body></html>"
)


@pytest.mark.parametrize(
    ("charset", "transfer"),
    [("utf-8", "quoted-printable"), ("utf-8", "base64"), ("utf-16-le", "base64"), ("iso-8859-1", "8bit")],
)
def test_html_is_read_in_any_encoding(charset: str, transfer: str) -> None:
    message = EmailMessage()
    message["Subject"] = "Undeliverable"
    if charset == "utf-16-le":
        message["Content-Type"], message["Content-Transfer-Encoding"] = "text/html; charset=utf-16le", transfer
        message.set_payload(base64.encodebytes(HTML.encode(charset)).decode())
    else:
        message.set_content(HTML, subtype="html", charset=charset, cte=transfer)
    assert read(bytes(message)).replies == (BounceReply(BLOCKED, YOU, MX),)


@pytest.mark.parametrize("charset", ["utf-16", "utf-8-sig", "utf-8", "cp1252"])
def test_a_text_file_of_windows_is_read(charset: str) -> None:
    text = f"Für {YOU}:\r\n\r\n{SAID}\r\n"
    assert read(text.encode(charset)).replies == (BounceReply(SAID, YOU),)


@pytest.mark.parametrize("charset", ["hex", "punycode", "unicode_escape", "no-such", "utf-8\0", "idna", '"'])
def test_a_charset_that_is_none_does_no_harm(charset: str) -> None:
    content = f"Subject: x\nContent-Type: text/plain; charset={charset}\n\n{SAID}\n"
    assert read(content.encode()).replies == (BounceReply(SAID),)


@pytest.mark.parametrize("kind", ["text/plain", "message/delivery-status", "multipart/mixed"])
def test_octets_beside_a_charset_that_is_encoded_do_no_harm(kind: str) -> None:
    content = f"Subject: x\nContent-Type: {kind}; charset*=utf-8''x\n\n".encode() + b"\xff\xfe\n"
    assert read(content + SAID.encode()).replies in ((), (BounceReply(SAID),))


def test_a_uuencoded_part_is_left() -> None:
    head = "Subject: x\nContent-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\n"
    assert said(f"{head}begin 644 x\n{SAID}\nend\n") == ()


def test_the_headers_of_a_mail_are_its_headers_and_returned_ones_are_found_in_a_text() -> None:
    assert read(b"X-CheckPoint: {4BA23672-7-3A6A8C0-7B6}\r\nSubject: x\r\n\r\nhello").headers == (
        "X-CheckPoint: {4BA23672-7-3A6A8C0-7B6}", "Subject: x",
    )  # fmt: skip
    pasted = f"{EXCHANGE_2007}\nOriginal message headers:\n\nReceived: from a by b\nX-Check Point: Category=Spam\n"
    assert read(pasted.encode()).headers == ("Received: from a by b", "X-Check Point: Category=Spam")
    part = "text/rfc822-headers\nContent-Transfer-Encoding: base64"
    head = base64.encodebytes(b"X-Barracuda-Connect: a\nSubject: b\n").decode()
    assert "X-Barracuda-Connect: a" in read(bounced(returned=head).replace(b"message/rfc822", part.encode())).headers


def test_a_message_of_too_many_parts_is_read_as_one_text() -> None:
    deep = "Content-Type: message/rfc822\n\n" * 5000
    assert read(f"Subject: x\n{deep}{SAID}\n".encode()).replies[0].text == SAID
    wide = 'Content-Type: multipart/mixed; boundary="b"\n\n--b\n' * 500
    assert read(f"Subject: x\n{wide}\n\n{SAID}\n".encode()).replies[0].text == SAID


def test_only_the_beginning_is_read_and_not_more_than_can_be_shown() -> None:
    assert read(b"x\n" * (MOST_READ // 2) + SAID.encode()).replies[0].text.startswith("x x x")
    assert len(said("\n\n".join(f"55{n % 10} number {n}" for n in range(1000)))) == MOST_REPLIES


@given(st.binary(max_size=200), st.sampled_from([b"", b"Subject: x\n", bounced(), HTML.encode(), POSTFIX.encode()]),
       st.integers(0, 900))  # fmt: skip
def test_whatever_stands_there_is_read_or_left(content: bytes, around: bytes, at: int) -> None:
    found = read(around[:at] + content + around[at:])
    assert len(found.replies) <= MOST_REPLIES
    for reply in found.replies:
        assert reply.text
        assert "\n" not in reply.text


@given(st.sampled_from(["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]), st.text(max_size=60))
def test_whatever_a_header_says_the_text_is_found(name: str, value: str) -> None:
    """But where it says that the text is encoded, or hidden in parts."""
    content = f"Subject: x\n{name}: text/plain; charset={' '.join(value.split())}\n\n{SAID}\n"
    assert [each.text for each in read(content.encode("utf-8", "replace")).replies] == [SAID]


def test_bounds_hold_for_headers() -> None:
    found = read(b"Content-Type: text/plain" + b'; x="' * 200_000 + b"\n\n" + SAID.encode())
    assert max(map(len, found.headers)) < 5000
    assert len(read(b"X-A: b\n" * 3000).headers) == bounce.MOST_HEADERS
