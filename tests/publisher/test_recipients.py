"""What counts for each recipient: the same as the policy decides, and in the memory that one recipient needs."""

import random
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Settings, decide
from safelist.publisher import rulings, unproven
from safelist.publisher.publish import publish
from safelist.publisher.sorting import AT_ONCE
from safelist.publisher.target import Asked, Nothing, Published, RecipientRuling, Ruling, Scope, Target
from safelist.publisher.text_target import KEPT, Rendering, TextFile, text_target, whole_line
from safelist.publisher.unwritable import Noted
from safelist.store import Store
from tests import aggregate
from tests.publisher import sample_target
from tests.publisher.site import NOW
from tests.store.samples import SEEN

MAILBOXES = ["a@corp.example", "b@corp.example", "c@other.example", "d@corp.example"]
SENDERS = ["x@aol.com", "y@p.example", "z@s.p.example", "p.example", ".p.example", "s.p.example", "b@corp.example"]
ASKED = [each for each in SENDERS if "@" in each] + ["new@p.example", "new@s.p.example", "stranger@aol.com"]
UNWRITABLE = ['"a b"@p.example', "#x@p.example", '"#x"@s.p.example', '"c d"@s.p.example']
SCOPES = [None, "a@corp.example", "nobody@corp.example"]
CHOSEN = [
    Settings(own_domains=frozenset({"corp.example"}), include_domains=True),
    Settings(quorum=1, include_contacts=True),
    Settings(include_domains=True, excluded_mailboxes=frozenset({"a@corp.example"})),
]


def filled(opened: Store, chance: random.Random, scopes: list[str | None], senders: Iterable[str] = SENDERS) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    for mailbox in MAILBOXES[:3]:
        held = {
            Entry(list_, sender.parse(text))
            for text in senders
            for list_ in (UserList.SAFE_SENDERS, UserList.BLOCKED_SENDERS, UserList.TRUSTED_CONTACTS)
            if chance.random() < 0.25
        }
        opened.record(run, mailbox, SEEN._replace(owner=mailbox), frozenset(held), ALL_LISTS, NOW)
    said = {
        (text, scope, level): chance.choice(list(Effect))
        for text in senders
        for scope in scopes
        for level in Level
        if chance.random() < 0.1
    }
    for (text, scope, level), effect in said.items():
        where, proof = sender.parse(scope) if scope else None, chance.choice(list(Authentication))
        opened.make_overrides([Terms(effect, sender.parse(text), "x", where, level, proof)], NOW, "root")


def looked_up(path: Path) -> tuple[Mapping[str, bool], Mapping[tuple[str, str], bool]]:
    """The sample filter's two lists."""
    everybody = dict(sample_target.words(path))
    lines = sample_target.words(sample_target.recipients(path))
    return (
        {text: word == "safe" for text, word in everybody.items()},
        {(recipient, text): word == "safe" for recipient, text, word in lines},
    )


def is_safe(path: Path, recipient: str, text: str) -> bool:
    """As the filter finds it: the most specific that counts for the recipient, else what counts for everybody."""
    everybody, each = looked_up(path)
    keys = sender.covering(sender.parse(text))
    found = next((each[recipient, key] for key in keys if (recipient, key) in each), None)
    return found if found is not None else next((everybody[key] for key in keys if key in everybody), False)


def differing(
    opened: Store, path: Path, settings: Settings, provable: Sequence[Authentication] = tuple(Authentication)
) -> Iterator[tuple[str, str, bool]]:
    """Recipients and senders of whom the lists say another thing than the policy, and what.

    A sender of whom the policy asks for more than is ``provable`` has to be safe for nobody.
    """
    moment = opened.newest(NOW)
    settings = replace(settings, own_domains=settings.own_domains | opened.own_domains())
    for recipient in (*MAILBOXES, "nobody@corp.example"):
        for text in (*ASKED, *UNWRITABLE):
            candidate, _ = opened.candidate(sender.parse(text), recipient, settings, moment)
            decision, found = decide(candidate, settings, NOW), is_safe(path, recipient, text)
            if (decision.safe and decision.authentication in provable) is not found:
                yield recipient, text, found


@pytest.mark.parametrize("seed", range(12))
def test_the_lists_say_what_the_policy_says(tmp_path: Path, seed: int) -> None:
    settings, path = CHOSEN[seed % 3], tmp_path / "lists"
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES)
        publish(opened, settings, sample_target.TARGET, sample_target.SampleSettings(path=path), lambda: NOW)
        assert list(differing(opened, path, settings)) == []


@pytest.mark.parametrize("seed", range(6))
def test_with_overrides_for_a_whole_domain_the_lists_call_nobody_safe_who_is_not(tmp_path: Path, seed: int) -> None:
    settings, path = CHOSEN[seed % 3], tmp_path / "lists"
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), [*SCOPES, "corp.example"])
        publish(opened, settings, sample_target.TARGET, sample_target.SampleSettings(path=path), lambda: NOW)
        assert [each for each in differing(opened, path, settings) if each[2]] == []


