"""What to believe of a mailbox's answer: pure, values in and out.

A sudden emptiness looks just like an outage, a wrong folder or a new format. So a surprise (the rule has vanished, or
the answer comes from another mailbox) is believed on the third answer in a row, and lists that vanish or become empty
in many mailboxes at once are not believed at all.
"""

from dataclasses import dataclass

RUNS_TO_BELIEVE = 3
MASS_SHARE = 10
"""More than one in ten of the mailboxes with lists losing them in one run is a mass change."""
MASS_LEAST = 5


@dataclass(frozen=True, slots=True)
class Doubt:
    """A surprise and how many answers in a row have shown it."""

    surprise: str
    runs: int

    @property
    def is_believed(self) -> bool:
        """Whether it was seen often enough."""
        return self.runs >= RUNS_TO_BELIEVE


def doubt(surprise: str, before: Doubt | None) -> Doubt:
    """The doubt after ``surprise`` was seen, when ``before`` was left by the run before."""
    return Doubt(surprise, before.runs + 1 if before is not None and before.surprise == surprise else 1)


def is_mass_change(losing: int, with_lists: int) -> bool:
    """Whether ``losing`` mailboxes of the ``with_lists`` asked are too many to lose their lists in one run."""
    return losing >= MASS_LEAST and losing * MASS_SHARE > with_lists
