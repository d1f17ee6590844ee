"""Several targets of one kind, each in a section of its own name."""

import json
from pathlib import Path

import pytest

from safelist import config, sender, store
from safelist.cli.configuration import target_sections
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import ConfigError
from safelist.publisher.targets import configured
from tests import aggregate
from tests.cli import in_process
from tests.store.samples import NOW, SEEN


def load(directory: Path, sections: str) -> config.Config:
    path = directory / "safelist.toml"
    path.write_text(f'[database]\nurl = "sqlite:///{directory}/safelist.db"\n[policy]\nquorum = 1\n{sections}')
    return config.load(path, target_sections())


def test_each_has_its_name_and_its_settings(tmp_path: Path) -> None:
    first = f'[publish.pairs]\npath = "{tmp_path}/a"\n'
    named = f'[publish.pairs.table]\npath = "{tmp_path}/b"\nformat = "opensmtpd"\n'
    for sections in (first + named, named + first):
        loaded = load(tmp_path, sections)
        assert {name: settings.format for name, settings in loaded.publish.items()} == {
            "pairs": "csv", "pairs.table": "opensmtpd"
        }  # fmt: skip
    assert [configured(name, settings).name for name, settings in loaded.publish.items()] == ["pairs", "pairs.table"]
    assert list(load(tmp_path, named).publish) == ["pairs.table"]


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ('[publish.pairs.Outer]\npath = "/a"', "publish.pairs.Outer: write a name: small letters, digits, - and _"),
        ("[publish.pairs.b]\nformat = 'csv'", "publish.pairs.b.path: missing, write it"),
        ("[publish.pairs]\n", "publish.pairs.path: missing, write it"),
        ('[publish.pairs.b]\npath = "/a"\nfrmat = "x"', "publish.pairs.b.frmat: no such key (did you mean format?)"),
        ('[publish.postfix.b]\npath = "/a"', "publish.postfix.b: no such key; there are: path,"),
        (
            '[publish.pairs.b]\npath = "/a"\n[publish.postfix]\npath = "/a"',
            "publish.postfix.path: /a is the path of [publish.pairs.b] already; write another",
        ),
        (
            '[publish.pairs.b]\npath = "/a/x"\n[publish.pairs.c]\npath = "/a/b/../x"',
            "publish.pairs.c.path: /a/b/../x is the path of [publish.pairs.b] already; write another",
        ),
        (
            '[publish.pairs.b]\npath = "/a.recipients"\n[publish.rspamd]\npath = "/a"',
            "publish.pairs.b.path: /a.recipients stands beside the path of [publish.rspamd]; write another",
        ),
        (
            '[publish.pairs.b]\npath = "/a"\nformat = "exchange"\n[publish.pairs.c]\npath = "/a.ps1"',
            "publish.pairs.c.path: /a.ps1 stands beside the path of [publish.pairs.b]; write another",
        ),
        (
            '[publish.pairs.b]\npath = "/a.ps1"\nformat = "exchange"\n[publish.pairs.c]\npath = "/a.apply.ps1"',
            "publish.pairs.c.path: /a.apply.ps1 stands beside the path of [publish.pairs.b]; write another",
        ),
    ],
)
def test_what_is_wrong_is_said_by_its_name(tmp_path: Path, sections: str, fault: str) -> None:
    with pytest.raises(ConfigError) as found:
        load(tmp_path, sections)
    assert any(fault in each for each in found.value.faults), found.value.faults


def test_a_link_to_the_file_of_another_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "list")
    with pytest.raises(ConfigError, match=r"link is the path of \[publish\.pairs\] already"):
        load(
            tmp_path,
            f'[publish.pairs]\npath = "{tmp_path}/list"\nformat = "haraka"\n'
            f'[publish.pairs.table]\npath = "{tmp_path}/link"\nformat = "opensmtpd"\n',
        )


def test_each_is_published_and_explained_by_its_name(tmp_path: Path) -> None:
    url = aggregate.create(tmp_path / "safelist.db")
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        held = frozenset({Entry(UserList.SAFE_SENDERS, sender.parse("friend@aol.com"))})
        opened.record(run, "desk@corp.example", SEEN._replace(owner="desk"), held, ALL_LISTS, NOW)
        opened.end_run(run, NOW, {}, None)
    load(
        tmp_path,
        f'[publish.pairs.rows]\npath = "{tmp_path}/rows.csv"\n'
        f'[publish.pairs.table]\npath = "{tmp_path}/table"\nformat = "opensmtpd"\n',
    )

    def ask(*arguments: str) -> tuple[int, object]:
        line = [*arguments, "--json", "--config", str(tmp_path / "safelist.toml")]
        code, out, _ = in_process.run(line, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
        return code, json.loads(out)

    code, rows = ask("publish", "pairs.rows")
    assert isinstance(rows, list)
    assert (code, [(row["target"], row["changed"]) for row in rows]) == (0, [("pairs.rows", True)])
    assert not (tmp_path / "table").exists()
    code, rows = ask("publish")
    assert isinstance(rows, list)
    assert [(row["target"], row["changed"]) for row in rows] == [("pairs.rows", False), ("pairs.table", True)]
    code, why = ask("audit", "why", "friend@aol.com")
    assert isinstance(why, dict)
    assert list(why["left_out"]) == ["pairs.table"]
    code, remarks = ask("check", "pairs.rows")
    assert isinstance(remarks, list)
    assert (code, remarks[0]["fault"], "cannot be asked" in remarks[0]["text"]) == (0, False, True)
