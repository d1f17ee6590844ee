"""The proxy that the environment names for an endpoint; one that cannot be used is a fault of its variable."""

import importlib
import os
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from safelist.errors import ConfigError

_PLAIN = frozenset({"http", "https"})
_SOCKS = frozenset({"socks4", "socks4a", "socks5", "socks5h"})


def proxies_for(endpoint: str) -> dict[str, str]:
    """The environment's proxies as requests takes them; empty for none. Raises ConfigError for an unusable one."""
    proxies: dict[str, str] = get_environ_proxies(endpoint, no_proxy=None)
    chosen = select_proxy(endpoint, proxies)
    fault = _fault_in(chosen) if chosen else None
    if chosen and fault:
        name = _variable_of(chosen, urlsplit(endpoint).scheme)
        raise ConfigError(f"{name}: {_without_login(chosen)} cannot be used as a proxy: {fault}")
    return proxies


def _fault_in(proxy: str) -> str | None:
    try:
        parts = parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
    except (LocationParseError, ValueError):
        return "that is no address; write http://HOST:PORT"
    if not parts.host or parts.port == 0:
        return f"it has no {'port' if parts.host else 'host'}; write http://HOST:PORT"
    if parts.scheme in _SOCKS:
        return None if _has_socks() else "SOCKS needs one more package: pip install PySocks; or write http://HOST:PORT"
    return None if parts.scheme in _PLAIN else f"{parts.scheme} is no kind of proxy; write http://HOST:PORT"


def _has_socks() -> bool:
    try:
        importlib.import_module("socks")
    except ImportError:
        return False
    return True


def _variable_of(proxy: str, scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name) == proxy), f"{scheme}_proxy")


def _without_login(proxy: str) -> str:
    scheme, mark, rest = proxy.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
