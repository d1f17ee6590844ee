"""A page for every command, made of what the command itself knows: its options, their defaults, its variables."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from typer.core import TyperGroup

from manual import tables
from manual.roff import Imprint, bold, escaped, head, heading, italic, page, paragraphs, prose, sentence, tagged
from safelist.cli import command
from safelist.cli.deferred import Deferred
from safelist.filter import settings

ABOUT = """\
Users of Outlook name people whose mail they trust: their Safe Senders. `safelist` collects these lists over Exchange
Web Services into a database, decides who is safe, for whom and why, and publishes that to the mail filters that reject
by DNS blocklists, so that mail from somebody who is trusted still arrives from a listed server.

It begins with `safelist init`, which writes a commented configuration; `safelist config check` reports every fault in
it, `safelist sync --dry-run --mailbox ADDRESS` shows what would be recorded of one mailbox, and `safelist sync
--publish` is the line for a timer. `safelist demo` shows all of it on a sample organisation.
"""
_VARIABLES = {
    "SAFELIST_CONFIG": "The configuration file, where `--config` names none.",
    "SAFELIST_FILTER_CONFIG": "The filter's configuration, where `--config` names none.",
}
_ALWAYS = {
    "NO_COLOR": "If set, no colours.",
    "SAFELIST_DEBUG": "If set, a fault in safelist prints where it was: for a report.",
}
_FILES = {
    "SAFELIST_CONFIG": [
        ("/etc/safelist/safelist.toml", "The configuration, for root: `safelist.toml`(5)."),
        ("~/.config/safelist/safelist.toml", "The configuration, for others."),
        ("/var/lib/safelist/safelist.db", "The database, unless the configuration names another."),
    ],
    "SAFELIST_FILTER_CONFIG": [
        (str(settings.DEFAULT_PATH), "The filter's configuration: `safelist-filter.toml`(5)."),
        ("/var/lib/safelist-snapshot/snapshot", "What `safelist publish` writes for the filter."),
    ],
}
"""By the variable that names the configuration."""


class Subject(NamedTuple):
    """A command or a group: its words, and what typer made of it."""

    words: tuple[str, ...]
    made: Any
    context: Any

    @property
    def name(self) -> str:
        """The page's name."""
        return "-".join(self.words)


def pages(imprint: Imprint) -> dict[str, str]:
    """Every page by its file's name, such as ``safelist-sync.1``."""
    subjects = list(_walk(("safelist",), command(), None))
    names = [subject.name for subject in subjects]
    return {f"{subject.name}.1": _page(subject, names, imprint) for subject in subjects}


def _walk(words: tuple[str, ...], found: Any, parent: Any) -> Iterator[Subject]:
    real = found.real() if isinstance(found, Deferred) else found
    context = real.make_context(words[-1], [], parent=parent, resilient_parsing=True)
    yield Subject(words, real, context)
    for name, each in (real.commands if isinstance(real, TyperGroup) else {}).items():
        yield from _walk((*words, name), each, context)


def _page(subject: Subject, names: Sequence[str], imprint: Imprint) -> str:
    told = _told(subject)
    parameters = subject.made.get_params(subject.context)
    return page(
        head(subject.name, 1, imprint),
        heading("NAME", f"{escaped(subject.name)} \\- {escaped(_summary(told))}"),
        heading("SYNOPSIS", _synopsis(subject, parameters)),
        heading("DESCRIPTION", *paragraphs([told, *(ABOUT.split("\n\n") if len(subject.words) == 1 else ())])),
        heading("COMMANDS", *tagged(_commands(subject))),
        heading("ARGUMENTS", *tagged(map(_argument, _arguments(parameters)))),
        heading("OPTIONS", *tagged(_option(each, subject) for each in parameters if each.param_type_name == "option")),
        heading("EXAMPLES", *tagged((bold(typed), sentence(does)) for typed, does in _examples(subject))),
        heading("ENVIRONMENT", *tagged((bold(name), prose(does)) for name, does in _environment(parameters))),
        heading("FILES", *_files(parameters, is_group=isinstance(subject.made, TyperGroup))),
        heading("EXIT STATUS", *tagged((bold(code), sentence(means)) for code, means in tables.exit_codes())),
        heading("SEE ALSO", ",\n".join(_others(subject, names))),
    )


