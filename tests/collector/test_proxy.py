"""A proxy variable that cannot be used is named, without its log-in."""

import sys

import pytest

from safelist.collector.sources.ews.proxy import proxies_for
from safelist.errors import ConfigError
from tests.collector.ews_site import ALICE, exchange, organisation
from tests.exchange import DemoServer

ENDPOINT = "https://mail.corp.example/EWS/Exchange.asmx"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("value", "shown", "word"),
    [
        ("http://me:Pa55word@proxy.corp.example:99999", "http://proxy.corp.example:99999", "no address"),
        ("http://me:Pa55word@proxy.corp.example:port", "http://proxy.corp.example:port", "no address"),
        ("http://me:Pa55word@proxy.corp.example:0", "http://proxy.corp.example:0", "no port"),
        ("sock5://me:Pa55word@proxy.corp.example:1080", "sock5://proxy.corp.example:1080", "sock5 is no kind of proxy"),
        ("http://", "http://", "http://HOST:PORT"),
    ],
)
def test_an_unusable_one_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str, word: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        proxies_for(ENDPOINT)
    assert str(caught.value).startswith(f"{name}: {shown} cannot be used as a proxy: ")
    assert word in str(caught.value)
    assert "Pa55word" not in str(caught.value)


def test_socks_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://proxy.corp.example:1080")
    monkeypatch.setitem(sys.modules, "socks", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"^https_proxy: socks5://proxy.*pip install PySocks"):
        proxies_for(ENDPOINT)


@pytest.mark.parametrize("value", ["http://p.example:3128", "p.example:3128", "p.example", "https://u:p@p.example"])
def test_a_usable_one_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    assert proxies_for(ENDPOINT)["https"] == value


def test_one_that_is_not_for_this_endpoint_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "sock5://x")
    monkeypatch.setenv("no_proxy", "corp.example")
    assert proxies_for(ENDPOINT) == {}


def test_the_run_ends_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:99999")
    with DemoServer(organisation()) as server, exchange(server) as ews:
        with pytest.raises(ConfigError, match=r"^http_proxy: "):
            ews.fetch(ALICE, None)
        assert server.requests == []
