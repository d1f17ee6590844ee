"""A run of the collector: a real endpoint over HTTP, a real SQLite, what is believed and what is kept."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safelist import store
from safelist.collector.collect import MailboxResult, Options, Summary, collect
from safelist.collector.source import Lists, Unchanged, item_identity
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.settings import EwsSettings
from safelist.collector.sources.ews.source import EwsSource
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import PermissionDeniedError, TemporaryError, UnavailableError
from safelist.junkrule import JunkRule
from safelist.policy import Settings as Policy
from safelist.sender import Form, Pattern, Refusal, parse
from safelist.store import Outcome, RuleVersion, Store
from tests import aggregate
from tests.exchange import DemoServer, Fault, Mailbox, Organisation, Trouble

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
AOL = "accounts.desk@aol.com"


def address(number: int) -> str:
    return f"desk{number:02}@corp.example"


@dataclass
class Site:
    """An organisation, its endpoint, and the aggregate that is collected from it."""

    organisation: Organisation
    server: DemoServer
    store: Store
    results: list[MailboxResult] = field(default_factory=list)
    runs: int = 0

    def settings(self, **changes: Any) -> EwsSettings:
        account = self.organisation.account
        keys: dict[str, Any] = {"endpoint": self.server.url, "authentication": "basic", "username": account.principal}
        return EwsSettings.model_validate({"exchange": keys | {"secret": account.password, "timeout": 10} | changes})

    def sync(
        self,
        *addresses: str,
        password: str | None = None,
        access: str = "impersonation",
        lists: frozenset[UserList] = ALL_LISTS,
        **options: Any,
    ) -> Summary:
        self.runs += 1
        self.results.clear()
        self.server.reset()
        moment = START + timedelta(days=self.runs)
        secret = password or self.organisation.account.password
        with EwsSource("exchange", self.settings(access=access), secret) as source:
            return collect(
                self.store, source, addresses or list(self.organisation.mailboxes),
                Options(lists=lists, workers=4, **options), lambda: moment, self.results.append, "test",
            )  # fmt: skip

    def outcomes(self) -> dict[str, str]:
        return {result.address: str(result.outcome) for result in self.results}

    def result(self, wanted: str) -> MailboxResult:
        return next(result for result in self.results if result.address == wanted)

    def open_entries(self, mailbox: str) -> set[str]:
        return {h.pattern.text for h in self.store.listing(mailbox) if h.until is None}

    def trusted(self) -> dict[str, int]:
        return {c.sender.text: c.tallies[0].votes for c in self.store.candidates(Policy(), START)}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    organisation = Organisation.of(
        Mailbox(address(n), JunkRule(safe_senders=(AOL, f"own{n}@partner.example"))) for n in range(12)
    )
    url = aggregate.create(tmp_path / "safelist.db")
    with DemoServer(organisation) as server, store.open_store(url) as opened:
        yield Site(organisation, server, opened)


def test_first_and_later_runs(site: Site) -> None:
    summary = site.sync()
    assert summary.problem is None
    assert summary.outcomes == {Outcome.COLLECTED: 12}
    assert (summary.added, summary.removed) == (24, 0)
    assert Counter(asked.operation for asked in site.server.requests) == {"FindItem": 12, "GetItem": 12}
    assert site.trusted()[AOL] == 12

    summary = site.sync()
    assert summary.outcomes == {Outcome.UNCHANGED: 12}
    assert Counter(asked.operation for asked in site.server.requests) == {"FindItem": 12}

    site.organisation.mailboxes[address(3)].set_rule(JunkRule(safe_senders=("new@partner.example",)))
    summary = site.sync()
    assert summary.outcomes == {Outcome.UNCHANGED: 11, Outcome.COLLECTED: 1}
    assert Counter(asked.operation for asked in site.server.requests) == {"FindItem": 12, "GetItem": 1}
    assert (summary.added, summary.removed) == (1, 2)
    assert site.trusted()[AOL] == 11


def test_the_past_stays_answerable(site: Site) -> None:
    site.sync()
    site.organisation.mailboxes[address(0)].set_rule(JunkRule(safe_senders=("new@partner.example",)))
    site.sync()
    held = {h.pattern.text: (h.since.day, h.until and h.until.day) for h in site.store.listing(address(0))}
    assert held == {AOL: (2, 3), "own0@partner.example": (2, 3), "new@partner.example": (3, None)}


def test_a_rewritten_rule_with_the_same_lists_changes_nothing(site: Site) -> None:
    site.sync()
    site.organisation.mailboxes[address(0)].set_rule(JunkRule(safe_senders=(AOL, "own0@partner.example")))
    assert site.sync().outcomes == {Outcome.UNCHANGED: 12}
    assert len(site.server.requests) == 13
    site.sync()
    assert len(site.server.requests) == 12


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(Trouble.MESSAGE_ERROR, None, code="ErrorMailboxMoveInProgress"), "unavailable"),
        (Fault(Trouble.SOAP_FAULT, None, code="ErrorNonExistentMailbox"), "not-found"),
        (Fault(Trouble.LOGIN_PAGE, None), "unreadable"),
        (Fault(Trouble.TRUNCATED, None, operation="GetItem", size=100), "unreadable"),
        (Fault(Trouble.EMPTY_BINARY, None, operation="GetItem"), "unreadable"),
        (Fault(Trouble.MISSING_CONDITION, None, operation="GetItem"), "unreadable"),
        (Fault(Trouble.ENTITY_BOMB, None), "unreadable"),
        (Fault(Trouble.OTHER_MAILBOX, None, other=address(7)), "wrong-mailbox"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.trouble),
)
def test_a_failure_keeps_the_last_good_list_and_stops_nothing(site: Site, fault: Fault, reason: str) -> None:
    site.sync()
    broken = site.organisation.mailboxes[address(5)]
    broken.set_rule(JunkRule(safe_senders=("new@partner.example",)))
    broken.faults.append(fault)
    summary = site.sync()
    assert summary.outcomes == {Outcome.FAILED: 1, Outcome.UNCHANGED: 11}
    assert site.result(address(5)).reason == reason
    assert site.result(address(5)).message
    assert site.open_entries(address(5)) == {AOL, "own5@partner.example"}
    state = site.store.mailbox(address(5))
    assert state is not None
    assert (state.outcome, state.reason) == ("failed", reason)

    broken.faults.clear()
    assert site.sync().outcomes == {Outcome.COLLECTED: 1, Outcome.UNCHANGED: 11}
    assert site.open_entries(address(5)) == {"new@partner.example"}


def test_a_mailbox_without_rule_is_no_error(site: Site) -> None:
    site.organisation.mailboxes[address(1)].remove_rule()
    summary = site.sync()
    assert summary.outcomes == {Outcome.COLLECTED: 11, Outcome.NO_RULE: 1}
    assert site.result(address(1)).message is None


def test_a_vanished_rule_is_believed_on_the_third_run(site: Site) -> None:
    site.sync()
    site.organisation.mailboxes[address(1)].remove_rule()
    for seen in (1, 2):
        assert site.sync().outcomes[Outcome.VANISHED] == 1
        assert f"seen {seen} of 3" in (site.result(address(1)).message or "")
        assert site.open_entries(address(1)) == {AOL, "own1@partner.example"}
    assert site.sync().outcomes == {Outcome.UNCHANGED: 11, Outcome.COLLECTED: 1}
    assert site.open_entries(address(1)) == set()
    assert site.trusted()[AOL] == 11
    assert site.sync().outcomes == {Outcome.UNCHANGED: 11, Outcome.NO_RULE: 1}


def test_a_failure_between_breaks_the_row(site: Site) -> None:
    site.sync()
    box = site.organisation.mailboxes[address(1)]
    box.remove_rule()
    site.sync()
    box.faults.append(Fault(Trouble.LOGIN_PAGE, None))
    for _ in range(3):
        assert site.sync().outcomes[Outcome.FAILED] == 1
    box.faults.clear()
    site.sync()
    assert "seen 1 of 3" in (site.result(address(1)).message or "")


def test_a_rule_that_comes_back_ends_the_doubt(site: Site) -> None:
    site.sync()
    box = site.organisation.mailboxes[address(1)]
    for _ in range(2):
        box.remove_rule()
        site.sync()
        site.sync()
        box.set_rule(JunkRule(safe_senders=(AOL,)))
        site.sync()
        assert site.open_entries(address(1)) == {AOL}
    box.remove_rule()
    assert site.sync().outcomes[Outcome.VANISHED] == 1


def test_vanished_can_be_accepted_at_once(site: Site) -> None:
    site.sync()
    site.organisation.mailboxes[address(1)].remove_rule()
    site.organisation.mailboxes[address(2)].remove_rule()
    summary = site.sync(accept_vanished={address(1)})
    assert summary.outcomes == {Outcome.UNCHANGED: 10, Outcome.COLLECTED: 1, Outcome.VANISHED: 1}
    assert site.open_entries(address(1)) == set()
    assert site.open_entries(address(2)) == {AOL, "own2@partner.example"}


def test_a_rule_that_parses_as_empty_is_believed(site: Site) -> None:
    site.sync()
    for n in range(4):
        site.organisation.mailboxes[address(n)].set_rule(JunkRule())
    summary = site.sync()
    assert (summary.problem, summary.removed) == (None, 8)
    assert site.open_entries(address(0)) == set()


@pytest.mark.parametrize("how", ["empty", "vanish", "both"])
def test_a_mass_change_records_nothing_of_that_kind(site: Site, how: str) -> None:
    site.sync()
    for n in range(5):
        box = site.organisation.mailboxes[address(n)]
        if how == "empty" or (how == "both" and n % 2):
            box.set_rule(JunkRule())
        else:
            box.remove_rule()
    site.organisation.mailboxes[address(9)].set_rule(JunkRule(safe_senders=("new@partner.example",)))
    for _ in range(4):
        summary = site.sync()
        assert isinstance(summary.problem, TemporaryError)
        assert "5 of 12 mailboxes" in str(summary.problem)
        assert summary.outcomes[Outcome.HELD_BACK] == 5
        assert site.trusted()[AOL] == 11
    assert site.open_entries(address(9)) == {"new@partner.example"}

    summary = site.sync(accept_mass_change=True)
    assert summary.problem is None
    vanished = {"empty": 0, "vanish": 5, "both": 3}[how]
    assert summary.outcomes[Outcome.VANISHED] == vanished
    assert site.trusted()[AOL] == 11 - (5 - vanished)


@pytest.mark.parametrize(
    "rest",
    [
        JunkRule(blocked_senders=("spam@bulk.example",)),
        JunkRule(safe_senders=(" ",)),
        JunkRule(trusted_contacts=(AOL,)),
    ],
    ids=["one blocked", "one refused", "one contact"],
)
def test_losing_all_trust_at_once_is_a_mass_change_too(site: Site, rest: JunkRule) -> None:
    site.sync()
    for box in site.organisation.mailboxes.values():
        box.set_rule(rest)
    summary = site.sync()
    assert isinstance(summary.problem, TemporaryError)
    assert site.trusted()[AOL] == 12


def test_mailboxes_that_fail_do_not_hide_a_mass_change(site: Site) -> None:
    site.sync()
    for n, box in enumerate(site.organisation.mailboxes.values()):
        if n < 5:
            box.set_rule(JunkRule())
        else:
            box.faults.append(Fault(Trouble.LOGIN_PAGE, None))
    assert "5 of 5 mailboxes" in str(site.sync().problem)
    assert site.trusted()[AOL] == 12


def test_another_mailboxs_answer_is_never_recorded(site: Site) -> None:
    site.sync(address(7))
    site.organisation.mailboxes[address(5)].faults.append(Fault(Trouble.OTHER_MAILBOX, None, other=address(7)))
    site.sync(address(5))
    assert site.result(address(5)).reason == "wrong-mailbox"
    assert address(7) in (site.result(address(5)).message or "")
    assert site.open_entries(address(5)) == set()


def test_a_mailbox_created_anew_is_believed_on_the_third_run(tmp_path: Path) -> None:
    boxes = [
        Mailbox(address(0), JunkRule(safe_senders=(AOL,))),
        Mailbox(address(1), JunkRule(safe_senders=("x@y.example",))),
    ]
    organisation = Organisation.of(boxes)
    url = aggregate.create(tmp_path / "safelist.db")
    with DemoServer(organisation) as server, store.open_store(url) as opened:
        site = Site(organisation, server, opened)
        site.sync(address(0))
        boxes[0].faults.append(Fault(Trouble.OTHER_MAILBOX, None, other=address(1)))
        for seen in (1, 2):
            site.sync(address(0))
            assert site.result(address(0)).reason == "wrong-mailbox"
            assert f"seen {seen} of 3" in (site.result(address(0)).message or "")
            assert site.open_entries(address(0)) == {AOL}
        site.sync(address(0))
        assert site.outcomes() == {address(0): "collected"}
        assert site.open_entries(address(0)) == {"x@y.example"}


def test_another_mailboxs_answer_can_be_accepted_at_once(site: Site) -> None:
    site.sync(address(0))
    other = Mailbox("anew@corp.example", JunkRule(safe_senders=("x@y.example",)))
    site.organisation.add(other)
    site.organisation.mailboxes[address(0)].faults.append(Fault(Trouble.OTHER_MAILBOX, None, other=other.address))
    site.sync(address(0))
    assert f"safelist sync --accept-vanished {address(0)}" in (site.result(address(0)).message or "")
    site.sync(address(0), accept_vanished={address(0)})
    assert site.open_entries(address(0)) == {"x@y.example"}


class WithoutOwners(EwsSource):
    """An Exchange whose item ids tell nothing about the mailbox that they lie in."""

    def fetch(self, address: str, known: RuleVersion | None) -> Lists | Unchanged | None:
        found = super().fetch(address, known)
        if found is None or found.version is None:
            return found
        opaque = "opaque-" + hashlib.sha256((found.version.rule_id or "").encode()).hexdigest()
        return found._replace(version=found.version._replace(rule_id=opaque, owner=item_identity(opaque)))


def sync_without_owners(site: Site, *addresses: str, access: str = "impersonation") -> dict[str, str]:
    site.results.clear()
    site.runs += 1
    with WithoutOwners("exchange", site.settings(access=access), site.organisation.account.password) as source:
        collect(
            site.store, source, addresses, Options(lists=ALL_LISTS, workers=1),
            lambda: START + timedelta(days=site.runs), site.results.append, "test",
        )  # fmt: skip
    return site.outcomes()


def test_a_rule_made_anew_is_no_other_mailbox_where_ids_name_no_owner(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    assert sync_without_owners(site, address(0)) == {address(0): "collected"}
    box.remove_rule()
    box.set_rule(JunkRule(safe_senders=("new@partner.example",)))
    assert sync_without_owners(site, address(0)) == {address(0): "collected"}
    assert site.open_entries(address(0)) == {"new@partner.example"}


def test_a_server_that_begins_or_ceases_to_name_owners_is_believed(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    runs: tuple[Callable[..., object], ...] = (sync_without_owners, Site.sync, sync_without_owners)
    for number, run in enumerate(runs):
        box.set_rule(JunkRule(safe_senders=(f"n{number}@partner.example",)))
        run(site, address(0))
        assert site.outcomes() == {address(0): "collected"}
        assert site.open_entries(address(0)) == {f"n{number}@partner.example"}


def test_the_same_id_under_two_addresses_is_one_voter_also_where_ids_name_no_owner(site: Site) -> None:
    site.organisation.add(Mailbox(address(0), JunkRule(safe_senders=(AOL,)), aliases=["alias@corp.example"]))
    outcomes = sync_without_owners(site, address(0), "alias@corp.example", access="delegate")
    assert outcomes == {address(0): "collected", "alias@corp.example": "failed"}
    assert site.result("alias@corp.example").reason == "wrong-mailbox"


def test_a_rule_is_read_anew_although_nothing_has_changed(site: Site) -> None:
    site.sync(address(0))
    state = site.store.mailbox(address(0))
    assert state is not None
    wrong = frozenset({Entry(UserList.SAFE_SENDERS, parse("misread@partner.example"))})
    site.store.record(site.store.begin_run(START, "sync", "test"), address(0), state.rule, wrong, ALL_LISTS, START)
    site.sync(address(0))
    assert site.open_entries(address(0)) == {"misread@partner.example"}
    site.sync(address(0), read_anew=True)
    assert [asked.operation for asked in site.server.requests] == ["FindItem", "GetItem"]
    assert site.open_entries(address(0)) == {AOL, "own0@partner.example"}
    site.sync(address(0), read_anew=True)
    assert (site.result(address(0)).change.added, site.result(address(0)).change.removed) == ((), ())


def test_what_an_earlier_version_refused_counts_after_the_upgrade_although_its_rule_is_the_same(site: Site) -> None:
    """The migration has forgotten the change key and the digest; nobody has touched the rule."""
    odd = "a..b@carrier.example"
    site.organisation.mailboxes[address(0)].set_rule(JunkRule(safe_senders=(odd,)))
    site.sync(address(0))
    state = site.store.mailbox(address(0))
    assert state is not None
    was = frozenset({Entry(UserList.SAFE_SENDERS, Pattern(odd, Form.REFUSED, Refusal.BAD_LOCAL_PART))})
    seen = state.rule._replace(change_key=None, digest=None)
    site.store.record(site.store.begin_run(START, "sync", "test"), address(0), seen, was, ALL_LISTS, START)
    assert site.trusted() == {}
    assert site.sync(address(0)).outcomes == {Outcome.COLLECTED: 1}
    assert site.trusted() == {'"a..b"@carrier.example': 1}
    assert site.sync(address(0)).outcomes == {Outcome.UNCHANGED: 1}


def test_a_neighbouring_rule_with_characters_that_xml_cannot_hold(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    box.add_rule(b"x", provider="Re\x01minder\x0b", name="\x02")
    assert site.sync().outcomes == {Outcome.COLLECTED: 12}
    assert site.open_entries(address(0)) == {AOL, "own0@partner.example"}


def test_two_addresses_of_one_mailbox_are_one_voter(tmp_path: Path) -> None:
    organisation = Organisation.of([Mailbox(address(0), JunkRule(safe_senders=(AOL,)), aliases=["alias@corp.example"])])
    url = aggregate.create(tmp_path / "safelist.db")
    with DemoServer(organisation) as server, store.open_store(url) as opened:
        site = Site(organisation, server, opened)
        site.sync(address(0), "alias@corp.example", access="delegate")
        assert site.outcomes() == {address(0): "collected", "alias@corp.example": "failed"}
        assert site.result("alias@corp.example").message
        assert site.trusted() == {AOL: 1}


def test_a_wrong_password_is_tried_once(site: Site) -> None:
    site.sync()
    summary = site.sync(password="wrong")
    assert isinstance(summary.problem, PermissionDeniedError)
    assert summary.outcomes == {Outcome.FAILED: 1}
    assert "wrong" not in str(summary.problem)
    assert site.trusted()[AOL] == 12


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Trouble.SOAP_FAULT, None, code="ErrorAccountDisabled"),
        Fault(Trouble.SOAP_FAULT, None, code="ErrorPasswordExpired"),
        Fault(Trouble.REDIRECT, None, location="https://elsewhere.example/EWS"),
    ],
    ids=lambda fault: fault.code + fault.location,
)
def test_one_mailbox_that_is_asked_first_ends_no_run(site: Site, fault: Fault) -> None:
    site.organisation.mailboxes[address(0)].faults.append(fault)
    summary = site.sync()
    assert summary.problem is None
    assert summary.outcomes == {Outcome.COLLECTED: 11, Outcome.FAILED: 1}
    assert site.outcomes()[address(0)] == "failed"


def test_what_every_mailbox_says_of_the_account_ends_the_run(site: Site) -> None:
    site.sync()
    site.organisation.faults.append(Fault(Trouble.SOAP_FAULT, None, code="ErrorPasswordExpired"))
    summary = site.sync()
    assert isinstance(summary.problem, PermissionDeniedError)
    assert summary.outcomes == {Outcome.FAILED: 3}
    assert site.trusted()[AOL] == 12


def test_an_endpoint_that_is_gone_ends_the_run(site: Site) -> None:
    site.sync()
    settings = site.settings(endpoint="http://127.0.0.1:9/EWS/Exchange.asmx")
    with EwsSource("exchange", settings, "x") as source:
        summary = collect(
            site.store, source, list(site.organisation.mailboxes), Options(lists=ALL_LISTS), lambda: START,
            site.results.append, "test",
        )  # fmt: skip
    assert isinstance(summary.problem, UnavailableError)
    assert "127.0.0.1" in str(summary.problem)
    assert site.trusted()[AOL] == 12


def many(site: Site, fault: Fault | None, *, well: int = 0, **options: Any) -> Summary:
    """A run over 120 mailboxes that meet ``fault``, but for every ``well``-th of them."""
    boxes = site.organisation.mailboxes
    assert isinstance(boxes, dict)
    for n in range(120):
        box = Mailbox(f"m{n:03}@corp.example", JunkRule(safe_senders=(AOL,)))
        boxes[box.address] = box
        if fault is not None and (not well or n % well):
            box.faults.append(fault)
    asked = [name for name in site.organisation.mailboxes if name.startswith("m")]
    quick = RetryPolicy(attempts=2, first=0.001)
    is_slow = fault is not None and fault.trouble is Trouble.SLOW
    settings = site.settings(timeout=1 if is_slow else 10)
    with EwsSource("exchange", settings, site.organisation.account.password, retry_policy=quick) as source:
        return collect(
            site.store, source, asked, Options(lists=ALL_LISTS, **options), lambda: START, site.results.append, "test"
        )


STALLS = [
    Fault(Trouble.SLOW, times=None, seconds=600),
    Fault(Trouble.HTTP_503, times=None),
    Fault(Trouble.SERVER_BUSY, times=None),
    Fault(Trouble.SOAP_FAULT, times=None, code="ErrorInternalServerError"),
]


@pytest.mark.parametrize("fault", STALLS, ids=lambda fault: fault.trouble)
def test_dozens_of_equal_failures_in_a_row_end_the_run(site: Site, fault: Fault) -> None:
    site.sync()
    summary = many(site, fault, workers=24)
    assert isinstance(summary.problem, UnavailableError)
    assert str(summary.problem).startswith("48 mailboxes in a row: ")
    assert summary.outcomes == {Outcome.FAILED: 48}
    assert site.trusted()[AOL] == 12


@pytest.mark.parametrize("fault", STALLS[1:], ids=lambda fault: fault.trouble)
def test_a_mailbox_that_answers_lets_the_run_go_on(site: Site, fault: Fault) -> None:
    summary = many(site, fault, well=10, workers=4)
    assert summary.problem is None
    assert summary.outcomes == {Outcome.FAILED: 108, Outcome.COLLECTED: 12}


def test_mailboxes_on_an_old_server_do_not_end_the_run(site: Site) -> None:
    summary = many(site, Fault(Trouble.SERVER_VERSION, times=None), workers=4)
    assert (summary.problem, summary.outcomes) == (None, {Outcome.FAILED: 120})


def test_a_run_whose_time_is_up_records_what_it_has_and_begins_with_the_others(site: Site) -> None:
    silent = site.organisation.mailboxes[address(5)]
    silent.faults.append(Fault(Trouble.SLOW, times=None, seconds=600))
    summary = site.sync(until=time.monotonic() + 3)
    answered = [result.address for result in site.results]
    assert address(5) in summary.not_reached
    assert sorted(answered + summary.not_reached) == sorted(site.organisation.mailboxes)
    assert summary.outcomes == {Outcome.COLLECTED: len(answered)}
    assert isinstance(summary.problem, TemporaryError)
    assert "time was up" in str(summary.problem)
    assert str(summary.problem).endswith("raise exchange.budget, or look why Exchange is slow")
    assert site.store.mailbox(address(5)) is None, "not asked is not failed"
    assert all(site.store.mailbox(name) is not None for name in answered)

    silent.faults.clear()
    left = summary.not_reached
    assert site.sync().problem is None
    assert site.results[0].address == left[0]


def test_a_run_without_any_time_asks_at_most_one_mailbox_and_doubts_none(site: Site) -> None:
    site.sync()
    for box in site.organisation.mailboxes.values():
        box.set_rule(JunkRule())
    summary = site.sync(until=time.monotonic() - 1)
    assert len(site.results) + len(summary.not_reached) == 12
    assert len(site.results) <= 1
    assert summary.outcomes[Outcome.HELD_BACK] == 0
    assert site.trusted()[AOL] == 12


def test_lists_that_are_not_asked_for_stay(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    box.set_rule(
        JunkRule(safe_senders=(AOL,), blocked_senders=("spam@bulk.example",), safe_recipients=("r@lists.example",))
    )
    site.sync()
    box.set_rule(JunkRule(safe_senders=("new@partner.example",)))
    site.sync(lists=frozenset({UserList.SAFE_SENDERS}))
    assert site.open_entries(address(0)) == {"new@partner.example", "spam@bulk.example", "r@lists.example"}
    assert site.sync().outcomes[Outcome.COLLECTED] == 1, "the wider run asks again although the rule did not change"
    assert site.open_entries(address(0)) == {"new@partner.example"}


def test_dry_run_writes_nothing(site: Site) -> None:
    site.sync()
    site.organisation.mailboxes[address(0)].set_rule(JunkRule(safe_senders=("new@partner.example",)))
    site.organisation.mailboxes[address(1)].remove_rule()
    before = (site.trusted(), site.store.mailbox(address(0)), site.store.mailbox(address(1)))
    summary = site.sync(dry_run=True)
    change = site.result(address(0)).change
    assert [e.pattern.text for e in change.added] == ["new@partner.example"]
    assert {e.pattern.text for e in change.removed} == {AOL, "own0@partner.example"}
    assert summary.outcomes == {Outcome.COLLECTED: 1, Outcome.VANISHED: 1, Outcome.UNCHANGED: 10}
    assert (site.trusted(), site.store.mailbox(address(0)), site.store.mailbox(address(1))) == before


def test_refused_entries_are_counted_and_kept(site: Site) -> None:
    odd = ("/o=Corp/ou=First/cn=Recipients/cn=desk", "no at sign", AOL)
    site.organisation.mailboxes[address(0)].set_rule(JunkRule(safe_senders=odd))
    site.sync(address(0))
    assert sum(site.result(address(0)).refused.values()) == 2
    state = site.store.mailbox(address(0))
    assert state is not None
    assert (state.entries, state.refused) == (3, 2)
    assert site.trusted() == {AOL: 1}


def test_an_answer_of_another_version_is_never_taken_for_the_newest(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    box.faults.append(Fault(Trouble.STALE_CHANGE_KEY, 1, operation="GetItem"))
    site.sync(address(0))
    site.sync(address(0))
    assert [asked.operation for asked in site.server.requests] == ["FindItem", "GetItem"]
    site.sync(address(0))
    assert [asked.operation for asked in site.server.requests] == ["FindItem"]


def test_duplicate_rules_are_noted_and_the_newest_counts(site: Site) -> None:
    box = site.organisation.mailboxes[address(0)]
    box.add_rule(JunkRule(safe_senders=("newest@partner.example",)), modified=datetime(2026, 2, 1, tzinfo=UTC))
    site.sync(address(0))
    assert site.open_entries(address(0)) == {"newest@partner.example"}
    assert "1 more" in site.result(address(0)).notes[0]


def test_throttling_costs_time_not_lists(site: Site) -> None:
    for trouble in (Trouble.SERVER_BUSY, Trouble.SERVER_BUSY_INNER, Trouble.HTTP_503, Trouble.CONNECTION_COUNT):
        site.organisation.faults.append(Fault(trouble, 2, share=0.3, back_off_ms=20))
    summary = site.sync()
    assert summary.outcomes == {Outcome.COLLECTED: 12}
    assert len(site.organisation.faults) == 0