def _told(subject: Subject) -> str:
    """What the command is for, on one line."""
    return " ".join(str(subject.made.help or subject.made.callback.__doc__).split())


def _summary(told: str) -> str:
    """The first sentence, as apropos(1) shows it."""
    return re.split(r"(?<=[a-z`])[.;:] ", told)[0].replace("`", "").removesuffix(".")


def _synopsis(subject: Subject, parameters: Sequence[Any]) -> str:
    needed = [each for each in parameters if each.param_type_name == "option" and each.required]
    if isinstance(subject.made, TyperGroup):
        return f"{bold(' '.join(subject.words))} {italic('COMMAND')} [{italic('OPTIONS')}] ..."
    written = [f"{bold(each.opts[0])} {italic(_metavar(each, subject))}" for each in needed]
    arguments = [_argument_in_synopsis(each) for each in _arguments(parameters)]
    return " ".join([bold(" ".join(subject.words)), *written, f"[{italic('OPTIONS')}]", *arguments])


def _arguments(parameters: Sequence[Any]) -> list[Any]:
    return [each for each in parameters if each.param_type_name == "argument"]


def _argument_in_synopsis(argument: Any) -> str:
    written = italic(_argument_name(argument)) + (" ..." if argument.nargs == -1 else "")
    return written if argument.required else f"[{written}]"


def _argument_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _argument(argument: Any) -> tuple[str, str]:
    return italic(_argument_name(argument)), prose(argument.help or "")


def _option(option: Any, subject: Subject) -> tuple[str, str]:
    """The names with the metavar; what it does, with its default, its range and its variable."""
    _, told = option.get_help_record(subject.context)
    # The short one first, whatever the order of a set: two builds of one source are the same, octet by octet.
    own = sorted(option.opts, key=len)
    names = [", ".join(map(bold, group)) for group in (own, option.secondary_opts) if group]
    value = _metavar(option, subject)
    return " / ".join(names) + (f" {italic(value)}" if value else ""), prose(told)


def _metavar(option: Any, subject: Subject) -> str:
    """What stands for the value, as the help has it; a flag has none."""
    written, _ = option.get_help_record(subject.context)
    found = re.search(r" (<[^<>]+>|[^\s/-]\S*)$", written)
    return found[1] if found else ""


def _commands(subject: Subject) -> Iterator[tuple[str, str]]:
    for name, each in getattr(subject.made, "commands", {}).items():
        yield f"{bold(f'{subject.name}-{name}')}(1)", prose(each.help)


def _examples(subject: Subject) -> list[tuple[str, str]]:
    return [] if isinstance(subject.made, TyperGroup) else tables.invocations(" ".join(subject.words))


def _environment(parameters: Sequence[Any]) -> list[tuple[str, str]]:
    own = [(each.envvar, _VARIABLES.get(each.envvar, f"Stands for `{each.opts[0]}`.")) for each in _named(parameters)]
    return own + list(_ALWAYS.items())


def _named(parameters: Sequence[Any]) -> list[Any]:
    """Those whose value a variable can hold."""
    return [each for each in parameters if getattr(each, "envvar", None)]


def _files(parameters: Sequence[Any], *, is_group: bool) -> list[str]:
    named = list(_FILES) if is_group else [each.envvar for each in _named(parameters)]
    rows = [(italic(path), prose(told)) for name in named for path, told in _FILES.get(name, ())]
    return tagged(rows) if rows else [prose("This command reads no configuration.")]


def _others(subject: Subject, names: Sequence[str]) -> list[str]:
    """The page above, those below it, in a group those beside it, and those about the files."""
    above = subject.name.rpartition("-")[0]
    group = {above, subject.name} - {"safelist"} if len(subject.words) > 1 else {"safelist"}
    near = {name for name in names if name.rpartition("-")[0] in group} | {above, "safelist"}
    files = ["safelist.toml", "safelist-filter.toml"]
    return [f"{bold(name)}(1)" for name in sorted(near - {subject.name, ""})] + [f"{bold(name)}(5)" for name in files]
