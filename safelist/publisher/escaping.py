"""How a text is written where another program reads it, and which texts are refused there. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Escaping(NamedTuple):
    """``write`` gives the text as it stands in a line, ``why_not`` why it cannot stand there; empty where it can."""

    write: Callable[[str], str]
    why_not: Callable[[str], str]


Refused = tuple[re.Pattern[str], str]
"""What no text may hold, and why."""

UNSEEN = (re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]"), "a control character or a line break would end its line")
FORMULA = (re.compile(r"\A[=+\-@\t\r]"), "a spreadsheet would take it for a formula")
TEMPLATE = (re.compile(r"\{[%=#{]"), "a configuration language would take it for a template")
NOT_ASCII = (re.compile(r"[^\x00-\x7f]"), "it is not ASCII, and filters differ in how they write such an address")
QUOTED = (re.compile(r'[\s"\\]'), "filters differ in how they read quotes, backslashes and white space")
COMMENT = (re.compile(r"\A[#;]"), "a line that begins so is a comment")
NOT_PLAIN = (
    re.compile(r"[^A-Za-z0-9._@+=-]"),
    "it holds more than letters, digits and . _ - + = @, which mean nothing else there",
)


def refusing(*refused: Refused) -> Callable[[str], str]:
    """Make a ``why_not`` of those: the first that a text holds says why."""

    def why_not(text: str) -> str:
        return next((why for unsafe, why in refused if unsafe.search(text)), "")

    return why_not


def in_quotes(text: str) -> str:
    """A CSV field (RFC 4180), always in quotes, so that no line begins like a comment."""
    return '"' + text.replace('"', '""') + '"'


def in_json(text: str) -> str:
    """A JSON text in ASCII; ``{`` is written as its number, so that it begins no template either."""
    return json.dumps(text).replace("{", "\\u007b")


def in_regexp(text: str) -> str:
    """A regular expression (PCRE, Python's, Lua's of rspamd) that matches the text itself.

    What is no letter or digit is written as its number, but for the three that every address has.
    """
    return re.sub(r"[^A-Za-z0-9@_-]", lambda found: "\\." if found[0] == "." else f"\\x{ord(found[0]):02x}", text)


def in_single_quotes(text: str) -> str:
    """A verbatim string of PowerShell: a quote in it is doubled (about_Quoting_Rules), also a curly one.

    PowerShell takes U+2018, U+2019, U+201A and U+201B for single quotes, wherever they stand.
    """
    return "'" + re.sub("['\u2018-\u201b]", lambda found: found[0] * 2, text) + "'"


ESCAPINGS: Mapping[str, Escaping] = {
    "csv": Escaping(in_quotes, refusing(UNSEEN, FORMULA, TEMPLATE)),
    "json": Escaping(in_json, refusing()),
    "regexp": Escaping(in_regexp, refusing(UNSEEN, NOT_ASCII, QUOTED)),
    "powershell": Escaping(in_single_quotes, refusing(UNSEEN, NOT_ASCII, TEMPLATE)),
    "none": Escaping(str, refusing(NOT_PLAIN, FORMULA)),
}
"""By the word that the configuration has for each. ``none`` takes only texts that need none."""
