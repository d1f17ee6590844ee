"""The one JSON form of what logs tell: values in, what ``json`` can write out. Pure."""

from typing import TYPE_CHECKING, Any

from safelist.rejections.collected import RefusedMail
from safelist.rejections.reading import UnreadLine
from safelist.rejections.summary import Refused, RejectionSummary, Rescued

if TYPE_CHECKING:  # who reads logs alone waits for no database
    from safelist.store import KeptDay

Object = dict[str, Any]

REFUSED_MAIL = (
    "at", "kind", "client", "host", "sender", "recipient", "stage", "provider", "listed", "rescue", "reason",
    "spf_today", "attempts", "reply", "note", "file", "line",
)  # fmt: skip


def refused_mail(mail: RefusedMail) -> Object:
    """One mail."""
    it = mail.rejection
    return {
        "at": it.at.isoformat(), "kind": str(it.kind), "client": it.client, "host": it.host, "sender": it.sender,
        "recipient": it.recipient, "stage": it.stage and str(it.stage), "provider": it.provider,
        "listed": it.listed and str(it.listed), "rescue": mail.rescue, "reason": mail.reason,
        "spf_today": mail.spf_today, "attempts": mail.attempts,
        "reply": it.reply, "note": it.note, "file": it.place.file, "line": it.place.line,
    }  # fmt: skip


def unread_line(line: UnreadLine) -> Object:
    """A line that looks like a rejection and could not be read."""
    return {"file": line.place.file, "line": line.place.line, "why": line.why, "text": line.text}


def kept_day(day: "KeptDay") -> Object:
    """What became of a day whose counts were to be kept."""
    return {"day": day.day, "seen": day.seen, "kept": day.kept, "replaced": day.is_replaced}


def rejection_summary(found: RejectionSummary) -> Object:
    """The figures of all logs."""
    return {
        "logs": [
            {"file": log.name, "bytes": log.size, "lines": log.lines, "rejections": log.formats, "problem": log.problem}
            for log in found.logs
        ],
        "first_day": found.first_day,
        "last_day": found.last_day,
        "mails": found.mails,
        "attempts": found.attempts,
        "by_dns_lists": found.by_lists,
        "by_lists_of_addresses": found.liftable,
        "bounced": found.bounced,
        "only_warned_of": found.warned,
        "unread": found.unread,
        "rescue": None if found.rescued is None else _rescued(found.rescued),
        "providers": [_row("provider", each) for each in found.providers],
        "sender_domains": [_row("domain", each) for each in found.domains],
        "recipients": [_row("recipient", each) for each in found.recipients],
    }


def _rescued(rescued: Rescued) -> Object:
    return {
        "lifted": rescued.mails,
        "senders": rescued.senders,
        "recipients": rescued.recipients,
        "reasons": [each._asdict() for each in rescued.by_reason],
        "spf_today": dict(rescued.by_spf),
        "first_collection": rescued.first_collection and rescued.first_collection.isoformat(),
        "older_than_first_collection": rescued.older,
    }


def _row(what: str, refused: Refused) -> Object:
    return {what: refused.name, "mails": refused.mails, "attempts": refused.attempts, "lifted": refused.lifted}
