"""Somebody else's lists, as its user sees them; that somebody looked is recorded before they are shown."""

from starlette.responses import Response

from safelist import audit
from safelist.audit import json_form
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.sender import recipient_of
from safelist.web.visit import BadRequestError, Visit, WebPage, uses_of


def answer(visit: Visit) -> Response:
    """The lists of one mailbox, with what counts of them."""
    address = recipient_of(visit, "address")
    if address is None:
        raise BadRequestError("Which mailbox? Search for it.")
    if visit.store.mailbox(address) is None:
        raise BadRequestError(f"{address} was never collected: nothing is known of its lists.", 404)
    if address != visit.person.address:
        visit.note("mailbox", 1, address)
    uses = uses_of(visit, address)
    found = audit.own_lists(visit.store, address, visit.settings, visit.now, uses or ())
    assert found is not None  # noqa: S101 (no mailbox is ever deleted)
    return file(
        visit, "mailbox", lambda: json_form.mailbox_answer(found.answer), json_form.MAILBOX_HOLDING,
        lambda: json_form.mailbox_holdings(found.answer),
    ) or render(visit, "mailbox.html.j2", address, lists=found, are_uses_known=uses is not None)  # fmt: skip


PAGE = WebPage("/mailbox", "", Role.HELPDESK, answer)
