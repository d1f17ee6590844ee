"""The Postfix map beside the policy: what Postfix would find is never more than what the policy says."""

import itertools
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import sender
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Decision, Reason, Settings, Tally, decide
from safelist.publisher.rulings import rule
from safelist.publisher.target import Ruling
from safelist.publisher.targets import postfix
from safelist.sender import Pattern
from tests.publisher.site import NOW, settings
from tests.publisher.site import rendered as rendered_map

NAMES = ["d.test", "s.d.test", "x.s.d.test", "mail.d.test", "other.test"]
ENTRIES = [
    *(f"{local}@{name}" for local in ("a", "b", "a+t") for name in NAMES),
    *NAMES,
    *("." + name for name in NAMES),
]
ENTRIES += ["a..b@d.test", '"a b"@s.d.test', "prvs=1234abcdef=a@d.test"]
LOCALS = ["a", "b", "c", "a+t", "a+u", "a..b", "a b", "a" * 70, "*"]
LOCALS += [tagged.format(local) for tagged in ("prvs=1234abcdef={}", "{}+prvs=1234abcdef") for local in LOCALS[:7]]
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
    """What Postfix finds for a sender (access(5))."""
    return next((lines[key] for key in looked_up(text, is_wide, delimiter) if key in lines), None)


@cache
def looked_up(text: str, is_wide: bool, delimiter: str) -> tuple[str, ...]:
    """The address, without its extension, its domain, those above it."""
    local, _, domain = text.rpartition("@")
    parents = [domain.split(".", n)[n] for n in range(1, domain.count(".") + 1)]
    shorter = [f"{local.partition(delimiter)[0]}@{domain}"] if delimiter and delimiter in local else []
    return (text, *shorter, domain, *(parent if is_wide else f".{parent}" for parent in parents))


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
    text = rendered_map(rulings, configured(way)).text.decode().splitlines()[1:]
    return dict(line.split(" ") for line in text)


@cache
def configured(way: Way) -> postfix.PostfixSettings:
    return settings(Path("/map"), "texthash").model_copy(
        update={
            "parent_domain_matches_subdomains": way.is_wide,
            "widen_domains": way.widen,
            "unauthenticated": way.unauthenticated,
            "recipient_delimiter": way.delimiter,
            "smtputf8_enable": False,
        }
    )


class Said:
    """What the policy says of senders, each asked about once: for everybody, and for two recipients."""

    def __init__(self, given_: dict[str, int], said: list[Override]) -> None:
        self._known = given_, said
        self._decisions: dict[str, list[Decision]] = {}

    def of(self, text: str) -> list[Decision]:
        if text not in self._decisions:
            asked = about(sender.envelope(text), *self._known)
            recipients = (None, "desk@corp.test", "else@corp.test")
            self._decisions[text] = [decide(asked._replace(recipient=each), CHOSEN, NOW) for each in recipients]
        return self._decisions[text]


def faults(lines: dict[str, str], said: Said, way: Way, senders: Iterable[str] = SENDERS) -> list[str]:
    """The senders that the map lifts although the policy does not call them safe for the organisation.

    Where the administrator has widened domains, or Postfix takes extensions for the address, a neighbour of a safe
    sender may be lifted, but none that is blocked, own, or must prove what a map cannot ask for.
    """
    wrong = []
    for each in senders:
        if found(lines, each, is_wide=way.is_wide, delimiter=way.delimiter) != postfix.RESULT:
            continue
        decision, *narrower = said.of(each)
        is_proven = way.unauthenticated or decision.authentication is Authentication.NONE
        may_be_wider = way.widen and way.is_wide and not each.endswith("@mail.d.test")
        may_be_wider = may_be_wider or (way.delimiter != "" and way.delimiter in each)
        if not (decision.safe and is_proven):
            is_meant = may_be_wider and not decision.safe and decision.reason not in BLOCKS
            wrong += [] if is_meant else [f"{each}: {decision.sentence}"]
        wrong += [f"{each}: {one.sentence}" for one in narrower if one.reason in BLOCKS]
    return wrong


@given(votes, st.lists(overrides, max_size=5), st.sampled_from(WAYS))
@hypothesis_settings(max_examples=800, deadline=None)
def test_postfix_lifts_nobody_whom_the_policy_does_not(given_: dict[str, int], said: list[Override], way: Way) -> None:
    assert not faults(rendered(given_, said, way), Said(given_, said), way)


