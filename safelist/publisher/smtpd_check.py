"""Whether OpenSMTPD reads the table that was published, and where it helps. Of other readers nothing can be asked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from safelist.errors import UnavailableError
from safelist.publisher import processes, program
from safelist.publisher.smtpd_conf import included, placement
from safelist.remark import Remark

_MOST_INCLUDED = 50
_TITLES = (b"smtpd: control",)
"""Of OpenSMTPD alone: Postfix has an smtpd, too."""


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
    texts = _texts(chosen.smtpd_conf)
    found = placement("\n".join(texts.values()), str(chosen.path))
    if found.why:
        yield Remark(True, f"{chosen.smtpd_conf}: {found.why}; then restart smtpd")
        return
    yield from _running(smtpctl, found.table, chosen, list(texts))


def _running(smtpctl: str, table: str, chosen: PairsSection, read: Sequence[Path]) -> Iterator[Remark]:
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
    elif (started := processes.started(_TITLES)) and (newer := processes.changed_since(read, started)):
        yield Remark(
            True,
            f"{newer[-1]} was changed after smtpd was started, and is not read yet: restart it (systemctl restart "
            "opensmtpd)",
        )
    if chosen.on_change[-3:] != ("update", "table", table):
        yield Remark(
            True,
            "nothing tells smtpd of a new file: write on_change = "
            f'"smtpctl update table {table}" into the section of {chosen.path}',
        )


def _texts(path: Path) -> dict[Path, str]:
    """The configuration and the files that it includes, each where it can be read."""
    texts, waiting = dict[Path, str](), [path]
    while waiting and len(texts) < _MOST_INCLUDED:
        if (each := waiting.pop()) in texts:
            continue
        try:
            texts[each] = each.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        waiting += map(Path, included(texts[each]))
    return texts
