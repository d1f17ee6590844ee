"""What administrators said about senders; it is changed on the command line alone."""

from starlette.responses import Response

from safelist.audit import json_form
from safelist.audit.report.rows import override_lines
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import Visit, WebPage


def answer(visit: Visit) -> Response:
    """Every override: those in force first, what expires soonest before the rest."""
    found = visit.store.overrides()
    rows = [json_form.override_at(each, visit.now) for each in found]
    return file(visit, "overrides", lambda: rows, json_form.OVERRIDE, lambda: rows) or render(
        visit, "overrides.html.j2", "Overrides", overrides=list(override_lines(found, visit.settings, visit.now))
    )


PAGE = WebPage("/overrides", "Overrides", Role.AUDITOR, answer)
