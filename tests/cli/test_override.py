"""``safelist override`` as administrators use it: what it says, what it records, and what it never does."""

import csv
import io
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist import store
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.override_file import COLUMNS
from safelist.sender import Form, Pattern, parse
from tests import aggregate
from tests.cli.command import Command, Done

BOB = ("bob@firm.example", "--reason", "asked for it")
HEAD = "effect,sender,reason\n"


def command_in(directory: Path) -> Command:
    """The command of an organisation that names its domain and has collected nothing."""
    directory.mkdir(exist_ok=True)
    command = Command(directory)
    url = aggregate.create(command.database)
    command.config.write_text(f'[database]\nurl = "{url}"\n[policy]\nown_domains = ["corp.example"]\n')
    return command


def url_of(command: Command) -> str:
    return f"sqlite:///{command.database}"


@pytest.fixture
def admin(tmp_path: Path) -> Command:
    return command_in(tmp_path)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """For all the tests of what is refused: nothing is ever written here."""
    return command_in(tmp_path_factory.mktemp("refused"))


def recorded(admin: Command) -> list[Override]:
    with store.open_store(url_of(admin)) as opened:
        assert opened.verify_chain().problem is None
        return opened.overrides()


def wrote_nothing(admin: Command) -> bool:
    with store.open_store(url_of(admin)) as opened:
        return not opened.overrides() and not opened.last_runs(1)


def piped(admin: Command, data: bytes, *arguments: str) -> Done:
    return admin("override", "import", "-", *arguments, given=data)


def written(admin: Command, text: str, name: str = "overrides.csv") -> str:
    path = admin.directory / name
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def is_refused(done: Done, *words: str) -> bool:
    assert "Traceback" not in done.err
    assert done.out == ""
    for word in words:
        assert word in done.err
    return done.code == 64


def test_an_allow_is_recorded_as_it_was_said(admin: Command) -> None:
    done = admin("override", "allow", "Bob@Firm.example", "--reason", " asked for it ", "--ticket", "T-1")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "override 1 allows bob@firm.example for everybody (enforced, if dkim-or-spf holds, without an end); "
        "it counts from the next `safelist publish` on\n"
    )
    (made,) = recorded(admin)
    terms = made.terms
    assert (terms.effect, terms.pattern) == (Effect.ALLOW, Pattern("bob@firm.example", Form.ADDRESS))
    assert (terms.reason, terms.ticket, terms.scope, terms.expires) == ("asked for it", "T-1", None, None)
    assert (terms.level, terms.authentication) == (Level.ENFORCED, Authentication.DKIM_OR_SPF)
    assert abs(datetime.now(UTC) - made.made) < timedelta(minutes=2)
    assert made.actor


def test_a_block_with_every_option(admin: Command) -> None:
    done = admin(
        "override", "block", "firm.example", "--with-subdomains", "--recipient", "Joe@Mail.corp.example",
        "--reason", "r", "--level", "default", "--expires", "2099-01-31", "--actor", "ticket robot", "--json",
        SUDO_USER="ann",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json["override"], done.json["is_new"], done.json["replaced"]) == (1, True, None)
    assert (done.json["sender"], done.json["for"]) == (".firm.example", "joe@mail.corp.example")
    (made,) = recorded(admin)
    assert (made.terms.effect, made.terms.level) == (Effect.BLOCK, Level.DEFAULT)
    assert made.terms.expires == datetime(2099, 2, 1, tzinfo=UTC)
    assert made.actor == "ticket robot (by ann)"


def test_defaults_come_from_the_configuration(admin: Command) -> None:
    text = admin.config.read_text() + 'authentication = "spf"\n[overrides]\nexpires = "30d"\n'
    admin.config.write_text(text)
    made = admin("override", "allow", *BOB, "--domain", "CORP.example", "--json").json
    assert (made["authentication"], made["for"]) == ("spf", "corp.example")
    assert datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["made"]) == timedelta(days=30)
    again = admin("override", "allow", *BOB, "--authentication", "dkim-or-spf", "--expires", "never", "--json").json
    assert (again["authentication"], again["expires"]) == ("dkim-or-spf", None)


