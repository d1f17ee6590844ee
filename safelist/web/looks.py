"""Who looked at lists that are not their own, on these pages."""

from datetime import timedelta

from starlette.responses import Response

from safelist.audit import json_form
from safelist.store import Window
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import Visit, WebPage

MOST = 500
_SINCE = timedelta(days=30)


def answer(visit: Visit) -> Response:
    """The looks of the last month, the last one first; as a file, all of them."""
    window = Window() if visit.text("form") else Window(since=visit.now - _SINCE)
    found = list(visit.store.looks(window))[::-1]
    rows = [json_form.event(each, visit.now) for each in found]
    return file(visit, "looks", lambda: rows, json_form.EVENT, lambda: rows) or render(
        visit, "looks.html.j2", "Who looked", looks=found[:MOST], more=max(len(found) - MOST, 0), days=_SINCE.days
    )


PAGE = WebPage("/looks", "Who looked", Role.AUDITOR, answer)
