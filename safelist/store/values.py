"""What goes into the store and what comes out of it: plain values, times aware and in UTC."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from safelist.entry import Entry, UserList
from safelist.override import Override, State
from safelist.sender import Pattern
from safelist.store.position import Position


class Outcome(StrEnum):
    """What became of one mailbox in one run: stable codes, kept in the database."""

    COLLECTED = "collected"
    UNCHANGED = "unchanged"
    NO_RULE = "no-rule"
    FAILED = "failed"
    VANISHED = "vanished"
    HELD_BACK = "held-back"
    FORGOTTEN = "forgotten"


class RuleVersion(NamedTuple):
    """What identifies the lists that a mailbox answered with; every field is None when it has none.

    ``owner`` names the mailbox itself (for Exchange the GUID inside the rule's id), ``rule_id`` and ``change_key`` the
    source's own name of the rule and of its version, ``digest`` the content as it was read; ``state`` is
    PidTagRuleMessageState, ``size`` are the bytes of the rule's condition (PidTagExtendedRuleMessageCondition), which
    Exchange limits.
    """

    owner: str | None = None
    rule_id: str | None = None
    change_key: str | None = None
    digest: bytes | None = None
    state: int | None = None
    include_contacts: bool | None = None
    size: int | None = None


NO_RULE = RuleVersion()


class Change(NamedTuple):
    """Entries by which a mailbox's lists differ from what was recorded, in the order of list and text."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]


class MailboxState(NamedTuple):
    """A mailbox as it was last seen.

    ``lists`` were covered by the last recording; ``entries`` are open, ``refused`` of them cannot be senders;
    ``checked`` is the last try, ``answered`` the last answer that was believed, ``changed`` the last change of a list;
    ``source`` is whose mailbox it is: the one that asked last.
    """

    address: str
    rule: RuleVersion
    lists: frozenset[UserList]
    entries: int
    refused: int
    outcome: str
    reason: str | None
    problem: str | None
    checked: datetime
    answered: datetime | None
    changed: datetime | None
    doubt: str | None
    doubt_runs: int
    source: str


class FoundKind(StrEnum):
    """What a text that was searched for stands in."""

    MAILBOX = "mailbox"
    OVERRIDE = "override"
    SENDER = "sender"


class Run(NamedTuple):
    """One run of a command that writes; ``finished`` is None while it runs, and for ever if it was killed.

    ``source`` is the one that it collected from.
    """

    id: int
    started: datetime
    finished: datetime | None
    what: str
    actor: str
    counts: Mapping[str, int]
    problem: str | None
    source: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why it did not end well; None where it did."""
        if self.finished is None:
            return "it has not ended: it still runs, or was killed"
        failed = ", ".join(f"{self.counts[name]} {name}" for name in _FAILURES if self.counts.get(name))
        return self.problem or (f"mailboxes: {failed}" if failed else None)


_FAILURES = (Outcome.FAILED, Outcome.VANISHED, Outcome.HELD_BACK)


class Found(NamedTuple):
    """What a search found: a mailbox with that ``number`` of open entries, or a sender that so many mailboxes trust, or
    so many overrides, in force or not, are about.
    """

    what: FoundKind
    text: str
    number: int
    position: Position


class Totals(NamedTuple):
    """The aggregate in figures; ``entries`` are open, ``trusted`` patterns have at least one trusting mailbox."""

    mailboxes: int
    with_entries: int
    entries: int
    refused: int
    patterns: int
    trusted: int


class Miscount(NamedTuple):
    """A pattern whose maintained number of trusting mailboxes, or of those that have it among their trusted contacts
    only, is not what its entries say.
    """

    text: str
    maintained: int
    counted: int


class HolderCount(NamedTuple):
    """So many mailboxes have the ``pattern`` now in a list of that ``title``, whichever of its two forms."""

    pattern: Pattern
    title: str
    mailboxes: int


class Publication(NamedTuple):
    """What a publication wrote: figures, the file's SHA-256 (hexadecimal), and the policy's settings as JSON."""

    target: str
    path: str
    entries: int
    added: int
    removed: int
    file_digest: str
    settings: str


class MailboxTrouble(NamedTuple):
    """A mailbox that needs somebody: how it ended when it was asked last, and its last answer that was believed."""

    address: str
    source: str
    outcome: str
    reason: str | None
    problem: str | None
    answered: datetime | None


class PublishedFile(NamedTuple):
    """A file of a target: its SHA-256 as that target tells it, and the files that the filter opens for it.

    ``opened`` are the file itself and, where there is one, the index that a program made of it.
    """

    path: str
    digest: str
    opened: tuple[str, ...]


class TargetState(NamedTuple):
    """What a target was when it was last known to be right, also where nothing had to be written for that.

    ``files`` are those of a target that writes some; ``after_run`` is the newest run by then, which the store notes.
    """

    target: str
    path: str
    confirmed: datetime
    entries: int
    files: tuple[PublishedFile, ...]
    after_run: int = 0


class KnownFailure(NamedTuple):
    """What is to be acknowledged: that a mailbox fails for that reason, why nobody mends it yet, and until when."""

    mailbox: str
    failure: str
    reason: str
    ticket: str | None
    expires: datetime


class Acknowledgement(NamedTuple):
    """A recorded :class:`KnownFailure`: while it is in force, that mailbox fails no run for that reason."""

    id: int
    known: KnownFailure
    made: datetime
    actor: str
    revoked: datetime | None = None
    revoked_by: str | None = None
    revoked_why: str | None = None

    def state(self, now: datetime) -> State:
        """What has become of it by ``now``."""
        if self.revoked is not None:
            return State.REVOKED
        return State.IN_FORCE if now < self.known.expires else State.EXPIRED

    def in_force(self, now: datetime) -> bool:
        """Whether it counts at ``now``."""
        return self.state(now) is State.IN_FORCE


class Verified(NamedTuple):
    """How far the chain of change sets holds: how many do, the last digest, and the first problem, if any."""

    change_sets: int
    head: str
    problem: str | None


class Made(NamedTuple):
    """An override that is in force now: a new one, which may have replaced another, or one that was there already."""

    override: Override
    is_new: bool
    replaced: Override | None = None


class Moment(NamedTuple):
    """A state of the aggregate: after the change set of that number (0: before the first), at that time."""

    change_set: int
    at: datetime


class EventKind(StrEnum):
    """What happened."""

    ENTRY_ADDED = "entry-added"
    ENTRY_REMOVED = "entry-removed"
    OVERRIDE_MADE = "override-made"
    OVERRIDE_EXPIRED = "override-expired"
    OVERRIDE_REVOKED = "override-revoked"
    FAILURE_ACKNOWLEDGED = "failure-acknowledged"
    ACKNOWLEDGEMENT_EXPIRED = "acknowledgement-expired"
    ACKNOWLEDGEMENT_REVOKED = "acknowledgement-revoked"
    PUBLISHED = "published"
    RUN_FAILED = "run-failed"
    LOOKED = "looked"


class Look(NamedTuple):
    """What somebody was shown of lists that are not their own: by which ``role``, on which ``page``.

    ``mailbox`` is whose list it was, ``sender`` whom it was about; ``names`` counts the mailboxes that were named.
    """

    role: str
    page: str
    mailbox: str | None
    sender: str | None
    names: int


class Event(NamedTuple):
    """One thing that happened, by whom; of ``entry``, ``override``, ``acknowledgement``, ``publication``, ``look`` and
    ``run`` one says what.

    ``at_first`` is the one of :class:`~safelist.entry.Holding`; ``position`` is where it stands among all events.
    """

    at: datetime
    kind: EventKind
    actor: str
    run: int | None
    mailbox: str | None = None
    entry: Entry | None = None
    override: Override | None = None
    publication: Publication | None = None
    problem: str | None = None
    at_first: bool = False
    acknowledgement: Acknowledgement | None = None
    look: Look | None = None
    position: Position = ()


class RejectionCount(NamedTuple):
    """Mails of one day that one DNS blocklist rejected and that the policy says the same of, and their attempts.

    ``day`` is a date in ISO 8601, in the zone of the logs. ``rescue`` and ``reason`` are codes; None: the policy has
    none, or was not asked, since the list was no list of clients.
    """

    day: str
    provider: str
    rescue: str | None
    reason: str | None
    mails: int
    attempts: int


class KeptDay(NamedTuple):
    """A day of which a reading saw ``seen`` mails, and of which ``kept`` are kept now: more where it saw too few."""

    day: str
    seen: int
    kept: int

    @property
    def is_replaced(self) -> bool:
        """Whether what the reading saw is what is kept."""
        return self.kept == self.seen