def test_the_domains_of_collected_mailboxes_are_own_domains(safelist: Command) -> None:
    asked = ("override", "block", *BOB, "--recipient", "new@mail.corp.example")
    assert is_refused(safelist(*asked), "--recipient: mail.corp.example is no domain", "there are: none")
    safelist("sync")
    assert safelist(*asked, "--json").json["for"] == "new@mail.corp.example"


MAP = """
[publish.postfix]
path = "/etc/postfix/safelist"
map_type = "texthash"
parent_domain_matches_subdomains = true
recipient_delimiter = ""
"""
TO_NOBODY = "nobody@corp.example is no mailbox that is collected: is it spelt right? It counts for that address alone"
NO_DOMAIN = (
    "no mailbox at branch.corp.example is collected: is it spelt right? It counts for that domain alone, not for its "
    "sub-domains"
)
FOR_SOME = (
    "the target postfix leaves it out: it is allowed for some recipients only, and this target knows no recipients"
)


def noted(done: Done) -> list[str]:
    """The notes on one override, which are on standard error, too."""
    assert done.code == 0, done.err
    said: list[str] = done.json["notes"]
    assert done.err == "".join(f"safelist: note: {note}\n" for note in said)
    return said


def test_a_scope_that_is_not_collected_is_said(safelist: Command) -> None:
    safelist("sync")
    without_map = safelist.config.read_text().partition("[publish.postfix]")[0]
    safelist.config.write_text(without_map)
    for effect in ("allow", "block"):
        asked = ("override", effect, f"{effect}@firm.example", "--reason", "x", "--json")
        assert noted(safelist(*asked, "--recipient", "desk1@corp.example")) == []
        assert noted(safelist(*asked, "--domain", "corp.example")) == []
        assert noted(safelist(*asked, "--recipient", "nobody@corp.example")) == [TO_NOBODY]
        assert noted(safelist(*asked, "--domain", "branch.corp.example")) == [NO_DOMAIN]
    safelist("forget", "desk1@corp.example")
    (said,) = noted(safelist("override", "allow", *BOB, "--recipient", "desk1@corp.example", "--json"))
    assert said.startswith("desk1@corp.example is no mailbox that is collected")


def test_a_domain_that_is_one_letter_away_from_a_big_provider_is_said(admin: Command) -> None:
    admin.config.write_text(admin.config.read_text() + 'free_mail_domains = ["gmaill.com"]\n')
    assert noted(admin("override", "allow", "bob@aol.con", "--reason", "x", "--json")) == [
        "aol.con is one letter away from aol.com: if that is meant, revoke this one and name aol.com"
    ]
    assert noted(admin("override", "block", ".yaho.com", "--reason", "x", "--json")) == [
        "yaho.com is one letter away from yahoo.com: if that is meant, revoke this one and name yahoo.com"
    ]
    for known in ("mail.com", "gmaill.com"):
        assert noted(admin("override", "block", known, "--reason", "x", "--json")) == []


def test_what_the_map_will_leave_out_is_said_when_the_override_is_made(admin: Command) -> None:
    admin.config.write_text(admin.config.read_text() + MAP)

    def made(effect: str, sender: str, *options: str) -> list[str]:
        return noted(admin("override", effect, sender, "--reason", "x", "--json", *options))

    (too_wide,) = made("allow", "firm.example")
    assert too_wide.startswith("the target postfix leaves it out: this Postfix would match its sub-domains, too: ")
    assert "`safelist override allow firm.example --with-subdomains`" in too_wide
    assert made("allow", "whole.example", "--with-subdomains") == []
    assert made("allow", "bob@other.example") == []
    assert made("allow", "joe@other.example", "--recipient", "nobody@corp.example") == [TO_NOBODY, FOR_SOME]
    (for_one,) = made("block", "bob@other.example", "--domain", "corp.example", "--level", "default")[1:]
    assert for_one == (
        "the target postfix leaves it out: override 5 blocks it for everybody at corp.example, and this target knows "
        "no recipients"
    )
    assert made("block", "stranger@other.example", "--recipient", "nobody@corp.example") == [TO_NOBODY]
    (unwritable,) = made("block", '"front desk"@whole.example')
    assert unwritable.startswith(
        'the target postfix leaves .whole.example out: "front desk"@whole.example must be an exception from it, '
    )
    admin.config.write_text(admin.config.read_text() + "smtputf8_enable = true\n")
    (foreign,) = made("block", "s.whole.example", "--with-subdomains")
    assert "leaves .whole.example out: s.whole.example must be an exception below it" in foreign
    admin.config.write_text(admin.config.read_text().replace("smtputf8_enable = true\n", ""))
    assert admin("override", "revoke", "s.whole.example", "--reason", "x").code == 0
    (wide,) = made("block", "whole.example")
    assert wide == (
        "the target postfix leaves .whole.example out: an exception for whole.example itself leaves its sub-domains "
        "out, too"
    )
    assert made("allow", "firm.example") == [], "it was in force already"


