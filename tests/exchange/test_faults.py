"""When a queued fault strikes."""

import threading

import pytest

from tests.exchange import Fault, Trouble
from tests.exchange.faults import FaultQueue


def strikes(queue: FaultQueue, count: int, operation: str = "GetItem") -> list[bool]:
    return [queue.take(operation) is not None for _ in range(count)]


@pytest.mark.parametrize(("times", "expected"), [(1, 1), (3, 3), (None, 10)])
def test_once_several_times_for_ever(times: int | None, expected: int) -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.HTTP_503, times=times))
    assert sum(strikes(queue, 10)) == expected
    assert len(queue) == (times is None)


def test_first_come_first_served() -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.SLOW))
    queue.append(Fault(Trouble.DRIP))
    taken = [queue.take("FindItem") for _ in range(3)]
    assert [fault.trouble if fault else None for fault in taken] == [Trouble.SLOW, Trouble.DRIP, None]


def test_an_operation_waits_for_its_own() -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.SLOW, operation="GetItem"))
    assert queue.take("FindItem") is None
    assert queue.take("GetItem") is not None


def test_a_share_strikes_about_that_part_and_the_same_ones_again() -> None:
    runs = []
    for seed in (7, 7, 8):
        queue = FaultQueue()
        queue.append(Fault(Trouble.HTTP_503, times=None, share=0.1, seed=seed))
        runs.append(strikes(queue, 5000))
    assert 400 < sum(runs[0]) < 600
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_share_of_none_and_of_all() -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.HTTP_503, times=None, share=0.0))
    assert sum(strikes(queue, 100)) == 0
    queue.append(Fault(Trouble.HTTP_503, times=None, share=1.0))
    assert sum(strikes(queue, 100)) == 100


def test_threads_share_a_queue_without_losing_one() -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.HTTP_503, times=500))
    struck: list[bool] = []
    threads = [threading.Thread(target=lambda: struck.extend(strikes(queue, 200))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(struck), sum(struck)) == (1600, 500)


def test_clear_forgets_all() -> None:
    queue = FaultQueue()
    queue.append(Fault(Trouble.HTTP_503, times=None))
    queue.clear()
    assert strikes(queue, 3) == [False] * 3
