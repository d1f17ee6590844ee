"""What the contract suite has to know of a target: a section of the configuration, and how its filter reads it back."""

import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.policy import decide
from safelist.publisher.target import Target
from safelist.publisher.targets import amavis, exim, filter_snapshot, pairs, postfix, rspamd, rspamd_redis, spamassassin
from safelist.sender import Form
from safelist.snapshot import Snapshot
from tests.amavis import lookups, schema
from tests.exim.looked_up import looked_up, needs_exim
from tests.pairs import readers
from tests.publisher import sample_target
from tests.publisher.site import INSTALLED, POSTMAP, needs_postmap, state
from tests.rspamd import redis_server

Reader = Callable[[Path, Iterable[str]], set[str]]


@dataclass(frozen=True)
class Case:
    """``read``: which of these senders the filter that reads the file takes for safe, whoever the recipient is.

    ``others`` read the target's other files: they have to say the same. ``place`` is what the section says of where it
    is published, below a directory; ``prepare`` makes there what has to be there before.

    One that ``is_elsewhere`` writes nothing into the directory but its lock. ``state`` is all that is published, with
    what changes whenever somebody writes it; ``spoil`` lets somebody else have written it.
    """

    name: str
    target: Target
    read: Reader
    keys: dict[str, Any] = field(default_factory=dict)
    marks: tuple[Any, ...] = ()
    others: tuple[Reader, ...] = ()
    place: Callable[[Path], dict[str, Any]] = lambda directory: {"path": directory / "safelist"}
    prepare: Callable[[Path], None] = lambda directory: None
    is_elsewhere: bool = False
    state: Callable[[Path], dict[str, tuple[int, int, bytes]]] = state
    spoil: Callable[[Path], object] = lambda directory: (directory / "safelist").write_bytes(
        b"friend@aol.com OK\n" * 99
    )

    @property
    def has_hook(self) -> bool:
        return "on_change" in self.target.settings.model_fields

    def section(self, directory: Path, **more: Any) -> dict[str, Any]:
        return {**self.place(directory), **self.keys, **more}

    def published_as(self, directory: Path) -> str:
        """What people and the history know it by."""
        return str(self.target.place(self.target.settings.model_validate(self.section(directory))))


def _asked(map_type: str) -> Reader:
    def read(path: Path, senders: Iterable[str]) -> set[str]:
        """Ask as smtpd does, which takes the quotes off."""
        assert POSTMAP
        keys = {sender.unquoted(found) if (found := sender.parse(each)).form is Form.ADDRESS else each: each
                for each in senders}  # fmt: skip
        given = "".join(f"{each}\n" for each in keys).encode()
        if map_type == "texthash":
            path = _grown_old(path)
        done = subprocess.run([POSTMAP, "-q", "-", f"{map_type}:{path}"], input=given, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        answers = (line.split(b"\t") for line in done.stdout.splitlines())
        return {keys[key.decode()] for key, result in answers if result == b"permit_auth_destination"}

    return read


def _grown_old(path: Path) -> Path:
    """A copy of the file that is not new: of a text that is, postmap waits a second to see whether it still grows."""
    copy = path.parents[1] / "old" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())
    os.utime(copy, (0, 0))
    return copy


def _decided(path: Path, senders: Iterable[str]) -> set[str]:
    with Snapshot(path) as found:
        at = datetime.now(UTC)
        return {each for each in senders if decide(found.candidate(sender.parse(each), None), found.settings, at).safe}


def _enlisted(lists: Path, senders: Iterable[str], before: str = "") -> set[str]:
    """As SpamAssassin reads lists: globs, where a sender's own line counts before its domain's."""
    safe, excepted = set[str](), set[str]()
    for line in lists.read_text().splitlines():
        if line.startswith(f"{before}enlist_addrlist ("):
            name, *globs = line.removeprefix(before).split()[1:]
            (excepted if name.endswith("_EXCEPT)") else safe).update(globs)
    return {each for each in senders if _matches(each, safe) and not _matches(each, excepted)}


def _matches(sender_: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(sender_, each.replace("[", "[[]")) for each in globs)


def _enlisted_for_the_desk(path: Path, senders: Iterable[str]) -> set[str]:
    return _enlisted(spamassassin.recipients(path), senders, "desk@corp.example ")


def _everybody(path: Path, senders: Iterable[str]) -> set[str]:
    lines = sample_target.words(path)
    return {each for each in senders if [each, "safe"] in lines}


def _recipients(path: Path, senders: Iterable[str]) -> set[str]:
    lines = sample_target.words(sample_target.recipients(path))
    return {each for each in senders if ["desk@corp.example", each, "safe"] in lines}


def _exim(lookup: str, recipient: str = "") -> Reader:
    def read(path: Path, senders: Iterable[str]) -> set[str]:
        named, behind = (exim.recipients(path), f">{recipient}") if recipient else (path, "")
        return {each for each, value in looked_up(lookup, named, senders, behind).items() if value not in ("", "no")}

    return read


