"""The filter's table: each row, the order, and that nothing forged is ever lifted."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist import policy
from safelist.filter.decision import (
    Action,
    AuthenticationResult,
    Choices,
    Facts,
    Listings,
    Need,
    SenderAuthentication,
    Verdict,
    VerdictReason,
    judge,
)
from safelist.filter.dnsbl import AllowProvider, Listing, ListingKind, Provider
from safelist.override import Authentication

ZEN = Provider(
    name="Zen", lookup_domain="zen.example.net", any_match=True,
    rejection_response="{0} is listed by {1} ({2})",
)  # fmt: skip
WHITE = AllowProvider(name="White", lookup_domain="white.example.net", any_match=True)
LISTED = Listings(block=((ZEN, Listing(ListingKind.LISTED, ("127.0.0.2",), "Zen answers 127.0.0.2")),))
WHITELISTED = LISTED._replace(allow=((WHITE, Listing(ListingKind.LISTED, (), "White says so")),))
CLEAN = Listings()


def decision(safe: bool, reason: policy.Reason, authentication: Authentication = Authentication.SPF) -> policy.Decision:
    return policy.Decision(safe, reason, "because.", authentication, None)


SAFE = decision(True, policy.Reason.TRUSTED_ADDRESS)
UNSAFE = decision(False, policy.Reason.NOBODY)
BLOCKED = decision(False, policy.Reason.BLOCKED_ADDRESS)
HOLDS, FAILS, CANNOT_TELL = (SenderAuthentication(it, "SPF.") for it in AuthenticationResult)
PLAIN = Facts(ip_address("192.0.2.1"), "bob@aol.com", "desk@corp.example")


def verdict(facts: Facts, choices: Choices = Choices()) -> Verdict:  # noqa: B008
    found = judge(facts, choices)
    assert isinstance(found, Verdict), found
    return found


@pytest.mark.parametrize(
    ("facts", "action", "reason"),
    [
        (PLAIN._replace(client=None), Action.NONE, VerdictReason.NO_ADDRESS),
        (PLAIN._replace(is_trusted=True), Action.NONE, VerdictReason.TRUSTED_CLIENT),
        (PLAIN._replace(is_bypassed=True), Action.NONE, VerdictReason.BYPASSED_RECIPIENT),
        (PLAIN._replace(is_allowed=True), Action.NONE, VerdictReason.ALLOWED_CLIENT),
        (PLAIN._replace(listings=CLEAN), Action.NONE, VerdictReason.NOT_LISTED),
        (PLAIN._replace(listings=Listings(failed=("Zen",))), Action.NONE, VerdictReason.UNREACHABLE),
        (PLAIN._replace(listings=WHITELISTED), Action.NONE, VerdictReason.ALLOW_LISTED),
        (PLAIN._replace(listings=LISTED, safety=UNSAFE), Action.REJECT, VerdictReason.LISTED),
        (PLAIN._replace(listings=LISTED, safety=BLOCKED), Action.REJECT, VerdictReason.LISTED),
        (PLAIN._replace(listings=LISTED, safety=SAFE, authentication=HOLDS), Action.LIFT, VerdictReason.LIFTED),
        (
            PLAIN._replace(listings=LISTED, safety=SAFE, authentication=FAILS),
            Action.REJECT,
            VerdictReason.NOT_AUTHENTICATED,
        ),
        (
            PLAIN._replace(listings=LISTED, safety=SAFE, authentication=CANNOT_TELL),
            Action.DEFER,
            VerdictReason.CANNOT_AUTHENTICATE,
        ),
        (
            PLAIN._replace(listings=LISTED, safety=SAFE._replace(authentication=Authentication.NONE)),
            Action.LIFT,
            VerdictReason.LIFTED,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, VerdictReason) else "",
)
def test_each_row(facts: Facts, action: Action, reason: VerdictReason) -> None:
    found = verdict(facts)
    assert (found.action, found.reason) == (action, reason)
    assert bool(found.reply) is (action in (Action.REJECT, Action.DEFER))


def test_facts_are_asked_for_in_the_order_of_their_cost() -> None:
    assert judge(PLAIN, Choices()) is Need.LISTINGS
    assert judge(PLAIN._replace(listings=LISTED), Choices()) is Need.SAFETY
    assert judge(PLAIN._replace(listings=LISTED, safety=SAFE), Choices()) is Need.AUTHENTICATION
    assert judge(PLAIN, Choices(reject_blocked_senders=True)) is Need.SAFETY


def test_a_blocked_sender_is_rejected_only_where_that_is_wanted() -> None:
    facts = PLAIN._replace(safety=BLOCKED, listings=CLEAN)
    assert verdict(facts).action is Action.NONE
    found = verdict(facts, Choices(reject_blocked_senders=True))
    assert (found.reply, found.reason) == ("554 5.1.0 Sender denied", VerdictReason.BLOCKED_SENDER)


def test_what_cannot_be_proved_is_deferred_or_rejected_as_chosen() -> None:
    facts = PLAIN._replace(listings=LISTED, safety=SAFE, authentication=CANNOT_TELL)
    why = "the SPF record of aol.com proves nothing: to evaluate it takes more work than any one mail is given"
    too_much = facts._replace(authentication=CANNOT_TELL._replace(said=why))
    assert verdict(too_much).reply == f"451 4.7.1 Your IP is on a block list, and {why}; try again later"
    assert verdict(facts, Choices(defer_unproven=False)).reason is VerdictReason.NOT_AUTHENTICATED


def test_the_reply_is_the_providers_and_holds_the_clients_address() -> None:
    found = verdict(PLAIN._replace(listings=LISTED, safety=UNSAFE))
    assert found.reply == "550 5.7.1 192.0.2.1 is listed by Zen (zen.example.net)"


facts = st.builds(
    Facts, st.sampled_from([None, ip_address("192.0.2.1"), ip_address("2001:db8::1")]), st.just("bob@aol.com"),
    st.just("desk@corp.example"), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from([None, SAFE, UNSAFE, BLOCKED, SAFE._replace(authentication=Authentication.NONE)]),
    st.sampled_from([None, CLEAN, LISTED, Listings(failed=("Zen",))]),
    st.sampled_from([None, HOLDS, FAILS, CANNOT_TELL]),
)  # fmt: skip
choices = st.builds(Choices, st.booleans(), st.booleans())


@given(facts, choices)
def test_only_the_safe_and_authenticated_are_lifted_and_only_the_listed_rejected(known: Facts, chosen: Choices) -> None:
    found = judge(known, chosen)
    if isinstance(found, Need):
        assert {Need.SAFETY: known.safety, Need.LISTINGS: known.listings, Need.AUTHENTICATION: known.authentication}[
            found
        ] is None
        return
    if found.action is Action.LIFT:
        assert known.safety is not None
        assert known.safety.safe
        assert known.listings is LISTED
        assert known.safety.authentication is Authentication.NONE or known.authentication is HOLDS
    if found.action is Action.REJECT:
        assert known.listings is LISTED or (chosen.reject_blocked_senders and known.safety is BLOCKED)
        assert not any((known.is_trusted, known.is_bypassed, known.is_allowed))
    assert len(found.reply) <= 512
