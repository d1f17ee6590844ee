"""That Exim's ACL says of every sender and recipient what the policy says, or less where that was reported.

Here with an exim.conf of an administrator's own, asked as from 127.0.0.2: listed, and SPF passes.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.policy import Candidate, Settings, decide
from safelist.publisher.target import Published
from safelist.publisher.targets import exim
from safelist.sender import Form
from tests.exim.machine import HEAVY, Machine, Reply, machine, missing
from tests.exim.site import NOW, Row, chosen, files, overrides, write
from tests.mail import hostile
from tests.mail.world import BOB, DESK, OTHER, THIRD

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PLAIN = (Path(__file__).parent / "exim.conf.in").read_text()
"""As the documents quote it."""
REST = """
begin routers
all:
  driver = redirect
  data = :blackhole:
"""
HEAD = """\
primary_hostname = mx.corp.example
smtp_accept_max_nonmail_hosts =
smtp_max_synprot_errors = 1000
smtp_accept_max_per_connection = 5000
log_file_path = /var/log/exim4/%slog
"""
Asked = tuple[str, str]
"""Sender, recipient."""


def own_configuration(site: Machine) -> str:
    """The documents' exim.conf, with what it takes to run here."""
    head = f"{HEAD}exim_path = {site.exim}\nlocal_interfaces = 127.0.0.1.{site.port}\n"
    return PLAIN.replace("begin acl", f"{head}\nbegin acl") + REST


@pytest.fixture(scope="module")
def site() -> Iterator[Machine]:
    with machine(HEAVY) as made:
        made.plain(own_configuration(made))
        yield made


def published(site: Machine, rows: Sequence[Row], lookup: str) -> Published:
    settings = chosen(site.lists / lookup, lookup=lookup)
    site.write(files(settings))
    return write(rows, settings, allow_shrink=True)


def answers(site: Machine, asked: Sequence[Asked]) -> dict[Asked, str]:
    """What becomes of each: ``lifted``, ``listed``, or ``refused`` as no address."""
    lines = [b"EHLO client.example\r\n"]
    for each, recipient in asked:
        option = "" if each.isascii() and recipient.isascii() else " SMTPUTF8"
        lines.append(f"MAIL FROM:<{each}>{option}\r\nRCPT TO:<{recipient}>\r\nRSET\r\n".encode())
    found = site.trial("127.0.0.2", [*lines, "QUIT"])[2:-1]
    assert len(found) == 3 * len(asked), found[-3:]
    return {it: _meaning(mail, rcpt) for it, mail, rcpt in zip(asked, found[0::3], found[1::3], strict=True)}


def _meaning(mail: Reply, rcpt: Reply) -> str:
    if mail[0] in (501, 553) or (mail[0] == 250 and rcpt[0] in (501, 553)):
        return "refused"
    assert mail[0] == 250, mail
    assert rcpt[0] == 250 or "is listed at" in rcpt[1], rcpt
    return "lifted" if rcpt[0] == 250 else "listed"


def lifted(site: Machine, asked: Sequence[Asked]) -> set[Asked]:
    """For whom of them Exim lifts the DNSBL."""
    return {each for each, answer in answers(site, asked).items() if answer == "lifted"}


def meant(rows: Iterable[Row], asked: Iterable[Asked]) -> set[Asked]:
    """For whom of them the policy says so."""
    given = tuple(overrides(rows))
    parsed = [(each, Candidate(sender.envelope(_unquoted(each[0])), (), given, each[1])) for each in asked]
    return {each for each, candidate in parsed if decide(candidate, Settings(), NOW).safe}


def _unquoted(text: str) -> str:
    pattern = sender.parse(text)
    return sender.unquoted(pattern) if pattern.form is Form.ADDRESS else text


NONE, SPF, EITHER = Authentication.NONE, Authentication.SPF, Authentication.DKIM_OR_SPF
RULES: tuple[Row, ...] = (
    ("", ".safe.example", True, EITHER), ("", "not.safe.example", False, EITHER), ("", "a@safe.example", False, EITHER),
    ("", ".below.not.safe.example", True, SPF), ("", "one.example", True, NONE), ("", "b@one.example", False, EITHER),
    ("", "bob@two.example", True, EITHER), ("", "#x@two.example", True, EITHER), ("", "-x@two.example", True, EITHER),
    (DESK, "one.example", False, EITHER), (DESK, "c@one.example", True, SPF), (DESK, "not.safe.example", True, NONE),
    (DESK, "bob@two.example", False, EITHER), (DESK, "a+x@safe.example", False, EITHER),
    (OTHER, ".safe.example", False, EITHER), (OTHER, "x@deep.safe.example", True, EITHER),
    (OTHER, ".deeper.deep.safe.example", True, EITHER), (OTHER, "two.example", True, EITHER),
)  # fmt: skip
DOMAINS = (
    "safe.example", "not.safe.example", "sub.not.safe.example", "below.not.safe.example", "x.below.not.safe.example",
    "deep.safe.example", "deeper.deep.safe.example", "x.y.deeper.deep.safe.example", "one.example", "sub.one.example",
    "two.example", "evilsafe.example", "safe.example.evil.example", "example", "SAFE.Example",
)  # fmt: skip
LOCALS = (
    "a", "A", "b", "c", "x", "bob", "a+x", "prvs=0123456789=a", "prvs=a=0123456789", "btv1==0==a", "msprvs1=0=b",
    "prvs=0123456789=btv1==0==b", "bob+prvs=0123456789", "prvs=012345678=a", "#x", "-x", "a.b",
    '"a"', '"B"', '"prvs=0123456789=a"', '"#x"', '"q q"', r'"\a"', r'"q\"q"',
)  # fmt: skip
SENDERS = [f"{local}@{domain}" for local in LOCALS for domain in DOMAINS]


