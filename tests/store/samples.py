"""Values that the tests of the store record."""

from datetime import UTC, datetime, timedelta

from safelist.entry import Entry, UserList
from safelist.sender import Form, Pattern, Refusal
from safelist.store import RuleVersion

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SAFE = frozenset({UserList.SAFE_SENDERS})
SEEN = RuleVersion("0c6ac1f4-owner", "AAMk=", "EQAAABYA", b"\x00digest\xff", 1, True)
GONE = RuleVersion(None, None, None, None, None, None)


def address(text: str) -> Pattern:
    return Pattern(text, Form.ADDRESS)


def domain(text: str) -> Pattern:
    return Pattern(text, Form.DOMAIN)


def refused(text: str, refusal: Refusal | None = None) -> Pattern:
    return Pattern(text, Form.REFUSED, refusal or next(iter(Refusal)))


def entries(*texts: str, list_: UserList = UserList.SAFE_SENDERS) -> frozenset[Entry]:
    return frozenset(Entry(list_, address(text)) for text in texts)
