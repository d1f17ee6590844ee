"""Postfix as it is configured, asked of its own programs: postconf(1) expands what main.cf and master.cf say."""

from collections.abc import Iterator, Mapping, Sequence

from safelist.errors import UnavailableError
from safelist.filter.restrictions import Service, parse, parse_overrides
from safelist.publisher import program


def main_settings(postconf: str) -> dict[str, str]:
    """Every parameter of main.cf, with each ``$name`` replaced."""
    return parse(_said([postconf, "-x"]))


def services(postconf: str, command: str) -> list[Service]:
    """The lines of master.cf that run ``command``, each with what its ``-o`` options make of main.cf."""
    overrides = parse_overrides(_said([postconf, "-P"]))
    return list(_services(postconf, command, overrides))


def _services(postconf: str, command: str, overrides: Mapping[str, Mapping[str, str]]) -> Iterator[Service]:
    known: dict[tuple[str, ...], dict[str, str]] = {}
    for line in _said([postconf, "-M"]).splitlines():
        fields = line.split()
        if fields[7:8] == [command]:
            name = f"{fields[0]}/{fields[1]}"
            options = tuple(word for pair in overrides.get(name, {}).items() for word in ("-o", "=".join(pair)))
            if options not in known:
                known[options] = parse(_said([postconf, "-x", *options]))
            yield Service(name, known[options], _is_chrooted(fields[4], known[options]))


def _is_chrooted(field: str, settings: Mapping[str, str]) -> bool:
    """master(5): without a word, since Postfix 3.0 only where compatibility_level is 0."""
    return field == "y" or (field == "-" and settings.get("compatibility_level", "0") == "0")


def map_types(postconf: str) -> list[str]:
    """The types of maps that this Postfix can open."""
    return _said([postconf, "-m"]).split()


def _said(command: Sequence[str]) -> str:
    outcome = program.run(command)
    if outcome.code != 0:
        raise UnavailableError(
            f"{' '.join(command[:2])} cannot read Postfix's configuration: {outcome.complaint}; correct main.cf or "
            "master.cf"
        )
    return outcome.output.decode(errors="backslashreplace")
