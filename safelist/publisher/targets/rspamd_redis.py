"""rspamd with its lists in a Redis that several nodes share: the same rule, which asks there instead of in maps.

A field is a key of the maps, ``SENDER`` or ``RECIPIENT|SENDER``, and its value the authentication, or ``exception``.
This is a target of its own, and no form of the other one: it writes no file, and reads nothing that lies beside one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from pydantic import Field, field_validator

from safelist.config import Section
from safelist.publisher import files, redis_hash, rulings, unwritable
from safelist.publisher.list_sums import ListSum, ListSums, is_pair
from safelist.publisher.redis_hash import RedisHash, RedisPlace
from safelist.publisher.sorting import Differences, differences, in_order
from safelist.publisher.target import (
    Asked,
    FileChange,
    FilePath,
    LeftOut,
    Plan,
    Ruling,
    Scope,
    Target,
)
from safelist.publisher.targets import rspamd
from safelist.publisher.targets.rspamd import WORKER_URL, EveryRecipient, WorkerPasswordFile, WorkerUrl
from safelist.publisher.text_target import KEPT
from safelist.publisher.unwritable import Noted

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "rspamd-redis"
SETTING = f"publish.{NAME}.redis"
REDIS_CONF = "/etc/rspamd/local.d/redis.conf"


class RspamdRedisSettings(Section):
    """A list for rspamd in Redis, and the rule that asks it."""

    IS_OPTIONAL = True
    TITLE = "The same for rspamd, in a Redis that several nodes share (safelist[redis])."

    redis: str = Field(
        description="That Redis, as redis://[USER@]HOST:PORT/DB or unix://[USER@]/PATH?db=DB; where it has replicas, "
        "the one that\nthey follow.",
        examples=["redis://127.0.0.1:6379/0"],
    )
    lock: FilePath = Field(
        description="A file beside which safelist keeps its lock; only it may write there.",
        examples=["/var/lib/safelist/rspamd-redis"],
    )
    redis_password_file: FilePath | None = Field(
        None,
        description="A file whose first line is that Redis's password, where it asks for one.",
        examples=["/etc/safelist/redis-password"],
    )
    redis_prefix: str = Field("safelist", description="What the names of safelist's keys begin with.")
    every_recipient: EveryRecipient = False
    url: WorkerUrl = WORKER_URL
    password_file: WorkerPasswordFile = None

    @field_validator("redis")
    @classmethod
    def _is_a_redis(cls, url: str) -> str:
        redis_hash.parse(url)
        return url

    @field_validator("redis_prefix")
    @classmethod
    def _is_plain(cls, prefix: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", prefix):
            raise ValueError("must hold letters, digits and any of . _ : - only, up to 100: the rule in Lua names it")
        return prefix

    @property
    def server(self) -> RedisPlace:
        """Where it listens."""
        return redis_hash.parse(self.redis)

    @property
    def key(self) -> str:
        """The hash."""
        return f"{self.redis_prefix}:senders"


def place(chosen: RspamdRedisSettings) -> str:
    """The Redis and the hash in it, without a user."""
    return f"{chosen.server} {chosen.key}"


def refuse(chosen: RspamdRedisSettings) -> None:
    """Raise ConfigError where no lock could be kept."""
    files.real(chosen.lock)


def _lists(chosen: RspamdRedisSettings) -> str:
    return rspamd.lua("rspamd_redis.lua").replace("@KEY@", chosen.key)


def rule(chosen: RspamdRedisSettings) -> str:
    """The rule in Lua, with the hash's name."""
    return rspamd.rule_asking(_lists(chosen), chosen)


def digest(chosen: RspamdRedisSettings) -> str:
    """By what `safelist check rspamd-redis` knows whether rspamd has loaded this rule."""
    return rspamd.digest_asking(_lists(chosen), chosen)


def use(chosen: RspamdRedisSettings) -> str:
    """The file of rules, and where rspamd has to look for Redis."""
    return f"{rspamd.use_of(rule(chosen))}\n# {REDIS_CONF}, unless it names that Redis already:\n{servers(chosen)}"


