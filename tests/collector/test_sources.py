"""Several sources beside each other: whose a mailbox is, and what is judged of each source alone."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelist import store
from safelist.collector.collect import MailboxResult, Options, Summary, collect
from safelist.collector.source import Lists, SourceTerms, Unchanged
from safelist.entry import ALL_LISTS, UserList
from safelist.errors import TemporaryError
from safelist.store import NO_RULE, Outcome, RuleVersion, Store
from tests import aggregate
from tests.collector.memory_source import MemorySource

NOW = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
DESK, SHOP = "desk@corp.example", "shop@sub.example"


def trusting(*texts: str) -> dict[UserList, tuple[str, ...]]:
    return {UserList.SAFE_SENDERS: texts}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return aggregate.create(tmp_path / "safelist.db")


@pytest.fixture
def opened(url: str) -> Iterator[Store]:
    with store.open_store(url) as made:
        yield made


def run(opened: Store, source: MemorySource, results: list[MailboxResult] | None = None) -> Summary:
    report = (results if results is not None else []).append
    return collect(opened, source, source.mailboxes(None).addresses, Options(lists=ALL_LISTS), lambda: NOW, report, "t")


def held(opened: Store, address: str) -> set[str]:
    return {holding.pattern.text for holding in opened.listing(address) if holding.until is None}


def test_mailboxes_and_runs_are_their_sources(opened: Store) -> None:
    run(opened, MemorySource("office", held={DESK: trusting("a@x.example")}))
    run(opened, MemorySource("subsidiary", held={SHOP: trusting("b@x.example")}))
    assert {state.address: state.source for state in opened.mailboxes()} == {DESK: "office", SHOP: "subsidiary"}
    assert [run.source for run in opened.last_runs(2)] == ["subsidiary", "office"]
    assert (opened.last_run("sync", "office") or opened.last_runs(1)[0]).source == "office"
    assert opened.verify_chain().problem is None


def test_a_run_says_the_sources_own_words(opened: Store) -> None:
    office = MemorySource("office", held={DESK: trusting("a@x.example"), SHOP: trusting("b@x.example")})
    office.terms = SourceTerms("sources.office.minutes", "file of senders", "the file server")
    run(opened, office)
    office.held[DESK] = None
    results: list[MailboxResult] = []
    run(opened, office, results)
    gone = next(result.message for result in results if result.address == DESK)
    assert (gone or "").startswith("its file of senders has vanished (seen 1 of 3 times in a row); ")
    ended = Options(lists=ALL_LISTS, until=time.monotonic() - 1)
    late = collect(opened, office, office.held, ended, lambda: NOW, results.append, "t").problem
    assert str(late).endswith("raise sources.office.minutes, or look why the file server is slow")


def test_a_mailbox_in_two_sources_is_the_firsts_and_the_others_problem(opened: Store) -> None:
    run(opened, MemorySource("office", held={DESK: trusting("a@x.example")}))
    second = MemorySource("subsidiary", held={DESK: trusting("b@x.example"), SHOP: trusting("b@x.example")})
    before = opened.mailbox(DESK)
    results: list[MailboxResult] = []
    summary = run(opened, second, results)
    assert summary.outcomes == {Outcome.FAILED: 1, Outcome.COLLECTED: 1}
    (failed,) = [result for result in results if result.outcome is Outcome.FAILED]
    assert (failed.address, failed.reason) == (DESK, "other-source")
    assert "from the source office" in (failed.message or "")
    assert f"safelist forget {DESK}" in (failed.message or "")
    assert (opened.mailbox(DESK), held(opened, DESK)) == (before, {"a@x.example"})


def test_a_mailbox_that_was_forgotten_is_whoevers_asks_first(opened: Store) -> None:
    run(opened, MemorySource("office", held={DESK: trusting("a@x.example")}))
    number = opened.begin_run(NOW, "forget", "root")
    opened.record(number, DESK, NO_RULE, frozenset(), ALL_LISTS, NOW)
    opened.note(number, DESK, NOW, Outcome.FORGOTTEN)
    second = MemorySource("subsidiary", held={DESK: trusting("b@x.example")}, failing={DESK})
    assert run(opened, second).outcomes == {Outcome.FAILED: 1}
    second.failing.clear()
    assert run(opened, second).outcomes == {Outcome.COLLECTED: 1}
    assert held(opened, DESK) == {"b@x.example"}
    assert run(opened, MemorySource("office", held={DESK: trusting("a@x.example")})).outcomes == {Outcome.FAILED: 1}


def test_a_mailbox_that_only_ever_failed_is_no_sources_yet(opened: Store) -> None:
    """A group of one organisation may hold people whose mailboxes are in the other."""
    office = MemorySource("office", held={DESK: trusting("a@x.example"), SHOP: None}, failing={SHOP})
    assert run(opened, office).outcomes == {Outcome.COLLECTED: 1, Outcome.FAILED: 1}
    subsidiary = MemorySource("subsidiary", held={SHOP: trusting("b@x.example")})
    assert run(opened, subsidiary).outcomes == {Outcome.COLLECTED: 1}
    results: list[MailboxResult] = []
    run(opened, office, results)
    assert [result.address for result in results if result.reason == "other-source"] == [SHOP]
    assert {state.address: state.source for state in opened.mailboxes()} == {DESK: "office", SHOP: "subsidiary"}
    assert held(opened, SHOP) == {"b@x.example"}


def test_what_the_system_raises_at_one_mailbox_is_its_failure_alone(opened: Store) -> None:
    results: list[MailboxResult] = []
    office = MemorySource("office", held={DESK: trusting("a@x.example"), SHOP: trusting("b@x.example")})
    run(opened, office)
    office.broken = {DESK}
    summary = run(opened, office, results)
    assert (summary.problem, summary.outcomes) == (None, {Outcome.FAILED: 1, Outcome.UNCHANGED: 1})
    (failed,) = [result for result in results if result.outcome is Outcome.FAILED]
    assert (failed.address, failed.reason) == (DESK, "unavailable")
    assert "Input/output error" in (failed.message or "")
    assert held(opened, DESK) == {"a@x.example"}


def test_of_two_runs_side_by_side_the_one_that_records_a_mailbox_first_has_it(
    opened: Store, url: str
) -> None:  # fmt: skip
    subsidiary = MemorySource("subsidiary", held={SHOP: trusting("b@x.example")})

    class Office(MemorySource):
        """While it answers for its first mailbox, the other run is at its own."""

        def fetch(self, address: str, known: RuleVersion | None) -> Lists | Unchanged | None:
            if address == DESK:
                with store.open_store(url) as beside:
                    run(beside, subsidiary)
            return super().fetch(address, known)

    results: list[MailboxResult] = []
    office = Office("office", held={DESK: trusting("a@x.example"), SHOP: trusting("c@x.example")})
    summary = run(opened, office, results)
    assert summary.not_reached == []
    assert [(result.address, result.reason) for result in results] == [(DESK, None), (SHOP, "other-source")]
    assert held(opened, SHOP) == {"b@x.example"}


def test_many_losses_of_one_source_are_not_diluted_by_another(opened: Store) -> None:
    shops = [f"shop{n}@sub.example" for n in range(6)]
    desks = [f"desk{n:03}@corp.example" for n in range(100)]
    office = MemorySource("office", held={address: trusting("a@x.example") for address in desks})
    subsidiary = MemorySource("subsidiary", held={address: trusting("b@x.example") for address in shops})
    run(opened, office)
    run(opened, subsidiary)
    subsidiary.held = dict.fromkeys(shops, trusting())
    assert run(opened, office).problem is None
    problem = run(opened, subsidiary).problem
    assert isinstance(problem, TemporaryError)
    assert "6 of 6 mailboxes" in str(problem)
    assert held(opened, shops[0]) == {"b@x.example"}


def test_the_same_mailbox_under_two_addresses_of_two_sources_is_one_voter(opened: Store) -> None:
    run(opened, MemorySource("office", held={DESK: trusting("a@x.example")}))
    second = MemorySource("subsidiary", held={SHOP: trusting("a@x.example")}, owners={SHOP: DESK})
    results: list[MailboxResult] = []
    run(opened, second, results)
    assert [result.reason for result in results] == ["wrong-mailbox"]
    assert held(opened, SHOP) == set()
