"""The demo's organisation with what only tests change: rights, other rules, queued faults, limits."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from safelist import demo
from safelist.demo.identifiers import mailbox_guid
from safelist.demo.organisation import JUNK_NAME, JUNK_PROVIDER, MapiProperty, Value, rule_properties
from safelist.junkrule import JunkRule
from tests.exchange.faults import FaultQueue
from tests.exchange.identifiers import security_id


@dataclass(frozen=True, slots=True)
class ServiceAccount(demo.ServiceAccount):
    """Who may ask, and how: a user name with password (Basic, NTLM), an application with secret (OAuth)."""

    domain: str = "CORP"
    client_id: str = "7c2a6d0e-0000-4000-8000-5afe11571d00"
    client_secret: str = "demo-secret"
    scopes: frozenset[str] = frozenset({"https://outlook.office365.com/.default"})

    @property
    def logons(self) -> tuple[str, ...]:
        """The spellings of the user name that a client may log on with."""
        name = self.principal.partition("@")[0]
        return (self.principal, f"{self.domain}\\{name}", name)


class Mailbox(demo.Mailbox):
    """A mailbox whose rules change while it is asked, and with faults in wait. Thread-safe."""

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
        self.faults = FaultQueue()
        self._lock = threading.Lock()
        super().__init__(address, rule, impersonation=impersonation, delegate=delegate, aliases=aliases)
        if not neighbours:
            self.items = tuple(item for item in self.items if item is self.junk_rule)

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
        properties = rule_properties(rule, provider, name, enabled=enabled, contacts=include_contacts)
        with self._lock:
            self.put(self.junk_rule, name, properties)

    def add_rule(
        self,
        rule: JunkRule | bytes,
        *,
        provider: str = JUNK_PROVIDER,
        name: str = JUNK_NAME,
        modified: datetime | None = None,
    ) -> None:
        """Put one more extended rule beside the others: a duplicate, or another program's rule."""
        with self._lock:
            self.put(None, name, rule_properties(rule, provider, name, enabled=True, contacts=False), modified)

    def remove_rule(self) -> None:
        """Delete every Junk E-mail Rule; a later one gets another item id."""
        with self._lock:
            self.revision += 1
            self.items = tuple(item for item in self.items if item.provider != JUNK_PROVIDER.lower())

    def change_property(self, key: MapiProperty, value: Value | None) -> None:
        """Set one property of the Junk E-mail Rule, or take it away (None)."""
        with self._lock:
            old = self.junk_rule
            assert old is not None
            rest = {name: kept for name, kept in old.properties.items() if name != key}
            self.put(old, old.subject, rest if value is None else {**rest, key: value})


@dataclass
class Organisation(demo.Organisation):
    """An organisation that changes, and goes wrong.

    ``find_limit`` is the most items of one FindItem answer; ``faults`` hit any request. ``room_lists`` name the rooms
    in each.
    """

    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    account: ServiceAccount = field(default_factory=ServiceAccount)
    faults: FaultQueue = field(default_factory=FaultQueue)
    find_limit: int = 1000
    room_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def add(self, mailbox: Mailbox) -> None:
        """Put one more mailbox into the organisation, or another one in its place."""
        self.mailboxes = {**self.mailboxes, mailbox.address.lower(): mailbox}

    def remove(self, address: str) -> None:
        """Take a mailbox away."""
        self.mailboxes = {key: mailbox for key, mailbox in self.mailboxes.items() if key != address.lower()}

    def find(self, address: str) -> Mailbox | None:
        found = super().find(address)
        assert found is None or isinstance(found, Mailbox)
        return found

    def by_guid(self, guid: str) -> Mailbox | None:
        # There may be thousands, so by a table. What was removed stays in it, and is not found.
        if guid not in self._addresses:
            self._addresses = {mailbox_guid(address): address for address in self.mailboxes}
        return self.mailboxes.get(self._addresses.get(guid, ""))

    def by_sid(self, sid: str) -> Mailbox | None:
        """The mailbox of this security identifier."""
        return next((mailbox for mailbox in self.mailboxes.values() if mailbox.sid == sid), None)
