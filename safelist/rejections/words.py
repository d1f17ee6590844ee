"""The figures of logs as ten lines that need no knowledge of mail. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from safelist.policy import Reason
from safelist.rejections.formats import FORMATS
from safelist.rejections.reading import ReadSoFar
from safelist.rejections.rescue import Rescue
from safelist.rejections.summary import Refused, RejectionSummary, Rescued, RescueReason, name_of

_NAMED = 4
_LIFTED_BY = {
    Reason.TRUSTED_ADDRESS: "the recipient trusts the address",
    Reason.TRUSTED_DOMAIN: "the recipient trusts the domain",
    Reason.QUORUM: "enough mailboxes trust the sender",
    Reason.ENFORCED_ALLOW: "an administrator's override",
    Reason.DEFAULT_ALLOW: "an administrator's override",
}
_REFUSED_BY = {
    Reason.ENFORCED_BLOCK: "an administrator's override",
    Reason.DEFAULT_BLOCK: "an administrator's override",
    Reason.BLOCKED_ADDRESS: "the recipient blocks the address",
    Reason.BLOCKED_DOMAIN: "the recipient blocks the domain",
    Reason.OWN_DOMAIN: "the domain is one of ours",
    Reason.BELOW_QUORUM: "too few mailboxes trust the sender",
    Reason.PUBLIC_SUFFIX: "only a domain of many owners is trusted",
    Reason.FREE_MAIL_DOMAIN: "only the free-mail domain is trusted, not the address",
    Reason.SHARED_DOMAIN: "only the domain of a service that sends for many is trusted",
    Reason.DOMAIN_NOT_INCLUDED: "only the domain is trusted, and domains do not count",
    Reason.MAILBOX_EXCLUDED: "the mailbox that trusts it does not count",
    Reason.CONTACT_NOT_INCLUDED: "it is a trusted contact, and these do not count",
    Reason.TOO_OLD: "the entry is too old",
}


def in_words(found: RejectionSummary) -> Iterator[str]:
    """At most ten lines: what was read and refused, what the safelist would have let through, and what is not known."""
    yield _read(found)
    if found.unread or any(log.problem for log in found.logs):
        yield from _not_read(found)
    yield _refused(found)
    if found.rescued is not None and found.liftable:
        yield from _rescued(found.rescued, found.liftable)
        yield f"By the senders' domains, saved of refused: {_saved(found.domains)}."
    elif found.liftable:
        yield (
            "What the safelist would have saved of them needs the lists: safelist sync, then ask again (without "
            "--logs-only, if that was said)."
        )
    if found.bounced:
        yield f"Other servers refused {_mails(found.bounced)} of this site: safelist rejections --explain LOG says who."


def _read(found: RejectionSummary) -> str:
    names = [log.name for log in found.logs]
    what = names[0] if len(names) == 1 else f"{len(names)} logs"
    kinds = dict.fromkeys(FORMATS[name].title for log in found.logs for name, count in log.formats.items() if count)
    when = "" if found.first_day is None else f", {_span(found.first_day, found.last_day or found.first_day)}"
    form = f" ({', '.join(kinds)})" if kinds else ""
    return f"Read {what}, {_some(sum(log.lines for log in found.logs), 'line')}{form}{when}."


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _not_read(found: RejectionSummary) -> Iterator[str]:
    problems = [log.problem for log in found.logs if log.problem]
    problems[_NAMED:] = [f"and {_some(len(problems) - _NAMED, 'log')} more"] if len(problems) > _NAMED else []
    if found.unread:
        lines = "1 line looks like a rejection" if found.unread == 1 else f"{found.unread:,} lines look like rejections"
        problems.append(f"{lines} and could not be read (--unread shows {'it' if found.unread == 1 else 'them'})")
    yield f"Not all was read: {'; '.join(problems)}."


def _refused(found: RejectionSummary) -> str:
    if not found.mails:
        return "No mail that this site refused was found in it."
    attempts = "" if found.attempts == found.mails else f" in {found.attempts:,} attempts"
    warned = f" ({found.warned:,} let through with a warning instead)" if found.warned else ""
    return (
        f"{_mails(found.mails, 'was', 'were')} refused{attempts}{warned}; "
        f"{found.by_lists:,} of them because of DNS blocklists ({_share(found.by_lists, found.mails)})."
        f"{f' Most by {_named(found.providers)}.' if found.by_lists else ''}"
    )


def _rescued(rescued: Rescued, liftable: int) -> Iterator[str]:
    counts = {rescue: [each for each in rescued.by_reason if each.rescue == rescue] for rescue in Rescue}
    total = {rescue: sum(each.mails for each in some) for rescue, some in counts.items()}
    yield (
        f"safelist would have let {_mails(rescued.mails)} through ({_share(rescued.mails, liftable)}), of "
        f"{_some(rescued.senders, 'sender')} to {_some(rescued.recipients, 'recipient')}, "
        f"if they prove who sent them (SPF or DKIM){_proof(rescued)}"
    )
    if rescued.mails:
        yield f"Why: {_why(counts[Rescue.LIFTED], lambda reason: _LIFTED_BY.get(Reason(reason), reason))}."
    if total[Rescue.REFUSED]:
        named, why = _mails(total[Rescue.REFUSED]), _why(counts[Rescue.REFUSED], _in_words)
        yield f"A list or an override names the senders of {named} more, but they are not safe: {why}."
    nobodys, unknown = total[Rescue.NOBODYS], total[Rescue.UNKNOWN]
    yield f"In nobody's list: {nobodys:,}. The log does not tell who sent, or to whom: {unknown:,}."
    yield _as_of(rescued)


def _why(reasons: Sequence[RescueReason], in_words_: Callable[[str], str]) -> str:
    """How many mails for each reason; those that are the same in words are one."""
    mails: Counter[str] = Counter()
    for each in reasons:
        mails[in_words_(each.reason or "")] += each.mails
    return ", ".join(f"{words} {count:,}" for words, count in mails.most_common())


def _in_words(reason: str) -> str:
    """Why a sender is not safe, with the code that the documents explain."""
    said = _REFUSED_BY.get(Reason(reason))
    return f"{said} ({reason})" if said else reason


def _proof(rescued: Rescued) -> str:
    if not rescued.by_spf:
        return ": the log does not tell that; --spf asks today's DNS." if rescued.mails else "."
    results = ", ".join(f"{result} {count:,}" for result, count in rescued.by_spf)
    return f". Today SPF says: {results}; the records may have been others then."


def _as_of(rescued: Rescued) -> str:
    if rescued.first_collection is None:
        return "The lists were never collected: safelist sync, then ask again."
    day = rescued.first_collection.date().isoformat()
    if rescued.older:
        are = "is" if rescued.older == 1 else "are"
        return f"{_mails(rescued.older)} came before the first collection ({day}) and {are} judged by what it found."
    return "Each mail is judged by the lists as they were at the end of its day."


def _named(rows: Sequence[Refused]) -> str:
    return ", ".join(f"{each.name} {each.mails:,}" for each in sorted(rows, key=lambda it: -it.mails)[:_NAMED])


def _saved(rows: Sequence[Refused]) -> str:
    return ", ".join(f"{name_of(each)} {each.lifted:,} of {each.mails:,}" for each in rows[:_NAMED])


def _mails(count: int, one: str = "", more: str = "") -> str:
    verb = f" {one if count == 1 else more}" if one else ""
    return f"{_some(count, 'mail')}{verb}"


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "0 %"


def logs_with_nothing(logs: Sequence[ReadSoFar]) -> Iterator[str]:
    """A line for each log in which no format was known, and one for those beyond the first."""
    names = [log.name for log in logs if not log.formats and log.lines]
    for name in names[:_NAMED]:
        yield f"{name}: no line of it is a rejection in a form that safelist knows ({', '.join(FORMATS)})"
    if names[_NAMED:]:
        yield f"and {len(names) - _NAMED} more files without one"