@pytest.mark.parametrize("seed", range(12))
def test_an_exception_that_no_line_can_hold_makes_nobody_safe(tmp_path: Path, seed: int) -> None:
    settings, path = CHOSEN[seed % 3], tmp_path / "lists"
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES, [*SENDERS, *UNWRITABLE])
        publish(opened, settings, sample_target.TARGET, sample_target.SampleSettings(path=path), lambda: NOW)
        assert [each for each in differing(opened, path, settings) if each[2]] == []


@pytest.mark.parametrize("seed", range(24))
def test_where_a_filter_asks_for_no_proof_the_lists_hold_whom_the_policy_asks_none_of(
    tmp_path: Path, seed: int
) -> None:
    settings, path = replace(CHOSEN[seed % 3], authentication=list(Authentication)[seed // 3 % 3]), tmp_path / "lists"
    chosen = sample_target.SampleSettings(path=path, unauthenticated=False)
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES)
        publish(opened, settings, sample_target.TARGET, chosen, lambda: NOW)
        assert list(differing(opened, path, settings, provable=(Authentication.NONE,))) == []


@pytest.mark.parametrize("pattern", ["p.example", ".p.example", "s.p.example", ".s.p.example", "t.s.p.example"])
def test_the_proof_that_a_recipient_asks_of_a_domain_is_asked_of_whom_everybody_believes_in_it(pattern: str) -> None:
    """A filter that cannot ask for it would find the address among those of everybody."""
    none, spf = Authentication.NONE, Authentication.SPF
    everybody = [Ruling(sender.parse("y@s.p.example"), safe=True, authentication=none)]
    asked = [RecipientRuling("a@corp.example", sender.parse(pattern), True, spf)]
    noted = Noted(9)
    found = list(unproven.for_each(asked, everybody, lambda each: "" if each is none else "no proof", noted))
    is_above = pattern in sender.covering(everybody[0].pattern)
    assert found == ([asked[0]._replace(safe=False)] if is_above else [])
    assert [(each.pattern, each.why) for each in noted.named] == [(asked[0].pattern, "no proof")]


@pytest.mark.parametrize("text", ["y@p.example", '"a,b"@p.example'])
@pytest.mark.parametrize("tags", ["prvs=1234abcdef={}", "btv1==x==prvs=1234abcdef={}", "{}+prvs=1234abcdef"])
@pytest.mark.parametrize("is_proven", [True, False])
def test_what_is_said_of_an_address_with_its_tag_counts_before_what_is_said_of_the_address(
    tmp_path: Path, text: str, tags: str, is_proven: bool
) -> None:
    """A filter that knows tags finds the address behind one, which is safe; an override blocks the other, or asks more
    of it than a filter can."""
    path, settings = tmp_path / "lists", Settings(quorum=1, authentication=Authentication.NONE)
    tagged = sender.envelope(tags.format(sender.unquoted(sender.parse(text)).partition("@")[0]) + "@p.example")
    effect = Effect.BLOCK if is_proven else Effect.ALLOW
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        held = frozenset({Entry(UserList.SAFE_SENDERS, sender.parse(text))})
        opened.record(run, MAILBOXES[0], SEEN._replace(owner=MAILBOXES[0]), held, ALL_LISTS, NOW)
        opened.make_overrides([Terms(effect, tagged, "x", None, Level.ENFORCED, Authentication.SPF)], NOW, "root")
        chosen = sample_target.SampleSettings(path=path, unauthenticated=is_proven)
        publish(opened, settings, sample_target.TARGET, chosen, lambda: NOW)
    assert is_safe(path, MAILBOXES[1], text)
    assert not is_safe(path, MAILBOXES[1], tagged.text)


def test_what_counts_for_everybody_and_for_each_is_of_one_moment(tmp_path: Path) -> None:
    """Blocked for one recipient, then for everybody instead: at no moment the sender is safe for that recipient."""
    path, asked = tmp_path / "lists", sender.parse("x@aol.com")
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        allow, block = (Terms(effect, asked, "x") for effect in (Effect.ALLOW, Effect.BLOCK))
        block_for_one = block._replace(scope=sender.parse("a@corp.example"))
        made = opened.make_overrides([allow, block_for_one], NOW, "root")

        def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], chosen: Any) -> Rendering:
            opened.revoke_overrides([each.override.id for each in made], "x", NOW, "root")
            opened.make_overrides([block], NOW, "root")
            return sample_target.render(everybody, each, chosen)

        target = text_target(
            name=sample_target.NAME, settings=sample_target.SampleSettings, demands=sample_target.demands,
            use=sample_target.use, scope=Scope.RECIPIENT, render=render,
        )  # fmt: skip
        publish(opened, Settings(), target, sample_target.SampleSettings(path=path), lambda: NOW)
    assert (is_safe(path, "a@corp.example", "x@aol.com"), is_safe(path, "b@corp.example", "x@aol.com")) == (False, True)


