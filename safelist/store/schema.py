"""The tables of the aggregate: who trusts whom, kept as intervals that are appended and closed, never rewritten.

Times are seconds since 1970 in UTC. An entry of one mailbox begins with one change set and may end with a later one;
the change set knows its time and its run. ``pattern.trusted_by`` and the counts in ``mailbox`` are maintained in the
transaction that changes the entries, so that publishing does not depend on the number of rows.

Every change set carries the digest of what it recorded and of the change set before it (:mod:`safelist.store.chain`);
``chain`` has one row, the newest of them, which also makes those who append wait for each other. Outside the chain are
the counts of rejections, which are replaced when a log is read again, and what each target was last known to be, which
is replaced at every publication.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision of the schema, oldest first; the last one is what this version reads and writes.

Its number is the second one of the package's version: 0.7.x has 0007, whatever x is.
"""

VERSION_TABLE = "safelist_revision"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("what", String(100), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("counts", Text),
    Column("problem", Text),
    Column("source", String(50)),
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address", String(320), nullable=False, unique=True),
    Column("domain", String(320), nullable=False, index=True),
    Column("owner", String(100), index=True),
    Column("rule_id", Text),
    Column("change_key", Text),
    Column("digest", LargeBinary),
    Column("lists", SmallInteger, nullable=False),
    Column("state", Integer),
    Column("include_contacts", Boolean),
    Column("size", Integer),
    Column("entries", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("run_id", ForeignKey("run.id"), nullable=False),
    Column("outcome", String(50), nullable=False),
    Column("reason", String(50)),
    Column("problem", Text),
    Column("checked", BigInteger, nullable=False),
    Column("answered", BigInteger),
    Column("changed", BigInteger),
    Column("doubt", Text),
    Column("doubt_runs", Integer, nullable=False),
    Column("source", String(50), nullable=False),
)

# Byte order on every database, so that what is published does not depend on a locale.
_SenderText = String(320).with_variant(String(320, collation="C"), "postgresql")

pattern = Table(
    "pattern",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", _SenderText, nullable=False),
    Column("form", SmallInteger, nullable=False),
    Column("refusal", String(50)),
    Column("trusted_by", Integer, nullable=False),
    Column("contact_of", Integer, nullable=False),
    UniqueConstraint("text", "form"),
)

change_set = Table(
    "change_set",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id"), nullable=False, index=True),
    Column("mailbox_id", ForeignKey("mailbox.id"), index=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("change_set_id", ForeignKey("change_set.id")),
    Column("digest", LargeBinary, nullable=False),
)

override = Table(
    "override",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made", ForeignKey("change_set.id"), nullable=False, index=True),
    Column("effect", String(10), nullable=False),
    Column("level", String(10), nullable=False),
    Column("text", _SenderText, nullable=False, index=True),
    Column("form", SmallInteger, nullable=False),
    Column("scope", String(320)),
    Column("authentication", String(20), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("ticket", String(500)),
    Column("expires", BigInteger),
    Column("revoked", ForeignKey("change_set.id"), index=True),
    Column("revoked_why", String(500)),
)

publication = Table(
    "publication",
    metadata,
    Column("change_set_id", ForeignKey("change_set.id"), primary_key=True, autoincrement=False),
    Column("target", String(50), nullable=False),
    Column("path", Text, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("file_digest", String(64), nullable=False),
    Column("settings", Text, nullable=False),
)

# When what the path holds was last known to be right, also where nothing had to be written; ``files`` is JSON.
target_state = Table(
    "target_state",
    metadata,
    Column("target", String(50), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("confirmed", BigInteger, nullable=False),
    Column("after_run", Integer, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("files", Text, nullable=False),
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made", ForeignKey("change_set.id"), nullable=False, index=True),
    Column("mailbox", String(320), nullable=False, index=True),
    Column("failure", String(50), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("ticket", String(500)),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", ForeignKey("change_set.id"), index=True),
    Column("revoked_why", String(500)),
)

# What logs told of rejections, as counts; an empty text stands for what there is none of.
rejection_count = Table(
    "rejection_count",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("provider", String(255), primary_key=True),
    Column("rescue", String(20), primary_key=True),
    Column("reason", String(50), primary_key=True),
    Column("mails", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Who looked at lists that are not their own: the run says who and when, this what was shown.
look = Table(
    "look",
    metadata,
    Column("change_set_id", ForeignKey("change_set.id"), primary_key=True, autoincrement=False),
    Column("role", String(20), nullable=False),
    Column("page", String(50), nullable=False),
    Column("mailbox", String(320), index=True),
    Column("sender", _SenderText),
    Column("names", Integer, nullable=False),
)

entry = Table(
    "entry",
    metadata,
    Column("mailbox_id", ForeignKey("mailbox.id"), primary_key=True),
    Column("list", SmallInteger, primary_key=True, autoincrement=False),
    Column("pattern_id", ForeignKey("pattern.id"), primary_key=True),
    Column("added", ForeignKey("change_set.id"), primary_key=True),
    Column("removed", ForeignKey("change_set.id")),
    # The other columns of the key stand in this index too: a table WITHOUT ROWID is pointed at by its key.
    Index(None, "pattern_id"),
    sqlite_with_rowid=False,
)