def test_a_map_that_asks_for_nothing_says_whom_it_leaves_out(admin: Command) -> None:
    admin.config.write_text(admin.config.read_text() + MAP + "unauthenticated = false\n")
    assert noted(admin("override", "allow", *BOB, "--json")) == [
        "the target postfix leaves it out: it needs authentication (dkim-or-spf), and unauthenticated = false"
    ]
    admin.config.write_text(admin.config.read_text().replace("unauthenticated = false", "unauthenticated = true"))
    assert noted(admin("override", "block", *BOB, "--replace", "--json")) == []
    done = admin("override", "allow", *BOB, "--replace", "--json")
    assert noted(done) == []


def test_an_override_is_made_although_the_target_cannot_be_asked(admin: Command, tmp_path: Path) -> None:
    postconf = tmp_path / "bin" / "postconf"
    postconf.parent.mkdir()
    postconf.write_text("#!/bin/sh\necho no such file >&2\nexit 1\n")
    postconf.chmod(0o755)
    admin.config.write_text(admin.config.read_text() + MAP.replace("parent_domain_matches_subdomains = true\n", ""))
    done = admin("override", "allow", "firm.example", "--reason", "x", "--json", PATH=str(postconf.parent))
    (said,) = noted(done)
    assert said.startswith("what the targets leave out cannot be told: postconf cannot say ")
    assert len(recorded(admin)) == 1


def test_an_import_says_each_note_once_and_where(admin: Command) -> None:
    admin.config.write_text(admin.config.read_text() + MAP)
    rows = [
        "effect,sender,reason,scope",
        "allow,a@other.example,x,nobody@corp.example", "allow,b@other.example,x,nobody@corp.example",
        "block,c@aol.con,x,", "allow,firm.example,x,", "allow,d@firm.example,x,",
    ]  # fmt: skip
    path = written(admin, "\n".join(rows) + "\n")
    aol = "aol.con is one letter away from aol.com: if that is meant, revoke this one and name aol.com"
    foreseen = admin("override", "import", path, "--dry-run", "--json").json["overrides"]
    done = admin("override", "import", path, "--json")
    said = [row["notes"] for row in done.json["overrides"]]
    assert said[:3] == [[TO_NOBODY, FOR_SOME], [TO_NOBODY, FOR_SOME], [aol]]
    assert (len(said[3]), said[4]) == (1, [])
    assert done.json["overrides"] == foreseen, "what was made is asked about as what would be"
    assert done.err.splitlines() == [
        f"safelist: {path}: line 2 and 1 more: note: {TO_NOBODY}",
        f"safelist: {path}: line 2 and 1 more: note: {FOR_SOME}",
        f"safelist: {path}: line 4: note: {aol}",
        f"safelist: {path}: line 5: note: {said[3][0]}",
    ]
    again = admin("override", "import", path, "--json")
    assert (again.err, [row["notes"] for row in again.json["overrides"]]) == ("", [[]] * 5)


