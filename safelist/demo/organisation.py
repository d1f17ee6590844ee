"""An organisation as its Exchange sees it: mailboxes with the associated items of their Inbox, groups, rights."""

import functools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from safelist.demo.identifiers import mailbox_guid
from safelist.junkrule import JunkRule, encode

RULE_CLASS = "IPM.ExtendedRule.Message"
JUNK_PROVIDER = "JunkEmailRule"
JUNK_NAME = "Junk E-mail Rule"
STATE_ON = 0x31
STATE_OFF = 0x30

Value = str | int | bytes


class MapiProperty(NamedTuple):
    """A MAPI property: the 16-bit id of its tag and EWS's name of its type (``String``, ``Integer``, ``Binary``)."""

    tag: int
    type: str


PROVIDER = MapiProperty(0x65EB, "String")
NAME = MapiProperty(0x65EC, "String")
SUBJECT = MapiProperty(0x0037, "String")
STATE = MapiProperty(0x65E9, "Integer")
SEQUENCE = MapiProperty(0x65F3, "Integer")
LEVEL = MapiProperty(0x65ED, "Integer")
USER_FLAGS = MapiProperty(0x65EA, "Integer")
CONDITION = MapiProperty(0x0E9A, "Binary")
ACTIONS = MapiProperty(0x0E99, "Binary")
INCLUDE_CONTACTS = MapiProperty(0x6100, "Integer")
THRESHOLD = MapiProperty(0x6101, "Integer")
PERMANENTLY_DELETE = MapiProperty(0x6102, "Integer")
ADD_RECIPIENTS = MapiProperty(0x6103, "Integer")

_FIRST_CHANGE = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_NO_ACTIONS = struct.pack("<HII", 0, 1, 0)


@dataclass(frozen=True, slots=True)
class AssociatedItem:
    """One folder-associated item of an Inbox. ``number`` names it in its mailbox, ``revision`` its last change."""

    number: int
    revision: int
    item_class: str
    subject: str
    modified: datetime
    properties: Mapping[MapiProperty, Value]

    @property
    def provider(self) -> str | None:
        """The rule provider in lower case; None for what is not a rule."""
        value = self.properties.get(PROVIDER)
        return value.lower() if isinstance(value, str) else None


class DlMember(NamedTuple):
    """A member of a group; ``kind`` is EWS's MailboxType: Mailbox, PublicDL, PrivateDL, Contact, PublicFolder."""

    address: str
    kind: str = "Mailbox"


