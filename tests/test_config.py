"""The configuration: every fault at once, each with its key; nothing that holds a secret may be read by others."""

import codecs
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safelist import config
from safelist.cli.configuration import target_sections
from safelist.collector import sources
from safelist.collector.sources.ews.secret import read_secret
from safelist.entry import ALL_LISTS, UserList
from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError
from safelist.filter.dnsbl import AllowProvider, Provider
from safelist.filter.settings import Filter

GOOD = """
[exchange]
endpoint = "https://mail.example.com/EWS/Exchange.asmx"
username = "EXAMPLE\\\\svc"
secret_file = "secret"
[mailboxes]
addresses = ["Reception@Example.com", "reception@example.com", "sales@example.com"]
[database]
url = "sqlite:///state/safelist.db"
[publish.paper]
path = "/tmp/list"
"""


class Paper(BaseModel):
    """A target for tests."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str


TARGETS: dict[str, type[BaseModel]] = {"paper": Paper}


def write(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "safelist.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def faults(tmp_path: Path, text: str, mode: int = 0o600) -> list[str]:
    path = write(tmp_path, text, mode)
    with pytest.raises(ConfigError) as caught:
        config.load(path, TARGETS)
    return [fault.removeprefix(f"{path}: ") for fault in caught.value.faults]


def test_good_values(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD), TARGETS)
    assert loaded.exchange is not None
    assert loaded.exchange.secret_file == tmp_path / "secret"
    assert loaded.database.url == f"sqlite:///{tmp_path}/state/safelist.db"
    assert loaded.mailboxes.addresses == ("reception@example.com", "sales@example.com")
    assert loaded.publish == {"paper": Paper(path="/tmp/list")}
    assert loaded.policy.settings().quorum == 2
    assert loaded.collect.lists == ALL_LISTS


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
        [exchange]
        endpoint = "http://mail.example.com/EWS/Exchange.asmx"
        acces = "delegate"
        workers = 0
        [mailboxes]
        addresses = ["nobody"]
        [policy]
        quorum = "two"
        [publish.paper]
        [publish.papyrus]
        [surprise]
        """,
    )
    text = "\n".join(found)
    assert "exchange.endpoint: must be an https:// address" in text
    assert "exchange.acces: no such key (did you mean access?)" in text
    assert "exchange.workers: must be at least 1" in text
    assert "mailboxes.addresses: not an e-mail address: 'nobody'" in text
    assert "policy.quorum: must be a whole number, without quotes" in text
    assert "publish.paper.path: missing, write it" in text
    assert "publish.papyrus: no such target (did you mean paper?)" in text
    assert "surprise: no such key" in text
    assert "database: missing, write it" in text
    assert len(found) == 9


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ('username="u"\nsecret="s"', "exchange.endpoint: write one of endpoint and autodiscover"),
        ('endpoint="https://a/b"\nautodiscover="a@b.c"\nusername="u"\nsecret="s"', "exchange.endpoint: write one of"),
        ('endpoint="https://a/b"\nusername="u"', "exchange.secret_file: missing, write one of"),
        ('endpoint="https://a/b"\nusername="u"\nsecret="s"\nsecret_env="S"', "exchange.secret_file: too many secrets"),
        ('endpoint="https://a/b"\nsecret="s"', "exchange.username: missing"),
        ('endpoint="https://a/b"\nauthentication="kerberos"\nsecret="s"', "kerberos takes the ticket"),
        (
            'endpoint="https://a/b"\nauthentication="oauth"\nsecret="s"',
            "exchange.tenant_id, client_id: oauth needs both",
        ),
        ('endpoint="https://a:99999/b"\nusername="u"\nsecret="s"', "exchange.endpoint: must be an address"),
        ('endpoint="https://a/b"\nusername="u"\nsecret_command=" "', "exchange.secret_command: is empty"),
        ('endpoint="https://u:p@a/b"\nusername="u"\nsecret="s"', "without a login"),
        ('endpoint="https://a/b"\npassword="s"\nusername="u"', "exchange.password: no such key (did you mean secret?)"),
    ],
)
def test_exchange_keys_belong_together(tmp_path: Path, section: str, fault: str) -> None:
    found = faults(tmp_path, f'[exchange]\n{section}\n[database]\nurl = "sqlite://"')
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace('secret_file = "secret"', 'secret = "hunter2"'),
        GOOD.replace("sqlite:///state/safelist.db", "postgresql+psycopg://u:hunter2@db/x"),
    ],
)
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int, text: str) -> None:
    (fault,) = faults(tmp_path, text, mode)
    assert "chmod 600" in fault
    assert "hunter2" not in fault
    assert config.load(write(tmp_path, text), TARGETS)


