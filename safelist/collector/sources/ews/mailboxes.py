"""Whose lists are collected: named addresses, a file of them, and distribution groups with the groups inside them."""

import time
from collections.abc import Iterator
from pathlib import Path

from safelist import sender
from safelist.collector.failure import HOPELESS, FailureReason, FetchError
from safelist.collector.source import Selection
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.soap import GroupMember, MemberKind
from safelist.config import Mailboxes
from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError
from safelist.override_file import encoding_of

MAX_FILE_BYTES = 64 << 20
"""A list of mailboxes larger than this (about two million addresses) is refused."""
MAX_GROUPS = 10_000
FAULTS_SHOWN = 20


def select(settings: Mailboxes, exchange: ExchangeServer, until: float | None = None) -> Selection:
    """Find every mailbox that the configuration names, also in groups. Raises ConfigError when it names none.

    After ``until`` (by the monotonic clock) no group is asked for its members any more.
    """
    found = dict.fromkeys(settings.addresses)
    if settings.file is not None:
        found.update(dict.fromkeys(read_file(settings.file)))
    groups = _Groups(exchange, until)
    for group in settings.groups:
        found.update(dict.fromkeys(groups.members(group)))
    addresses = [address for address in found if address not in settings.exclude]
    if found and not addresses:
        raise ConfigError("mailboxes.exclude names every mailbox that [mailboxes] names; leave some")
    if not addresses and not groups.problems:
        raise ConfigError("mailboxes: no mailbox is named; write addresses, file or groups into [mailboxes]")
    return Selection(addresses, groups.problems, is_whole=not groups.problems)


def read_file(path: Path) -> list[str]:
    """Read the addresses in ``path``: one a line, ``#`` starts a comment. Raises ConfigError naming every bad line."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except PermissionError:
        raise PermissionDeniedError(f"mailboxes.file: {path} may not be read by this user") from None
    except OSError as error:
        raise ConfigError(f"mailboxes.file: {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"mailboxes.file: {path} is larger than {MAX_FILE_BYTES} bytes")
    addresses, faults = [], []
    for number, line in enumerate(_text_of(data, path).splitlines(), start=1):
        if not (text := line.partition("#")[0].strip()):
            continue
        pattern = sender.typed(text)
        if pattern.form is sender.Form.ADDRESS:
            addresses.append(pattern.text)
        else:
            faults.append(f"mailboxes.file: {path}, line {number}: not an e-mail address: {text[:80]!r}")
    if faults:
        more = [f"mailboxes.file: {path}: {len(faults) - FAULTS_SHOWN} more lines like these"]
        raise ConfigError(*faults[:FAULTS_SHOWN], *(more if len(faults) > FAULTS_SHOWN else []))
    return addresses


def _text_of(data: bytes, path: Path) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"mailboxes.file: {path} is not UTF-8 in line {line}; save it as UTF-8; {encoding_of(data)}"
        ) from None
    if "\0" in text:
        raise ConfigError(f"mailboxes.file: {path} is not UTF-8; save it as UTF-8; {encoding_of(data)}")
    return text


class _Groups:
    """Expands the groups of the configuration; what is wrong with one is noted in ``problems``."""

    def __init__(self, exchange: ExchangeServer, until: float | None) -> None:
        self._exchange = exchange
        self._until = until
        self.problems: list[tuple[str, str]] = []

    def members(self, group: str) -> list[str]:
        """The mailboxes in a group; one without any is a problem."""
        known = len(self.problems)
        found = list(self._members(group))
        if not found and len(self.problems) == known:
            text = "it is empty: no mailbox is a member; fill it, or take it out of mailboxes.groups"
            self.problems.append((group, text))
        return found

    def _members(self, group: str) -> Iterator[str]:
        """The mailboxes in ``group`` and in the groups inside it; a group met twice (a cycle) is expanded once."""
        waiting, seen = [group], {group}
        while waiting:
            name = waiting.pop()
            if len(seen) > MAX_GROUPS:
                self.problems.append((group, f"more than {MAX_GROUPS} groups inside it, the rest was left out"))
                return
            for member in self._expand(name):
                address = sender.parse(member.address)
                if address.form is not sender.Form.ADDRESS:
                    continue
                if member.kind is MemberKind.MAILBOX:
                    yield address.text
                elif member.kind is MemberKind.GROUP and address.text not in seen:
                    seen.add(address.text)
                    waiting.append(address.text)

    def _expand(self, group: str) -> list[GroupMember]:
        """Raises PermissionDeniedError or UnavailableError where asking on would meet the same again."""
        if self._until is not None and time.monotonic() >= self._until:
            text = "it was not asked who is in it: the run's time was up; raise exchange.budget, or look at Exchange"
            self.problems.append((group, text))
            return []
        try:
            return self._exchange.expand(group, self._until)
        except FetchError as error:
            if error.reason in HOPELESS:
                kind = PermissionDeniedError if error.reason is FailureReason.CREDENTIALS else UnavailableError
                raise kind(f"group {group}: {error.message}; no mailbox was asked") from None
            self.problems.append((group, error.message))
            return []
