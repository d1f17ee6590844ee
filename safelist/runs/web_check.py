"""What `safelist web` would stumble over: accounts of the web server that are none, a database that does not open."""

import pwd
from collections.abc import Iterable

from safelist import store
from safelist.config import Web
from safelist.errors import ConfigError


def uids_of(users: Iterable[str]) -> frozenset[int]:
    """The numbers of those accounts. Raises ConfigError with every one that this machine does not have."""
    found, missing = set(), []
    for user in users:
        try:
            found.add(int(user) if user.isascii() and user.isdecimal() else pwd.getpwnam(user).pw_uid)
        except KeyError:
            missing.append(f"web.proxy_users: there is no account {user!r} here; name the one of the web server")
    if missing:
        raise ConfigError(*missing)
    return frozenset(found)


def check(rules: Web) -> None:
    """Look whether it could begin. Raises ConfigError, PermissionDeniedError, UnavailableError."""
    uids_of(rules.proxy_users)
    if rules.database is not None:
        store.open_store(rules.database, only_looks=True).close()
