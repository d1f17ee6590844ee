"""Whether this machine's SpamAssassin reads what was published, and whether the running spamd knows it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from safelist.errors import UnavailableError
from safelist.publisher import program
from safelist.publisher.spamassassin_rules import PROBE, SYMBOL, UNPROVEN
from safelist.publisher.user_prefs import Tree
from safelist.remark import Remark

NOBODY = "nobody@safelist.invalid"
"""A recipient who has no file of their own."""


class PublishedLists(NamedTuple):
    """What was published: the files that the configuration includes, the recipients' list, and their tree.

    ``is_dnsbl``: whether the lists have rules of their own, by which a sender on them can be seen.
    """

    path: Path
    rules: Path
    recipients: Path
    tree: Tree
    header: bytes
    is_dnsbl: bool


class Programs(NamedTuple):
    """How to call this machine's SpamAssassin, with the options that spamd has, and to reach spamd."""

    spamassassin: str
    options: Sequence[str]
    spamc: Sequence[str]

    @classmethod
    def found(cls, options: Sequence[str], spamc_options: Sequence[str]) -> "Programs":
        """Raises UnavailableError where they are not installed."""
        spamassassin, spamc = program.find("spamassassin"), program.find("spamc")
        if spamassassin is None or spamc is None:
            raise UnavailableError(
                "SpamAssassin is not installed here (Debian: apt-get install spamassassin spamd spamc): run this check "
                "on the machine where it is"
            )
        return cls(spamassassin, options, [spamc, *spamc_options])


def without_section() -> Iterator[Remark]:
    """What the check says where nothing is configured."""
    yield Remark(
        True,
        "the configuration has no [publish.spamassassin]: write that section, with the list's file as `path`, and run "
        "`safelist publish`",
    )


def remarks(lists: PublishedLists, programs: Programs) -> Iterator[Remark]:
    """Ask for the files first, then what the program reads, then the daemon."""
    missing = list(_unpublished(lists))
    yield from missing
    if not missing:
        unread = list(_unread(lists, programs))
        yield from unread
        yield from _unknown(lists, programs) if not unread else ()


def _unpublished(lists: PublishedLists) -> Iterator[Remark]:
    for path in (lists.path, lists.rules, lists.recipients):
        try:
            begins = path.read_bytes()[: len(lists.header)]
        except FileNotFoundError:
            yield Remark(True, f"{path} has not been published: run `safelist publish`")
            return
        except OSError as error:
            yield Remark(True, f"{path} cannot be read: {error.strerror}")
            return
        if begins != lists.header:
            yield Remark(True, f"{path}: safelist did not write this file; correct `path`, or move it and publish")
            return
    if not lists.tree.is_of(hashlib.sha256(lists.recipients.read_bytes()).hexdigest()):
        yield Remark(True, f"{lists.tree.root} is not what {lists.recipients} says: run `safelist publish`")
    elif changed := next(lists.tree.differing(), None):
        yield Remark(
            True,
            f"{changed} is not what {lists.recipients} says: run `safelist publish`, which writes it anew",
        )


def _unread(lists: PublishedLists, programs: Programs) -> Iterator[Remark]:
    """What `spamassassin --lint` complains of, and which files it has not read: of one that is missing it is silent."""
    outcome = program.run([programs.spamassassin, "-D", "config,generic", "--lint", *programs.options])
    said = outcome.errors.decode(errors="replace")
    if outcome.code != 0:
        complaints = (line for line in said.splitlines() if " warn: " in line and "netset" not in line)
        yield Remark(True, f"`spamassassin --lint` finds faults: {next(complaints, outcome.complaint)}")
        return
    if lists.is_dnsbl and (old := _old_version(said)):
        yield Remark(
            True, f'this is SpamAssassin {old}, which passes the rules over: [publish.spamassassin] form = '
            '"welcomelist_auth", or SpamAssassin 4.0',
        )  # fmt: skip
    read = set(re.findall(r"config: parsing file (\S+)", said))
    for path in (lists.rules, lists.path):
        if str(path) not in read:
            yield Remark(
                True,
                f"SpamAssassin does not read {path}: write /etc/spamassassin/safelist.cf as printed above, where "
                "SpamAssassin's user can read both, and reload spamd",
            )


