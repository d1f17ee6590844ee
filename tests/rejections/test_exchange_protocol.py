"""Exchange's SMTP protocol logs: whatever the interleaving, every refusal is found once, with every field."""

from datetime import UTC
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelist.rejections.format import LogLine, LogOrigin, UnreadLineError
from safelist.rejections.formats.exchange_protocol import ExchangeProtocolReader
from safelist.rejections.rejection import LogPlace, Rejection, RejectionKind, Stage
from tests.rejections import exchange_logs as logs
from tests.rejections.contract import NEWEST, NOWHERE, read

OK = "250 2.1.5 Recipient OK"
REFUSALS = (
    *logs.LISTS,
    "550 5.1.1 User unknown",
    "550-5.7.26 Your email has been blocked, see\n550-5.7.26 our \"help\":\n550 5.7.26 x.example/help",
    "452 4.3.1 Insufficient system resources",
    "451 4.7.1 Greylisted",
)  # fmt: skip
addresses = st.sampled_from(
    [
        "bob@aol.com",
        '"b>o, b"@yahoo.com',
        r'"a\"b>"@x.example',
        "Ünal@müll.example",
        "a'b;c@x.example",
        "=1+1@x.example",
    ]
)
replies = st.one_of(st.just(OK), st.sampled_from(REFUSALS))
mails = st.builds(
    logs.SentMail,
    sender=st.one_of(addresses, st.just("")),
    recipients=st.lists(st.tuples(addresses, replies), min_size=1, max_size=3).map(tuple),
    to_sender=st.one_of(
        st.just("250 2.1.0 Sender OK"), st.just("250 2.1.0 Sender OK"), st.just("554 5.1.0 Sender Denied")
    ),
    to_message=replies,
    pipelined=st.booleans(),
    chunked=st.booleans(),
)
shuffled = st.integers(0, 1 << 32).map(Random)
clients = st.sampled_from(["192.0.2.9", "198.51.100.7", "2001:db8::9"])


@st.composite
def conversations(draw: st.DrawFn) -> list[logs.Conversation]:
    sends, old = draw(st.booleans()), draw(st.booleans())
    banners = st.sampled_from(
        ["220 mx.example ready", "220 mx.example ready", "554 5.7.1 No, thank you", "421 4.3.2 Busy"]
    )
    return [
        logs.Conversation(
            number,
            draw(clients),
            tuple(draw(st.lists(mails, max_size=2))),
            draw(banners),
            sends,
            old,
            draw(st.one_of(st.none(), clients)),
        )
        for number in range(draw(st.integers(1, 3)))
    ]


def sorted_by_place(found: list[Rejection]) -> list[Rejection]:
    return sorted(found, key=lambda each: each.place.line)


@settings(max_examples=100)
@given(conversations(), shuffled)
def test_whatever_the_interleaving_every_refusal_is_found_once(of: list[logs.Conversation], random: Random) -> None:
    log = logs.protocol_log(of, random)
    assert read("exchange-protocol", (*log.head, *log.lines)) == (list(log.refused), [])


@settings(max_examples=100)
@given(conversations(), shuffled)
def test_lines_of_a_session_may_come_late(of: list[logs.Conversation], random: Random) -> None:
    log = logs.protocol_log(of, random, late=4)
    found, unread = read("exchange-protocol", (*log.head, *log.lines))
    assert (sorted_by_place(found), unread) == (list(log.refused), [])


@settings(max_examples=40)
@given(conversations(), shuffled)
def test_files_of_hours_that_were_joined_are_as_one(of: list[logs.Conversation], random: Random) -> None:
    """A head may stand between any two lines."""
    log = logs.protocol_log(of, random)
    joined = b"".join(b"\xef\xbb\xbf" + each for each in logs.hour_files(log)).decode().split("\r\n")
    found, unread = read("exchange-protocol", joined)
    assert unread == []
    assert [each._replace(place=NOWHERE) for each in found] == [each._replace(place=NOWHERE) for each in log.refused]


def receive(*lines: tuple[str, ...], log_type: str = logs.RECEIVE) -> list[Rejection]:
    """What is found in one session of these events, data and contexts, of which none is unread."""
    found, unread = read("exchange-protocol", (*logs.head(log_type, logs.PROTOCOL), *session(*lines)))
    assert unread == []
    return found


def session(*lines: tuple[str, ...], key: str = "08D892B7A9441226", first: int = 0) -> list[str]:
    return [
        logs.csv_line(
            logs.PROTOCOL,
            {
                "date-time": logs.stamp(logs.BEGIN),
                "session-id": key,
                "sequence-number": str(number),
                "remote-endpoint": "192.0.2.9:25",
                **dict(zip(("event", "data", "context"), line, strict=False)),
            },
        )
        for number, line in enumerate(lines, first)
    ]


