"""What ``safelist rejections`` prints: ten lines, and what else is wanted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from safelist.cli.table import print_table
from safelist.cli.terminal import complain, print_csv, print_json, shown
from safelist.rejections import json_form, words
from safelist.rejections.collected import CollectedMails, RefusedMail
from safelist.rejections.judging import LIFTABLE
from safelist.rejections.reading import UnreadLine
from safelist.rejections.rescue import Rescue
from safelist.rejections.summary import Refused, RejectionSummary, name_of
from safelist.rejections.why_command import WhyCommand

if TYPE_CHECKING:  # the database, and the list of public suffixes
    from safelist.rejections.whose_box import SaidByMany
    from safelist.store import KeptDay

_MOST_UNREAD = 1000
_SAVED = f"rescue = '{Rescue.LIFTED}'"


class Output:
    """Prints the report in the form that is wanted."""

    def __init__(
        self, *, tables: bool, saved: bool, explain: bool, unread: bool, json: bool, csv: bool
    ) -> None:  # fmt: skip
        self._tables, self._saved, self._explain, self._unread = tables, saved, explain, unread
        self._json, self._csv = json, csv
        self._noted: list[UnreadLine] = []

    def note(self, line: UnreadLine) -> None:
        """Keep a line that could not be read, where it will be shown."""
        if self._unread and len(self._noted) < _MOST_UNREAD:
            self._noted.append(line)

    def print(
        self, found: RejectionSummary, mails: CollectedMails, why: WhyCommand | None, days: "list[KeptDay] | None"
    ) -> None:
        """Print it; ``why`` is None where no aggregate was asked, ``days`` where no counts are kept."""
        if self._csv:
            print_csv(json_form.REFUSED_MAIL, map(json_form.refused_mail, mails.mails()))
        elif self._json:
            print_json(self._as_json(found, mails, days))
        else:
            self._print(found, mails, why)
            _print_kept(days or [])

    def _as_json(
        self, found: RejectionSummary, mails: CollectedMails, days: "list[KeptDay] | None"
    ) -> dict[str, Any]:  # fmt: skip
        answer = json_form.rejection_summary(found)
        if days is not None:
            answer["kept"] = [json_form.kept_day(each) for each in days]
        if self._saved:
            answer["saved"] = list(map(json_form.refused_mail, mails.mails(_SAVED)))
        if self._explain:
            from safelist.rejections.explanation import box_form

            answer["refused_by_others"] = list(map(box_form, _boxes(mails)))
        if self._unread:
            answer["unread_lines"] = list(map(json_form.unread_line, self._noted))
        return answer

    def _print(self, found: RejectionSummary, mails: CollectedMails, why: WhyCommand | None) -> None:
        for line in words.in_words(found):
            print(shown(line))
        for line in words.logs_with_nothing(found.logs):
            complain(line)
        if self._tables:
            _print_tables(found)
        if self._saved and why is not None:
            _print_saved(mails, why)
        if self._explain:
            _print_boxes(_boxes(mails))
        for each in self._noted:
            print(shown(f"{each.place.file}:{each.place.line}: {each.why}: {each.text}"))


def _boxes(mails: CollectedMails) -> "Sequence[SaidByMany]":
    """What other servers said, and whose box it is."""
    from safelist.rejections.fingerprints import table
    from safelist.rejections.whose_box import Heard, whose_boxes

    refused = (mail.rejection for mail in mails.mails("kind = 'bounced' AND recipient IS NOT NULL"))
    heard = (Heard(it.reply, (it.recipient or "").rpartition("@")[2], it.host or it.client) for it in refused)
    return whose_boxes(heard, table())


def _print_boxes(boxes: "Sequence[SaidByMany]") -> None:
    for box in boxes:
        known = box.fingerprint
        who, meaning, do = (known.who, known.meaning, known.advice) if known else ("not known", "", "")
        print()
        rows = (
            ("other servers said", box.text), ("who", who), ("means", meaning), ("whose box", box.sentence), ("do", do),
        )  # fmt: skip
        print_table(("", ""), [row for row in rows if row[1]])


def _print_kept(days: "list[KeptDay]") -> None:
    if replaced := [each for each in days if each.is_replaced]:
        mails = sum(each.kept for each in replaced)
        what = "1 day" if len(replaced) == 1 else f"{len(replaced):,} days"
        print(f"Kept: the counts of {what}, {mails:,} that DNS blocklists rejected.")


def _print_tables(found: RejectionSummary) -> None:
    tables = (("DNS blocklist", found.providers), ("sender's domain", found.domains), ("recipient", found.recipients))
    for what, rows in tables:
        if rows:
            print()
            print_table((what, "mails", "attempts", "saved"), map(_cells, rows))


def _cells(row: Refused) -> tuple[str, ...]:
    lifted = "" if row.lifted is None else f"{row.lifted:,}"
    return name_of(row), f"{row.mails:,}", f"{row.attempts:,}", lifted


def _print_saved(mails: CollectedMails, why: WhyCommand) -> None:
    rows = list(mails.mails(f"{LIFTABLE} AND {_SAVED}"))
    if not rows:
        return
    print()
    print_table(
        ("when (UTC)", "sender", "recipient", "client", "refused by", "because", "SPF today"), map(_saved_cells, rows)
    )
    print(shown(f"Why: {why.of(rows[0])}"))


def _saved_cells(mail: RefusedMail) -> tuple[str, ...]:
    it = mail.rejection
    return (
        f"{it.at:%Y-%m-%d %H:%M}", it.sender or "", it.recipient or "", it.client or "", it.provider or "",
        mail.reason or "", mail.spf_today or "",
    )  # fmt: skip
