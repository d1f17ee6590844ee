"""PostgreSQL databases in every kind of encoding: only one that holds Unicode is used."""

import shlex
import subprocess
from pathlib import Path

import psycopg
import pytest

from safelist import store
from safelist.errors import ConfigError
from safelist.sender import Form, Pattern
from tests.store import postgres
from tests.store.samples import NOW, SAFE, SEEN, entries

CYRILLIC = "пётр@пример.рф"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "LATIN9", "EUC_JP", "MULE_INTERNAL", "WIN1251"])
def test_what_cannot_hold_unicode_is_refused(postgres_home: Path, encoding: str) -> None:
    options = f"ENCODING '{encoding}' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
    with postgres.database(postgres_home, f"in_{encoding.lower()}", options) as url:
        for use in (store.upgrade, store.open_store):
            with pytest.raises(ConfigError, match=f"its encoding is {encoding}, .*createdb -E UTF8 -T template0"):
                use(url)


def test_the_command_that_is_named_makes_one_that_will_do(postgres_home: Path) -> None:
    options = "ENCODING 'LATIN1' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
    with postgres.database(postgres_home, "latin", options) as url, pytest.raises(ConfigError) as caught:
        store.upgrade(url)
    command = shlex.split(str(caught.value).split("`")[1])
    assert command[0] == "createdb"
    createdb = [postgres.program("createdb"), "-h", str(postgres_home), "-U", "safelist", *command[1:-1], "unicode"]
    subprocess.run(createdb, check=True)
    store.upgrade(f"postgresql://safelist@/unicode?host={postgres_home}")


@pytest.mark.parametrize("where", ["database", "environment", "url"])
def test_another_client_encoding_is_not_used(
    postgres_home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:  # fmt: skip
    with postgres.database(postgres_home, f"client_{where}") as url:
        if where == "database":
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE client_{where} SET client_encoding = 'LATIN1'")
        elif where == "environment":
            monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
        else:
            url += "&client_encoding=LATIN1"
        store.upgrade(url)
        with store.open_store(url) as opened:
            run = opened.begin_run(NOW, "sync", "root")
            opened.record(run, "u@x", SEEN, entries(CYRILLIC), SAFE, NOW)
            assert [h.pattern for h in opened.listing("u@x")] == [Pattern(CYRILLIC, Form.ADDRESS)]
            assert opened.verify_chain().problem is None
