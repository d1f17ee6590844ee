"""Search: mailboxes, overrides and senders by a part of their address; as `safelist audit search` finds them."""

from collections.abc import Sequence

from starlette.responses import Response

from safelist.audit.search_parts import search_parts
from safelist.store import AnswerPage, Found, FoundKind, Store
from safelist.web.identity import Role
from safelist.web.rendering import render
from safelist.web.visit import Visit, WebPage

MOST = 50
SHORTEST = 2


def answer(visit: Visit) -> Response:
    """The form, and the first of each kind that contain the part that was asked for."""
    part = visit.text("q")
    is_long_enough = len(part) >= SHORTEST
    found = _found(visit.store, search_parts(part)) if is_long_enough else {kind: [] for kind in FoundKind}
    return render(
        visit, "search.html.j2", "Search", part=part, is_long_enough=is_long_enough, most=MOST,
        mailboxes=found[FoundKind.MAILBOX], overrides=found[FoundKind.OVERRIDE], senders=found[FoundKind.SENDER],
    )  # fmt: skip


def _found(store: Store, parts: Sequence[str]) -> dict[FoundKind, list[Found]]:
    """Of each kind one more than is shown, if there are so many: they come in the order of the kinds."""
    found: dict[FoundKind, list[Found]] = {}
    rows: list[Found] | None = None
    for number, kind in enumerate(FoundKind):
        if rows is None or len(rows) > MOST:  # else the answer before has all that follow
            rows = store.search(parts, AnswerPage(MOST + 1, (number,)))
        found[kind] = [row for row in rows if row.what is kind]
    return found


PAGE = WebPage("/search", "Search", Role.HELPDESK, answer)
