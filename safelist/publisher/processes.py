"""Programs that run on this machine: since when, and which of their files they have not read since."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def started(titles: tuple[bytes, ...]) -> float | None:
    """When the newest process was started whose command line begins with one of these; None where there is none.

    In seconds since the epoch (proc(5): clock ticks after the boot).
    """
    return max(_started(titles), default=None)


def _started(titles: tuple[bytes, ...]) -> Iterator[float]:
    boot = next(float(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line[:6] == "btime ")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if line.startswith(titles):
            yield boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def changed_since(paths: Iterable[Path], moment: float) -> list[Path]:
    """Find the files that were changed more than a second later: the time of the boot is known in whole ones."""
    return [path for path in paths if path.exists() and path.stat().st_mtime > moment + 1]
