"""The table holds what it promises: each example is told first by its own row, and no pattern can be made slow."""

from importlib import import_module
from typing import Any

import pytest

from safelist.rejections import fingerprints
from safelist.rejections.fingerprints import About, Certainty, Fingerprint, load, plain, table
from safelist.rejections.rejection import Stage

TABLE = table()
each_reply = pytest.mark.parametrize("row", TABLE.replies, ids=lambda row: row.id)
each_row = pytest.mark.parametrize("row", [*TABLE.replies, *TABLE.headers], ids=lambda row: row.id)


def test_the_table_is_large_and_begins_with_the_text_that_few_know() -> None:
    assert len(TABLE.replies) >= 48
    assert len(TABLE.headers) >= 12
    (first, *_) = fingerprints.match("554 Permanent scan failure. Email Session ID: {4C209A7E-0-3A6A8C0-1FFFF}")
    assert first is TABLE.replies[0]
    assert (first.id, first.stages, first.certainty) == ("check-point", (Stage.MESSAGE,), Certainty.CERTAIN)
    assert (TABLE.headers[0].id, first.about) == ("check-point-header", About.PATH)


@each_reply
def test_each_example_is_told_first_by_its_own_row(row: Fingerprint) -> None:
    for example in row.examples:
        assert TABLE.match(example)[0].id == row.id, example
        assert TABLE.match(example.upper())[0].id == row.id


@pytest.mark.parametrize("row", TABLE.headers, ids=lambda row: row.id)
def test_each_header_is_told_by_its_own_row_alone(row: Fingerprint) -> None:
    for example in row.examples:
        assert [found.id for found in TABLE.traces(example)] == [row.id], example


@each_row
def test_each_pattern_has_an_example(row: Fingerprint) -> None:
    texts = [plain(example) for example in row.examples]
    for pattern in row.patterns:
        assert any(pattern.is_in(text, text.lower()) for text in texts), pattern.expression.pattern


@each_row
def test_each_row_says_what_to_do_in_sentences(row: Fingerprint) -> None:
    for text in (row.meaning, row.advice):
        assert text[0].isupper() or text[0].isdigit()
        assert text.endswith(".")
    assert row.source
    assert row.who[0] != " "


@each_row
def test_python_s_own_parser_finds_no_repetition_without_an_end(row: Fingerprint) -> None:
    parser: Any = import_module("re._parser")
    for pattern in row.patterns:
        assert all(most < 1000 for _, most in repetitions(list(parser.parse(pattern.expression.pattern)))), pattern
        assert deepest(list(parser.parse(pattern.expression.pattern))) <= 2


def repetitions(tokens: list[Any]) -> list[tuple[int, int]]:
    found = []
    for operation, argument in tokens:
        if str(operation) in ("MAX_REPEAT", "MIN_REPEAT"):
            found.append((int(argument[0]), int(argument[1])))
        for inside in inner(argument):
            found += repetitions(inside)
    return found


def inner(argument: Any) -> list[list[Any]]:
    """The sub-patterns of a token of Python's parser."""
    if isinstance(argument, tuple | list):
        return [part for each in argument for part in ([list(each)] if hasattr(each, "pattern") else inner(each))]
    return []


def deepest(tokens: list[Any]) -> int:
    """How many repetitions stand in each other: an optional group may hold one."""
    found = 0
    for operation, argument in tokens:
        below = max((deepest(inside) for inside in inner(argument)), default=0)
        found = max(found, below + (str(operation) == "MAX_REPEAT"))
    return found


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550-5.7.1 one\r\n550-5.7.1  two\r\n550 5.7.1 three", "550-5.7.1 one two three"),
        ("554-mx.corp.example 554 Denied", "554-mx.corp.example Denied"),
        ("550 5.7.1 don\u2019t \u2013 at 550 Main Street", "550 5.7.1 don't - at Main Street"),
        ("\u200b550\u00a0x", "550 x"),
        ("text 550 x", "text 550 x"),
        ("", ""),
    ],
)
def test_a_reply_of_several_lines_is_one(reply: str, expected: str) -> None:
    assert plain(reply) == expected


