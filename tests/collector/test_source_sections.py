"""Sources in the configuration: ``[exchange]`` with ``[mailboxes]``, and any number of ``[[sources]]`` beside it."""

from pathlib import Path

import pytest

from safelist import config
from safelist.collector import sources
from safelist.collector.sources.ews.settings import EwsSettings
from safelist.errors import ConfigError

DATABASE = '[database]\nurl = "sqlite:///safelist.db"\n'
FIRST = """
[exchange]
endpoint = "https://mail.example.com/EWS/Exchange.asmx"
username = "svc"
secret_file = "secret"
"""
SECOND = """
[[sources]]
kind = "ews"
name = "subsidiary"
[sources.exchange]
endpoint = "https://mail.sub.example/EWS/Exchange.asmx"
username = "svc"
secret_file = "secrets/subsidiary"
workers = 3
budget = 7
[sources.mailboxes]
groups = ["All@sub.example"]
file = "/etc/safelist/sub"
"""


def load(tmp_path: Path, text: str, mode: int = 0o600) -> config.Config:
    path = tmp_path / "safelist.toml"
    path.write_text(text + DATABASE)
    path.chmod(mode)
    return config.load(path, {}, sources.sections())


def faults(tmp_path: Path, text: str, mode: int = 0o600) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, mode)
    return [fault.removeprefix(f"{tmp_path / 'safelist.toml'}: ") for fault in caught.value.faults]


def test_the_exchange_section_is_the_source_of_that_name(tmp_path: Path) -> None:
    loaded = load(tmp_path, f'{FIRST}[mailboxes]\naddresses = ["a@example.com"]\n')
    (source,) = sources.configured(loaded)
    assert (source.name, source.kind) == ("exchange", "ews")
    assert source.settings == EwsSettings(exchange=loaded.exchange, mailboxes=loaded.mailboxes)  # type: ignore[arg-type]


def test_further_sources_stand_beside_it_in_their_order(tmp_path: Path) -> None:
    third = SECOND.replace("subsidiary", "attic_2")
    found = sources.configured(load(tmp_path, FIRST + SECOND + third))
    assert [source.name for source in found] == ["exchange", "subsidiary", "attic_2"]
    settings = found[1].settings
    assert (settings.workers, settings.budget) == (3, 7)
    assert settings.exchange.secret_file == tmp_path / "secrets" / "subsidiary", "relative to the file's directory"
    assert settings.mailboxes.file == Path("/etc/safelist/sub")
    assert settings.mailboxes.groups == ("all@sub.example",)


def test_sources_need_no_exchange_section(tmp_path: Path) -> None:
    assert [source.name for source in sources.configured(load(tmp_path, SECOND))] == ["subsidiary"]
    named = SECOND.replace('"subsidiary"', '"exchange"')
    assert [source.name for source in sources.configured(load(tmp_path, named))] == ["exchange"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            SECOND + SECOND,
            "sources.subsidiary: two sources have that name; rename one",
        ),
        (FIRST + SECOND.replace("subsidiary", "exchange"), "sources.exchange: two sources have that name"),
        (SECOND.replace('"subsidiary"', '"Our Own"'), "sources.1.name: write a name: small letters"),
        (SECOND.replace('name = "subsidiary"', ""), "sources.1.name: write a name: small letters"),
        (
            SECOND.replace('"ews"', '"ewz"'),
            "sources.subsidiary.kind: no such kind of source (did you mean ews?)",
        ),
        (SECOND.replace('kind = "ews"', ""), "sources.subsidiary.kind: no such kind of source; there are: ews"),
        (
            SECOND.replace("workers", "wrokers"),
            "sources.subsidiary.exchange.wrokers: no such key (did you mean",
        ),
        (SECOND.replace('username = "svc"', ""), "sources.subsidiary.exchange.username: missing"),
        (SECOND.replace("All@sub.example", "all"), "sources.subsidiary.mailboxes.groups: not an e-mail address"),
        ("sources = 5\n", "sources: must be sections of their own, write [[sources]] before each"),
        ('[sources]\nkind = "ews"\n', "sources: must be sections of their own, write [[sources]] before each"),
        ('[mailboxes]\naddresses = ["a@x.example"]\n' + SECOND, "mailboxes: is about [exchange], which is not there"),
    ],
)
def test_each_fault_is_named_with_its_key(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert [each for each in found if each.startswith(fault)], found


def test_a_run_names_the_key_as_it_stands_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for secret in (tmp_path / "secret", tmp_path / "secrets" / "subsidiary"):
        secret.write_text("Pa55word")
        secret.chmod(0o600)
    named = {}
    for each in sources.configured(load(tmp_path, FIRST + SECOND)):
        with sources.KINDS[each.kind].open_source(each.name, each.settings) as source:
            named[each.name] = source.terms.budget
    assert named == {"exchange": "exchange.budget", "subsidiary": "sources.subsidiary.exchange.budget"}


def test_a_secret_in_a_source_makes_the_file_a_secret(tmp_path: Path) -> None:
    text = SECOND.replace('secret_file = "secrets/subsidiary"', 'secret = "Pa55word"')
    (fault,) = faults(tmp_path, text, 0o644)
    assert fault.startswith("sources.subsidiary.exchange.secret: the file holds a secret and others may read it")
    assert load(tmp_path, text).sources[0].settings.exchange.secret.get_secret_value() == "Pa55word"


def test_what_a_run_would_stumble_over_is_told_without_asking(tmp_path: Path) -> None:
    (source,) = sources.configured(load(tmp_path, SECOND))
    found = list(sources.KINDS[source.kind].faults(source.settings))
    assert [fault.partition(":")[0] for fault in found] == ["exchange.secret_file", "mailboxes.file"]
