"""Postfix as it is configured, asked of its own programs: postconf(1) expands what main.cf and master.cf say."""

from collections.abc import Iterator, Mapping, Sequence

from safelist.errors import UnavailableError
from safelist.postfix.restrictions import MasterEntry, parse, parse_overrides, words
from safelist.postfix.server_errors import ANSWERS_451, ENDS_AT_ONCE
from safelist.publisher import program
from safelist.publisher.map_placement import misnamed, without_index


def main_settings(postconf: str) -> dict[str, str]:
    """Every parameter of main.cf, with each ``$name`` replaced."""
    return parse(_said([postconf, "-x"]))


def services(postconf: str, command: str) -> list[MasterEntry]:
    """The lines of master.cf that run ``command``, each with what its ``-o`` options make of main.cf."""
    overrides = parse_overrides(_said([postconf, "-P"]))
    return list(_services(postconf, command, overrides))


def _services(postconf: str, command: str, overrides: Mapping[str, Mapping[str, str]]) -> Iterator[MasterEntry]:
    known: dict[tuple[str, ...], dict[str, str]] = {}
    for line in _said([postconf, "-M"]).splitlines():
        fields = line.split()
        if fields[7:8] == [command]:
            name = f"{fields[0]}/{fields[1]}"
            options = tuple(word for pair in overrides.get(name, {}).items() for word in ("-o", "=".join(pair)))
            if options not in known:
                known[options] = parse(_said([postconf, "-x", *options]))
            yield MasterEntry(name, known[options], _is_chrooted(fields[4], known[options]))


def _is_chrooted(field: str, settings: Mapping[str, str]) -> bool:
    """master(5): without a word, since Postfix 3.0 only where compatibility_level is 0."""
    return field == "y" or (field == "-" and settings.get("compatibility_level", "0") == "0")


def map_types(postconf: str) -> list[str]:
    """The types of maps that this Postfix can open."""
    return _said([postconf, "-m"]).split()


def unopened(postconf: str, postmap: str, judged: Sequence[MasterEntry]) -> dict[str, str]:
    """The tables (``type:path``) of the restrictions that Postfix cannot open: what follows, why, and what to do."""
    types = map_types(postconf)
    faults = {name: fault for name in _tables(judged) if (fault := _unopened(postmap, name, types))}
    return {name: f"{ANSWERS_451}; {fault}" for name, fault in faults.items()} | unapproved(postconf, judged)


def unapproved(postconf: str, judged: Sequence[MasterEntry]) -> dict[str, str]:
    """The tables by way of proxymap(8) that it does not open for smtpd: what follows, and what to do.

    It reads proxy_read_maps by its own line of master.cf, so nothing that only an smtpd is told stands in that.
    """
    names = [name for name in _tables(judged) if name.startswith("proxy:")]
    if not names:
        return {}
    told = [each.settings for each in services(postconf, "proxymap")] or [main_settings(postconf)]
    approved = set(words(told[0].get("proxy_read_maps", "")))
    return {
        name: f"{ENDS_AT_ONCE}, for proxymap opens only what proxy_read_maps names; add {name} to that, or leave "
        "`proxy:` off"
        for name in names
        if name not in approved
    }


def _tables(judged: Sequence[MasterEntry]) -> list[str]:
    return list(
        dict.fromkeys(it.argument for each in judged for it in each.restrictions if it.name.endswith("_access"))
    )


def _unopened(postmap: str, name: str, types: Sequence[str]) -> str:
    kind, sign, path = name.removeprefix("proxy:").partition(":")
    if not sign:
        return misnamed(name, f"TYPE:{name}, such as hash:{name}")
    if kind not in types:
        return f"`postconf -m` lists no {kind}: apt-get install postfix-{kind}, or name another type"
    if kind not in _FILES or not path.startswith("/"):
        return ""  # a server's, or one that has no file of its own
    outcome = program.run([postmap, "-q", "safelist.invalid", f"{kind}:{path}"])
    if outcome.code in (0, 1) and b"fatal:" not in outcome.errors and b"error:" not in outcome.errors:
        return ""
    if b"Permission denied" in outcome.errors:
        return ""  # smtpd opens its tables as root, which this command need not be
    return misnamed(name, without_index(name)) or (
        f"write it first ({outcome.complaint}): `safelist publish` its own map, `postmap {kind}:{path}` the index of "
        "another; or take the line out of main.cf"
    )


_FILES = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "regexp", "pcre", "cidr")


def _said(command: Sequence[str]) -> str:
    outcome = program.run(command)
    if outcome.code != 0:
        raise UnavailableError(
            f"{' '.join(command[:2])} cannot read Postfix's configuration: {outcome.complaint}; correct main.cf or "
            "master.cf"
        )
    return outcome.output.decode(errors="backslashreplace")
