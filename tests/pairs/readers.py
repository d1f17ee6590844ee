"""How each form of a file for other filters is read back: by Python's own readers, by PCRE, or by a grammar."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safelist.publisher.line_formats import HEADER

Read = Callable[[Path, Iterable[str]], set[str]]
GREP = shutil.which("grep")


@dataclass(frozen=True)
class Form:
    """``read``: which of the senders are safe for everybody; ``others``: the same of other parts of it."""

    name: str
    read: Read
    keys: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Read, ...] = ()


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by Python's reader."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def values(path: Path) -> list[dict[str, Any]]:
    """The objects of JSON lines behind the first, which says who has written them."""
    first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert first["written_by"] == "safelist"
    return rest


def lines(path: Path) -> list[str]:
    """Those that are no comments: as Haraka reads a list, and as rspamd and Exim find a key."""
    found = path.read_text(encoding="utf-8").split("\n")
    return [line.strip() for line in found if line.strip() and not re.match(r"\s*[;#]", line)]


def powershell_strings(text: str) -> list[str]:
    """The verbatim strings of a script outside comments: a doubled quote in one is a quote (about_Quoting_Rules)."""
    found = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            found += re.findall(r"'((?:[^'‘’‚‛]|'')*)'", line)
    return [each.replace("''", "'") for each in found]


def matched(path: Path, senders: Iterable[str]) -> set[str]:
    """The senders that an entry of a regexp map matches, by PCRE2."""
    assert GREP
    expressions = [re.fullmatch(r"/(.*)/i", line) for line in lines(path)]
    assert all(expressions)
    given = "".join(f"{each}\n" for each in senders if "\n" not in each)
    return {each for found in expressions if found for each in _found(found[1], given)}


def _found(expression: str, given: str) -> list[str]:
    assert GREP
    line = [GREP, "-Pi", "-e", expression]
    done = subprocess.run(line, input=given, text=True, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"})
    assert done.returncode in (0, 1), done
    return done.stdout.splitlines()


def _of_csv(path: Path, senders: Iterable[str]) -> set[str]:
    found = {row["sender"] for row in rows(path) if not row["recipient"] and row["safe"] == "true"}
    return found.intersection(senders)


def _of_json(path: Path, senders: Iterable[str]) -> set[str]:
    found = {row["sender"] for row in values(path) if row["recipient"] is None and row["safe"]}
    return found.intersection(senders)


def _of_lines(path: Path, senders: Iterable[str]) -> set[str]:
    return set(lines(path)).intersection(senders)


def _for_the_desk(path: Path, senders: Iterable[str]) -> set[str]:
    found = lines(path.with_name(f"{path.name}.recipients"))
    return {each for each in senders if f"desk@corp.example|{each}" in found}


def _of_a_ruleset(path: Path, senders: Iterable[str]) -> set[str]:
    return {each for each in senders if f"From: {each} yes" in lines(path)}


def _of_powershell(path: Path, senders: Iterable[str]) -> set[str]:
    assert path.read_bytes().startswith(HEADER)
    return set(powershell_strings(path.read_text(encoding="utf-8"))).intersection(senders)


UNPROVEN = {"unauthenticated": True}
FORMS = [
    Form("csv", _of_csv, {"format": "csv"}),
    Form("json-lines", _of_json, {"format": "json-lines"}),
    Form("pairs", _of_lines, {"format": "recipient|sender", **UNPROVEN}, (_for_the_desk,)),
    Form("haraka", _of_lines, {"format": "haraka", **UNPROVEN}, (_for_the_desk,)),
    Form("opensmtpd", _of_lines, {"format": "opensmtpd", **UNPROVEN}),
    Form("mailscanner", _of_a_ruleset, {"format": "mailscanner", **UNPROVEN}),
    Form("mailcow", matched, {"format": "mailcow", **UNPROVEN}),
    Form("exchange", _of_powershell, {"format": "exchange", **UNPROVEN}),
    Form("microsoft-365", _of_powershell, {"format": "microsoft-365", **UNPROVEN}),
    Form("template", _of_lines, {"format": "template", "template": "{{ sender }}", **UNPROVEN}),
]
"""Each form with what it is configured with, and how its reader finds who is safe."""
