"""A status as a plugin of Nagios or Icinga says it: a line with performance data, more lines, a return code. Pure.

The form is that of the Monitoring Plugins Development Guidelines: ``TEXT | 'label'=value[UOM];[warn];[crit];[min]``;
text may hold no ``|``, a label neither ``=`` nor ``'``, and what a transport such as NRPE carries is bounded.
"""

from collections.abc import Iterator

from safelist.config import StatusSettings
from safelist.status.facts import Severity, StatusReport
from safelist.status.summary import Figure, figures, headline

MAX_LINES = 20
"""So many findings are said behind the first line."""
_MAX_TEXT = 400


def plugin_output(status: StatusReport, settings: StatusSettings) -> str:
    """All that the plugin prints."""
    return "\n".join(_lines(status, settings))


def _lines(status: StatusReport, settings: StatusSettings) -> Iterator[str]:
    data = " ".join(map(_datum, figures(status, settings)))
    yield f"SAFELIST {status.severity.name} - {_text(headline(status))}{f' | {data}' if data else ''}"
    said = [finding for finding in status.findings if finding.severity is not Severity.OK]
    for finding in said[1:MAX_LINES]:
        yield f"{finding.severity.name}: {_text(f'{finding.subject}: {finding.text}')}"
    if len(said) > MAX_LINES:
        yield f"and {len(said) - MAX_LINES} more: safelist status"


def _text(text: str) -> str:
    """On one line, without what would begin performance data, and not too long."""
    plain = "".join(c if c.isprintable() else "?" for c in text).replace("|", "/")
    return plain if len(plain) <= _MAX_TEXT else f"{plain[: _MAX_TEXT - 3]}..."


def _datum(figure: Figure) -> str:
    label = f"{figure.of}_{figure.name}".replace("-", "_")
    limits = ";".join("" if limit is None else str(limit) for limit in (figure.warning, figure.critical))
    return f"'{label}'={figure.value}{figure.unit};{limits};0"
