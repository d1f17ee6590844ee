"""What every source must keep, and what a run makes of it: one suite for all of them.

A new source is one more line in ``SITES``: how its users change their lists, and how it is opened.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

from safelist import collector, store
from safelist.collector.collect import MailboxResult, Options, Summary, collect
from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.source import Lists, Source, Unchanged
from safelist.collector.sources.ews.settings import EwsSettings
from safelist.collector.sources.ews.source import EwsSource
from safelist.entry import ALL_LISTS, UserList
from safelist.errors import TemporaryError
from safelist.junkrule import JunkRule
from safelist.store import Outcome, Store
from tests import aggregate
from tests.collector.memory_source import MemorySource
from tests.exchange import DemoServer, Fault, Mailbox, Organisation, Trouble

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
ADDRESSES = [f"desk{n:02}@corp.example" for n in range(8)]
FIRST, SECOND = ADDRESSES[:2]
ALIAS = "alias@corp.example"
AOL = "accounts.desk@aol.com"


class SourceSite(Protocol):
    """A source and the users behind it."""

    def write(self, address: str, *safe_senders: str) -> None:
        """The user lists those senders, and no others."""

    def remove(self, address: str) -> None:
        """The lists vanish, as if there had never been any."""

    def fail(self, address: str, *, is_failing: bool = True) -> None:
        """The mailbox does not answer, or does so again."""

    def alias(self, address: str) -> str:
        """Another address of the same mailbox."""

    def reads(self) -> int:
        """How often lists were read, not only looked at."""

    def open(self) -> AbstractContextManager[Source]:
        """The source, as a run uses it."""


class EwsSite:
    """The demo's Exchange, over HTTP, by delegate access: so one mailbox can be reached by two addresses."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server

    def write(self, address: str, *safe_senders: str) -> None:
        self._server.organisation.mailboxes[address].set_rule(JunkRule(safe_senders=safe_senders))

    def remove(self, address: str) -> None:
        self._server.organisation.mailboxes[address].remove_rule()

    def fail(self, address: str, *, is_failing: bool = True) -> None:
        faults = self._server.organisation.mailboxes[address].faults
        faults.append(Fault(Trouble.LOGIN_PAGE, None)) if is_failing else faults.clear()

    def alias(self, address: str) -> str:
        boxes = self._server.organisation.mailboxes
        assert isinstance(boxes, dict)
        del boxes[address]
        self._server.organisation.add(Mailbox(address, JunkRule(safe_senders=(AOL,)), aliases=[ALIAS]))
        return ALIAS

    def reads(self) -> int:
        return sum(asked.operation == "GetItem" for asked in self._server.requests)

    @contextmanager
    def open(self) -> Iterator[Source]:
        account = self._server.organisation.account
        exchange = {
            "endpoint": self._server.url, "authentication": "basic", "username": account.principal,
            "secret": account.password, "access": "delegate",
        }  # fmt: skip
        settings = EwsSettings.model_validate({"exchange": exchange, "mailboxes": {"addresses": ADDRESSES}})
        with EwsSource("office", settings, account.password) as source:
            yield source


@contextmanager
def ews() -> Iterator[SourceSite]:
    with DemoServer(Organisation.of(Mailbox(address) for address in ADDRESSES)) as server:
        yield EwsSite(server)


class MemorySite:
    """A source in memory."""

    def __init__(self) -> None:
        self._source = MemorySource("office", held=dict.fromkeys(ADDRESSES))

    def write(self, address: str, *safe_senders: str) -> None:
        self._source.held[address] = {UserList.SAFE_SENDERS: safe_senders}

    def remove(self, address: str) -> None:
        self._source.held[address] = None

    def fail(self, address: str, *, is_failing: bool = True) -> None:
        self._source.failing = {address} if is_failing else set()

    def alias(self, address: str) -> str:
        self._source.owners[ALIAS] = address
        self._source.held[ALIAS] = self._source.held[address]
        return ALIAS

    def reads(self) -> int:
        return self._source.reads

    def open(self) -> AbstractContextManager[Source]:
        return nullcontext(self._source)


