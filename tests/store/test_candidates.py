"""What the policy decides on: the same whether it comes from the maintained counts or from every single entry."""

from datetime import datetime, timedelta

import pytest

from safelist import sender
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.override import Effect, Terms
from safelist.policy import Reason, Settings, Tally, decide
from safelist.store import RuleVersion, Store
from tests.store.samples import LATER, NOW, SAFE, SEEN, domain, entries

X, CONTACT = "x@aol.com", "c@aol.com"


def contacts(*texts: str) -> frozenset[Entry]:
    return entries(*texts, list_=UserList.TRUSTED_CONTACTS)


def votes(opened: Store, settings: Settings, now: datetime = NOW) -> dict[str, Tally]:
    return {c.sender.text: c.tallies[0] for c in opened.candidates(settings, now)}


def seen(owner: str) -> RuleVersion:
    return SEEN._replace(owner=owner)


@pytest.fixture
def run(opened: Store) -> int:
    return opened.begin_run(NOW, "sync", "root")


def test_contacts_are_votes_only_where_the_settings_say_so(opened: Store, run: int) -> None:
    opened.record(run, "a@corp.example", seen("a"), contacts(X, CONTACT) | entries(X), ALL_LISTS, NOW)
    opened.record(run, "b@corp.example", seen("b"), contacts(X, CONTACT), ALL_LISTS, NOW)
    without, included = Settings(), Settings(include_contacts=True)
    assert votes(opened, included) == {CONTACT: Tally(sender.parse(CONTACT), 2), X: Tally(sender.parse(X), 2)}
    assert votes(opened, without) == {X: Tally(sender.parse(X), 1, {Reason.CONTACT_NOT_INCLUDED: 1})}
    assert opened.recount() == []


def test_a_contact_that_becomes_a_safe_sender_stays_one_vote(opened: Store, run: int) -> None:
    included = Settings(include_contacts=True)
    for held in (contacts(X), contacts(X) | entries(X), entries(X), contacts(X)):
        opened.record(run, "a@corp.example", seen("a"), held, ALL_LISTS, NOW)
        assert votes(opened, included)[X].votes == 1
        assert opened.recount() == []


def test_each_vote_is_looked_at_where_the_settings_need_it(opened: Store, run: int) -> None:
    opened.record(run, "old@corp.example", seen("o"), entries(X, "y@aol.com"), SAFE, NOW - timedelta(days=40))
    opened.record(run, "new@corp.example", seen("n"), entries(X), SAFE, NOW)
    opened.record(run, "test@corp.example", seen("t"), entries(X), SAFE, NOW)
    chosen = Settings(max_age=timedelta(days=30), excluded_mailboxes=frozenset({"test@corp.example"}))
    assert chosen.looks_at_each_vote
    expected = {Reason.TOO_OLD: 1, Reason.MAILBOX_EXCLUDED: 1}
    assert votes(opened, chosen)[X] == Tally(sender.parse(X), 1, expected)
    assert votes(opened, chosen)["y@aol.com"] == Tally(sender.parse("y@aol.com"), 0, {Reason.TOO_OLD: 1})
    assert votes(opened, Settings())[X].votes == 3


def test_counts_and_entries_tell_the_same(opened: Store, run: int) -> None:
    """Publishing reads the counts, explaining the entries: the decision about every sender is the same."""
    for n in range(6):
        held = entries(*(f"s{k}@aol.com" for k in range(n))) | contacts(*(f"s{k}@aol.com" for k in range(2, 8, n + 1)))
        held |= {Entry(UserList.SAFE_SENDER_DOMAINS, domain("partner.example"))} if n % 2 else set()
        opened.record(run, f"m{n}@corp.example", seen(str(n)), held, ALL_LISTS, NOW)
    own = opened.own_domains()
    assert own == {"corp.example"}
    moment = opened.moment_at(LATER)
    for included in (False, True):
        chosen = Settings(include_contacts=included, include_domains=included, own_domains=own)
        published = {c.sender: decide(c, chosen, LATER) for c in opened.candidates(chosen, LATER)}
        assert len(published) >= 6
        for asked, decision in published.items():
            again = decide(opened.candidate(asked, None, chosen, moment)[0], chosen, LATER)
            assert again[:4] == decision[:4]
        each = Settings(
            include_contacts=included, include_domains=included, own_domains=own, max_age=timedelta(days=9999)
        )
        one_by_one = {c.sender: decide(c, each, LATER) for c in opened.candidates(each, LATER)}
        assert {s: d.safe for s, d in one_by_one.items()} == {s: d.safe for s, d in published.items()}


