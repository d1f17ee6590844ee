"""What a check says of a configuration. Pure."""

from typing import NamedTuple


class Remark(NamedTuple):
    """Something that an administrator should know. ``is_fault``: it cannot work as it is, or a relay is open."""

    is_fault: bool
    text: str