def test_the_refusal_that_a_proxy_in_the_path_makes_up_after_the_data() -> None:
    """As it stood in the log of a server that sent, which had asked only its own firewall."""
    text = "554 Permanent scan failure. Email Session ID: {4C1F2E0A-1-C0A80119-7D}"
    assert receive(
        ("*", "", "attempting to connect"),
        ("+",),
        ("<", "220 mx.partner.example ready"),
        (">", "EHLO mail.corp.example"),
        ("<", "250-mx.partner.example Hello"),
        ("<", "250 SIZE"),
        ("*", "7, sending message"),
        (">", "MAIL FROM:<you@corp.example> SIZE=1500"),
        ("<", "250 2.1.0 Sender OK"),
        (">", "RCPT TO:<bob@partner.example>"),
        ("<", "250 2.1.5 Recipient OK"),
        (">", "DATA"),
        ("<", "354 Start mail input"),
        ("<", text),
        (">", "QUIT"),
        ("-", "", "Remote"),
        log_type=logs.SEND,
    ) == [
        Rejection(
            logs.BEGIN, RejectionKind.BOUNCED, LogPlace("log", 19), text, client="192.0.2.9",
            sender="you@corp.example", recipient="bob@partner.example", stage=Stage.MESSAGE,
        )
    ]  # fmt: skip


def test_a_client_that_does_not_wait_for_its_refusal_is_refused_all_the_same() -> None:
    [found] = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 Sender OK"),
        ("<", "RCPT TO:<you@corp.example>"),
        ("*", "", f"Tarpit for '0.00:00:05' due to '{logs.ON_A_LIST}'"),
        ("-", "", "Remote"),
    )
    assert (found.reply, found.recipient, found.stage) == (logs.ON_A_LIST, "you@corp.example", Stage.RCPT)


def test_a_session_that_began_in_another_file_has_no_sender() -> None:
    lines = session(
        ("<", "RCPT TO:<you@corp.example>"), (">", "550 5.1.1 No"), ("<", "DATA"), (">", "354 Go"),
        (">", "550 5.7.1 Spam"), first=30,
    )  # fmt: skip
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, logs.PROTOCOL), *lines))
    assert unread == []
    assert [(each.sender, each.recipient, each.stage) for each in found] == [
        (None, "you@corp.example", Stage.RCPT),
        (None, None, Stage.MESSAGE),
    ]


def test_a_reply_to_a_command_in_another_file_refuses_what_is_not_known() -> None:
    lines = session((">", "550 5.1.1 No"), (">", "421 4.3.2 Closing"), first=30)
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, logs.PROTOCOL), *lines))
    assert ([(each.sender, each.recipient, each.stage, each.reply) for each in found], unread) == (
        [(None, None, None, "550 5.1.1 No")],
        [],
    )


def test_a_message_that_was_begun_anew_has_its_own_sender_and_recipients() -> None:
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        ("<", "RCPT TO:<you@corp.example>"),
        ("<", "RSET"),
        ("<", "mail from: <eve@yahoo.com>"),
        ("<", "rcpt to:me@corp.example"),
        ("<", "rcpt to:<us@corp.example>"),
        ("<", "data"),
        (">", "250 2.1.0 OK"),
        (">", "250 2.1.5 OK"),
        (">", "250 2.0.0 Resetting"),
        (">", "250 2.1.0 OK"),
        (">", "550 5.7.1 No"),
        (">", "250 2.1.5 OK"),
        (">", "354 Go"),
        (">", "550 5.7.1 Spam"),
    )
    assert [(each.sender, each.recipient) for each in found] == [
        ("eve@yahoo.com", "me@corp.example"),
        ("eve@yahoo.com", "us@corp.example"),
    ]


def test_a_client_that_names_the_next_mail_before_the_reply_to_the_last_is_understood() -> None:
    """As RFC 2920 allows it to."""
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 OK"),
        ("<", "RCPT TO:<you@corp.example>"),
        (">", "250 2.1.5 OK"),
        ("<", "DATA"),
        (">", "354 Go"),
        ("<", "MAIL FROM:<eve@yahoo.com>"),
        ("<", "RCPT TO:<me@corp.example>"),
        (">", "550 5.7.1 Spam"),
        (">", "250 2.1.0 OK"),
        (">", "550 5.1.1 Unknown"),
    )
    assert [(each.sender, each.recipient, each.stage) for each in found] == [
        ("bob@aol.com", "you@corp.example", Stage.MESSAGE),
        ("eve@yahoo.com", "me@corp.example", Stage.RCPT),
    ]


