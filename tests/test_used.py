"""What the filter notes of the entries that let mail through, and how it is read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist import used
from safelist.errors import SafelistError
from safelist.used import Key, Use, UseBuffer

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = Key("trusted-address", "bob@aol.com", "desk@corp.example")


def test_uses_add_up_over_buffers(tmp_path: Path) -> None:
    path, uses = tmp_path / "used.db", UseBuffer()
    for hours in (0, 1):
        uses.note(KEY, NOW + timedelta(hours=hours))
    used.add(path, uses.take())
    assert uses.take() == []
    uses.note(KEY, NOW + timedelta(hours=5))
    uses.note(KEY._replace(mailbox=""), NOW)
    used.add(path, uses.take())
    assert used.read(path) == [
        Use(KEY, NOW, NOW + timedelta(hours=5), 3),
        Use(KEY._replace(mailbox=""), NOW, NOW, 1),
    ]


def test_a_buffer_is_bounded() -> None:
    class Small(UseBuffer):
        MOST = 3

    uses = Small()
    for n in range(10):
        uses.note(Key("quorum", f"s{n}@aol.com", ""), NOW)
    assert (len(uses.take()), uses.dropped) == (3, 7)


def test_what_could_not_be_written_is_put_back(tmp_path: Path) -> None:
    uses, other = UseBuffer(), KEY._replace(mailbox="")
    uses.note(KEY, NOW)
    uses.note(other, NOW)
    rows = uses.take()
    uses.note(KEY, NOW + timedelta(hours=1))
    uses.put_back(rows)
    used.add(tmp_path / "used.db", uses.take())
    assert used.read(tmp_path / "used.db") == [Use(KEY, NOW, NOW + timedelta(hours=1), 2), Use(other, NOW, NOW, 1)]


def test_what_is_put_back_is_bounded_too() -> None:
    class Small(UseBuffer):
        MOST = 1

    uses = Small()
    uses.note(KEY, NOW)
    rows = uses.take()
    uses.note(KEY._replace(mailbox=""), NOW)
    uses.put_back(rows)
    assert (len(uses.take()), uses.dropped) == (1, 1)


def test_what_is_no_such_file_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(SafelistError):
        used.read(tmp_path / "nowhere")
    for name, data in (("text", b"hello " * 1000), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(SafelistError):
            used.read(path)
    with pytest.raises(SafelistError):
        used.add(tmp_path, [])
