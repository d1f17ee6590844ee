"""Runs as functions: who runs them and the clock are passed in, what came of them is returned, nothing is printed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from safelist import config, store
from safelist.collector import sources
from safelist.collector.collect import MailboxResult
from safelist.collector.figures import PARTIAL
from safelist.collector.source import Selection
from safelist.errors import ConfigError, PermissionDeniedError, TemporaryError, UsageError
from safelist.junkrule import JunkRule
from safelist.runs.forget import forget
from safelist.runs.sync import SourceRun, SyncOptions, sync
from safelist.store import Outcome, Store
from tests import aggregate
from tests.exchange import DemoServer, Mailbox, Organisation

NOW = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
DESK = "desk@corp.example"


class Onlooker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, list[str]]] = []
        self.results: list[MailboxResult] = []
        self.runs: list[SourceRun] = []

    @contextmanager
    def collecting(self, source: str, selection: Selection) -> Iterator[Callable[[MailboxResult], None]]:
        self.begun.append((source, selection.addresses))
        yield self.results.append

    def end(self, run: SourceRun) -> None:
        self.runs.append(run)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Organisation.of([Mailbox(DESK, JunkRule(safe_senders=("a@x.example",)))])) as running:
        yield running


@pytest.fixture
def configured(tmp_path: Path, server: DemoServer) -> config.Config:
    account = server.organisation.account
    path = tmp_path / "safelist.toml"
    path.write_text(
        f'[exchange]\nendpoint = "{server.url}"\nauthentication = "basic"\n'
        f"username = {config.toml(account.principal)}\n"
        f'secret = {config.toml(account.password)}\n[mailboxes]\naddresses = ["{DESK}"]\n'
        f'[database]\nurl = "{aggregate.create(tmp_path / "state" / "safelist.db")}"\n'
    )
    path.chmod(0o600)
    return config.load(path, {}, sources.sections())


@pytest.fixture
def opened(configured: config.Config) -> Iterator[Store]:
    with store.open_store(configured.database.url) as made:
        yield made


def options(configured: config.Config, *, goes_on: bool = False, source: str | None = None, **more: Any) -> SyncOptions:
    return SyncOptions(configured.collect.lists, goes_on=goes_on, source=source, **more)


def test_a_sync_is_recorded_with_who_and_when_and_tells_its_onlooker(
    opened: Store, configured: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    looking = Onlooker()
    (done,) = sync(opened, configured, options(configured), looking, lambda: NOW, "the web page")
    assert done.summary.outcomes == {Outcome.COLLECTED: 1}
    assert (looking.begun, looking.runs) == ([("exchange", [DESK])], [done])
    assert [result.address for result in looking.results] == [DESK]
    (run,) = opened.last_runs(5)
    assert (run.what, run.actor, run.source, run.started, run.finished) == (
        "sync",
        "the web page",
        "exchange",
        NOW,
        NOW,
    )
    assert capsys.readouterr() == ("", "")


def test_an_only_source_that_cannot_begin_is_raised_unless_the_run_goes_on(
    opened: Store, configured: config.Config
) -> None:
    nowhere = configured.mailboxes.model_copy(update={"addresses": ()})
    without = configured.model_copy(update={"mailboxes": nowhere})
    looking = Onlooker()
    with pytest.raises(ConfigError, match="no mailbox is named"):
        sync(opened, without, options(without), looking, lambda: NOW, "t")
    (done,) = sync(opened, without, options(without, goes_on=True), looking, lambda: NOW, "t")
    assert isinstance(done.summary.problem, ConfigError)
    assert looking.runs == [done]


def test_a_source_that_cannot_begin_is_recorded_as_a_failed_run(opened: Store, configured: config.Config) -> None:
    nowhere = configured.mailboxes.model_copy(update={"addresses": ()})
    without = configured.model_copy(update={"mailboxes": nowhere})
    for dry_run in (True, False):
        sync(opened, without, options(without, goes_on=True, dry_run=dry_run), Onlooker(), lambda: NOW, "t")
        assert len(opened.last_runs(5)) == (0 if dry_run else 1)
    (run,) = opened.runs_of("sync", "exchange")
    assert (run.started, run.finished, "no mailbox is named" in str(run.problem)) == (NOW, NOW, True)


def test_a_run_over_some_mailboxes_is_told_from_one_over_all(opened: Store, configured: config.Config) -> None:
    for mailboxes in ((), (DESK,)):
        sync(opened, configured, options(configured, mailboxes=mailboxes), Onlooker(), lambda: NOW, "t")
    partial, whole = opened.runs_of("sync", "exchange")
    assert (partial.counts.get(PARTIAL), whole.counts.get(PARTIAL)) == (1, None)


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_lock_that_is_held_ends_the_run_of_an_only_source(
    opened: Store, configured: config.Config, goes_on: bool
) -> None:
    looking = Onlooker()
    with store.hold(configured.database.url, "sync", NOW, "exchange"), pytest.raises(TemporaryError, match="at work"):
        sync(opened, configured, options(configured, goes_on=goes_on), looking, lambda: NOW, "t")
    assert looking.runs == []


def test_a_run_that_ends_early_is_a_value(opened: Store, configured: config.Config, server: DemoServer) -> None:
    assert configured.exchange is not None
    wrong = configured.exchange.model_copy(update={"username": "nobody"})
    changed = configured.model_copy(update={"exchange": wrong})
    (done,) = sync(opened, changed, options(changed), Onlooker(), lambda: NOW, "t")
    assert isinstance(done.summary.problem, PermissionDeniedError)


def test_a_source_that_is_not_there_is_named_with_those_that_are(opened: Store, configured: config.Config) -> None:
    with pytest.raises(UsageError, match="there is no source 'other'; there are: exchange"):
        sync(opened, configured, options(configured, source="other"), Onlooker(), lambda: NOW, "t")


def test_forgetting_ends_the_entries_and_says_how_many(opened: Store, configured: config.Config) -> None:
    sync(opened, configured, options(configured), Onlooker(), lambda: NOW, "t")
    assert forget(opened, configured, [DESK], lambda: NOW, "alice") == {DESK: 1}
    state, (run, *_) = opened.mailbox(DESK), opened.last_runs(1)
    assert (state.outcome if state else None, state.source if state else None) == (Outcome.FORGOTTEN, "exchange")
    assert (run.what, run.actor, run.started) == ("forget", "alice", NOW)
    with pytest.raises(UsageError, match="was never collected"):
        forget(opened, configured, ["nobody@corp.example"], lambda: NOW, "alice")
