"""Pages as HTML, and answers as files: every text from outside is escaped, and what is unseen is written out."""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

import safelist
from safelist.audit.report.page import environment
from safelist.plain_text import write_csv
from safelist.web.visit import BadRequestError, PageService, Visit

FORMS = ("csv", "json")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = environment("safelist.web", "templates")
    made.filters["day"] = "{:%Y-%m-%d}".format
    return made


def render(visit: Visit, template: str, title: str, **values: object) -> HTMLResponse:
    """The page of that template for the person who asks."""
    shared = {
        "title": title, "person": visit.person, "menu": visit.service.menu(visit.person), "here": visit.path,
        "demo": visit.service.demo, "version": safelist.__version__, "now": visit.now,
    }  # fmt: skip
    return HTMLResponse(_environment().get_template(template).render(**shared, **values))


def refusal(service: PageService, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says why there is no other."""
    template = _environment().get_template("refusal.html.j2")
    text = template.render(
        title="Not shown", person=None, menu=(), here="", demo=service.demo, version=safelist.__version__,
        now=service.clock(), sentence=sentence,
    )  # fmt: skip
    return HTMLResponse(text, status, dict(headers or {}))


def file(
    visit: Visit, name: str, as_json: Callable[[], object], columns: Sequence[str],
    rows: Callable[[], Iterable[Mapping[str, Any]]],
) -> Response | None:  # fmt: skip
    """The answer as the CSV or JSON file that was asked for by ``form``; None where a page was."""
    form = visit.text("form")
    if not form:
        return None
    if form not in FORMS:
        raise BadRequestError("form: write csv or json.")
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    if form == "json":
        return Response(json.dumps(as_json(), indent=2) + "\n", headers=headers, media_type="application/json")
    written = io.StringIO()
    write_csv(written, columns, rows())
    return Response(written.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")
