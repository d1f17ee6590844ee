"""Overrides as text: what is written reads back as the same, and what is wrong is named with its place."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.override import Authentication, Effect, Level, Terms
from safelist.override_file import (
    COLUMNS,
    MAX_BYTES,
    MAX_ROWS,
    Circumstances,
    Format,
    InvalidTermsError,
    as_csv,
    as_json,
    plain,
    read,
    terms_of,
)
from safelist.sender import Form, Pattern, parse

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CIRCUMSTANCES = Circumstances(NOW, frozenset({"corp.example"}), Authentication.SPF, "90d")
SAID = {"effect": "allow", "sender": "bob@firm.example", "reason": "asked for"}

# Local parts that a spreadsheet would take for formulas, and those that already look defused.
senders = st.sampled_from(
    ["bob@firm.example", "=1+1@firm.example", "'=x@firm.example", "''-x@firm.example", "-a@b.example", "+4@b.example",
     "'a@b.example", '"a,b"@c.example', '"@a\\"b"@c.example', "firm.example", ".firm.example", "jörg@bücher.example"]
).map(parse)  # fmt: skip
scopes = st.sampled_from([None, "corp.example", "mail.corp.example", "joe@corp.example", "'=j@x.corp.example"]).map(
    lambda text: parse(text) if text else None
)
printable = st.text(
    st.one_of(st.sampled_from("'=+-@,;\"\\ néver"), st.characters(codec="utf-8").filter(str.isprintable)),
    min_size=1, max_size=500,
).filter(lambda text: text == text.strip())  # fmt: skip
ends = st.one_of(st.none(), st.integers(1, 4_000_000_000).map(lambda seconds: NOW + timedelta(seconds=seconds)))


@st.composite
def overrides(draw: st.DrawFn) -> Terms:
    effect = draw(st.sampled_from(Effect))
    authentication = draw(st.sampled_from(Authentication)) if effect is Effect.ALLOW else Authentication.DKIM_OR_SPF
    return Terms(
        effect, draw(senders), draw(printable), draw(scopes), draw(st.sampled_from(Level)), authentication,
        draw(st.none() | printable), draw(ends),
    )  # fmt: skip


many = st.lists(overrides(), max_size=6, unique_by=lambda terms: terms.subject)


def csv_of(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def faults_of(data: bytes, format_: Format = Format.CSV) -> list[tuple[int, str]]:
    content = read(data, format_, CIRCUMSTANCES)
    assert content.faults
    return [(fault.at, fault.sentence) for fault in content.faults]


@given(many)
def test_what_is_written_reads_back_as_the_same(given_: list[Terms]) -> None:
    for data, format_ in (
        (as_csv(given_).encode(), Format.CSV),
        (as_csv(given_).encode("utf-8-sig"), Format.CSV),
        (as_csv(given_).replace("\n", "\r\n").encode(), Format.CSV),
        (json.dumps([as_json(terms) for terms in given_]).encode(), Format.JSON),
        (json.dumps([as_json(terms) for terms in given_], ensure_ascii=False).encode("utf-8-sig"), Format.JSON),
    ):
        content = read(data, format_, CIRCUMSTANCES)
        assert content.faults == []
        assert [row.terms for row in content.rows] == given_


@given(many)
def test_no_cell_is_a_formula_for_a_spreadsheet(given_: list[Terms]) -> None:
    for row in csv.reader(io.StringIO(as_csv(given_), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_a_cell_that_a_person_defused_is_read_without_the_apostrophe() -> None:
    (row,) = read(csv_of(SAID | {"reason": "'=1+1", "ticket": "'T-1"}), Format.CSV, CIRCUMSTANCES).rows
    assert (row.terms.reason, row.terms.ticket) == ("=1+1", "'T-1")
    (item,) = read(json.dumps([SAID | {"reason": "'=1+1"}]).encode(), Format.JSON, CIRCUMSTANCES).rows
    assert item.terms.reason == "'=1+1"


def test_empty_cells_mean_the_defaults() -> None:
    expected = Terms(
        Effect.ALLOW, Pattern("bob@firm.example", Form.ADDRESS), "asked for", None, Level.ENFORCED, Authentication.SPF,
        None, NOW + timedelta(days=90),
    )  # fmt: skip
    few = csv_of(SAID, columns=("reason", "sender", "effect"))
    nulls = json.dumps([dict.fromkeys(COLUMNS) | SAID]).encode()
    for data, format_ in ((few, Format.CSV), (csv_of(SAID), Format.CSV), (nulls, Format.JSON)):
        assert [row.terms for row in read(data, format_, CIRCUMSTANCES).rows] == [expected]


def test_a_block_proves_nothing_and_is_always_the_same() -> None:
    block = terms_of(SAID | {"effect": "block"}, CIRCUMSTANCES)
    otherwise = terms_of(SAID | {"effect": "block"}, CIRCUMSTANCES._replace(authentication=Authentication.NONE))
    assert block.authentication is otherwise.authentication
    with pytest.raises(InvalidTermsError, match=r"^authentication: is for an allow"):
        terms_of(SAID | {"effect": "block", "authentication": "spf"}, CIRCUMSTANCES)


def test_capitals_as_spreadsheets_write_them() -> None:
    terms = terms_of(SAID | {"effect": " Block", "sender": "Firm.Example", "with_subdomains": "TRUE"}, CIRCUMSTANCES)
    assert (terms.effect, terms.pattern) == (Effect.BLOCK, Pattern(".firm.example", Form.SUBDOMAINS))


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ({"effect": ""}, "effect", "write allow or block"),
        ({"effect": "permit"}, "effect", "'permit'"),
        ({"sender": "bob"}, "sender", "'bob' is not an address or a domain: "),
        ({"sender": ""}, "sender", "the entry is empty"),
        ({"sender": "*.firm.example"}, "sender", "no wildcards"),
        ({"sender": "a\u202eb@firm.example"}, "sender", "nobody sees"),
        ({"with_subdomains": "true"}, "with_subdomains", "one address"),
        ({"with_subdomains": "yes"}, "with_subdomains", "true or false"),
        ({"scope": "other.example"}, "scope", "there are: corp.example"),
        ({"scope": "joe@xcorp.example"}, "scope", "xcorp.example is no domain of the organisation"),
        ({"scope": ".corp.example"}, "scope", "nor a domain"),
        ({"scope": "example"}, "scope", "nor a domain"),
        ({"level": "strong"}, "level", "enforced or default"),
        ({"authentication": "dkim"}, "authentication", "dkim-or-spf or spf or none"),
        ({"expires": "3" * 500 + "d"}, "expires", "write 1d to 36500d"),
        ({"expires": "3" * 5000 + "d"}, "expires", "longer than 1000 characters"),
        ({"expires": "2026-01-31"}, "expires", "is past"),
        ({"reason": " \n "}, "reason", "is empty"),
        ({"reason": "x" * 501}, "reason", "501 characters long, write at most 500"),
        ({"reason": "a\x1b[2Jb"}, "reason", "U+001B"),
        ({"reason": "a\nb"}, "reason", "U+000A"),
        ({"reason": "a\u202eb"}, "reason", "U+202E"),
        ({"reason": "a\ud800b"}, "reason", "U+D800"),
        ({"reason": "a\0b"}, "reason", "U+0000"),
        ({"ticket": "a\u2066b"}, "ticket", "U+2066"),
        ({"ticket": "x" * 501}, "ticket", "at most 500"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_misfits_name_their_column_and_say_what_to_write(cells: dict[str, str], column: str, words: str) -> None:
    with pytest.raises(InvalidTermsError) as caught:
        terms_of(SAID | cells, CIRCUMSTANCES)
    ((where, sentence),) = caught.value.faults
    assert where == column
    assert words in sentence
    assert len(sentence) < 1500


def test_everything_that_is_wrong_in_a_row_is_said() -> None:
    with pytest.raises(InvalidTermsError) as caught:
        terms_of({"expires": "soon"}, CIRCUMSTANCES)
    assert [column for column, _ in caught.value.faults] == ["effect", "sender", "expires", "reason"]


def test_a_default_that_is_past_says_where_it_stands() -> None:
    with pytest.raises(InvalidTermsError, match=r"\[overrides\] expires: 2026-01-31 is past"):
        terms_of(SAID, CIRCUMSTANCES._replace(expires="2026-01-31"))


def test_only_some_of_many_own_domains_are_named() -> None:
    circumstances = CIRCUMSTANCES._replace(own_domains=frozenset(f"d{number:03}.example" for number in range(100)))
    with pytest.raises(InvalidTermsError, match=r"d008\.example, d009\.example and 90 more \("):
        terms_of(SAID | {"scope": "x.example"}, circumstances)
    with pytest.raises(InvalidTermsError, match="there are: none"):
        terms_of(SAID | {"scope": "x.example"}, CIRCUMSTANCES._replace(own_domains=frozenset()))


def test_plain_takes_what_everybody_can_read() -> None:
    assert plain("  Bücher & 顧客 «x» \U0001f600 ") == "Bücher & 顧客 «x» \U0001f600"
    assert plain("x" * 500) == "x" * 500
    with pytest.raises(ValueError, match="at most 5"):
        plain("123456", 5)


def test_every_bad_line_is_reported_with_its_number() -> None:
    data = (
        csv_of(SAID, SAID | {"effect": "x"}, {}, SAID | {"sender": "a@b.example", "reason": ""})
        + b"block,a@b.example\n"
    )
    assert [(at, sentence.partition(":")[0]) for at, sentence in faults_of(data)] == [
        (3, "effect"),
        (5, "reason"),
        (6, "has 2 cells, the first line has 9"),
    ]


def test_a_row_of_several_lines_is_named_by_its_first() -> None:
    data = csv_of(SAID | {"reason": "a\nb\nc"}, SAID | {"effect": "x"})
    assert [at for at, _ in faults_of(data)] == [2, 5]


def test_two_rows_about_the_same_are_a_fault() -> None:
    same = SAID | {"effect": "block", "sender": "BOB@firm.example"}
    other = same | {"level": "default"}
    assert faults_of(csv_of(SAID, other, same)) == [(4, "is about the same as line 2, leave one of them out")]
    assert faults_of(json.dumps([SAID, other, same]).encode(), Format.JSON) == [
        (3, "is about the same as item 1, leave one of them out")
    ]


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        ("", ["effect, sender, reason is missing"]),
        ("effect,sender", ["the column reason is missing"]),
        ("effect,sender,reason,colour,size", ["no column 'colour', 'size'"]),
        ("effect|sender|reason", ["is missing", "no column 'effect|sender|reason'"]),
        ("effect;sender;colour", ["the column reason is missing", "no column 'colour'"]),
        ("effect,sender,reason,effect", ["the column effect is there twice"]),
        ("effect,sender,reason,\0\u202e", [r"no column '\x00\u202e'"]),
        (",".join(f"c{number}" for number in range(100_000)), ["is missing", "'c9' and 99990 more"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_columns_that_are_missing_unknown_or_twice_are_named(first_line: str, words: list[str]) -> None:
    faults = faults_of(f"{first_line}\nallow,a@b.example,x\n".encode())
    assert [at for at, _ in faults] == [1] * len(words)
    for (_, sentence), word in zip(faults, words, strict=True):
        assert word in sentence
        assert len(sentence) < 1000


HEAD = b"effect,sender,reason\n"


@pytest.mark.parametrize(
    ("data", "at", "words"),
    [
        (HEAD + b'allow,a@b.example,"never closed\nblock,c@d.example,x\n', 2, "is a quote missing?"),
        (HEAD + b'allow,a@b.example,"closed" too early\n', 2, "is a quote missing?"),
        (HEAD + b"block,c@d.example,x\nallow,a@b.example," + b"x" * 200_000, 3, "field larger than field limit"),
        (b'"' + b"x" * 200_000, 1, "field larger than field limit"),
        (HEAD + b"allow,a@b.example,\xff\n", 0, "is not UTF-8 in line 2"),
        ("effect,sender,reason\n".encode("utf-16"), 0, "is not UTF-8 in line 1"),
        (HEAD + b"allow,a\0@b.example,x\n", 2, "sender: "),
        (HEAD + b"allow,a@b.example,x" + b"," * 1_000_000, 2, "has 1000003 cells"),
        (b"x" * (MAX_BYTES + 1), 0, "is larger than 10,000,000 bytes"),
        pytest.param(
            HEAD + b"x,y,z\n" * (MAX_ROWS + 1), 0, "has more than 100,000 rows", marks=pytest.mark.no_cover
        ),
    ],
    ids=lambda value: ascii(value)[-40:],
)  # fmt: skip
def test_hostile_csv(data: bytes, at: int, words: str) -> None:
    last_at, sentence = faults_of(data)[-1]
    assert (last_at, words in sentence) == (at, True), sentence


ITEM = json.dumps(SAID)


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("", 0, "is not JSON"),
        (f"[{ITEM}, {{", 0, "is not JSON"),
        (ITEM, 0, "must be a list"),
        ("9" * 5000, 0, "must be a list"),
        ("[" * 200_000, 0, "nested too deeply"),
        ('[{"reason":' * 100_000, 0, "nested too deeply"),
        (f"[{ITEM}, [1], 2]", 2, "must be an object"),
        (f'[{ITEM[:-1]}, "expires": {"9" * 5000}}}]', 1, "expires: write a text"),
        (f'[{ITEM[:-1]}, "expires": 1e999}}]', 1, "expires: write a text"),
        (f'[{ITEM[:-1]}, "expires": NaN}}]', 1, "expires: write a text"),
        (f'[{ITEM[:-1]}, "reason": ["x"]}}]', 1, "has a key twice"),
        (f'[{ITEM[:-1]}, "ticket": {{"x": 1}}, "level": true}}]', 1, "ticket, level: write a text"),
        (f'[{ITEM[:-1]}, "with_subdomains": "true"}}]', 1, "with_subdomains: true or false"),
        (f'[{ITEM[:-1]}, "colour\\u001b": null}}]', 1, r"no key 'colour\x1b'"),
        (f'[{ITEM[:-1]}, "ticket": "\\ud800"}}]', 1, "ticket: holds"),
        (f'[{ITEM[:-1]}, "ticket": "\\u0000"}}]', 1, "ticket: holds"),
        ("[{}]", 1, "effect: "),
        ("[null]", 1, "must be an object"),
    ],
    ids=lambda value: ascii(value)[-40:],
)
def test_hostile_json(text: str, at: int, words: str) -> None:
    first_at, sentence = faults_of(text.encode(), Format.JSON)[0]
    assert (first_at, words in sentence) == (at, True), sentence


@given(st.binary() | st.text().map(str.encode), st.sampled_from(Format))
def test_no_file_is_ever_too_much(data: bytes, format_: Format) -> None:
    content = read(data, format_, CIRCUMSTANCES)
    assert content.rows == []
    assert content.faults or json.loads(data.decode("utf-8-sig")) == []


@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=20) | st.none() | st.booleans() | st.floats()))
)
def test_every_item_is_an_override_or_a_fault(items: list[dict[str, object]]) -> None:
    content = read(json.dumps(items).encode(), Format.JSON, CIRCUMSTANCES)
    assert {at for at, _ in content.rows} | {at for at, _ in content.faults} == set(range(1, len(items) + 1))


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_delimiters_of_a_spreadsheet(delimiter: str, start: str) -> None:
    text = start + "\r\n".join(
        delimiter.join(c) for c in (("effect", "sender", "reason"), ("block", "a@b.example", "x"))
    )
    content = read(text.encode(), Format.CSV, CIRCUMSTANCES)
    assert content.faults == []
    assert [row.terms.pattern.text for row in content.rows] == ["a@b.example"]
