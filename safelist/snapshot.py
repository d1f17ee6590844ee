"""The file that the filter reads: everything that the policy needs about a sender and a recipient, and nothing else.

An LMDB file (symas.com/lmdb), written whole under another name and renamed; readers open it read-only, without a lock.
Its keys, in byte order:

- ``\\0meta``: JSON with the format's number, the policy's settings, the overrides in force, counts, and the source;
- ``m`` and a recipient's address: the recipient's entries, each the first 8 bytes of the BLAKE2b of the pattern's text,
  then its list (1 byte) and the second since when (4 bytes), little-endian;
- ``t`` and a pattern's text: how many mailboxes trust it (4 bytes), then the number of a reason and of mailboxes whose
  trust does not count for that reason (1 and 4 bytes each; the numbers' names stand in the head).

Behind LMDB's pages stand a mark and the SHA-256 of everything before it: LMDB believes what it maps, so a file is
checked whole before it is opened.
"""

import errno
import hashlib
import json
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import lmdb

from safelist.entry import Holding, UserList
from safelist.errors import UnavailableError
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Candidate, Reason, Settings, Tally
from safelist.sender import Form, Pattern, covering

FORMAT = 1
_META, _MAILBOX, _TALLY = b"\0meta", b"m", b"t"
_RECORD = struct.Struct("<8sBI")
_VOTES = struct.Struct("<I")
_UNCOUNTED = struct.Struct("<BI")
_MAX_KEY = 511
_MARK = b"\nsafelist-snapshot\n"
_AT_ONCE = 1 << 20
_DIGEST_SIZE = hashlib.sha256().digest_size
_MAP_SIZE = 1 << 36
"""Address space, not disk: what the file may grow to."""
_COMMIT_EVERY = 20_000
_REASONS = tuple(Reason)


class SnapshotError(UnavailableError):
    """The file is no snapshot that this version reads: missing, damaged, half-written, of a newer format."""


class SnapshotSummary(NamedTuple):
    """What a snapshot holds: entries of recipients, patterns that somebody trusts, overrides; and their digest."""

    entries: int
    patterns: int
    overrides: int
    digest: str


class Contents(NamedTuple):
    """What goes into a snapshot. ``source`` identifies what it was made from."""

    source: str
    settings: Settings
    overrides: Sequence[Override]
    tallies: Iterable[Tally]
    mailboxes: Iterable[tuple[str, Sequence[Holding]]]


def write(path: Path, contents: Contents) -> SnapshotSummary:
    """Write a new file, flushed to the disk. The same contents give the same digest. Raises OSError."""
    try:
        return _write(path, contents)
    except lmdb.Error as error:
        # A positive code is errno's; LMDB's own are negative.
        number = error.code if error.code > 0 else errno.EIO
        raise OSError(number, str(error.reason), str(path)) from None


def _write(path: Path, contents: Contents) -> SnapshotSummary:
    with lmdb.open(
        str(path), subdir=False, map_size=_MAP_SIZE, lock=False, sync=False, metasync=False, readahead=False
    ) as environment:
        writer = _Writer(environment)
        entries = sum(writer.put(_MAILBOX, address, _records(held)) * len(held) for address, held in contents.mailboxes)
        patterns = sum(writer.put(_TALLY, tally.pattern.text, _votes(tally)) for tally in contents.tallies)
        meta = {
            "format": FORMAT,
            "source": contents.source,
            "settings": contents.settings.as_json(),
            "overrides": [_override_as_json(override) for override in contents.overrides],
            "counts": [entries, patterns, len(contents.overrides)],
            "reasons": _REASONS,
        }
        digest = writer.end(meta)
        environment.sync(True)
    with path.open("r+b") as file:
        file.write(_MARK + hashlib.file_digest(file, "sha256").digest())
        file.flush()
        os.fsync(file.fileno())
    return SnapshotSummary(entries, patterns, len(contents.overrides), digest)


