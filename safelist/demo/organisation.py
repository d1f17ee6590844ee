"""An organisation as its Exchange sees it: mailboxes with the associated items of their Inbox, groups, rights."""

import functools
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from safelist.demo.faults import FaultQueue
from safelist.demo.identifiers import id_parts, item_id, mailbox_guid, security_id
from safelist.junkrule import JunkRule, encode

RULE_CLASS = "IPM.ExtendedRule.Message"
JUNK_PROVIDER = "JunkEmailRule"
JUNK_NAME = "Junk E-mail Rule"
STATE_ON = 0x31
STATE_OFF = 0x30

Value = str | int | bytes


class Property(NamedTuple):
    """A MAPI property: the 16-bit id of its tag and EWS's name of its type (``String``, ``Integer``, ``Binary``)."""

    tag: int
    type: str


PROVIDER = Property(0x65EB, "String")
NAME = Property(0x65EC, "String")
SUBJECT = Property(0x0037, "String")
STATE = Property(0x65E9, "Integer")
SEQUENCE = Property(0x65F3, "Integer")
LEVEL = Property(0x65ED, "Integer")
USER_FLAGS = Property(0x65EA, "Integer")
CONDITION = Property(0x0E9A, "Binary")
ACTIONS = Property(0x0E99, "Binary")
INCLUDE_CONTACTS = Property(0x6100, "Integer")
THRESHOLD = Property(0x6101, "Integer")
PERMANENTLY_DELETE = Property(0x6102, "Integer")
ADD_RECIPIENTS = Property(0x6103, "Integer")

_FIRST_CHANGE = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_NO_ACTIONS = struct.pack("<HII", 0, 1, 0)


@dataclass(frozen=True, slots=True)
class Item:
    """One folder-associated item of an Inbox. ``number`` names it in its mailbox, ``revision`` its last change."""

    number: int
    revision: int
    item_class: str
    subject: str
    modified: datetime
    properties: Mapping[Property, Value]

    @property
    def provider(self) -> str | None:
        """The rule provider in lower case; None for what is not a rule."""
        value = self.properties.get(PROVIDER)
        return value.lower() if isinstance(value, str) else None


class Member(NamedTuple):
    """A member of a group; ``kind`` is EWS's MailboxType: Mailbox, PublicDL, PrivateDL, Contact, PublicFolder."""

    address: str
    kind: str = "Mailbox"


@dataclass(frozen=True, slots=True)
class Group:
    """A distribution group."""

    address: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who may ask, and how: a user name with password (Basic, NTLM), an application with secret (OAuth)."""

    principal: str = "svc-safelist@corp.example"
    password: str = "demo-Pa55word"  # noqa: S105 - the demo's own, opens nothing else
    domain: str = "CORP"
    client_id: str = "7c2a6d0e-0000-4000-8000-5afe11571d00"
    client_secret: str = "demo-secret"  # noqa: S105
    scopes: frozenset[str] = frozenset({"https://outlook.office365.com/.default"})

    @property
    def logons(self) -> tuple[str, ...]:
        """The spellings of the user name that a client may log on with."""
        name = self.principal.partition("@")[0]
        return (self.principal, f"{self.domain}\\{name}", name)


class Mailbox:
    """One mailbox: an address, rights of the service account, the associated items of its Inbox, queued faults.

    Thread-safe: changes replace ``items`` as a whole. Ids depend on the address and on the order of changes only.
    """

    __slots__ = ("_lock", "_numbers", "_revision", "address", "aliases", "delegate", "faults", "impersonation", "items")

    def __init__(
        self,
        address: str,
        rule: JunkRule | bytes | None = None,
        *,
        impersonation: bool = True,
        delegate: bool = True,
        aliases: Iterable[str] = (),
        neighbours: bool = True,
    ) -> None:
        self.address = address
        self.impersonation = impersonation
        self.delegate = delegate
        self.aliases = tuple(aliases)
        self.faults = FaultQueue()
        self.items: tuple[Item, ...] = _neighbours() if neighbours else ()
        self._lock = threading.Lock()
        self._numbers = self._revision = len(self.items)
        if rule is not None:
            self.set_rule(rule)

    @property
    def guid(self) -> str:
        """The mailbox GUID, derived from the address."""
        return mailbox_guid(self.address)

    @property
    def sid(self) -> str:
        """A Windows security identifier, derived from the address."""
        return security_id(self.guid)

    def set_rule(
        self,
        rule: JunkRule | bytes,
        *,
        enabled: bool = True,
        include_contacts: bool = False,
        name: str = JUNK_NAME,
        provider: str = JUNK_PROVIDER,
    ) -> None:
        """Write the Junk E-mail Rule: the item id stays, the change key changes. Bytes are taken as the condition."""
        properties = _rule_properties(_condition(rule), provider, name, enabled=enabled, contacts=include_contacts)
        with self._lock:
            old = next((item for item in self.items if item.provider == JUNK_PROVIDER.lower()), None)
            self._put(old, name, properties, None)

    def add_rule(
        self,
        rule: JunkRule | bytes,
        *,
        provider: str = JUNK_PROVIDER,
        name: str = JUNK_NAME,
        modified: datetime | None = None,
    ) -> None:
        """Put one more extended rule beside the others: a duplicate, or another program's rule."""
        properties = _rule_properties(_condition(rule), provider, name, enabled=True, contacts=False)
        with self._lock:
            self._put(None, name, properties, modified)

    def remove_rule(self) -> None:
        """Delete every Junk E-mail Rule; a later one gets another item id."""
        with self._lock:
            self._revision += 1
            self.items = tuple(item for item in self.items if item.provider != JUNK_PROVIDER.lower())

    def change_property(self, key: Property, value: Value | None) -> None:
        """Set one property of the Junk E-mail Rule, or take it away (None)."""
        with self._lock:
            old = next(item for item in self.items if item.provider == JUNK_PROVIDER.lower())
            rest = {name: kept for name, kept in old.properties.items() if name != key}
            self._put(old, old.subject, rest if value is None else {**rest, key: value}, None)

    def _put(
        self, old: Item | None, subject: str, properties: Mapping[Property, Value], modified: datetime | None
    ) -> None:
        self._revision += 1
        when = modified or _FIRST_CHANGE + timedelta(minutes=self._revision)
        if old is None:
            self._numbers += 1
            new = Item(self._numbers, self._revision, RULE_CLASS, subject, when, properties)
            self.items = (*self.items, new)
        else:
            new = replace(old, revision=self._revision, subject=subject, modified=when, properties=properties)
            self.items = tuple(new if item is old else item for item in self.items)


