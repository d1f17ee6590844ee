"""Publishing into a real Redis: what it holds then, what is not touched, and what a failure leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.connection import Connection

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.policy import Settings
from safelist.publisher import redis_hash
from safelist.publisher.publish import publish
from safelist.publisher.target import Published
from safelist.publisher.targets import rspamd_redis
from safelist.publisher.targets.rspamd_redis import RspamdRedisSettings
from safelist.store import Store
from tests import aggregate
from tests.cli.command import Command
from tests.forked import exit_code
from tests.publisher.site import NOW
from tests.rspamd import redis_server
from tests.rspamd.redis_server import RedisServer
from tests.store.samples import SEEN
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(redis_server.missing()), reason=redis_server.missing())

DESK, FRONT, ANN, BOB = "desk@corp.example", "front@corp.example", "ann@a.example", "bob@b.example"
KEY = "safelist:senders"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server.redis_server() as found:
        yield found


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    """An empty one."""
    with server.client() as client:
        client.flushall()
    return server


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as made:
        yield made


@pytest.fixture
def chosen(redis: RedisServer, tmp_path: Path) -> RspamdRedisSettings:
    return RspamdRedisSettings(redis=redis.url, lock=tmp_path / "lock")


def trust(opened: Store, mailbox: str, *texts: str) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    held = frozenset(Entry(UserList.SAFE_SENDERS, sender.parse(each)) for each in texts)
    opened.record(run, mailbox, SEEN._replace(owner=mailbox), held, ALL_LISTS, NOW)
    opened.end_run(run, NOW, {}, None)


def published(opened: Store, chosen: RspamdRedisSettings, **options: bool) -> Published:
    return publish(opened, Settings(), rspamd_redis.TARGET, chosen, lambda: NOW, **options)


def entries(redis: RedisServer) -> dict[str, str]:
    return {field: value for field, value in redis.hash().items() if field != "!"}


FOR_BOTH = {
    "bob@b.example": "dkim-or-spf",
    "desk@corp.example|ann@a.example": "dkim-or-spf",
    "desk@corp.example|bob@b.example": "dkim-or-spf",
    "front@corp.example|bob@b.example": "dkim-or-spf",
}


def test_both_lists_are_in_one_hash_that_stays(opened: Store, chosen: RspamdRedisSettings, redis: RedisServer) -> None:
    trust(opened, DESK, ANN, BOB)
    trust(opened, FRONT, BOB)
    done = published(opened, chosen)
    assert entries(redis) == FOR_BOTH
    assert redis.keys() == {KEY}
    with redis.client() as client:
        assert client.ttl(KEY) == -1
    assert [(str(each.path), each.entries, each.new) for each in done.files] == [
        (f"redis://127.0.0.1:{redis.port}/0 {KEY}", 1, 1),
        (f"redis://127.0.0.1:{redis.port}/0 {KEY} (recipients)", 3, 3),
    ]
    assert done.added == tuple(sorted(FOR_BOTH, key=lambda each: ("|" in each, each)))


def test_a_socket_another_database_and_another_prefix(opened: Store, redis: RedisServer, tmp_path: Path) -> None:
    trust(opened, DESK, ANN)
    chosen = RspamdRedisSettings(redis=f"unix://{redis.socket}?db=3", lock=tmp_path / "lock", redis_prefix="x:y")
    done = published(opened, chosen)
    assert done.path == f"unix://{redis.socket}?db=3 x:y:senders"
    with Redis(port=redis.port, db=3, decode_responses=True) as client:
        assert client.hget("x:y:senders", f"{DESK}|{ANN}") == "dkim-or-spf"
    assert f'servers = "{redis.socket}";\n  db = "3";' in done.use
    assert '"x:y:senders"' in done.use


def test_what_has_not_changed_is_not_written_again(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer
) -> None:
    trust(opened, DESK, ANN, *(f"s{number}@c.example" for number in range(700)))
    first = published(opened, chosen)
    before = redis.changes()
    again = published(opened, chosen)
    assert (again.changed, again.new, again.gone, again.file_digest) == (False, 0, 0, first.file_digest)
    assert redis.changes() == before


def test_nobody_waits_while_the_old_list_is_freed(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer
) -> None:
    """Redis does it beside: of a million of fields it takes longer than rspamd waits."""
    texts = [f"s{number}@c.example" for number in range(700)]
    trust(opened, DESK, *texts)
    published(opened, chosen)
    with redis.client() as client:
        client.config_resetstat()
        trust(opened, DESK, *texts, ANN)
        published(opened, chosen)
        assert until(lambda: client.info("memory")["lazyfreed_objects"] == 1)


def test_an_empty_list_is_published_once(opened: Store, chosen: RspamdRedisSettings, redis: RedisServer) -> None:
    assert published(opened, chosen).changed
    assert list(redis.hash()) == ["!"]
    assert not published(opened, chosen).changed


SPOILT: dict[str, tuple[Callable[[Any], object], int, int]] = {
    "one is gone": (lambda it: it.hdel(KEY, BOB), 1, 0),
    "one is added": (lambda it: it.hset(KEY, "x@x.example", "none"), 0, 1),
    "one says another thing": (lambda it: it.hset(KEY, BOB, "none"), 1, 1),
    "a line end in one": (lambda it: it.hset(KEY, "x\ny@x.example", "none"), 0, 1),
    "another mark": (lambda it: it.hset(KEY, "!", "x"), 0, 0),
    "flushed": (lambda it: it.flushall(), 4, 0),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_somebody_has_changed_is_put_right(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer, name: str
) -> None:
    spoil, new, gone = SPOILT[name]
    trust(opened, DESK, ANN, BOB)
    trust(opened, FRONT, BOB)
    published(opened, chosen)
    with redis.client() as client:
        spoil(client)
    done = published(opened, chosen)
    assert (done.changed, done.new) == (True, new)
    assert done.gone >= gone
    assert entries(redis) == FOR_BOTH
    assert not published(opened, chosen).changed


def test_a_redis_that_was_started_empty_is_filled_again(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer
) -> None:
    trust(opened, DESK, *(f"s{number}@c.example" for number in range(40)))
    published(opened, chosen)
    before = redis.hash()
    redis.stop()
    try:
        for options in ({}, {"dry_run": True}):
            with pytest.raises(UnavailableError, match=rf"Redis at {redis.url} cannot be reached .*start it") as raised:
                published(opened, chosen, **options)
            assert raised.value.exit_code == 69
    finally:
        redis.start()
    done = published(opened, chosen)
    assert (done.changed, done.new) == (True, 40)
    assert redis.hash() == before


def test_a_sudden_shrink_is_refused_of_each_list(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer
) -> None:
    """Here of everybody's, of which the pairs are many more."""
    texts = [f"s{number}@c.example" for number in range(20)]
    trust(opened, DESK, *texts, *(f"t{number}@c.example" for number in range(200)))
    trust(opened, FRONT, *texts)
    published(opened, chosen)
    before = redis.hash()
    trust(opened, FRONT)
    with pytest.raises(TemporaryError, match=f"{KEY}: 20 of 20 entries would disappear at once"):
        published(opened, chosen)
    assert redis.hash() == before
    assert published(opened, chosen, allow_shrink=True).gone == 40