def test_what_is_in_force_already_is_said_and_stays(admin: Command) -> None:
    admin("override", "allow", *BOB)
    with store.open_store(url_of(admin)) as opened:
        runs = opened.last_runs(9)
        again = admin("override", "allow", BOB[0], "--reason", "another")
        assert (again.code, again.err) == (0, "")
        assert again.out.startswith("override 1 already allows bob@firm.example for everybody")
        assert "nothing was changed" in again.out
        assert opened.last_runs(9) == runs
    assert admin("override", "allow", *BOB, "--json").json["is_new"] is False
    assert [made.terms.reason for made in recorded(admin)] == ["asked for it"]


def test_a_contradiction_needs_replace(admin: Command) -> None:
    admin("override", "allow", *BOB)
    assert is_refused(admin("override", "block", *BOB), "override 1 already allows", "--replace")
    assert len(recorded(admin)) == 1
    done = admin("override", "block", *BOB, "--replace")
    assert done.out.startswith(
        "override 2 blocks bob@firm.example for everybody (enforced, without an end) instead of override 1;"
    )
    first, second = recorded(admin)
    assert (first.revoked, first.revoked_why) == (second.made, "replaced by override 2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bob@firm.example", "--authentication", "none"], "everybody who forges the sender"),
        (["joe@corp.example"], "your own organisation"),
        (["co.uk"], "public suffix"),
        (["aol.com"], "anybody gets an address"),
        ([".aol.com"], "anybody gets an address"),
    ],
    ids=str,
)
def test_dangers_need_understanding(admin: Command, arguments: list[str], words: str) -> None:
    asked = ("override", "allow", *arguments, "--reason", "x")
    assert is_refused(admin(*asked), words, "--i-understand")
    assert wrote_nothing(admin)
    assert admin(*asked, "--i-understand").code == 0
    assert len(recorded(admin)) == 1


def test_each_danger_is_a_line(admin: Command) -> None:
    done = admin("override", "allow", "aol.com", "--authentication", "none", "--reason", "x")
    assert len(done.err.splitlines()) == 2


