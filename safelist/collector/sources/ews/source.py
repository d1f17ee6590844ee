"""Exchange as a source: whose Junk E-mail Rules there are, and each one's lists, decoded where they are new."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.source import Lists, Selection, SourceTerms, Unchanged, digest_of, item_identity
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.item_id import owner
from safelist.collector.sources.ews.mailboxes import select
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.settings import EwsSettings
from safelist.collector.sources.ews.soap import Rule
from safelist.entry import ALL_LISTS, FIRST_SOURCE, UserList
from safelist.errors import RuleError
from safelist.junkrule import decode
from safelist.store import RuleVersion


class EwsSource:
    """The mailboxes of an Exchange. Nothing is sent before the first question; see :class:`ExchangeServer`."""

    lists = ALL_LISTS

    def __init__(
        self, name: str, settings: EwsSettings, secret: str | None, *,
        retry_policy: RetryPolicy | None = None, pause: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        section = "" if name == FIRST_SOURCE else f"sources.{name}."
        self.terms = SourceTerms(f"{section}exchange.budget", "Junk E-mail Rule", "Exchange")
        self._settings = settings
        self._server = ExchangeServer(settings.exchange, secret, retry_policy=retry_policy, pause=pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.close()

    def mailboxes(self, until: float | None) -> Selection:
        """Find every mailbox that the configuration names, also in groups. Raises ConfigError where it names none."""
        return select(self._settings.mailboxes, self._server, until)

    def fetch(self, address: str, known: RuleVersion | None) -> Lists | Unchanged | None:
        """Ask for the lists in the mailbox's rule. A rule whose content is known is not decoded. Raises FetchError."""
        found = self._server.fetch(address, known.change_key if known is not None else None)
        if not isinstance(found, Rule):
            return found
        version = version_of(found)
        if known is not None and known.digest == version.digest:
            return Unchanged(version, _notes(found))
        return Lists(version, _texts(found), _notes(found))

    def rooms(self, until: float | None) -> frozenset[str]:
        """Ask for the rooms in Exchange's room lists; none where it does not say."""
        try:
            return self._server.rooms(until)
        except FetchError:
            return frozenset()


def version_of(rule: Rule) -> RuleVersion:
    """What tells the rule, and what counts of it: contacts that its user does not trust are no entries."""
    contacts = b"\1" if rule.include_contacts else b"\0"
    return RuleVersion(
        owner(rule.rule_id) or item_identity(rule.rule_id), rule.rule_id, rule.change_key,
        digest_of(contacts, rule.condition), rule.state, rule.include_contacts, len(rule.condition),
    )  # fmt: skip


def _texts(rule: Rule) -> Mapping[UserList, tuple[str, ...]]:
    """Raises FetchError for a condition that is no Junk E-mail Rule."""
    try:
        decoded = decode(rule.condition)
    except RuleError as error:
        raise FetchError(
            FailureReason.UNREADABLE,
            f"the Junk E-mail Rule cannot be read ({error}); the last good list is kept; "
            "open the mailbox in Outlook and save its junk options, or report the rule",
        ) from None
    # Contacts that the user does not trust (PidTagJunkIncludeContacts) are no entries.
    believed = ALL_LISTS if rule.include_contacts else ALL_LISTS - {UserList.TRUSTED_CONTACTS}
    return {list_: decoded.texts(list_) for list_ in believed}


def _notes(rule: Rule) -> tuple[str, ...]:
    if not rule.duplicates:
        return ()
    return (f"{rule.duplicates} more Junk E-mail Rules were found; the most recently modified one counts",)
