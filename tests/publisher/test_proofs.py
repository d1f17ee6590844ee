"""Nobody is found in what is published with less proof than the policy asks of the mail, by any filter's reading."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, Holding, UserList
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Decision, Reason, Settings, decide, tally
from safelist.publisher.publish import publish
from safelist.publisher.target import Target
from safelist.publisher.targets import amavis, exim, pairs, rspamd, spamassassin
from safelist.store import Store
from tests import aggregate
from tests.amavis import lookups, schema
from tests.publisher.site import NOW
from tests.store.samples import SEEN

NONE, EITHER, SPF = Authentication.NONE, Authentication.DKIM_OR_SPF, Authentication.SPF
BLOCKS = (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK, Reason.BLOCKED_ADDRESS, Reason.BLOCKED_DOMAIN)
MAILBOXES = ["a@corp.example", "b@corp.example"]
RECIPIENTS = [*MAILBOXES, "nobody@corp.example"]
SENDERS = ["y@d.example", "y+t@d.example", "é@d.example", "y+é@d.example", "prvs=é=y@d.example", "z@s.d.example"]
SENDERS += ["é@s.d.example", "d.example", ".d.example", "s.d.example", ".s.d.example"]
ASKED = [each for each in SENDERS if "@" in each]
ASKED += ["new@d.example", "new@s.d.example", "y+u@d.example", "prvs=1234abcdef=y@d.example", "new@t.s.d.example"]


class World(NamedTuple):
    """What a site's users and administrators have said."""

    settings: Settings
    held: tuple[tuple[str, str, UserList], ...]
    terms: tuple[Terms, ...]


terms = st.builds(
    Terms, st.sampled_from([Effect.ALLOW, Effect.ALLOW, Effect.BLOCK]), st.sampled_from(SENDERS).map(sender.parse),
    st.just("why"), st.sampled_from([None, None, "a@corp.example", "nobody@corp.example", "corp.example"]).map(
        lambda text: sender.parse(text) if text else None
    ), st.sampled_from(Level), st.sampled_from(Authentication),
    st.none(), st.none(),
)  # fmt: skip
worlds = st.builds(
    World,
    st.builds(
        Settings, st.integers(1, 2), st.booleans(), authentication=st.sampled_from(Authentication),
        own_domains=st.just(frozenset({"corp.example"})),
    ),
    st.lists(
        st.tuples(
            st.sampled_from(MAILBOXES), st.sampled_from(SENDERS),
            st.sampled_from([UserList.SAFE_SENDERS, UserList.SAFE_SENDERS, UserList.BLOCKED_SENDERS]),
        ),
        max_size=4,
    ).map(tuple),
    st.lists(terms, max_size=4, unique_by=lambda each: each.subject).map(tuple),
)  # fmt: skip


def made(world: World, path: Path) -> Store:
    opened = store.open_store(aggregate.create(path))
    run = opened.begin_run(NOW, "sync", "root")
    for mailbox in MAILBOXES:
        held = {Entry(list_, sender.parse(text)) for whose, text, list_ in world.held if whose == mailbox}
        opened.record(run, mailbox, SEEN._replace(owner=mailbox), frozenset(held), ALL_LISTS, NOW)
    if world.terms:
        opened.make_overrides(list(world.terms), NOW, "root")
    return opened


Proof = Authentication | None
"""The least that makes a filter believe a mail; None where nothing does."""
Reader = Callable[[Path, str], Callable[[str], Proof]]
"""Reads once what was published, and then says of each sender what a recipient's mail needs."""


def _first(named: Iterable[str], *lists: dict[str, str]) -> Proof:
    """What the first of the names that a list has is said to need; the next list is asked where it has none."""
    for list_ in lists:
        found = next((list_[each] for each in named if each in list_), None)
        if found is not None:
            return Authentication(found) if found in tuple(Authentication) else None
    return None


def _words(path: Path, mark: str) -> list[list[str]]:
    return [line.split(mark) for line in path.read_text().splitlines() if not line.startswith("#")]


def _rspamd(path: Path, recipient: str) -> Callable[[str], Proof]:
    everybody, all_ = dict(_words(path, "!")), _words(rspamd.recipients(path), "!")
    own = {key.partition("|")[2]: said for key, said in all_ if key.startswith(f"{recipient}|")}
    return lambda text: _first(map(_mapped, sender.covering(sender.parse(text))), own, everybody)


def _mapped(text: str) -> str:
    return rspamd.name_of(sender.parse(text))