def test_nobody_allows_everything_below_a_public_suffix(admin: Command) -> None:
    for sender in ((".co.uk",), ("github.io", "--with-subdomains")):
        done = admin("override", "allow", *sender, "--reason", "x", "--i-understand")
        assert is_refused(done, "is a public suffix")
        assert "--i-understand" not in done.err
    assert wrote_nothing(admin)
    assert admin("override", "block", ".co.uk", "--reason", "x").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--reason", "  "], ["--reason: is empty"]),
        (["--reason", "x" * 501], ["--reason: is 501 characters long, write at most 500"]),
        (["--reason", "a\x1b]0;owned\x07"], ["--reason: ", "U+001B"]),
        (["--reason", "a\u202eb"], ["--reason: ", "U+202E"]),
        (["--reason", "\udcff"], ["--reason: ", "U+DCFF"]),
        (["--ticket", "a\nb"], ["--ticket: ", "U+000A"]),
        (["--ticket", "\u2067"], ["--ticket: ", "U+2067"]),
        (["--ticket", ""], ["--ticket: is empty"]),
        (["--actor", "a\u202eb"], ["--actor: ", "U+202E"]),
        (["--actor", "x" * 101], ["--actor: ", "at most 100"]),
        (["--actor", ""], ["--actor: is empty"]),
        (["--expires", ""], ["--expires: is empty"]),
        (["--expires", "soon"], ["--expires: 'soon' is no time: write 30d"]),
        (["--expires", "3" + "0" * 5000 + "d"], ["--expires: is longer than 1000 characters"]),
        (["--expires", "2020-01-31"], ["--expires: 2020-01-31 is past"]),
        (["--expires", "\udcff"], ["--expires: "]),
        (["--level", "high\udcff"], ["--level"]),
        (["--domain", ""], ["--domain: '' is not a domain"]),
        (["--domain", "everybody"], ["--domain: 'everybody' is not a domain"]),
        (["--domain", ".corp.example"], ["--domain: '.corp.example' is not a domain"]),
        (["--domain", "example.org"], ["--domain: example.org is no domain", "there are: corp.example"]),
        (["--recipient", ""], ["--recipient: '' is not an e-mail address"]),
        (["--recipient", "a@b.example"], ["--recipient: b.example is no domain", "there are: corp.example"]),
        (["--recipient", "a@corp.example", "--domain", "corp.example"], ["write one of them"]),
        (["--with-subdomains"], ["--with-subdomains: bob@firm.example is one address"]),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_cannot_be_is_refused_with_words(refused: Command, options: list[str], words: list[str]) -> None:
    assert is_refused(refused("override", "allow", *BOB, *options), *words)
    assert wrote_nothing(refused)


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ("bob@", "SENDER: 'bob@' is not an address or a domain: what follows the @"),
        ("*.firm.example", "no wildcards"),
        ("\udcff@firm.example", "nobody sees"),
        ("x" * 100_000, "SENDER: is longer than 1000 characters"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_is_no_sender_is_refused_with_its_reason(refused: Command, sender: str, words: str) -> None:
    assert is_refused(refused("override", "block", sender, "--reason", "x"), words)
    assert wrote_nothing(refused)


def test_a_reason_is_required(refused: Command) -> None:
    assert is_refused(refused("override", "allow", "bob@firm.example"), "--reason")
    assert wrote_nothing(refused)


def test_a_block_has_no_authentication(refused: Command) -> None:
    assert is_refused(refused("override", "block", *BOB, "--authentication", "spf"), "--authentication")
    assert wrote_nothing(refused)


def test_list_shows_what_is_in_force_and_with_all_the_rest(admin: Command) -> None:
    assert admin("override", "list", "--json").json == []
    assert "no override" in admin("override", "list").err
    admin("override", "allow", *BOB, "--domain", "corp.example", "--ticket", "=T-1")
    admin("override", "block", ".spam.example", "--reason", "spam")
    admin("override", "revoke", "1", "--reason", "no longer needed", "--actor", "robot")
    done = admin("override", "list")
    assert (done.code, done.err) == (0, "")
    head, row = done.out.splitlines()
    assert head.split() == ["number", "effect", "sender", "for", "level", "expires", "state", "by", "reason"]
    assert row.startswith("2       block   spam.example with its sub-domains  everybody  enforced  never    in-force  ")
    every = admin("override", "list", "--all", "--json").json
    assert [(o["override"], o["state"], o["ticket"]) for o in every] == [(1, "revoked", "=T-1"), (2, "in-force", None)]
    assert every[0]["revoked_why"] == "no longer needed"
    assert every[0]["revoked_by"].startswith("robot (by ")
    rows = list(csv.DictReader(io.StringIO(admin("override", "list", "--all", "--csv").out)))
    assert [(o["override"], o["sender"], o["ticket"]) for o in rows] == [
        ("1", "bob@firm.example", "'=T-1"),
        ("2", ".spam.example", ""),
    ]
    for command in ("list", "export"):
        assert is_refused(admin("override", command, "--csv", "--json"), "--json and --csv: write one of them")


def test_an_expired_one_is_not_in_force(admin: Command) -> None:
    past = datetime.now(UTC) - timedelta(days=2)
    terms = Terms(Effect.BLOCK, parse(BOB[0]), "x", expires=past + timedelta(days=1))
    with store.open_store(url_of(admin)) as opened:
        opened.make_overrides([terms], past, "joe")
    assert admin("override", "list", "--json").json == []
    assert admin("override", "list", "--all", "--json").json[0]["state"] == "expired"
    assert admin("override", "export").out == ",".join(COLUMNS) + "\n"
    assert is_refused(admin("override", "revoke", "1", "--reason", "x"), "override 1 is over already: expired ")
    assert admin("override", "allow", *BOB, "--json").json["override"] == 2


def test_show_tells_everything(admin: Command) -> None:
    admin("override", "allow", *BOB, "--ticket", "T-1", "--expires", "2099-01-31")
    admin("override", "revoke", "1", "--reason", "left the firm")
    shown = dict(line.split(None, 1) for line in admin("override", "show", "1").out.splitlines())
    assert shown["sender"] == "bob@firm.example"
    assert (shown["reason"], shown["ticket"], shown["state"]) == ("asked for it", "T-1", "revoked")
    assert shown["expires"] == "2099-02-01 00:00 UTC"
    assert " UTC by " in shown["made"]
    assert shown["revoked"].endswith(": left the firm")
    assert admin("override", "show", "1", "--json").json["revoked_why"] == "left the firm"


@pytest.mark.parametrize("number", ["7", "9" * 4000, "9" * 5000, "\udcff"], ids=lambda n: ascii(n)[:9])
def test_show_and_revoke_know_no_other_numbers(refused: Command, number: str) -> None:
    assert is_refused(refused("override", "show", number))
    assert is_refused(refused("override", "revoke", number, "--reason", "x"))
    assert wrote_nothing(refused)


def test_revoke_takes_all_back_or_none(admin: Command) -> None:
    for sender in ("a@b.example", "c@d.example", "e@f.example"):
        admin("override", "block", sender, "--reason", "x")
    assert admin("override", "revoke", "1", "1", "--reason", "y", "--json").json == {"revoked": [1]}
    done = admin("override", "revoke", "2", "1", "9", "--reason", "y")
    assert is_refused(done, "override 1 is over already: revoked ", "there is no override 9")
    assert [made.revoked_why for made in recorded(admin)] == ["y", None, None]
    for words in (["--reason", ""], ["--reason", "a\u202eb"], ["--reason", "y", "--actor", "\x1b"], []):
        assert is_refused(admin("override", "revoke", "2", *words))
    done = admin("override", "revoke", "2", "3", "--reason", "z")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1].startswith("override 3 is revoked; ")
    assert [made.revoked_why for made in recorded(admin)] == ["y", "z", "z"]