def test_overrides_bring_senders_that_nobody_trusts_and_reach_below_domains(opened: Store, run: int) -> None:
    opened.record(run, "a@corp.example", seen("a"), entries("x@sub.partner.example"), SAFE, NOW)
    given = [
        Terms(Effect.ALLOW, sender.parse("new@aol.com"), "x"),
        Terms(Effect.ALLOW, sender.parse(".partner.example"), "x"),
        Terms(Effect.BLOCK, sender.parse("gone@aol.com"), "x", expires=NOW + timedelta(days=1)),
    ]
    opened.make_overrides(given, NOW, "alice")
    found = {c.sender.text: decide(c, Settings(), NOW) for c in opened.candidates(Settings(), NOW)}
    assert {text: str(d.reason) for text, d in found.items()} == {
        "x@sub.partner.example": "enforced-allow", "new@aol.com": "enforced-allow",
        ".partner.example": "enforced-allow", "gone@aol.com": "enforced-block",
    }  # fmt: skip
    later = {c.sender.text for c in opened.candidates(Settings(), NOW + timedelta(days=1))}
    assert "gone@aol.com" not in later


def test_the_past_is_decided_on_as_it_was(opened: Store, run: int) -> None:
    opened.record(run, "a@corp.example", seen("a"), entries(X), SAFE, NOW)
    opened.record(run, "b@corp.example", seen("b"), entries(X), SAFE, LATER)
    opened.record(run, "a@corp.example", seen("a"), frozenset(), SAFE, LATER + timedelta(days=1))
    opened.make_overrides(
        [Terms(Effect.BLOCK, sender.parse(X), "x", expires=LATER + timedelta(days=3))], LATER + timedelta(days=2), "al"
    )

    def at(days: int, recipient: str | None = None) -> str:
        moment = opened.moment_at(NOW + timedelta(days=days))
        candidate, _ = opened.candidate(sender.parse(X), recipient, Settings(), moment)
        return str(decide(candidate, Settings(), moment.at).reason)

    assert [at(days) for days in range(-1, 6)] == [
        "nobody", "below-quorum", "quorum", "below-quorum", "enforced-block", "below-quorum", "below-quorum"
    ]  # fmt: skip
    assert [at(days, "a@corp.example") for days in range(3)] == ["trusted-address", "trusted-address", "below-quorum"]


def test_moments_are_found_by_run_and_by_time(opened: Store, run: int) -> None:
    opened.record(run, "a@corp.example", seen("a"), entries(X), SAFE, NOW)
    opened.end_run(run, NOW, {}, None)
    second = opened.begin_run(LATER, "sync", "root")
    opened.record(second, "a@corp.example", seen("a"), frozenset(), SAFE, LATER)
    after = opened.moment_after(run)
    assert after is not None
    assert [h.pattern.text for h in opened.who([X], after)] == [X]
    assert opened.who([X], opened.moment_at(LATER)) == opened.who([X], opened.moment_at(NOW - timedelta(1))) == []
    assert opened.moment_after(99) is None


def of_recipients(opened: Store, now: datetime = NOW) -> dict[tuple[str | None, str], str]:
    chosen = Settings(own_domains=frozenset({"corp.example"}), include_domains=True)
    return {(c.recipient, c.sender.text): str(decide(c, chosen, now).reason) for c in opened.recipients_candidates(now)}


