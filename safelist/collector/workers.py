"""Many questions asked at once, few in flight: memory stays flat however many there are."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def answers(
    ask: Callable[[Task], Answer], tasks: Iterator[Task], workers: int, until: float | None = None
) -> Iterator[Answer]:
    """Ask every task by ``ask(task)``, from ``workers`` threads; answers in the order in which they come.

    ``tasks`` is read by the caller's thread, at most ``2 * workers`` ahead of the answers. An exception of ``ask`` is
    raised here. When the caller stops early, tasks that were not begun are dropped; so it is with all that was not
    answered at ``until`` (by the monotonic clock).
    """
    todo: SimpleQueue[Task | None] = SimpleQueue()
    done: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()
    stopped = Event()
    work = partial(_work, ask, todo, done, stopped)
    threads = [Thread(target=work, name=f"collector-{n}", daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    in_flight = 0
    try:
        for task in islice(tasks, 2 * workers):
            todo.put(task)
            in_flight += 1
        while in_flight:
            try:
                answer, error = done.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                return
            in_flight -= 1
            if error is not None:
                raise error
            yield answer  # type: ignore[misc] # it is an Answer when there is no error
            for task in islice(tasks, 0 if until is not None and time.monotonic() >= until else 1):
                todo.put(task)
                in_flight += 1
    finally:
        stopped.set()
        for _ in threads:
            todo.put(None)


def _work(
    ask: Callable[[Task], Answer], todo: SimpleQueue[Task | None],
    done: SimpleQueue[tuple[Answer | None, BaseException | None]], stopped: Event,
) -> None:  # fmt: skip
    """Answer tasks until there is None, or nobody wants to know any more."""
    while (task := todo.get()) is not None and not stopped.is_set():
        try:
            done.put((ask(task), None))
        except BaseException as error:
            done.put((None, error))
