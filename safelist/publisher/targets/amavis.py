"""amavisd-new: rows of ``users``, ``mailaddr`` and ``wblist`` in the database that its @lookup_sql_dsn names.

A safe sender's row takes points off, or says W, which ends every spam check; an exception's says that neither list
counts (README.sql: ``W or Y / B or N / space=neutral / score``). amavisd asks for the envelope's sender and for each
address in From, whoever wrote them: it cannot be told to ask for SPF or DKIM here.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field, field_validator

from safelist.config import Section
from safelist.errors import ConfigError
from safelist.override import Authentication
from safelist.publisher import rulings, unproven, unwritable, wblist_rows
from safelist.publisher.sorting import ChangedEntry, differences, in_order
from safelist.publisher.target import (
    Asked,
    Command,
    FileChange,
    FilePath,
    LeftOut,
    Plan,
    RecipientRuling,
    Ruling,
    Scope,
    Target,
)
from safelist.publisher.unwritable import Noted
from safelist.publisher.wblist_rows import EVERYBODY, Everybody, Site

if TYPE_CHECKING:  # who publishes to files need not import what asks databases
    from safelist.publisher.wblist_tables import Tables, WblistRow
    from safelist.remark import Remark

NAME = "amavis"
NEUTRAL = " "
KEPT = 10_000
"""How many entries that came, went, or are left out are named."""


class AmavisSettings(Section):
    """Rows of wblist for amavisd-new's SQL lookups (also iRedMail's)."""

    IS_OPTIONAL = True
    TITLE = "Rows of wblist in the database of amavisd-new's @lookup_sql_dsn (per recipient and for everybody)."

    url: str = Field(
        description="That database. PostgreSQL and SQLite are tested; others are whatever SQLAlchemy makes of them. A "
        "password in it\nis a secret; better: ~/.pgpass.",
        examples=["postgresql+psycopg://safelist@/amavis?host=/run/postgresql"],
    )
    lock: FilePath = Field(
        description="A file beside which safelist keeps its lock; only it may write there.",
        examples=["/var/lib/safelist/amavis/lock"],
    )
    score: float = Field(
        -5.0, le=-0.01, ge=-999, allow_inf_nan=False,
        description="Points for a safe sender: less than 0, as many as your DNSBLs add in SpamAssassin.",
    )  # fmt: skip
    whitelist: bool = Field(
        False,
        description="Write W in the place of points: no spam check at all counts then. iRedAPD knows nothing else.",
    )
    unauthenticated: bool = Field(
        False,
        description="Write senders whose mail must prove itself (SPF, DKIM) although amavisd cannot ask for it: who "
        "writes\nsuch a sender into an envelope or a From counts as safe.",
    )
    recipient_delimiter: str = Field(
        "+", description="amavisd's $recipient_delimiter: it takes bob+news@example.com for bob@example.com, too."
    )
    configuration: tuple[FilePath, ...] = Field(
        (),
        description="Files of amavisd's configuration, for `safelist check amavis`. Without it, those of Debian, Red "
        "Hat and FreeBSD.",
        examples=[["/etc/amavis/conf.d/50-user"]],
        strict=False,
    )
    on_change: Command = Field(
        (),
        description="A command (no shell) to run after a change; amavisd needs none: it asks for each mail.",
        examples=["logger safelist"],
    )

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError("is not a URL; write postgresql+psycopg://user@host/amavis")
        return url

    @property
    def wb(self) -> str:
        """What a safe sender's row says."""
        return "W" if self.whitelist else f"{self.score:.2f}".rstrip("0").rstrip(".")


def demands(chosen: AmavisSettings) -> str:
    """amavisd's tables ask for nothing; what it can do is to leave senders out."""
    said = ["amavisd can ask for no authentication here: whoever writes a sender into an envelope or a From is taken"]
    said[-1] += " for that sender."
    if chosen.unauthenticated:
        said.append("The table holds the senders of whom the policy or an override asks for DKIM or SPF all the same.")
    else:
        said.append("Left out: every sender but those that overrides allow without authentication.")
    said.append("Left out, too: domains of which an override or a user blocks an address, and whom the site itself has")
    said[-1] += " ruled on in its own rows."
    return " ".join(said)


def not_asked(authentication: Authentication, chosen: AmavisSettings) -> str:
    """The tables can ask for nothing."""
    if chosen.unauthenticated or authentication is Authentication.NONE:
        return ""
    return f"it needs authentication ({authentication}), which amavisd cannot ask for, and unauthenticated = false"


def place(chosen: AmavisSettings) -> str:
    """The database, without any log-in; also of a URL that is none, which a failed publication has to name."""
    from safelist.publisher import wblist_tables

    try:
        return wblist_tables.place(wblist_tables.parse(chosen.url))
    except ConfigError:
        return "amavisd's database"


def use(chosen: AmavisSettings) -> str:
    """What the database has to hold before, and what amavisd's configuration has to say."""
    from safelist.publisher.amavis_check import tried
    from safelist.publisher.wblist_tables import SET_UP

    return f"-- in that database, once, as its owner:\n{SET_UP}\n# /etc/amavis/conf.d/50-user:\n{tried(chosen)}"


class _Kept(NamedTuple):
    """What can be written for everybody, and what cannot."""

    rulings: Sequence[Ruling]
    left_out: Sequence[LeftOut]


def _kept(decided: Sequence[Ruling], chosen: AmavisSettings) -> _Kept:
    proven, unproven_ = unproven.for_everybody(decided, lambda each: not_asked(each, chosen))
    kept, unwritten = unwritable.for_everybody(proven, wblist_rows.why_not)
    return _Kept(kept, [*unproven_, *unwritten])