def test_secrets_never_show(tmp_path: Path) -> None:
    text = GOOD.replace('secret_file = "secret"', 'secret = "hunter2"')
    loaded = config.load(write(tmp_path, text), TARGETS)
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in str(loaded.exchange)
    assert all("hunter2" not in fault for fault in faults(tmp_path, text + "[policy]\nquorum=0"))
    assert loaded.exchange is not None
    assert read_secret(loaded.exchange) == "hunter2"


def exchange(**keys: object) -> config.Exchange:
    return config.Exchange.model_validate({"endpoint": "https://a/b", "username": "u"} | keys)


def test_secret_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2\nand a comment\n")
    path.chmod(0o640)
    assert read_secret(exchange(secret_file=path)) == "hunter2"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(exchange(secret_file=path))
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        read_secret(exchange(secret_file=path))
    with pytest.raises(ConfigError, match="does not exist"):
        read_secret(exchange(secret_file=tmp_path / "none"))
    with pytest.raises(PermissionDeniedError, match="cannot be read"):
        read_secret(exchange(secret_file=tmp_path))


def test_secret_from_a_command() -> None:
    assert read_secret(exchange(secret_command="echo hunter2")) == "hunter2"
    with pytest.raises(UnavailableError, match="status 1"):
        read_secret(exchange(secret_command="false"))
    with pytest.raises(UnavailableError, match="cannot be run"):
        read_secret(exchange(secret_command="/no/such/program"))
    with pytest.raises(ConfigError, match="printed nothing"):
        read_secret(exchange(secret_command="true"))


def test_secret_from_the_environment_and_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="is not set"):
        read_secret(exchange(secret_env="SAFELIST_TEST_SECRET"))
    monkeypatch.setenv("SAFELIST_TEST_SECRET", "hunter2")
    assert read_secret(exchange(secret_env="SAFELIST_TEST_SECRET")) == "hunter2"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential"):
        read_secret(exchange(secret_credential="exchange"))
    (tmp_path / "exchange").write_text("hunter3")
    (tmp_path / "exchange").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret(exchange(secret_credential="exchange")) == "hunter3"
    assert read_secret(exchange(secret_credential="../../exchange")) == "hunter3"


