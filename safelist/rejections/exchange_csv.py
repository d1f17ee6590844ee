"""What the logs of Exchange's transport have in common: lines of a head, then CSV whose columns the head names. Pure.

Microsoft's pages on protocol logging, message tracking and anti-spam agent logging have the heads and the columns.
What they do not say is seen in logs: only a value with a comma or a quote in it is quoted, the end of a line in a value
is the four characters ``\\r\\n``, and several values in a column are joined by semicolons, where one that holds a
semicolon or an apostrophe is put into apostrophes, doubled within.
"""

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

from safelist.rejections.format import UnreadLineError
from safelist.rejections.providers import listed_of, provider_of
from safelist.rejections.rejection import Listed

_BOM = "\ufeff"
_HEAD = re.compile(r"#([A-Za-z-]{1,20}): ?(.*)", re.DOTALL)
_MEMBER = re.compile(r"'((?:[^']|'')*+)'(?=;|\Z)|([^;]*)")
_LINE_END = re.compile(r"\\r\\n|\r\n|[\r\n]")
_REPEATED_CODE = re.compile(r"[0-9]{3}[ -](?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?")
_ADDRESS = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.]*[0-9])")


class ExchangeColumns(NamedTuple):
    """The columns that a log has by Microsoft's documents; the head of a file may name others.

    A line cannot be read without those in ``needed``. Where a line has more fields than there are columns, it is the
    one of ``free`` text that had a comma.
    """

    log_types: tuple[str, ...]
    names: tuple[str, ...]
    needed: tuple[str, ...]
    free: str


def log_type(head: str) -> str | None:
    """The type of log that the first lines of a file name, lower case; None where they are no head of Exchange's."""
    for line in head.split("\n"):
        if (found := _HEAD.match(line.strip(_BOM))) and found[1].lower() == "log-type":
            return found[2].strip().lower()
    return None


class ExchangeRows:
    """Reads the lines of a log into rows, by the head that they stand under: files may have been joined to one."""

    def __init__(self, columns: ExchangeColumns) -> None:
        self._columns = columns
        self._names: Sequence[str] = columns.names
        self.log_type = columns.log_types[0]
        """Of the head that was read last."""

    def row(self, line: str) -> dict[str, str] | None:
        """A row by the names of its columns, lower case; what a cut line lacks is missing. None: no row of this log.

        Raises UnreadLineError for a head without the columns that are needed, whose rows are no rows then, and for
        what is not CSV.
        """
        text = line.strip(_BOM + "\r\n")
        if text.startswith("#"):
            self._read_head(text)
            return None
        if not text or not self._names:
            return None
        fields = _fields(text)
        if (more := len(fields) - len(self._names)) > 0 and self._columns.free in self._names:
            at = self._names.index(self._columns.free)
            fields[at : at + more + 1] = [",".join(fields[at : at + more + 1])]
        return dict(zip(self._names, fields, strict=False))

    def _read_head(self, text: str) -> None:
        found = _HEAD.match(text)
        name, value = (found[1].lower(), found[2].strip().lower()) if found else ("", "")
        if name == "log-type":
            self.log_type = value
            if value not in self._columns.log_types:
                self._names = ()
                raise UnreadLineError(f"expected #Log-type: {' or '.join(self._columns.log_types)}; its lines are left")
            self._names = self._columns.names
        elif name == "fields" and self.log_type in self._columns.log_types:
            self._names = [each.strip() for each in value.split(",")]
            if lacking := [each for each in self._columns.needed if each not in self._names]:
                self._names = ()
                raise UnreadLineError(f"expected #Fields: with {', '.join(lacking)}; the lines below are left")


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise UnreadLineError(f"expected comma-separated values ({error})") from None


def moment(row: dict[str, str], column: str) -> datetime:
    """The time of a row, in UTC. Raises UnreadLineError."""
    try:
        at = datetime.fromisoformat(row.get(column, ""))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UnreadLineError(f"expected {column} as 2026-11-27T09:34:39.159Z") from None


def members(values: str) -> list[str]:
    """The values that are joined in a column."""
    found: list[str] = []
    at = 0
    while at < len(values) and (one := _MEMBER.match(values, at)):
        found.append(one[2] if one[1] is None else one[1].replace("''", "'"))
        at = one.end() + 1
    return found


def address_of(endpoint: str) -> str | None:
    """The IP address of an endpoint, which may have a port; None where it is no address."""
    host = endpoint.partition("]")[0].removeprefix("[")
    if endpoint.count(":") == 1:
        host = endpoint.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def envelope_address(text: str) -> str | None:
    """An address of an envelope, without ``<>``; empty for the null sender, None where there is nothing."""
    return text.removeprefix("<").removesuffix(">") if text else None


def in_one_line(reply: str) -> str:
    """A reply in one line, and the code that each of its lines began with once."""
    if reply[3:4] != "-" or not reply[:3].isdecimal():
        return _LINE_END.sub(" ", reply)
    code = re.escape(reply[:3])
    first, *rest = re.split(rf"(?:\\r\\n|\r\n|[\r\n ])(?={code}[ -])", f"{reply[:3]} {reply[4:]}")
    joined = " ".join([first, *(_REPEATED_CODE.sub("", each, count=1) for each in rest)])
    return _LINE_END.sub(" ", joined)


def list_behind(reply: str) -> tuple[str | None, Listed | None]:
    """Which block list a reply names, and what it was asked about: Exchange asks about addresses of clients only."""
    provider = provider_of(reply)
    return provider, listed_of(reply) or (Listed.CLIENT if provider else None)


def addresses_in(reply: str) -> list[str]:
    """The IPv4 addresses that a reply mentions."""
    return [each for each in _ADDRESS.findall(reply) if address_of(each)]
