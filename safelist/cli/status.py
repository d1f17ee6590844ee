"""``safelist status``: whether everything runs, for a person, a monitoring system or a program."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, JsonOption, now, print_json, shown
from safelist.config import StatusSettings
from safelist.errors import EX_OK, PermissionDeniedError, SafelistError, UnavailableError, UsageError
from safelist.runs.published_files import FileState
from safelist.status import json_form
from safelist.status.facts import FilterFacts, Finding, Severity, SourceFacts, StatusFacts, StatusReport, TargetFacts
from safelist.status.judging import judge
from safelist.status.looking import look
from safelist.status.nagios import plugin_output
from safelist.status.prometheus import exposition
from safelist.status.summary import asked, headline
from safelist.status.words import ago, mailboxes, minute


def status(
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute the chain of digests, too: it reads the whole database.")
    ] = False,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="Print what a plugin of Nagios or Icinga prints, with performance data.")
    ] = False,
    prometheus: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write metrics for node_exporter's textfile collector, and print nothing.",
            show_default=False,
        ),
    ] = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Whether everything runs: OK, WARNING, CRITICAL or UNKNOWN, which is the exit code too (0 to 3)."""
    if json + nagios + (prometheus is not None) > 1:
        raise UsageError("--json, --nagios and --prometheus: write one of them")
    settings, found = _looked(config_file, verify=verify)
    if prometheus is not None:
        replace_file(prometheus, exposition(found, settings))
    elif json:
        print_json(json_form.status(found))
    elif nagios:
        print(plugin_output(found, settings))
    else:
        _print(found)
    raise typer.Exit(EX_OK if prometheus is not None else int(found.severity))


def _looked(config_file: Path | None, *, verify: bool) -> tuple[StatusSettings, StatusReport]:
    """What there is to say; also where not even the configuration can be read."""
    at = now()
    try:
        config = load_config(config_file)
    except SafelistError as error:
        unread = StatusFacts(at, unknown=tuple(("configuration", line) for line in str(error).split("\n")))
        return StatusSettings(), judge(unread, StatusSettings())
    return config.status, judge(look(config, at, verify=verify), config.status)


def replace_file(path: Path, text: str) -> None:
    """Write the file under another name beside it and rename it, so that nobody ever reads a part of it."""
    new = None
    try:
        handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644)
        Path(new).replace(path)
    except PermissionError:
        raise PermissionDeniedError(f"--prometheus: {path}: this user may not write in {path.parent}") from None
    except OSError as error:
        raise UnavailableError(f"--prometheus: {path}: cannot be written: {error.strerror}") from None
    finally:
        if new is not None:
            with suppress(OSError):
                Path(new).unlink()


def _print(found: StatusReport) -> None:
    """What is wrong, the worst first, or that nothing is; then what there is."""
    facts = found.facts
    if found.severity is Severity.OK:
        print(shown(f"OK: {headline(found)}"))
    print_table(("", "", ""), map(_said, found.findings))
    rows = [*_source_rows(facts), *_target_rows(facts), *_filter_rows(facts)]
    if facts.verified is not None and not facts.verified.problem:
        rows.append(("audit", "", f"{facts.verified.change_sets} change sets, unbroken"))
    if rows:
        print()
        print_table(("", "", ""), rows)


def _said(finding: Finding) -> tuple[str, str, str]:
    return finding.severity.name if finding.severity else "note", finding.subject, finding.text


def _source_rows(facts: StatusFacts) -> Iterator[tuple[str, str, str]]:
    for source in facts.sources:
        yield "source", source.name, "; ".join(_said_of_source(source, facts))


def _said_of_source(source: SourceFacts, facts: StatusFacts) -> Iterator[str]:
    good = source.good.finished if source.good else None
    yield f"last good run {ago(good, facts.at)}{f' ({minute(good)})' if good else ''}"
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(source.outcomes.items()))
    yield f"{mailboxes(asked(source))}{f': {counts}' if counts else ''}"
    if source.last is not None and source.last.finished is None:
        yield f"a run began {ago(source.last.started, facts.at)}"


def _target_rows(facts: StatusFacts) -> Iterator[tuple[str, str, str]]:
    for target in facts.targets:
        yield "target", target.name, "; ".join(_said_of_target(target, facts))


_FILES = {
    FileState.AS_PUBLISHED: "its files are what was published", FileState.DIFFERENT: "it is not what was published",
    FileState.MISSING: "it is gone", FileState.BEING_PUBLISHED: "it is being published just now",
    FileState.UNREADABLE: "its files could not be read",
}  # fmt: skip


def _said_of_target(target: TargetFacts, facts: StatusFacts) -> Iterator[str]:
    entries = "" if target.entries is None else f": {target.entries} entr{'y' if target.entries == 1 else 'ies'}"
    yield f"{target.path}{entries}"
    changed = f", changed {ago(target.changed, facts.at)}" if target.changed else ""
    yield f"published {ago(target.confirmed, facts.at)}{changed}"
    if said := _FILES.get(target.file.state):
        yield said


def _filter_rows(facts: StatusFacts) -> Iterator[tuple[str, str, str]]:
    if facts.snapshot is not None:
        published = "unknown" if facts.snapshot.is_denied else ago(facts.snapshot.published, facts.at)
        yield "snapshot", "", f"{facts.snapshot.path}: published {published}"
    for found in facts.filters:
        yield "filter", found.address, _said_of_filter(found, facts)


def _said_of_filter(found: FilterFacts, facts: StatusFacts) -> str:
    if found.fault:
        return "does not answer"
    if found.in_use is not None:
        in_use = found.in_use if found.in_use.timestamp() else None
        return f"has the snapshot in use that was published {ago(in_use, facts.at)}" if in_use else "has no snapshot"
    return f"answers{f' ({found.mode})' if found.mode else ''}"
