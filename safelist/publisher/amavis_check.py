"""Whether amavisd asks the tables that safelist writes, and what stands in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from safelist.errors import SafelistError
from safelist.publisher import amavis_configuration, processes, wblist_tables
from safelist.publisher.amavis_configuration import AmavisConfiguration, Dsn
from safelist.publisher.wblist_tables import SETTING, Tables
from safelist.remark import Remark

_DIRECTORIES = (Path("/usr/share/amavis/conf.d"), Path("/etc/amavis/conf.d"))
"""Where Debian's amavisd reads every file, one directory after the other."""
_FILES = (Path("/etc/amavisd/amavisd.conf"), Path("/etc/amavisd.conf"), Path("/usr/local/etc/amavisd.conf"))
"""Red Hat's, and FreeBSD's."""
_TITLES = (b"/usr/sbin/amavisd (master)", b"amavisd (master)")


class AmavisSection(Protocol):
    """What is asked of the section."""

    @property
    def url(self) -> str: ...

    @property
    def configuration(self) -> tuple[Path, ...]: ...

    @property
    def recipient_delimiter(self) -> str: ...


def remarks(chosen: AmavisSection | None) -> Iterator[Remark]:
    """Look at the tables and at amavisd's configuration, and change nothing."""
    if chosen is None:
        yield Remark(True, _NO_SECTION)
        return
    url = wblist_tables.parse(chosen.url)
    with wblist_tables.connected(url, writes=False) as connection:
        tables = Tables(connection)
        yield from _of_tables(tables, wblist_tables.place(url))
        is_binary = tables.is_binary
    paths = chosen.configuration or _installed()
    texts = list(_texts(paths))
    if not paths or all(isinstance(each, Remark) for each in texts):
        yield Remark(True, _NO_CONFIGURATION)
        return
    yield from (each for each in texts if isinstance(each, Remark))
    said = amavis_configuration.read(each for each in texts if isinstance(each, str))
    yield from _of_configuration(
        said, wblist_tables.dsn_of(url), paths, is_binary=is_binary, delimiter=chosen.recipient_delimiter
    )
    yield from _of_process(paths)


def _of_tables(tables: Tables, place: str) -> Iterator[Remark]:
    count = sum(1 for _ in tables.rows())
    if not count:
        yield Remark(True, f"{place}: wblist holds no row of safelist's: run `safelist publish`; {_EMPTY}")
    else:
        yield Remark(False, f"{place}: wblist holds {count} rows of safelist's")
    if said := tables.said_by_policy():
        yield Remark(
            True,
            f"{place}: the policy {wblist_tables.POLICY} sets {', '.join(said)}, which counts for each recipient in "
            "safelist's rows of users: set them to NULL, and give the site's settings to a policy of its own",
        )


def _installed() -> tuple[Path, ...]:
    """The files of amavisd's configuration that are there, in its order."""
    found = [path for each in _DIRECTORIES if each.is_dir() for path in sorted(each.iterdir()) if path.is_file()]
    return tuple(found or [path for path in _FILES if path.is_file()][:1])


def _texts(paths: Sequence[Path]) -> Iterator[str | Remark]:
    for path in paths:
        try:
            yield path.read_text(errors="replace")
        except OSError as error:
            yield Remark(
                True, f"{path}: cannot be read ({error.strerror}): run this as root, or correct `configuration`"
            )


def _of_configuration(
    said: AmavisConfiguration, ours: Dsn, paths: Sequence[Path], *, is_binary: bool, delimiter: str
) -> Iterator[Remark]:  # fmt: skip
    where = paths[-1]
    if not said.lookup:
        lines = _lines(ours, f"{int(is_binary)};")
        yield Remark(True, f"{where}: amavisd asks no database: write there\n{lines}and restart it; {_NOBODY}")
    elif not any(_is_same(each, ours) for each in said.lookup):
        named = ", ".join(each.text for each in said.lookup)
        yield Remark(True, f"{where}: @lookup_sql_dsn names {named}, but {SETTING} is {ours.text}: correct one of them")
    if said.bypasses_spam_checks:
        why = "while spam is not checked amavisd asks no list"
        yield Remark(True, f"{where}: @bypass_spam_checks_maps = (1): {why}; write\n{_CHECKS}and restart it")
    if is_binary is not bool(said.allows_8bit):
        is_ = "bytea" if is_binary else "text"
        yield Remark(
            True,
            f"{where}: the columns email are {is_}: write $sql_allow_8bit_address = {int(is_binary)}; and restart "
            "amavisd, whose queries fail otherwise",
        )
    if lacking := "".join(sorted(set(said.delimiter or "") - set(delimiter))):
        yield Remark(
            True, f"{where}: $recipient_delimiter has {lacking}: say so in [publish.amavis] recipient_delimiter"
        )
    if said.is_case_sensitive:
        yield Remark(True, f"{where}: $localpart_is_case_sensitive is true: amavisd would not find bob@ for Bob@; take "
                           "it out")  # fmt: skip
    if said.asks_otherwise:
        yield Remark(False, f"{where}: amavisd asks queries of the site's own: try a mail")


def _is_same(one: Dsn, other: Dsn) -> bool:
    local = ("", "localhost", "127.0.0.1", "::1")
    hosts = [each.host for each in (one, other)]
    is_host = one.kind == "sqlite" or hosts[0] == hosts[1] or all(each in local or each[0] == "/" for each in hosts)
    return one[:2] == other[:2] and is_host


def _of_process(paths: Sequence[Path]) -> Iterator[Remark]:
    """Whether amavisd runs, and since after its configuration was changed."""
    started = processes.started(_TITLES)
    if started is None:
        yield Remark(
            True, "no amavisd runs on this machine: start it (systemctl start amavis), or run this check there"
        )
    elif newer := processes.changed_since(paths, started):
        yield Remark(True, f"{newer[-1]} was changed after amavisd was started, and is not read yet: restart it")


def tried(chosen: AmavisSection) -> str:
    """The snippet for the configured database; without one that can be named, for an example."""
    try:
        return _lines(wblist_tables.dsn_of(wblist_tables.parse(chosen.url)))
    except SafelistError:
        return _lines(Dsn("postgresql", "amavis", ""))


def _lines(dsn: Dsn, is_binary: str = "1;  # 0 where the columns email are varchar") -> str:
    return _SNIPPET.format(dsn=dsn.text, is_binary=is_binary)


_CHECKS = "@bypass_spam_checks_maps = (\\%bypass_spam_checks, \\@bypass_spam_checks_acl, \\$bypass_spam_checks_re);\n"
_SNIPPET = (
    "@lookup_sql_dsn = ( ['{dsn}', 'amavis', ''] );\n"
    "$sql_allow_8bit_address = {is_binary}\n"
    + _CHECKS
)  # fmt: skip
_EMPTY = (
    "where that writes none, nobody is safe: unless unauthenticated is true, only whom an override allows with "
    "--authentication none"
)
_NOBODY = "until then amavisd finds nobody safe"
_NO_SECTION = (
    "the configuration has no [publish.amavis]: write that section, with the database of amavisd's @lookup_sql_dsn as "
    "`url`, and run `safelist publish`"
)
_NO_CONFIGURATION = (
    "no configuration of amavisd is found: run this on the machine where amavisd is, or name its files in "
    "[publish.amavis] configuration"
)
