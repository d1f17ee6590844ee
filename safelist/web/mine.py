"""My safe senders: which count, which were ignored and why, which let mail through, and who looked at them."""

from datetime import timedelta

from starlette.responses import Response

from safelist import audit
from safelist.store import Window
from safelist.web.identity import Role, UnknownVisitorError
from safelist.web.rendering import render
from safelist.web.visit import Visit, WebPage, uses_of

_LOOKS_SINCE = timedelta(days=90)


def answer(visit: Visit) -> Response:
    """The lists of the mailbox of whoever asks. Raises UnknownVisitorError where they have none and no other role."""
    address = visit.person.address
    uses = uses_of(visit, address)
    found = audit.own_lists(visit.store, address, visit.settings, visit.now, uses or ())
    if found is None and visit.person.role is Role.USER:
        raise UnknownVisitorError(
            403, f"{address} was never collected, so nothing is known here of your lists; ask your helpdesk."
        )
    looks = list(visit.store.looks(Window(mailbox=address, since=visit.now - _LOOKS_SINCE)))[::-1]
    return render(
        visit, "mine.html.j2", "My safe senders", lists=found, are_uses_known=uses is not None, looks=looks[:20],
        days=_LOOKS_SINCE.days,
    )  # fmt: skip


PAGE = WebPage("/", "My safe senders", Role.USER, answer)
