"""Lets grep find the lines of a plain file that matter, on another core, in a third of the time that Python takes."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from safelist.rejections.log_files import BrokenLogError

_FOUND_NOTHING = 1
"""How grep ends where no line matches; what is more is a fault."""
_SPECIAL = re.compile(rb"[.\[()*+?{|^$\\]")
"""In an extended regular expression of POSIX."""


def is_there() -> bool:
    """Whether this machine has a grep."""
    return shutil.which("grep") is not None


def lines_with_one_of(descriptor: int, needles: Iterable[bytes], longest: int) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line of the open file that holds a needle, from its beginning on.

    A line is cut after more than ``longest`` bytes. Raises BrokenLogError where the file cannot be read to its end.
    """
    pattern = b"|".join(_SPECIAL.sub(rb"\\\g<0>", needle) for needle in sorted(needles)).decode()
    with _running(descriptor, "--text", "--line-number", "--extended-regexp", f"--regexp={pattern}") as process:
        output = cast("IO[bytes]", process.stdout)
        while line := output.readline(longest + 32):
            number, _, text = line.partition(b":")
            while not line.endswith(b"\n") and (line := output.readline(1 << 20)):
                pass
            yield int(number), text.removesuffix(b"\n")
    _demand_success(process)


def count_lines(descriptor: int) -> int:
    """How many lines the open file has; the last one may lack its end."""
    with _running(descriptor, "--text", "--count", "") as process:
        count = cast("IO[bytes]", process.stdout).read()
    _demand_success(process)
    return int(count)


def _running(descriptor: int, *options: str) -> subprocess.Popen[bytes]:
    """A grep that reads the same file, which may have another name by now, from the beginning."""
    command = (shutil.which("grep") or "grep", *options)
    try:
        with Path(f"/proc/self/fd/{descriptor}").open("rb") as again:
            return subprocess.Popen(  # noqa: S603 (its options are constants)
                command, stdin=again, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"LC_ALL": "C"}
            )
    except OSError as error:
        raise BrokenLogError(f"grep cannot be given it ({error.strerror})") from error


def _demand_success(process: subprocess.Popen[bytes]) -> None:
    if process.returncode > _FOUND_NOTHING:
        raise BrokenLogError("grep could not read it to its end")
