"""Recording one mailbox's lists: what is gone is closed, what is new is appended, in the transaction that is open."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, Executable, Insert, Integer, bindparam, insert, select, update

from safelist.entry import TRUSTING_LISTS, Entry, UserList
from safelist.sender import Form, Pattern
from safelist.store import chain
from safelist.store.among import Among, portions
from safelist.store.reading import pattern_of
from safelist.store.schema import entry, mailbox, pattern
from safelist.store.values import Change, Outcome

Key = tuple[int, str, int]
"""List, text and form: what makes an entry of one mailbox the same entry."""


class Difference(NamedTuple):
    """How the lists of a mailbox differ from its open entries.

    ``before`` are the open entries of all its lists with their pattern's id, ``refusals`` the reasons recorded with
    those that are refused.
    """

    before: Mapping[Key, int]
    refusals: Mapping[Key, str]
    wanted: Mapping[Key, Entry]
    added: list[Key]
    removed: list[Key]

    def change(self) -> Change:
        """The same for people."""
        gone = (
            Entry(UserList(key[0]), pattern_of(key[1], key[2], self.refusals.get(key))) for key in self.removed
        )  # fmt: skip
        return Change(tuple(self.wanted[key] for key in self.added), tuple(gone))


class Counts(NamedTuple):
    """A mailbox's open entries, and how many of them are refused."""

    entries: int
    refused: int


class _Statements(NamedTuple):
    find: Executable
    append: Executable
    trust: Executable
    contact: Executable


_OPEN_ENTRIES = (
    select(entry.c.list, pattern.c.text, pattern.c.form, pattern.c.id, pattern.c.refusal)
    .join_from(entry, pattern)
    .where(entry.c.mailbox_id == bindparam("mailbox"), entry.c.removed.is_(None))
)
_MAILBOX_ID = select(mailbox.c.id).where(mailbox.c.address == bindparam("of"))
_ANSWERED = select(mailbox.c.id).where(
    mailbox.c.id == bindparam("of"), mailbox.c.answered.is_not(None), mailbox.c.outcome != Outcome.FORGOTTEN
)
_NEW_PATTERNS = insert(pattern)
# One by one: PostgreSQL has no statistics of a young table and plans the closing of many at once badly.
_CLOSE = (
    update(entry)
    .where(
        entry.c.mailbox_id == bindparam("mailbox"),
        entry.c.list == bindparam("list_"),
        entry.c.pattern_id == bindparam("known"),
        entry.c.removed.is_(None),
    )
    .values(removed=bindparam("change"))
)
_RESTATE = update(pattern).where(pattern.c.id == bindparam("known")).values(refusal=bindparam("reason"))


@lru_cache
def _statements(among: Among) -> _Statements:
    change = bindparam("change", type_=Integer)
    fresh = select(
        bindparam("mailbox", type_=Integer), bindparam("list_", type_=Integer), pattern.c.id, change
    ).where(among.test(pattern.c.id, "patterns"))  # fmt: skip
    return _Statements(
        find=select(pattern.c.text, pattern.c.form, pattern.c.id).where(among.test(pattern.c.text, "texts")),
        append=insert(entry).from_select(["mailbox_id", "list", "pattern_id", "added"], fresh),
        trust=_step(among, pattern.c.trusted_by),
        contact=_step(among, pattern.c.contact_of),
    )


def _step(among: Among, count: Column[int]) -> Executable:
    return (
        update(pattern)
        .where(among.test(pattern.c.id, "patterns"))
        .values({count: count + bindparam("step", type_=Integer)})
    )


_Text = TypeVar("_Text", str, str | None)


def storable(text: _Text) -> _Text:
    """Text from a mailbox or a command line may hold what no database takes: NUL and lone surrogates become ``?``."""
    return text if text is None else text.encode("utf-8", "replace").decode().replace("\0", "?")


def _storable_entry(entry: Entry) -> Entry:
    if entry.pattern.form != Form.REFUSED:
        return entry
    return Entry(entry.list, entry.pattern._replace(text=storable(entry.pattern.text)))


def new_row(connection: Connection, statement: Insert, values: Mapping[str, Any]) -> int:
    """Insert one row and return its id."""
    key: Any = connection.execute(statement, values).inserted_primary_key
    return int(key[0])


def mailbox_id(connection: Connection, address: str) -> int | None:
    """The row of a mailbox, None when it was never asked."""
    return connection.execute(_MAILBOX_ID, {"of": address}).scalar()


def has_answered(connection: Connection, mailbox: int) -> bool:
    """Whether the mailbox was ever read: one that only failed, or was forgotten, is collected for the first time."""
    return connection.execute(_ANSWERED, {"of": mailbox}).one_or_none() is not None


def compare(
    connection: Connection, mailbox: int | None, entries: Collection[Entry], lists: Collection[UserList]
) -> Difference:
    """What recording ``entries`` as the whole of those ``lists`` would change; other lists are left as they are."""
    wanted: dict[Key, Entry] = {(e.list, e.pattern.text, e.pattern.form): e for e in map(_storable_entry, entries)}
    if not {list_ for list_, _, _ in wanted} <= set(lists):
        raise ValueError("an entry stands in a list that is not recorded")
    rows = connection.execute(_OPEN_ENTRIES, {"mailbox": mailbox}).all() if mailbox is not None else ()
    before = {(list_, text, form): id_ for list_, text, form, id_, _ in rows}
    refusals = {(list_, text, form): refusal for list_, text, form, _, refusal in rows if refusal is not None}
    removed = sorted(key for key in before.keys() - wanted.keys() if key[0] in lists)
    return Difference(before, refusals, wanted, sorted(wanted.keys() - before.keys()), removed)