@pytest.mark.parametrize("answers", [(), (("<", "dXNlcg=="), ("<", "c2VjcmV0"))], ids=["left out", "written"])
def test_the_answers_to_a_challenge_may_be_left_out(answers: tuple[tuple[str, str], ...]) -> None:
    challenges = [(">", "334 VXNlcm5hbWU6"), *answers[:1], (">", "334 UGFzc3dvcmQ6"), *answers[1:]]
    [found] = receive(
        ("+",),
        ("<", "AUTH LOGIN"),
        *challenges,
        (">", "535 5.7.3 Authentication unsuccessful"),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "550 5.7.60 Client does not have permissions to send as this sender"),
    )
    assert (found.sender, found.stage, found.reply[:10]) == ("bob@aol.com", Stage.MAIL, "550 5.7.60")


def test_a_session_in_which_nothing_comes_for_too_long_is_not_refused() -> None:
    timeout = "451 4.7.0 Timeout waiting for client input"
    begin = (
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 OK"),
        ("<", "RCPT TO:<you@corp.example>"),
        (">", "250 2.1.5 OK"),
    )
    assert receive(*begin, (">", timeout), ("-", "", "Local")) == []
    assert receive(*begin, ("<", "DATA"), (">", "354 Go"), (">", timeout)) == []
    assert receive(*begin, ("<", "DATA"), (">", "354 Go"), (">", "421 4.4.1 Connection timed out")) == []


def test_a_reply_that_looks_as_if_more_came_is_one_where_another_comes() -> None:
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        ("<", "RCPT TO:<you@corp.example>"),
        ("<", "RCPT TO:<me@corp.example>"),
        (">", "250 2.1.0 OK"),
        (">", "550-5.7.1 No, 550 5.7.1 not you"),
        (">", "250 2.1.5 OK"),
        ("<", "RCPT TO:<us@corp.example>"),
        (">", "550-5.1.1 Unknown"),
        ("-", "", "Remote"),
    )
    assert [(each.recipient, each.reply) for each in found] == [
        ("you@corp.example", "550 5.7.1 No, not you"),
        ("us@corp.example", "550 5.1.1 Unknown"),
    ]


def test_a_refusal_that_was_delayed_is_one_whatever_becomes_of_later_commands() -> None:
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        ("*", "Tarpit for '0.00:00:05' due to '550 5.7.1 No'"),
        (">", "550 5.7.1 No"),
        ("<", "MAIL FROM:<eve@yahoo.com>"),
        ("*", "Tarpit for '0.00:00:25.639' due to 'DelayedAck'", "Delivered"),
        ("-", "", "Remote"),
    )
    assert [each.sender for each in found] == ["bob@aol.com"]


def test_a_number_of_a_session_that_is_used_again_is_of_another_session() -> None:
    first = session(("+",), (">", "220 ready"), ("<", "EHLO x"), (">", "250 x"), ("<", "MAIL FROM:<bob@aol.com>"))
    again = session(("+",), (">", "554 5.7.1 No"))
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, logs.PROTOCOL), *first, *again))
    assert ([each.stage for each in found], unread) == ([Stage.CONNECT], [])


def test_lines_below_one_that_is_missing_are_put_into_their_order() -> None:
    lines = session(
        ("+",),
        ("*", "this line is missing"),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 OK"),
        *[("<", f"RCPT TO:<{number}@corp.example>") for number in range(8)],
        *[(">", f"550 5.1.1 {number}") for number in range(8)],
    )
    below = [*Random(1).sample(lines[2:18], 16), *lines[18:]]
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, logs.PROTOCOL), lines[0], *below))
    assert unread == []
    assert [(each.sender, each.recipient, each.reply) for each in found] == [
        ("bob@aol.com", f"{number}@corp.example", f"550 5.1.1 {number}") for number in range(8)
    ]


def test_all_recipients_refused_leave_none_to_be_refused_with_the_data() -> None:
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 OK"),
        ("<", "RCPT TO:<you@corp.example>"),
        (">", "550 5.1.1 No"),
        ("<", "DATA"),
        (">", "554 5.5.1 No valid recipients"),
    )
    assert [each.stage for each in found] == [Stage.RCPT]


def test_a_part_of_a_message_that_is_refused_refuses_it_once() -> None:
    found = receive(
        ("+",),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "250 2.1.0 OK"),
        ("<", "RCPT TO:<you@corp.example>"),
        (">", "250 2.1.5 OK"),
        ("<", "BDAT 1000"),
        ("<", "BDAT 500 LAST"),
        (">", "552 5.3.4 Too big"),
        (">", "552 5.3.4 Too big"),
    )
    assert [(each.recipient, each.stage) for each in found] == [("you@corp.example", Stage.DATA)]


