"""Keys, priorities and texts, value by value."""

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher import amavis_configuration, wblist_rows
from safelist.publisher.amavis_configuration import Dsn
from safelist.publisher.target import RecipientRuling, Ruling
from safelist.publisher.targets import amavis
from safelist.publisher.targets.amavis import AmavisSettings
from safelist.publisher.wblist_rows import NOBODY, Site
from tests.amavis import lookups

ASKED = {
    "bob@b.example": ("bob@b.example", "@b.example", "@.b.example"),
    "bob+x@s.b.example": ("bob+x@s.b.example", "bob@s.b.example", "@s.b.example", "@.s.b.example", "@.b.example"),
    '"a b"@b.example': ("a b@b.example", "@b.example", "@.b.example"),
    "b.example": ("@b.example", "@.b.example"),
    ".s.b.example": ("@.s.b.example", "@.b.example"),
    "+x@b.example": ("+x@b.example", "@b.example", "@.b.example"),
    "postmaster+x@b.example": ("postmaster+x@b.example", "postmaster@b.example", "@b.example", "@.b.example"),
}


@pytest.mark.parametrize("text", ASKED)
def test_the_keys_that_amavisd_asks_for(text: str) -> None:
    pattern = sender.parse(text)
    assert wblist_rows.asked(pattern, "+") == ASKED[text]
    if "@" in text:
        by_amavisd = lookups.keys(sender.unquoted(pattern), "+")
        assert set(ASKED[text]) == {key for key in by_amavisd if key not in ("@.", "@.example")}


def test_a_local_part_is_split_as_amavisd_splits_it() -> None:
    given = ["a+b+c", "a-b", "owner-list", "list-request", "postmaster", "+a", "a+"]
    assert [wblist_rows.split(each, "+") for each in given] == ["a", "a-b", *given[2:6], "a"]
    assert [wblist_rows.split(each, "+-") for each in given] == ["a", "a", *given[2:6], "a"]
    assert [wblist_rows.split(each, "") for each in given] == given


def test_the_documented_priorities() -> None:
    given = {
        "a+b@c.example": 9, "a@c.example": 8, "@c.example": 5, "@.b.c.d.example": 4, "@.a.b.c.d.example": 4,
        "@.s.c.example": 3, "@.c.example": 2, "@.example": 1, "@.": 0,
    }  # fmt: skip
    assert {key: wblist_rows.priority_of(key, "+") for key in given} == given
    assert wblist_rows.priority_of("a+b@c.example", "") == 8


def test_of_sub_domains_of_long_names_the_narrower_cannot_be_told() -> None:
    wide, narrow = sender.parse(".b.c.d.example"), sender.parse(".a.b.c.d.example")
    rulings = [Ruling(wide, True, Authentication.NONE, True), Ruling(narrow, False, Authentication.NONE)]
    made = wblist_rows.for_everybody(rulings, Site())
    assert [each.pattern for each in made.left_out] == [wide]
    assert made.rows == {}
    alone = wblist_rows.for_everybody(rulings[:1], Site())
    assert (alone.rows, alone.left_out) == ({"@.b.c.d.example": True}, ())


def test_an_address_that_may_not_be_widened_is_left_out_where_amavisd_knows_extensions() -> None:
    bob = sender.parse("bob@b.example")
    for delimiter, may_widen, rows in (("+", False, {}), ("+", True, {bob.text: True}), ("", False, {bob.text: True})):
        made = wblist_rows.for_everybody([Ruling(bob, True, Authentication.NONE, may_widen)], Site(delimiter))
        assert made.rows == rows
        assert [each.pattern for each in made.left_out] == ([] if rows else [bob])


def test_who_is_blocked_by_a_user_and_safe_for_nobody_gets_no_row() -> None:
    """A neutral row would end amavisd's search before the site's own lists."""
    blocked = [RecipientRuling("d@corp.example", sender.parse("x@b.example"), False, Authentication.NONE)]
    assert wblist_rows.for_recipient("d@corp.example", blocked, NOBODY, Site()).rows == {}


def test_what_no_row_can_name() -> None:
    given = ["é@b.example", "a?b@b.example", "a\tb@b.example", "x" * 250 + "@b.example", "." + "a." * 19 + "example"]
    assert all(map(wblist_rows.why_not, given))
    fine = ["a b@b.example", "x" * 240 + "@b.example", "." + "a." * 18 + "example", "%s@b.example", "a'b@b.example"]
    assert not any(map(wblist_rows.why_not, fine))


@pytest.mark.parametrize(
    ("said", "dsn"),
    [
        ("DBI:Pg:dbname=amavis;host=/run/postgresql", Dsn("postgresql", "amavis", "/run/postgresql")),
        ("DBI:Pg:database=mail_prefs", Dsn("postgresql", "mail_prefs", "")),
        ("dbi:mysql:database=amavisd;host=127.0.0.1;port=3306", Dsn("mysql", "amavisd", "127.0.0.1")),
        ("DBI:mysql:amavisd", Dsn("mysql", "amavisd", "")),
        ("DBI:SQLite:dbname=/var/lib/x.db", Dsn("sqlite", "/var/lib/x.db", "")),
        ("DBI", Dsn("", "", "")),
    ],
)
def test_a_data_source_is_read_as_perl_reads_it(said: str, dsn: Dsn) -> None:
    assert amavis_configuration.parse_dsn(said) == dsn


def test_the_last_assignment_counts_and_comments_are_none() -> None:
    first = "@lookup_sql_dsn = ( ['DBI:Pg:dbname=a', 'it''s', 'x;y'], ['DBI:Pg:dbname=b;host=h', 'u', '#p'] );  # one\n"
    second = "  $sql_allow_8bit_address = 1;\n#$sql_allow_8bit_address = 0;\n$recipient_delimiter = '+';\n"
    said = amavis_configuration.read([first, second])
    assert said.lookup == (Dsn("postgresql", "a", ""), Dsn("postgresql", "b", "h"))
    assert (said.allows_8bit, said.delimiter, said.bypasses_spam_checks, said.asks_otherwise) == (
        True,
        "+",
        False,
        False,
    )
    later = amavis_configuration.read([first, second, "@lookup_sql_dsn = ();\n$sql_clause{'sel_wblist'} = 'SELECT';"])
    assert (later.lookup, later.asks_otherwise) == ((), True)
    assert amavis_configuration.read([]) == (None, None, None, False, False, False)


def test_a_score_is_a_number_that_amavisd_reads() -> None:
    """An exponent would be taken for a W."""
    for score, wb in ((-5.0, "-5"), (-0.01, "-0.01"), (-999.0, "-999"), (-3.456, "-3.46")):
        chosen = AmavisSettings.model_validate({"url": "sqlite:////x", "lock": "/x", "score": score})
        assert chosen.wb == wb
    for score in (0.0, 1.0, -0.001, -1e9, float("nan")):
        with pytest.raises(ValueError, match="score"):
            AmavisSettings.model_validate({"url": "sqlite:////x", "lock": "/x", "score": score})


def test_what_it_demands_is_a_paragraph_for_people() -> None:
    for unauthenticated in (False, True):
        section = {"url": "sqlite:////x", "lock": "/x", "unauthenticated": unauthenticated}
        said = amavis.demands(AmavisSettings.model_validate(section))
        assert "eft out" in said
        assert said.endswith(".")
