"""What is well and what is not: a row for each way in which it can be wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from safelist.config import StatusSettings
from safelist.runs.published_files import FileFacts, FileState
from safelist.status.facts import Severity, StatusFacts, worst
from safelist.status.judging import judge
from safelist.status.words import age, ago, names
from safelist.store import Verified
from tests.status.samples import (
    DAY,
    DEFAULTS,
    FILTER,
    GOOD,
    HOUR,
    METRICS,
    MINUTE,
    NOW,
    SNAPSHOT,
    SOURCE,
    TARGET,
    WELL,
    ending,
    known,
    run,
    trouble,
)

EPOCH = datetime.fromtimestamp(0, UTC)
REMOVED = SOURCE._replace(name="old", is_configured=False, not_named=("a@x", "b@x"))
OK, WARNING, CRITICAL, UNKNOWN = Severity.OK, Severity.WARNING, Severity.CRITICAL, Severity.UNKNOWN


def source(**changed: Any) -> StatusFacts:
    return WELL._replace(sources=(SOURCE._replace(**changed),))


def target(**changed: Any) -> StatusFacts:
    return WELL._replace(targets=(TARGET._replace(**changed),))


def last(run_: Any, good: Any = GOOD) -> StatusFacts:
    return source(last=run_, ended=run_, good=good)


def test_all_is_well() -> None:
    status = judge(WELL, DEFAULTS)
    assert (status.severity, status.findings) == (OK, ())


ROWS: list[tuple[StatusFacts, Severity, str]] = [
    (last(None, None), CRITICAL, "has never been collected; run `safelist sync --publish`"),
    (source(last=run(-MINUTE, ended=False), ended=None, good=None), WARNING, "has never been collected (a run began"),
    (source(last=run(DAY, ended=False), ended=None, good=None), CRITICAL, "has never been collected (a run began"),
    (last(run(119 * MINUTE)), OK, ""),
    (last(run(121 * MINUTE)), CRITICAL, "has not run for 2 h, since 2026-11-27 09:59 UTC; look at"),
    (source(last=run(MINUTE, ended=False), ended=run(3 * HOUR)), CRITICAL, "it still runs, or was killed"),
    (last(run(MINUTE, "no log-in\nat all")), WARNING, "its last run failed: no log-in; at all (the last good one"),
    (last(run(MINUTE, "no log-in"), run(25 * HOUR)), CRITICAL, "(the last good one ended 25 h ago)"),
    (last(run(MINUTE, "no log-in"), None), CRITICAL, "(the last good one ended never)"),
    (last(run(MINUTE, left_out=2)), WARNING, "could not read 2 of its groups"),
    (source(troubled=(trouble("a"), trouble("b", reason="timeout"))), WARNING, "2 mailboxes failed (1 denied, 1 timeo"),
    (source(troubled=(trouble("a", "vanished", "vanished"),)), WARNING, "1 mailbox without a rule"),
    (source(troubled=(trouble("a", "held-back", "mass-change"),)), WARNING, "1 mailbox held back"),
    (source(stale=(trouble("a", "unchanged", ago=9 * DAY),)), WARNING, "gave no answer for long, the first since"),
    (source(stale=(trouble("a", ago=9 * DAY),), not_named=("a@corp.example",)), OK, "1 mailbox no longer named by th"),
    (WELL._replace(sources=(SOURCE, REMOVED)), OK, "2 mailboxes no longer named by any source"),
    (target(confirmed=None), CRITICAL, "/etc/postfix/safelist was never published; run `safelist publish`"),
    (target(confirmed=None, failure="no\nroom"), CRITICAL, "was never published: no; room"),
    (target(confirmed=NOW - 119 * MINUTE), OK, ""),
    (target(confirmed=NOW - 121 * MINUTE), CRITICAL, "was not published for 2 h, since 2026-11-27 09:59 UTC"),
    (target(failure="postmap is missing"), WARNING, "the last publication failed: postmap is missing"),
    (target(file=FileFacts(FileState.MISSING, "it is gone")), CRITICAL, "it is gone"),
    (target(file=FileFacts(FileState.DIFFERENT, "it differs")), WARNING, "it differs"),
    (target(file=FileFacts(FileState.UNREADABLE, "no right")), UNKNOWN, "no right"),
    (target(file=FileFacts(FileState.BEING_PUBLISHED)), OK, ""),
    (target(file=FileFacts(FileState.NO_FILE)), OK, ""),
    (WELL._replace(snapshot=SNAPSHOT._replace(faults=("too old",))), CRITICAL, "too old"),
    (WELL._replace(snapshot=SNAPSHOT._replace(is_denied=True)), UNKNOWN, "may not be read by this user"),
    (WELL._replace(filters=(FILTER._replace(fault="nobody answers"),)), CRITICAL, "nobody answers"),
    (WELL._replace(filters=(FILTER._replace(fault="no", is_denied=True),)), UNKNOWN, "no (this user may not ask"),
    (WELL._replace(filters=(METRICS._replace(in_use=EPOCH),)), CRITICAL, "no snapshot"),
    (WELL._replace(filters=(METRICS._replace(in_use=NOW - HOUR),)), WARNING, "still uses the snapshot of 2026-11"),
    (WELL._replace(overrides=(ending(DAY),)), WARNING, "override 4 allows bob@aol.com"),
    (WELL._replace(verified=Verified(3, "ab", "change set 4")), CRITICAL, "was changed by something else"),
    (WELL._replace(verified=Verified(3, "ab", None)), OK, ""),
    (WELL._replace(unknown=(("database", "locked"),)), UNKNOWN, "locked"),
    (WELL._replace(sources=()), OK, "no source is configured"),
    (StatusFacts(NOW, is_whole=True), UNKNOWN, "there is nothing to look at"),
    (StatusFacts(NOW, (REMOVED._replace(not_named=()),), is_whole=True), UNKNOWN, "there is nothing to look at"),
    (last(run(-DAY), run(-DAY)), WARNING, "its last run ended 24 h ahead of the clock, 2026-11-28 12:00 UTC"),
    (last(run(-MINUTE), run(-MINUTE)), OK, ""),
    (target(confirmed=NOW + DAY), WARNING, "/etc/postfix/safelist was published 24 h ahead of the clock"),
    (target(confirmed=NOW + MINUTE), OK, ""),
    (WELL._replace(filters=(METRICS._replace(in_use=NOW + DAY),)), CRITICAL, "uses a snapshot of the future"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "severity", "text"), ROWS)
def test_each_way_in_which_it_is_not_well(facts: StatusFacts, severity: Severity, text: str) -> None:
    status = judge(facts, DEFAULTS)
    assert status.severity is severity
    assert len(status.findings) == bool(text)
    assert all(text in finding.text and finding.severity is severity for finding in status.findings)


def test_what_is_acknowledged_is_a_note_and_no_other_failure_is() -> None:
    facts = source(troubled=(trouble("a"),), stale=(trouble("a", ago=90 * DAY),))._replace(known=(known("a"),))
    (note,) = judge(facts, DEFAULTS).findings
    assert (note.severity, note.text) == (
        OK, "a@corp.example: denied is acknowledged until 2027-02-25 12:00 UTC by alice (the works council)",
    )  # fmt: skip
    other = source(troubled=(trouble("a", reason="timeout"),))._replace(known=(known("a"),))
    failed, note = judge(other, DEFAULTS).findings
    assert (failed.severity, "1 mailbox failed (1 timeout)" in failed.text) == (WARNING, True)
    assert "it does not fail with that any more: safelist failure revoke" in note.text
    soon, _ = judge(facts._replace(known=(known("a", until=DAY),)), DEFAULTS).findings
    assert (soon.severity, "then it fails the runs again" in soon.text) == (WARNING, True)


@pytest.mark.parametrize(
    ("settings", "severity"),
    [
        ({"failed_warning": 0}, OK), ({"failed_warning": 3}, OK), ({"failed_warning": 2}, WARNING),
        ({"failed_critical": 2}, CRITICAL), ({"failed_warning": 0, "failed_critical": 3}, OK),
    ],
)  # fmt: skip
def test_how_many_failures_are_borne_is_configured(settings: dict[str, Any], severity: Severity) -> None:
    facts = source(troubled=(trouble("a"), trouble("b")))
    assert judge(facts, StatusSettings(**settings)).severity is severity


def test_intervals_are_configured() -> None:
    late = WELL._replace(
        sources=(SOURCE._replace(ended=run(5 * HOUR)),), targets=(TARGET._replace(confirmed=NOW - 5 * HOUR),)
    )
    assert judge(late, StatusSettings(interval="3h")).severity is OK
    (finding,) = judge(late, StatusSettings(interval="3h", publish_interval="15min")).findings
    assert (finding.severity, finding.subject) == (CRITICAL, "postfix")
    calm = StatusSettings(ending="never")
    assert judge(WELL._replace(known=(known("a", until=DAY),)), calm).severity is OK


def test_the_worst_comes_first_and_what_is_unknown_hides_nothing() -> None:
    facts = source(troubled=(trouble("a"),))._replace(
        filters=(FILTER._replace(fault="nobody"),), unknown=(("filter", "may not be read"),)
    )
    status = judge(facts, DEFAULTS)
    assert [finding.severity for finding in status.findings] == [CRITICAL, WARNING, UNKNOWN]
    assert status.severity is CRITICAL
    assert worst([OK, UNKNOWN]) is UNKNOWN
    assert worst([]) is OK


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "0 s"), (timedelta(seconds=99), "99 s"), (timedelta(seconds=100), "1 min"),
        (99 * MINUTE, "99 min"), (100 * MINUTE, "1 h"), (47 * HOUR, "47 h"), (48 * HOUR, "2 days"),
    ],
)  # fmt: skip
def test_spans_in_words(span: timedelta, text: str) -> None:
    assert age(span) == text


def test_other_words() -> None:
    assert ago(None, NOW) == "never"
    assert ago(NOW + HOUR, NOW) == "60 min ahead of the clock"
    assert names([str(n) for n in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
