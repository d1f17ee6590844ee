"""The policy's one table: which row decides, and that the sentence gives the numbers."""

from hypothesis import given
from hypothesis import strategies as st

from safelist.policy import TABLE, Candidate, Decision, Reason, Settings, decide
from safelist.sender import Form, Pattern, Refusal

ADDRESS = Pattern("bob@aol.example", Form.ADDRESS)
DOMAIN = Pattern("aol.example", Form.DOMAIN)
NONE = Pattern("bob smith", Form.REFUSED, Refusal.NEITHER)

patterns = st.sampled_from([ADDRESS, DOMAIN, NONE])
counts = st.integers(0, 6)
settings = st.builds(Settings, quorum=st.integers(1, 5), include_domains=st.booleans())


def test_an_address_below_the_quorum_says_how_many_trust_it() -> None:
    assert decide(Candidate(ADDRESS, 1), Settings()) == Decision(
        False, Reason.BELOW_QUORUM, "1 mailbox trusts bob@aol.example; the quorum is 2."
    )


def test_an_address_with_the_quorum_is_safe() -> None:
    assert decide(Candidate(ADDRESS, 2), Settings()) == Decision(
        True, Reason.QUORUM, "2 mailboxes trust bob@aol.example; the quorum is 2."
    )


def test_a_domain_needs_the_setting_and_then_the_quorum() -> None:
    assert decide(Candidate(DOMAIN, 9), Settings()).reason is Reason.DOMAIN_NOT_INCLUDED
    assert decide(Candidate(DOMAIN, 1), Settings(include_domains=True)).reason is Reason.BELOW_QUORUM
    assert decide(Candidate(DOMAIN, 2), Settings(include_domains=True)).safe


def test_what_cannot_be_a_sender_is_never_safe_and_its_sentence_is_printable() -> None:
    decision = decide(Candidate(Pattern("a\x1b[2J\n", Form.REFUSED, Refusal.INVISIBLE), 99), Settings(quorum=1))
    assert not decision.safe
    assert decision.reason is Reason.NOT_A_SENDER
    assert decision.sentence.isprintable()
    assert "invisible" in decision.sentence


def test_every_reason_has_a_row_and_only_the_last_row_holds_always() -> None:
    assert {row.reason for row in TABLE} == set(Reason)
    assert all(row.holds(Candidate(ADDRESS, 5), Settings()) is (row is TABLE[-1]) for row in TABLE)


@given(patterns, counts, settings)
def test_safe_is_exactly_a_sender_of_an_included_form_with_the_quorum(
    pattern: Pattern, count: int, chosen: Settings
) -> None:
    included = pattern.form is Form.ADDRESS or (pattern.form is Form.DOMAIN and chosen.include_domains)
    decision = decide(Candidate(pattern, count), chosen)
    assert decision.safe == (included and count >= chosen.quorum)
    assert decision.safe == (decision.reason is Reason.QUORUM)


@given(patterns, counts, settings)
def test_one_more_voter_never_takes_a_sender_off(pattern: Pattern, count: int, chosen: Settings) -> None:
    assert decide(Candidate(pattern, count), chosen).safe <= decide(Candidate(pattern, count + 1), chosen).safe
