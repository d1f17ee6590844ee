"""The report as one page: it refers to nothing outside itself, and no text from elsewhere becomes markup in it."""

import base64
import hashlib
from datetime import UTC, datetime
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from safelist.audit.report.values import AuditReport
from safelist.audit.report.words import counted


def render(report: AuditReport) -> str:
    """Write the report out as HTML that is complete in itself, in UTF-8 once it is encoded."""
    return _environment().get_template("report.html.j2").render(report=report)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = environment("safelist.audit.report", "")
    made.filters["source"] = _source
    return made


def environment(package: str, folder: str) -> Environment:
    """The templates in a folder of a package: nothing that they show can become markup, or change how a page reads."""
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"counted": counted, "figure": "{:,}".format, "utc": _utc}
    return made


def _shown(value: object) -> object:
    """Text from outside with its unseen characters (control, bidirectional, unpaired) written out; markup as it is."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _source(text: str) -> str:
    """The expression of a Content-Security-Policy that allows this inline text, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
