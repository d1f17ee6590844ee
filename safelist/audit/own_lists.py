"""One mailbox's lists as its user wants to know them: which entries count, why others do not, which were of use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from safelist import policy
from safelist.audit.answers import MailboxAnswer, mailbox
from safelist.entry import TRUSTING_LISTS, Holding, UserList
from safelist.policy import Decision, Settings
from safelist.store import Store
from safelist.used import Use


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """An open entry. ``decision`` is about mail from it to this mailbox; None: the list is about no trusted sender.

    ``uses`` are those of the entry, by this mailbox or by everybody's trust; the last one first.
    """

    holding: Holding
    decision: Decision | None
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class OwnLists:
    """The answer of :func:`safelist.audit.mailbox`, and every open entry with what comes of it."""

    answer: MailboxAnswer
    entries: tuple[OwnEntry, ...]

    @property
    def trusting(self) -> tuple[OwnEntry, ...]:
        """The entries by which the user trusts a sender."""
        return tuple(each for each in self.entries if each.decision is not None)


def own_lists(
    store: Store, address: str, settings: Settings, now: datetime, uses: Iterable[Use] = ()
) -> OwnLists | None:  # fmt: skip
    """The lists of that mailbox with what the policy says of each entry; None: it was never asked."""
    answer = mailbox(store, address, settings, now)
    if answer is None:
        return None
    holdings = [holding for holding, _ in answer.holdings if holding.until is None]
    trusted = list(dict.fromkeys(holding.pattern for holding in holdings if _trusts(holding)))
    candidates = store.asked(trusted, answer.state.address, settings, now)
    decided = {of: policy.decide(each, settings, now) for of, each in zip(trusted, candidates, strict=True)}
    used = _by_sender(uses, answer.state.address)
    return OwnLists(
        answer,
        tuple(
            OwnEntry(each, decided[each.pattern] if _trusts(each) else None, used.get(each.pattern.text, ()))
            for each in holdings
        ),
    )


def _trusts(holding: Holding) -> bool:
    return holding.list in TRUSTING_LISTS or holding.list is UserList.TRUSTED_CONTACTS


def _by_sender(uses: Iterable[Use], address: str) -> Mapping[str, tuple[Use, ...]]:
    found: dict[str, tuple[Use, ...]] = {}
    for use in uses:
        if use.key.mailbox in ("", address):
            found[use.key.sender] = (*found.get(use.key.sender, ()), use)
    return found