@dataclass(frozen=True, slots=True)
class DistributionGroup:
    """A distribution group."""

    address: str
    members: tuple[DlMember, ...]


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who may ask, by Basic authentication."""

    principal: str = "svc-safelist@corp.example"
    password: str = "demo-Pa55word"  # noqa: S105 - the demo's own, opens nothing else


class Mailbox:
    """One mailbox: an address, rights of the service account, the associated items of its Inbox.

    Ids depend on the address and on the order of changes only.
    """

    def __init__(
        self,
        address: str,
        rule: JunkRule | bytes | None = None,
        *,
        impersonation: bool = True,
        delegate: bool = True,
        aliases: Iterable[str] = (),
    ) -> None:
        self.address = address
        self.impersonation = impersonation
        self.delegate = delegate
        self.aliases = tuple(aliases)
        self.items = _neighbours()
        self.revision = self._numbers = len(self.items)
        if rule is not None:
            self.set_rule(rule)

    @property
    def guid(self) -> str:
        """The mailbox GUID, derived from the address."""
        return mailbox_guid(self.address)

    @property
    def junk_rule(self) -> AssociatedItem | None:
        """The item of the Junk E-mail Rule, if there is one."""
        return next((item for item in self.items if item.provider == JUNK_PROVIDER.lower()), None)

    def set_rule(self, rule: JunkRule | bytes, *, enabled: bool = True, include_contacts: bool = False) -> None:
        """Write the Junk E-mail Rule: the item id stays, the change key changes. Bytes are taken as the condition."""
        properties = rule_properties(rule, JUNK_PROVIDER, JUNK_NAME, enabled=enabled, contacts=include_contacts)
        self.put(self.junk_rule, JUNK_NAME, properties)

    def put(
        self,
        old: AssociatedItem | None,
        subject: str,
        properties: Mapping[MapiProperty, Value],
        modified: datetime | None = None,
    ) -> None:
        """Write a rule in the place of an old one, or a new one. ``items`` is replaced as a whole."""
        self.revision += 1
        when = modified or _FIRST_CHANGE + timedelta(minutes=self.revision)
        if old is None:
            self._numbers += 1
            new = AssociatedItem(self._numbers, self.revision, RULE_CLASS, subject, when, properties)
            self.items = (*self.items, new)
        else:
            new = replace(old, revision=self.revision, subject=subject, modified=when, properties=properties)
            self.items = tuple(new if item is old else item for item in self.items)


@dataclass
class Organisation:
    """Everything the endpoint answers from. Addresses are keys in lower case."""

    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    groups: Mapping[str, DistributionGroup] = field(default_factory=dict)
    account: ServiceAccount = field(default_factory=ServiceAccount)

    @classmethod
    def of(cls, mailboxes: Iterable[Mailbox], groups: Iterable[DistributionGroup] = ()) -> Self:
        """An organisation of these mailboxes and groups."""
        by_address = {mailbox.address.lower(): mailbox for mailbox in mailboxes}
        return cls(by_address, {group.address.lower(): group for group in groups})

    def find(self, address: str) -> Mailbox | None:
        """The mailbox that has this primary or secondary SMTP address."""
        key = address.lower()
        if key in self.mailboxes:
            return self.mailboxes[key]
        return next((box for box in self.mailboxes.values() if key in map(str.lower, box.aliases)), None)

    def by_guid(self, guid: str) -> Mailbox | None:
        """The mailbox of this GUID."""
        return next((box for box in self.mailboxes.values() if box.guid == guid), None)


def rule_properties(
    rule: JunkRule | bytes, provider: str, name: str, *, enabled: bool, contacts: bool
) -> dict[MapiProperty, Value]:
    """The properties of a rule (MS-OXORULE, MS-OXCSPAM); bytes are taken as its condition."""
    return {
        PROVIDER: provider,
        NAME: name,
        SUBJECT: name,
        STATE: STATE_ON if enabled else STATE_OFF,
        SEQUENCE: 0,
        LEVEL: 0,
        USER_FLAGS: 0,
        CONDITION: rule if isinstance(rule, bytes) else encode(rule),
        ACTIONS: _NO_ACTIONS,
        INCLUDE_CONTACTS: int(contacts),
        THRESHOLD: 6,
        PERMANENTLY_DELETE: 0,
        ADD_RECIPIENTS: 0,
    }


@functools.cache
def _neighbours() -> tuple[AssociatedItem, ...]:
    """What else lies in an Inbox's associated contents: configuration rows, and an Outlook rule on a subject."""
    classes = ("IPM.Configuration.MRM", "IPM.Configuration.UMOLK.UserOptions", "IPM.Configuration.ELC")
    rows = [AssociatedItem(n, n, name, name, _FIRST_CHANGE, {}) for n, name in enumerate(classes, 1)]
    words = rule_properties(_subject_condition("invoice"), "RuleOrganizer", "invoice", enabled=True, contacts=False)
    return (*rows, AssociatedItem(4, 4, RULE_CLASS, "invoice", _FIRST_CHANGE, words))


def _subject_condition(text: str) -> bytes:
    value = struct.pack("<I", 0x0037001F) + text.encode("utf-16-le") + b"\0\0"
    return struct.pack("<HBHHI", 0, 3, 1, 1, 0x0037001F) + value