def servers(chosen: RspamdRedisSettings) -> str:
    """What rspamd's configuration says of Redis, for this rule alone."""
    server, has_password = chosen.server, chosen.redis_password_file is not None
    password = '  # password = "...";\n' if has_password else ""
    return f'safelist {{\n  servers = "{server.server}";\n  db = "{server.db}";\n{password}}}\n'


def left_out(decided: Iterable[Ruling], _: RspamdRedisSettings) -> Iterable[LeftOut]:
    """Whom the rule cannot look up."""
    return unwritable.for_everybody(list(decided), rspamd.why_not)[1]


@contextmanager
def plan(asked: Asked, chosen: RspamdRedisSettings) -> Iterator[Plan]:
    """Compare what is to be with the whole of what is there; the new list waits in a file until it is needed."""
    with connected(chosen) as there, TemporaryFile() as waiting:
        yield _planned(asked, there, waiting)


def connected(chosen: RspamdRedisSettings) -> AbstractContextManager[RedisHash]:
    """The hash."""
    return redis_hash.connected(chosen.server, chosen.redis_password_file, chosen.key, SETTING)


def _planned(asked: Asked, there: RedisHash, waiting: IO[bytes]) -> Plan:
    decided, refused = rulings.for_everybody(asked, Scope.RECIPIENT)
    everybody, unwritten = unwritable.for_everybody(decided, rspamd.why_not)
    noted, sums, mark = Noted(KEPT), ListSums(), there.mark()
    each = unwritable.for_each(rulings.for_each(asked), everybody, rspamd.why_not, noted)
    lines = in_order(chain(rspamd.sender_lines(everybody), rspamd.pair_lines(each)))
    for_all, for_each = Differences(rspamd.named_in, KEPT), Differences(rspamd.named_in, KEPT)
    wanted = _kept(sums.added(lines), waiting)
    for one in differences(in_order(there.lines()), wanted, rspamd.named_in):
        (for_each if is_pair(one.new or one.old or b"") else for_all).note(one)
    is_other = mark != sums.mark
    absent = "" if mark else there.place
    changes = (
        _change(there.place, sums.everybody, for_all, absent, is_other=is_other),
        _change(f"{there.place} (recipients)", sums.recipients, for_each, "", is_other=is_other),
    )
    notes = (f"{noted.more} more are left out for single recipients",) if noted.more else ()
    all_out = tuple(dict.fromkeys((*refused, *unwritten, *noted.named)))
    return Plan(changes, all_out, notes, partial(_apply, there, waiting, sums, any(it.is_changed for it in changes)))


def _kept(lines: Iterable[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for line in lines:
        file.write(line)
        yield line


def _change(where: str, sum_: ListSum, found: Differences, absent: str, *, is_other: bool) -> FileChange:
    return FileChange(
        where, sum_.entries, sum_.entries - found.new + found.gone, found.lost, is_other or bool(found), sum_.digest,
        (), found.new, found.gone, tuple(found.added), tuple(found.removed), absent,
    )  # fmt: skip


def _apply(
    there: RedisHash, waiting: IO[bytes], sums: ListSums, is_changed: bool, before: Callable[[], None]
) -> None:  # fmt: skip
    if is_changed:
        before()
        waiting.seek(0)
        there.replace(waiting, sums.entries, sums.mark)


def check(chosen: RspamdRedisSettings | None) -> "Iterator[Remark]":
    """Look at the hash, and ask the running rspamd what it sees of it."""
    from safelist.publisher import rspamd_redis_check
    from safelist.publisher.rspamd_check import PublishedRule

    if chosen is None:
        return rspamd_redis_check.without_section()
    rule_ = PublishedRule(NAME, chosen.url, chosen.password_file, digest(chosen), rspamd.RULE_FILE)
    published = rspamd_redis_check.PublishedHash(
        place(chosen), partial(connected, chosen), rspamd.EXCEPTION, REDIS_CONF, servers(chosen)
    )
    return rspamd_redis_check.remarks(rule_, published)


TARGET = Target(
    name=NAME, settings=RspamdRedisSettings, demands=rspamd.demands, use=use, plan=plan, scope=Scope.RECIPIENT,
    left_out=left_out, place=place, beside=lambda chosen: chosen.lock, refuse=refuse, check=check,
    if_missing="rspamd finds nobody safe until it is there",
)  # fmt: skip
