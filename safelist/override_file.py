"""Overrides as people write them, column by column: on a command line, in a CSV or JSON file. Pure.

All columns are texts (``with_subdomains`` is true or false in JSON); an empty one that need not be filled in means the
default. What is written here reads back as the same.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from safelist.override import MAX_TEXT, Authentication, Effect, Level, Terms, parse_expiry
from safelist.sender import Form, Pattern, covering, domain_of, typed, with_subdomains

MAX_BYTES = 10_000_000
"""A file larger than this is refused."""
MAX_ROWS = 100_000
MAX_CELL = 1000
"""Characters; no text that means something is longer."""
_NAMED = 10

Choice = TypeVar("Choice", bound=StrEnum)
Cells = Mapping[str, str]
"""The text of each column; one that is missing is empty."""


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSON = "json"


class Circumstances(NamedTuple):
    """What the texts are read against: the moment, the organisation's domains, and what is configured as default."""

    at: datetime
    own_domains: frozenset[str]
    authentication: Authentication = Authentication.DKIM_OR_SPF
    expires: str = "never"


class ColumnFault(NamedTuple):
    """What is wrong with a column's text."""

    column: str
    sentence: str


class InvalidTermsError(ValueError):
    """Texts that make no override: everything that is wrong with them."""

    def __init__(self, faults: list[ColumnFault]) -> None:
        super().__init__("\n".join(f"{column}: {sentence}" for column, sentence in faults))
        self.faults = faults


class FileRow(NamedTuple):
    """One override of a file, in line (CSV) or item (JSON) ``at``."""

    at: int
    terms: Terms


class FileFault(NamedTuple):
    """What is wrong in line or item ``at``; 0 is the file itself."""

    at: int
    sentence: str


class FileContent(NamedTuple):
    """The rows of a file that are overrides, and everything that is wrong with it."""

    rows: list[FileRow]
    faults: list[FileFault]


def place(format_: Format, at: int) -> str:
    """The line or the item, for people."""
    return f"{'line' if format_ is Format.CSV else 'item'} {at}"


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """A text that anybody can read, without the white space around it. Raises ValueError that says what is wrong."""
    text = text.strip()
    if not text:
        raise ValueError("is empty, write something")
    if len(text) > limit:
        raise ValueError(f"is {len(text)} characters long, write at most {limit}")
    if not text.isprintable():
        unseen = next(c for c in text if not c.isprintable())
        raise ValueError(f"holds a control character or one that nobody sees (U+{ord(unseen):04X}), leave it out")
    return text


