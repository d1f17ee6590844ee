"""The policy's settings, in words."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from safelist.audit.report.values import Setting
from safelist.override import Authentication
from safelist.policy import Settings

_NAMED_IN_WORDS = 20

_AUTHENTICATION = {
    Authentication.DKIM_OR_SPF: "The policy asks for DKIM or SPF; what each target demands stands below.",
    Authentication.SPF: "The policy asks for SPF; what each target demands stands below.",
    Authentication.NONE: "The policy asks for nothing: whoever forges a safe sender counts as that sender.",
}
NO_TARGET = Setting("Published", "No target is configured: no mail filter reads any of this.")


def in_words(settings: Settings) -> Iterator[Setting]:
    """Each setting as a sentence."""
    quorum = counted(settings.quorum, "mailbox trusts", "different mailboxes trust")
    yield Setting("Quorum", f"A sender is safe for the whole organisation when at least {quorum} it.")
    yield Setting("Domains", _domains_in_words(settings))
    yield Setting("Trusted contacts", _contacts_in_words(settings))
    yield Setting("Age", _age_in_words(settings.max_age))
    yield Setting("Authentication", _AUTHENTICATION[settings.authentication])
    yield Setting("Own domains", _named(settings.own_domains, "No entry in or below one of these makes anybody safe"))
    yield Setting(
        "Free-mail domains", _named(settings.free_mail_domains, "The well-known ones and", "The well-known ones.")
    )
    yield Setting("Shared domains", _named(settings.shared_domains, "The well-known ones and", "The well-known ones."))
    yield Setting("Excluded mailboxes", _named(settings.excluded_mailboxes, "The entries of these do not count"))


def _domains_in_words(settings: Settings) -> str:
    if settings.include_domains:
        return "Entries for whole domains count too, except public suffixes, free-mail, shared and own domains."
    return "Entries for whole domains do not count, only addresses do."


def _contacts_in_words(settings: Settings) -> str:
    if settings.include_contacts:
        return "A mailbox’s trusted contacts count too, where its user trusts the contacts."
    return "Trusted contacts do not count."


def _age_in_words(max_age: timedelta | None) -> str:
    if max_age is None:
        return "Entries count however old they are."
    return f"Entries that were added more than {counted(max_age.days, 'day')} ago do not count."


def _named(names: Iterable[str], meaning: str, nobody: str = "None are named.") -> str:
    ordered = sorted(names)
    if not ordered:
        return nobody
    more = len(ordered) - _NAMED_IN_WORDS
    return f"{meaning}: {', '.join(ordered[:_NAMED_IN_WORDS])}{f' and {more:,} more' if more > 0 else ''}."


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 day``, ``2 days``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
