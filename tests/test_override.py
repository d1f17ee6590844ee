"""An override's words: when it counts, for whom, which of several counts, and how its end is written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.override import (
    MAX_DAYS,
    Authentication,
    Effect,
    Level,
    Override,
    State,
    Terms,
    days,
    parse_expiry,
    scope_sentence,
    strongest,
    subject_sentence,
)
from safelist.sender import parse

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def override(
    sender: str, scope: str | None = None, effect: Effect = Effect.ALLOW, *, id_: int = 1,
    level: Level = Level.ENFORCED, expires: datetime | None = None, revoked: datetime | None = None,
) -> Override:  # fmt: skip
    terms = Terms(effect, parse(sender), "asked for", parse(scope) if scope else None, level, expires=expires)
    return Override(id_, terms, NOW, "root", revoked, "joe" if revoked else None, "a mistake" if revoked else None)


def test_it_counts_until_it_expires_whatever_clock_it_was_made_at() -> None:
    made = override("a@b.example", expires=NOW + timedelta(days=1))
    assert made.in_force(NOW - timedelta(days=3650))
    assert made.in_force(NOW)
    assert made.in_force(NOW + timedelta(days=1) - SECOND)
    assert not made.in_force(NOW + timedelta(days=1))


def test_it_ends_when_it_is_revoked_or_else_when_it_expires() -> None:
    early, late = NOW + timedelta(days=1), NOW + timedelta(days=2)
    assert override("a@b.example", expires=late, revoked=early).ended == early
    assert override("a@b.example", expires=early).ended == early
    ahead = override("a@b.example", expires=early, revoked=late)
    assert (ahead.state(NOW), ahead.state(late), ahead.ended) == (State.REVOKED, State.REVOKED, late)
    assert override("a@b.example").ended is None
    assert not override("a@b.example", revoked=early).in_force(early)
    assert not override("a@b.example", revoked=early).in_force(NOW), "a clock that was wrong dated it ahead"


def test_its_state_in_words() -> None:
    later = NOW + timedelta(days=1)
    assert override("a@b.example").state_sentence(NOW) == "in force"
    assert override("a@b.example", expires=later).state_sentence(NOW) == "in force until 2026-11-24 12:00 UTC"
    assert override("a@b.example", expires=later).state_sentence(later) == "expired 2026-11-24 12:00 UTC"
    assert override("a@b.example", revoked=later).state_sentence(later) == "revoked 2026-11-24 by joe: a mistake"
    assert override("a@b.example").state_sentence(NOW - SECOND) == "in force"
    assert override("a@b.example", revoked=later).state_sentence(NOW) == "revoked 2026-11-24 by joe: a mistake"


@pytest.mark.parametrize(
    ("sender", "asked", "says"),
    [
        ("a@b.example", "a@b.example", True),
        ("a@b.example", "x@b.example", False),
        ("a@b.example", "b.example", False),
        ("b.example", "a@b.example", True),
        ("b.example", "a@mail.b.example", False),
        (".b.example", "a@b.example", True),
        (".b.example", "a@mail.b.example", True),
        (".b.example", "a@notb.example", False),
    ],
)
def test_which_senders_it_is_about(sender: str, asked: str, says: bool) -> None:
    assert override(sender).says(parse(asked), None) is says


@pytest.mark.parametrize(
    ("scope", "recipient", "says"),
    [
        (None, None, True),
        (None, "joe@corp.example", True),
        ("corp.example", "joe@corp.example", True),
        ("corp.example", "joe@mail.corp.example", False),
        ("corp.example", "joe@xcorp.example", False),
        ("corp.example", None, False),
        ("joe@corp.example", "joe@corp.example", True),
        ("joe@corp.example", "ann@corp.example", False),
        ("joe@corp.example", None, False),
    ],
)
def test_for_whom_it_counts(scope: str | None, recipient: str | None, says: bool) -> None:
    assert override("a@b.example", scope).says(parse("a@b.example"), recipient) is says


RANKED = [
    override("a@mail.b.example", "joe@corp.example", id_=1),
    override("mail.b.example", "joe@corp.example", id_=2),
    override(".b.example", "joe@corp.example", id_=3),
    override("a@mail.b.example", "corp.example", id_=4),
    override("a@mail.b.example", effect=Effect.BLOCK, id_=5),
    override("a@mail.b.example", effect=Effect.ALLOW, id_=6),
    override("mail.b.example", id_=7),
    override(".mail.b.example", id_=8),
    override(".b.example", id_=9),
]


@given(st.lists(st.sampled_from(range(len(RANKED))), min_size=1, unique=True))
def test_the_more_specific_recipient_then_sender_counts_and_a_block_of_two_alike(chosen: list[int]) -> None:
    assert strongest([RANKED[at] for at in chosen], Level.ENFORCED) is RANKED[min(chosen)]


def test_only_those_of_the_level_count() -> None:
    default = override("a@b.example", level=Level.DEFAULT)
    assert strongest([default], Level.ENFORCED) is None
    assert strongest([default, override("b.example")], Level.DEFAULT) is default


def test_the_same_ruling_differs_in_words_only() -> None:
    terms = override("a@b.example").terms
    assert terms._replace(reason="other", ticket="T-1").ruling == terms.ruling
    assert terms._replace(effect=Effect.BLOCK).ruling != terms.ruling
    assert terms._replace(authentication=Authentication.SPF).ruling != terms.ruling
    assert terms._replace(expires=NOW).ruling != terms.ruling


def test_sentences_for_people() -> None:
    assert subject_sentence(parse("a@b.example")) == "a@b.example"
    assert subject_sentence(parse("b.example")) == "b.example"
    assert subject_sentence(parse(".b.example")) == "b.example with its sub-domains"
    assert scope_sentence(None) == "everybody"
    assert scope_sentence(parse("corp.example")) == "everybody at corp.example"
    assert scope_sentence(parse("joe@corp.example")) == "joe@corp.example"


@given(st.integers(1, MAX_DAYS))
def test_days(count: int) -> None:
    assert days(f"{count}d") == timedelta(days=count)


@pytest.mark.parametrize(
    "text", ["0d", "d", "-1d", "1.5d", "1 d", "1D", f"{MAX_DAYS + 1}d", "3" * 5000 + "d", "١d", ""]
)
def test_no_number_of_days(text: str) -> None:
    with pytest.raises(ValueError, match="write 1d to 36500d"):
        days(text)


def test_an_expiry_is_days_from_now_the_end_of_a_day_a_moment_or_never() -> None:
    fine = NOW.replace(microsecond=5)
    assert parse_expiry("never", NOW) is None
    assert parse_expiry("30d", fine) == NOW + timedelta(days=30)
    assert parse_expiry("2027-01-31", NOW) == datetime(2027, 2, 1, tzinfo=UTC)
    assert parse_expiry("2026-11-23", NOW) == datetime(2026, 11, 24, tzinfo=UTC)
    assert parse_expiry("2027-02-01T00:00:00+00:00", NOW) == datetime(2027, 2, 1, tzinfo=UTC)
    assert parse_expiry("2027-02-01T01:30:00+01:30", NOW) == datetime(2027, 2, 1, tzinfo=UTC)
    assert parse_expiry("2027-02-01T00:00", NOW) == datetime(2027, 2, 1, tzinfo=UTC)


zones = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
seconds = st.floats(1, 200_000_000_000, allow_nan=False).map(lambda seconds: timedelta(seconds=seconds))


@given(seconds, zones)
def test_a_moment_is_read_back_to_the_second_and_in_utc(later: timedelta, zone: timezone) -> None:
    moment = (NOW + later).astimezone(zone)
    read = parse_expiry(moment.isoformat(), NOW)
    assert read == moment.replace(microsecond=0)
    assert read is not None
    assert read.tzinfo is UTC
    assert parse_expiry(read.isoformat(), NOW) == read


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "Never", "30", "30000" * 1000 + "d", "2027-13-01", "2027-02-30", "9999-12-31",
        "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-14:00", "T", "2027-02-01T25:00", "\ud800",
        "2027-01-31\0", "٢٠٢٧-01-31",
    ],
)  # fmt: skip
def test_no_expiry_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write "):
        parse_expiry(text, NOW)


@pytest.mark.parametrize("text", ["2026-11-22", "2026-11-23T12:00:00+00:00", "2026-11-23T12:59:59+01:00"])
def test_an_expiry_that_is_past_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is past"):
        parse_expiry(text, NOW)


@pytest.mark.parametrize(("text", "number"), [("30d", 30), ("2w", 14), ("6m", 180), ("1y", 365)])
def test_spans_of_time(text: str, number: int) -> None:
    assert days(text).days == number
