"""A sender: whether it is safe and why, what else the policy would say, and how many trust it; nobody by name."""

from starlette.responses import Response

from safelist import audit
from safelist.audit import json_form
from safelist.audit.report.rows import override_lines
from safelist.sender import Form, asked_about, covering, typed
from safelist.web.identity import Role
from safelist.web.rendering import file, render
from safelist.web.visit import BadRequestError, Visit, WebPage


def answer(visit: Visit) -> Response:
    """The answer of `safelist audit why`; for the whole organisation, or for one recipient, which is recorded."""
    text, recipient = visit.text("sender"), recipient_of(visit)
    if not text:
        return render(visit, "sender.html.j2", "Why", text="", recipient="", found=None)
    if recipient not in (None, visit.person.address):
        visit.note("sender", 1, recipient, text)
    settings = visit.settings
    found = audit.judged(visit.store, text, recipient, settings, visit.now, visit.service.config.publish)
    return _file(visit, found) or render(
        visit, "sender.html.j2", "Why", text=text, recipient=recipient or "", found=found,
        rows=json_form.decisions(found), number=json_form.row_number(found.decision),
        counts=visit.store.count_holders((*covering(asked_about(text)), text)),
        overrides=list(override_lines(found.candidate.overrides, settings, visit.now)),
        is_collected=recipient is None or visit.store.mailbox(recipient) is not None,
    )  # fmt: skip


def recipient_of(visit: Visit, name: str = "recipient") -> str | None:
    """The mailbox that a parameter names; None where there is none. Raises BadRequestError where it is no address."""
    text = visit.text(name)
    if text and typed(text).form is not Form.ADDRESS:
        raise BadRequestError(f"{text[:100]!r} is not an e-mail address.")
    return typed(text).text if text else None


def _file(visit: Visit, found: audit.Explanation) -> Response | None:
    return file(
        visit, "why", lambda: json_form.explanation(found), json_form.DECISION, lambda: json_form.decisions(found)
    )


PAGE = WebPage("/sender", "Why", Role.HELPDESK, answer)
