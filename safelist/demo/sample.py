"""The organisation that ``safelist demo`` collects: 40 mailboxes of role names, the same in every run."""

from collections.abc import Iterator

from safelist.demo.organisation import DistributionGroup, DlMember, Mailbox, Organisation
from safelist.junkrule import JunkRule

DOMAIN = "corp.example"
AOL_SENDER = "accounts.desk@aol.com"
"""Trusted by six mailboxes."""
YAHOO_SENDER = "orders.north@yahoo.com"
"""Trusted by five mailboxes."""
LONE_SENDER = "quotes.small@aol.com"
"""Trusted by one mailbox only."""
BIG_LIST = 1500

_ROLES = {
    "accounts": 4,
    "dispatch": 3,
    "hr": 2,
    "it": 3,
    "marketing": 2,
    "purchasing": 4,
    "quality": 2,
    "sales": 8,
    "support": 5,
    "workshop": 3,
}
_TRUSTED = {
    AOL_SENDER: ("accounts1", "accounts2", "accounts3", "purchasing1", "purchasing2", "sales2"),
    YAHOO_SENDER: ("sales1", "sales2", "sales3", "sales4", "dispatch1"),
    LONE_SENDER: ("sales5",),
    "invoices@supplier.example": ("accounts1", "accounts2", "purchasing1", "purchasing2", "purchasing3"),
    "tracking@carrier.example": ("dispatch1", "dispatch2", "dispatch3", "workshop1"),
    "tickets@vendor.example": ("it1", "it2", "support1", "support2", "support3"),
    "press@agency.example": ("marketing1", "marketing2"),
    "payroll@bureau.example": ("hr1", "hr2"),
    "lab@institute.example": ("quality1",),
}
_TRUSTED_DOMAINS = {
    "@carrier.example": ("dispatch1", "dispatch2"),
    "@supplier.example": ("purchasing1", "purchasing3", "workshop2"),
    "@aol.com": ("marketing1",),
}
_BLOCKED = {
    "news@bulk.example": ("sales1", "sales6", "support4", "hr1"),
    "offers@bulk.example": ("accounts4", "sales7"),
}
_BLOCKED_DOMAINS = {"@lottery.example": ("sales1", "support5"), "@yahoo.com": ("it3",)}
_CONTACTS = ("desk@neighbour.example", "orders.north@yahoo.com")
_ODD = (
    "/o=Corp/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=old-entry",
    " sales@spaces.example ",
    "INVOICES@SUPPLIER.EXAMPLE",
    "bestellung@bücher.example",
    '"front desk"@supplier.example',
    "no-at-sign",
    "two@at@signs.example",
)


def sample() -> Organisation:
    """The sample organisation, with lists that overlap, odd entries, and the mailboxes that go wrong."""
    ordinary = [Mailbox(f"{name}@{DOMAIN}", _rule(name)) for name in _names()]
    return Organisation.of([*ordinary, *_special()], _groups())


def _names() -> Iterator[str]:
    return (f"{role}{number}" for role, count in _ROLES.items() for number in range(1, count + 1) if role != "hr")


def _rule(name: str) -> JunkRule:
    return JunkRule(
        blocked_senders=_entries(_BLOCKED, name),
        blocked_domains=_entries(_BLOCKED_DOMAINS, name),
        safe_senders=_entries(_TRUSTED, name),
        safe_sender_domains=_entries(_TRUSTED_DOMAINS, name),
        safe_recipients=("list@forum.example",) if name == "it1" else (),
        safe_recipient_domains=("@lists.example",) if name == "it2" else (),
    )


def _entries(table: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return tuple(entry for entry, names in table.items() if name in names)


def _special() -> Iterator[Mailbox]:
    """Mailboxes that each show one thing: contacts, odd entries, no rule, switched off, denied, a big list."""
    reception = Mailbox(f"reception@{DOMAIN}", aliases=(f"frontdesk@{DOMAIN}",))
    reception.set_rule(JunkRule(trusted_contacts=_CONTACTS), include_contacts=True)
    yield reception
    yield Mailbox(f"front-office@{DOMAIN}", JunkRule(safe_senders=_ODD, safe_sender_domains=("@supplier.example",)))
    yield Mailbox(f"kiosk@{DOMAIN}")
    yield Mailbox(f"hr1@{DOMAIN}", _rule("hr1"))
    hr2 = Mailbox(f"hr2@{DOMAIN}")
    hr2.set_rule(_rule("hr2"), enabled=False)
    yield hr2
    yield Mailbox(f"director@{DOMAIN}", _rule("director"), impersonation=False, delegate=False)
    big = tuple(f"vendor{number:04}@catalogue{number % 30}.example" for number in range(BIG_LIST))
    yield Mailbox(f"catalogue@{DOMAIN}", JunkRule(safe_senders=big))


def _groups() -> Iterator[DistributionGroup]:
    """``everyone`` holds ``office`` and ``trade``; ``trade`` holds ``everyone`` again."""
    office = [name for name in _names() if not name.startswith(("sales", "dispatch"))]
    trade = [name for name in _names() if name.startswith(("sales", "dispatch"))]
    singles = ("reception", "front-office", "kiosk", "hr1", "hr2", "director", "catalogue")
    yield DistributionGroup(f"everyone@{DOMAIN}", (_group("office"), _group("trade"), *_members(singles)))
    yield DistributionGroup(f"office@{DOMAIN}", (*_members(office), DlMember("partner@neighbour.example", "Contact")))
    folder = DlMember(f"board@{DOMAIN}", "PublicFolder")
    yield DistributionGroup(f"trade@{DOMAIN}", (*_members(trade), _group("everyone"), folder, *_members(("sales1",))))


def _group(name: str) -> DlMember:
    return DlMember(f"{name}@{DOMAIN}", "PublicDL")


def _members(names: tuple[str, ...] | list[str]) -> tuple[DlMember, ...]:
    return tuple(DlMember(f"{name}@{DOMAIN}") for name in names)
