"""The command that explains what would have become of a rejected mail, for a shell. Pure."""

from datetime import datetime, tzinfo
from shlex import quote
from typing import NamedTuple

from safelist.rejections.collected import RefusedMail
from safelist.rejections.rescue import judged_at, question_of


class WhyCommand(NamedTuple):
    """How mails were judged; see :func:`safelist.rejections.rescue.judged_at`.

    ``config_file`` is the configuration where it has to be named, as on the command line that asked.
    """

    zone: tzinfo
    first_collection: datetime | None
    now: datetime
    recipient_delimiter: str
    config_file: str | None = None

    def of(self, mail: RefusedMail) -> str:
        """``safelist audit why`` about that mail's sender, for its recipient, as of when it was judged."""
        question = question_of(mail.rejection, self.recipient_delimiter)
        sender = question.sender.text if question else mail.rejection.sender or ""
        about = ["--recipient", question.recipient if question else mail.rejection.recipient or ""]
        at = judged_at(mail.day, self.zone, self.first_collection, self.now)
        if at != self.now:
            about += ["--at", f"{at:%Y-%m-%dT%H:%M:%SZ}".removesuffix("T23:59:59Z")]
        if self.config_file is not None:
            about += ["--config", self.config_file]
        words = [*about, "--", sender] if sender.startswith("-") else [sender, *about]
        return " ".join(map(quote, ("safelist", "audit", "why", *words)))
