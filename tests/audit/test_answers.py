"""Who, what a mailbox holds, and why: the answers as values."""

from datetime import datetime, timedelta

import pytest

from safelist import audit, sender
from safelist.audit import json_form
from safelist.entry import ALL_LISTS, Entry, Holding, UserList
from safelist.override import Effect, Level, Terms
from safelist.policy import Reason, Settings, decide
from safelist.store import RuleVersion, Store
from tests.store.samples import LATER, NOW, SAFE, SEEN, domain, entries, refused

AOL = "accounts.desk@aol.com"
DESK, OTHER, THIRD = (f"{name}@corp.example" for name in ("desk", "other", "third"))
OWN = Settings(own_domains=frozenset({"corp.example"}))


def trust(opened: Store, mailbox: str, *texts: str, now: datetime = NOW) -> None:
    run = opened.begin_run(now, "sync", "root")
    opened.record(run, mailbox, SEEN._replace(owner=mailbox), entries(*texts), SAFE, now)


def reason(opened: Store, text: str, recipient: str | None = None, days: int = 0) -> str:
    moment = opened.moment_at(NOW + timedelta(days=days))
    answer = audit.why(opened, text, recipient, OWN, moment)
    assert answer.decision == decide(answer.candidate, OWN, moment.at)
    return str(answer.decision.reason)


def test_an_aol_sender_trusted_by_one_and_by_two(opened: Store) -> None:
    trust(opened, DESK, AOL)
    assert (reason(opened, AOL), reason(opened, AOL, DESK), reason(opened, AOL, OTHER)) == (
        "below-quorum", "trusted-address", "below-quorum",
    )  # fmt: skip
    trust(opened, OTHER, AOL)
    assert (reason(opened, AOL), reason(opened, AOL, THIRD)) == ("quorum", "quorum")
    trust(opened, OTHER)
    assert reason(opened, AOL) == "below-quorum"