def test_a_domain_that_became_the_organisations_own_meanwhile_is_its_own(tmp_path: Path) -> None:
    """The settings are made before a publication waits for another one; a run may bring a mailbox until then."""
    path = tmp_path / "lists"
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(0), [])
        run = opened.begin_run(NOW, "sync", "root")
        held = frozenset({Entry(UserList.SAFE_SENDERS, sender.parse("boss@new.example"))})
        for mailbox in ("a@corp.example", "d@new.example"):
            opened.record(run, mailbox, SEEN._replace(owner=mailbox), held, ALL_LISTS, NOW)
        settings = Settings(own_domains=frozenset({"corp.example", "other.example"}))
        publish(opened, settings, sample_target.TARGET, sample_target.SampleSettings(path=path), lambda: NOW)
    assert not is_safe(path, "b@corp.example", "boss@new.example")


def test_recipients_are_decided_as_they_are_asked_for() -> None:
    allow = Override(1, Terms(Effect.ALLOW, sender.parse(".aol.com"), "x"), NOW, "root")
    found = list(islice(rulings.for_each(Asked(Endless(allow), Settings(), NOW, dry_run=True)), 3))
    assert [each.recipient for each in found] == ["r0@corp.example", "r1@corp.example", "r2@corp.example"]
    assert all(each.safe for each in found)


class Endless(Nothing):
    """One recipient after the other, each with another sender."""

    def __init__(self, override: Override) -> None:
        self._override = override

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """Without an end."""
        for number in count():
            yield Candidate(sender.parse(f"s{number}@aol.com"), (), (self._override,), f"r{number}@corp.example")


def listing(first: int, last: int, at_once: int) -> Target:
    """A target with a list of so many lines, which come in no order."""

    def render(_: object, __: object, chosen: Any) -> Rendering:
        lines = (b"r%07d@corp.example s@aol.com\n" % (number * 7919 % last) for number in range(first, last))
        return Rendering([TextFile(chosen.path, b"# a list\n", lines, key=whole_line, at_once=at_once)])

    return text_target(
        render=render, scope=Scope.RECIPIENT, name="listing", settings=Chosen,
        demands=lambda _: "", use=lambda _: "",
    )  # fmt: skip


class Chosen(BaseModel):
    path: Path


def write(path: Path, first: int, last: int, at_once: int = AT_ONCE) -> Published:
    return publish(
        Nothing(), Settings(), listing(first, last, at_once), Chosen(path=path), lambda: NOW, allow_shrink=True
    )


def peak(path: Path, size: int) -> int:
    """Bytes that it takes at most to write a list, and to write it again with some of it gone."""
    tracemalloc.start()
    try:
        assert write(path, 0, size, 2000).entries == size
        assert write(path, 50, size, 2000).gone == 50
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.no_cover
def test_a_list_takes_no_more_memory_however_long_it_is(tmp_path: Path) -> None:
    """In no order, and in runs of two thousand lines."""
    peak(tmp_path / "0", 3000)  # what is imported and kept once
    small, large = (peak(tmp_path / str(size), size) for size in (10_000, 40_000))
    assert large < small + 700_000, "the lines alone, of which 30,000 more are written, would take two million"


def test_of_a_long_list_the_first_that_came_and_went_are_named_and_all_are_counted(tmp_path: Path) -> None:
    size = KEPT + 2000
    first = write(tmp_path / "list", 0, size)
    assert (first.new, len(first.added), first.entries) == (size, KEPT, size)
    last = write(tmp_path / "list", size - 1, size)
    assert (last.gone, len(last.removed), last.entries) == (size - 1, KEPT, 1)
    assert list(last.removed) == sorted(last.removed)


@pytest.mark.no_cover
def test_of_what_is_left_out_for_recipients_the_first_are_named_and_the_rest_is_counted(tmp_path: Path) -> None:
    """Each sender once, however many recipients have it."""
    allow = Override(1, Terms(Effect.ALLOW, sender.parse(".aol.com"), "x"), NOW, "root")
    given, chosen = Listed(allow, KEPT + 5), sample_target.SampleSettings(path=tmp_path / "list")
    done = publish(given, Settings(), sample_target.TARGET, chosen, lambda: NOW)
    assert (len(done.refused), done.entries) == (KEPT, 0)
    assert [note for note in done.notes if f"{KEPT} are named, and 10 more are not" in note] != []


class Listed(Endless):
    """Two recipients with each of so many senders that no line can hold."""

    def __init__(self, override: Override, size: int) -> None:
        super().__init__(override)
        self._size = size

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        for recipient in ("a@corp.example", "b@corp.example"):
            for number in range(self._size):
                yield Candidate(sender.parse(f"#{number}@aol.com"), (), (self._override,), recipient)
