"""``safelist rejections --keep``: what it refuses, and what became of the days."""

from pathlib import Path
from typing import TYPE_CHECKING

from safelist.cli.terminal import complain, now
from safelist.errors import UsageError
from safelist.rejections.collected import CollectedMails
from safelist.runs.rejections import AskedPolicy

if TYPE_CHECKING:  # the database
    from safelist.store import KeptDay


def refuse_parts(is_wanted: bool, options: dict[str, object]) -> None:
    """What is kept is whole days, judged: anything else would look like that afterwards."""
    for name, value in options.items():
        if is_wanted and value:
            raise UsageError(f"--keep: whole days are kept, all that the logs tell of them, judged; leave {name} out")


class Keeping:
    """Keeps the counts where that is wanted. Raises UsageError, before a log is read, where nothing can be judged."""

    def __init__(self, is_wanted: bool, asked: AskedPolicy | None, config_file: Path | None) -> None:
        self._asked, self._config_file = asked if is_wanted else None, config_file
        if is_wanted:
            from safelist.runs.kept_rejections import refuse_unjudged  # and the database

            refuse_unjudged(asked)

    def keep(self, mails: CollectedMails) -> "list[KeptDay] | None":
        """What became of each day; None where nothing is kept."""
        if self._asked is None:
            return None
        from safelist.cli.configuration import load_config
        from safelist.runs.kept_rejections import keep

        days = keep(mails, self._asked.store, load_config(self._config_file).database.url, now())
        for day in days:
            if not day.is_replaced:
                complain(
                    f"{day.day}: {day.seen:,} seen are fewer than the {day.kept:,} mails that are kept of that day, "
                    "which stay; was the log rotated? Give the one before beside it"
                )
        return days
