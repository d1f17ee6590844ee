"""SpamAssassin: address lists for everybody and, as a ``user_prefs`` each, for a recipient (Mail::SpamAssassin::Conf).

In the form ``dnsbl`` the lists are ones of their own (``enlist_addrlist``), and rules take back what the DNSBL rules
add, and nothing else, for a sender on them who proves itself (:mod:`safelist.publisher.spamassassin_rules`). In the
form ``welcomelist_auth`` they are SpamAssassin's own: -100 points for whatever else the mail is, too.

Addresses are globs there: ``*`` and ``?`` match anything, ``\\`` and ``(`` become ``_`` (Conf/Parser.pm,
add_to_addrlist), ``#`` begins a comment, several dots are one (PerMsgStatus.pm, all_from_addrs).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, field_validator

from safelist.config import LenientPath, Section, Texts
from safelist.errors import SafelistError, UnavailableError
from safelist.override import Authentication
from safelist.publisher import program, spamassassin_rules
from safelist.publisher.spamassassin_rules import ADDRESS, DOMAIN, EVERYBODY, RECIPIENT, DnsblRule, list_name
from safelist.publisher.target import Asked, Command, FilePath, LeftOut, Plan, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line
from safelist.publisher.user_prefs import Tree, why_no_path
from safelist.sender import Form, Pattern, covering, domain_of

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "spamassassin"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"
DNSBL, WELCOMELIST = "dnsbl", "welcomelist_auth"


class SpamAssassinSettings(Section):
    """Lists for SpamAssassin."""

    TITLE = "Lists for SpamAssassin: for everybody (included by /etc/spamassassin/safelist.cf), and for each recipient."
    IS_OPTIONAL = True

    path: FilePath = Field(
        description="The list for everybody; PATH.rules, PATH.recipients and the tree PATH.users stand beside it.",
        examples=["/var/lib/safelist/spamassassin/safelist"],
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
            if not _RULE.fullmatch(each):
                raise ValueError(f"{each!r} is no rule with a score, such as RCVD_IN_XBL 0.7")
        return rules


_RULE = re.compile(r"[A-Z][A-Z0-9_]{0,99}(?: -?\d+(?:\.\d+)?){1}(?:(?: -?\d+(?:\.\d+)?){3})?")


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


def why_not(text: str) -> str:
    """Why SpamAssassin could take an address or a domain for something else; empty where it cannot."""
    if _PLAIN.fullmatch(text) and not any(mark in text for mark in ("{%", "{=", "{#")):
        return ""
    return next((why for unsafe, why in _UNSAFE if unsafe.search(text)), "SpamAssassin takes it for no plain address")


_ATOM = r"[a-z0-9!$%&'+/=^_`{|}~-]+"
_PLAIN = re.compile(rf"(?:{_ATOM}(?:\.{_ATOM})*@|\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_UNSAFE = (
    (re.compile(r"[^\x00-\x7f]"), "it is not ASCII"),
    (re.compile(r"[\x00-\x20\x7f]"), "white space or a control character ends an address"),
    (re.compile(r"[*?]"), "* and ? match any other character in SpamAssassin's lists"),
    (re.compile(r"#"), "a # begins a comment"),
    (re.compile(r'["\\()]'), "SpamAssassin reads quotes, backslashes and brackets as something else"),
    (re.compile(r"\.\.|\A\.[^@]*@|\.@"), "SpamAssassin takes several dots for one"),
)


def _globs(pattern: Pattern) -> tuple[str, ...]:
    """The pattern as SpamAssassin's address lists have it."""
    if pattern.form is Form.ADDRESS:
        return (pattern.text,)
    name = domain_of(pattern)
    return (f"*@{name}", f"*@*.{name}") if pattern.form is Form.SUBDOMAINS else (f"*@{name}",)


def _tagged(address: Pattern) -> tuple[str, ...]:
    """An address as an exception, with every tag that its server may put to it (BATV)."""
    local, _, domain = address.text.rpartition("@")
    return (f"{local}@{domain}", f"*={local}@{domain}", f"prvs={local}=*@{domain}", f"prvs={local}/*@{domain}",
            f"{local}+prvs=*@{domain}")  # fmt: skip


class _Said(NamedTuple):
    """A ruling, whoever it is for."""

    pattern: Pattern
    safe: bool
    authentication: Authentication


_STRENGTH = {Authentication.NONE: 0, Authentication.DKIM_OR_SPF: 1, Authentication.SPF: 2}


