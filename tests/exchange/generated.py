"""A large organisation that costs little memory, for measuring."""

import functools
from collections.abc import Iterator, Mapping

from safelist.junkrule import JunkRule, encode
from tests.exchange.organisation import Mailbox, Organisation


class GeneratedMailboxes(Mapping[str, Mailbox]):
    """``count`` mailboxes ``user000000@corp.example`` ..., each made when it is asked for; few are kept.

    Every one trusts ``senders`` addresses; 64 different lists go round. A change to one is lost when it is made again.
    """

    def __init__(self, count: int, senders: int) -> None:
        self._count = count
        self._make = functools.lru_cache(maxsize=256)(self._mailbox)
        self._lists = tuple(encode(_generated_rule(number, senders)) for number in range(min(count, 64)))

    def __getitem__(self, address: str) -> Mailbox:
        return self._make(address)

    def _mailbox(self, address: str) -> Mailbox:
        number = _generated_number(address)
        if number is None or number >= self._count:
            raise KeyError(address)
        return Mailbox(address, self._lists[number % len(self._lists)])

    def __contains__(self, address: object) -> bool:
        number = _generated_number(address) if isinstance(address, str) else None
        return number is not None and number < self._count

    def __iter__(self) -> Iterator[str]:
        return (f"user{number:06}@corp.example" for number in range(self._count))

    def __len__(self) -> int:
        return self._count


class GeneratedOrganisation(Organisation):
    """An organisation that looks through no other mailbox for the one that is asked for."""

    def find(self, address: str) -> Mailbox | None:
        return self.mailboxes.get(address.lower())


def generated(mailboxes: int, senders: int) -> Organisation:
    """``mailboxes`` mailboxes that trust ``senders`` addresses each."""
    return GeneratedOrganisation(GeneratedMailboxes(mailboxes, senders))


def _generated_number(address: str) -> int | None:
    local, _, domain = address.partition("@")
    if domain != "corp.example" or not local.startswith("user") or not local[4:].isdecimal() or len(local) != 10:
        return None
    return int(local[4:])


def _generated_rule(number: int, senders: int) -> JunkRule:
    own = tuple(f"sender{number:02}-{index:05}@partner{index % 50}.example" for index in range(senders))
    return JunkRule(safe_senders=own)
