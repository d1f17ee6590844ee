"""Who asks: from the headers that the site's web server sets, as values. Pure.

The headers are believed because nobody else can connect (:mod:`safelist.web.believed_connection`); what is odd in them
is refused all the same, for it means that the web server is not set up as it should be.
"""

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from safelist.config import Web
from safelist.sender import Form, parse

Headers = Sequence[tuple[bytes, bytes]]
_LONGEST_NAME = 320
_LONGEST_GROUPS = 8192
_NOBODY = ("", "-", "(null)")
"""What Apache and others write where nobody has logged in."""


class Role(IntEnum):
    """What somebody may see: each may see what those before may."""

    USER = 1
    HELPDESK = 2
    AUDITOR = 3

    @property
    def title(self) -> str:
        """As the pages and the history call it."""
        return self.name.lower()


class Person(NamedTuple):
    """Who asks. ``address`` is the mailbox that is theirs, if it was ever collected."""

    address: str
    role: Role


class UnknownVisitorError(Exception):
    """The headers name nobody who may see a page: the HTTP status, and a sentence for the person."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def person_of(headers: Headers, rules: Web) -> Person:
    """Whom the headers name, with the role of that person. Raises UnknownVisitorError."""
    name = _single(headers, rules.user_header, _LONGEST_NAME)
    if name is None or name.strip() in _NOBODY:
        raise UnknownVisitorError(
            403, f"The web server in front did not say who you are (header {rules.user_header}): it must log people in."
        )
    listed = _single(headers, rules.group_header, _LONGEST_GROUPS) if rules.group_header else None
    groups = {group.strip() for group in re.split("[,|]", listed or "")} - {""}
    return known(_mailbox(name.strip(), rules), groups, rules)


def known(address: str, groups: Iterable[str], rules: Web) -> Person:
    """The person of that mailbox and those groups, with their role."""
    of = frozenset(groups)
    if address in rules.auditors or of.intersection(rules.auditor_groups):
        return Person(address, Role.AUDITOR)
    if address in rules.helpdesk or of.intersection(rules.helpdesk_groups):
        return Person(address, Role.HELPDESK)
    return Person(address, Role.USER)


def _single(headers: Headers, name: str, longest: int) -> str | None:
    """The value of that header, printable ASCII; None where there is none."""
    values = [value for key, value in headers if key.lower() == name.lower().encode("ascii")]
    if not values:
        return None
    if len(values) > 1:
        raise UnknownVisitorError(
            400, f"The header {name} came twice: the web server must replace what a browser sends, not add to it."
        )
    if len(values[0]) > longest:
        raise UnknownVisitorError(400, f"The header {name} is longer than {longest} octets.")
    if not all(0x20 <= octet < 0x7F for octet in values[0]):
        raise UnknownVisitorError(400, f"The header {name} holds something else than printable ASCII.")
    return values[0].decode("ascii")


def _mailbox(name: str, rules: Web) -> str:
    """The address that a user's name means."""
    local, at, realm = name.rpartition("@")
    if not at:
        local = name
    if rules.domain is not None and (not at or realm in rules.realms):
        found = parse(f"{local}@{rules.domain}")
    else:
        found = parse(name)
    # What parse() takes away, such as smtp: or quotes, would make one person of two names.
    if found.form is not Form.ADDRESS or found.text.rpartition("@")[0] != local.lower():
        needs = "" if at or rules.domain else " ([web] domain says what follows behind the @)"
        raise UnknownVisitorError(403, f"Your user name is not the address of a mailbox{needs}.")
    return found.text
