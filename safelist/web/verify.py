"""Whether the record is what was recorded: it takes minutes, so it is made beside the pages."""

from starlette.responses import Response

from safelist import audit
from safelist.audit import json_form
from safelist.store import Verified
from safelist.web.identity import Role
from safelist.web.long_answer import LongAnswer
from safelist.web.rendering import file, render
from safelist.web.visit import Visit, WebPage

COLUMNS = ("change_sets", "head", "problem")
VERIFICATION: LongAnswer[Verified] = LongAnswer("verify")


def answer(visit: Visit) -> Response:
    """What the last verification found, and a form that begins another."""
    if visit.text("begin"):
        VERIFICATION.begin(lambda: audit.verify(visit.store), visit.now)
    last = VERIFICATION.last
    shown = json_form.verification(last.value) if last is not None and last.value is not None else None
    return file(visit, "verify", lambda: shown, COLUMNS, lambda: [shown] if shown else []) or render(
        visit, "verify.html.j2", "Verify", last=last, began=VERIFICATION.began
    )


PAGE = WebPage("/verify", "Verify", Role.AUDITOR, answer)