def _one_of(choices: type[Choice], text: str) -> Choice:
    try:
        return choices(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is none of them: write {' or '.join(choices)}") from None


def _sender(text: str) -> Pattern:
    pattern = typed(text)
    if pattern.refusal is not None:
        raise ValueError(f"{text!r} is not an address or a domain: {pattern.refusal.sentence}")
    return pattern


def _truth(text: str) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise ValueError(f"{text!r} is neither: write true or false")
    return text.lower() == "true"


def _scope(text: str, circumstances: Circumstances) -> Pattern | None:
    if text.lower() in ("", "everybody"):
        return None
    scope = typed(text)
    if scope.form not in (Form.ADDRESS, Form.DOMAIN):
        raise ValueError(f"{text!r} is neither everybody nor a recipient's address nor a domain")
    if circumstances.own_domains.isdisjoint(text.removeprefix(".") for text in covering(scope)):
        own = _some(sorted(circumstances.own_domains)) or "none"
        raise ValueError(
            f"{domain_of(scope)} is no domain of the organisation nor below one; there are: {own} "
            "(of the mailboxes, and in [policy] own_domains)"
        )
    return scope


def _expires(text: str, circumstances: Circumstances) -> datetime | None:
    try:
        return parse_expiry(text or circumstances.expires, circumstances.at)
    except ValueError as error:
        raise ValueError(str(error) if text else f"the default, [overrides] expires: {error}") from None


def _some(names: Iterable[str]) -> str:
    rest = iter(names)
    first = ", ".join(islice(rest, _NAMED))
    more = sum(1 for _ in rest)
    return f"{first} and {more} more" if more else first


_READERS: Mapping[str, Callable[[str, Circumstances], Any]] = {
    "effect": lambda text, _: _one_of(Effect, text),
    "sender": lambda text, _: _sender(text),
    "with_subdomains": lambda text, _: _truth(text),
    "scope": _scope,
    "level": lambda text, _: _one_of(Level, text or Level.ENFORCED),
    "authentication": lambda text, _: _one_of(Authentication, text) if text else None,
    "expires": _expires,
    "reason": lambda text, _: plain(text),
    "ticket": lambda text, _: plain(text) if text else None,
}
COLUMNS = tuple(_READERS)
REQUIRED = ("effect", "sender", "reason")


def terms_of(cells: Cells, circumstances: Circumstances) -> Terms:
    """What those texts say. Raises InvalidTermsError with everything that is wrong with them."""
    found: dict[str, Any] = {}
    faults = []
    for column, read in _READERS.items():
        try:
            found[column] = read(_bounded(cells.get(column, "")), circumstances)
        except ValueError as error:
            faults.append(ColumnFault(column, str(error)))
    faults += _at_odds(found)
    if faults:
        raise InvalidTermsError(faults)
    pattern, effect = found["sender"], found["effect"]
    authentication = found["authentication"] or (
        circumstances.authentication if effect is Effect.ALLOW else Authentication.DKIM_OR_SPF
    )
    return Terms(
        effect, with_subdomains(pattern) if found["with_subdomains"] else pattern, found["reason"], found["scope"],
        found["level"], authentication, found["ticket"], found["expires"],
    )  # fmt: skip


def _bounded(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_CELL:
        raise ValueError(f"is longer than {MAX_CELL} characters")
    return text


def _at_odds(found: Mapping[str, Any]) -> Iterator[ColumnFault]:
    if found.get("with_subdomains") and "sender" in found and found["sender"].form is Form.ADDRESS:
        yield ColumnFault("with_subdomains", f"{found['sender'].text} is one address and has no sub-domains")
    if found.get("effect") is Effect.BLOCK and found.get("authentication") is not None:
        yield ColumnFault("authentication", "is for an allow; a block needs none")


def cells_of(terms: Terms) -> dict[str, str]:
    """The texts that say the same; the opposite of :func:`terms_of`."""
    is_wide = terms.pattern.form is Form.SUBDOMAINS
    return {
        "effect": str(terms.effect),
        "sender": domain_of(terms.pattern) if is_wide else terms.pattern.text,
        "with_subdomains": "true" if is_wide else "false",
        "scope": terms.scope.text if terms.scope else "everybody",
        "level": str(terms.level),
        "authentication": str(terms.authentication) if terms.effect is Effect.ALLOW else "",
        "expires": terms.expires.isoformat() if terms.expires else "never",
        "reason": terms.reason,
        "ticket": terms.ticket or "",
    }


def as_json(terms: Terms) -> dict[str, str | bool]:
    """One item of a JSON file."""
    cells = cells_of(terms)
    return cells | {"with_subdomains": cells["with_subdomains"] == "true"}


def as_csv(given: Iterable[Terms]) -> str:
    """A whole CSV file."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_defused(cell) for cell in cells_of(terms).values()] for terms in given)
    return out.getvalue()


# With any number of apostrophes in front, so that one of them more or less always means the same.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def _defused(cell: str) -> str:
    """No spreadsheet takes it for a formula (OWASP, CSV injection)."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _armed(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read(data: bytes, format_: Format, circumstances: Circumstances) -> FileContent:
    """The overrides of a file. Never raises: whatever is wrong is among the faults."""
    content = FileContent([], [])
    seen: dict[object, int] = {}
    for count, record in enumerate(_records(data, format_)):
        if count == MAX_ROWS:
            content.faults.append(FileFault(0, f"has more than {MAX_ROWS:,} rows, import it in parts"))
            break
        if isinstance(record, FileFault):
            content.faults.append(record)
            continue
        try:
            terms = terms_of(record.cells, circumstances)
        except InvalidTermsError as error:
            content.faults.extend(FileFault(record.at, f"{column}: {sentence}") for column, sentence in error.faults)
            continue
        content.rows.append(FileRow(record.at, terms))
        if (first := seen.setdefault(terms.subject, record.at)) != record.at:
            content.faults.append(
                FileFault(record.at, f"is about the same as {place(format_, first)}, leave one of them out")
            )
    return content


class _FileRecord(NamedTuple):
    at: int
    cells: Cells


def _records(data: bytes, format_: Format) -> Iterator[_FileRecord | FileFault]:
    if len(data) > MAX_BYTES:
        yield FileFault(0, f"is larger than {MAX_BYTES:,} bytes, import it in parts")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield FileFault(0, f"is not UTF-8 in line {line}, save it as UTF-8 (Excel: CSV UTF-8); {encoding_of(data)}")
        return
    yield from _csv_records(text) if format_ is Format.CSV else _json_records(text)


def encoding_of(data: bytes) -> str:
    """What text that is not UTF-8 seems to be, and how to convert it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:1000]:
        name, big = "UTF-16", data.startswith(b"\xfe\xff") or data[:1] == b"\0"
        from_ = name if data[:1] in (b"\xff", b"\xfe") else f"UTF-16{'BE' if big else 'LE'}"
        return f"it seems to be {name}: iconv -f {from_} -t UTF-8"
    return "it seems to be Windows-1252 (Latin-1) or the like: iconv -f WINDOWS-1252 -t UTF-8"


def _csv_records(text: str) -> Iterator[_FileRecord | FileFault]:
    # Excel writes a semicolon wherever a comma is the decimal sign; no column has any of these in its name.
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    at = 1
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        yield from (misplaced := [FileFault(at, sentence) for sentence in _misnamed(columns)])
        at = reader.line_num + 1
        for cells in reader if not misplaced else ():
            if any(map(str.strip, cells)):
                yield _csv_record(at, columns, cells)
            at = reader.line_num + 1
    except csv.Error as error:
        yield FileFault(at, f"no CSV from here on: {error} (is a quote missing?)")


def _misnamed(columns: list[str]) -> Iterator[str]:
    """What is wrong with a CSV file's first line."""
    if missing := [column for column in REQUIRED if column not in columns]:
        yield f"the column {', '.join(missing)} is missing; the first line names the columns: {','.join(COLUMNS)}"
    if unknown := [repr(column[:MAX_CELL]) for column in dict.fromkeys(columns) if column not in COLUMNS]:
        yield f"there is no column {_some(unknown)}; there are: {','.join(COLUMNS)}"
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        yield f"the column {', '.join(twice)} is there twice"


def _csv_record(at: int, columns: list[str], cells: list[str]) -> _FileRecord | FileFault:
    if len(cells) != len(columns):
        return FileFault(at, f"has {len(cells)} cells, the first line has {len(columns)}")
    return _FileRecord(at, dict(zip(columns, map(_armed, cells), strict=True)))


class _Object(dict[str, object]):
    """A JSON object that remembers whether one of its keys stood twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.is_ambiguous = len(self) < len(pairs)


def _json_records(text: str) -> Iterator[_FileRecord | FileFault]:
    try:
        items = json.loads(text, object_pairs_hook=_Object, parse_int=float)
    except RecursionError:
        yield FileFault(0, "is no JSON that safelist reads: nested too deeply")
        return
    except ValueError as error:
        yield FileFault(0, f"is not JSON: {error}")
        return
    if not isinstance(items, list):
        yield FileFault(0, "must be a list of objects, as `safelist override export --json` writes it")
        return
    for at, item in enumerate(items, 1):
        yield _json_record(at, item)


def _json_record(at: int, item: object) -> _FileRecord | FileFault:
    if not isinstance(item, _Object):
        return FileFault(at, "must be an object")
    if item.is_ambiguous:
        return FileFault(at, "has a key twice")
    if unknown := [repr(key[:MAX_CELL]) for key in item if key not in COLUMNS]:
        return FileFault(at, f"there is no key {_some(unknown)}; there are: {', '.join(COLUMNS)}")
    if wrong := [key for key, value in item.items() if not _is_of_its_type(key, value)]:
        return FileFault(at, f"{', '.join(wrong)}: write a text (with_subdomains: true or false)")
    return _FileRecord(at, {key: _cell(value) for key, value in item.items()})


def _is_of_its_type(key: str, value: object) -> bool:
    return value is None or isinstance(value, bool if key == "with_subdomains" else str)


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
