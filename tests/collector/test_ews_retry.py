"""When to ask again, and when to give up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews.retry import RequestRetries, RetryPolicy, SharedPause, TransientError

FAILURE = FetchError(FailureReason.THROTTLED, "busy; wait")


class Paused(Exception):  # noqa: N818
    """Instead of waiting."""


def stop(seconds: float) -> None:
    raise Paused(seconds)


def busy(after: float | None = None, *, at_once: bool = False) -> TransientError:
    return TransientError(FAILURE, after=after, at_once=at_once)


def test_an_open_gate_lets_everybody_through() -> None:
    shared_pause = SharedPause(stop)
    shared_pause.wait()
    shared_pause.hold(60)
    shared_pause.hold(1)
    with pytest.raises(Paused) as caught:
        shared_pause.wait()
    assert 50 < caught.value.args[0] <= 60


def test_waits_of_our_own_choice_grow_and_close_no_gate() -> None:
    shared_pause = SharedPause(stop)
    retries = RequestRetries(RetryPolicy(attempts=6, first=1.0, longest=3.0), shared_pause)
    waits = [retries.pause_after(busy()) for _ in range(5)]
    for wait, middle in zip(waits, (1, 2, 3, 3, 3), strict=True):
        assert 0.7 * middle <= wait <= 1.3 * middle
    shared_pause.wait()
    with pytest.raises(FetchError) as caught:
        retries.pause_after(busy())
    assert caught.value is FAILURE


def test_a_cut_line_is_tried_again_at_once_but_only_once() -> None:
    retries = RequestRetries(RetryPolicy(first=1.0), SharedPause(stop))
    assert retries.pause_after(busy(at_once=True)) == 0
    assert retries.pause_after(busy(at_once=True)) > 0


def test_a_servers_wish_closes_the_gate_for_a_bounded_time() -> None:
    shared_pause = SharedPause(stop)
    assert RequestRetries(RetryPolicy(longest_asked=300), shared_pause).pause_after(busy(1e9)) == 0
    with pytest.raises(Paused) as caught:
        shared_pause.wait()
    assert 290 < caught.value.args[0] <= 300


@pytest.mark.parametrize("after", [0.0, -1.0, -1e18])
def test_no_wish_at_all(after: float) -> None:
    shared_pause = SharedPause(stop)
    assert RequestRetries(RetryPolicy(), shared_pause).pause_after(busy(after)) > 0
    shared_pause.wait()


def test_time_is_bounded() -> None:
    with pytest.raises(FetchError):
        RequestRetries(RetryPolicy(total=100), SharedPause(stop)).pause_after(busy(101))


@given(st.lists(st.none() | st.floats(allow_nan=False), min_size=8, max_size=8), st.booleans())
def test_whatever_the_server_asks_patience_ends(wishes: list[float | None], at_once: bool) -> None:
    retries = RequestRetries(RetryPolicy(attempts=8), SharedPause(stop))
    ended = 0
    for after in wishes:
        try:
            assert 0 <= retries.pause_after(busy(after, at_once=at_once)) <= 26
        except FetchError:
            ended += 1
    assert ended >= 1