def test_revoke_knows_the_only_one_in_force_by_its_sender(admin: Command) -> None:
    admin("override", "allow", *BOB)
    admin("override", "revoke", "1", "--reason", "over")
    admin("override", "allow", *BOB)
    admin("override", "block", "spam.example", "--with-subdomains", "--reason", "x")
    done = admin("override", "revoke", "Bob@FIRM.example", "spam.example", "--reason", "y")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"override {number} is revoked; it counts no more from the next `safelist publish` on" for number in (2, 3)
    ]
    assert [made.revoked_why for made in recorded(admin)] == ["over", "y", "y"]


def test_revoke_lists_all_that_a_sender_may_mean_and_takes_none_back(admin: Command) -> None:
    admin("override", "allow", *BOB)
    admin("override", "block", *BOB, "--domain", "corp.example")
    done = admin("override", "revoke", BOB[0], "--reason", "y")
    assert is_refused(done)
    assert done.err.splitlines() == [
        "safelist: revoke: bob@firm.example is named by more than one; write the number",
        "safelist: override 1 allows bob@firm.example for everybody (enforced, if dkim-or-spf holds, without an end)",
        "safelist: override 2 blocks bob@firm.example for everybody at corp.example (enforced, without an end)",
    ]
    assert [made.revoked for made in recorded(admin)] == [None, None]


def test_revoke_of_a_sender_that_none_in_force_names(admin: Command) -> None:
    admin("override", "allow", *BOB)
    for sender in ("joe@firm.example", "firm.example"):
        done = admin("override", "revoke", sender, "1", "--reason", "y")
        assert is_refused(done, f"no override in force is about {sender}", "`safelist override list`")
    assert [made.revoked for made in recorded(admin)] == [None]
    admin("override", "revoke", "1", "--reason", "over")
    assert is_refused(admin("override", "revoke", BOB[0], "--reason", "y"), "no override in force is about bob@")


def test_a_clock_that_went_back_revokes_nothing_twice(admin: Command) -> None:
    admin("override", "block", *BOB)
    with store.open_store(url_of(admin)) as opened:
        opened.revoke_overrides([1], "x", datetime.now(UTC) + timedelta(days=1), "joe")
    assert is_refused(admin("override", "revoke", "1", "--reason", "y"), "override 1 ")
    assert [made.revoked_why for made in recorded(admin)] == ["x"]


