"""The Postfix map beside the policy: what Postfix would find is never more than what the policy says."""

import itertools
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import sender
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Reason, Settings, Tally, decide
from safelist.publisher.rulings import rule
from safelist.publisher.target import Ruling
from safelist.publisher.targets import postfix
from safelist.sender import Pattern
from tests.publisher.site import NOW, settings

NAMES = ["d.test", "s.d.test", "x.s.d.test", "mail.d.test", "other.test"]
ENTRIES = [
    *(f"{local}@{name}" for local in ("a", "b", "a+t") for name in NAMES),
    *NAMES,
    *("." + name for name in NAMES),
]
ENTRIES += ["a..b@d.test", '"a b"@s.d.test']
LOCALS = ["a", "b", "c", "a+t", "a+u", "a..b", "a b", "a" * 70, "*"]
SENDERS = [f"{local}@{name}" for local in LOCALS for name in [*NAMES, "deep.x.s.d.test"]]
CHOSEN = Settings(include_domains=True, own_domains=frozenset({"mail.d.test"}))
BLOCKS = (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK)

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
    return about(sender.parse(text), given_, said)


def about(asked: Pattern, given_: dict[str, int], said: list[Override]) -> Candidate:
    covering = sender.covering(asked)
    tallies = tuple(Tally(sender.parse(entry), given_[entry]) for entry in covering if entry in given_)
    return Candidate(asked, tallies, tuple(o for o in said if o.terms.pattern.text in covering))


def found(lines: dict[str, str], text: str, *, is_wide: bool, delimiter: str = "") -> str | None:
    """What Postfix finds for a sender (access(5)): the address, without its extension, its domain, those above it."""
    local, _, domain = text.rpartition("@")
    parents = [domain.split(".", n)[n] for n in range(1, domain.count(".") + 1)]
    shorter = [f"{local.partition(delimiter)[0]}@{domain}"] if delimiter and delimiter in local else []
    keys = [text, *shorter, domain, *(parent if is_wide else f".{parent}" for parent in parents)]
    return next((lines[key] for key in keys if key in lines), None)


class Way(NamedTuple):
    """How a Postfix and its map are configured."""

    is_wide: bool
    widen: bool
    unauthenticated: bool
    delimiter: str


WAYS = [Way(*each) for each in itertools.product((True, False), (True, False), (True, False), ("", "+"))]


def rendered(given_: dict[str, int], said: list[Override], way: Way) -> dict[str, str]:
    rulings, _ = rule(candidates(given_, said), CHOSEN, NOW)
    return lines_of(rulings, way)


def lines_of(rulings: list[Ruling], way: Way) -> dict[str, str]:
    chosen = settings(Path("/map"), "texthash").model_copy(
        update={
            "parent_domain_matches_subdomains": way.is_wide,
            "widen_domains": way.widen,
            "unauthenticated": way.unauthenticated,
            "recipient_delimiter": way.delimiter,
        }
    )
    text = postfix.render(rulings, chosen).text.decode().splitlines()[1:]
    return dict(line.split(" ") for line in text)


def faults(
    lines: dict[str, str], given_: dict[str, int], said: list[Override], way: Way, senders: Iterable[str] = SENDERS
) -> list[str]:  # fmt: skip
    """The senders that the map lifts although the policy does not call them safe for the organisation.

    Where the administrator has widened domains, or Postfix takes extensions for the address, a neighbour of a safe
    sender may be lifted, but none that is blocked, own, or must prove what a map cannot ask for.
    """
    wrong = []
    for each in senders:
        if found(lines, each, is_wide=way.is_wide, delimiter=way.delimiter) != postfix.RESULT:
            continue
        asked = about(sender.envelope(each), given_, said)
        decision = decide(asked, CHOSEN, NOW)
        is_proven = way.unauthenticated or decision.authentication is Authentication.NONE
        may_be_wider = (way.widen and way.is_wide and not each.endswith("@mail.d.test")) or "+" in each
        if not (decision.safe and is_proven):
            is_meant = may_be_wider and not decision.safe and decision.reason not in BLOCKS
            wrong += [] if is_meant else [f"{each}: {decision.sentence}"]
        for recipient in ("desk@corp.test", "else@corp.test"):
            if decide(asked._replace(recipient=recipient), CHOSEN, NOW).reason in BLOCKS:
                wrong.append(f"{each} to {recipient}")
    return wrong


@given(votes, st.lists(overrides, max_size=5), st.sampled_from(WAYS))
@hypothesis_settings(max_examples=800, deadline=None)
def test_postfix_lifts_nobody_whom_the_policy_does_not(given_: dict[str, int], said: list[Override], way: Way) -> None:
    assert not faults(rendered(given_, said, way), given_, said, way)


# Everything that one vote and up to two overrides can say of three nested domains and of addresses in them.
SMALL = [f"{dot}{name}" for name in ("d.test", "s.d.test", "x.s.d.test") for dot in ("", ".", "a@")] + ["a+t@s.d.test"]
ASKED = [
    f"{local}@{name}" for local in ("a", "a+t", "c") for name in ("d.test", "s.d.test", "x.s.d.test", "y.x.s.d.test")
]
RULED = [
    Terms(effect, sender.parse(text), "why", level=level, authentication=authentication)
    for text in SMALL
    for effect, level, authentication in (
        (Effect.ALLOW, Level.ENFORCED, Authentication.SPF), (Effect.ALLOW, Level.ENFORCED, Authentication.NONE),
        (Effect.ALLOW, Level.DEFAULT, Authentication.NONE), (Effect.BLOCK, Level.ENFORCED, Authentication.SPF),
        (Effect.BLOCK, Level.DEFAULT, Authentication.SPF),
    )
]  # fmt: skip


def test_every_pair_of_overrides_and_a_quorum_renders_into_what_the_policy_says() -> None:
    wrong: list[object] = []
    for one, two in itertools.combinations(RULED, 2):
        said = [Override(id_, terms, NOW, "alice") for id_, terms in enumerate((one, two), 1)]
        given_ = {".d.test": 2} if (one.effect, two.effect) == (Effect.BLOCK, Effect.BLOCK) else {}
        rulings, _ = rule(candidates(given_, said), CHOSEN, NOW)
        found_ = ((way, faults(lines_of(rulings, way), given_, said, way, ASKED)) for way in WAYS)
        wrong += [(one, two, way, bad) for way, bad in found_ if bad]
    assert not wrong, wrong[:3]


def test_a_narrower_allow_below_a_block_is_not_widened_into_it() -> None:
    said = [
        Override(1, Terms(Effect.BLOCK, sender.parse(".d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.ALLOW, sender.parse("s.d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(True, True, True, "")) == {}
    assert lines_of(rulings, Way(False, True, True, "")) == {"s.d.test": postfix.RESULT}


def test_an_exception_that_cannot_be_written_takes_its_domain_along() -> None:
    said = [
        Override(1, Terms(Effect.ALLOW, sender.parse(".d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.BLOCK, sender.parse('"a b"@s.d.test'), "why"), NOW, "alice"),
        Override(3, Terms(Effect.ALLOW, sender.parse("other.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(False, False, True, "")) == {"other.test": postfix.RESULT}


def test_what_extends_an_address_in_a_blocked_domain_is_not_taken_for_it() -> None:
    said = [
        Override(1, Terms(Effect.BLOCK, sender.parse("d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.ALLOW, sender.parse("a@d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(True, False, True, "")) == {"a@d.test": postfix.RESULT}
    assert lines_of(rulings, Way(True, False, True, "+")) == {}
