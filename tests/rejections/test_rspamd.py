"""What rspamd's log and history need beside the contract: whose a rejection is, and mails that write into the log."""

import json

import pytest

from safelist.rejections.formats import FORMATS
from safelist.rejections.formats.rspamd import WeighedSymbol, dnsbl_of, listed_by
from safelist.rejections.rejection import Listed
from tests.rejections.contract import read

OURS, TWO = ("192.0.2.9:from",), ("192.0.2.8:received", "192.0.2.9:from")
BAYES = WeighedSymbol("BAYES_SPAM", 5.0)


@pytest.mark.parametrize(
    ("symbols", "score", "name"),
    [
        ([WeighedSymbol("RBL_A", 10.0), WeighedSymbol("RBL_B", 12.0), BAYES], 27.0, "RBL_B"),
        ([WeighedSymbol("RCVD_IN_X", 1.0), WeighedSymbol("OTHER", 14.5)], 15.5, "RCVD_IN_X"),
        ([WeighedSymbol("RECEIVED_SPAMHAUS_XBL", 15.0, TWO)], 15.0, "RECEIVED_SPAMHAUS_XBL"),
        ([WeighedSymbol("MINE", 15.0, OURS)], 15.0, "MINE"),
        ([WeighedSymbol("MINE", 15.0, ("2001:db8::9:from",))], 15.0, "MINE"),
        ([WeighedSymbol("MINE", 15.0, ("phish.example:url",))], 15.0, None),
        ([WeighedSymbol("RBL_A", 10.0), WeighedSymbol("GTUBE", 15.0)], 25.0, None),
        ([WeighedSymbol("RBL_A", 10.0)], 10.0, None),
        ([WeighedSymbol("RCVD_IN_DNSWL_MED", -2.0, OURS), BAYES], 15.0, None),
        ([WeighedSymbol("RBL_A", 10.0), WeighedSymbol("RCVD_IN_DNSWL_MED", -2.0), BAYES], 15.0, "RBL_A"),
        ([WeighedSymbol("RBL_A", 10.0)], float("nan"), None),
        ([], 15.0, None),
    ],
)
def test_a_rejection_is_a_lists_if_the_mail_had_passed_without_the_lists(
    symbols: list[WeighedSymbol], score: float, name: str | None
) -> None:
    found = dnsbl_of(symbols, score, 15.0)
    assert (found.name if found is not None else None) == name


@pytest.mark.parametrize(
    ("options", "listed"),
    [(OURS, Listed.CLIENT), (TWO, Listed.CLIENT), (("192.0.2.8:received",), None), (("mx.example:rdns",), None),
     ((), None)],
)  # fmt: skip
def test_an_option_tells_what_a_list_was_asked_about(options: tuple[str, ...], listed: Listed | None) -> None:
    assert listed_by(WeighedSymbol("RBL_A", 1.0, options)) is listed


BEFORE = "2026-11-26 08:00:01 #7(normal) <a1>; task; rspamd_task_write_log: id: <1@aol.com>, ip: 192.0.2.9, "
END = "]), len: 1, time: 1ms, dns req: 1, digest: <0123456789abcdef0123456789abcdef>"


def test_a_mail_cannot_choose_another_recipient() -> None:
    forged = f"{END}, rcpts: <victim@corp.example>"
    found, unread = read(
        "rspamd",
        [f"{BEFORE}(default: T (reject): [20.00/15.00] [SUBJECT(20.00){{x {forged};}}{END}, rcpts: <you@corp.example>"],
    )
    assert [each.recipient for each in found] == [None]
    assert unread == []


def test_a_mail_cannot_choose_another_verdict() -> None:
    forged = "(default: T (reject): [99.00/15.00] [RBL_X(99.00){192.0.2.9:from;}"
    line = f"{BEFORE}from: <x>, {forged}@aol.com>, (default: F (no action): [0.00/15.00] [{END}"
    assert read("rspamd", [line]) == (
        [],
        ["expected one verdict, and found another one, which the mail's writer may have written"],
    )


