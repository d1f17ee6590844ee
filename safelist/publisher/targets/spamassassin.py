"""SpamAssassin: address lists for everybody and, as a ``user_prefs`` each, for a recipient (Mail::SpamAssassin::Conf).

In the form ``dnsbl`` the lists are ones of their own (``enlist_addrlist``), and rules take back what the DNSBL rules
add, and nothing else, for a sender on them who proves itself (:mod:`safelist.publisher.spamassassin_rules`). In the
form ``welcomelist_auth`` they are SpamAssassin's own: -100 points for whatever else the mail is, too.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from safelist.config import LenientPath, Section, Texts
from safelist.errors import SafelistError
from safelist.publisher import spamassassin_program, spamassassin_rules
from safelist.publisher.spamassassin_lists import Said, Wording, kept, why_not
from safelist.publisher.spamassassin_rules import EVERYBODY, RECIPIENT, DnsblRule
from safelist.publisher.target import Asked, Command, LeftOut, PlainFilePath, Plan, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line
from safelist.publisher.user_prefs import Tree, why_no_path
from safelist.sender import Form, Pattern

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "spamassassin"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"
DNSBL, WELCOMELIST = "dnsbl", "welcomelist_auth"


class SpamAssassinSettings(Section):
    """Lists for SpamAssassin."""

    TITLE = "Lists for SpamAssassin: for everybody (included by /etc/spamassassin/safelist.cf), and for each recipient."
    IS_OPTIONAL = True

    path: PlainFilePath = Field(
        description="The list for everybody; PATH.rules, PATH.recipients and the tree PATH.users stand beside it.",
        examples=["/var/lib/safelist-spamassassin/safelist"],
    )
    form: Literal["dnsbl", "welcomelist_auth"] = Field(
        "dnsbl",
        description="dnsbl: take back what the DNSBL rules add, nothing else (SpamAssassin 4.0 and later).\n"
        "welcomelist_auth: the list that people know, -100 points whatever the mail is.",
    )
    dnsbl_rules: Texts | None = Field(
        None,
        description="The rules that are lifted, each with its score (or its four). Without it, what this machine's "
        "SpamAssassin says.",
        examples=[["RCVD_IN_XBL 0 0.724 0 0.375", "RCVD_IN_MINE 5"]],
    )
    old_names: bool | None = Field(
        None,
        description="Write whitelist_auth, as SpamAssassin before 4.0 needs it. Without it, what `spamassassin -V` "
        "says.",
        examples=[True],
    )
    rules_path: LenientPath | None = Field(
        None, description="What spamd's -C names, if anything.", examples=["/usr/share/spamassassin"]
    )
    site_path: LenientPath | None = Field(
        None, description="What spamd's --siteconfigpath names, if anything.", examples=["/etc/spamassassin"]
    )
    spamc_options: Command = Field(
        (),
        description="How `safelist check spamassassin` reaches spamd through spamc.",
        examples=["-p 783"],
    )
    on_change: Command = Field(
        (),
        description="A command (no shell) to run after a change. spamd reads the list for everybody when it starts "
        "or reloads.",
        examples=["systemctl reload spamd"],
    )

    @field_validator("dnsbl_rules")
    @classmethod
    def _have_scores(cls, rules: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for each in rules or ():
            if not spamassassin_program.RULE.fullmatch(each):
                raise ValueError(f"{each!r} is no rule with a score, such as RCVD_IN_XBL 0.7")
        return rules


def recipients(path: Path) -> Path:
    """The list of what counts for each recipient, of which the tree is made."""
    return path.with_name(f"{path.name}.recipients")


def rules(path: Path) -> Path:
    """The rules that look the lists up."""
    return path.with_name(f"{path.name}.rules")


def users(path: Path) -> Path:
    """The tree of ``user_prefs``."""
    return path.with_name(f"{path.name}.users")


def demands(settings: SpamAssassinSettings) -> str:
    """What SpamAssassin asks of a mail."""
    left_out = "Left out: addresses that are globs or comments to SpamAssassin, in quotes, or not ASCII"
    if settings.form == WELCOMELIST:
        return (
            "SpamAssassin takes SPF of the envelope's sender, or a DKIM signature of the domain in the header's From, "
            f"whichever is on the list. {left_out}, and domains with exceptions."
        )
    return (
        "SpamAssassin lifts its DNSBL rules where both the envelope's sender and the header's From prove themselves "
        f"by SPF or DKIM, and one of them is on the list. {left_out}, and domains below exceptions."
    )


def use(settings: SpamAssassinSettings) -> str:
    """What the site's configuration has to say, and spamd's command line."""
    return snippet(settings.path)


def snippet(path: Path) -> str:
    """The two files that an administrator writes."""
    return (
        f"# /etc/spamassassin/safelist.cf\ninclude {rules(path)}\ninclude {path}\n"
        "# /etc/default/spamd\n"
        f'OPTIONS="-x -u debian-spamd --max-children 5 --virtual-config-dir={users(path)}/%d/%l"\n'
    )


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: SpamAssassinSettings) -> Rendering:
    """The lists, and the rules that look them up."""
    return _rendered(everybody, each, settings, _is_old(settings), _dnsbl_rules(settings))


def _rendered(
    everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: SpamAssassinSettings, old: bool,
    dnsbl: Sequence[DnsblRule],
) -> Rendering:  # fmt: skip
    is_dnsbl = settings.form == DNSBL
    written, left_out = kept((Said(*ruling[:3]) for ruling in everybody), exceptions=is_dnsbl)
    wording = Wording.of(written, is_dnsbl=is_dnsbl, old=old)
    lines = [f"{line}\n".encode("ascii") for line in wording.directives(written, EVERYBODY)]
    text = _rules(dnsbl if is_dnsbl else None, lines)
    of_recipients = _recipient_lines(each, wording, left_out)
    path = settings.path
    files = (
        TextFile(path, HEADER, lines, key=whole_line),
        TextFile(recipients(path), HEADER, of_recipients, key=whole_line),
        TextFile(rules(path), HEADER, text.splitlines(keepends=True), is_list=False),
    )
    return Rendering(files, left_out)


def _rules(dnsbl: Sequence[DnsblRule] | None, lines: Iterable[bytes]) -> bytes:
    """The rules, and the probe of them and the list for everybody; None is the form that has no rules."""
    text = (spamassassin_rules.text(dnsbl) if dnsbl is not None else "").encode("ascii")
    digest = hashlib.sha256(text)
    for line in lines:
        digest.update(line)
    return spamassassin_rules.probe(digest.hexdigest()[:16]).encode("ascii") + text


def _recipient_lines(each: Iterable[RecipientRuling], wording: Wording, left_out: list[LeftOut]) -> Iterator[bytes]:
    """``RECIPIENT DIRECTIVE`` a line; who is left out is noted on the way."""
    for recipient, some in groupby(each, key=lambda ruling: ruling.recipient):
        if why := why_no_path(recipient):
            left_out.append(LeftOut(Pattern(recipient, Form.ADDRESS), f"nothing is written for this recipient: {why}"))
            continue
        written, out = kept((Said(*ruling[1:4]) for ruling in some), exceptions=wording.is_dnsbl)
        left_out += out
        for line in dict.fromkeys((*wording.withdrawn(written), *wording.directives(written, RECIPIENT))):
            yield f"{recipient} {line}\n".encode("ascii")


def _left_out(everybody: Sequence[Ruling], settings: SpamAssassinSettings) -> Iterable[LeftOut]:
    """The same without SpamAssassin."""
    return _rendered(everybody, (), settings, False, ()).left_out


def _is_old(settings: SpamAssassinSettings) -> bool:
    if settings.form == DNSBL or settings.old_names is not None:
        return bool(settings.old_names)
    return spamassassin_program.knows_old_names_only()


def _dnsbl_rules(settings: SpamAssassinSettings) -> list[DnsblRule]:
    """The rules to be lifted, in order: those that are configured, else those that add to a mail's score here."""
    if settings.form != DNSBL:
        return []
    if settings.dnsbl_rules is not None:
        found = [spamassassin_program.dnsbl_rule(line) for line in settings.dnsbl_rules]
    else:
        found = spamassassin_program.dnsbl_rules(settings.rules_path, settings.site_path)
    return sorted(each for each in found if max(each.scores) > 0)