class Recording(NamedTuple):
    """Whose lists are recorded, by which run, in which second."""

    run: int
    address: str
    mailbox: int
    at: int


def write(connection: Connection, among: Among, of: Recording, difference: Difference) -> Counts:
    """Append and close what differs, as one change set, and keep the patterns' counts of trusting mailboxes."""
    before, added, removed = difference.before, difference.added, difference.removed
    _restate(connection, difference)
    ids = {key[1:]: id_ for key, id_ in before.items()}
    statements = _statements(among)
    if added or removed:
        change = chain.append(connection, chain.ChangeKind.ENTRIES, of.at, of.run, _content(of, difference), of.mailbox)
        _identify(connection, among, statements, [difference.wanted[key].pattern for key in added], ids)
        values = {"mailbox": of.mailbox, "change": change}
        if removed:
            connection.execute(_CLOSE, [values | {"list_": int(key[0]), "known": before[key]} for key in removed])
        for list_, patterns in _by_list(added, ids):
            connection.execute(statements.append, values | {"list_": list_, "patterns": among.pack(patterns)})
        _count(connection, among, statements, _Standing.of(difference), ids)
    refused = len(difference.refusals) + sum(not form for *_, form in added) - sum(not form for *_, form in removed)
    return Counts(len(before) + len(added) - len(removed), refused)


def _content(of: Recording, difference: Difference) -> dict[str, object]:
    some = {"added": difference.added, "removed": difference.removed}
    sorted_ = {
        n: sorted([int(list_), int(form), text] for list_, text, form in keys) for n, keys in some.items() if keys
    }
    return {"mailbox": of.address, **sorted_}


def _restate(connection: Connection, difference: Difference) -> None:
    """A text that is refused for another reason than before (a newer version reads it better) is the same entry."""
    rows = [
        {"known": difference.before[key], "reason": difference.wanted[key].pattern.refusal}
        for key, refusal in difference.refusals.items()
        if key in difference.wanted and difference.wanted[key].pattern.refusal != refusal
    ]
    if rows:
        connection.execute(_RESTATE, rows)


def _identify(
    connection: Connection, among: Among, statements: _Statements, patterns: Iterable[Pattern],
    ids: dict[tuple[str, int], int],
) -> None:  # fmt: skip
    """Put the id of every pattern into ``ids``, under (text, form); patterns never seen before get a row."""
    missing = {p[:2]: p for p in patterns if p[:2] not in ids}
    for is_retry in (False, True):
        for texts in portions(text for text, _ in missing):
            found = connection.execute(statements.find, {"texts": among.pack(texts)}).all()
            ids.update(((text, form), id_) for text, form, id_ in found)
        missing = {key: p for key, p in missing.items() if key not in ids}
        if is_retry or not missing:
            return
        rows = [
            {"text": p.text, "form": int(p.form), "refusal": p.refusal, "trusted_by": 0, "contact_of": 0}
            for p in missing.values()
        ]
        connection.execute(_NEW_PATTERNS, rows)


def _by_list(keys: Iterable[Key], ids: Mapping[tuple[str, int], int]) -> Iterator[tuple[int, list[int]]]:
    """The ids of the patterns of each list, in portions."""
    of_list: dict[int, list[int]] = {}
    for list_, text, form in keys:
        of_list.setdefault(int(list_), []).append(ids[text, form])
    for list_, patterns in of_list.items():
        for portion in portions(patterns):
            yield list_, portion


class _Standing(NamedTuple):
    """The patterns that a mailbox trusted before and trusts now, and those that are its trusted contacts only.

    A pattern may stand in several lists of one mailbox, which is one vote.
    """

    trusted_before: frozenset[tuple[str, int]]
    trusted: frozenset[tuple[str, int]]
    contacts_before: frozenset[tuple[str, int]]
    contacts: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, difference: Difference) -> "_Standing":
        before = difference.before.keys()
        now = (before - set(difference.removed)).union(difference.added)
        had, has = _among(before, TRUSTING_LISTS), _among(now, TRUSTING_LISTS)
        return cls(had, has, _among(before, _CONTACTS) - had, _among(now, _CONTACTS) - has)


_CONTACTS = frozenset({UserList.TRUSTED_CONTACTS})


def _among(keys: Iterable[Key], lists: Collection[UserList]) -> frozenset[tuple[str, int]]:
    return frozenset((text, form) for list_, text, form in keys if list_ in lists and form != Form.REFUSED)


def _count(
    connection: Connection, among: Among, statements: _Statements, standing: _Standing,
    ids: Mapping[tuple[str, int], int],
) -> None:  # fmt: skip
    had, has, had_contacts, has_contacts = standing
    for statement, step, patterns in (
        (statements.trust, 1, has - had),
        (statements.trust, -1, had - has),
        (statements.contact, 1, has_contacts - had_contacts),
        (statements.contact, -1, had_contacts - has_contacts),
    ):
        for portion in portions(sorted(ids[key] for key in patterns)):
            connection.execute(statement, {"step": step, "patterns": among.pack(portion)})
