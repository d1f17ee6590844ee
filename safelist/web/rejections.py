"""What DNS blocklists rejected, month by month, as `safelist rejections --keep` has counted it."""

from starlette.responses import Response

from safelist.audit.report.rejected import kept_rejections
from safelist.store import RejectionCount
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import Visit, WebPage


def answer(visit: Visit) -> Response:
    """The counts that are kept; no address is among them."""
    counts = list(visit.store.rejection_counts())
    rows = [each._asdict() for each in counts]
    return file(visit, "rejections", lambda: rows, RejectionCount._fields, lambda: rows) or render(
        visit, "rejections.html.j2", "Rejected mail", kept=kept_rejections(counts)
    )


PAGE = WebPage("/rejections", "Rejected mail", Role.AUDITOR, answer)