def _exim(path: Path, recipient: str) -> Callable[[str], Proof]:
    everybody, all_ = dict(_words(path, " ")), _words(exim.recipients(path), " ")
    own = {key.partition(">")[0]: said for key, said in all_ if key.endswith(f">{recipient}")}
    return lambda text: _first(sender.covering(sender.parse(text)), own, everybody)


def _csv(path: Path, recipient: str) -> Callable[[str], Proof]:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    own, everybody = (
        {row["sender"]: row["authentication"] if row["safe"] == "true" else "no" for row in rows
         if row["recipient"] == whose}
        for whose in (recipient, "")
    )  # fmt: skip
    return lambda text: _first(sender.covering(sender.parse(text)), own, everybody)


def _lines(path: Path, recipient: str) -> list[str]:
    """The directives that SpamAssassin reads for a recipient beside those for everybody."""
    lines = spamassassin.recipients(path).read_text().splitlines()
    return [line.removeprefix(f"{recipient} ") for line in lines if line.startswith(f"{recipient} ")]


def _is_in(text: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(text, each.replace("[", "[[]")) for each in globs)


def _weakest(proofs: Iterable[Authentication]) -> Proof:
    return min(proofs, key=[NONE, EITHER, SPF].index, default=None)


KINDS = {"DKIM_OR_SPF": EITHER, "SPF": SPF, "NONE": NONE}


def _enlisted(path: Path, recipient: str) -> Callable[[str], Proof]:
    """By the rules that stand beside the lists: an address before its domain, the recipient's before everybody's."""
    scopes = [
        [line.split()[1:] for line in lines if line.startswith("enlist_addrlist")]
        for lines in (_lines(path, recipient), path.read_text().splitlines())
    ]

    def read(text: str) -> Proof:
        for named in scopes:
            hits = [name.strip("()").split("_", 2)[2] for name, *globs in named if _is_in(text, globs)]
            for of in ("ADDRESS_", "DOMAIN_"):
                kinds = {each.removeprefix(of) for each in hits if each.startswith(of)}
                if kinds:
                    is_excepted = "EXCEPT" in kinds and of == "DOMAIN_"
                    return None if is_excepted else _weakest(KINDS[each] for each in kinds - {"EXCEPT"})
        return None

    return read


WELCOMED = {"welcomelist_from": NONE, "welcomelist_auth": EITHER, "welcomelist_from_spf": SPF}


def _welcomed(path: Path, recipient: str) -> Callable[[str], Proof]:
    """Each list by itself; what is withdrawn is taken out of it."""
    globs = {name: set[str]() for name in WELCOMED}
    for line in (*path.read_text().splitlines(), *_lines(path, recipient)):
        name, *some = line.split()
        if name in globs:
            globs[name].update(some)
        elif name.removeprefix("un") in globs:
            globs[name.removeprefix("un")].difference_update(some)
    return lambda text: _weakest(proof for name, proof in WELCOMED.items() if _is_in(text, globs[name]))


def _tables(path: Path, recipient: str) -> Callable[[str], Proof]:
    unquoted = {text: sender.unquoted(sender.parse(text)) for text in ASKED}
    safe = lookups.safe(f"sqlite:///{path}", recipient, list(unquoted.values()), "+")
    return lambda text: NONE if unquoted[text] in safe else None


class Way(NamedTuple):
    """A target, how it is configured, and how its filter reads it back."""

    target: Target
    read: Reader
    keys: dict[str, Any]


WAYS = {
    "rspamd": Way(rspamd.TARGET, _rspamd, {}),
    "exim": Way(exim.TARGET, _exim, {}),
    "exim without SPF": Way(exim.TARGET, _exim, {"spf": False}),
    "csv": Way(pairs.TARGET, _csv, {"format": "csv"}),
    "spamassassin, dnsbl": Way(spamassassin.TARGET, _enlisted, {"dnsbl_rules": ["RCVD_IN_XBL 0.7"]}),
    "spamassassin, welcomelist": Way(
        spamassassin.TARGET, _welcomed, {"form": "welcomelist_auth", "old_names": False}
    ),
    "amavis": Way(amavis.TARGET, _tables, {}),
}  # fmt: skip


def published(opened: Store, settings: Settings, way: Way, directory: Path) -> Path:
    """Where it is."""
    directory.mkdir()
    path = directory / "safelist"
    section: dict[str, Any] = {"path": path}
    if way.target is amavis.TARGET:
        path.touch()
        section = {"url": f"sqlite:///{path}", "lock": directory / "lock"}
        schema.run(section["url"], schema.statements("sqlite"))
    chosen = way.target.settings.model_validate(section | way.keys)
    publish(opened, settings, way.target, chosen, lambda: NOW, allow_shrink=True)
    return path


