"""Damage to bytes, for whatever shoots at what reads them; the same seed does the same damage."""

import random
from collections.abc import Sequence

_OFTEN = 50_000


def damage(data: bytes, interesting: Sequence[bytes], chance: random.Random, *, may_repeat: bool = False) -> bytes:
    """One to eight cuts, copies, overwritten bytes, and insertions of what is ``interesting`` to its reader.

    With ``may_repeat`` something is now and then repeated very often: some 50,000 bytes.
    """
    raw = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, other = chance.randrange(len(raw) + 1), chance.randrange(len(raw) + 1)
        piece = chance.choice(interesting)
        match chance.randrange(6 if may_repeat else 5):
            case 0:
                raw[at : at + len(piece)] = piece
            case 1:
                raw[at:at] = piece
            case 2:
                del raw[at : at + chance.randrange(1, 20)]
            case 3:
                raw[at:at] = raw[other : other + chance.randrange(1, 200)]
            case 4 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 5 if chance.random() < 0.05:
                piece = bytes(raw[at : at + chance.randrange(1, 12)]) if chance.random() < 0.5 else piece
                raw[at:at] = piece * (_OFTEN // max(len(piece), 1))
    return bytes(raw)
