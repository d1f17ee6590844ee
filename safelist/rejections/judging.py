"""Puts the collected mails to the policy, each as of its day, in portions: most senders are in nobody's list."""

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from safelist import policy
from safelist.policy import Candidate, Settings
from safelist.rejections.collected import CollectedMails, RefusedMail
from safelist.rejections.rescue import NOT_TOLD, RescueJudgement, RescueQuestion, judged_at, question_of, rescue_of
from safelist.sender import covering

if TYPE_CHECKING:  # who reads logs alone waits for no database
    from safelist.store import Moment, Store

_AT_ONCE = 1000
OURS = "kind <> 'bounced'"
BY_A_LIST = f"{OURS} AND provider IS NOT NULL"
LIFTABLE = f"{BY_A_LIST} AND (listed IS NULL OR listed = 'client')"
"""The kind that the safelist lifts: this site's rejections, by a list of the addresses of clients."""


class JudgedAsOf:
    """The states of the aggregate by which mails are judged: at the end of their day, but none before the first.

    What was rejected before the lists were collected for the first time is judged by what was collected then.
    """

    def __init__(self, store: "Store", zone: tzinfo, now: datetime) -> None:
        self._store, self._zone, self._now = store, zone, now
        self._moments: dict[str, Moment] = {}
        run = store.first_good_run("sync")
        self._first = None if run is None else store.moment_after(run.id)

    @property
    def first(self) -> datetime | None:
        """When the lists were there for the first time; None where they never were."""
        return None if self._first is None else self._first.at

    def of(self, day: str) -> "Moment":
        """The state for the mails of that day."""
        if day not in self._moments:
            self._moments[day] = self._moment(day)
        return self._moments[day]

    def _moment(self, day: str) -> "Moment":
        at = judged_at(day, self._zone, self.first, self._now)
        if at == self._now:
            return self._store.newest(self._now)
        return self._first if self._first is not None and at == self._first.at else self._store.moment_at(at)


class Judge:
    """Asks the policy about mails."""

    def __init__(self, store: "Store", settings: Settings, as_of: JudgedAsOf, recipient_delimiter: str) -> None:
        self._store, self._settings, self._as_of, self._delimiter = store, settings, as_of, recipient_delimiter

    def judge(self, mails: CollectedMails) -> None:
        """Note of each mail that a DNS blocklist of addresses rejected what would have become of it."""
        for portion in mails.portions(LIFTABLE, _AT_ONCE):
            mails.judge((mail.id, *judged) for mail, judged in self._judged(portion))

    def _judged(self, portion: Iterable[RefusedMail]) -> Iterator[tuple[RefusedMail, RescueJudgement]]:
        asked = [(mail, question_of(mail.rejection, self._delimiter)) for mail in portion]
        names = {question.sender: covering(question.sender) for _, question in asked if question is not None}
        known = self._store.mentioned(text for texts in names.values() for text in texts)
        for mail, question in asked:
            if question is None:
                yield mail, NOT_TOLD
            else:
                yield mail, self._one(question, mail.day, is_known=not known.isdisjoint(names[question.sender]))

    def _one(self, question: RescueQuestion, day: str, *, is_known: bool) -> RescueJudgement:
        moment = self._as_of.of(day)
        candidate = Candidate(question.sender, recipient=question.recipient)
        if is_known:
            candidate, _ = self._store.candidate(question.sender, question.recipient, self._settings, moment)
        return rescue_of(policy.judge(candidate, self._settings, moment.at))
