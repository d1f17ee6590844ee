"""The auditor's report as a file: it takes a while, so it is made beside the pages; taking it along is recorded."""

from typing import NamedTuple

from starlette.responses import Response

from safelist.audit.report.page import render as written
from safelist.runs.report import report
from safelist.web.identity import Role
from safelist.web.long_answer import LongAnswer
from safelist.web.rendering import render
from safelist.web.verify import VERIFICATION
from safelist.web.visit import BadRequestError, Visit, WebPage


class WrittenReport(NamedTuple):
    """The page, and how many mailboxes it names with what they trust."""

    html: str
    mailboxes: int


REPORT: LongAnswer[WrittenReport] = LongAnswer("report")


def answer(visit: Visit) -> Response:
    """When the last report was made, a form that begins another, and with ``form=html`` the file."""
    if visit.text("form"):
        return _file(visit)
    if visit.text("begin"):
        REPORT.begin(lambda: _made(visit), visit.now)
    return render(visit, "report.html.j2", "Report", last=REPORT.last, began=REPORT.began)


def _made(visit: Visit) -> WrittenReport:
    verified = VERIFICATION.last.value if VERIFICATION.last else None
    with visit.store.at_one_moment() as held:
        found = report(held, visit.service.config, visit.settings, visit.now, verified)
    return WrittenReport(written(found), len(found.trust.rows))


def _file(visit: Visit) -> Response:
    last = REPORT.last
    if visit.text("form") != "html" or last is None or last.value is None:
        raise BadRequestError("There is no report yet: make one first.", 404)
    visit.note("report", last.value.mailboxes)
    headers = {"Content-Disposition": f'attachment; filename="safelist-{last.at:%Y-%m-%d}.html"'}
    return Response(last.value.html.encode(), headers=headers, media_type="text/html; charset=utf-8")


PAGE = WebPage("/report", "Report", Role.AUDITOR, answer)