def _old_version(said: str) -> str:
    """A version before 4.0, from the debug lines; empty for one that knows the rules."""
    version = re.search(r"generic: SpamAssassin version ((\d+)\.\S+)", said)
    return version[1] if version and int(version[2]) < 4 else ""


def _unknown(lists: PublishedLists, programs: Programs) -> Iterator[Remark]:
    """Probe mails to the running spamd."""
    if program.run([*programs.spamc, "-K"]).code != 0:
        yield Remark(
            True, f"no spamd answers `{' '.join(programs.spamc)} -K`: start it (systemctl start spamd), or say where "
            "it is in [publish.spamassassin] spamc_options",
        )  # fmt: skip
        return
    sender = next(_named(lists.path, b""), "") if lists.is_dnsbl else ""
    is_known = not sender or _fired(programs, NOBODY, sender) & {SYMBOL, UNPROVEN}
    if not is_known or PROBE not in _fired(programs, NOBODY, _probe_sender(lists.rules)):
        shown = f" ({sender})" if sender else ""
        yield Remark(
            True,
            f"the running spamd does not know what was published for everybody{shown}: systemctl reload spamd, and let "
            "[publish.spamassassin] on_change do that from now on; where that does not help, let spamd's user enter "
            f"{lists.path.parent}",
        )
        return
    if lists.is_dnsbl:
        yield from _recipient(lists, programs)


def _recipient(lists: PublishedLists, programs: Programs) -> Iterator[Remark]:
    """Ask for one recipient and a sender whom only recipients name."""
    for_all = set(_named(lists.path, b""))
    with lists.recipients.open("rb") as file:
        pairs = ((line.split(b" ", 1)[0], next(_senders(line.partition(b" ")[2]), "")) for line in file)
        recipient, sender = next(((r, s) for r, s in pairs if s and s not in for_all), (b"", ""))
    if sender and not _fired(programs, recipient.decode("ascii"), sender) & {SYMBOL, UNPROVEN}:
        yield Remark(
            True,
            f"the running spamd does not know what was published for {recipient.decode('ascii')} ({sender}): start it "
            f"with --virtual-config-dir={lists.tree.root}/%d/%l as printed above (and without -Q), let its user read "
            "that tree, and let your mail server name the recipient in lower case (spamc -u)",
        )


def _probe_sender(rules: Path) -> str:
    """By whom a spamd that has read these very lists and rules can be told (:func:`spamassassin_rules.probe`)."""
    found = re.search(rf"^enlist_addrlist \({PROBE}\) (\S+)$", rules.read_text(encoding="ascii"), re.MULTILINE)
    return found[1] if found else NOBODY


def _named(path: Path, before: bytes) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            yield from _senders(line.removeprefix(before))


def _senders(line: bytes) -> Iterator[str]:
    """An address for each glob of a line of a list."""
    words = line.decode("ascii", "replace").split()
    if words[:1] == ["enlist_addrlist"]:
        yield from (word.replace("*@*.", "probe@probe.").replace("*", "probe") for word in words[2:])


def _fired(programs: Programs, recipient: str, sender: str) -> set[str]:
    """The rules that fire for a mail from nowhere, which proves nothing."""
    mail = (
        f"Return-Path: <{sender}>\r\nFrom: {sender}\r\nTo: {recipient}\r\nSubject: a probe of safelist check\r\n"
        "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <probe@safelist.invalid>\r\n\r\nNobody gets this.\r\n"
    )
    outcome = program.run([*programs.spamc, f"--username={recipient}", "-y"], mail.encode())
    return set(re.split(r"[,\s]+", outcome.output.decode(errors="replace")))