def _in_map(path: Path, keys: Mapping[str, str]) -> set[str]:
    """Of keys to senders those senders whom a map of rspamd's has, by what rspamd documents of the type ``map``."""
    lines = {line.split(None, 1)[0] for line in path.read_text("ascii").splitlines() if not line.startswith("#")}
    return {who for key, who in keys.items() if lines & {f"{key}!{proof}" for proof in Authentication}}


def _rspamd_everybody(path: Path, senders: Iterable[str]) -> set[str]:
    return _in_map(path, {rspamd.name_of(sender.parse(each)): each for each in senders})


def _rspamd_recipients(path: Path, senders: Iterable[str]) -> set[str]:
    keys = {f"desk@corp.example|{rspamd.name_of(sender.parse(each))}": each for each in senders}
    return _in_map(rspamd.recipients(path), keys)


def _tables(directory: Path) -> None:
    """amavisd's tables, with safelist's own, in an SQLite file that is small enough for a small disk."""
    path = directory / "safelist"
    with closing(sqlite3.connect(path)) as made:
        made.executescript("PRAGMA page_size = 1024;" + ";".join(schema.statements("sqlite")))


def _in_tables(directory: Path) -> dict[str, Any]:
    return {"url": f"sqlite:///{directory}/safelist", "lock": directory / "safelist"}


def _looked_up(recipient: str) -> Reader:
    def read(path: Path, senders: Iterable[str]) -> set[str]:
        raw = {sender.unquoted(sender.parse(each)): each for each in senders}
        return {raw[each] for each in lookups.safe(f"sqlite:///{path}", recipient, list(raw))}

    return read


def _in_redis(directory: Path) -> dict[str, Any]:
    """A prefix of the directory's own."""
    prefix = hashlib.sha256(str(directory).encode()).hexdigest()
    url = "redis://127.0.0.1" if redis_server.missing() else redis_server.shared().url
    return {"redis": url, "redis_prefix": prefix, "lock": directory / "safelist"}


def _key(directory: Path) -> str:
    return f"{_in_redis(directory)['redis_prefix']}:senders"


def _redis_state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """The files, and all that Redis holds, with the number of changes that it was ever given."""
    server = redis_server.shared()
    with server.client() as client:
        held = {key: (0, 0, repr(sorted(server.hash(key).items())).encode()) for key in client.keys("*:senders*")
                if client.type(key) == "hash"}  # fmt: skip
    return {**state(directory), **held, "changes": (server.changes(), 0, b"")}


def _spoil_in_redis(directory: Path) -> None:
    with redis_server.shared().client() as client:
        client.set(_key(directory), "friend@aol.com")


def _redis(recipient: str = "") -> Reader:
    def read(path: Path, senders: Iterable[str]) -> set[str]:
        found, before = redis_server.shared().hash(_key(path.parent)), f"{recipient}|" if recipient else ""
        keys = {f"{before}{rspamd.name_of(sender.parse(each))}": each for each in senders}
        return {who for key, who in keys.items() if found.get(key) in set(Authentication)}

    return read


needs_redis = pytest.mark.skipif(bool(redis_server.missing()), reason=redis_server.missing())

CASES = [
    *(
        Case(
            f"postfix, {kind}",
            postfix.TARGET,
            _asked(kind),
            {"map_type": kind},
            (needs_postmap,),
            (_asked("texthash"),),
        )
        for kind in ("texthash", *INSTALLED)
    ),
    *(
        Case(
            f"exim, {kind}",
            exim.TARGET,
            _exim(kind),
            {"lookup": kind},
            (needs_exim,),
            (_exim("lsearch"), _exim(kind, "desk@corp.example")),
        )
        for kind in ("lsearch", "cdb")
    ),
    Case(
        "amavis",
        amavis.TARGET,
        _looked_up("anybody@corp.example"),
        {"unauthenticated": True},
        others=(_looked_up("desk@corp.example"),),
        place=_in_tables,
        prepare=_tables,
    ),
    Case("filter", filter_snapshot.TARGET, _decided),
    *(
        Case(f"pairs, {each.name}", pairs.TARGET, each.read, dict(each.keys), others=each.others)
        for each in readers.FORMS
        if each.name in ("csv", "pairs", "exchange")
    ),
    Case("rspamd", rspamd.TARGET, _rspamd_everybody, others=(_rspamd_recipients,)),
    Case(
        "rspamd, redis",
        rspamd_redis.TARGET,
        _redis(),
        marks=(needs_redis,),
        others=(_redis("desk@corp.example"),),
        place=_in_redis,
        is_elsewhere=True,
        state=_redis_state,
        spoil=_spoil_in_redis,
    ),
    Case(
        "spamassassin",
        spamassassin.TARGET,
        _enlisted,
        {"dnsbl_rules": ["RCVD_IN_XBL 0.7"]},
        others=(_enlisted_for_the_desk,),
    ),
    Case("sample", sample_target.TARGET, _everybody, others=(_recipients,)),
]
"""Each target of the registry, and one that only the suite has: with several files, and rulings for each recipient."""
