"""Shoots at the junk-rule codec: damaged rules must be read consistently or refused with RuleError, nothing else.

python fuzz/junkrule.py [--seconds 60] [--seed N]
"""

import argparse
import random
import time

from safelist.errors import RuleError
from safelist.junkrule import JunkRule, decode, encode

INTERESTING = [
    b"\0", b"\xff", b"\0\0", b"\1\0\1\0", b"\xff\xff\xff\xff", b"\0\xd8", b"\3", b"\2", b"\x09\x0d\0\x12\x0e",
    b"\x1f\0\x1f\x0c", b"\x1e\0\x1f\x0c", b"\x02\x01\x1d\x0c", b"\x0a\1", bytes(8),
]  # fmt: skip
NAMES = ["", "a", "sender", "/o=x"]


def some_rule(chance: random.Random) -> bytes:
    """A canonical condition with a few entries in each list."""

    def entries() -> tuple[str, ...]:
        return tuple(f"{chance.choice(NAMES)}@d{chance.randrange(9)}.example" for _ in range(chance.randrange(6)))

    return encode(JunkRule(*(entries() for _ in JunkRule.__slots__)))


def damage(data: bytes, chance: random.Random) -> bytes:
    """One to eight cuts, copies, insertions and overwritten bytes."""
    raw = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, other = chance.randrange(len(raw) + 1), chance.randrange(len(raw) + 1)
        piece = chance.choice(INTERESTING)
        match chance.randrange(5):
            case 0:
                raw[at : at + len(piece)] = piece
            case 1:
                raw[at:at] = piece
            case 2:
                del raw[at : at + chance.randrange(1, 20)]
            case 3:
                raw[at:at] = raw[other : other + chance.randrange(1, 60)]
            case 4 if at < len(raw):
                raw[at] = chance.randrange(256)
    return bytes(raw)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    chance, end, tried, read = random.Random(options.seed), time.monotonic() + options.seconds, 0, 0
    print(f"seed {options.seed}")
    while time.monotonic() < end:
        data = damage(some_rule(chance), chance)
        tried += 1
        try:
            rule = decode(data)
        except RuleError:
            continue
        except BaseException:
            print(f"after {tried} inputs, this one breaks the codec:\n{data.hex()}")
            raise
        read += 1
        if decode(encode(rule)) != rule:
            raise SystemExit(f"after {tried} inputs, this one does not survive:\n{data.hex()}")
    print(f"{tried} inputs, {read} read, {tried - read} refused, no other outcome")


if __name__ == "__main__":
    main()
