"""The one pass over the candidates: what it keeps does not grow with their number."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import heappush, heappushpop
from typing import Generic, NamedTuple, TypeVar

from safelist import domains, policy
from safelist.audit import verp
from safelist.override import Override
from safelist.policy import Candidate, Decision, Reason, Settings
from safelist.sender import Form, Pattern, domain_of

MOST_TRUSTED = 50
MOST_SAFE = 1000
MOST_EXAMPLES = 5
MOST_MADE_ANEW = 200

T = TypeVar("T")


class Best(Generic[T]):
    """The items of the highest rank, at most ``size``; of equal ones those that came first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._heap: list[tuple[float, int, T]] = []

    def add(self, rank: float, item: T) -> None:
        self._seen += 1
        keep = heappush if len(self._heap) < self._size else heappushpop
        keep(self._heap, (rank, -self._seen, item))

    def rows(self) -> list[T]:
        return [item for _, _, item in sorted(self._heap, key=lambda kept: kept[:2], reverse=True)]

    @property
    def seen(self) -> int:
        return self._seen

    @property
    def more(self) -> int:
        return self._seen - len(self._heap)


class Decided(NamedTuple):
    candidate: Candidate
    decision: Decision

    @property
    def pattern(self) -> Pattern:
        return self.candidate.sender

    @property
    def votes(self) -> int:
        return sum(tally.votes for tally in self.candidate.tallies)


@dataclass(slots=True)
class Sums:
    entries: int = 0
    votes: int = 0
    safe: int = 0

    def add(self, entries: int, votes: int, safe: int) -> None:
        self.entries += entries
        self.votes += votes
        self.safe += safe


class Survey:
    """What the pass finds. An entry is what somebody trusts; a sender that only an override is about is none."""

    def __init__(self) -> None:
        self.providers: dict[str, Sums] = {}
        self.trusted: Best[Decided] = Best(MOST_TRUSTED)
        self.safe: Best[Decided] = Best(MOST_SAFE)
        self.safe_by: Counter[Reason] = Counter()
        self.refused: dict[Reason, Best[Decided]] = {}
        self.made_anew: Best[Decided] = Best(MOST_MADE_ANEW)

    def add(self, found: Decided) -> None:
        votes, decision = found.votes, found.decision
        if decision.safe:
            self.safe.add(votes, found)
            self.safe_by[decision.reason] += 1
        if not found.candidate.tallies:
            return
        self.trusted.add(votes, found)
        provider = domains.provider(domain_of(found.pattern))
        self.providers.setdefault(provider, Sums()).add(1, votes, decision.safe)
        if not decision.safe:
            self.refused.setdefault(decision.reason, Best(MOST_EXAMPLES)).add(votes, found)
        if verp.is_made_anew(found.pattern) and not _is_about_the_domain(decision):
            self.made_anew.add(votes, found)


def _is_about_the_domain(decision: Decision) -> bool:
    """Whether an override says it of the whole domain: what the advice about such entries comes to."""
    return isinstance(decision.fact, Override) and decision.fact.terms.pattern.form is not Form.ADDRESS


def survey(candidates: Iterable[Candidate], settings: Settings, now: datetime) -> Survey:
    found = Survey()
    for candidate in candidates:
        found.add(Decided(candidate, policy.decide(candidate, settings, now)))
    return found
