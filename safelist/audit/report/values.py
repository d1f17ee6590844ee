"""What the report holds: values that the page shows, and another page could."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from safelist.rejections.summary import Refused
from safelist.store import Totals, Verified

T = TypeVar("T")


class FirstRows(NamedTuple, Generic[T]):
    """The rows that are shown, and how many more there are."""

    rows: tuple[T, ...]
    more: int

    @property
    def all(self) -> int:
        """How many there are, shown or not."""
        return len(self.rows) + self.more


class Setting(NamedTuple):
    """One of the policy's settings, in words."""

    name: str
    words: str


class ProviderLine(NamedTuple):
    """The entries at one provider. ``share`` of all votes and ``bar``, beside the longest, are between 0 and 1.

    Only free-mail providers have a bar: it compares them with each other.
    """

    name: str
    entries: int
    votes: int
    safe: int
    share: float
    bar: float | None


class TrustedSender(NamedTuple):
    """An entry that many mailboxes trust, and what the policy decides about it for the whole organisation."""

    text: str
    votes: int
    safe: bool
    reason: str
    sentence: str


class SafeSender(NamedTuple):
    """A sender that is safe for the whole organisation.

    ``voters`` are the mailboxes whose trust counts; ``exceptions`` says for whom overrides block it all the same.
    """

    text: str
    votes: int
    voters: FirstRows[str]
    reason: str
    sentence: str
    authentication: str
    exceptions: tuple[str, ...]


class RefusedLine(NamedTuple):
    """Why entries are not safe for everybody: ``sentence`` is the decision about the first of the ``examples``."""

    reason: str
    entries: int
    examples: tuple[str, ...]
    sentence: str
    bar: float


class NotASender(NamedTuple):
    """Texts in the users' lists that cannot be senders, by the reason why."""

    reason: str
    sentence: str
    texts: int
    bar: float


class OverrideLine(NamedTuple):
    """An override. ``state`` is in force, expired or revoked; ``remark`` says until or since when."""

    id: int
    effect: str
    sender: str
    scope: str
    level: str
    authentication: str
    reason: str
    ticket: str | None
    actor: str
    made: datetime
    ends: datetime | None
    state: str
    remark: str
    is_soon: bool
    dangers: tuple[str, ...]


class TroubledMailbox(NamedTuple):
    """A mailbox that failed, or whose last believed answer is too old (``is_stale``)."""

    address: str
    outcome: str
    is_stale: bool
    reason: str | None
    problem: str | None
    entries: int
    checked: datetime
    answered: datetime | None


class MailboxTrust(NamedTuple):
    """Whom one mailbox trusts now: the texts of its open entries, sorted, whether they count or not."""

    mailbox: str
    texts: tuple[str, ...]


class MadeAnew(NamedTuple):
    """An entry that will not match twice, and what to do about it."""

    text: str
    votes: int
    advice: str


class SavedMail(NamedTuple):
    """A mail that a DNS blocklist rejected and that the safelist would have let through; ``why`` is a command."""

    at: datetime
    sender: str
    recipient: str
    client: str
    provider: str
    reason: str
    attempts: int
    why: str


class RejectedMails(NamedTuple):
    """What logs tell: ``words`` are whole sentences; days are those of ``zone``."""

    words: tuple[str, ...]
    zone: str
    providers: tuple[Refused, ...]
    domains: tuple[Refused, ...]
    recipients: tuple[Refused, ...]
    saved: FirstRows[SavedMail]


class KeptMonth(NamedTuple):
    """A month of which the counts of some ``days`` were kept: mails, and how many would have been let through.

    Of the others ``refused`` had a sender whom a list or an override names; the senders of ``nobodys`` are in no list.
    """

    month: str
    days: int
    mails: int
    lifted: int
    refused: int
    nobodys: int


class KeptRejections(NamedTuple):
    """The counts that were kept of logs that were read before: the newest month first; the most mails first."""

    months: tuple[KeptMonth, ...]
    providers: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that the page shows. ``safe_by`` counts the senders that are safe for everybody, by reason.

    ``rejected`` is None where no log was read for it, ``kept`` where no counts were kept.
    """

    made: datetime
    version: str
    stale_after: timedelta
    policy: tuple[Setting, ...]
    verified: Verified | None
    totals: Totals
    overrides_in_force: int
    safe_by: tuple[tuple[str, int], ...]
    providers: tuple[ProviderLine, ...]
    trusted: tuple[TrustedSender, ...]
    safe: FirstRows[SafeSender]
    refused: tuple[RefusedLine, ...]
    not_senders: tuple[NotASender, ...]
    overrides: tuple[OverrideLine, ...]
    mailboxes: FirstRows[TroubledMailbox]
    trust: FirstRows[MailboxTrust]
    made_anew: FirstRows[MadeAnew]
    rejected: RejectedMails | None = None
    kept: KeptRejections | None = None