def test_export_and_import_change_nothing(admin: Command, tmp_path: Path) -> None:
    admin("override", "allow", "=1+1@firm.example", "--reason", "=cmd|'/c calc'!A0", "--expires", "30d")
    admin(
        "override", "allow", "firm.example", "--with-subdomains", "--reason", '\'=1, "x" é', "--domain", "corp.example"
    )
    admin("override", "block", "firm.example", "--level", "default", "--reason", "x", "--recipient", "j@corp.example")
    admin("override", "allow", "aol.com", "--reason", "x", "--i-understand", "--authentication", "none")
    before = recorded(admin)
    as_csv = admin.in_a_process("override", "export", PYTHONIOENCODING="latin-1")
    assert as_csv.err == ""
    assert as_csv.out.splitlines()[0] == ",".join(COLUMNS)
    assert "allow,'=1+1@firm.example," in as_csv.out
    assert admin("override", "export", "--csv").out == as_csv.out
    as_json = admin("override", "export", "--json").out
    for text, format_ in ((as_csv.out, "csv"), (as_json, "json")):
        assert is_refused(piped(admin, text.encode(), "--format", format_), "anybody gets an address at aol.com")
        done = piped(admin, text.encode(), "--format", format_, "--i-understand", "--json")
        assert [row["outcome"] for row in done.json["overrides"]] == ["unchanged"] * 4
        assert [row["override"] for row in done.json["overrides"]] == [1, 2, 3, 4]
    assert recorded(admin) == before
    other = command_in(tmp_path / "other")
    assert other("override", "import", written(other, as_csv.out, "X.CSV"), "--i-understand").code == 0
    assert [made.terms for made in recorded(other)] == [made.terms for made in before]
    assert other("override", "export").out == as_csv.out


def test_import_reports_every_bad_line_and_writes_nothing(admin: Command) -> None:
    rows = HEAD + "allow,bob@firm.example,x\npermit,bob@,\nallow,aol.com,x\nallow,.co.uk,x\nblock,bob@firm.example,y\n"
    path = written(admin, rows)
    done = admin("override", "import", path)
    assert is_refused(done)
    assert [line.removeprefix(f"safelist: {path}: line ")[:12] for line in done.err.splitlines()] == [
        "3: effect: '", "3: sender: '", "3: reason: i", "4: anybody g", "5: co.uk is ", "6: is about ",
    ]  # fmt: skip
    assert wrote_nothing(admin)


def test_import_maps_contradictions_to_lines_and_replaces_when_told(admin: Command) -> None:
    admin("override", "allow", *BOB)
    path = written(admin, HEAD + "block,a@b.example,x\nblock,bob@firm.example,x\n")
    for more in ([], ["--dry-run"]):
        done = admin("override", "import", path, *more)
        assert is_refused(done, f"{path}: line 3: override 1 already allows bob@firm.example", "--replace")
    assert len(recorded(admin)) == 1
    foreseen = admin("override", "import", path, "--dry-run", "--replace")
    assert foreseen.err == ""
    assert foreseen.out.splitlines()[:-1] == [
        "+ blocks a@b.example for everybody (enforced, without an end)",
        "+ blocks bob@firm.example for everybody (enforced, without an end) instead of override 1",
    ]
    assert len(recorded(admin)) == 1
    done = admin("override", "import", path, "--replace", "--actor", "sync of HR", "--json")
    assert [(row["at"], row["outcome"], row["replaced"]) for row in done.json["overrides"]] == [
        ("line 2", "made", None),
        ("line 3", "replaced", 1),
    ]
    assert [made.in_force(datetime.now(UTC)) for made in recorded(admin)] == [False, True, True]
    assert recorded(admin)[2].actor.startswith("sync of HR (by ")
    again = admin("override", "import", path)
    assert (again.code, again.err) == (0, "")
    assert "0 overrides made, 2 in force already" in again.out


