"""Counts of rejections: kept day by day, the same when a log is read again, and never fewer than were seen."""

from pathlib import Path

import pytest
from sqlalchemy import text

from safelist import store
from safelist.store import KeptDay, RejectionCount, Store, migration
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import REVISIONS
from tests.store.samples import NOW, SAFE, SEEN, entries
from tests.store.test_schema import alembic

ZEN, OTHER = "zen.spamhaus.org", "bl.example"
TUESDAY = [
    RejectionCount("2026-11-24", OTHER, "nobodys", "nobody", 5, 5),
    RejectionCount("2026-11-24", ZEN, None, None, 1, 1),
    RejectionCount("2026-11-24", ZEN, "lifted", "quorum", 3, 7),
    RejectionCount("2026-11-24", ZEN, "unknown", None, 2, 2),
]
WEDNESDAY = [RejectionCount("2026-11-25", ZEN, "lifted", "quorum", 4, 4)]


def test_what_is_kept_comes_back_by_day(opened: Store) -> None:
    assert list(opened.rejection_counts()) == []
    assert opened.keep_rejections([*WEDNESDAY, *TUESDAY]) == [
        KeptDay("2026-11-24", 11, 11),
        KeptDay("2026-11-25", 4, 4),
    ]
    assert list(opened.rejection_counts()) == [*TUESDAY, *WEDNESDAY]
    assert opened.keep_rejections([]) == []
    assert list(opened.rejection_counts()) == [*TUESDAY, *WEDNESDAY]


def test_the_same_log_again_gives_the_same(opened: Store) -> None:
    first = opened.keep_rejections([*TUESDAY, *WEDNESDAY])
    assert opened.keep_rejections([*TUESDAY, *WEDNESDAY]) == first
    assert list(opened.rejection_counts()) == [*TUESDAY, *WEDNESDAY]


def test_a_day_is_replaced_by_a_reading_that_saw_as_many_mails_of_it(opened: Store) -> None:
    opened.keep_rejections([*TUESDAY, *WEDNESDAY])
    others = [RejectionCount("2026-11-24", ZEN, "refused", "below-quorum", 11, 11)]
    (kept,) = opened.keep_rejections(others)
    assert (kept, kept.is_replaced) == (("2026-11-24", 11, 11), True)
    assert list(opened.rejection_counts()) == [*others, *WEDNESDAY]


def test_a_log_that_was_cut_does_not_replace_a_whole_day(opened: Store) -> None:
    opened.keep_rejections(TUESDAY)
    cut, whole = opened.keep_rejections([TUESDAY[0]._replace(mails=10), *WEDNESDAY])
    assert (cut, cut.is_replaced) == (("2026-11-24", 10, 11), False)
    assert (whole, whole.is_replaced) == (("2026-11-25", 4, 4), True)
    assert list(opened.rejection_counts()) == [*TUESDAY, *WEDNESDAY]


@pytest.mark.parametrize(
    ("provider", "kept"),
    [
        ("a\0b\ud800.example", "a?b?.example"),
        ("x" * 300, "x" * 255),
        ("'); DROP TABLE run; --", "'); DROP TABLE run; --"),
    ],
)
def test_a_name_from_a_log_is_kept_as_far_as_it_can_be(opened: Store, provider: str, kept: str) -> None:
    opened.keep_rejections([TUESDAY[0]._replace(provider=provider)] * 2)
    assert list(opened.rejection_counts()) == [TUESDAY[0]._replace(provider=kept, mails=10, attempts=10)]


def test_names_that_are_one_when_cut_are_counted_as_one(opened: Store) -> None:
    names = ["x" * 255 + end for end in ("", "a", "b")]
    assert opened.keep_rejections(TUESDAY[0]._replace(provider=name) for name in names) == [
        KeptDay("2026-11-24", 15, 15)
    ]
    assert [(each.provider, each.mails) for each in opened.rejection_counts()] == [("x" * 255, 15)]


def test_counts_are_outside_the_chain(opened: Store, url: str) -> None:
    """Reading a log again changes what was kept, so no digest may be of it; nor is there a run."""
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@corp.example", SEEN, entries("a@x.example"), SAFE, NOW)
    opened.end_run(run, NOW, {}, None)
    before, runs = opened.verify_chain(), opened.last_runs(9)
    opened.keep_rejections(TUESDAY)
    assert (opened.verify_chain(bytes.fromhex(before.head)), opened.last_runs(9)) == (before, runs)
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM change_set")).scalar() == before.change_sets
    engine.dispose()


def test_a_database_of_the_version_before_gets_the_table(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        migration.make_file(Path(parse_url(empty_url).database or ""))
    done = alembic("upgrade", "0004", SAFELIST_DATABASE_URL=empty_url)
    assert done.returncode == 0, done.stderr
    assert store.upgrade(empty_url) == ("0004", REVISIONS[-1])
    with store.open_store(empty_url) as opened:
        opened.keep_rejections(TUESDAY)
        assert list(opened.rejection_counts()) == TUESDAY
