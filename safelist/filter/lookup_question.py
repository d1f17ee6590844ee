"""What a look-up asks about: a request of HTTP to a recipient and a sender. Pure.

``key`` is RECIPIENT|SENDER, or SENDER alone, as rspamd's external maps ask (in the query, or in a header of that name).
An address may itself hold ``|``, in a local part, so where a key is split is defined by what an address is here: a
local part that is in double quotes or holds neither ``"`` nor ``@``, an ``@``, and a domain without ``"``, ``@`` and
``|``. There is at most one way to read a key so.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from safelist import sender as senders
from safelist.filter.http_message import HttpRequest
from safelist.override import Authentication
from safelist.sender import Form, Pattern

PATH = "/lookup"
_ADDRESS = r'(?:"(?:[^"\\]|\\.)*+"|[^"@]*)@[^"@|]*'
_KEY = re.compile(rf"(?:(?P<recipient>{_ADDRESS}|)\|)?(?P<sender>{_ADDRESS}|<>|)", re.DOTALL)
_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")
_NEVER = re.compile("[\0\r\n]")
_MOST_FIELDS = 8
_LONGEST = 4 * senders.MAX_ADDRESS + 1
"""Characters: of two addresses, each octet with a backslash before it, and what is between them."""
_SHOWN = 60
_SUFFICES = {"dkim": (Authentication.DKIM_OR_SPF, Authentication.NONE), "spf": tuple(Authentication)}
"""What is proven, and the demands that it meets."""


class QuestionError(ValueError):
    """What is asked cannot be a question, whoever sends mail: the asker is at fault. The message says how."""


class Question(NamedTuple):
    """Addresses as Postfix says them: without <>, local parts unquoted. Without a recipient it is about everybody.

    ``proven`` says what of the sender the asker has proven: dkim, spf, or nothing yet.
    """

    recipient: str
    sender: str
    proven: str = ""

    def suffices(self, demanded: Authentication) -> bool:
        """Whether what was proven is enough, or the asker sees to that himself."""
        return demanded in _SUFFICES.get(self.proven, tuple(Authentication))


def question_of(request: HttpRequest) -> Question | None:
    """What a request asks; None where its key is no two addresses, or its sender none. Raises QuestionError.

    What is longer than two addresses can be is neither: to decide on 15 KB of combining marks takes 50 ms or more, in
    which nobody else is answered.

    Postfix takes ``host!local`` and ``local%host`` for addresses. Whoever asks here does not: of a sender without an
    ``@`` he proves the name that the client gave in HELO (RFC 7208 2.4), which would be taken for the sender's domain.
    """
    asked = _asked(request)
    proven = asked.get("proven", "")
    if any(len(value) > _LONGEST for value in asked.values()):
        return None
    if "key" in asked:
        return _split(asked["key"], proven)
    sent = _plain(asked["sender"])
    return None if sent and "@" not in sent else Question(_plain(asked.get("recipient", "")), sent, proven)


def _asked(request: HttpRequest) -> Mapping[str, str]:
    """The names and values of the query, or the key in the header of that name."""
    pairs = [*_fields(_query(request.target)), *(("key", _text(value)) for value in request.header(b"key"))]
    found = dict(pairs)
    if len(found) < len(pairs) or set(found) - {"proven"} not in ({"key"}, {"sender"}, {"recipient", "sender"}):
        raise QuestionError(f"ask {PATH}?key=RECIPIENT%7CSENDER, or {PATH}?recipient=RECIPIENT&sender=SENDER")
    if (proven := found.get("proven", "")) not in ("", *_SUFFICES):
        raise QuestionError(f"proven is one of {', '.join(_SUFFICES)}, not {proven[:_SHOWN]!a}")
    if any(_NEVER.search(value) for value in found.values()):
        raise QuestionError("no address of SMTP holds NUL, CR or LF")
    return found


def _query(target: str) -> str:
    try:
        found = urlsplit(target)
    except ValueError:
        raise QuestionError("the request's target is no URL") from None
    if "#" in target or found.path != PATH:
        raise QuestionError(f"what is asked here is {PATH}")
    return found.query


def _fields(query: str) -> Sequence[tuple[str, str]]:
    """Names and values. Here + is a plus, as in RFC 3986, since addresses hold one and hardly ever a blank (%20)."""
    if _BROKEN.search(query):
        raise QuestionError("a % in the query without two hexadecimal digits behind it: write %25")
    plain = query.replace("+", "%2B")
    try:
        return parse_qsl(plain, keep_blank_values=True, errors="backslashreplace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise QuestionError(f"more than {_MOST_FIELDS} fields in the query") from None


def _text(octets: bytes) -> str:
    """As the policy protocol's values (:class:`safelist.filter.protocol.PolicyRequest`)."""
    return octets.decode("utf-8", "backslashreplace")


def _split(key: str, proven: str) -> Question | None:
    found = _KEY.fullmatch(key)
    return None if found is None else Question(_plain(found["recipient"] or ""), _plain(found["sender"]), proven)


def _plain(address: str) -> str:
    """Without quotes, since Postfix says none."""
    if address == "<>":
        return ""
    return senders.unquoted(Pattern(address, Form.ADDRESS)) if address.startswith('"') else address
