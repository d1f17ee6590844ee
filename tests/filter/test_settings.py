"""filter.toml: every fault at once, each with its key; and nothing that a value may hold gets further than here."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from safelist.config import toml
from safelist.errors import ConfigError
from safelist.filter import settings
from safelist.filter.settings import Filter, load
from tests.cli.command import Command

PROVIDER = '[[providers]]\nname = "Zen"\nlookup_domain = "zen.example.net"\nany_match = true\n'


def write(directory: Path, text: str) -> Path:
    path = directory / "filter.toml"
    path.write_text(text)
    return path


def loaded(directory: Path, tables: str = PROVIDER, **keys: Any) -> Filter:
    lines = (f"{key} = {toml(value)}\n" for key, value in ({"snapshot": "snapshot"} | keys).items())
    return load(write(directory, "".join(lines) + tables))


def keyed(key: str, value: object) -> dict[str, Any]:
    return {key: value}


def faults(directory: Path, tables: str = PROVIDER, **keys: Any) -> list[str]:
    """What is wrong, each line without the file's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(directory, tables, **keys)
    start = f"{directory / 'filter.toml'}: "
    assert all(fault.startswith(start) for fault in caught.value.faults)
    return [fault.removeprefix(start) for fault in caught.value.faults]


def test_little_has_to_be_written(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert found.snapshot == tmp_path / "snapshot"
    assert (found.mode, found.header, found.timeout, found.nameservers) == ("enforce", "X-Safelist", 3.0, ())
    assert found.listen == ("inet:127.0.0.1:10045",)
    assert any(ip_address("127.9.9.9") in network for network in found.networks("trusted_networks"))


@pytest.mark.parametrize(
    "address", ["inet:127.0.0.1:1", "inet:127.9.9.9:1", "inet:[::1]:1", "inet:localhost:1", "unix:/x"]
)
def test_lookups_are_answered_on_this_host(address: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, lookup=[address]).lookup == (address,)


@pytest.mark.parametrize("address", ["inet:0.0.0.0:1", "inet:[::]:1", "inet:192.0.2.1:1", "inet:mail.example:1"])
def test_beyond_this_host_they_are_only_where_that_is_said(address: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, lookup=["unix:/x", address])
    assert fault.startswith(f"lookup: other hosts may reach {address}, and ask who trusts whom: write ")
    assert loaded(tmp_path, lookup=[address], lookup_beyond_loopback=True).lookup == (address,)


@pytest.mark.parametrize(
    "keys",
    [
        {"lookup": ["inet:127.0.0.1:10045"]},
        {"listen": ["unix:/x"], "lookup": ["unix:/y", "unix:/x"]},
        {"lookup": ["unix:/x", "unix:/x"]},
        {"lookup": ["inet:127.0.0.1:9945"], "metrics": "127.0.0.1:9945"},
    ],
)
def test_an_address_is_for_one_of_them(keys: dict[str, Any], tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, **keys)
    assert re.match("listen, lookup, metrics: (unix:/x|inet:127.0.0.1:(10045|9945)) stands there twice: ", fault)
    any_port = "inet:127.0.0.1:0"
    assert loaded(tmp_path, listen=[any_port], lookup=[any_port]).lookup == (any_port,)


def test_for_lookups_alone_no_list_need_be_asked(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", listen=[], lookup=["unix:/x"]).providers == ()
    nobody = ["providers: nobody would be asked, write a [[providers]]"]
    assert faults(tmp_path, "", listen=[]) == faults(tmp_path, "", lookup=["unix:/x"]) == nobody


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_sample_is_a_configuration(tmp_path: Path, start: str) -> None:
    found = load(write(tmp_path, start + settings.sample()))
    assert found.snapshot == Path("/var/lib/safelist-snapshot/snapshot")
    assert [provider.lookup_domain for provider in found.providers] == ["zen.spamhaus.org"]


def test_every_key_of_the_sample_may_be_given(tmp_path: Path) -> None:
    """What stands there as a comment is a default or an example."""
    found = load(write(tmp_path, re.sub(r"^#+(?=\w+ = |\[\[)", "", settings.sample(), flags=re.MULTILINE)))
    assert found.model_fields_set == set(Filter.model_fields)
    assert found.allow_providers[0].any_match is False


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    text = """
snapshot = ""
max_age = "7"
mode = "on"
listen = ["tcp:1", "unix:", "inet:localhost:10045", "inet:localhost:99999"]
socket_mode = "0999"
max_connections = 0
trusted_networks = ["10.0.0.1/8", "10.0.0.0/8", "::ffff:10.0.0.0/104"]
allow_list = ["everybody"]
bypassed_recipients = ["postmaster", "x@corp.example"]
recipient_delimiter = "@"
reject_blocked_senders = "yes"
defer_unproven = 1
header = "X Safelist"
resolvers = ["localhost", "192.0.2.1:0", "192.0.2.1"]
timeout = -1.0
cache_entries = 1
used = "/"
metrics = "9945"
resolver = "192.0.2.1"
[[providers]]
name = "Zen"
lookup_domain = "zen"
[[providers]]
lookup_domian = "zen.example.net"
[[allow_providers]]
name = 1
"""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    found = [fault.removeprefix(f"{tmp_path / 'filter.toml'}: ") for fault in caught.value.faults]
    assert [fault.partition(": ")[0] for fault in found] == [
        "snapshot", "max_age", "mode", "listen", "socket_mode", "max_connections", "trusted_networks", "allow_list",
        "bypassed_recipients", "recipient_delimiter", "reject_blocked_senders", "defer_unproven", "header",
        "resolvers", "timeout", "cache_entries", "used", "metrics", "providers.0.lookup_domain", "providers.1.name",
        "providers.1.lookup_domain", "providers.1.lookup_domian", "allow_providers.0.name",
        "allow_providers.0.lookup_domain", "resolver",
    ]  # fmt: skip
    said = "\n".join(found)
    for wrong in ("'tcp:1'", "'unix:'", "'inet:localhost:99999'", "'10.0.0.1/8'", "'::ffff:10.0.0.0/104'"):
        assert wrong in said
    for right in ("'inet:localhost:10045'", "'10.0.0.0/8'", "'192.0.2.1'", "'x@corp.example'"):
        assert right not in said
    assert "did you mean resolvers?" in said
    assert "did you mean lookup_domain?" in said


@pytest.mark.parametrize(
    "tables", ["", PROVIDER + "enabled = false\n", PROVIDER.replace("providers", "allow_providers")]
)
def test_somebody_has_to_be_asked(tmp_path: Path, tables: str) -> None:
    assert faults(tmp_path, tables) == ["providers: nobody would be asked, write a [[providers]]"]
    assert len(faults(tmp_path, tables, header="X Y")) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("header", "X-Safelist: yes\r\nBcc: everybody@corp.example\r\nX"),
        *(("header", text) for text in ("X:", ":", "X\n", " X", "X\0", "Ⅹ", "X-Ä", "X" * 61, "-", "X\u2028Y")),
        *(("trusted_networks", [text]) for text in ("0.0.0.0/33", "1", "::/-1", "10/8", "1.2.3.4\n", "\0", "*", "")),
        ("allow_list", ["192.0.2.1-192.0.2.9"]),
        ("trusted_networks", "127.0.0.0/8"),
        *(("socket_mode", text) for text in ("", "1777", "0o660", "-0660", " 660", "6_60", "٠٦٦٠", "7" * 9000, "rw")),
        ("socket_mode", 660),
        ("socket_mode", 0),
        *((key, "a\0b") for key in ("snapshot", "used", "mode", "max_age", "socket_mode", "metrics", "header")),
        *((key, ["a\0b"]) for key in ("listen", "resolvers", "trusted_networks", "allow_list", "bypassed_recipients")),
        ("listen", ["unix:/run/a\0b"]),
        ("listen", ["inet:a\0b:1"]),
        *((key, 10**30) for key in ("max_connections", "cache_entries", "timeout", "snapshot", "mode")),
        *((key, -1) for key in ("max_connections", "cache_entries", "timeout")),
        *(("timeout", value) for value in (float("nan"), float("inf"), 0, 60.1, "3", True)),
        *(("max_age", text) for text in ("0d", "36501d", "9" * 5000 + "d", "1d\n", "-1d", "", "1.5d", "٣d")),
        *(("recipient_delimiter", text) for text in ("@", " ", '"', "\n", "+-", "ä", "\0")),
        *(("metrics", text) for text in ("9945", ":9945", "localhost:", "localhost:0", "localhost:65536", "a:٣", "")),
        *(("resolvers", [text]) for text in ("", "localhost", "[::1", "::1]:53", "[::1]x", "192.0.2.1:", "1.1:٥٣")),
        *(("listen", [text]) for text in ("", "10045", "inet:10045", "inet::", "inet:localhost:-1", "local:/x")),
    ],
    ids=lambda value: repr(value)[:40].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_hostile_values_are_faults_of_their_key(tmp_path: Path, key: str, value: object) -> None:
    (fault,) = faults(tmp_path, **keyed(key, value))
    assert fault.startswith(f"{key}: ")
    assert len(fault) < 400
    assert "\n" not in fault
    assert "\0" not in fault


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("header", ""),
        ("header", "Received-Safe1"),
        ("socket_mode", "0660"),
        ("socket_mode", "600"),
        ("recipient_delimiter", ""),
        ("recipient_delimiter", "-"),
        ("timeout", 1),
        ("timeout", 0.5),
        ("metrics", "[::1]:9945"),
        ("trusted_networks", ["0.0.0.0/0", "::/0", "192.0.2.1", "2001:db8::/32"]),
        ("listen", ["inet:[::1]:10045", "inet:localhost:0", "unix:/run/safelist/filter"]),
        ("listen", []),
    ],
)
def test_what_may_be_written(tmp_path: Path, key: str, value: object) -> None:
    found = getattr(loaded(tmp_path, **keyed(key, value)), key)
    assert (list(found) if isinstance(value, list) else found) == value


