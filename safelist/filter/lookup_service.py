"""Whether a sender is safe for a recipient, for whoever asks by HTTP: rspamd's external maps, scripts, people.

It is the decision that the policy service takes as one of its facts, and no verdict: neither the lists nor SPF are
asked, and whether the mail comes from the sender is left to the asker. The answer names what he has to demand.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from safelist import sender
from safelist.filter.connections import Endpoint, Limits
from safelist.filter.decision import VerdictReason
from safelist.filter.http_message import METHODS, HttpParser, HttpRequest, response
from safelist.filter.lookup_question import Question, QuestionError, question_of
from safelist.filter.policy_service import MAX_SHOWN, Safety
from safelist.policy import Reason

_log = logging.getLogger("safelist.filter")
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
Told = dict[str, Any]
"""A decision, in the form of ``Decision.as_json``."""
_NO_ADDRESSES: Told = {
    "safe": False, "reason": str(Reason.NOT_A_SENDER), "authentication": None,
    "why": "the key is neither RECIPIENT|SENDER nor SENDER, or the sender is no address.",
}  # fmt: skip
_FAULTS = {
    HTTPStatus.METHOD_NOT_ALLOWED: f"ask with {' or '.join(METHODS)}",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "a look-up has no body",
}
_AT_ONCE = 2
"""Requests of one client that are answered before others have their turn; by ones, each would take two turns."""
_ANSWERS = {True: HTTPStatus.OK, False: HTTPStatus.NOT_FOUND}


def lookup_endpoint(
    answer: Callable[[HttpRequest], bytes],
    addresses: Sequence[str],
    limits: Limits | None = None,
    *,
    stays_here: bool = True,
) -> Endpoint:
    """HTTP, at addresses of its own and with connections of its own: those of Postfix do not make room for it."""
    return Endpoint(
        answer, _http_parser, addresses, limits or Limits(), name="lookup", stays_here=stays_here, by_turns=True
    )


def _http_parser(limits: Limits) -> HttpParser:
    return HttpParser(limits.max_request, limits.max_attributes, _AT_ONCE)


class LookupService:
    """Answers look-ups. ``counts`` are of answers by status and the decision's reason, which is empty where none was.

    An answer is no use of an entry: whether the mail was let through only the asker knows.
    """

    def __init__(self, safety: Safety, recipient_delimiter: str, now: Callable[[], datetime]) -> None:
        self._safety, self._delimiter, self._now = safety, recipient_delimiter, now
        self.counts: Counter[tuple[str, str]] = Counter()

    def answer(self, request: HttpRequest) -> bytes:
        """200 with the authentication to demand, 404 where the sender is not safe, or what is wrong with the request.

        That is another status than 404, which would say that nobody is safe to whoever asks at the wrong place.
        """
        if request.fault is not None:
            return self._refused(request, request.fault, _FAULTS.get(request.fault, request.fault.phrase))
        try:
            question = question_of(request)
        except QuestionError as error:
            return self._refused(request, HTTPStatus.BAD_REQUEST, str(error))
        told = _NO_ADDRESSES if question is None else self._told(question)
        self._note(question, told)
        return response(request, _ANSWERS[told["safe"]], *_said(request, told))

    def _told(self, question: Question) -> Told:
        """What the policy says; without a recipient, or with one that is no address, what counts for everybody."""
        recipient = sender.mailbox_of(question.recipient, self._delimiter)
        decision = self._safety.decide(sender.envelope(question.sender), recipient, self._now())
        if decision.safe and not question.suffices(decision.authentication):
            why = f"{decision.sentence} That counts with {decision.authentication}; {question.proven} was proven."
            return decision.as_json() | {"safe": False, "reason": str(VerdictReason.NOT_AUTHENTICATED), "why": why}
        return decision.as_json()

    def _note(self, question: Question | None, told: Told) -> None:
        """Count the answer, and log who was called safe: of the rest there are too many, and asking again tells why."""
        self.counts[str(_ANSWERS[told["safe"]].value), told["reason"]] += 1
        if told["safe"] and question is not None and _log.isEnabledFor(logging.INFO):
            asked = {"sender": question.sender[:MAX_SHOWN], "recipient": question.recipient[:MAX_SHOWN]}
            line = {"at": self._now().isoformat(timespec="milliseconds"), "lookup": asked} | told
            _log.info("%s", json.dumps(line))

    def _refused(self, request: HttpRequest, status: HTTPStatus, why: str) -> bytes:
        self.counts[str(status.value), ""] += 1
        return response(request, status, _TEXT, f"{why}\n")


def _said(request: HttpRequest, told: Told) -> tuple[str, str]:
    """The media type and the text of an answer.

    Its first line begins with 1 where the sender is safe: rspamd takes a word there for the name of a symbol, and a
    number for a factor of the symbol's score (parse_ret in its multimap.lua).
    """
    if any(_JSON in value.decode("latin-1").lower() for value in request.header(b"accept")):
        return _JSON, json.dumps(told) + "\n"
    first = f"1 {told['authentication']}" if told["safe"] else "0"
    return _TEXT, f"{first}\n{told['reason']}: {told['why']}\n"
