"""A log that blocks nobody: lines wait in a bounded queue for a thread that writes them, and beyond it are counted.

Whoever reads standard error may stop doing so (a pager, a stopped container runtime, a full disk): a write would then
wait for ever, and with it every answer, and even the end at SIGTERM.
"""

import logging
import os
import select
import threading
from queue import Empty, SimpleQueue

MOST = 10_000
"""Lines that wait; a third of a second of the fastest service, or some megabytes."""
_AT_ONCE = 256
_LEVELS = {logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class QueuedHandler(logging.Handler):
    """Writes one line a record to a descriptor, which is None where there is none to write to.

    What finds the queue full, or cannot be written (EPIPE, a full disk), is left out and counted in ``dropped``; the
    next line that can be written says how many were.
    """

    def __init__(self, descriptor: int | None, most: int = MOST) -> None:
        super().__init__()
        self.dropped = 0
        self._told = 0
        self._most = most
        self._descriptor = descriptor
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        if descriptor is not None:
            self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record, or count that there was no room for it."""
        if self._descriptor is None or self._lines.qsize() >= self._most:
            self.dropped += 1
            return
        try:
            self._lines.put(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # such as arguments that do not fit the text; logging must never end what it tells of
            self.dropped += 1

    def finish(self, seconds: float) -> None:
        """Wait until everything is written, but no longer than ``seconds``; to be called once, at the end."""
        if self._writer.is_alive():
            self._lines.put(None)
            self._writer.join(seconds)

    def _write_all(self) -> None:
        while (lines := self._next()) is not None:
            dropped = self.dropped
            if dropped > self._told:
                lines.append(self._about(dropped - self._told))
            if self._write(b"".join(lines)):
                self._told = max(dropped, self._told)
            else:
                self.dropped += len(lines)

    def _next(self) -> list[bytes] | None:
        """The lines that wait, at least one; None at the end."""
        lines = [self._lines.get()]
        try:
            while len(lines) < _AT_ONCE and lines[-1] is not None:
                lines.append(self._lines.get_nowait())
        except Empty:
            pass
        if lines[-1] is None:
            self._lines.put(None)
        found = [line for line in lines if line is not None]
        return found or None

    def _about(self, count: int) -> bytes:
        text = f"{count} lines were not logged: standard error could not be written, or was not read fast enough"
        record = logging.LogRecord("safelist.filter", logging.WARNING, "", 0, text, None, None)
        return self.format(record).encode() + b"\n"

    def _write(self, data: bytes) -> bool:
        """Whether all of it could be written; waits for the reader as long as that takes."""
        while data and self._descriptor is not None:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody who shares it has set O_NONBLOCK
                select.select([], [self._descriptor], [], 60)
            except OSError:
                return False
        return True


class JournalFormatter(logging.Formatter):
    """With the priority in front, for journald: sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        """Every line of a text of many has one, too."""
        level = _LEVELS.get(record.levelno, 6)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines() or [""])
