"""The command line, run in this process: what one interpreter for each command would cost is paid once.

The descriptors 0, 1 and 2 are the command's own, so that what it starts, and a library that asks them how wide the
terminal is, see what they would see in a process; so are the streams on them, the arguments and the environment.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from safelist.__main__ import main

_OF_THE_INTERPRETER = "PYTHON"
"""Such variables are read when Python starts: only a process obeys them."""
_STREAMS = (("stdin", "r", "surrogateescape"), ("stdout", "w", "surrogateescape"), ("stderr", "w", "backslashreplace"))


def run(
    arguments: Sequence[str], environment: Mapping[str, str], given: bytes | None = None
) -> tuple[int, bytes, bytes]:
    """Run ``safelist`` with these arguments and nothing but this environment; its exit code and what it printed.

    It reads ``given`` from a pipe, or nothing at all, and has no terminal.
    """
    with ExitStack() as opened:
        out, err = (opened.enter_context(TemporaryFile()) for _ in range(2))
        if given is None:
            read: Any = opened.enter_context(Path(os.devnull).open("rb"))
        else:
            read = opened.enter_context(TemporaryFile())
            read.write(given)
            read.seek(0)
        code = _run(arguments, environment, (read.fileno(), out.fileno(), err.fileno()))
        for each in (out, err):
            each.seek(0)
        return code, out.read(), err.read()


def on_a_terminal(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Run ``safelist`` on a terminal of its own; its exit code and everything that a person sees there."""
    leader, follower = os.openpty()
    seen: list[bytes] = []
    watching = threading.Thread(target=lambda: seen.append(all_of(leader)))
    watching.start()
    try:
        code = _run(arguments, environment, (follower, follower, follower))
    finally:
        os.close(follower)
        watching.join()
        os.close(leader)
    return code, b"".join(seen)


def all_of(leader: int) -> bytes:
    """What is written to the other side of a terminal until it closes."""
    seen = b""
    try:
        while chunk := os.read(leader, 65536):
            seen += chunk
    except OSError:  # Linux's way of saying that the other side has closed
        pass
    return seen


def _run(arguments: Sequence[str], environment: Mapping[str, str], descriptors: tuple[int, int, int]) -> int:
    if wrong := [name for name in environment if name.startswith(_OF_THE_INTERPRETER)]:
        raise ValueError(f"{wrong[0]} means something to a new interpreter only: run the command in a process")
    before = _of_the_process()
    with _environment(environment), _descriptors(descriptors), _streams(), _arguments(["safelist", *arguments]):
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
    assert _of_the_process() == before, "the command left something behind"
    assert isinstance(code, int)
    return code


def _of_the_process() -> dict[str, object]:
    """What a command could leave behind in the process, and the next one would meet there."""
    (umask,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Umask"))
    root = logging.getLogger()
    return {
        "directory": Path.cwd(),
        "umask": umask,
        "signals": [signal.getsignal(each) for each in sorted(signal.valid_signals())],
        "log": (list(root.handlers), root.level, logging.getLogger("safelist.filter").level, logging.raiseExceptions),
    }


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environment)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _descriptors(descriptors: tuple[int, int, int]) -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    before = [os.dup(number) for number in range(3)]
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        yield
    finally:
        for number, descriptor in enumerate(before):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def _streams() -> Iterator[None]:
    """Streams on 0, 1 and 2 as Python opens them where no locale is set, as in cron."""
    names = [name for stream, _, _ in _STREAMS for name in (stream, f"__{stream}__")]
    before = {name: getattr(sys, name) for name in names}
    with ExitStack() as opened:
        for number, (name, mode, errors) in enumerate(_STREAMS):
            is_shown_at_once = number == 2 or os.isatty(number)
            buffering = 1 if is_shown_at_once and mode == "w" else -1
            stream = open(number, mode, buffering, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            opened.enter_context(stream)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        try:
            yield
        finally:
            for name, stream in before.items():
                setattr(sys, name, stream)