# Everything that one vote and up to two overrides can say of three nested domains and of addresses in them.
SMALL = [f"{dot}{name}" for name in ("d.test", "s.d.test", "x.s.d.test") for dot in ("", ".", "a@")] + ["a+t@s.d.test"]
ASKED = [
    f"{local}@{name}"
    for local in ("a", "a+t", "c", "prvs=1234abcdef=a", "a+t+prvs=1234abcdef")
    for name in ("d.test", "s.d.test", "x.s.d.test", "y.x.s.d.test")
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


DIFFERENT = [way for way in WAYS if way.is_wide or not way.widen]


@pytest.mark.no_cover
@pytest.mark.parametrize("voted", [(), (".d.test",), ("s.d.test", "a@s.d.test")])
def test_every_pair_of_overrides_beside_a_quorum_renders_into_what_the_policy_says(voted: tuple[str, ...]) -> None:
    wrong: list[object] = []
    given_ = dict.fromkeys(voted, CHOSEN.quorum)
    for one, two in itertools.combinations(RULED, 2):
        said = [Override(id_, terms, NOW, "alice") for id_, terms in enumerate((one, two), 1)]
        rulings, _ = rule(candidates(given_, said), CHOSEN, NOW)
        policy = Said(given_, said)
        found_ = ((way, faults(lines_of(rulings, way), policy, way, ASKED)) for way in DIFFERENT)
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


@pytest.mark.parametrize("excepted", ["a@s.d.test", '"a b"@s.d.test'])
def test_the_exception_of_an_address_is_its_whole_domain(excepted: str) -> None:
    """Behind a tag it is another key, and some addresses cannot be written at all."""
    said = [
        Override(1, Terms(Effect.ALLOW, sender.parse(".d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.BLOCK, sender.parse(excepted), "why"), NOW, "alice"),
        Override(3, Terms(Effect.ALLOW, sender.parse("b@s.d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    expected = {"d.test": postfix.RESULT, "s.d.test": postfix.EXCEPTION, "b@s.d.test": postfix.RESULT}
    assert lines_of(rulings, Way(True, False, True, "")) == expected
    assert lines_of(rulings, Way(False, False, True, "")) == expected | {".d.test": postfix.RESULT}
    (refused,) = rendered_map(rulings, configured(Way(True, False, True, ""))).refused
    assert (refused.pattern.text, excepted in refused.why, "BATV" in refused.why) == (".s.d.test", True, True)


def test_a_domain_with_a_blocked_address_of_its_own_is_left_out() -> None:
    said = [
        Override(1, Terms(Effect.ALLOW, sender.parse("d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.BLOCK, sender.parse("a@d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(False, False, True, "")) == {"d.test": postfix.EXCEPTION}
    (refused,) = rendered_map(rulings, configured(Way(False, False, True, ""))).refused
    assert (refused.pattern.text, refused.exception) == ("d.test", "a@d.test")
    assert refused.why.startswith("a@d.test must be an exception from it, ")


def test_an_address_that_a_blocked_one_extends_is_left_out_where_postfix_takes_extensions_off() -> None:
    """Of ``a+t+prvs=TAG@`` Postfix leaves ``a@``, and no key can name it before that."""
    said = [
        Override(1, Terms(Effect.ALLOW, sender.parse("a@d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.BLOCK, sender.parse("a+t@d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(True, False, True, "")) == {"a@d.test": postfix.RESULT}
    assert lines_of(rulings, Way(True, False, True, "+")) == {}


def test_what_extends_an_address_in_a_blocked_domain_is_not_taken_for_it() -> None:
    said = [
        Override(1, Terms(Effect.BLOCK, sender.parse("d.test"), "why"), NOW, "alice"),
        Override(2, Terms(Effect.ALLOW, sender.parse("a@d.test"), "why"), NOW, "alice"),
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    assert lines_of(rulings, Way(True, False, True, "")) == {"a@d.test": postfix.RESULT}
    assert lines_of(rulings, Way(True, False, True, "+")) == {}


@pytest.mark.parametrize("authentication", Authentication)
def test_an_allow_never_takes_out_what_a_quorum_put_in(authentication: Authentication) -> None:
    asked = sender.parse("a@d.test")
    terms_ = Terms(Effect.ALLOW, asked, "why", None, Level.ENFORCED, authentication, None, None)
    allow = Override(1, terms_, NOW, "alice", None, None, None)
    chosen = settings(Path("/map"), "texthash").model_copy(update={"recipient_delimiter": "+"})
    for said in ([], [allow]):
        rulings, refused = rule(candidates({"a@d.test": 2}, said), CHOSEN, NOW)
        rendering = rendered_map(rulings, chosen)
        assert (rendering.keys, refused, rendering.refused) == (("a@d.test",), [], ())


@pytest.mark.parametrize("is_wide", [True, False])
def test_no_foreign_letter_leads_past_an_exception(is_wide: bool) -> None:
    """What Postfix finds for x@s.d.test with a full-width s is what it finds for d.test's sub-domains."""
    effects = {
        ".d.test": Effect.ALLOW,
        "s.d.test": Effect.BLOCK,
        ".other.test": Effect.ALLOW,
        "other.test": Effect.BLOCK,
    }
    said = [
        Override(number, Terms(effect, sender.parse(text), "why"), NOW, "alice")
        for number, (text, effect) in enumerate(effects.items(), 1)
    ]
    rulings, _ = rule(candidates({}, said), CHOSEN, NOW)
    chosen = settings(Path("/map"), "texthash").model_copy(update={"parent_domain_matches_subdomains": is_wide})
    for enabled, kept in ((True, False), (False, True)):
        rendering = rendered_map(rulings, chosen.model_copy(update={"smtputf8_enable": enabled}))
        lines = dict(line.split(" ") for line in rendering.text.decode().splitlines()[1:])
        assert lines["s.d.test"] == postfix.EXCEPTION
        assert (("d.test" if is_wide else ".d.test") in lines) is kept
        whys = {refused.pattern.text: refused.why for refused in rendering.refused}
        assert ("s.d.test must be an exception below it" in whys.get(".d.test", "")) is not kept
        assert [each.exception for each in rendering.refused if each.pattern.text == ".d.test"] == ["s.d.test"][kept:]
        assert ".other.test" not in [text for text, why in whys.items() if "foreign" in why]