def _kept(said: Iterable[_Said], *, exceptions: bool) -> tuple[list[_Said], list[LeftOut]]:
    """What SpamAssassin's lists can keep to, and what they cannot.

    Lists of domains know no order: a domain is left out below an exception, and where one below it asks for more; and
    where its list knows no exceptions, also if there is one below it.
    """
    given = {each.pattern.text: each for each in said}
    wide = {text for text, each in given.items() if each.pattern.form is not Form.ADDRESS}
    if not wide:
        return list(given.values()), []
    out: dict[str, LeftOut] = {}
    for each in given.values():
        for text in covering(each.pattern):
            if text not in wide or text == each.pattern.text:
                continue
            if why := _conflict(each, given[text], exceptions=exceptions):
                out[why.pattern.text] = why
    return [each for text, each in given.items() if text not in out], list(out.values())


def _conflict(narrow: _Said, wide: _Said, *, exceptions: bool) -> LeftOut | None:
    """Whom to leave out of a sender and a domain above it."""
    name, above = narrow.pattern.text, wide.pattern.text
    is_domain = narrow.pattern.form is not Form.ADDRESS
    if wide.safe and not narrow.safe and not exceptions:
        return LeftOut(wide.pattern, f"{name} must be an exception from it, and welcomelist_auth knows none", name)
    if not wide.safe and narrow.safe and is_domain:
        return LeftOut(narrow.pattern, f"{above} above it is an exception, and SpamAssassin's lists know no order")
    asks_more = _STRENGTH[narrow.authentication] > _STRENGTH[wide.authentication]
    if wide.safe and narrow.safe and asks_more and (is_domain or not exceptions):
        return LeftOut(wide.pattern, f"{name} below it needs {narrow.authentication}, and would be let in with less")
    return None


def _lines(said: Iterable[_Said], scope: str) -> Iterator[str]:
    """The directives of the form dnsbl."""
    for pattern, safe, authentication in said:
        is_address = pattern.form is Form.ADDRESS
        name = list_name(scope, ADDRESS if is_address else DOMAIN, authentication if safe else None)
        globs = _tagged(pattern) if is_address and not safe else _globs(pattern)
        yield f"enlist_addrlist ({name}) {' '.join(globs)}"


_WELCOMED = {
    Authentication.DKIM_OR_SPF: "welcomelist_auth",
    Authentication.SPF: "welcomelist_from_spf",
    Authentication.NONE: "welcomelist_from",
}


def _welcomed(said: Iterable[_Said], *, old: bool) -> Iterator[str]:
    """The directives of the form welcomelist_auth; exceptions are none of them."""
    for pattern, safe, authentication in said:
        if safe:
            yield f"{_named(authentication, old=old)} {' '.join(_globs(pattern))}"


def _named(authentication: Authentication, *, old: bool) -> str:
    return _WELCOMED[authentication].replace("welcomelist", "whitelist" if old else "welcomelist")


class _Wording(NamedTuple):
    """How rulings become directives. ``everybody`` has what counts for everybody, by its text."""

    is_dnsbl: bool
    old: bool
    everybody: Mapping[str, _Said]

    def directives(self, said: Iterable[_Said], scope: str) -> Iterator[str]:
        """Each a line without its end."""
        return _lines(said, scope) if self.is_dnsbl else _welcomed(said, old=self.old)

    def withdrawn(self, said: Iterable[_Said]) -> Iterator[str]:
        """What a recipient takes out of the lists for everybody, where a list knows no exceptions."""
        for pattern, safe, _ in said if not self.is_dnsbl else ():
            for each in self._reached(pattern) if not safe else ():
                yield f"un{_named(each.authentication, old=self.old)} {' '.join(_globs(each.pattern))}"

    def _reached(self, pattern: Pattern) -> Iterator[_Said]:
        """Everybody's senders that are at, above or below a pattern."""
        yield from (self.everybody[text] for text in covering(pattern) if text in self.everybody)
        if pattern.form is not Form.ADDRESS:
            below = (each for each in self.everybody.values() if pattern.text in covering(each.pattern)[1:])
            yield from below


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: SpamAssassinSettings) -> Rendering:
    """The lists, and the rules that look them up."""
    return _rendered(everybody, each, settings, _is_old(settings), _dnsbl_rules(settings))


def _rendered(
    everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: SpamAssassinSettings, old: bool,
    dnsbl: Sequence[DnsblRule],
) -> Rendering:  # fmt: skip
    is_dnsbl = settings.form == DNSBL
    kept, left_out = _kept((_Said(*ruling[:3]) for ruling in everybody), exceptions=is_dnsbl)
    wording = _Wording(is_dnsbl, old, {said.pattern.text: said for said in kept if said.safe})
    lines = [f"{line}\n".encode("ascii") for line in wording.directives(kept, EVERYBODY)]
    text = (spamassassin_rules.text(dnsbl) if is_dnsbl else spamassassin_rules.probe()).encode("ascii")
    of_recipients = _recipient_lines(each, wording, left_out)
    path = settings.path
    files = (
        TextFile(path, HEADER, lines, key=whole_line),
        TextFile(recipients(path), HEADER, of_recipients, key=whole_line),
        TextFile(rules(path), HEADER, text.splitlines(keepends=True), is_list=False),
    )
    return Rendering(files, left_out)


