"""Lines in order, and what came and went between two lists of them, in bounded memory however long they are."""

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
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
