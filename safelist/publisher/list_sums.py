"""What the two lists for rspamd amount to, while their lines are gone through. Pure."""

import hashlib
from collections.abc import Iterable, Iterator

from safelist.publisher.target import digest_of


class ListSum:
    """A list as it is gone through: how many entries it has, and the SHA-256 of its lines, which come in order."""

    def __init__(self) -> None:
        self.entries = 0
        self._digest = hashlib.sha256()

    def add(self, line: bytes) -> None:
        """Take the next line."""
        self.entries += 1
        self._digest.update(line)

    @property
    def digest(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()


class ListSums:
    """Both lists: for everybody, and for each recipient."""

    def __init__(self) -> None:
        self.everybody, self.recipients = ListSum(), ListSum()

    def added(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines, each taken on its way."""
        for line in lines:
            (self.recipients if is_pair(line) else self.everybody).add(line)
            yield line

    @property
    def entries(self) -> int:
        """Those of both."""
        return self.everybody.entries + self.recipients.entries

    @property
    def mark(self) -> str:
        """What the hash is marked with."""
        return digest_of([self.everybody.digest, self.recipients.digest])


def is_pair(line: bytes) -> bool:
    """Whether a line is about a single recipient; in what is written of a sender no | stands."""
    return b"|" in line