def test_kerberos_has_no_secret() -> None:
    assert read_secret(exchange(authentication="kerberos")) is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safelist init"):
        config.load(tmp_path / "none.toml", TARGETS)
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path, TARGETS)
    assert "not TOML" in faults(tmp_path, "[exchange")[0]
    assert "not TOML" in faults(tmp_path, "a = " + "[" * 100_000)[0]
    path = write(tmp_path, "")
    path.write_bytes(b"\xff\xfe[\0d\0]\0")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        config.load(path, TARGETS)
    path.write_bytes(b"#" * (config.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        config.load(path, TARGETS)
    assert "not TOML" in faults(tmp_path, "a = " + "9" * 5000)[0]
    assert "mailboxes.groups: holds a NUL character" in faults(tmp_path, '[mailboxes]\ngroups = ["a\\u0000"]')[0]
    assert faults(tmp_path, 'publish = 3\nexchange = []\ndatabase = "x"')


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    with pytest.raises(ConfigError):  # [database] is required, and no short text brings it by chance
        config.load(path, TARGETS)


def test_the_sample_is_a_valid_configuration_once_filled_in(tmp_path: Path) -> None:
    text = config.sample("sqlite:////var/lib/safelist/safelist.db", TARGETS, {})
    for key in config.Exchange.model_fields:
        assert f"\n#{key} = " in text
    path = write(tmp_path, text.replace('path = "None"', 'path = "/etc/list"'))
    assert config.load(path, TARGETS).exchange is None, "the other commands work before [exchange] is filled in"
    found = faults(tmp_path, text.replace("#workers", "workers").replace('path = "None"', 'path = "/etc/list"'))
    assert [fault.split(":")[0] for fault in found] == [
        "exchange.endpoint",
        "exchange.username",
        "exchange.secret_file",
    ]
    filled = (
        text.replace("#endpoint", "endpoint").replace("#username", "username").replace("#secret_file", "secret_file")
    )
    path.write_text(filled)
    loaded = config.load(path, TARGETS)
    assert loaded.exchange is not None
    assert loaded.exchange.username == "EXAMPLE\\svc-safelist"
    assert loaded.mailboxes == config.Mailboxes()


class Folder(config.Section):
    """What a source of files would be told."""

    class Rights(config.Section):
        """Who reads it."""

        owner: str = "root"

    path: config.LenientPath = Field(description="Where.", examples=["/srv/lists"])
    rights: Rights = Rights()


def test_the_sample_shows_each_kind_of_source(tmp_path: Path) -> None:
    kinds = sources.sections() | {"folder": Folder}
    text = config.sample("sqlite:////var/lib/safelist/safelist.db", {}, kinds)
    head, *shown = text.split("#[[sources]]")
    filled = [re.sub("^#", "", "#[[sources]]" + each.partition("\n\n")[0], flags=re.MULTILINE) for each in shown]
    exchange = 'endpoint = "https://mail.sub.example/e"\nusername = "svc"\nsecret_file = "/etc/secret"\n'
    filled[0] = filled[0].replace("[sources.exchange]\n", f"[sources.exchange]\n{exchange}")
    loaded = config.load(write(tmp_path, head + "\n\n".join(filled)), {}, kinds)
    assert [(source.name, source.kind) for source in loaded.sources] == [(f"{kind}-2", kind) for kind in kinds]
    assert (next(iter(kinds)), loaded.sources[-1].settings) == ("ews", Folder(path=Path("/srv/lists")))
    assert '#[sources.rights]\n##owner = "root"' in text


@pytest.mark.parametrize(
    ("type_", "domains", "lists"),
    [
        ("safe-senders", False, {UserList.SAFE_SENDERS, UserList.TRUSTED_CONTACTS}),
        ("safe-senders", True, {UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS, UserList.TRUSTED_CONTACTS}),
        ("safe-recipients", False, {UserList.SAFE_RECIPIENTS}),
        ("both", False, {UserList.SAFE_SENDERS, UserList.TRUSTED_CONTACTS, UserList.SAFE_RECIPIENTS}),
        ("blocked-senders", True, {UserList.BLOCKED_SENDERS, UserList.BLOCKED_DOMAINS}),
        ("all", True, set(UserList)),
    ],
)
def test_types_are_update_safelists(type_: str, domains: bool, lists: set[UserList]) -> None:
    assert config.Collect.model_validate({"type": type_, "include_domains": domains}).lists == lists


@given(st.text())
def test_toml_strings_are_read_back(text: str) -> None:
    import tomllib

    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert tomllib.loads(f"x = {config.toml(text)}") == {"x": text}


ODD: list[object] = [
    "x", "", 3, -1, 10**30, 1.5, float("nan"), float("inf"), True, date(2027, 1, 1), [], ["x"], [3], [[]], [{"x": 1}],
    {}, {"x": 1},
]  # fmt: skip
"""Every type that TOML knows."""
PYDANTICS = re.compile(
    r"(?i)\binput\b|value error|valid (string|integer|number|tuple)|pydantic|field required|extra inp"
)


def in_our_words(model: type[BaseModel], key: str, value: object) -> Iterator[str]:
    """The faults of one wrong value, each of which must begin with its key."""
    try:
        model.model_validate({key: value})
    except ValidationError as error:
        for detail in error.errors():
            for line in config.faults_of(detail, model):
                assert not PYDANTICS.search(line), line
                assert "{" not in line.replace("{0}", "").replace("{1}", "").replace("{2}", ""), line
                assert detail["msg"] not in line or detail["type"] == "value_error", line
                yield line


@pytest.mark.parametrize(
    "model",
    [
        config.Config, config.Exchange, config.Mailboxes, config.Collect, config.Database, config.Policy,
        config.Overrides, Filter, Provider, AllowProvider, *target_sections().values(),
    ],
    ids=lambda model: f"{model.__module__}.{model.__name__}",
)  # fmt: skip
def test_every_wrong_type_of_every_key_is_said_in_our_words(model: type[BaseModel]) -> None:
    for key in model.model_fields:
        found = [line for value in ODD for line in in_our_words(model, key, value)]
        assert any(line.startswith(key) for line in found), key
        assert "is not what belongs there" not in "\n".join(found)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("policy.quorum", '"two"', "policy.quorum: must be a whole number, without quotes"),
        ("policy.include_domains", '"yes"', "policy.include_domains: must be true or false, without quotes"),
        ("policy.own_domains", '"a.example"', 'policy.own_domains: must be a list, such as ["..."]'),
        ("policy.own_domains", "[3]", "policy.own_domains.0: must be a text, in quotes"),
        ("policy.authentication", '"dkim"', "policy.authentication: must be 'dkim-or-spf', 'spf' or 'none'"),
        ("collect.type", "3", "collect.type: must be 'safe-senders', 'safe-recipients', 'both', "),
        ("exchange.workers", "101", "exchange.workers: must be at most 100"),
        ("exchange.ca_file", "3", "exchange.ca_file: must be the path of a file, in quotes"),
        ("collect", "3", "collect: must be a section with keys of its own, not a single value"),
    ],
)
def test_what_a_wrong_type_is_called(tmp_path: Path, key: str, value: str, fault: str) -> None:
    assert any(line.startswith(fault) for line in faults(tmp_path, f"{key} = {value}"))