def test_nameservers(tmp_path: Path) -> None:
    written = ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5353"]
    assert loaded(tmp_path, resolvers=written).nameservers == (
        ("192.0.2.1", 53), ("192.0.2.1", 5353), ("2001:db8::1", 53), ("2001:db8::1", 53), ("2001:db8::1", 5353),
    )  # fmt: skip


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    found = loaded(tmp_path, snapshot="a/b", used="/var/lib/used")
    assert (found.snapshot, found.used) == (tmp_path / "a/b", Path("/var/lib/used"))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"snapshot = ",
        b"x = " + b"9" * 5000,
        b"x = " + b"[" * 5000,
        b"#" * (1 << 20) + b"#",
        b"\0",
        b"a = 1\rb",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_configuration_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "filter.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `safelist filter sample` prints one"):
        load(tmp_path / "none")


def test_no_fault_shows_the_key_of_a_lookup_domain(tmp_path: Path) -> None:
    key = "abcdefghij0123456789abcdef"
    tables = f'[[providers]]\nname = "{key}"\nlookup_domain = "{key}.zen.dq.example.net"\nany_match = 1\n'
    assert not any(key in fault for fault in faults(tmp_path, tables))
    tables = f'[[providers]]\nname = "Zen"\nlookup_domain = "{key}..net"\nany_match = true\n'
    assert not any(key in fault for fault in faults(tmp_path, tables, header="X Y"))


