"""Publishing a Postfix map, beside the least it could cost: one file joined, written, synced and renamed.

python benchmarks/publish.py [--entries N] [--rounds N]
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from machine import machine

from safelist.errors import SafelistError
from safelist.policy import Candidate, Settings, Tally, judge
from safelist.publisher.publish import publish
from safelist.publisher.target import Nothing
from safelist.publisher.targets import postfix
from safelist.sender import Form, Pattern

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FLOOR = "floor: text only"


def voted(sender: Pattern) -> Candidate:
    """Two mailboxes trust it."""
    return Candidate(sender, (Tally(sender, 2),))


def candidates(count: int) -> list[Candidate]:
    """All of them safe."""
    return [voted(Pattern(f"sender{n:07}@partner{n % 997:03}.test", Form.ADDRESS)) for n in range(count)]


class Given(Nothing):
    """An aggregate of these candidates."""

    def __init__(self, given: list[Candidate]) -> None:
        self._given = given

    def candidates(self, settings: Settings, now: datetime, at_least: int) -> Iterator[Candidate]:
        """All of them."""
        yield from self._given


def floor(path: Path, given: list[Candidate]) -> None:
    """What nobody can go below: nothing is decided, checked or indexed."""
    lines = sorted(f"{candidate.sender.text} permit_auth_destination\n" for candidate in given)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def publisher(path: Path, map_type: str) -> Callable[[list[Candidate]], object]:
    """Publishes what it is given as a map of that type."""
    chosen = postfix.PostfixSettings.model_validate({"path": path, "map_type": map_type})
    return lambda given: publish(Given(given), Settings(), postfix.TARGET, chosen, lambda: NOW)


def seconds(work: Callable[[list[Candidate]], object], given: list[Candidate]) -> float:
    began = time.perf_counter()
    work(given)
    return time.perf_counter() - began


def measure(directory: Path, given: list[Candidate], rounds: int) -> dict[str, list[float]]:
    """Interleaved; in each round every map changes by one entry, and is then published again as it is."""
    took: dict[str, list[float]] = {FLOOR: [], "judge() alone": []}
    ways = {name: publisher(directory / name, name) for name in ("texthash", "hash", "btree", "lmdb", "cdb")}
    for number in range(rounds):
        changed = [*given, voted(Pattern(f"extra{number}@new.test", Form.ADDRESS))]
        took[FLOOR].append(seconds(lambda given: floor(directory / "floor", given), changed))
        took["judge() alone"].append(seconds(lambda given: sum(judge(c, Settings(), NOW).safe for c in given), changed))
        for name, way in list(ways.items()):
            try:
                took.setdefault(f"{name}, changed", []).append(seconds(way, changed))
                took.setdefault(f"{name}, unchanged", []).append(seconds(way, changed))
            except SafelistError as error:
                print(f"(left out: {error})")
                del ways[name]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    given = candidates(chosen.entries)
    with tempfile.TemporaryDirectory() as directory:
        took = measure(Path(directory), given, chosen.rounds)
    least = statistics.median(took[FLOOR])
    print(f"{machine()}\n{chosen.entries} entries, median of {chosen.rounds} interleaved rounds\n")
    print("| | ms | time / floor |\n|---|--:|--:|")
    for name, values in took.items():
        median = statistics.median(values)
        print(f"| {name} | {median * 1000:,.0f} | {median / least:.1f} |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
