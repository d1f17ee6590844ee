"""Shoots at the junk-rule codec: damaged rules must be read consistently or refused with RuleError, nothing else.

python fuzz/junkrule.py [--seconds 60] [--seed N]
"""

import argparse
import random
import struct
import time
from collections.abc import Callable

from mutation import damage

from safelist.errors import RuleError
from safelist.junkrule import JunkRule, decode, encode
from safelist.junkrule import restriction as r

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


def another_shape(chance: random.Random) -> bytes:
    """A condition that is read by meaning: leaves of every kind, under NOT or not."""

    def leaf() -> bytes:
        name = f"{chance.choice(NAMES)}@d.example"
        kind, prop = chance.choice([(0x1F, 0x0C1F), (0x1E, 0x5D01), (0x102, 0x0C1D)])
        value = {0x1F: f"{name}\0".encode("utf-16-le"), 0x1E: f"{name}\0".encode()}.get(kind, f"SMTP:{name}\0".encode())
        tag = struct.pack("<I", prop << 16 | kind)
        head = (
            b"\4\4" if chance.random() < 0.3 else b"\3" + struct.pack("<I", chance.choice([r.FULL_STRING, r.SUBSTRING]))
        )
        return head + tag + tag + (struct.pack("<I", len(value)) if kind == 0x102 else b"") + value

    wraps: list[Callable[[bytes], bytes]] = [bytes, r.encode_not]
    parts = [chance.choice(wraps)(leaf()) for _ in range(chance.randrange(1, 6))]
    return b"\0\0" + r.encode_and(*parts, r.encode_exist(0x40760003))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    chance, end, tried, read = random.Random(options.seed), time.monotonic() + options.seconds, 0, 0
    print(f"seed {options.seed}")
    while time.monotonic() < end:
        data = damage(chance.choice([some_rule, another_shape])(chance), INTERESTING, chance)
        tried += 1
        try:
            rule = decode(data)
            again = decode(encode(rule))
        except RuleError:
            continue
        except BaseException:
            print(f"after {tried} inputs, this one breaks the codec:\n{data.hex()}")
            raise
        read += 1
        if again != rule:
            raise SystemExit(f"after {tried} inputs, this one does not survive:\n{data.hex()}")
    print(f"{tried} inputs, {read} read, {tried - read} refused, no other outcome")


if __name__ == "__main__":
    main()
