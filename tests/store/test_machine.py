"""Random histories of recordings against a naive model that keeps everything in sets."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from safelist import store
from safelist.entry import TRUSTING_LISTS, Entry, UserList
from safelist.policy import Settings
from safelist.sender import Form, Pattern, Refusal
from safelist.store import Holding, Store, chain
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import metadata
from tests.store import postgres
from tests.store.samples import NOW, SEEN

TEXTS = ["a@aol.com", "b@yahoo.com", "aol.com", "x'\"\\%:😀"]
PATTERNS = [Pattern(t, form) for t in TEXTS for form in (Form.ADDRESS, Form.DOMAIN)]
PATTERNS += [Pattern(t, Form.REFUSED, next(iter(Refusal))) for t in TEXTS[2:]]
MAILBOXES = ["u@x", "v@x", "w@x"]


class Interval(NamedTuple):
    mailbox: str
    entry: Entry
    since: datetime
    until: datetime | None


entries = st.frozensets(st.builds(Entry, st.sampled_from(UserList), st.sampled_from(PATTERNS)), max_size=12)


class Aggregate(RuleBasedStateMachine):
    def __init__(self, opened: Store) -> None:
        super().__init__()
        self.opened = opened
        self.run = opened.begin_run(NOW, "sync", "machine")
        self.now = NOW
        self.history: list[Interval] = []
        self.outcomes: dict[str, str] = {}

    def open_entries(self, mailbox: str) -> set[Entry]:
        return {i.entry for i in self.history if i.mailbox == mailbox and i.until is None}

    @rule(mailbox=st.sampled_from(MAILBOXES), wanted=entries, lists=st.frozensets(st.sampled_from(UserList)))
    def record(self, mailbox: str, wanted: frozenset[Entry], lists: frozenset[UserList]) -> None:
        wanted = frozenset(e for e in wanted if e.list in lists)
        self.now += timedelta(hours=1)
        before = {e for e in self.open_entries(mailbox) if e.list in lists}
        expected = self.opened.compare(mailbox, wanted, lists)
        change = self.opened.record(self.run, mailbox, SEEN, wanted, lists, self.now)
        assert change == expected
        assert (set(change.added), set(change.removed)) == (set(wanted - before), before - wanted)
        self.history = [
            i._replace(until=self.now) if i.mailbox == mailbox and i.until is None and i.entry in change.removed else i
            for i in self.history
        ] + [Interval(mailbox, e, self.now, None) for e in change.added]
        self.outcomes[mailbox] = "collected"

    @rule(mailbox=st.sampled_from(MAILBOXES))
    def note(self, mailbox: str) -> None:
        self.opened.note(self.run, mailbox, self.now, "failed", "timeout", "no answer")
        self.outcomes[mailbox] = "failed"

    @invariant()
    def counts_agree(self) -> None:
        votes: dict[Pattern, set[str]] = {}
        for i in self.history:
            if i.until is None and i.entry.list in TRUSTING_LISTS and i.entry.pattern.form is not Form.REFUSED:
                votes.setdefault(i.entry.pattern, set()).add(i.mailbox)
        expected = sorted((p.text, p.form, len(who)) for p, who in votes.items())
        found = self.opened.candidates(Settings(), NOW)
        assert [(c.sender.text, c.sender.form, c.tallies[0].votes) for c in found] == expected
        assert self.opened.recount() == []

    @invariant()
    def chain_holds(self) -> None:
        assert self.opened.verify_chain().problem is None

    @invariant()
    def mailboxes_agree(self) -> None:
        states = {m.address: m for m in self.opened.mailboxes()}
        assert {a: m.outcome for a, m in states.items()} == self.outcomes
        for address, state in states.items():
            is_open = self.open_entries(address)
            assert (state.entries, state.refused) == (len(is_open), sum(e.pattern.form == 0 for e in is_open))

    @invariant()
    @precondition(lambda self: self.history)
    def past_is_answerable(self) -> None:
        held = (Holding(i.mailbox, i.entry.list, i.entry.pattern, i.since, i.until) for i in self.history)
        expected = sorted(held, key=repr)
        assert sorted((h._replace(at_first=False) for h in self.opened.who(TEXTS)), key=repr) == expected
        listed = [h._replace(at_first=False) for mailbox in MAILBOXES for h in self.opened.listing(mailbox)]
        assert sorted(listed, key=repr) == expected


EXAMPLES = 20


def explore(make: Callable[[], Store]) -> int:
    """Run the machine on what ``make`` makes; how often it did."""
    made = 0

    class Made(Aggregate):
        def __init__(self) -> None:
            nonlocal made
            made += 1
            super().__init__(make())

    run_state_machine_as_test(
        Made, settings=settings(max_examples=EXAMPLES, stateful_step_count=12, deadline=None, database=None)
    )
    return made


@pytest.fixture
def make_sqlite(tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes empty aggregates, each in a file of its own."""
    template = tmp_path / "template.db"
    store.upgrade(f"sqlite:///{template}")
    with ExitStack() as stack:

        def make() -> Store:
            path = tmp_path / f"{next(numbers)}.db"
            shutil.copy(template, path)
            url = parse_url(f"sqlite:///{path}")
            return stack.enter_context(Store(make_engine(url), url))

        numbers = count()
        yield make


def test_sqlite(make_sqlite: Callable[[], Store]) -> None:
    assert explore(make_sqlite) >= EXAMPLES


def test_postgresql(postgres_home: Path) -> None:
    with postgres.database(postgres_home, "machine") as url:
        store.upgrade(url)
        tables = ", ".join(metadata.tables)
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as janitor, store.open_store(url) as opened:

            def make() -> Store:
                janitor.execute(f"TRUNCATE {tables}")
                janitor.execute("INSERT INTO chain (id, digest) VALUES (1, %s)", [chain.START])
                return opened

            assert explore(make) >= EXAMPLES