@pytest.mark.parametrize(
    "text",
    [
        'policy.own_domains = ["SECRET"]',
        'policy.max_age = "SECRET"',
        'overrides.expires = "SECRET"',
        'mailboxes.addresses = ["https://svc:SECRET@mail.example.com/"]',
        'mailboxes.groups = ["postgresql://svc:SEC/RET@db.example.com/"]',
        'exchange.endpoint = "https://svc:SECRET@mail.example.com/"',
        "exchange.SECRET = 3",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, text: str) -> None:
    key = "abcdefghij0123456789klmnop"
    found = "\n".join(faults(tmp_path, text.replace("SECRET", key).replace("SEC/RET", f"{key[:9]}/{key[9:]}")))
    assert text.partition(".")[0] in found
    assert key not in found
    assert key[9:] not in found


@pytest.mark.parametrize("key", ["secret_file", "secret_env", "secret_credential"])
@pytest.mark.parametrize("secret", ["hunter2", "hun/ter2", "hunter2" * 40])
def test_a_secret_where_its_name_belongs_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, secret: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    chosen = exchange(**{key: str(tmp_path / secret) if key == "secret_file" else secret})
    with pytest.raises((ConfigError, PermissionDeniedError)) as caught:
        read_secret(chosen)
    assert key in str(caught.value)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\nand a comment\r\n"])
def test_a_secret_as_an_editor_saves_it(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(f"hünter 2\x0b {end}".encode(encoding))
    path.chmod(0o600)
    assert read_secret(exchange(secret_file=path)) == "hünter 2\x0b "


@pytest.mark.parametrize("data", ["hunter2".encode("utf-16-le"), "hünter2".encode("latin-1"), b"\xff\xfeh\0x"])
def test_a_secret_in_another_encoding_is_said(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="secret_file: the secret is not UTF-8 text; save it as UTF-8"):
        read_secret(exchange(secret_file=path))
    path.write_bytes(codecs.BOM_UTF8)
    with pytest.raises(ConfigError, match="is empty"):
        read_secret(exchange(secret_file=path))


class WithUrl(BaseModel):
    url: str


def test_a_targets_url_with_a_password_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "safelist.toml"
    path.write_text('[database]\nurl = "sqlite:///x.db"\n[publish.x]\nurl = "postgresql://u:hunter2@h/x"\n')
    path.chmod(0o644)
    with pytest.raises(ConfigError) as raised:
        config.load(path, {"x": WithUrl})
    assert "publish.x.url: the file holds a secret and others may read it (mode 644)" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_secret_that_its_group_may_read_was_given_to_that_group(tmp_path: Path) -> None:
    """Who collects and who publishes are two users, and share the configuration by a group."""
    text = GOOD.replace("sqlite:///state/safelist.db", "postgresql+psycopg://u:hunter2@db/x")
    assert config.load(write(tmp_path, text, 0o640), TARGETS).database.url.endswith("@db/x")


def test_a_credential_of_systemd_stands_in_for_the_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one configuration serves the unit, whose user may not read the file, and root at the command line."""
    passed, file = tmp_path / "passed", tmp_path / "secret"
    passed.mkdir()
    file.write_text("by-hand\n")
    file.chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passed))
    assert read_secret(exchange(secret_file=file)) == "by-hand"
    (passed / "secret").write_text("\n")  # SetCredential=, where there is no file
    assert read_secret(exchange(secret_file=file)) == "by-hand"
    (passed / "secret").write_text("from-systemd\n")
    (passed / "secret").chmod(0o400)
    assert read_secret(exchange(secret_file=file)) == "from-systemd"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert read_secret(exchange(secret_file=file)) == "by-hand"
