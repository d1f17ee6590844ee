"""`safelist check rspamd-redis`: whether the running rspamd reads from Redis what was published there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.publisher.targets import rspamd_redis
from safelist.publisher.targets.rspamd_redis import RspamdRedisSettings
from tests.cli.command import Command
from tests.mail.world import ALL, BOB, DESK
from tests.rspamd import redis_server, servers
from tests.rspamd.conftest import ServedByRedis
from tests.rspamd.redis_server import RedisServer
from tests.rspamd.servers import Rspamd
from tests.rspamd.test_check import DATABASE
from tests.rspamd.test_mail import everybody, pair

WHY_NOT = servers.missing() or redis_server.missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

KEY = "safelist:senders"


@pytest.fixture(scope="module")
def servers_of_both() -> Iterator[tuple[RedisServer, RedisServer]]:
    with redis_server.redis_server() as one, redis_server.redis_server() as other:
        yield one, other


@pytest.fixture
def redis(servers_of_both: tuple[RedisServer, RedisServer]) -> RedisServer:
    """The one that safelist publishes to, filled."""
    write(servers_of_both[0])
    return servers_of_both[0]


@pytest.fixture
def other(servers_of_both: tuple[RedisServer, RedisServer]) -> RedisServer:
    return servers_of_both[1]


@pytest.fixture(scope="module")
def site(servers_of_both: tuple[RedisServer, RedisServer]) -> Iterator[Rspamd]:
    yield from asking(servers_of_both[0])


@pytest.fixture(scope="module")
def astray(servers_of_both: tuple[RedisServer, RedisServer]) -> Iterator[Rspamd]:
    """One that asks the other Redis."""
    yield from asking(servers_of_both[1])


def asking(redis: RedisServer | None) -> Iterator[Rspamd]:
    found = settings(redis.url if redis else "redis://127.0.0.1")
    more = {"redis.conf": rspamd_redis.servers(found)} if redis else {}
    with servers.installed(rspamd_redis.rule(found), more) as installed, installed.running() as running:
        yield running


def settings(url: str) -> RspamdRedisSettings:
    return RspamdRedisSettings(redis=url, lock=Path("/nonexistent/lock"))


def write(redis: RedisServer, *more: str) -> None:
    pairs = [pair(BOB, safe=False), pair("y.example"), *map(pair, more)]
    ServedByRedis(settings(redis.url), Rspamd("")).write([everybody(ALL), everybody(".x.example")], pairs)


def configured(directory: Path, redis: str, rspamd: Rspamd, **keys: str) -> Command:
    safelist = Command(directory)
    lines = "".join(f"{name} = {value}\n" for name, value in keys.items())
    safelist.config.write_text(
        f'{DATABASE}[publish.rspamd-redis]\nredis = "{redis}"\nlock = "/nonexistent/lock"\nurl = "{rspamd.normal}"\n'
        + lines
    )
    return safelist


def faults(safelist: Command) -> list[str]:
    done = safelist("check", "rspamd-redis", "--json")
    found = [row["text"] for row in done.json if row["fault"]]
    assert (done.code, done.err) == (78 if found else 0, "")
    return found


def test_an_rspamd_that_reads_what_was_published_has_no_faults(
    site: Rspamd, redis: RedisServer, tmp_path: Path
) -> None:
    done = configured(tmp_path, redis.url, site)("check", "rspamd-redis")
    assert (done.code, done.err) == (0, "")
    assert rspamd_redis.use(settings(redis.url)) in done.out
    assert done.out.splitlines()[-5:] == [
        f"note: {redis.url} {KEY} holds what was published: 2 senders for everybody, 2 for single recipients",
        f"note: rspamd's rule reads it from 127.0.0.1:{redis.port}",
        f"note: rspamd finds {ALL} safe for everybody, if it proves itself",
        f"note: rspamd finds y.example safe for {DESK}, if it proves itself",
        "no faults",
    ]


def test_without_a_section_it_says_what_to_write(tmp_path: Path) -> None:
    safelist = Command(tmp_path)
    safelist.config.write_text(DATABASE)
    (fault,) = faults(safelist)
    assert fault.startswith("the configuration has no [publish.rspamd-redis]: write that section")


def test_what_is_not_published_is_to_be_published(site: Rspamd, redis: RedisServer, tmp_path: Path) -> None:
    with redis.client() as client:
        client.flushall()
    of_redis, of_rspamd = faults(configured(tmp_path, redis.url, site))
    assert of_redis == f"{redis.url} {KEY} is not there: run `safelist publish`; until then nobody is safe"
    assert f"rspamd's rule finds nobody safe (127.0.0.1:{redis.port}: there is no {KEY})" in of_rspamd


def test_what_somebody_has_changed_is_to_be_published_again(
    site: Rspamd, redis: RedisServer, tmp_path: Path
) -> None:  # fmt: skip
    with redis.client() as client:
        client.hset(KEY, "evil@x.example", "none")
    (fault,) = faults(configured(tmp_path, redis.url, site))
    assert fault.startswith(f"{redis.url} {KEY}: somebody has changed entries since they were published: run ")


def test_a_redis_that_safelist_cannot_reach_is_told_from_one_that_rspamd_cannot(
    astray: Rspamd, redis: RedisServer, other: RedisServer, tmp_path: Path
) -> None:
    write(other)
    closed = f"redis://127.0.0.1:{servers.free_port()}/0"
    (of_safelist,) = faults(configured(tmp_path, closed, astray))
    assert of_safelist.startswith(f"the Redis at {closed} cannot be reached (")
    other.stop()
    try:
        (of_rspamd,) = faults(configured(tmp_path, redis.url, astray))
    finally:
        other.start()
    assert of_rspamd.startswith(f"rspamd's rule finds nobody safe (127.0.0.1:{other.port}: ")
    assert f'servers = "127.0.0.1:{redis.port}";\n' in of_rspamd


def test_an_rspamd_that_asks_another_redis_or_reads_an_older_list_has_a_fault(
    astray: Rspamd, redis: RedisServer, other: RedisServer, tmp_path: Path
) -> None:
    safelist = configured(tmp_path, redis.url, astray)
    with other.client() as client:
        client.flushall()
    (fault,) = faults(safelist)
    assert f"rspamd's rule finds nobody safe (127.0.0.1:{other.port}: there is no {KEY})" in fault
    write(other)
    assert faults(safelist) == [], "as a replica that has followed"
    write(redis, "z@new.example")
    (fault,) = faults(safelist)
    assert f"rspamd's rule reads another list, from 127.0.0.1:{other.port}, than {redis.url} {KEY} is" in fault


def test_another_prefix_is_another_rule(site: Rspamd, redis: RedisServer, tmp_path: Path) -> None:
    found = faults(configured(tmp_path, redis.url, site, redis_prefix='"mx"'))
    assert found[0] == f"{redis.url} mx:senders is not there: run `safelist publish`; until then nobody is safe"
    assert "has loaded another rule than `safelist check rspamd-redis` prints (another path or prefix" in found[1]


def test_an_rspamd_that_knows_no_redis_has_a_fault(redis: RedisServer, tmp_path: Path) -> None:
    for running in asking(None):
        (fault,) = faults(configured(tmp_path, redis.url, running))
    assert fault.startswith("rspamd's rule asks no Redis (local.d/redis.conf names no servers): correct /etc/rspamd/")