def test_entries_that_open_nothing_say_why(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    held = {Entry(UserList.SAFE_SENDER_DOMAINS, domain(text)) for text in ("aol.com", "co.uk", "partner.example")}
    held |= entries("boss@corp.example")
    for mailbox in (DESK, OTHER):
        opened.record(run, mailbox, SEEN._replace(owner=mailbox), frozenset(held), ALL_LISTS, NOW)
    expected = {
        "x@aol.com": "free-mail-domain", "x@co.uk": "public-suffix", "x@partner.example": "domain-not-included",
        "boss@corp.example": "own-domain", "aol.com": "free-mail-domain",
    }  # fmt: skip
    assert {text: reason(opened, text) for text in expected} == expected
    assert {text: reason(opened, text, DESK) for text in expected} == expected
    answer = audit.mailbox(opened, DESK, OWN, NOW)
    assert answer is not None
    assert {holding.pattern.text: str(why) for holding, why in answer.holdings} == {
        "aol.com": "free-mail-domain", "co.uk": "public-suffix", "partner.example": "domain-not-included",
        "boss@corp.example": "own-domain",
    }  # fmt: skip


def test_overrides_of_both_levels_and_one_that_expired_yesterday(opened: Store) -> None:
    for mailbox in (DESK, OTHER):
        trust(opened, mailbox, AOL)
    block = Terms(Effect.BLOCK, sender.parse(AOL), "phished", level=Level.DEFAULT, expires=NOW + timedelta(days=1))
    opened.make_overrides([block], NOW, "alice")
    assert (reason(opened, AOL), reason(opened, AOL, DESK), reason(opened, AOL, THIRD)) == (
        "default-block", "trusted-address", "default-block",
    )  # fmt: skip
    assert reason(opened, AOL, days=2) == "quorum"
    answer = audit.why(opened, AOL, None, OWN, opened.moment_at(NOW + timedelta(days=2)))
    (ended,) = answer.ended
    assert ended.state_sentence(answer.at) == "expired 2026-11-24 12:00 UTC"
    enforced = block._replace(level=Level.ENFORCED, expires=None)
    opened.make_overrides([enforced], LATER, "alice")
    assert reason(opened, AOL, DESK, days=2) == "enforced-block"


def test_who_looks_at_every_covering_entry_and_as_of_a_moment(opened: Store) -> None:
    trust(opened, DESK, AOL)
    run = opened.begin_run(LATER, "sync", "root")
    wide = {Entry(UserList.BLOCKED_DOMAINS, domain("aol.com"))}
    opened.record(run, DESK, SEEN._replace(owner=DESK), frozenset(wide), ALL_LISTS, LATER)
    now = audit.who(opened, AOL.upper(), OWN, LATER)
    assert now.holdings == (
        Holding(DESK, UserList.BLOCKED_DOMAINS, domain("aol.com"), LATER, None),
        Holding(DESK, UserList.SAFE_SENDERS, sender.parse(AOL), NOW, LATER, at_first=True),
    )
    assert [(p.text, str(d.reason)) for p, d in now.decisions] == [(AOL, "nobody"), ("aol.com", "nobody")]
    then = audit.who(opened, AOL, OWN, LATER, opened.moment_at(NOW))
    assert [h.pattern.text for h in then.holdings] == [AOL]
    assert then.decisions[0][1].reason is Reason.BELOW_QUORUM


def test_lists_that_stand_in_no_rule_have_none_of_its_limits(opened: Store) -> None:
    held = {Entry(UserList.SAFE_SENDER_DOMAINS, domain("partner.example"))}
    held |= entries(*(f"a{n}@partner.example" for n in range(1025)))
    run = opened.begin_run(NOW, "sync", "root", "office")
    opened.record(run, DESK, RuleVersion(owner=DESK, digest=b"1"), frozenset(held), ALL_LISTS, NOW)
    answer = audit.mailbox(opened, DESK, OWN, NOW)
    assert answer is not None
    assert (answer.warnings, json_form.mailbox_answer(answer)["rule"]) == ((), None)
    opened.record(run, DESK, SEEN._replace(owner=DESK), frozenset(held), ALL_LISTS, LATER)
    of_rule = audit.mailbox(opened, DESK, OWN, NOW)
    assert of_rule is not None
    assert (len(of_rule.warnings), json_form.mailbox_answer(of_rule)["rule"]) == (2, "on")


def test_the_warnings_that_outlook_never_shows(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    many = entries(*(f"s{n}@partner.example" for n in range(1025))) | entries("bounce+123@lists.example")
    many |= {Entry(UserList.SAFE_SENDER_DOMAINS, domain("partner.example"))}
    opened.record(run, DESK, SEEN._replace(state=0x30, size=480_000), many, ALL_LISTS, NOW)
    answer = audit.mailbox(opened, DESK, OWN, NOW)
    assert answer is not None
    off, entries_, size, domains, verp = answer.warnings
    assert "switched off" in off
    assert entries_.startswith("1027 entries")
    assert "480000 of 522240 bytes" in size
    assert domains.startswith("1 trusted domain:")
    assert "safelist override allow lists.example" in verp


def test_a_mailbox_within_every_limit_has_no_warning(opened: Store) -> None:
    trust(opened, DESK, AOL)
    answer = audit.mailbox(opened, DESK, OWN, NOW)
    assert answer is not None
    assert (answer.warnings, audit.mailbox(opened, "nobody@corp.example", OWN, NOW)) == ((), None)
    then = audit.mailbox(opened, DESK, OWN, NOW, opened.moment_at(NOW - timedelta(days=1)))
    assert then is not None
    assert then.holdings == ()


@pytest.mark.parametrize("text", ["", "<>", "bob smith", "*", "\ud800", "a\0b", "x" * 5000, "@", ".", "[::1]"])
def test_absurd_senders_are_answered(opened: Store, text: str) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, DESK, SEEN, frozenset({Entry(UserList.SAFE_SENDERS, refused("bob smith"))}), SAFE, NOW)
    assert reason(opened, text) == "not-a-sender"
    audit.who(opened, text, OWN, NOW)


def test_changes_are_the_net_difference_and_the_turns(opened: Store) -> None:
    trust(opened, DESK, AOL, "stays@aol.com", "leaves@aol.com")
    trust(opened, OTHER, "leaves@aol.com")
    before = opened.moment_at(NOW)
    trust(opened, DESK, AOL, "stays@aol.com", "passes@aol.com", now=LATER)
    trust(opened, OTHER, AOL, now=LATER)
    trust(opened, DESK, AOL, "stays@aol.com", now=LATER)
    opened.make_overrides([Terms(Effect.ALLOW, sender.parse("p@partner.example"), "x")], LATER, "alice")
    found = audit.changes(opened, before, opened.moment_at(LATER), OWN)
    assert [(c.mailbox, c.entry.pattern.text) for c in found.added] == [(OTHER, AOL)]
    assert {(c.mailbox, c.entry.pattern.text) for c in found.removed} == {
        (DESK, "leaves@aol.com"), (OTHER, "leaves@aol.com"),
    }  # fmt: skip
    assert [(o.terms.pattern.text, o.actor) for o in found.made] == [("p@partner.example", "alice")]
    assert [t.sender.text for t in found.turned_safe] == [AOL, "p@partner.example"]
    assert [t.sender.text for t in found.turned_unsafe] == ["leaves@aol.com"]
    nothing = audit.changes(opened, opened.moment_at(LATER), opened.moment_at(LATER), OWN)
    assert (nothing.added, nothing.removed, nothing.made, nothing.turned_safe) == ((), (), (), ())
    back = audit.changes(opened, before._replace(change_set=0, at=NOW - timedelta(days=1)), before, OWN)
    assert [t.sender.text for t in back.turned_safe] == ["leaves@aol.com"]
