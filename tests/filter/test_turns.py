"""Work by turns: in order, and with all else of the loop in between."""

import asyncio
from collections.abc import Callable

from safelist.filter.turns import SHARE, Turns
from tests.waiting import until


def test_whoever_adds_himself_again_is_behind_the_others() -> None:
    async def work() -> list[str]:
        turns, done = Turns(), list[str]()

        def step(name: str, left: int) -> Callable[[], None]:
            def one() -> None:
                done.append(name)
                if left:
                    turns.add(step(name, left - 1))

            return one

        turns.add(step("a", 2))
        turns.add(step("b", 1))
        turns.add(step("c", 0))
        while len(done) < 6:
            await asyncio.sleep(0)
        return done

    assert asyncio.run(work()) == ["a", "b", "c", "a", "b", "a"]


def test_what_takes_long_is_left_for_the_next_turn() -> None:
    async def work() -> list[str]:
        turns, done = Turns(), list[str]()

        def long() -> None:
            loop = asyncio.get_running_loop()
            over = loop.time() + SHARE
            assert until(lambda: loop.time() > over)
            done.append("long")

        for _ in range(3):
            turns.add(long)
        for _ in range(10):
            await asyncio.sleep(0)
            done.append("else")
        return done

    done = asyncio.run(work())
    assert done.count("long") == 3
    assert "long long" not in " ".join(done)


def test_a_piece_that_fails_holds_nobody_up() -> None:
    async def work() -> tuple[list[str], list[str]]:
        turns, done, heard = Turns(), list[str](), list[str]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(str(context["exception"])))

        def fail() -> None:
            raise ValueError("ouch")

        turns.add(fail)
        turns.add(lambda: done.append("next"))
        for _ in range(5):
            await asyncio.sleep(0)
        turns.add(lambda: done.append("later"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return done, heard

    assert asyncio.run(work()) == (["next", "later"], ["ouch"])