SITES: dict[str, Callable[[], AbstractContextManager[SourceSite]]] = {
    "ews": ews,
    "memory": lambda: nullcontext(MemorySite()),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[SourceSite]:
    """Eight mailboxes; each trusts the same sender and one of its own."""
    with SITES[request.param]() as made:
        for number, address in enumerate(ADDRESSES):
            made.write(address, AOL, f"own{number}@partner.example")
        yield made


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    url = aggregate.create(tmp_path / "safelist.db")
    with store.open_store(url) as made:
        yield made


class Runs:
    """Runs of the collector over a site, a day after each other."""

    def __init__(self, site: SourceSite, opened: Store) -> None:
        self._site = site
        self._opened = opened
        self._days = 0
        self.results: dict[str, MailboxResult] = {}

    def __call__(self, *addresses: str, lists: frozenset[UserList] = ALL_LISTS, **options: Any) -> Summary:
        self.results.clear()
        self._days += 1
        moment = START + timedelta(days=self._days)
        with self._site.open() as source:
            asked = addresses or source.mailboxes(None).addresses
            return collect(
                self._opened, source, asked, Options(lists=lists, workers=2, **options), lambda: moment,
                lambda result: self.results.update({result.address: result}), "test",
            )  # fmt: skip

    def held(self, address: str) -> set[str]:
        return {holding.pattern.text for holding in self._opened.listing(address) if holding.until is None}


@pytest.fixture
def run(site: SourceSite, opened: Store) -> Runs:
    return Runs(site, opened)


def test_it_names_its_mailboxes_once_each(site: SourceSite) -> None:
    with site.open() as source:
        selection = source.mailboxes(None)
    assert (selection.addresses, selection.problems, selection.is_whole) == (ADDRESSES, [], True)


def test_it_answers_with_lists_that_are_unchanged_next_time_and_then_reads_none(site: SourceSite) -> None:
    with site.open() as source:
        first = source.fetch(FIRST, None)
        assert isinstance(first, Lists)
        assert set(first.texts[UserList.SAFE_SENDERS]) == {AOL, "own0@partner.example"}
        read = site.reads()
        assert source.fetch(FIRST, first.version) == Unchanged()
        assert site.reads() == read
        other = source.fetch(SECOND, None)
        assert isinstance(other, Lists)
        assert other.version.owner != first.version.owner
        site.write(FIRST, "new@partner.example")
        changed = source.fetch(FIRST, first.version)
        assert isinstance(changed, Lists)
        assert (changed.version.owner, changed.version == first.version) == (first.version.owner, False)
        site.remove(FIRST)
        assert source.fetch(FIRST, first.version) is None


def test_a_mailbox_can_be_asked_before_the_mailboxes_are_named(site: SourceSite) -> None:
    with site.open() as source:  # as `safelist sync --mailbox` does
        assert isinstance(source.fetch(FIRST, None), Lists)


def test_an_address_that_it_never_knew_is_a_failure_and_not_a_mailbox_without_lists(site: SourceSite) -> None:
    with site.open() as source, pytest.raises(FetchError) as caught:
        source.fetch("nobody@corp.example", None)
    assert caught.value.reason is FailureReason.NOT_FOUND


def test_what_was_recorded_is_not_read_again(site: SourceSite, run: Runs) -> None:
    assert run().outcomes == {Outcome.COLLECTED: 8}
    read = site.reads()
    assert run().outcomes == {Outcome.UNCHANGED: 8}
    assert site.reads() == read
    site.write(FIRST, AOL)
    assert run().outcomes == {Outcome.UNCHANGED: 7, Outcome.COLLECTED: 1}
    assert (site.reads(), run.held(FIRST)) == (read + 1, {AOL})


def test_a_failure_keeps_the_last_good_list(site: SourceSite, run: Runs) -> None:
    run()
    site.write(FIRST, "new@partner.example")
    site.fail(FIRST)
    assert run().outcomes == {Outcome.FAILED: 1, Outcome.UNCHANGED: 7}
    assert run.results[FIRST].message
    assert run.held(FIRST) == {AOL, "own0@partner.example"}
    site.fail(FIRST, is_failing=False)
    run()
    assert run.held(FIRST) == {"new@partner.example"}


def test_a_mailbox_that_is_not_asked_keeps_its_lists(site: SourceSite, run: Runs) -> None:
    run()
    site.remove(SECOND)
    run(FIRST)
    assert run.held(SECOND) == {AOL, "own1@partner.example"}


def test_lists_that_are_not_asked_for_stay(site: SourceSite, run: Runs) -> None:
    run()
    site.write(FIRST)
    run(FIRST, lists=frozenset({UserList.BLOCKED_SENDERS}))
    assert run.held(FIRST) == {AOL, "own0@partner.example"}


def test_vanished_lists_are_believed_on_the_third_run(site: SourceSite, run: Runs) -> None:
    run()
    site.remove(FIRST)
    for seen in (1, 2):
        assert run().outcomes[Outcome.VANISHED] == 1
        assert f"seen {seen} of 3" in (run.results[FIRST].message or "")
        assert run.held(FIRST) == {AOL, "own0@partner.example"}
    assert run().outcomes == {Outcome.UNCHANGED: 7, Outcome.COLLECTED: 1}
    assert run.held(FIRST) == set()
    assert run().outcomes == {Outcome.UNCHANGED: 7, Outcome.NO_RULE: 1}


def test_many_losses_at_once_are_held_back(site: SourceSite, run: Runs) -> None:
    run()
    for number, address in enumerate(ADDRESSES[:5]):
        site.remove(address) if number % 2 else site.write(address)
    site.write(ADDRESSES[7], "new@partner.example")
    summary = run()
    assert isinstance(summary.problem, TemporaryError)
    assert summary.outcomes == {Outcome.HELD_BACK: 5, Outcome.UNCHANGED: 2, Outcome.COLLECTED: 1}
    assert run.held(FIRST) == {AOL, "own0@partner.example"}
    assert run.held(ADDRESSES[7]) == {"new@partner.example"}
    assert run(accept_mass_change=True).problem is None
    assert run.held(FIRST) == set()


def test_two_addresses_of_one_mailbox_are_one_voter(site: SourceSite, run: Runs) -> None:
    alias = site.alias(FIRST)
    run(FIRST, alias)
    assert (run.results[FIRST].outcome, run.results[alias].outcome) == (Outcome.COLLECTED, Outcome.FAILED)
    assert run.results[alias].reason == "wrong-mailbox"
    assert run.held(alias) == set()


def test_a_dry_run_writes_nothing(site: SourceSite, run: Runs, opened: Store) -> None:
    run()
    before = list(opened.mailboxes()), opened.last_runs(9)
    site.write(FIRST, "new@partner.example")
    summary = run(dry_run=True)
    assert (summary.added, summary.removed) == (1, 2)
    assert (list(opened.mailboxes()), opened.last_runs(9)) == before


@pytest.mark.parametrize("module", [collector.collect, collector.source, collector.plausibility, collector.failure])
def test_the_collector_imports_no_source(module: ModuleType) -> None:
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert imported
    assert not [name for name in imported if name.startswith(("safelist.collector.sources", "exchangelib"))]


def test_what_a_source_does_not_hold_is_not_asked_and_costs_no_reading(opened: Store) -> None:
    blocked = {UserList.BLOCKED_SENDERS: ["spam@bulk.example"], UserList.SAFE_SENDERS: [AOL]}
    whole = MemorySource(held={FIRST: blocked})
    part = MemorySource(
        lists=frozenset({UserList.SAFE_SENDERS}), held={FIRST: {UserList.SAFE_SENDERS: ["x@y.example"]}}
    )
    for source in (whole, part, part):
        collect(opened, source, [FIRST], Options(lists=ALL_LISTS), lambda: START, lambda _: None, "test")
    open_ = {(h.list, h.pattern.text) for h in opened.listing(FIRST) if h.until is None}
    assert open_ == {(UserList.BLOCKED_SENDERS, "spam@bulk.example"), (UserList.SAFE_SENDERS, "x@y.example")}
    assert part.reads == 1