def left_out(decided: Sequence[Ruling], chosen: AmavisSettings) -> Iterable[LeftOut]:
    """Whom the tables cannot hold, whatever the site's own rows say: no database is asked."""
    kept = _kept(decided, chosen)
    site = Site(chosen.recipient_delimiter)
    return (*kept.left_out, *wblist_rows.for_everybody(kept.rulings, site).left_out)


def _entries(
    everybody: Everybody, each: Iterable[RecipientRuling], site: Site, wb: str, noted: Noted
) -> Iterator[bytes]:  # fmt: skip
    """A line for each row to be, those of one recipient together."""
    for recipient, some in groupby(each, key=lambda ruling: ruling.recipient):
        made = wblist_rows.for_recipient(recipient, some, everybody, site)
        for one in made.left_out:
            noted.add(one)
        if made.rows:
            yield from _lines(recipient_key(recipient), made.rows.items(), wb)
    yield from _lines(EVERYBODY, everybody.rows.items(), wb)


def recipient_key(recipient: str) -> str:
    """How a recipient stands in ``users``."""
    return wblist_rows.key_of(wblist_rows.address(recipient))


def _lines(recipient: str, rows: Iterable[tuple[str, bool]], wb: str) -> Iterator[bytes]:
    for sender, is_safe in rows:
        yield f"{recipient}\t{sender}\t{wb if is_safe else NEUTRAL}\n".encode()


def _row(line: bytes) -> "WblistRow":
    from safelist.publisher.wblist_tables import WblistRow

    return WblistRow(*line.decode().removesuffix("\n").split("\t"))


def _pair(line: bytes) -> bytes:
    """What an entry is known by: recipient and sender."""
    return line.rpartition(b"\t")[0]


class _ChangedRows:
    """What comes and what goes, counted and kept."""

    def __init__(self) -> None:
        self.old: list[bytes] = []
        self.new: list[bytes] = []
        self.lost = 0

    def note(self, each: ChangedEntry) -> None:
        """Keep it for the statements."""
        self.lost += each.new is None
        self.old += [] if each.old is None else [each.old]
        self.new += [] if each.new is None else [each.new]


@contextmanager
def plan(asked: Asked, chosen: AmavisSettings) -> Iterator[Plan]:
    """Compare what is to be with safelist's rows in a transaction that ends with the publication."""
    from safelist.publisher import wblist_tables

    url = wblist_tables.parse(chosen.url)
    with wblist_tables.connected(url, writes=not asked.dry_run) as connection:
        tables = wblist_tables.Tables(connection)
        yield _planned(asked, chosen, tables)


def _planned(asked: Asked, chosen: AmavisSettings, tables: "Tables") -> Plan:
    decided, refused = rulings.for_everybody(asked, Scope.RECIPIENT)
    kept, noted, site = _kept(decided, chosen), Noted(KEPT), tables.site(chosen.recipient_delimiter)
    proven = unproven.for_each(rulings.for_each(asked, decided), kept.rulings, lambda it: not_asked(it, chosen), noted)
    each = unwritable.for_each(proven, kept.rulings, wblist_rows.why_not, noted)
    everybody = wblist_rows.for_everybody(kept.rulings, site)
    digest, changes, count = hashlib.sha256(), _ChangedRows(), 0

    def wanted() -> Iterator[bytes]:
        nonlocal count
        for line in in_order(_entries(everybody, each, site, chosen.wb, noted)):
            digest.update(line)
            count += 1
            yield line

    there = in_order(f"{row.recipient}\t{row.sender}\t{row.wb}\n".encode() for row in tables.rows())
    for one in differences(there, wanted(), _pair):
        changes.note(one)
    all_out = dict.fromkeys((*refused, *kept.left_out, *everybody.left_out, *noted.named))
    misplaced = tables.misplaced(chosen.recipient_delimiter)
    change = _change(place(chosen), count, changes, digest.hexdigest(), is_changed=bool(misplaced))
    notes = (f"{noted.more} more are left out for single recipients",) if noted.more else ()
    write = partial(tables.write, misplaced=misplaced, delimiter=chosen.recipient_delimiter)
    return Plan((change,), tuple(all_out), notes, partial(_apply, change.is_changed, changes, write))


def _change(where: str, count: int, changes: _ChangedRows, digest: str, *, is_changed: bool) -> FileChange:
    old, new = changes.old, changes.new
    had = count - len(new) + len(old)
    added, removed = (tuple(_named(line) for line in some[:KEPT]) for some in (new, old))
    return FileChange(
        where, count, had, changes.lost, is_changed or bool(old or new), digest, (), len(new), len(old), added, removed,
        absent="" if had else f"a row of safelist's in {where}",
    )  # fmt: skip


def _named(line: bytes) -> str:
    return line.decode().rstrip("\n").replace("\t", " ")


def _apply(
    is_changed: bool, changes: _ChangedRows, write: Callable[..., None], before: Callable[[], None]
) -> None:  # fmt: skip
    """Write all of it, or nothing."""
    if is_changed:
        before()
        write(lambda: map(_row, changes.old), lambda: map(_row, changes.new))


def check(chosen: AmavisSettings | None) -> "Iterator[Remark]":
    """Look at the tables, and at amavisd's configuration."""
    from safelist.publisher import amavis_check

    return amavis_check.remarks(chosen)


TARGET = Target(
    name=NAME, settings=AmavisSettings, demands=demands, use=use, plan=plan, scope=Scope.RECIPIENT, left_out=left_out,
    place=place, beside=lambda chosen: chosen.lock, check=check,
    if_missing="until then amavisd finds nobody safe",
)  # fmt: skip