def test_each_recipient_is_asked_about_by_its_own_lists_and_the_overrides_for_it(opened: Store, run: int) -> None:
    blocked = entries("bad@aol.com", list_=UserList.BLOCKED_SENDERS)
    opened.record(run, "a@corp.example", seen("a"), entries(X) | blocked, ALL_LISTS, NOW)
    opened.record(run, "b@corp.example", seen("b"), frozenset(), ALL_LISTS, NOW)
    opened.record(run, "c@other.example", seen("c"), entries(X), ALL_LISTS, NOW)
    given = [
        Terms(Effect.ALLOW, sender.parse("new@aol.com"), "x", sender.parse("corp.example")),
        Terms(Effect.BLOCK, sender.parse(X), "x", sender.parse("a@corp.example")),
        Terms(Effect.ALLOW, sender.parse("new@aol.com"), "x", sender.parse("nobody@else.example")),
    ]
    opened.make_overrides(given, NOW, "alice")
    assert of_recipients(opened) == {
        ("a@corp.example", X): "enforced-block", ("a@corp.example", "bad@aol.com"): "blocked-address",
        ("a@corp.example", "new@aol.com"): "enforced-allow", ("b@corp.example", "new@aol.com"): "enforced-allow",
        ("c@other.example", X): "trusted-address", ("nobody@else.example", "new@aol.com"): "enforced-allow",
    }  # fmt: skip


def test_an_override_about_a_part_of_what_a_recipient_trusts_is_asked_about_too(opened: Store, run: int) -> None:
    held = {Entry(UserList.SAFE_SENDER_DOMAINS, domain("partner.example"))}
    opened.record(run, "a@corp.example", seen("a"), frozenset(held), ALL_LISTS, NOW)
    opened.make_overrides([Terms(Effect.BLOCK, sender.parse("bob@partner.example"), "x")], NOW, "alice")
    assert of_recipients(opened) == {
        ("a@corp.example", "partner.example"): "trusted-domain",
        ("a@corp.example", "bob@partner.example"): "enforced-block",
    }


def test_nor_is_a_part_of_what_an_override_allows_one_recipient_forgotten(opened: Store, run: int) -> None:
    given = [
        Terms(Effect.ALLOW, sender.parse(".partner.example"), "x", sender.parse("nobody@else.example")),
        Terms(Effect.BLOCK, sender.parse("bob@partner.example"), "x"),
    ]
    opened.make_overrides(given, NOW, "alice")
    found = of_recipients(opened)
    assert found["nobody@else.example", ".partner.example"] == "enforced-allow"
    assert set(found) == {("nobody@else.example", ".partner.example"), ("nobody@else.example", "bob@partner.example")}


def test_what_every_recipient_is_asked_about_decides_as_one_question_does(opened: Store, run: int) -> None:
    for n in range(4):
        held = entries(*(f"s{k}@aol.com" for k in range(n + 1)))
        held |= entries(
            f"s{n}@aol.com", "s0@aol.com", list_=UserList.BLOCKED_SENDERS if n % 2 else UserList.SAFE_SENDERS
        )
        opened.record(run, f"m{n}@corp.example", seen(str(n)), held, ALL_LISTS, NOW)
    given = [Terms(Effect.BLOCK, sender.parse("s1@aol.com"), "x", sender.parse("m2@corp.example"))]
    opened.make_overrides(given, NOW, "alice")
    chosen, moment = Settings(own_domains=opened.own_domains()), opened.newest(NOW)
    found = list(opened.recipients_candidates(NOW))
    assert len(found) >= 10
    for asked in found:
        again, _ = opened.candidate(asked.sender, asked.recipient, chosen, moment)
        assert decide(asked, chosen, NOW)[:4] == decide(again, chosen, NOW)[:4]


def test_what_is_held_stays_as_it_was_at_the_first_reading(opened: Store, run: int) -> None:
    """A run that records, and an override that is made, between two readings: on PostgreSQL, too."""
    opened.record(run, "a@corp.example", seen("a"), entries(X), ALL_LISTS, NOW)
    with opened.at_one_moment() as held:
        assert held.own_domains() == {"corp.example"}
        head = opened.head()
        opened.record(run, "b@other.example", seen("b"), entries(X, "y@aol.com"), ALL_LISTS, NOW)
        opened.make_overrides([Terms(Effect.BLOCK, sender.parse(X), "x")], NOW, "root")
        assert (held.head(), held.own_domains(), held.overrides()) == (head, frozenset({"corp.example"}), [])
        assert votes(held, Settings()) == {X: Tally(sender.parse(X), 1)}
        assert [address for address, _ in held.by_mailbox()] == ["a@corp.example"]
        assert {each.recipient for each in held.recipients_candidates(NOW)} == {"a@corp.example"}
    assert opened.own_domains() == {"corp.example", "other.example"}
    assert votes(opened, Settings())[X].votes == 2