def test_what_a_front_end_sends_out_for_a_server_is_told_by_its_log_of_sending() -> None:
    dialogue = [
        ("<", "XPROXYTO SESSIONID=1 DESTINATIONS=mx.partner.example PORT=25"),
        (">", "250 XProxyTo accepted"),
        ("<", "MAIL FROM:<you@corp.example>"),
        (">", "550 5.7.1 No"),
    ]
    assert receive(*dialogue) == []
    turned = [({"<": ">", ">": "<"}[event], data) for event, data in dialogue]
    [found] = receive(*turned, log_type=logs.SEND)
    assert (found.kind, found.client) == (RejectionKind.BOUNCED, None)


@pytest.mark.parametrize(("reply", "client"), [("250 accepted", "203.0.113.5"), ("550 5.7.1 No", "192.0.2.9")])
def test_only_who_may_ask_for_another_asks_for_another(reply: str, client: str) -> None:
    *_, found = receive(
        ("+",),
        ("<", "XPROXYFROM SID=08D892B7A9449999 IP=203.0.113.5 PORT=2525"),
        (">", reply),
        ("<", "MAIL FROM:<bob@aol.com>"),
        (">", "550 5.7.1 No"),
    )
    assert (found.client, found.sender) == (client, "bob@aol.com")


def test_refusals_for_now_by_others_and_commands_that_nobody_knows_are_none() -> None:
    dialogue = [("<", "MAIL FROM:<bob@aol.com>"), (">", "451 4.7.1 Greylisted"), ("<", "HELP"), (">", "502 5.3.3 No")]
    assert receive(*[({"<": ">", ">": "<"}[event], data) for event, data in dialogue], log_type=logs.SEND) == []
    assert [each.kind for each in receive(*dialogue)] == [RejectionKind.DEFERRED]


def test_of_too_many_open_sessions_the_one_that_was_silent_longest_is_left() -> None:
    reader = ExchangeProtocolReader(LogOrigin(NEWEST, UTC), most_open=3)
    found: list[Rejection] = []
    complaints: list[str] = []

    def take(lines: list[str]) -> None:
        for line in lines:
            try:
                found.extend(reader.read(LogLine(line, NOWHERE)))
            except UnreadLineError as fault:
                complaints.append(str(fault))

    for number in range(4):
        take(session(("+",), ("<", f"MAIL FROM:<{number}@x.example>"), key=f"S{number}"))
    assert len(complaints) == 1
    for number in (1, 2, 3, 0):
        take(session((">", "550 5.7.1 No"), ("-",), key=f"S{number}", first=2 if number else 12))
    found.extend(reader.end())
    assert [each.sender for each in found] == ["1@x.example", "2@x.example", "3@x.example", None]


def test_more_commands_than_anybody_sends_without_a_reply_are_reported_and_not_kept() -> None:
    lines = session(("+",), *[("<", "RCPT TO:<you@corp.example>")] * 2001)
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, logs.PROTOCOL), *lines))
    assert (found, unread) == ([], ["expected a reply to one of the last 2000 commands of this session"])


def test_lines_that_are_no_lines_of_a_session_are_reported() -> None:
    head = logs.head(logs.RECEIVE, logs.PROTOCOL)
    good = session(("+",), (">", "554 5.7.1 No"))
    bad = ["x", "a,b,,d", good[0].replace(",0,", ",one,"), good[1].replace("2026-11-27", "yesterday")]
    found, unread = read("exchange-protocol", (*head, *bad, *good))
    assert (len(unread), [each.stage for each in found]) == (4, [Stage.CONNECT])


def test_columns_are_read_from_the_head() -> None:
    columns = ("event", "data", "sequence-number", "session-id", "remote-endpoint", "date-time", "new")
    line = logs.csv_line(
        columns,
        {"event": ">", "data": "554 5.7.1 No, not you", "sequence-number": "1", "session-id": "1",
         "remote-endpoint": "192.0.2.9:1", "date-time": logs.stamp(logs.BEGIN)},
    )  # fmt: skip
    found, unread = read("exchange-protocol", (*logs.head(logs.RECEIVE, columns), line, line.replace('"', "")))
    assert unread == []
    assert [(each.reply, each.client, each.at) for each in found] == [
        ("554 5.7.1 No, not you", "192.0.2.9", logs.BEGIN)
    ] * 2
