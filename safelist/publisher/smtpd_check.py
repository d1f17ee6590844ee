"""Whether OpenSMTPD reads the table that was published, and where it helps. Of other readers nothing can be asked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from safelist.errors import UnavailableError
from safelist.publisher import program
from safelist.publisher.smtpd_conf import included, placement
from safelist.remark import Remark

_MOST_INCLUDED = 50


class PairsSection(Protocol):
    """What is asked of the section."""

    @property
    def path(self) -> Path: ...

    @property
    def format(self) -> str: ...

    @property
    def smtpd_conf(self) -> Path: ...

    @property
    def on_change(self) -> tuple[str, ...]: ...


def remarks(chosen: PairsSection | None, paths: Sequence[Path], header: bytes) -> Iterator[Remark]:
    """Look at the files, which begin with ``header``; of a table of OpenSMTPD ask smtpd itself.

    Raises UnavailableError where it is not installed.
    """
    if chosen is None:
        yield Remark(True, "the configuration has no [publish.pairs]: write that section, and run `safelist publish`")
    elif faults := list(_faults(paths, header)):
        yield from (Remark(True, each) for each in faults)
    elif chosen.format != "opensmtpd":
        yield Remark(
            False,
            f"{chosen.path} is published; who reads the form {chosen.format} cannot be asked: see whether its log "
            "names the file, and send a mail from a sender in it",
        )
    else:
        yield from _opensmtpd(chosen)


def _faults(paths: Sequence[Path], header: bytes) -> Iterator[str]:
    for path in paths:
        if not path.exists():
            yield f"{path} is not there: run `safelist publish`, then let the filter read it"
            continue
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                yield f"{path}: safelist did not write this file; correct `path`, or move it and publish"


def _opensmtpd(chosen: PairsSection) -> Iterator[Remark]:
    smtpd, smtpctl = program.find("smtpd"), program.find("smtpctl")
    if smtpd is None or smtpctl is None:
        raise UnavailableError("OpenSMTPD is not installed here: run this check on the machine where it is")
    outcome = program.run([smtpd, "-n", "-f", str(chosen.smtpd_conf)])
    if outcome.code != 0:
        yield Remark(True, f"smtpd would not start with {chosen.smtpd_conf}: {outcome.complaint}")
        return
    found = placement(_text(chosen.smtpd_conf), str(chosen.path))
    if found.why:
        yield Remark(True, f"{chosen.smtpd_conf}: {found.why}; then restart smtpd")
        return
    yield from _running(smtpctl, found.table, chosen)


def _running(smtpctl: str, table: str, chosen: PairsSection) -> Iterator[Remark]:
    """Have the running smtpd read the table again: it can only where its own configuration knows it."""
    outcome = program.run([smtpctl, "update", "table", table])
    if b"running" in outcome.errors:
        yield Remark(True, "smtpd is not running: start it (systemctl start opensmtpd)")
    elif outcome.code != 0:
        yield Remark(
            True,
            f"the running smtpd cannot read its table {table} ({outcome.complaint}): it may have begun before "
            f"{chosen.smtpd_conf} named it: restart it (systemctl restart opensmtpd), and see that it may read "
            f"{chosen.path}",
        )
    if chosen.on_change[-3:] != ("update", "table", table):
        yield Remark(
            True,
            "nothing tells smtpd of a new file: write on_change = "
            f'"smtpctl update table {table}" into the section of {chosen.path}',
        )


def _text(path: Path) -> str:
    """The configuration with the files that it includes, each where it can be read."""
    texts, waiting = list[str](), [path]
    while waiting and len(texts) < _MOST_INCLUDED:
        try:
            texts.append(waiting.pop().read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        waiting += map(Path, included(texts[-1]))
    return "\n".join(texts)
