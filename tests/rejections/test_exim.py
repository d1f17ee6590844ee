"""What Exim's logs need beside the contract: lines that belong together, and clients that write into them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from safelist.rejections.formats import FORMATS
from safelist.rejections.rejection import RejectionKind, Stage
from tests.rejections.contract import read

REFUSED = "2026-11-26 08:00:01 1VxPit-000MMd-U4 H=(h) [192.0.2.9] F=<bob@aol.com> rejected after DATA: not this"
ENVELOPE = ("Envelope-from: <bob@aol.com>", "Envelope-to: <you@corp.example>", "    <all@corp.example>")
HEADERS = ("P Received: from [192.0.2.9] (helo=h)", "F From: <bob@aol.com>", "  X-Note: rejected RCPT <x@y>")


def test_the_reject_log_has_the_recipients_of_a_message_that_was_refused_after_its_data() -> None:
    found, unread = read("exim", [REFUSED, *ENVELOPE, *HEADERS, REFUSED, REFUSED, *ENVELOPE])
    assert unread == []
    both = ["you@corp.example", "all@corp.example"]
    assert [(each.recipient, each.place.line) for each in found] == [
        *((each, 1) for each in both), (None, 8), *((each, 9) for each in both),
    ]  # fmt: skip
    assert {(each.stage, each.sender, each.reply) for each in found} == {(Stage.MESSAGE, "bob@aol.com", "not this")}


@pytest.mark.parametrize(
    "lines",
    [(REFUSED, ENVELOPE[1]), (REFUSED, ENVELOPE[0], ENVELOPE[2]), (REFUSED, "x", "x", ENVELOPE[1]),
     (ENVELOPE[1], REFUSED), (REFUSED, ENVELOPE[0], "Envelope-to: <you@corp.example> and so on")],
)  # fmt: skip
def test_no_other_line_names_the_recipient(lines: tuple[str, ...]) -> None:
    found, unread = read("exim", lines)
    assert unread == []
    assert [each.recipient for each in found] == [None]


def test_an_unreadable_line_hides_no_refusal_before_it() -> None:
    found, unread = read("exim", [REFUSED, REFUSED.replace("[192.0.2.9]", "[192.0.2.900]"), REFUSED])
    assert [each.place.line for each in found] == [1, 3]
    assert unread == ["expected the IP address of a client"]


FORGED = "h) [192.0.2.66] F=<x@aol.com> rejected RCPT <y@corp.example>: found in dnsbl rbl.example"


@pytest.mark.parametrize("forged", [FORGED, f"{FORGED} ("])
def test_what_a_client_says_in_helo_is_no_refusal(forged: str) -> None:
    """Exim writes it as it comes where ``helo_accept_junk_hosts`` permits it."""
    line = f"2026-11-26 08:00:01 H=({forged}) [192.0.2.9] F=<bob@aol.com> rejected RCPT <you@corp.example>: no"
    why = "expected one host, and found the end of another, which the client may have written"
    assert read("exim", [line]) == ([], [why])


def test_a_line_of_another_kind_is_no_refusal_for_what_a_client_says_in_helo() -> None:
    found, unread = read("exim", [f"2026-11-26 08:00:01 H=({FORGED}) [192.0.2.9] Warning: why"])
    assert (found, len(unread)) == ([], 1)


def test_the_name_that_exim_refuses_is_not_the_hosts() -> None:
    found, _ = read("exim", [f"2026-11-26 08:00:01 rejected EHLO from [192.0.2.9]: invalid argument(s): {FORGED}"])
    assert [(each.client, each.stage, each.recipient) for each in found] == [("192.0.2.9", Stage.HELO, None)]


@pytest.mark.parametrize(
    ("line", "why"),
    [("2026-11-26 08:00:01 H=nothing rejected RCPT <you@corp.example>: no", "expected H=HOST [IP]"),
     ('2026-11-26 08:00:01 H=[192.0.2.9] F=<"b@aol.com> rejected RCPT <you@corp.example>: no', "expected H=HOST [IP]"),
     ("2026-13-26 08:00:01 H=[192.0.2.9] F=<b@aol.com> rejected RCPT <you@corp.example>: no", "expected a date"),
     ("0001-01-01 00:00:00 +1400 H=[192.0.2.9] F=<> rejected RCPT <you@corp.example>: no", "expected a date")],
)  # fmt: skip
def test_a_refusal_that_cannot_be_read_is_reported(line: str, why: str) -> None:
    found, unread = read("exim", [line])
    assert found == []
    assert [each.startswith(why) for each in unread] == [True]


@pytest.mark.parametrize("text", ["\x1b[31mred", "=cmd|' /C calc'!A0", "<script>", "\0", "\udcff", "\u202e"])
def test_hostile_text_passes_as_a_value(text: str) -> None:
    line = f'2026-11-26 08:00:01 H=(h) [192.0.2.9] F=<"{text}"@aol.com> rejected RCPT <"{text}"@corp.example>: {text}'
    (found,), _ = read("exim", [line])
    assert (found.sender, found.recipient, found.reply) == (f'"{text}"@aol.com', f'"{text}"@corp.example', text)


def test_a_time_without_a_zone_is_of_the_logs() -> None:
    line = "2026-11-26 08:00:01 H=[192.0.2.9] F=<> rejected RCPT <you@corp.example>: no"
    (found,), _ = read("exim", [line], timezone(timedelta(hours=-5)))
    assert found.at == datetime(2026, 11, 26, 13, 0, 1, tzinfo=UTC)


def test_a_zone_that_exim_names_is_believed_before_syslogs() -> None:
    line = "Nov 26 09:00:01 mx exim[7]: 2026-11-26 10:00:01.5 +0200 H=[192.0.2.9] F=<> rejected RCPT <you@corp.example>"
    (named,), _ = read("exim", [line])
    (unnamed,), _ = read("exim", [line.replace(" +0200", "")])
    assert named.at == datetime(2026, 11, 26, 8, 0, 1, 500_000, tzinfo=UTC)
    assert unnamed.at == datetime(2026, 11, 26, 9, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "stage"),
    [("initial connection", Stage.CONNECT), ("EHLO mx.corp.example", Stage.HELO), ("MAIL FROM:<> SIZE=9", Stage.MAIL),
     ("pipelined MAIL FROM:<a@b>", Stage.MAIL), ("RCPT TO:<a: 550 b@c>", Stage.RCPT), ("DATA", Stage.DATA),
     ("end of data", Stage.MESSAGE), ("sending data block", Stage.MESSAGE), ("STARTTLS", None)],
)  # fmt: skip
def test_another_server_says_no_after_a_command(said: str, stage: Stage | None) -> None:
    line = f"2026-11-26 08:00:01 1VxPit-000MMd-U4 ** a@b.example R=r T=t H=mx [192.0.2.11]:25: SMTP error from remote mail server after {said}: 550 no"  # noqa: E501
    (found,), _ = read("exim", [line])
    assert (found.kind, found.stage, found.client, found.host) == (RejectionKind.BOUNCED, stage, "192.0.2.11", "mx")
    assert found.recipient == "a@b.example"
    assert found.reply.endswith("550 no") or found.reply.startswith("550 b@c>")


@pytest.mark.parametrize(
    "line",
    ["2026-11-26 08:00:01.123 UTC [77] FATAL:  connection rejected by pg_hba.conf",
     "2026-11-26 08:00:01 #77(normal) <a>; task; rspamd_task_write_log: id: <x> rejected RCPT",
     "Nov 26 08:00:01 mx postfix/smtpd[7]: H=[192.0.2.9] F=<> rejected RCPT <you@corp.example>: no",
     "Envelope-to: you@corp.example", ""],
)  # fmt: skip
def test_lines_of_others_are_not_taken(line: str) -> None:
    assert not FORMATS["exim"].recognises(line)