def killed_at(at: int, opened_at: str, chosen: RspamdRedisSettings) -> int:
    """Publish in another process, which is killed before the ``at``-th time that it sends something; its end."""
    seen, send = 0, Connection.send_packed_command

    def kill(self: Connection, *command: Any, **options: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        send(self, *command, **options)

    def run() -> None:
        Connection.send_packed_command = kill  # type: ignore[assignment, method-assign]
        with store.open_store(opened_at) as opened:
            published(opened, chosen)

    return exit_code(run)


def test_a_kill_at_any_command_leaves_the_old_or_the_new_and_nothing_for_ever(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer, tmp_path: Path
) -> None:
    old, new = [f"a{number}@c.example" for number in range(2100)], [f"b{number}@c.example" for number in range(2100)]
    trust(opened, DESK, *old)
    published(opened, chosen)
    before, killed = redis.hash(), 0
    trust(opened, DESK, *old, *new)
    for at in range(1, 50):
        code = killed_at(at, f"sqlite:///{tmp_path}/safelist.db", chosen)
        with redis.client() as client:
            assert all(0 < client.ttl(each) <= redis_hash.EXPIRY for each in redis.keys() - {KEY})
        if code != -signal.SIGKILL:
            assert code == 0
            break
        assert redis.hash() == before
        killed += 1
    assert killed > 10
    assert len(entries(redis)) == 4200
    assert not published(opened, chosen).changed


def test_a_new_list_that_is_not_whole_replaces_nothing(
    opened: Store, chosen: RspamdRedisSettings, redis: RedisServer
) -> None:
    """As where Redis evicts what expires, or somebody else does."""
    trust(opened, DESK, ANN)
    published(opened, chosen)
    before = redis.hash()

    def lines() -> Iterator[bytes]:
        yield from (b"s%d@c.example!none\n" % number for number in range(1500))
        with redis.client() as client:
            client.delete(*(redis.keys() - {KEY}))
        yield b"last@c.example!none\n"

    with rspamd_redis.connected(chosen) as there, pytest.raises(TemporaryError, match="of the new list's 1502 fields"):
        there.replace(lines(), 1501, "x")
    assert (redis.hash(), redis.keys()) == (before, {KEY})


def test_a_list_takes_no_more_memory_however_long_it_is(chosen: RspamdRedisSettings, redis: RedisServer) -> None:
    def peak(size: int) -> int:
        tracemalloc.start()
        try:
            with rspamd_redis.connected(chosen) as there:
                there.replace((b"s%07d@c.example!dkim-or-spf\n" % number for number in range(size)), size, "x")
                assert sum(1 for _ in there.lines()) >= size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(3000)
    small, large = peak(6_000), peak(20_000)
    assert large < small + 300_000, "the fields alone, of which there are 14,000 more, would take a million"


REFUSALS: dict[str, tuple[list[str], type[SafelistError], str]] = {
    "full": (["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"], UnavailableError, "OOM|maxmemory"),
    "password": (["--requirepass", "hunter2"], PermissionDeniedError, "refuses the log-in .*redis_password_file"),
    "replica": (["--replicaof", "127.0.0.1 1"], ConfigError, "is a replica, .*name the server that it follows"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_redis_that_takes_no_list_is_named_with_what_to_do(opened: Store, tmp_path: Path, name: str) -> None:
    options, kind, message = REFUSALS[name]
    trust(opened, DESK, *(f"s{number}@c.example" for number in range(100)))
    with redis_server.redis_server(*options) as redis:
        chosen = RspamdRedisSettings(redis=redis.url, lock=tmp_path / "lock")
        with pytest.raises(kind, match=message):
            published(opened, chosen)


def test_a_password_comes_from_its_file_only(opened: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    trust(opened, DESK, ANN)
    with redis_server.redis_server("--requirepass", "hunter2") as redis:
        chosen = RspamdRedisSettings(redis=redis.url, lock=tmp_path / "lock", redis_password_file=secret)
        with pytest.raises(PermissionDeniedError, match=f"redis_password_file: {secret} cannot be read"):
            published(opened, chosen)
        secret.write_text("")
        with pytest.raises(ConfigError, match="is empty"):
            published(opened, chosen)
        secret.write_text("wrong\n")
        with pytest.raises(PermissionDeniedError, match="refuses the log-in") as raised:
            published(opened, chosen)
        assert "wrong" not in str(raised.value).replace("WRONGPASS", "")
        secret.write_text("hunter2\n")
        done = published(opened, chosen)
        named = chosen.model_copy(update={"redis": redis.url.replace("//", "//default@")})
        assert not published(opened, named).changed
    assert done.changed
    assert "hunter2" not in done.use + str(done.path)
    assert 'password = "...";' in done.use


URLS = {
    "redis://127.0.0.1": "redis://127.0.0.1:6379/0",
    "redis://safelist@redis.corp.example:6380/7": "redis://redis.corp.example:6380/7",
    "redis://[::1]:6379/1": "redis://[::1]:6379/1",
    "unix:///run/redis/redis.sock": "unix:///run/redis/redis.sock?db=0",
    "unix://safelist@/run/redis/redis.sock?db=2": "unix:///run/redis/redis.sock?db=2",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_shown_without_its_user(url: str) -> None:
    assert str(redis_hash.parse(url)) == URLS[url]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://:hunter2@127.0.0.1/0", "no password: write it into a file"),
        ("redis://u:hunter2@127.0.0.1/0", "no password"),
        ("unix://u:hunter2@/run/redis.sock", "no password"),
        ("redis://127.0.0.1/0?password=hunter2", "no password"),
        ("redis://127.0.0.1:99999/0", "must be redis://HOST"),
        ("redis://127.0.0.1/x", "must be redis://HOST"),
        ("rediss://127.0.0.1/0", "must be redis://HOST"),
        ("127.0.0.1:6379", "must be redis://HOST"),
        ("unix://redis.sock", "must be redis://HOST"),
    ],
)
def test_a_url_with_a_password_or_of_another_kind_is_a_fault_that_does_not_show_it(
    tmp_path: Path, url: str, message: str
) -> None:
    safelist = Command(tmp_path)
    safelist.config.write_text(
        f'[database]\nurl = "sqlite:////x"\n[publish.rspamd-redis]\nredis = "{url}"\nlock = "/x/y"\n'
    )
    done = safelist("config", "check")
    assert done.code == 78
    assert re.search(f"publish.rspamd-redis.redis: .*{message}", done.err)
    assert "hunter2" not in done.out + done.err


def test_a_prefix_that_would_mean_something_in_the_rule_is_a_fault(tmp_path: Path) -> None:
    for prefix in ('x"', "x y", "{%", "", "a" * 101):
        with pytest.raises(ValueError, match="must hold letters, digits and any of"):
            RspamdRedisSettings(redis="redis://127.0.0.1", lock=tmp_path / "lock", redis_prefix=prefix)


def test_without_the_library_it_is_said_how_to_install_it(chosen: RspamdRedisSettings, tmp_path: Path) -> None:
    safelist = Command(tmp_path)
    safelist.config.write_text(
        f'[database]\nurl = "{aggregate.create(tmp_path / "safelist.db")}"\n'
        f'[publish.rspamd-redis]\nredis = "{chosen.redis}"\nlock = "{chosen.lock}"\n'
    )
    lacking = "import sys; sys.modules['redis'] = None; from safelist.__main__ import main; main()"
    for arguments in (["publish"], ["check", "rspamd-redis", "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", lacking, *arguments],
            env=safelist.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "redis is not installed: in safelist's checkout, pip install '.[redis]'" in done.stdout + done.stderr
        assert done.returncode == 78, arguments


def test_nothing_that_a_template_could_mean_is_in_the_rule(chosen: RspamdRedisSettings) -> None:
    text = rspamd_redis.use(chosen)
    assert [each for each in ("{%", "{=", "{#") if each in text] == []
    assert json.dumps(KEY) in text
