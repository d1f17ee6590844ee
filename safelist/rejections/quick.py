"""Reads the commonest lines of several formats, which stand alone. Pure."""

import re
from collections.abc import Iterable, Sequence

from safelist.rejections.format import LogFormat, LogOrigin
from safelist.rejections.rejection import LogPlace, Rejection


class QuickReader:
    """Reads the lines of all ``formats`` that have a :class:`safelist.rejections.format.QuickForm`.

    ``pattern`` is of all of them, for patterns of lines in which they stand; its groups are what :meth:`read` takes.
    """

    def __init__(self, formats: Iterable[LogFormat], origin: LogOrigin) -> None:
        forms = [(each.name, each.quick) for each in formats if each.quick is not None]
        self._forms, begin = [], 0
        for name, form in forms:
            end = begin + re.compile(form.pattern).groups
            self._forms.append((name, form.read, slice(begin, end)))
            begin = end
        self.pattern = "|".join(form.pattern for _, form in forms)
        self._whole = re.compile(self.pattern, re.ASCII)
        self._origin = origin

    def read_line(self, text: str, place: LogPlace) -> tuple[str, Rejection] | None:
        """What a line says, and by which format; None: it is none of those."""
        found = self._whole.fullmatch(text)
        return None if found is None else self.read(found.groups(""), place)

    def read(self, groups: Sequence[str], place: LogPlace) -> tuple[str, Rejection] | None:
        """The same, of a line that was matched; a group that matched nothing is empty."""
        for name, read, own in self._forms:
            if any(said := groups[own]) and (found := read(said, place, self._origin)) is not None:
                return name, found
        return None
