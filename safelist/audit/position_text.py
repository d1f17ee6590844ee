"""A position in an answer as a word that people and programs hand back to get what comes behind it. Pure."""

import base64
import json
from collections.abc import Collection

from safelist.store.position import Position

_MAX_LETTERS = 4000
_MAX_NUMBER = 2**62
Shape = tuple[type[int] | type[str], ...]
"""Which values a position has."""
HOLDING: Collection[Shape] = [(str, int, str, int, int)]
"""Of an entry that a mailbox holds: its address, list, text, form, and the change set that added it."""
EVENT: Collection[Shape] = [(int, int, int, int, str, int), (int, int, int, int), (int, int, int)]
"""Of what happened: the second, its rank, and what orders the events of that second."""
FOUND: Collection[Shape] = [(int, str, int)]
"""Of what a search found: what kind of thing it is, its text and form."""


def write(position: Position) -> str:
    """The word: letters, digits, - and _."""
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def read(word: str, shapes: Collection[Shape]) -> Position:
    """The position that a word stands for. Raises ValueError where it is of none of those shapes."""
    if not word.isascii() or len(word) > _MAX_LETTERS:
        raise ValueError("is no position")
    text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
    found = json.loads(text)
    if not isinstance(found, list) or tuple(map(type, found)) not in shapes:
        raise ValueError("is no position of this answer")
    if any(isinstance(each, int) and not 0 <= each <= _MAX_NUMBER for each in found):
        raise ValueError("is no position")
    return tuple(found)
