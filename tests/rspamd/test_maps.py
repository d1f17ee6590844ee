"""What a real rspamd finds in its lists is what the policy says, and what was written, whatever it looks like."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.override import Authentication
from safelist.policy import Settings, decide
from safelist.publisher.publish import publish
from safelist.publisher.target import Published, Ruling
from safelist.sender import Form, Pattern
from safelist.store import Store
from tests import aggregate
from tests.mail import hostile
from tests.mail.world import DESK, OTHER, Offer
from tests.publisher.site import NOW
from tests.publisher.test_recipients import ASKED, CHOSEN, MAILBOXES, SCOPES, SENDERS, filled
from tests.rspamd.conftest import Served, only_maps
from tests.store.samples import SEEN

ODD = [
    r'"a\\b"@p.example',
    "ab@p.example",
    '"a b"@p.example',
    "#x@p.example",
    '"#x"@s.p.example',
    "prvs=1234567890=x@aol.com",
    "y+1@p.example",
]
PROOF = Authentication.DKIM_OR_SPF
HEADER_FROM = "nobody@elsewhere.example"


def published(served: Served, opened: Store, settings: Settings) -> Published:
    """Publish, and wait until rspamd has read it."""
    done = publish(opened, settings, served.target, served.settings, lambda: NOW, allow_shrink=True)
    everybody, recipients = (each.entries for each in done.files)
    assert served.reads(everybody, recipients)
    return done


def found(served: Served, text: str, recipient: str) -> str:
    """What rspamd says of an envelope's sender, without any proof."""
    said = served.rspamd.asked(Offer(text, (recipient,), header_from=HEADER_FROM))
    return next((name for name in ("SAFELIST", "SAFELIST_UNPROVEN") if name in said), "")


def differing(served: Served, opened: Store, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Recipients and senders of whom rspamd says another thing than the policy, and what."""
    moment = opened.newest(NOW)
    settings = replace(settings, own_domains=settings.own_domains | opened.own_domains())
    for recipient in (*MAILBOXES, "nobody@corp.example"):
        for text in (*ASKED, *ODD):
            candidate, _ = opened.candidate(sender.parse(text), recipient, settings, moment)
            decision, said = decide(candidate, settings, NOW), found(served, text, recipient)
            is_proven = decision.authentication is Authentication.NONE
            if said != (("SAFELIST" if is_proven else "SAFELIST_UNPROVEN") if decision.safe else ""):
                yield recipient, text, said


@pytest.mark.parametrize("seed", range(9))
def test_rspamd_finds_what_the_policy_says(served: Served, tmp_path: Path, seed: int) -> None:
    """Addresses, domains, sub-domains and exceptions, of everybody's and of single recipients'."""
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES, [*SENDERS, *ODD[:4]])
        published(served, opened, CHOSEN[seed % 3])
        assert list(differing(served, opened, CHOSEN[seed % 3])) == []


def trust(opened: Store, texts: Iterable[str], mailboxes: Iterable[str] = (DESK, "front@corp.example")) -> None:
    """Let these mailboxes trust the senders, and nobody else."""
    run = opened.begin_run(NOW, "sync", "root")
    held = frozenset(Entry(UserList.SAFE_SENDERS, sender.parse(text)) for text in texts)
    for mailbox in mailboxes:
        opened.record(run, mailbox, SEEN._replace(owner=mailbox), held, ALL_LISTS, NOW)


def askable(texts: Iterable[str]) -> dict[str, str]:
    """Each pattern that is one, and an envelope's sender that it means."""
    patterns = [sender.parse(text) for text in texts]
    return {
        it.text: it.text if it.form is Form.ADDRESS else f"x@{'sub' if it.form is Form.SUBDOMAINS else ''}{it.text}"
        for it in patterns
        if it.form is not Form.REFUSED
    }


def left_out(done: Published) -> set[str]:
    return {each.pattern.text for each in done.refused}


@pytest.mark.parametrize("texts", [hostile.ADDRESSES, hostile.DOMAINS], ids=["addresses", "domains"])
def test_whatever_a_sender_looks_like_it_is_found_or_left_out_and_nobody_else_is(
    served: Served, tmp_path: Path, texts: tuple[str, ...]
) -> None:
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        trust(opened, (*texts, *hostile.BROKEN))
        done = published(served, opened, Settings(quorum=2, include_domains=True))
    for recipient in (DESK, OTHER):
        missed = {text for text, mail in askable(texts).items() if not found(served, mail, recipient)}
        assert missed == left_out(done)
        others = [each for each in hostile.BYSTANDERS if not is_meant(each, texts)]
        assert [each for each in others if found(served, each, recipient)] == []
    assert left_out(done) == {text for text in askable(texts) if not text.isascii()}


def is_meant(text: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts covers a sender."""
    return not {sender.parse(each).text for each in texts}.isdisjoint(sender.covering(sender.parse(text)))


def in_smtp(address: str) -> str:
    """As a client has to write it: Exchange keeps some that need quotes without them."""
    local, _, domain = address.rpartition("@")
    return f'"{local}"@{domain}' if ":" in local else address


def test_whatever_a_recipient_looks_like_it_is_found_or_left_out(served: Served, tmp_path: Path) -> None:
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        trust(opened, ["bob@hostile.example"], hostile.RECIPIENTS)
        done = published(served, opened, Settings(quorum=20))
    missed = [each for each in hostile.RECIPIENTS if not found(served, "bob@hostile.example", in_smtp(each))]
    assert missed == [each for each in hostile.RECIPIENTS if not each.isascii()]
    assert left_out(done) == set(missed)
    others = ["d@corp.example", "e@corp.example", "desk@corp.example", "front@corp.example", "obrien@corp.example"]
    assert [each for each in others if found(served, "bob@hostile.example", each)] == []


@only_maps
def test_of_a_long_map_no_line_is_lost(served: Served) -> None:
    """rspamd reads a file in pieces, and loses a line that is cut within a value."""
    many = [Ruling(Pattern(f"sender{n:06}@{'partner' * 8}.example", Form.ADDRESS), True, PROOF) for n in range(60_000)]
    served.write(many, [])
    assert served.path.stat().st_size > 4 << 20
    served.write([], [])
