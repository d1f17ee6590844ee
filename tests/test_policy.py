"""The policy's one table: each row, its words, and the whole beside a naive second statement of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import domains, sender
from safelist.entry import BLOCKING_LISTS, SENDER_LISTS, TRUSTING_LISTS, Holding, UserList
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import (
    TABLE,
    Candidate,
    Decision,
    Reason,
    Settings,
    Tally,
    dangers,
    decide,
    decisions,
    judge,
    tally,
)
from safelist.sender import Form, Pattern, Refusal

ODD = ["front desk@partner.example", "*@sub.partner.example", "a\x07@co.uk", "x" * 400 + "@partner.example"]
ODD += ["a..b@corp.example", "prvs=1234567890=bob@aol.com", "x@b..sub.partner.example", "x@[192.0.2.1]", "", "bob"]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BOB = sender.parse("bob@aol.com")
PARTNER = sender.parse("partner.example")
NONE = Pattern("bob smith", Form.REFUSED, Refusal.NEITHER)
DESK = "desk@corp.example"
OWN = Settings(own_domains=frozenset({"corp.example"}))


def asked(text: str, *trusted: tuple[str, int], recipient: str | None = None, **more: object) -> Candidate:
    """A question about ``text``, with the votes of some entries."""
    tallies = tuple(Tally(sender.parse(entry), votes) for entry, votes in trusted)
    return Candidate(sender.parse(text), tallies, recipient=recipient, **more)  # type: ignore[arg-type]


def held(text: str, list_: UserList = UserList.SAFE_SENDERS, days: int = 1) -> Holding:
    return Holding(DESK, list_, sender.parse(text), NOW - timedelta(days=days), None)


def said(
    effect: Effect, text: str, level: Level = Level.ENFORCED, scope: str | None = None, id_: int = 1,
    expires: datetime | None = None,
) -> Override:  # fmt: skip
    terms = Terms(effect, sender.parse(text), "because", sender.parse(scope) if scope else None, level, expires=expires)
    return Override(id_, terms, NOW - timedelta(days=2), "alice")


def reason(candidate: Candidate, settings: Settings = OWN) -> Reason:
    decision = decide(candidate, settings, NOW)
    assert decision[:2] == judge(candidate, settings, NOW)[:2]
    return decision.reason


def test_an_address_below_the_quorum_says_how_many_trust_it() -> None:
    decision = decide(asked("bob@aol.com", ("bob@aol.com", 1)), OWN, NOW)
    assert (decision.safe, decision.reason) == (False, Reason.BELOW_QUORUM)
    assert decision.sentence == "1 mailbox trusts bob@aol.com; the quorum is 2."


def test_an_address_with_the_quorum_is_safe_if_it_is_authenticated() -> None:
    found = Tally(BOB, 2)
    assert decide(Candidate(BOB, (found,)), OWN, NOW) == Decision(
        True, Reason.QUORUM, "2 mailboxes trust bob@aol.com; the quorum is 2.", Authentication.DKIM_OR_SPF, found
    )


def test_a_domain_needs_the_setting_and_then_the_quorum() -> None:
    included = Settings(include_domains=True)
    many = asked("x@partner.example", ("partner.example", 9))
    assert reason(many) is Reason.DOMAIN_NOT_INCLUDED
    assert reason(many, included) is Reason.QUORUM
    assert reason(asked("x@partner.example", ("partner.example", 1)), included) is Reason.BELOW_QUORUM
    assert reason(asked("partner.example", ("partner.example", 2)), included) is Reason.QUORUM


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("aol.com", Reason.FREE_MAIL_DOMAIN),
        (".aol.com", Reason.FREE_MAIL_DOMAIN),
        ("mail.yahoo.co.uk", Reason.FREE_MAIL_DOMAIN),
        ("mailbox.org", Reason.FREE_MAIL_DOMAIN),
        ("guerrillamail.com", Reason.FREE_MAIL_DOMAIN),
        ("sendgrid.net", Reason.SHARED_DOMAIN),
        (".sendgrid.net", Reason.SHARED_DOMAIN),
        ("em123.sendgrid.net", Reason.SHARED_DOMAIN),
        ("mail.bulk.example", Reason.SHARED_DOMAIN),
        ("contoso.onmicrosoft.com", Reason.QUORUM),
        (".contoso.onmicrosoft.com", Reason.QUORUM),
        ("onmicrosoft.com", Reason.SHARED_DOMAIN),
        (".onmicrosoft.com", Reason.SHARED_DOMAIN),
        ("mail.isp.example", Reason.FREE_MAIL_DOMAIN),
        ("co.uk", Reason.PUBLIC_SUFFIX),
        ("github.io", Reason.PUBLIC_SUFFIX),
        (".amazonaws.com", Reason.PUBLIC_SUFFIX),
        (".google.com", Reason.FREE_MAIL_DOMAIN),
        (".example", Reason.NOT_A_SENDER),
        (".provider.example", Reason.FREE_MAIL_DOMAIN),
        ("provider.example", Reason.QUORUM),
        ("corp.example", Reason.OWN_DOMAIN),
        ("sub.corp.example", Reason.OWN_DOMAIN),
        ("colleague@corp.example", Reason.OWN_DOMAIN),
        ("colleague@sub.corp.example", Reason.OWN_DOMAIN),
        ("notcorp.example", Reason.QUORUM),
        ("bob@aol.com", Reason.QUORUM),
    ],
)
def test_some_entries_make_nobody_safe_however_many_trust_them(entry: str, expected: Reason) -> None:
    chosen = Settings(
        include_domains=True,
        own_domains=frozenset({"corp.example"}),
        free_mail_domains=frozenset({"isp.example", "mail.provider.example"}),
        shared_domains=frozenset({"bulk.example"}),
    )
    candidate = asked(entry, (entry, 1000))
    assert reason(candidate, chosen) is expected
    own = asked(entry, recipient=DESK, entries=(held(entry),))
    assert decide(own, chosen, NOW).safe is (expected is Reason.QUORUM)


def test_a_wide_domain_that_holds_an_own_one_is_refused_and_an_own_sender_under_it_too() -> None:
    chosen = Settings(include_domains=True, own_domains=frozenset({"mail.corp.example"}))
    assert reason(asked(".corp.example", (".corp.example", 9)), chosen) is Reason.OWN_DOMAIN
    assert reason(asked("x@mail.corp.example", (".corp.example", 9)), chosen) is Reason.OWN_DOMAIN


def test_outlooks_precedence_for_the_recipient() -> None:
    """Trusted address, blocked address, trusted domain, blocked domain (MS-OXCSPAM 3.1.4.1)."""
    chosen = Settings(include_domains=True)
    entries = [
        held("x@partner.example"),
        held("x@partner.example", UserList.BLOCKED_SENDERS),
        held("partner.example", UserList.SAFE_SENDER_DOMAINS),
        held("partner.example", UserList.BLOCKED_DOMAINS),
    ]
    expected = [Reason.TRUSTED_ADDRESS, Reason.BLOCKED_ADDRESS, Reason.TRUSTED_DOMAIN, Reason.BLOCKED_DOMAIN]
    for place, row in enumerate(expected):
        for rest in (tuple(entries[place:]), tuple(reversed(entries[place:]))):
            assert reason(asked("x@partner.example", recipient=DESK, entries=rest), chosen) is row


def test_a_block_counts_for_its_user_only() -> None:
    votes = ("bob@aol.com", 2)
    blocked = (held("bob@aol.com", UserList.BLOCKED_SENDERS),)
    assert reason(asked("bob@aol.com", votes, recipient=DESK, entries=blocked)) is Reason.BLOCKED_ADDRESS
    assert reason(asked("bob@aol.com", votes, recipient="other@corp.example")) is Reason.QUORUM
    assert reason(asked("bob@aol.com", votes)) is Reason.QUORUM


def test_trusted_contacts_need_the_setting() -> None:
    question = asked("bob@aol.com", recipient=DESK, entries=(held("bob@aol.com", UserList.TRUSTED_CONTACTS),))
    assert reason(question, Settings(include_contacts=True)) is Reason.TRUSTED_ADDRESS
    assert reason(question, Settings()) is Reason.CONTACT_NOT_INCLUDED


def test_old_entries_and_excluded_mailboxes_do_not_count() -> None:
    entries = (held("bob@aol.com", days=30),)
    question = asked("bob@aol.com", recipient=DESK, entries=entries)
    assert reason(question, Settings(max_age=timedelta(days=30))) is Reason.TRUSTED_ADDRESS
    assert reason(question, Settings(max_age=timedelta(days=29))) is Reason.TOO_OLD
    assert reason(question, Settings(excluded_mailboxes=frozenset({DESK}))) is Reason.MAILBOX_EXCLUDED


def test_a_tally_counts_distinct_mailboxes_and_says_who_does_not_count() -> None:
    contact = held("bob@aol.com", UserList.TRUSTED_CONTACTS, 5)
    safe = held("bob@aol.com", days=40)
    other = Holding("b@corp.example", UserList.SAFE_SENDERS, BOB, NOW, None)
    blocked = Holding("c@corp.example", UserList.BLOCKED_SENDERS, BOB, NOW, None)
    everything = [contact, safe, other, other, blocked, held("z@aol.com")]
    assert tally(BOB, everything, Settings(), NOW) == Tally(BOB, 2, {})
    chosen = Settings(max_age=timedelta(days=9))
    assert tally(BOB, everything, chosen, NOW).votes == 1
    assert sum(tally(BOB, everything, chosen, NOW).uncounted.values()) == 1
    assert tally(BOB, [contact], Settings(), NOW) == Tally(BOB, 0, {Reason.CONTACT_NOT_INCLUDED: 1})


def test_an_enforced_override_beats_the_user_and_a_default_one_does_not() -> None:
    own = (held("bob@aol.com"),)
    for level, expected in ((Level.ENFORCED, Reason.ENFORCED_BLOCK), (Level.DEFAULT, Reason.TRUSTED_ADDRESS)):
        overrides = (said(Effect.BLOCK, "bob@aol.com", level),)
        question = asked("bob@aol.com", ("bob@aol.com", 9), recipient=DESK, entries=own, overrides=overrides)
        assert reason(question) is expected
        everybody = asked("bob@aol.com", ("bob@aol.com", 9), overrides=overrides)
        assert not decide(everybody, OWN, NOW).safe


def test_the_more_specific_recipient_comes_first_then_the_more_specific_sender() -> None:
    overrides = [
        said(Effect.ALLOW, ".partner.example", scope=DESK, id_=1),
        said(Effect.BLOCK, "partner.example", scope=DESK, id_=2),
        said(Effect.ALLOW, "x@partner.example", scope="corp.example", id_=3),
        said(Effect.BLOCK, "x@partner.example", id_=4),
    ]
    x = "x@partner.example"
    for recipient, winner in ((DESK, 2), ("other@corp.example", 3), ("other@else.example", 4), (None, 4)):
        decision = decide(asked(x, recipient=recipient, overrides=tuple(overrides)), OWN, NOW)
        assert isinstance(decision.fact, Override)
        assert decision.fact.id == winner


def test_an_override_that_expired_or_was_revoked_changes_nothing_and_its_last_second_counts() -> None:
    ended = said(Effect.ALLOW, "bob@aol.com", expires=NOW)
    assert reason(asked("bob@aol.com", overrides=(ended,))) is Reason.NOBODY
    assert decide(asked("bob@aol.com", overrides=(ended,)), OWN, NOW - timedelta(seconds=1)).safe
    revoked = said(Effect.ALLOW, "bob@aol.com")._replace(revoked=NOW)
    assert reason(asked("bob@aol.com", overrides=(revoked,))) is Reason.NOBODY
    for other_clock in (NOW - timedelta(days=3650), NOW):
        decided = decide(asked("bob@aol.com", overrides=(revoked,)), OWN, other_clock)
        assert decided.reason is Reason.NOBODY, "revoked is revoked, whatever the date"
        block = (said(Effect.BLOCK, "bob@aol.com"),)
        assert decide(asked("bob@aol.com", overrides=block), OWN, other_clock).reason is Reason.ENFORCED_BLOCK


def test_the_sentence_of_an_override_says_who_why_and_for_whom() -> None:
    override = said(Effect.BLOCK, ".partner.example", scope="corp.example", expires=NOW + timedelta(days=1))
    override = override._replace(terms=override.terms._replace(ticket="T-1"))
    sentence = decide(asked("x@partner.example", recipient=DESK, overrides=(override,)), OWN, NOW).sentence
    assert sentence == (
        "override 1 blocks partner.example with its sub-domains for everybody at corp.example (enforced, until "
        "2026-11-26 12:00 UTC): because (by alice on 2026-11-23, ticket T-1)."
    )


def test_an_entry_is_dated_by_when_it_was_first_seen() -> None:
    entry = Holding(DESK, UserList.SAFE_SENDERS, sender.parse("x@partner.example"), NOW - timedelta(days=2), None)
    candidate = asked("x@partner.example", recipient=DESK)._replace(entries=(entry,))
    told = f"{DESK} has x@partner.example among its {UserList.SAFE_SENDERS.title} (first seen {entry.since:%Y-%m-%d})"
    assert decide(candidate, OWN, NOW).sentence == f"{told}."
    old = decide(candidate, replace(OWN, max_age=timedelta(days=1)), NOW)
    assert old.sentence == f"{told}, but that is too long ago ([policy] max_age)."


def test_what_cannot_be_a_sender_is_never_safe_and_its_sentence_is_printable() -> None:
    hostile = Pattern("a\x1b[2J\n", Form.REFUSED, Refusal.INVISIBLE)
    decision = decide(Candidate(hostile, (Tally(hostile, 99),)), Settings(quorum=1), NOW)
    assert (decision.safe, decision.reason) == (False, Reason.NOT_A_SENDER)
    assert decision.sentence.isprintable()
    assert "invisible" in decision.sentence
    for null in ("", "<>"):
        assert reason(asked(null, ("bob@aol.com", 9))) is Reason.NOT_A_SENDER


@pytest.mark.parametrize("text", [text for text in ODD if text.endswith((".uk", "partner.example"))])
def test_whatever_stands_before_the_at_the_rows_about_its_domain_apply(text: str) -> None:
    found = sender.envelope(text)
    domain = "." + sender.domain_of(found).partition("..")[2] if ".." in text else sender.domain_of(found)
    overrides = (said(Effect.BLOCK, domain, Level.DEFAULT),)
    assert reason(Candidate(found, overrides=(said(Effect.BLOCK, domain),))) is Reason.ENFORCED_BLOCK
    assert reason(Candidate(found, overrides=(said(Effect.ALLOW, domain),))) is Reason.ENFORCED_ALLOW
    assert reason(Candidate(found, overrides=overrides)) is Reason.DEFAULT_BLOCK
    own = held(domain, UserList.BLOCKED_DOMAINS)
    assert reason(Candidate(found, recipient=DESK, entries=(own,))) is Reason.BLOCKED_DOMAIN
    if domain != "co.uk":
        votes = (Tally(sender.parse(domain), 2),)
        assert reason(Candidate(found, votes), Settings(include_domains=True)) is Reason.QUORUM
    exact = Override(1, Terms(Effect.ALLOW, found, "because"), NOW - timedelta(days=2), "alice")
    assert (found.refusal is None) == decide(Candidate(found, overrides=(exact,)), OWN, NOW).safe
    assert decide(Candidate(found, overrides=overrides), OWN, NOW).sentence.isprintable()


def test_what_is_said_of_an_address_holds_behind_a_tag_and_says_so() -> None:
    tagged = sender.parse("prvs=1234567890=bob@aol.com")
    told = " prvs=1234567890=bob@aol.com is bob@aol.com behind a tag that its server makes anew (BATV)."
    decision = decide(Candidate(tagged, (Tally(BOB, 2),)), OWN, NOW)
    assert decision[1:3] == (Reason.QUORUM, f"2 mailboxes trust bob@aol.com; the quorum is 2.{told}")
    assert decision.authentication is Authentication.DKIM_OR_SPF
    for list_, expected in ((UserList.SAFE_SENDERS, True), (UserList.BLOCKED_SENDERS, False)):
        own = decide(Candidate(tagged, recipient=DESK, entries=(held("bob@aol.com", list_),)), OWN, NOW)
        assert (own.safe, own.sentence.endswith(told)) == (expected, True)
    blocked = (said(Effect.BLOCK, "bob@aol.com"), said(Effect.ALLOW, tagged.text, id_=2))
    assert reason(Candidate(tagged, overrides=blocked[:1])) is Reason.ENFORCED_BLOCK
    assert reason(Candidate(tagged, overrides=blocked)) is Reason.ENFORCED_ALLOW, "the tagged address is more specific"


def test_the_rows_that_would_have_decided_otherwise_are_told() -> None:
    question = asked(
        "bob@aol.com", ("bob@aol.com", 3), ("aol.com", 1), recipient=DESK,
        entries=(held("bob@aol.com", UserList.BLOCKED_SENDERS),), overrides=(said(Effect.ALLOW, "bob@aol.com"),),
    )  # fmt: skip
    assert [(d.safe, d.reason) for d in decisions(question, OWN, NOW)] == [
        (True, Reason.ENFORCED_ALLOW),
        (False, Reason.BLOCKED_ADDRESS),
        (True, Reason.QUORUM),
        (False, Reason.FREE_MAIL_DOMAIN),
        (False, Reason.NOBODY),
    ]


def test_every_reason_has_one_row() -> None:
    assert [row.reason for row in TABLE] == list(Reason)


def test_dangers_of_an_override() -> None:
    chosen = Settings(own_domains=frozenset({"corp.example"}))
    for text, authentication, count in (
        ("bob@aol.com", Authentication.SPF, 0),
        ("bob@aol.com", Authentication.NONE, 1),
        ("aol.com", Authentication.SPF, 1),
        (".co.uk", Authentication.SPF, 1),
        (".amazonaws.com", Authentication.SPF, 1),
        ("boss@corp.example", Authentication.NONE, 2),
    ):
        terms = Terms(Effect.ALLOW, sender.parse(text), "x", authentication=authentication)
        assert len(list(dangers(terms, chosen))) == count, text
        assert not list(dangers(terms._replace(effect=Effect.BLOCK), chosen))


# A second statement of the documents' table, deliberately naive: strings, no sharing with the first.

ADDRESSES = ["x@partner.example", "y@sub.partner.example", "bob@aol.com", "me@corp.example", "z@a.co.uk"]
DOMAINS = ["partner.example", "sub.partner.example", "aol.com", "corp.example", "co.uk"]
ENTRIES = [*ADDRESSES, *DOMAINS, *("." + domain for domain in DOMAINS), "no sender"]
RECIPIENTS = [None, DESK, "other@corp.example", "guest@else.example"]


def naive_covers(entry: str, text: str) -> bool:
    text = text.removeprefix("prvs=1234567890=") if "@" in entry and entry != text else text
    domain = text.split("@")[-1].lstrip(".")
    if entry == text:
        return True
    if entry.startswith("."):
        return domain == entry[1:] or domain.endswith(entry)
    return "@" not in entry and "@" in text and domain == entry


def naive_is_own(text: str, settings: Settings) -> bool:
    domain = text.split("@")[-1].lstrip(".")
    own = settings.own_domains
    return any(domain == o or domain.endswith("." + o) or (text[0] == "." and o.endswith(text)) for o in own)


def naive_entry_refusal(entry: str, asked_for: str, settings: Settings) -> str | None:
    domain = entry.split("@")[-1].lstrip(".")
    if naive_is_own(entry, settings) or naive_is_own(asked_for, settings):
        return "own-domain"
    if "@" in entry:
        return None
    if domains.is_public_suffix(domain) or (entry[0] == "." and domain == "uk"):
        return "public-suffix"
    if domains.is_free_mail(domain):
        return "free-mail-domain"
    if domains.is_shared(domain):
        return "shared-domain"
    return None if settings.include_domains else "domain-not-included"


def naive_vote_refusal(holding: Holding, settings: Settings) -> str | None:
    if holding.mailbox in settings.excluded_mailboxes:
        return "mailbox-excluded"
    if holding.list is UserList.TRUSTED_CONTACTS and not settings.include_contacts:
        return "contact-not-included"
    if settings.max_age and (NOW - holding.since) > settings.max_age:
        return "too-old"
    return None


def naive_override(candidate: Candidate, level: str) -> str | None:
    best = None
    for o in candidate.overrides:
        if o.terms.level != level or o.revoked or (o.terms.expires and o.terms.expires <= NOW):
            continue
        scope = o.terms.scope.text if o.terms.scope else None
        to = candidate.recipient or ""
        for_whom = 0 if scope is None else (2 if scope == to else (1 if to and scope == to.split("@")[1] else -1))
        if for_whom < 0 or not naive_covers(o.terms.pattern.text, candidate.sender.text):
            continue
        text = o.terms.pattern.text
        how_near = 1000 if "@" in text else (500 if text[0] != "." else len(text))
        rank = (for_whom, how_near, o.terms.effect == "block")
        if best is None or rank > best[0]:
            best = (rank, str(o.terms.effect))
    return best and best[1]


def naive(candidate: Candidate, settings: Settings) -> tuple[bool, str]:
    text, refusals = candidate.sender.text, set()
    if candidate.sender.form is Form.REFUSED:
        return False, "not-a-sender"
    if word := naive_override(candidate, "enforced"):
        return word == "allow", f"enforced-{word}"
    for kind in ("address", "domain"):
        about = [h for h in candidate.entries if h.pattern.form and naive_covers(h.pattern.text, text)]
        about = [h for h in about if ("@" in h.pattern.text) == (kind == "address")]
        for h in about:
            if h.list in TRUSTING_LISTS or h.list is UserList.TRUSTED_CONTACTS:
                why = naive_entry_refusal(h.pattern.text, text, settings) or naive_vote_refusal(h, settings)
                if why is None:
                    return True, f"trusted-{kind}"
                refusals.add(why)
        if any(h.list in BLOCKING_LISTS for h in about):
            return False, f"blocked-{kind}"
    if word := naive_override(candidate, "default"):
        return word == "allow", f"default-{word}"
    for t in candidate.tallies:
        why = naive_entry_refusal(t.pattern.text, text, settings)
        if why is None and t.votes >= settings.quorum:
            return True, "quorum"
        refusals |= {why} if why else {str(r) for r in t.uncounted} | ({"below-quorum"} if t.votes else set())
    order = [
        "own-domain",
        "below-quorum",
        "public-suffix",
        "free-mail-domain",
        "shared-domain",
        "domain-not-included",
        "mailbox-excluded",
    ]
    order += ["contact-not-included", "too-old"]
    return False, next((why for why in order if why in refusals), "nobody")


moments = st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days))
holdings = st.builds(
    Holding, st.sampled_from([DESK, "other@corp.example", "test@corp.example"]),
    st.sampled_from(sorted(SENDER_LISTS)), st.sampled_from(ENTRIES).map(sender.parse),
    st.integers(0, 20).map(lambda days: NOW - timedelta(days=days)), st.none(),
)  # fmt: skip
terms = st.builds(
    Terms, st.sampled_from(Effect), st.sampled_from(ENTRIES[:-1]).map(sender.parse), st.just("why"),
    st.sampled_from([None, *map(sender.parse, ["corp.example", "else.example", DESK, "other@corp.example"])]),
    st.sampled_from(Level), st.sampled_from(Authentication), st.none(), st.one_of(st.none(), moments),
)  # fmt: skip
overrides = st.builds(
    Override, st.integers(1, 99), terms, moments, st.just("alice"), st.one_of(st.none(), moments)
)  # fmt: skip
chosen_settings = st.builds(
    Settings, quorum=st.integers(1, 3), include_domains=st.booleans(), include_contacts=st.booleans(),
    max_age=st.sampled_from([None, timedelta(days=10)]), own_domains=st.just(frozenset({"corp.example"})),
    excluded_mailboxes=st.sampled_from([frozenset(), frozenset({"test@corp.example"})]),
)  # fmt: skip


@st.composite
def questions(draw: st.DrawFn) -> tuple[Candidate, Settings, list[Holding]]:
    """A question as the store puts it: tallies of everybody's entries, the recipient's own, and overrides."""
    settings = draw(chosen_settings)
    asked_for = draw(st.one_of(st.sampled_from(ENTRIES).map(sender.parse), st.sampled_from(ODD).map(sender.envelope)))
    recipient = draw(st.sampled_from(RECIPIENTS))
    everybody = draw(st.lists(holdings, max_size=10))
    covering = sender.covering(asked_for)
    about = [h for h in everybody if h.pattern.text in covering]
    patterns = sorted({h.pattern for h in about if h.pattern.form}, key=lambda p: covering.index(p.text))
    tallies = tuple(t for p in patterns if (t := tally(p, about, settings, NOW)).votes or t.uncounted)
    own = tuple(h for h in everybody if h.mailbox == recipient)
    candidate = Candidate(asked_for, tallies, tuple(draw(st.lists(overrides, max_size=4))), recipient, own)
    return candidate, settings, about


@given(questions())
@hypothesis_settings(max_examples=600, deadline=None)
def test_the_table_decides_as_the_naive_statement_does(question: tuple[Candidate, Settings, list[Holding]]) -> None:
    candidate, settings, _ = question
    decision = decide(candidate, settings, NOW)
    assert (decision.safe, str(decision.reason)) == naive(candidate, settings)
    assert judge(candidate, settings, NOW) == (decision.safe, decision.reason, decision.authentication)
    assert decision.sentence.endswith(".")


@given(questions(), holdings)
@hypothesis_settings(max_examples=300, deadline=None)
def test_one_users_entry_changes_nothing_for_others_unless_it_completes_a_quorum(
    question: tuple[Candidate, Settings, list[Holding]], new: Holding
) -> None:
    candidate, settings, about = question
    if new.mailbox == candidate.recipient:
        return
    before = decide(candidate, settings, NOW)
    grown = [*about, new] if new.pattern.text in sender.covering(candidate.sender) else about
    patterns = {h.pattern for h in grown if h.pattern.form}
    tallies = tuple(tally(p, grown, settings, NOW) for p in sorted(patterns))
    after = decide(candidate._replace(tallies=tallies), settings, NOW)
    if after.safe is not before.safe:
        assert after.reason is Reason.QUORUM
        assert isinstance(after.fact, Tally)
        assert after.fact.pattern == new.pattern
        assert after.fact.votes == settings.quorum
