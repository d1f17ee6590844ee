"""What amavisd finds for a recipient and a sender, by its own queries (Amavis::Conf, sql_clause) and its own keys.

The rules of :func:`verdict` are those of Amavis::SpamControl::white_black_list; ``test_amavisd`` asks the real one.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, LargeBinary, bindparam, inspect, text

from safelist.publisher import wblist_tables

_POLICY = "SELECT users.id FROM users WHERE users.email IN :keys ORDER BY users.priority DESC"
_WBLIST = (
    "SELECT wb FROM wblist JOIN mailaddr ON wblist.sid = mailaddr.id WHERE wblist.rid = :rid "
    "AND mailaddr.email IN :keys ORDER BY mailaddr.priority DESC"
)


def keys(address: str, delimiter: str = "") -> list[str]:
    """Every key that amavisd asks for an address (Amavis::rfc2821_2822_Tools::make_query_keys)."""
    local, _, domain = address.rpartition("@")
    found = re.match(rf"(.+?)[{re.escape(delimiter)}]", local.lower()) if delimiter else None
    names = [address, f"{local.lower()}@{domain.lower()}", f"{found[1]}@{domain.lower()}" if found else ""]
    labels = domain.lower().split(".")
    parents = ["@." + ".".join(labels[at:]) for at in range(len(labels))]
    domains = [f"@{domain.lower()}", *[*parents, "@."][-20:]]
    return [re.sub(r"[^ -~]", "?", key) for key in dict.fromkeys([*filter(None, names), *domains])]


def verdict(connection: Connection, recipient: str, sender: str, delimiter: str = "") -> str:
    """``W``, ``B``, empty for neither, or the points as a text such as ``-5.0``."""
    points = 0.0
    for (rid,) in _asked(connection, _POLICY, "users", keys(recipient, delimiter)):
        wb = next((row[0] for row in _asked(connection, _WBLIST, "mailaddr", keys(sender, delimiter), rid=rid)), None)
        if wb is None:
            continue
        if re.fullmatch(r" *[+-]?\d+(\.\d*)? *", wb):
            points += float(wb)
        else:
            said = "B" if wb[:1] in "BbNnFf" else "W" if wb.strip() else ""
            return said or (str(points) if points else "")
    return str(points) if points else ""


def _asked(connection: Connection, query: str, table: str, keys_: Sequence[str], **more: Any) -> Sequence[Any]:
    email = next(each["type"] for each in inspect(connection).get_columns(table) if each["name"] == "email")
    given = [key.encode() for key in keys_] if isinstance(email, LargeBinary) else list(keys_)
    return connection.execute(text(query).bindparams(bindparam("keys", expanding=True)), {"keys": given, **more}).all()


def verdicts(url: str, recipient: str, senders: Sequence[str], delimiter: str = "") -> dict[str, str]:
    """Each sender's."""
    with wblist_tables.connected(wblist_tables.parse(url), writes=False) as connection:
        return {each: verdict(connection, recipient, each, delimiter) for each in senders}


def safe(url: str, recipient: str, senders: Sequence[str], delimiter: str = "") -> set[str]:
    """Those of the senders that count as safe for the recipient."""
    found = verdicts(url, recipient, senders, delimiter)
    assert not [each for each in found.values() if each == "B"], found
    return {each for each, said in found.items() if said}
