"""Lines in order, and what came and went between two lists of them, in bounded memory however long they are."""

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import IO, NamedTuple

AT_ONCE = 100_000
"""Lines that are sorted in memory."""


def in_order(lines: Iterable[bytes], at_once: int = AT_ONCE) -> Iterator[bytes]:
    """The lines (each ends in a line feed) in byte order, each once.

    Those that do not fit into ``at_once`` are sorted in runs, which lie in temporary files and are merged; what comes
    in order is one run.
    """
    rest = iter(lines)
    first = sorted(islice(rest, at_once))
    if len(first) < at_once:
        yield from _once(first)
        return
    with ExitStack() as open_:
        runs = [_run(first, open_)]
        last = first[-1]
        del first  # as long as the list is, no more than two runs are in memory
        while more := sorted(islice(rest, at_once)):
            if more[0] >= last:
                runs[-1].writelines(more)
            else:
                runs.append(_run(more, open_))
            last = more[-1]
        for each in runs:
            each.seek(0)
        yield from _once(heapq.merge(*runs) if len(runs) > 1 else runs[0])


def _run(lines: Iterable[bytes], open_: ExitStack) -> IO[bytes]:
    file = open_.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    file.writelines(lines)
    return file


def _once(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line for line, _ in groupby(lines))


def are_in_order(lines: Iterable[bytes]) -> bool:
    """Whether each line is greater than the one before."""
    last = b""
    for line in lines:
        if line <= last:
            return False
        last = line
    return True


class ChangedEntry(NamedTuple):
    """An entry that is not the same in two lists: its line in each, None where that has none."""

    old: bytes | None
    new: bytes | None


def differences(
    old: Iterable[bytes], new: Iterable[bytes], key: Callable[[bytes], bytes] = bytes
) -> Iterator[ChangedEntry]:  # fmt: skip
    """Merge two sorted lists of lines; a line that stands in both is passed over, and a repeated one counts once.

    Lines of one ``key`` are one entry. Keys sort as their lines do.
    """
    left, right = _once(old), _once(new)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if mine == theirs or (mine is not None and theirs is not None and key(mine) == key(theirs)):
            if mine != theirs:
                yield ChangedEntry(mine, theirs)
            mine, theirs = next(left, None), next(right, None)
        elif theirs is None or (mine is not None and mine < theirs):
            yield ChangedEntry(mine, None)
            mine = next(left, None)
        else:
            yield ChangedEntry(None, theirs)
            theirs = next(right, None)


@dataclass(slots=True)
class Differences:
    """What came and went, counted; the first ``kept`` of each are named by their ``key``, all of them if it is None.

    An entry that says something else now is new and gone, and not lost; it is named with what it says.
    """

    key: Callable[[bytes], bytes]
    kept: int | None
    new: int = 0
    gone: int = 0
    lost: int = 0
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def note(self, found: ChangedEntry) -> None:
        """Count and name one."""
        self.new += found.new is not None
        self.gone += found.old is not None
        self.lost += found.new is None
        is_other = found.old is not None and found.new is not None
        for line, names in ((found.new, self.added), (found.old, self.removed)):
            if line is not None and (self.kept is None or len(names) < self.kept):
                names.append((line.rstrip(b"\n") if is_other else self.key(line)).decode(errors="backslashreplace"))

    def __bool__(self) -> bool:
        """Whether anything did."""
        return bool(self.new or self.gone)