@contextmanager
def _plan(inner: Any, asked: Asked, settings: SpamAssassinSettings) -> Iterator[Plan]:
    """The files, and after them the tree that is made of the recipients' list."""
    with inner(asked, settings) as plan:
        source = recipients(settings.path)
        of_list = next(each for each in plan.files if each.path == source)
        digest, tree = of_list.digest, Tree(users(settings.path), source, HEADER)
        if not of_list.is_changed and tree.is_of(digest) and next(tree.differing(), None) is None:
            yield plan
            return
        changed = tuple(replace(each, is_changed=True) if each.path == source else each for each in plan.files)
        yield replace(plan, files=changed, apply=partial(_apply, plan, tree, digest))


def _apply(plan: Plan, tree: Tree, digest: str, before: Any) -> SafelistError | None:
    if not plan.is_changed:
        before()
    failed = plan.apply(before)
    return tree.make(digest) or failed


def _with_tree(inner: Any) -> Any:
    def plan(asked: Asked, chosen: Any) -> AbstractContextManager[Plan]:
        return _plan(inner, asked, chosen)

    return plan


def check(settings: SpamAssassinSettings | None) -> "Iterator[Remark]":
    """Ask this machine's SpamAssassin what it has read, and the running spamd what it makes of a published sender."""
    from safelist.publisher import spamassassin_check  # what only this needs takes longer to import than the rest

    if settings is None:
        return spamassassin_check.without_section()
    path = settings.path
    tree = Tree(users(path), recipients(path), HEADER)
    is_dnsbl = settings.form == DNSBL
    lists = spamassassin_check.PublishedLists(path, rules(path), recipients(path), tree, HEADER, is_dnsbl)
    programs = spamassassin_check.Programs.found(_options(settings), settings.spamc_options)
    return spamassassin_check.remarks(lists, programs)


def _options(settings: SpamAssassinSettings) -> list[str]:
    """What `spamassassin` has to be told to read what spamd reads."""
    paths = {"-C": settings.rules_path, "--siteconfigpath": settings.site_path}
    return [word for option, path in paths.items() if path is not None for word in (option, str(path))]


_TEXTS = text_target(
    name=NAME, settings=SpamAssassinSettings, demands=demands, use=use, check=check, render=render,
    left_out=_left_out, scope=Scope.RECIPIENT, why_not=why_not,
    if_missing="SpamAssassin says nothing of a file that it cannot include, and lifts nothing",
)  # fmt: skip
TARGET = replace(_TEXTS, plan=_with_tree(_TEXTS.plan))