class _Writer:
    """Puts keys, commits now and then, and computes the digest of everything."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._transaction = environment.begin(write=True)
        self._digest = hashlib.sha256()
        self._count = 0

    def put(self, kind: bytes, name: str, value: bytes) -> bool:
        """Write a key, and say whether it could be kept: a name that is too long can be no sender or recipient."""
        key = kind + name.encode()
        if len(key) > _MAX_KEY:
            return False
        self._put(key, value)
        self._count += 1
        if self._count % _COMMIT_EVERY == 0:
            self._transaction.commit()
            self._transaction = self._environment.begin(write=True)
        return True

    def end(self, meta: Mapping[str, Any]) -> str:
        """Write the head, the last of all (a file without it is half-written), and return the digest."""
        kept = {name: value for name, value in meta.items() if name != "source"}
        self._digest.update(json.dumps(kept, sort_keys=True).encode())
        digest = self._digest.hexdigest()
        self._transaction.put(_META, json.dumps(dict(meta) | {"digest": digest}).encode())
        self._transaction.commit()
        return digest

    def _put(self, key: bytes, value: bytes) -> None:
        self._digest.update(len(key).to_bytes(2, "little") + key + len(value).to_bytes(4, "little") + value)
        self._transaction.put(key, value)


def _records(held: Iterable[Holding]) -> bytes:
    records = (_RECORD.pack(_hash(holding.pattern.text), holding.list, _second(holding.since)) for holding in held)
    return b"".join(sorted(records))


def _second(moment: datetime) -> int:
    return min(max(int(moment.timestamp()), 0), 0xFFFFFFFF)


def _votes(tally: Tally) -> bytes:
    uncounted = (_UNCOUNTED.pack(_REASONS.index(reason), count) for reason, count in sorted(tally.uncounted.items()))
    return _VOTES.pack(tally.votes) + b"".join(uncounted)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class Snapshot:
    """An open snapshot; any number of processes may have it open. Raises SnapshotError where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open_regular(path)
        try:
            self.identity, self.made = _identity(os.fstat(self._file.fileno()))
            self.checksum = _check(self._file, path)
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        """The very file that was checked, whatever the path names by now."""
        name = f"/proc/self/fd/{self._file.fileno()}"
        try:
            self._environment = lmdb.open(name, subdir=False, readonly=True, lock=False, max_spare_txns=1)
        except lmdb.Error as error:
            raise SnapshotError(f"{self.path}: cannot be opened: {error}") from None
        try:
            self._transaction = self._environment.begin()
            self._read(_meta(self._transaction, self.path))
        except BaseException:
            self._environment.close()
            raise

    def _read(self, meta: Mapping[str, Any]) -> None:
        try:
            self.source, self.digest = str(meta["source"]), str(meta["digest"])
            self.entries, self.patterns, self.overrides = map(int, meta["counts"])
            self.settings = _settings_of(meta["settings"])
            self._reasons = [Reason(name) for name in meta["reasons"]]
            self._overrides: dict[str, list[Override]] = {}
            for override in map(_override_of, meta["overrides"]):
                self._overrides.setdefault(override.terms.pattern.text, []).append(override)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SnapshotError(f"{self.path}: its head is damaged ({error!r}); publish again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(lmdb.Error):
            self._transaction.abort()
        self._environment.close()
        self._file.close()

    def candidate(self, sender: Pattern, recipient: str | None) -> Candidate:
        """One question, with everything that the snapshot knows about it: what the store would say, too."""
        texts = covering(sender)
        overrides: tuple[Override, ...] = ()
        if self._overrides:
            overrides = tuple(override for text in texts for override in self._overrides.get(text, ()))
        entries = () if recipient is None else tuple(self._entries(texts, recipient))
        return Candidate(sender, tuple(self._tallies(texts)), overrides, recipient, entries)

    def _tallies(self, texts: Sequence[str]) -> Iterator[Tally]:
        for text in texts:
            value = self._get(_TALLY, text)
            if value is not None:
                (votes,) = _VOTES.unpack_from(value)
                uncounted = {self._reasons[n]: count for n, count in _UNCOUNTED.iter_unpack(value[_VOTES.size :])}
                yield Tally(_pattern(text), votes, uncounted)

    def _entries(self, texts: Sequence[str], recipient: str) -> Iterator[Holding]:
        value = self._get(_MAILBOX, recipient)
        if value is None:
            return
        for text in texts:
            wanted, at = _hash(text), -1
            while (at := value.find(wanted, at + 1)) >= 0:
                if at % _RECORD.size == 0:
                    _, list_, since = _RECORD.unpack_from(value, at)
                    began = datetime.fromtimestamp(since, UTC)
                    yield Holding(recipient, UserList(list_), _pattern(text), began, None)

    def _get(self, kind: bytes, name: str) -> bytes | None:
        key = kind + name.encode("utf-8", "replace")
        if len(key) > _MAX_KEY:
            return None
        found: bytes | None = self._transaction.get(key)
        return found


Identity = tuple[int, int]
"""What tells one file from the next under the same name: inode and size. An unchanged one gets a new time only."""


def look(path: Path) -> tuple[Identity, datetime]:
    """Look up the identity of the file that has that name now, and when it was published last. Raises SnapshotError."""
    try:
        found = path.stat()
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from None
    return _identity(found)


def _identity(found: os.stat_result) -> tuple[Identity, datetime]:
    return (found.st_ino, found.st_size), datetime.fromtimestamp(found.st_mtime, UTC)


def checksum_of(path: Path) -> bytes:
    """Read the checksum at the end of the file, unchecked: another one in the same file tells that it was rewritten."""
    with _open_regular(path) as file:
        file.seek(-min(_DIGEST_SIZE, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read()


def _open_regular(path: Path) -> BinaryIO:
    """Without waiting for a writer, should it be a FIFO."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise SnapshotError(f"{path}: cannot be read: it is no regular file")
    return file


def _check(file: BinaryIO, path: Path) -> bytes:
    size = os.fstat(file.fileno()).st_size - len(_MARK) - _DIGEST_SIZE
    found, left = hashlib.sha256(), max(size, 0)
    while left and (chunk := file.read(min(left, _AT_ONCE))):
        found.update(chunk)
        left -= len(chunk)
    end = file.read()
    if not end.startswith(_MARK):
        raise SnapshotError(f"{path}: no snapshot of safelist, or a half-written one; publish again")
    if end[len(_MARK) :] != found.digest():
        raise SnapshotError(f"{path}: is damaged: its checksum is wrong; publish again")
    return found.digest()


def _meta(transaction: lmdb.Transaction, path: Path) -> Mapping[str, Any]:
    try:
        meta = json.loads(bytes(transaction.get(_META) or b"null"))
    except (lmdb.Error, ValueError) as error:
        raise SnapshotError(f"{path}: its head cannot be read ({error}); publish again") from None
    if not isinstance(meta, dict):
        raise SnapshotError(f"{path}: no snapshot, or a half-written one; publish again")
    if meta.get("format") != FORMAT:
        raise SnapshotError(f"{path}: its format is {meta.get('format')!r}, this safelist reads {FORMAT}")
    return meta


def _pattern(text: str) -> Pattern:
    """A text that covers a sender is no refused one."""
    if "@" in text:
        return Pattern(text, Form.ADDRESS)
    return Pattern(text, Form.SUBDOMAINS if text.startswith(".") else Form.DOMAIN)


def _settings_of(found: Mapping[str, Any]) -> Settings:
    days = found["max_age_days"]
    return Settings(
        quorum=int(found["quorum"]),
        include_domains=bool(found["include_domains"]),
        include_contacts=bool(found["include_contacts"]),
        max_age=None if days is None else timedelta(days=days),
        authentication=Authentication(found["authentication"]),
        own_domains=frozenset(found["own_domains"]),
        free_mail_domains=frozenset(found["free_mail_domains"]),
        shared_domains=frozenset(found.get("shared_domains", ())),  # older snapshots have none
        excluded_mailboxes=frozenset(found["exclude_mailboxes"]),
    )


def _override_as_json(override: Override) -> list[Any]:
    terms = override.terms
    return [
        override.id, terms.effect, terms.level, terms.pattern.text, terms.scope.text if terms.scope else None,
        terms.authentication, terms.reason, terms.ticket, override.actor, int(override.made.timestamp()),
        int(terms.expires.timestamp()) if terms.expires else None,
    ]  # fmt: skip


def _override_of(row: Sequence[Any]) -> Override:
    id_, effect, level, text, scope, authentication, reason, ticket, actor, made, expires = row
    terms = Terms(
        Effect(effect), _pattern(text), reason, None if scope is None else _pattern(scope), Level(level),
        Authentication(authentication), ticket, None if expires is None else datetime.fromtimestamp(expires, UTC),
    )  # fmt: skip
    return Override(int(id_), terms, datetime.fromtimestamp(made, UTC), actor)