@dataclass
class Organisation:
    """Everything the endpoint answers from. Addresses are keys in lower case.

    ``find_limit`` is the most items of one FindItem answer; ``faults`` hit any request. ``room_lists`` name the rooms
    in each.
    """

    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    account: ServiceAccount = field(default_factory=ServiceAccount)
    faults: FaultQueue = field(default_factory=FaultQueue)
    find_limit: int = 1000
    room_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _guids: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, mailboxes: Iterable[Mailbox], groups: Iterable[Group] = ()) -> "Organisation":
        """An organisation of these mailboxes and groups."""
        by_address = {mailbox.address.lower(): mailbox for mailbox in mailboxes}
        return cls(by_address, {group.address.lower(): group for group in groups})

    def add(self, mailbox: Mailbox) -> None:
        """Put one more mailbox into the organisation, or another one in its place."""
        self.mailboxes = {**self.mailboxes, mailbox.address.lower(): mailbox}
        self._aliases, self._guids = {}, {}

    def remove(self, address: str) -> None:
        """Take a mailbox away."""
        self.mailboxes = {key: mailbox for key, mailbox in self.mailboxes.items() if key != address.lower()}
        self._aliases, self._guids = {}, {}

    def find(self, address: str) -> Mailbox | None:
        """The mailbox that has this primary or secondary SMTP address."""
        key = address.lower()
        if key in self.mailboxes:
            return self.mailboxes[key]
        if not self._aliases and isinstance(self.mailboxes, dict):
            self._aliases = {alias.lower(): key for key, box in self.mailboxes.items() for alias in box.aliases}
        return self.mailboxes.get(self._aliases.get(key, ""))

    def by_guid(self, guid: str) -> Mailbox | None:
        """The mailbox of this GUID."""
        if len(self._guids) != len(self.mailboxes):
            self._guids = {mailbox_guid(address): address for address in self.mailboxes}
        return self.mailboxes.get(self._guids.get(guid, ""))

    def by_sid(self, sid: str) -> Mailbox | None:
        """The mailbox of this security identifier."""
        return next((mailbox for mailbox in self.mailboxes.values() if mailbox.sid == sid), None)


def find_by_id(organisation: Organisation, text: str) -> tuple[Mailbox, Item | None] | None:
    """The mailbox that an item id names, and its item if it is still there; None where there is no such mailbox."""
    parts = id_parts(text)
    mailbox = organisation.by_guid(parts[0]) if parts else None
    if mailbox is None:
        return None
    guid = mailbox.guid
    return mailbox, next((item for item in mailbox.items if item_id(guid, item.number) == text), None)


def _condition(rule: JunkRule | bytes) -> bytes:
    return rule if isinstance(rule, bytes) else encode(rule)


def _rule_properties(
    condition: bytes, provider: str, name: str, *, enabled: bool, contacts: bool
) -> dict[Property, Value]:
    return {
        PROVIDER: provider,
        NAME: name,
        SUBJECT: name,
        STATE: STATE_ON if enabled else STATE_OFF,
        SEQUENCE: 0,
        LEVEL: 0,
        USER_FLAGS: 0,
        CONDITION: condition,
        ACTIONS: _NO_ACTIONS,
        INCLUDE_CONTACTS: int(contacts),
        THRESHOLD: 6,
        PERMANENTLY_DELETE: 0,
        ADD_RECIPIENTS: 0,
    }


@functools.cache
def _neighbours() -> tuple[Item, ...]:
    """What else lies in an Inbox's associated contents: configuration rows, and an Outlook rule on a subject."""
    classes = ("IPM.Configuration.MRM", "IPM.Configuration.UMOLK.UserOptions", "IPM.Configuration.ELC")
    rows = [Item(n, n, name, name, _FIRST_CHANGE, {}) for n, name in enumerate(classes, 1)]
    words = _rule_properties(_subject_condition("invoice"), "RuleOrganizer", "invoice", enabled=True, contacts=False)
    return (*rows, Item(4, 4, RULE_CLASS, "invoice", _FIRST_CHANGE, words))


def _subject_condition(text: str) -> bytes:
    value = struct.pack("<I", 0x0037001F) + text.encode("utf-16-le") + b"\0\0"
    return struct.pack("<HBHHI", 0, 3, 1, 1, 0x0037001F) + value