def test_a_dry_run_foresees_exactly_what_an_import_does(admin: Command) -> None:
    admin("override", "block", "known@b.example", "--reason", "x")
    items = [{"effect": "block", "sender": sender, "reason": "y"} for sender in ("known@b.example", "new@b.example")]
    path = written(admin, json.dumps(items), "overrides.json")
    foreseen = admin("override", "import", path, "--dry-run", "--json").json
    assert foreseen["dry_run"] is True
    done = admin("override", "import", path, "--json").json["overrides"]
    assert done == foreseen["overrides"]
    assert done[0] == {"at": "item 1", "outcome": "unchanged", "override": 1, "replaced": None, "notes": []}
    code, seen = admin.on_a_terminal("override", "import", path)
    assert code == 0
    assert "0 overrides made, 2 in force already" in seen


@pytest.mark.parametrize(
    ("data", "format_", "words"),
    [
        (b'[{"effect": "allow", "sender": "a@b.example", "reason": "x"', "json", "is not JSON"),
        (b"[" * 200_000, "json", "nested too deeply"),
        (b'[{"effect": "allow", "sender": "a@b.example", "reason": ' + b"9" * 5000 + b"}]", "json", "item 1: reason: "),
        (b'[{"effect": "allow", "sender": "a@b.example", "reason": "\\ud800"}]', "json", "U+D800"),
        (b'[{"effect": "allow", "sender": ["a@b.example"], "reason": "x"}]', "json", "item 1: sender: "),
        (b"\xff\xfe\x00", "json", "is not UTF-8"),
        (b"\0" * 1000, "json", "is not JSON"),
        (b"\0" * 1000, "csv", "line 1: "),
        (HEAD.encode() + b"block,a@b.example,x\nallow,a\0@b.example,x\n", "csv", "line 3: sender: "),
        (HEAD.encode() + b"block,a@b.example,x\n\xff\n", "csv", "is not UTF-8 in line 3"),
        (HEAD.encode() + b'block,a@b.example,x\nblock,c@d.example,"x\n', "csv", "line 3: no CSV from here on"),
        (HEAD.encode() + b"block,a@b.example," + b"x" * 200_000, "csv", "line 2: no CSV from here on"),
        (HEAD.encode() + b"block,a@b.example,a\xe2\x80\xaeb\n", "csv", "U+202E"),
        (b"x" * 10_000_001, "csv", "is larger than 10,000,000 bytes"),
        (b"", "csv", "is missing"),
        (b"", "json", "is not JSON"),
    ],
    ids=lambda value: ascii(value)[-40:],
)  # fmt: skip
def test_hostile_files_are_refused_whole(refused: Command, data: bytes, format_: str, words: str) -> None:
    assert is_refused(piped(refused, data, "--format", format_), "safelist: standard input: ", words)
    assert wrote_nothing(refused)


def test_import_says_which_files_it_reads(admin: Command) -> None:
    text = HEAD + "block,a@b.example,x\n"
    for path, words in (
        (written(admin, text, "overrides.txt"), "--format"),
        ("-", "--format"),
        (str(admin.directory / "none.csv"), "cannot be read: No such file"),
        (f"{admin.directory}/\udcff.csv", r"\udcff.csv"),
    ):
        assert is_refused(admin("override", "import", path), words)
    (admin.directory / "folder.csv").mkdir()
    assert is_refused(admin("override", "import", str(admin.directory / "folder.csv")), "cannot be read")
    assert is_refused(admin("override", "import", "-", "--format", "xml"), "--format")
    assert wrote_nothing(admin)
    assert admin("override", "import", str(admin.directory / "overrides.txt"), "--format", "csv").code == 0
    assert len(recorded(admin)) == 1


def test_nothing_to_import_is_no_error(admin: Command) -> None:
    exported = admin("override", "export").out
    assert exported == ",".join(COLUMNS) + "\n"
    for data, format_ in ((exported.encode(), "csv"), (b"[]", "json")):
        done = piped(admin, data, "--format", format_, "--json")
        assert (done.code, done.json["overrides"]) == (0, [])
    assert wrote_nothing(admin)


def test_many_administrators_at_once_make_one_override(admin: Command) -> None:
    line = admin.line("override", "block", *BOB, "--json")
    running = [subprocess.Popen(line, env=admin.environment, stdout=subprocess.PIPE) for _ in range(5)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert sorted(answer["is_new"] for answer in answers) == [False] * 4 + [True]
    assert len(recorded(admin)) == 1
