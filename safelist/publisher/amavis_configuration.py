"""What amavisd's configuration says of its SQL lookups, read as text: Perl that nobody runs here. Pure.

Assignments are taken as amavisd.conf-default writes them, the last one of all files counts; what a site computes in its
configuration is not known here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?:(?<=\s)|\A)\#[^\n]*""", re.DOTALL)
_DRIVERS = {"pg": "postgresql", "sqlite": "sqlite", "sqlite2": "sqlite", "mysql": "mysql", "mariadb": "mysql"}


class Dsn(NamedTuple):
    """A DBI data source: SQLAlchemy's name of its kind, the database, and the host (empty: this machine)."""

    kind: str
    database: str
    host: str

    @property
    def text(self) -> str:
        """As Perl's DBI writes it."""
        driver = {"postgresql": "Pg", "sqlite": "SQLite", "mysql": "mysql"}.get(self.kind, self.kind)
        name = "database" if self.kind == "mysql" else "dbname"
        return f"DBI:{driver}:{name}={self.database}" + (f";host={self.host}" if self.host else "")


class AmavisConfiguration(NamedTuple):
    """What matters of it; None where it says nothing."""

    lookup: tuple[Dsn, ...] | None
    allows_8bit: bool | None
    delimiter: str | None
    bypasses_spam_checks: bool
    is_case_sensitive: bool
    asks_otherwise: bool


def read(texts: Iterable[str]) -> AmavisConfiguration:
    """The files in the order in which amavisd reads them."""
    text = "\n".join(_TOKEN.sub(lambda found: "" if found[0][0] == "#" else found[0], each) for each in texts)
    lookup = _assigned(text, "@lookup_sql_dsn")
    bypass = _assigned(text, "@bypass_spam_checks_maps")
    return AmavisConfiguration(
        None
        if lookup is None
        else tuple(map(parse_dsn, re.findall(r"""['"](dbi:[^'"]+)['"]""", lookup, re.IGNORECASE))),
        _is_true(_assigned(text, "$sql_allow_8bit_address")),
        _string(_assigned(text, "$recipient_delimiter")),
        bypass is not None and re.fullmatch(r"\(\s*1\s*,?\s*\)", bypass) is not None,
        bool(_is_true(_assigned(text, "$localpart_is_case_sensitive"))),
        _assigned(text, "$sql_select_white_black_list") is not None
        or re.search(r"sel_(wblist|policy)", text) is not None,
    )


def parse_dsn(dsn: str) -> Dsn:
    """A DSN as DBD::Pg, DBD::SQLite and DBD::mysql read it: ``DBI:Pg:dbname=x;host=y``."""
    _, driver, rest = (*dsn.split(":", 2), "", "")[:3]
    parts = [part.partition("=") for part in rest.split(";") if part]
    named: Mapping[str, str] = {name.strip().lower(): value.strip() for name, sign, value in parts if sign}
    bare = next((name for name, sign, _ in parts if not sign), "")
    database = named.get("dbname") or named.get("database") or named.get("db") or bare
    return Dsn(_DRIVERS.get(driver.lower(), driver.lower()), database, named.get("host", ""))


def _assigned(text: str, name: str) -> str | None:
    """What the last assignment to the variable assigns, up to its semicolon."""
    strings = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^;'"]"""
    found = re.findall(rf"(?<![\w\\$@]){re.escape(name)}\s*=(?![=~])\s*((?:{strings})*);", text)
    return found[-1].strip() if found else None


def _is_true(value: str | None) -> bool | None:
    return None if value is None else value not in ("0", "''", '""', "'0'", "undef", "()")


def _string(value: str | None) -> str | None:
    found = re.fullmatch(r"""(['"])(.*)\1""", value or "")
    return found[2] if found else None
