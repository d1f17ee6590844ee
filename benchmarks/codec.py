"""How fast a Junk E-mail Rule is decoded, beside the fastest way of splitting its bytes that checks nothing.

python benchmarks/codec.py [--rounds N]
"""

import argparse
import statistics
import struct
import time
from collections.abc import Callable

from machine import machine

from safelist.collector.collect import entries_of
from safelist.entry import ALL_LISTS
from safelist.junkrule import JunkRule, decode, encode

ENTRIES = 1_000
REPEATS = 50

RULE = JunkRule(safe_senders=tuple(f"sender{n:05}@partner{n % 50:02}.test" for n in range(ENTRIES)))
BLOB = encode(RULE)
SIX = [tuple(f"s{i}@small{name}.test" for i in range(10)) for name in range(6)]
SEVEN = encode(JunkRule(*[*SIX, RULE.safe_senders]))
HEADER = struct.pack("<BIII", 3, 0x00010000, 0x0C1F001F, 0x0C1F001F)
START = BLOB.index(HEADER)


def floor() -> list[str]:
    """Split on the known header and decode once: right for this blob only, and nothing is checked."""
    end = BLOB.rindex(HEADER) + len(HEADER)
    end += BLOB[end:].index(b"\0\0\0") + 3
    return BLOB[START + len(HEADER) : end].replace(b"\0\0" + HEADER, b"\0\0").decode("utf-16-le").split("\0")[:-1]


def struct_loop() -> list[str]:
    """One struct and one search an entry, as a plain reader does."""
    leaf, found, at = struct.Struct("<BIII"), [], START
    for _ in range(ENTRIES):
        leaf.unpack_from(BLOB, at)
        begin = at + leaf.size
        end = BLOB.find(b"\0\0", begin)
        while (end - begin) % 2:
            end = BLOB.find(b"\0\0", end + 1)
        found.append(BLOB[begin:end].decode("utf-16-le"))
        at = end + 2
    return found


def whole() -> JunkRule:
    """What the collector does: every byte checked."""
    return decode(BLOB)


def seven_lists() -> JunkRule:
    """The same entries as contacts, the last list, after six lists of ten (counted as 1,000 entries all the same)."""
    return decode(SEVEN)


def with_senders() -> object:
    """And each text normalised (in a cache after the first round, as for senders that many mailboxes trust)."""
    rule = decode(BLOB)
    return entries_of({list_: rule.texts(list_) for list_ in ALL_LISTS}, ALL_LISTS)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    assert floor() == struct_loop() == list(RULE.safe_senders)
    ways = {"floor: split, nothing checked": floor, "struct loop": struct_loop, "safelist decode()": whole,
            "decode(), and six small lists": seven_lists, "decode() and sender.parse()": with_senders}  # fmt: skip
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            took[name].append(seconds(work))
    best = statistics.median(took["floor: split, nothing checked"])
    print(f"{machine()}\n{ENTRIES} senders, {len(BLOB)} bytes, median of {rounds} interleaved rounds\n")
    print("| | entries per CPU second | time / floor |\n|---|--:|--:|")
    for name, values in took.items():
        median = statistics.median(values)
        print(f"| {name} | {ENTRIES / median:,.0f} | {median / best:.2f} |")


if __name__ == "__main__":
    main()
