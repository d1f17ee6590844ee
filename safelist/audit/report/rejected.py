"""What DNS blocklists rejected: of logs that were read for this report, and of what was kept of others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from safelist.audit.report.values import FirstRows, KeptMonth, KeptRejections, RejectedMails, SavedMail
from safelist.rejections import words
from safelist.rejections.collected import CollectedMails, RefusedMail
from safelist.rejections.judging import LIFTABLE
from safelist.rejections.rescue import Rescue
from safelist.rejections.summary import MOST_SHOWN, Refused, RejectionSummary
from safelist.rejections.why_command import WhyCommand
from safelist.store import RejectionCount

MOST_SAVED = 200
_SAVED = f"{LIFTABLE} AND rescue = '{Rescue.LIFTED}'"


def rejected_mails(mails: CollectedMails, found: RejectionSummary, why: WhyCommand) -> RejectedMails:
    """The figures of logs, and of the mails that would have been let through the first by time."""
    rows = tuple(_saved(mail, why) for mail in islice(mails.mails(_SAVED), MOST_SAVED))
    more = int(mails.total("count(*)", _SAVED)[0]) - len(rows)
    return RejectedMails(
        tuple(words.in_words(found)), str(why.zone), found.providers, found.domains, found.recipients,
        FirstRows(rows, more),
    )  # fmt: skip


def _saved(mail: RefusedMail, why: WhyCommand) -> SavedMail:
    it = mail.rejection
    return SavedMail(
        it.at, it.sender or "", it.recipient or "", it.client or "", it.provider or "", mail.reason or "",
        mail.attempts, why.of(mail),
    )  # fmt: skip


def kept_rejections(counts: Iterable[RejectionCount]) -> KeptRejections | None:
    """What was kept, by month and by DNS blocklist; None where nothing was."""
    months: defaultdict[str, list[RejectionCount]] = defaultdict(list)
    providers: defaultdict[str, list[RejectionCount]] = defaultdict(list)
    for each in counts:
        months[each.day[:7]].append(each)
        providers[each.provider].append(each)
    if not months:
        return None
    return KeptRejections(
        tuple(_month(month, of_month) for month, of_month in sorted(months.items(), reverse=True)),
        tuple(_first(sorted((_provider(name, of_it) for name, of_it in providers.items()), key=_most_first))),
    )


def _month(month: str, counts: list[RejectionCount]) -> KeptMonth:
    days = len({each.day for each in counts})
    mails = {rescue: sum(each.mails for each in counts if each.rescue == rescue) for rescue in Rescue}
    return KeptMonth(
        month, days, sum(each.mails for each in counts), mails[Rescue.LIFTED], mails[Rescue.REFUSED],
        mails[Rescue.NOBODYS],
    )  # fmt: skip


def _provider(name: str, counts: list[RejectionCount]) -> Refused:
    lifted = sum(each.mails for each in counts if each.rescue == Rescue.LIFTED)
    return Refused(name, sum(each.mails for each in counts), sum(each.attempts for each in counts), lifted)


def _first(rows: list[Refused]) -> Iterator[Refused]:
    """Those with the most mails, the others as one."""
    yield from rows[:MOST_SHOWN]
    if rest := rows[MOST_SHOWN:]:
        lifted = sum(row.lifted or 0 for row in rest)
        yield Refused(f"{len(rest):,} more", sum(row.mails for row in rest), sum(row.attempts for row in rest), lifted)


def _most_first(row: Refused) -> tuple[int, str]:
    return -row.mails, row.name or ""
