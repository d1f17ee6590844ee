"""The Postfix map beside the policy: what Postfix would find is never more than what the policy says."""

from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import sender
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Reason, Settings, Tally, decide
from safelist.publisher.rulings import rule
from safelist.publisher.targets import postfix
from tests.publisher.site import NOW, settings

NAMES = ["d.test", "s.d.test", "x.s.d.test", "mail.d.test", "other.test"]
ENTRIES = [*(f"{local}@{name}" for local in "ab" for name in NAMES), *NAMES, *("." + name for name in NAMES)]
SENDERS = [f"{local}@{name}" for local in "abc" for name in [*NAMES, "deep.x.s.d.test"]]
CHOSEN = Settings(include_domains=True, own_domains=frozenset({"mail.d.test"}))

terms = st.builds(
    Terms, st.sampled_from(Effect), st.sampled_from(ENTRIES).map(sender.parse), st.just("why"),
    st.sampled_from([None, None, sender.parse("corp.test"), sender.parse("desk@corp.test")]), st.sampled_from(Level),
    st.sampled_from(Authentication), st.none(), st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)  # fmt: skip
ends = {"revoked": st.none(), "revoked_by": st.none(), "revoked_why": st.none()}
overrides = st.builds(Override, st.integers(1, 99), terms, st.just(NOW), st.just("alice"), **ends)
votes = st.dictionaries(st.sampled_from(ENTRIES), st.integers(1, 3), max_size=6)


def candidates(given_: dict[str, int], said: list[Override]) -> list[Candidate]:
    """As the store puts them: what is trusted, and what only overrides are about."""
    texts = dict.fromkeys([*given_, *(o.terms.pattern.text for o in said if o.in_force(NOW))])
    return [question(text, given_, said) for text in texts]


def question(text: str, given_: dict[str, int], said: list[Override]) -> Candidate:
    asked = sender.parse(text)
    covering = sender.covering(asked)
    tallies = tuple(Tally(sender.parse(entry), given_[entry]) for entry in covering if entry in given_)
    return Candidate(asked, tallies, tuple(o for o in said if o.terms.pattern.text in covering))


def found(lines: dict[str, str], text: str, *, is_wide: bool) -> str | None:
    """What Postfix finds for a sender (access(5)): the address, its domain, the domains above it."""
    domain = text.rpartition("@")[2]
    parents = [domain.split(".", n)[n] for n in range(1, domain.count(".") + 1)]
    keys = [text, domain, *(parent if is_wide else f".{parent}" for parent in parents)]
    return next((lines[key] for key in keys if key in lines), None)


@given(votes, st.lists(overrides, max_size=5), st.booleans(), st.booleans(), st.booleans())
@hypothesis_settings(max_examples=800, deadline=None)
def test_postfix_lifts_nobody_whom_the_policy_does_not(
    given_: dict[str, int], said: list[Override], is_wide: bool, widen: bool, unauthenticated: bool
) -> None:
    chosen = settings(Path("/map"), "texthash").model_copy(
        update={
            "parent_domain_matches_subdomains": is_wide,
            "widen_domains": widen,
            "unauthenticated": unauthenticated,
        }
    )
    rulings, _ = rule(candidates(given_, said), CHOSEN, NOW)
    text = postfix.render(rulings, chosen).text.decode().splitlines()[1:]
    lines = dict(line.split(" ") for line in text)
    for each in SENDERS:
        if found(lines, each, is_wide=is_wide) != postfix.RESULT:
            continue
        decision = decide(question(each, given_, said), CHOSEN, NOW)
        if widen and is_wide:
            assert decision.reason not in (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK), each
            assert not each.endswith("@mail.d.test") or decision.safe, "an own domain"
        else:
            assert decision.safe, (each, decision)
            assert unauthenticated or decision.authentication is Authentication.NONE, each
        for recipient in ("desk@corp.test", "else@corp.test"):
            asked = question(each, given_, said)._replace(recipient=recipient)
            reason = decide(asked, CHOSEN, NOW).reason
            assert reason not in (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK), (each, recipient)