def asked(world: World, settings: Settings) -> Iterator[tuple[str, str, Decision]]:
    """Every recipient and sender, with what the policy says of them."""
    holdings = [Holding(whose, list_, sender.parse(text), NOW, None) for whose, text, list_ in world.held]
    overrides = tuple(Override(number, each, NOW, "root") for number, each in enumerate(world.terms, 1))
    for text in ASKED:
        about = sender.parse(text)
        covering = [sender.parse(each) for each in sender.covering(about)]
        tallies = tuple(tally(each, holdings, settings, NOW) for each in covering)
        own = sorted((each for each in holdings if each.pattern in covering), key=lambda it: covering.index(it.pattern))
        for recipient in RECIPIENTS:
            entries = tuple(each for each in own if each.mailbox == recipient)
            yield recipient, text, decide(Candidate(about, tallies, overrides, recipient, entries), settings, NOW)


def is_too_little(proof: Proof, decision: Decision, text: str, way: Way) -> bool:
    """Whether a filter that asks for this proof believes what the policy does not.

    amavisd takes ``y+u@`` for ``y@``: one that nothing blocks is no fault of what is published.
    """
    if proof is None:
        return False
    if not decision.safe:
        return decision.reason in BLOCKS or not (way.target is amavis.TARGET and "+" in text)
    return decision.authentication.asks_more_than(proof)


def world(*said: Terms, held: Sequence[tuple[str, UserList]] = (), asks: Authentication = EITHER) -> World:
    """One of whom the first mailbox alone has lists."""
    settings = Settings(own_domains=frozenset({"corp.example"}), authentication=asks)
    return World(settings, tuple((MAILBOXES[0], *each) for each in held), said)


def allow(text: str, asks: Authentication, whom: str = "") -> Terms:
    where = sender.parse(whom) if whom else None
    return Terms(Effect.ALLOW, sender.parse(text), "why", where, authentication=asks)


def block(text: str, whom: str = "", level: Level = Level.ENFORCED) -> Terms:
    return Terms(Effect.BLOCK, sender.parse(text), "why", sender.parse(whom) if whom else None, level)


@given(world=worlds)
@example(world=world(allow("é@d.example", SPF), allow("d.example", NONE)))
@example(world=world(allow("é@s.d.example", SPF), allow(".d.example", NONE)))
@example(world=world(allow("é@d.example", SPF, "a@corp.example"), allow("d.example", NONE)))
@example(world=world(allow("é@d.example", SPF), allow("d.example", NONE, "a@corp.example")))
@example(world=world(allow("prvs=é=y@d.example", SPF, "a@corp.example"), allow("y@d.example", NONE)))
@example(world=world(block("d.example", "a@corp.example"), allow("y@d.example", NONE, "a@corp.example")))
@example(world=world(block("d.example"), allow("y@d.example", NONE, "a@corp.example")))
@example(world=world(block("y+t@d.example"), allow("y@d.example", NONE, "a@corp.example")))
@example(world=world(block("y+é@d.example", "a@corp.example"), allow("y@d.example", NONE)))
@example(
    world=world(block("d.example", level=Level.DEFAULT), held=[("y@d.example", UserList.SAFE_SENDERS)], asks=NONE)
)  # fmt: skip
@example(world=world(allow("y@d.example", SPF, "a@corp.example"), allow(".d.example", NONE)))
@example(world=world(allow("y@d.example", SPF, "corp.example"), allow("y@d.example", NONE)))
@hypothesis_settings(max_examples=20, deadline=None)
def test_nobody_is_believed_with_less_than_the_policy_asks(
    tmp_path_factory: pytest.TempPathFactory, world: World
) -> None:
    directory = tmp_path_factory.mktemp("world")
    settings, wrong = world.settings, list[object]()
    with made(world, directory / "safelist.db") as opened:
        decided = list(asked(world, settings))
        for name, way in WAYS.items():
            path = published(opened, settings, way, directory / re.sub("[^a-z]", "-", name))
            read = {recipient: way.read(path, recipient) for recipient in RECIPIENTS}
            proofs = ((read[recipient](text), recipient, text, said) for recipient, text, said in decided)
            wrong += [(name, *each) for each in proofs if is_too_little(each[0], each[3], each[2], way)]
    assert not wrong, wrong
