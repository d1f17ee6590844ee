"""What the filter notes of the entries that let mail through, and how it is read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist import used
from safelist.errors import SafelistError
from safelist.used import Book, Key, Use

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = Key("trusted-address", "bob@aol.com", "desk@corp.example")


def test_uses_add_up_over_books(tmp_path: Path) -> None:
    path, book = tmp_path / "used.db", Book()
    for hours in (0, 1):
        book.note(KEY, NOW + timedelta(hours=hours))
    used.add(path, book.take())
    assert book.take() == []
    book.note(KEY, NOW + timedelta(hours=5))
    book.note(KEY._replace(mailbox=""), NOW)
    used.add(path, book.take())
    assert used.read(path) == [
        Use(KEY, NOW, NOW + timedelta(hours=5), 3),
        Use(KEY._replace(mailbox=""), NOW, NOW, 1),
    ]


def test_a_book_is_bounded() -> None:
    class Small(Book):
        MOST = 3

    book = Small()
    for n in range(10):
        book.note(Key("quorum", f"s{n}@aol.com", ""), NOW)
    assert (len(book.take()), book.dropped) == (3, 7)


def test_what_could_not_be_written_is_put_back(tmp_path: Path) -> None:
    book, other = Book(), KEY._replace(mailbox="")
    book.note(KEY, NOW)
    book.note(other, NOW)
    rows = book.take()
    book.note(KEY, NOW + timedelta(hours=1))
    book.put_back(rows)
    used.add(tmp_path / "used.db", book.take())
    assert used.read(tmp_path / "used.db") == [Use(KEY, NOW, NOW + timedelta(hours=1), 2), Use(other, NOW, NOW, 1)]


def test_what_is_put_back_is_bounded_too() -> None:
    class Small(Book):
        MOST = 1

    book = Small()
    book.note(KEY, NOW)
    rows = book.take()
    book.note(KEY._replace(mailbox=""), NOW)
    book.put_back(rows)
    assert (len(book.take()), book.dropped) == (1, 1)


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