def _recipient_lines(each: Iterable[RecipientRuling], wording: _Wording, left_out: list[LeftOut]) -> Iterator[bytes]:
    """``RECIPIENT DIRECTIVE`` a line; who is left out is noted on the way."""
    for recipient, some in groupby(each, key=lambda ruling: ruling.recipient):
        if why := why_no_path(recipient):
            left_out.append(LeftOut(Pattern(recipient, Form.ADDRESS), f"nothing is written for this recipient: {why}"))
            continue
        kept, out = _kept((_Said(*ruling[1:]) for ruling in some), exceptions=wording.is_dnsbl)
        left_out += out
        for line in dict.fromkeys((*wording.withdrawn(kept), *wording.directives(kept, RECIPIENT))):
            yield f"{recipient} {line}\n".encode("ascii")


def _left_out(everybody: Sequence[Ruling], settings: SpamAssassinSettings) -> Iterable[LeftOut]:
    """The same without SpamAssassin."""
    return _rendered(everybody, (), settings, False, ()).left_out


def _is_old(settings: SpamAssassinSettings) -> bool:
    """Whether this machine's SpamAssassin knows the old names only; where there is none, it is new."""
    if settings.form == DNSBL or settings.old_names is not None:
        return bool(settings.old_names)
    found = program.find("spamassassin")
    said = program.run([found, "-V"]).output.decode("ascii", "replace") if found else ""
    version = re.search(r"version (\d+)\.", said)
    return version is not None and int(version[1]) < 4


def _dnsbl_rules(settings: SpamAssassinSettings) -> list[DnsblRule]:
    """The rules to be lifted, in order: those that are configured, else those that add to a mail's score here."""
    if settings.form != DNSBL:
        return []
    lines = settings.dnsbl_rules if settings.dnsbl_rules is not None else _asked(settings)
    found = [_dnsbl_rule(line) for line in lines]
    return sorted(each for each in found if max(each.scores) > 0)


def _dnsbl_rule(line: str) -> DnsblRule:
    name, *scores = line.split()
    return DnsblRule(name, tuple(float(each) for each in scores))


def _asked(settings: SpamAssassinSettings) -> list[str]:
    """Ask SpamAssassin's own library for the rules that ask a DNSBL. Raises UnavailableError."""
    perl = program.find("perl")
    paths = [str(each or "") for each in (settings.rules_path, settings.site_path)]
    outcome = program.run([perl, "-e", _PERL, *paths]) if perl else None
    if outcome is None or outcome.code != 0:
        why = outcome.complaint if outcome else "perl is not installed"
        raise UnavailableError(
            f"SpamAssassin cannot say which rules ask a DNSBL ({why}): run safelist where SpamAssassin is, or name "
            "them in [publish.spamassassin] dnsbl_rules"
        )
    return [line for line in outcome.output.decode("ascii", "replace").splitlines() if _RULE.fullmatch(line)]


_PERL = r"""
use Mail::SpamAssassin;
my ($rules, $site) = @ARGV;
my ($local) = grep { -d } '/etc/spamassassin', '/etc/mail/spamassassin';
my $sa = Mail::SpamAssassin->new({
  PREFIX => '/usr', DEF_RULES_DIR => '/usr/share/spamassassin', LOCAL_RULES_DIR => $local,
  LOCAL_STATE_DIR => '/var/lib/spamassassin', dont_copy_prefs => 1,
  $rules ? (rules_filename => $rules) : (), $site ? (site_rules_filename => $site) : (),
});
$sa->init(0);
my $conf = $sa->{conf};
my %asks = map { $_ => 1 } qw(check_rbl check_rbl_sub check_rbl_txt);
for my $name (sort keys %{$conf->{scores}}) {
  next if $name =~ /^(?:SAFELIST|__)/;
  my $function = $conf->{rbl_evals}{$name} ? $conf->{rbl_evals}{$name}[0] : '';
  next unless $asks{$function} || ($name =~ /^RCVD_IN_/ && defined $conf->{meta_tests}{$name});
  print join(' ', $name, map { sprintf '%.4f', $conf->{scoreset}[$_]{$name} // 0 } 0 .. 3), "\n";
}
"""
"""Names and scores of the rules that ask a DNSBL about the client, and of metas of them, a line each."""


@contextmanager
def _plan(inner: Any, asked: Asked, settings: SpamAssassinSettings) -> Iterator[Plan]:
    """The files, and after them the tree that is made of the recipients' list."""
    with inner(asked, settings) as plan:
        source = recipients(settings.path)
        digest = next(each.digest for each in plan.files if each.path == source)
        tree = Tree(users(settings.path), source, HEADER)
        if tree.is_of(digest):
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
