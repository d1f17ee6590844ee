"""Every page, in the order of the menu; one file each."""

from safelist.web import changes, looks, mailbox, mine, names, overrides, rejections, report, search, sender, verify
from safelist.web.visit import WebPage

PAGES: tuple[WebPage, ...] = tuple(
    each.PAGE for each in (mine, search, sender, names, mailbox, overrides, changes, rejections, looks, verify, report)
)