def test_the_stage_decides_who_stands_first_and_leaves_nobody_out() -> None:
    text = "550 5.1.1 Sender verify failed"
    assert [each.id for each in fingerprints.match(text)] == ["exim-sender-verify", "no-such-user"]
    both = "554 Permanent scan failure. Email Session ID: {4C209A7E-0-3A6A8C0-1FFFF}, Relay access denied"
    assert [each.id for each in fingerprints.match(both, Stage.MESSAGE)] == ["check-point", "relaying-denied"]
    assert [each.id for each in fingerprints.match(both, Stage.RCPT)] == ["relaying-denied", "check-point"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "554",
        "550 no",
        "hello",
        "\0\x1b[31m",
        "\udcff",
        "554 Permanently scanned",
        "550 xxxxxxxx",
        "550 host 192.5.1.1 said no",
    ],
)
def test_what_nobody_says_is_nobody_s(text: str) -> None:
    assert fingerprints.match(text) == ()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("521 5.7.1 Service unavailable; client [192.0.2.9] blocked using ***.zen.dq.spamhaus.net", "spamhaus"),
        ("550 5.7.1 Client host [192.0.2.9] blocked using Spamhaus. To request removal see x (AS16012611)",
         "microsoft-spamhaus"),
        ("454 4.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example.net", "dns-blocklist"),
        ("mx.corp.example #5.7.1 smtp;550 5.7.1 Recipient not authorized, your IP has been found on a block list",
         "exchange-block-list"),
        ("550 administrative prohibition", "administrative-prohibition"),
        ("550 Administrative prohibition \u2013 envelope blocked", "mimecast-policy"),
        ("220 ****2*****0*", "cisco-masked-greeting"),
        ("220 mx.corp.example ESMTP ** hello **", None),
    ],
)  # fmt: skip
def test_variants_of_a_text(text: str, first: str | None) -> None:
    assert next((each.id for each in fingerprints.match(text)), None) == first


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    assert fingerprints.match("x" * fingerprints.MOST_TEXT + " Relay access denied") == ()


ROW = """
[[reply]]
id = "a"
patterns = ['abc']
who = "w"
stages = ["rcpt"]
about = "path"
meaning = "m"
do = "d"
source = "s"
certainty = "likely"
examples = ["abc"]
"""


def test_every_fault_of_a_table_is_said_at_once() -> None:
    spoilt = ROW.replace("'abc'", "'abc*', 'a(?:', 'good enough'").replace('"rcpt"', '"lunch"').replace('"w"', "7")
    spoilt = spoilt.replace('"likely"', '"surely"').replace('"path"', '"me"').replace('["abc"]', "[]")
    with pytest.raises(ValueError) as caught:
        load(f'{spoilt}colour = "red"\n{ROW.replace(chr(91) * 2 + "reply", chr(91) * 2 + "header")}[[footer]]\n')
    assert str(caught.value).splitlines() == [
        "footer: is not known; write [[reply]] or [[header]]",
        "reply 1 (a): colour: is not known",
        "reply 1 (a): who: a text is missing",
        "reply 1 (a): patterns: 'abc*': '*' is not bounded or not known here: no *, +, {n,}, (?=, \\1",
        "reply 1 (a): patterns: 'a(?:': no 3 characters in a row, outside of groups, that every match holds",
        "reply 1 (a): examples: a list of texts is missing",
        "reply 1 (a): stages: 'lunch': 'lunch' is not a valid Stage",
        "reply 1 (a): certainty: 'surely': write one of certain, likely",
        "reply 1 (a): about: 'me': write one of path, scanner, address, mail, recipient, server",
        "reply 1 (a): this id stands twice",
        "header 1 (a): stages: is not known",
        "header 1 (a): about: is not known",
        "header 1 (a): this id stands twice",
    ]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="patterns: a list of texts is missing"):
        load("[[header]]\nid = 'x'\n")
