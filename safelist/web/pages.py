"""Every page, in the order of the menu; one file each."""

from safelist.web import changes, looks, mailbox, mine, names, overrides, rejections, report, search, sender, verify
from safelist.web.identity import Person
from safelist.web.visit import WebPage

PAGES: tuple[WebPage, ...] = tuple(
    each.PAGE for each in (mine, search, sender, names, mailbox, overrides, changes, rejections, looks, verify, report)
)


def menu(person: Person) -> tuple[WebPage, ...]:
    """What the menu shows that person."""
    return tuple(page for page in PAGES if page.title and page.role <= person.role)
