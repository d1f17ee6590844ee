"""The mailboxes that have an entry in some list, by name, a hundred at a time; each of these pages is recorded."""

from starlette.responses import Response

from safelist.audit import json_form, position_text
from safelist.store import AnswerPage, Position
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import BadRequestError, Visit, WebPage

MOST = 100


def answer(visit: Visit) -> Response:
    """The mailboxes that have it now, behind the position that ``after`` names; as `safelist audit who` has them."""
    text = visit.given.get("entry", "")
    if not text:
        raise BadRequestError("Which entry? Come here from the page of a sender.")
    page = AnswerPage(MOST + 1, _position(visit.text("after")))
    found = visit.store.who_page([text], visit.store.newest(visit.now), page)
    holdings = [holding for holding, _ in found[:MOST]]
    visit.note("names", len({holding.mailbox for holding in holdings}), sender=text)
    rows = [json_form.holding(each) for each in holdings]
    return file(visit, "names", lambda: rows, json_form.HOLDING, lambda: rows) or render(
        visit, "names.html.j2", "Who has it", entry=text, holdings=holdings, after=visit.text("after"),
        next=position_text.write(found[MOST - 1][1]) if len(found) > MOST else None,
    )  # fmt: skip


def _position(word: str) -> Position:
    try:
        return position_text.read(word, position_text.HOLDING) if word else ()
    except ValueError:
        raise BadRequestError("after: is no place in this answer; begin with the first page.") from None


PAGE = WebPage("/names", "", Role.HELPDESK, answer)
