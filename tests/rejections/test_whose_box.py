"""Whose box says a text: counted by owners, not by servers."""

import pytest

from safelist.rejections.fingerprints import table
from safelist.rejections.whose_box import Heard, Side, whose_boxes

SCAN = "554 Permanent scan failure. Email Session ID: {4C209A7E-%d-3A6A8C0-1FFFF}"
LISTED = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org"
UNKNOWN = "554 5.9.9 Refused by the gate, ticket ab12cd%d, client [192.0.2.%d], <bob@partner%d.example>"


def told(*heard: tuple[str, str, str | None]) -> list[tuple[str | None, Side, int, int, int]]:
    found = whose_boxes((Heard(*each) for each in heard), table())
    return [
        (each.fingerprint.id if each.fingerprint else None, each.side, each.replies, each.domains, each.owners)
        for each in found
    ]


def test_a_box_that_stands_before_unrelated_servers_is_ours() -> None:
    heard = [(SCAN % n, f"r{n}.example", f"mx.r{n}.example") for n in range(3)]
    assert told(*heard, *heard) == [("check-point", Side.OURS, 6, 3, 3)]


def test_a_box_before_the_servers_of_one_domain_is_theirs() -> None:
    heard = [(SCAN % n, f"part{n}.corp.example", f"mx{n}.corp.example") for n in range(3)]
    assert told(*heard) == [("check-point", Side.THEIRS, 3, 1, 1)]


def test_domains_below_a_public_suffix_are_unrelated() -> None:
    assert told((SCAN % 1, "a.co.uk", "mx.a.co.uk"), (SCAN % 2, "b.co.uk", "mx.b.co.uk"))[0][1] is Side.OURS
    assert told((SCAN % 1, "A.Example.", "MX.a.example."), (SCAN % 2, "a.example", None))[0][1] is Side.THEIRS


def test_one_server_for_many_domains_is_a_relay_or_a_service() -> None:
    heard = [(SCAN % n, f"r{n}.example", f"mx{n}.service.example") for n in range(3)]
    assert told(*heard) == [("check-point", Side.SHARED, 3, 3, 1)]
    assert told(*((SCAN % n, f"r{n}.example", "192.0.2.25") for n in range(3))) == [
        ("check-point", Side.SHARED, 3, 3, 1)
    ]
    assert told(*((SCAN % n, f"r{n}.example", f"192.0.2.{n}") for n in range(3)))[0][1] is Side.OURS
    assert told(*((SCAN % n, f"r{n}.example", f"2001:db8::{n}") for n in range(3)))[0][1] is Side.OURS


@pytest.mark.parametrize(
    ("text", "side"),
    [
        (LISTED, Side.SENDER),
        ("550 5.7.26 unauthenticated mail", Side.SENDER),
        ("550 5.1.1 User unknown", Side.THEIRS),
        ("450 4.2.0 Greylisted", Side.THEIRS),
        ("554 5.7.1 because it is from a FortiGuard - AntiSpam black IP address.", Side.UNKNOWN),
        ("550 Administrative prohibition", Side.UNKNOWN),
    ],
)
def test_what_several_say_may_have_another_cause(text: str, side: Side) -> None:
    assert told(*((text, f"r{n}.example", f"mx.r{n}.example") for n in range(3)))[0][1] is side


def test_equal_texts_that_nobody_knows_are_counted_without_what_differs() -> None:
    heard = [(UNKNOWN % (n, n, n), f"r{n}.example", f"mx.r{n}.example") for n in range(3)]
    assert told(*heard, ("554 5.9.9 Something else", "r1.example", None)) == [
        (None, Side.UNKNOWN, 3, 3, 3), (None, Side.THEIRS, 1, 1, 1),
    ]  # fmt: skip
    assert told(("554 one", "r1.example", None), ("550 one", "r2.example", None))[0][2] == 1


def test_the_widest_spread_stands_first_and_says_its_counts() -> None:
    heard = [Heard(LISTED, "r1.example", "mx.r1.example")] * 5
    heard += [Heard(SCAN % n, f"r{n}.example", f"mx.r{n}.example") for n in range(2)]
    first, second = whose_boxes(heard, table())
    assert first.text == SCAN % 0
    assert first.sentence == (
        "2 replies about recipients of 2 domains, said by servers of 2 owners: the box is on your side of the path"
    )
    assert second.sentence.startswith("5 replies about recipients of 1 domain, said by servers of 1 owner: the box is")


def test_not_more_texts_are_kept_than_can_be() -> None:
    heard = [Heard(f"554 {'u' * n}", "corp.example") for n in range(1, 30)]
    assert len(whose_boxes([*heard, Heard(SCAN % 1, "corp.example")], table(), most_texts=20)) == 21


def test_nothing_heard_is_nothing_told() -> None:
    assert whose_boxes([], table()) == ()
