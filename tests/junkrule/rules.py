"""Strategies and a second, deliberately naive reading of a condition, for comparing."""

import struct

from hypothesis import strategies as st

from safelist.junkrule import JunkRule

# What a fast reader could mistake for the header of the next leaf, at an odd place in UTF-16.
TRAP = "\u0300\u0001\u0001\u001f\u0c1f\u001f\u0c1f"

texts = st.one_of(
    st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True),
    st.from_regex(r"@[a-z]{1,8}\.example", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.sampled_from(["", TRAP, f"a{TRAP}b", f"{TRAP[:3]}", "/o=Corp/cn=desk", "\U0001f4e7@x.example", "Ā", "\u0300"]),
)
lists = st.lists(texts, max_size=12).map(tuple)
rules = st.builds(JunkRule, *([lists] * 7))


def naive_decode(data: bytes) -> list[list[str]]:
    """The texts of every OR that holds no other restriction than CONTENT, in order; for canonical conditions only."""
    at = 2
    found: list[list[str]] = []

    def number() -> int:
        nonlocal at
        at += 4
        return int(struct.unpack_from("<I", data, at - 4)[0])

    def node(into: list[str]) -> None:
        nonlocal at
        kind = data[at]
        at += 1
        if kind in (0, 1):
            here: list[str] = []
            place = len(found)
            before = at
            for _ in range(number()):
                node(here)
            if kind == 1 and (here or data[before : before + 4] == b"\0\0\0\0"):
                found.insert(place, here)
        elif kind == 2:
            node([])
        elif kind == 3:
            at += 12
            raw = b""
            while data[at : at + 2] != b"\0\0":
                raw += data[at : at + 2]
                at += 2
            at += 2
            into.append(raw.decode("utf-16-le"))
        elif kind == 4:
            at += 13
        elif kind == 8:
            at += 4
        elif kind == 9:
            at += 4
            node([])

    node([])
    assert at == len(data)
    return found
