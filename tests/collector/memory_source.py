"""A source that holds its lists in memory: the smallest that obeys the contract."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from safelist.collector.failure import Extent, FailureReason, FetchError
from safelist.collector.source import Lists, Selection, SourceTerms, Unchanged, digest_of
from safelist.entry import ALL_LISTS, UserList
from safelist.store import RuleVersion

Texts = Mapping[UserList, Sequence[str]]


@dataclass
class MemorySource:
    """What ``held`` says; ``owners`` where an address is another one's too; ``failing`` mailboxes do not answer,
    ``broken`` ones raise what the system raised."""

    name: str = "memory"
    lists: frozenset[UserList] = ALL_LISTS
    terms: SourceTerms = field(default_factory=lambda: SourceTerms(budget="sources.memory.budget"))
    held: dict[str, Texts | None] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    reads: int = 0

    def mailboxes(self, until: float | None) -> Selection:
        return Selection(list(self.held))

    def fetch(self, address: str, known: RuleVersion | None) -> Lists | Unchanged | None:
        if address in self.broken:
            raise OSError(5, "Input/output error", address)
        if address in self.failing:
            raise FetchError(FailureReason.UNAVAILABLE, "not now; run again later")
        if address not in self.held:
            raise FetchError(FailureReason.NOT_FOUND, "it has no such mailbox; correct the address", "", Extent.ONE)
        texts = self.held[address]
        if texts is None:
            return None
        digest = digest_of(*_written(texts))
        if known is not None and known.digest == digest:
            return Unchanged()
        self.reads += 1
        return Lists(RuleVersion(owner=self.owners.get(address, address), digest=digest), texts)

    def rooms(self, until: float | None) -> frozenset[str]:
        return frozenset()


def _written(texts: Texts) -> Iterator[bytes]:
    for list_, some in sorted(texts.items()):
        yield f"{list_.code}: {sorted(some)}\n".encode()