KEY = "abcdefghij0123456789abcdef"


@pytest.mark.parametrize(
    "lines",
    [
        f'name = "{KEY}"',
        f'name = "DQS {KEY.upper()}"',
        f'rejection_response = "see https://check.example/{KEY}"',
        f'hide_labels = "{KEY}"',
        f'bitmask_match = "{KEY}"',
        f'ip_address_match = ["{KEY}"]',
        f'{KEY} = "x"',
    ],
)
@pytest.mark.parametrize("table", ["providers", "allow_providers"])
def test_a_key_in_the_wrong_field_is_refused_and_not_repeated(tmp_path: Path, lines: str, table: str) -> None:
    here = {"name": "Other", "lookup_domain": "list.example.net"} | {lines.partition(" = ")[0]: ""}
    rest = "".join(f'{key} = "{value}"\n' for key, value in here.items() if value)
    found = faults(tmp_path, f"{PROVIDER}[[{table}]]\nany_match = true\n{rest}{lines}\n")
    assert all(fault.startswith(f"{table}.{'1' if table == 'providers' else '0'}.") for fault in found)
    assert KEY not in "\n".join(found).lower()


@pytest.mark.parametrize("key", ["max_age", "socket_mode", "metrics", "mode", "header", "timeout"])
@pytest.mark.parametrize("top", ["listen", "resolvers", "trusted_networks", "allow_list", "bypassed_recipients"])
def test_a_key_in_the_wrong_field_at_the_top_is_not_repeated(tmp_path: Path, key: str, top: str) -> None:
    value = f"-{KEY}" if key == "header" else KEY
    assert KEY not in "\n".join(faults(tmp_path, **keyed(key, value + "\n"), **keyed(top, [KEY])))


