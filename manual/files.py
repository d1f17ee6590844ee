"""The pages about the two configurations, made of the samples that the program writes, as the reference is."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from manual.roff import Imprint, below, bold, head, heading, italic, page, paragraphs, prose, tagged
from safelist import config
from safelist.cli.configuration import target_sections
from safelist.collector import sources
from safelist.filter import settings

_KEYS = (
    "The file is TOML. A section begins with its name in brackets. Below, every key stands with the value that holds "
    "without it, or with an example, and with what it means. Unknown keys and wrong values are faults; all of them are "
    "reported at once."
)


class Section(NamedTuple):
    """A part of a sample: its header (empty before the first), what it is for, and each key's line and comment."""

    header: str
    title: str
    keys: tuple[tuple[str, str], ...]


def samples() -> dict[str, str]:
    """Both configurations as the program writes them, by the names of their files in /etc/safelist."""
    url = "sqlite:////var/lib/safelist/safelist.db"
    sample = config.sample(url, target_sections(), sources.sections())
    return {"safelist.toml": f"{sample.strip()}\n", settings.DEFAULT_PATH.name: settings.sample()}


def pages(imprint: Imprint) -> dict[str, str]:
    """Both pages, by the names of their files."""
    sample = samples()
    return {
        "safelist.toml.5": _page(
            "safelist.toml", "configuration of safelist", imprint, sample["safelist.toml"],
            "`safelist init` writes it, with every key as a comment; `safelist config check` reports its faults. A "
            "path that is not absolute is below the file's own directory. Where it holds a secret, only its owner may "
            "be able to read it.",
            [("/etc/safelist/safelist.toml", "For root."), ("~/.config/safelist/safelist.toml", "For others.")],
            ["safelist-init", "safelist-config-check", "safelist-sync", "safelist-publish"], "SAFELIST_CONFIG",
        ),
        "safelist-filter.toml.5": _page(
            "safelist-filter.toml", "configuration of safelist's DNSBL filter", imprint, sample["filter.toml"],
            "`safelist filter sample` prints it, with every key as a comment; `safelist filter check` reports its "
            "faults.",
            [(str(settings.DEFAULT_PATH), "Where `safelist filter` looks for it.")],
            ["safelist-filter-sample", "safelist-filter-check", "safelist-filter-run"], "SAFELIST_FILTER_CONFIG",
        ),
    }  # fmt: skip


def _page(
    name: str, summary: str, imprint: Imprint, sample: str, about: str, files: Sequence[tuple[str, str]],
    others: Sequence[str], variable: str,
) -> str:  # fmt: skip
    found = sections(sample)
    return page(
        head(name, 5, imprint),
        heading("NAME", rf"{name.replace('-', chr(92) + '-')} \- {summary.replace(chr(39), chr(92) + '(aq')}"),
        heading("DESCRIPTION", *paragraphs([about, _KEYS])),
        heading("KEYS", *(line for section in found for line in _section(section))),
        heading("ENVIRONMENT", *tagged([(bold(variable), prose("Another file, where `--config` names none."))])),
        heading("FILES", *tagged((italic(path), prose(told)) for path, told in files)),
        heading("SEE ALSO", ",\n".join(f"{bold(other)}(1)" for other in others)),
    )


def _section(section: Section) -> list[str]:
    keys = tagged((_key(written), prose(meaning)) for written, meaning in section.keys)
    intro = [prose(section.title)] if section.title else []
    return [*(below(section.header) if section.header else ()), *intro, *keys]


def _key(written: str) -> str:
    name, _, value = written.partition(" = ")
    return f"{bold(name)} = {italic(value)}"


_HEADER = re.compile(r"#?(\[\[?[a-z_.-]+\]\]?)")
_KEY = re.compile(r"#*([a-z_0-9]+ = .+)")


def sections(sample: str) -> list[Section]:
    """Read a sample back: comments stand above what they are about, and an optional section is a comment itself.

    What such a section says of itself, where it has no keys, stands below its header.
    """
    found, comment = [Section("", "", ())], list[str]()
    for text in [*sample.splitlines(), ""]:
        if text.startswith(("# ", "## ")):
            comment.append(text)
            continue
        told, is_within = " ".join(each.lstrip("# ") for each in comment), "".join(comment).startswith("##")
        comment = []
        if key := _KEY.fullmatch(text):
            found[-1] = found[-1]._replace(keys=(*found[-1].keys, (key[1], told)))
        elif is_within:
            found[-1] = found[-1]._replace(title=told)
        if header := _HEADER.fullmatch(text):
            found.append(Section(header[1], "" if is_within else told, ()))
    return found
