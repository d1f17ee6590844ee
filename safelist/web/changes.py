"""What differs since a day; it names mailboxes, so it is recorded."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from safelist import audit
from safelist.audit import json_form
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import BadRequestError, Visit, WebPage

MOST = 500
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
"""No list was collected before: who asks from an earlier day, which may be the first that there is, asks from here."""


def answer(visit: Visit) -> Response:
    """The answer of `safelist audit changes`: counts, and the first rows."""
    since = _since(visit)
    start, end = visit.store.moment_at(since - timedelta(seconds=1)), visit.store.newest(visit.now)
    found = audit.changes(visit.store, start, end, visit.settings)
    rows = list(json_form.change_rows(found))
    named = {row["mailbox"] for row in (rows if visit.text("form") else rows[:MOST])} - {None}
    visit.note("changes", len(named))
    return file(visit, "changes", lambda: json_form.changes(found), json_form.CHANGE, lambda: rows) or render(
        visit, "changes.html.j2", "Changes", since=since, rows=rows[:MOST], more=max(len(rows) - MOST, 0),
        counts=Counter(row["what"] for row in rows),
    )  # fmt: skip


def _since(visit: Visit) -> datetime:
    """The beginning of the day that ``since`` names (UTC); yesterday's without one. Raises BadRequestError."""
    text = visit.text("since")
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else visit.now - timedelta(days=1)
    except ValueError:
        raise BadRequestError("since: write a day such as 2026-11-20.") from None
    if day > visit.now:
        raise BadRequestError("since: that day is in the future.")
    day = max(day, _FIRST)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


PAGE = WebPage("/changes", "Changes", Role.AUDITOR, answer)
