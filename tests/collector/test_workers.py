"""Many questions at once, few in flight."""

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from safelist.collector.workers import answers


def test_every_task_is_answered_once() -> None:
    assert sorted(answers(lambda n: n * n, iter(range(1000)), 8)) == [n * n for n in range(1000)]


def test_tasks_are_read_only_a_little_ahead() -> None:
    read: list[int] = []

    def tasks() -> Iterator[int]:
        for n in range(1000):
            read.append(n)
            yield n

    stream = answers(lambda n: n, tasks(), 4)
    for taken in range(1, 50):
        next(stream)
        assert len(read) <= taken + 8
    closed(stream)
    assert len(read) < 100


def closed(stream: Iterator[int]) -> None:
    """End a generator that its user takes for any iterator."""
    assert isinstance(stream, Generator)
    stream.close()


def test_workers_work_at_the_same_time() -> None:
    together = threading.Barrier(5, timeout=30)
    assert list(answers(lambda _: together.wait() >= 0, iter(range(5)), 5)) == [True] * 5


def test_an_exception_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(answers(lambda n: 1 // n, iter([1, 0, 1]), 2))


def test_threads_end_when_the_caller_stops_early() -> None:
    stream = answers(lambda n: n, iter(range(100)), 4)
    next(stream)
    working = [thread for thread in threading.enumerate() if thread.name.startswith("collector-")]
    assert len(working) >= 4
    closed(stream)
    for thread in working:
        thread.join(10)
    assert not any(thread.is_alive() for thread in working)


def test_what_was_not_answered_in_time_is_dropped() -> None:
    for_ever = threading.Event()
    stream = answers(lambda n: n or for_ever.wait(), iter(range(100)), 2, time.monotonic() + 1)
    assert 0 not in list(stream)
    for_ever.set()


def test_nothing_is_begun_once_the_time_is_up() -> None:
    tasks = iter(range(100))
    begun = list(answers(lambda n: n, tasks, 2, time.monotonic() - 1))
    assert len(begun) <= 4
    assert next(tasks) == 4
