"""What the sample organisation promises to those who show it."""

from collections import Counter

import pytest

from safelist.demo import Mailbox, Organisation, sample
from safelist.demo.organisation import CONDITION, INCLUDE_CONTACTS, JUNK_PROVIDER, STATE, AssociatedItem
from safelist.demo.sample import AOL_SENDER, BIG_LIST, LONE_SENDER, YAHOO_SENDER
from safelist.junkrule import JunkRule, decode

RESERVED = ("example", "example.com", "example.org", "aol.com", "yahoo.com")


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return sample()


def junk(mailbox: Mailbox) -> AssociatedItem | None:
    return next((item for item in mailbox.items if item.provider == JUNK_PROVIDER.lower()), None)


def rule(mailbox: Mailbox) -> JunkRule:
    item = junk(mailbox)
    condition = item.properties[CONDITION] if item else None
    return decode(condition) if isinstance(condition, bytes) else JunkRule()


def test_the_aol_and_the_yahoo_sender_are_trusted_by_several_and_one_by_one(organisation: Organisation) -> None:
    counts = Counter(sender for mailbox in organisation.mailboxes.values() for sender in rule(mailbox).safe_senders)
    assert (counts[AOL_SENDER], counts[YAHOO_SENDER], counts[LONE_SENDER]) == (6, 5, 1)


def test_every_list_is_used(organisation: Organisation) -> None:
    rules = [rule(mailbox) for mailbox in organisation.mailboxes.values()]
    for name in JunkRule.__dataclass_fields__:
        assert any(getattr(each, name) for each in rules), name
    assert any("@aol.com" in each.safe_sender_domains for each in rules)


def test_the_mailboxes_that_show_one_thing(organisation: Organisation) -> None:
    boxes = organisation.mailboxes
    assert len(boxes) == 41
    assert junk(boxes["kiosk@corp.example"]) is None
    off, contacts = junk(boxes["hr2@corp.example"]), junk(boxes["reception@corp.example"])
    assert off is not None
    assert off.properties[STATE] == 0x30
    assert contacts is not None
    assert contacts.properties[INCLUDE_CONTACTS] == 1
    assert [box.address for box in boxes.values() if not box.impersonation] == ["director@corp.example"]
    assert len(rule(boxes["catalogue@corp.example"]).safe_senders) == BIG_LIST
    assert any(sender.startswith("/o=") for sender in rule(boxes["front-office@corp.example"]).safe_senders)


def test_groups_reach_every_mailbox_and_come_round_again(organisation: Organisation) -> None:
    seen: set[str] = set()
    boxes: set[str] = set()
    waiting, cycles = ["everyone@corp.example"], 0
    while waiting:
        group = organisation.groups[waiting.pop()]
        seen.add(group.address)
        boxes |= {member.address for member in group.members if member.kind == "Mailbox"}
        for member in group.members:
            if member.kind == "PublicDL":
                cycles += member.address in seen
                waiting += [member.address] if member.address not in seen else []
    assert boxes == set(organisation.mailboxes)
    assert cycles == 1


def test_it_is_the_same_again(organisation: Organisation) -> None:
    again = sample()
    assert {key: box.items for key, box in organisation.mailboxes.items()} == {
        key: box.items for key, box in again.mailboxes.items()
    }
    assert organisation.groups == again.groups


def test_only_reserved_domains_and_the_two_providers(organisation: Organisation) -> None:
    for mailbox in organisation.mailboxes.values():
        assert mailbox.address.endswith("@corp.example")
        lists = rule(mailbox)
        for name in JunkRule.__dataclass_fields__:
            for entry in getattr(lists, name):
                domain = entry.strip().rpartition("@")[2].lower()
                assert domain.endswith(RESERVED) or "@" not in entry, entry