@pytest.mark.parametrize("lookup", ["lsearch", "cdb"])
def test_every_sender_is_what_the_policy_says(site: Machine, lookup: str) -> None:
    """The more specific recipient first, then the more specific sender, with and without tags."""
    assert published(site, RULES, lookup).refused == ()
    asked = [(each, recipient) for each in SENDERS for recipient in (DESK, OTHER, THIRD)]
    wanted, found = meant(RULES, asked), lifted(site, asked)
    odd = {each for each in asked if {" ", "\\"} & set(each[0])}
    assert len(wanted) > 200
    assert found == wanted - odd


def test_two_tags_are_taken_off_and_with_more_the_dnsbl_decides(site: Machine) -> None:
    published(site, RULES, "lsearch")
    asked = [(f"{'btv1==0==' * times}x@safe.example", THIRD) for times in range(4)]
    assert lifted(site, asked) == set(asked[:3])


def test_nobody_else_is_matched_by_hostile_senders_and_whoever_is_not_was_reported(site: Machine) -> None:
    patterns = {it.text for text in hostile.ADDRESSES if (it := sender.parse(text)).form is Form.ADDRESS}
    rows = [(to, text, True, NONE) for text in sorted(patterns) for to in ("", DESK)]
    done = published(site, rows, "lsearch")
    told = {each.pattern.text for each in done.refused}
    texts = [
        *hostile.ADDRESSES,
        *(each for each in hostile.BROKEN if not {"\n", "\0"} & set(each)),
        *hostile.BYSTANDERS,
    ]
    asked = [(each, recipient) for each in texts for recipient in (DESK, OTHER)]
    wanted, found = meant(rows, asked), answers(site, asked)
    assert {each for each in found if found[each] == "lifted"} - wanted == set()
    lost = {each for each, _ in wanted if found[each, DESK] == "listed"}
    assert {sender.parse(each).text for each in lost} - told == {"a@xn--bcher-kva.example"}
    assert found["a@xn--bcher-kva.example", DESK] == "lifted", "only in foreign letters it is not"
    assert sum(answer == "lifted" for answer in found.values()) > 70
    assert not {each for each, _ in found if found[each, DESK] == "lifted"} & set(hostile.BYSTANDERS)


def test_a_recipient_has_its_own_list_or_that_was_reported(site: Machine) -> None:
    rows = [(recipient, BOB, True, NONE) for recipient in hostile.RECIPIENTS]
    told = {each.pattern.text for each in published(site, rows, "lsearch").refused}
    asked = [(BOB, recipient) for recipient in (*hostile.RECIPIENTS, DESK, "d@corp.example", "e@corp.example")]
    found = {recipient for _, recipient in lifted(site, asked)}
    assert found == set(hostile.RECIPIENTS) - told
    assert told == {"d:e@corp.example", '"front desk"@corp.example', "é@corp.example"}


def test_a_domain_from_which_an_exception_cannot_be_written_is_left_out(site: Machine) -> None:
    rows = [("", "safe.example", True, NONE), ("", '"q q"@safe.example', False, NONE)]
    (left_out,) = published(site, rows, "lsearch").refused
    assert left_out.pattern.text == "safe.example"
    assert lifted(site, [("x@safe.example", DESK), ('"q q"@safe.example', DESK)]) == set()


def test_empty_lists_are_lists(site: Machine) -> None:
    for lookup in ("lsearch", "cdb"):
        published(site, [], lookup)
        assert lifted(site, [(BOB, DESK)]) == set()
    assert exim.recipients(site.lists / "lsearch").read_bytes() == exim.HEADER


def test_a_long_list_is_read_to_its_end(site: Machine) -> None:
    """Sorted, so the last one stands behind all others."""
    rows = [("", f"x{number}@long.example", True, NONE) for number in range(5000)]
    for lookup in ("lsearch", "cdb"):
        published(site, rows, lookup)
        assert lifted(site, [("x999@long.example", DESK), ("x5000@long.example", DESK)]) == {
            ("x999@long.example", DESK)
        }