def test_a_message_id_cannot_choose_another_client() -> None:
    """rspamd writes ``?`` for each space of it."""
    line = (
        f"{BEFORE}(default: T (reject): [20.00/15.00] [{END}"
        .replace("<1@aol.com>", "<a>,?ip:?192.0.2.66,?from:?<q@q>,?>")
    )  # fmt: skip
    (found,), unread = read("rspamd", [line])
    assert (found.client, found.sender, unread) == ("192.0.2.9", None, [])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [("192.0.2.9", "192.0.2.900", "expected the IP address of a client"),
     ("id: <1@aol.com>, ", "", "expected id: <ID>, ip: IP, from: <SENDER>, and rspamd's verdict"),
     ("2026-11-26", "2026-11-31", "expected a date and a time that there are"),
     ("2026-11-26 08:00:01 ", "", "expected a date and a time that there are")],
)  # fmt: skip
def test_a_rejection_that_cannot_be_read_is_reported(old: str, new: str, why: str) -> None:
    line = f"{BEFORE}(default: T (reject): [20.00/15.00] [{END}".replace(old, new)
    assert read("rspamd", [line]) == ([], [why])


@pytest.mark.parametrize("text", ["\x1b[31mred", "=cmd|' /C calc'!A0", "<script>", "\0", "\udcff", "\u202e", "} {"])
def test_hostile_text_passes_as_a_value(text: str) -> None:
    line = f"{BEFORE}from: <{text}@aol.com>, (default: T (reject): [20.00/15.00] [{END}, rcpts: <{text}@corp.example>"
    (found,), _ = read("rspamd", [line])
    assert (found.sender, found.recipient) == (f"{text}@aol.com", f"{text}@corp.example")


ROW = {"unix_time": 1795680001, "action": "reject", "ip": "192.0.2.9", "sender_smtp": "bob@aol.com", "score": 20.0,
       "required_score": 15.0, "rcpt_smtp": ["you@corp.example"], "subject": '\\"}], ["{',
       "symbols": {"RBL_X": {"score": 20.0, "options": ["192.0.2.9:from", "\x1b[31m"]}}}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "document", [{"version": 2, "rows": [ROW, ROW]}, {"rows": [ROW, ROW], "version": 2}, [ROW, ROW]]
)
def test_a_history_is_read_in_one_line_or_in_many(document: object, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert FORMATS["rspamd-history"].recognises(text)
    found, unread = read("rspamd-history", text.split("\n"))
    assert [(each.recipient, each.provider) for each in found] == [("you@corp.example", "RBL_X")] * 2
    assert unread == []


def test_an_unreadable_row_hides_no_other() -> None:
    rows = [ROW, {**ROW, "ip": "here"}, {**ROW, "unix_time": 1e300}, {**ROW, "score": []}, {"action": "reject"}, ROW]
    found, unread = read("rspamd-history", [json.dumps({"rows": rows})])
    assert [each.client for each in found] == ["192.0.2.9"] * 2
    assert unread == ["expected the IP address of a client (4 of the rows that end here)"]


@pytest.mark.parametrize("cut", ["[" * 100_000, '{"a":' * 100_000, '"' + '\\"' * 100_000, "{}" * 100_000 + "]}" * 9])
def test_a_history_that_is_none_ends(cut: str) -> None:
    text = f'{{"rows":[{{"action":"reject","x":{cut}'
    assert read("rspamd-history", [text, text, ""])[0] == []


def test_a_row_that_does_not_end_is_not_kept_for_ever() -> None:
    reader_lines = [
        '{"rows":[',
        '{"action":"reject",',
        *['"x":"' + "y" * 99_999 + '",'] * 20,
        '"z":1}',
        json.dumps(ROW),
    ]
    found, unread = read("rspamd-history", reader_lines)
    assert [each.place.line for each in found] == [len(reader_lines)]
    assert unread == [
        "expected a row of rspamd's history: unix_time, action, ip, score, ... (1 of the rows that end here)"
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"action":"reject"}', '{ "__CURSOR" : "s=1", "MESSAGE" : "required_score" }', '[1, "rows"]']
)
def test_other_documents_are_not_taken(text: str) -> None:
    assert not FORMATS["rspamd-history"].recognises(text)


def test_lines_of_others_are_not_taken() -> None:
    line = (
        f"Nov 26 08:00:01 mx x[7]: <a>; task; {BEFORE.partition('task; ')[2]}(default: T (reject): [2.00/1.00] [{END}"
    )
    assert not FORMATS["rspamd"].recognises(line)
    assert FORMATS["rspamd"].recognises(line.replace("x[7]", "rspamd[7]"))