def test_a_list_that_blocks_and_allows_is_a_fault_of_the_file(tmp_path: Path) -> None:
    assert faults(tmp_path, PROVIDER + PROVIDER.replace("[providers]", "[allow_providers]")) == [
        (
            "allow_providers: Zen asks zen.example.net, as one of the providers does: it would admit whom it lists; "
            "write it into one of the two"
        )
    ]
    path = tmp_path / "filter.toml"
    for command in ("run", "check"):
        done = Command(tmp_path)("filter", command, "--config", str(path))
        assert (done.code, done.out, len(done.err.splitlines())) == (78, "", 1)


def test_each_list_has_a_name_of_its_own(tmp_path: Path) -> None:
    other = PROVIDER.replace("zen.example", "other.example").replace("Zen", "ZEN")
    assert faults(tmp_path, PROVIDER + other) == ["providers: two lists are called ZEN; give each a name of its own"]
    allow = other.replace("[providers]", "[allow_providers]")
    assert faults(tmp_path, PROVIDER + allow) == [
        "allow_providers: two lists are called ZEN; give each a name of its own"
    ]
    assert len(loaded(tmp_path, PROVIDER + other + "enabled = false\n").providers) == 2
    assert len(loaded(tmp_path, PROVIDER + PROVIDER.replace("Zen", "Zen, other codes")).providers) == 2


def test_the_commands_say_it_in_lines_and_end_with_78_or_64(tmp_path: Path) -> None:
    path, safelist = write(tmp_path, 'snapshot = "a\\u0000b"\nlisten = ["x"]\n' + PROVIDER), Command(tmp_path)
    done = safelist("filter", "run", "--config", str(path))
    assert (done.code, done.out, len(done.err.splitlines())) == (78, "", 2)
    write(tmp_path, 'snapshot = "snapshot"\n' + PROVIDER)
    for text in ("", "7" * 1000):
        done = safelist("filter", "run", "--config", str(path), "--max-age", text)
        assert (done.code, len(done.err.splitlines())) == (64, 1), done
        said = f"safelist: --max-age: '{text[:60]}' is no number of days: write 1d to 36500d, or 2w, 6m, 1y\n"
        assert done.err == said
    told = safelist("filter", "run", "--help").out
    assert "7d, 2w, 6m or 1y" in " ".join(told.split())
