"""What this machine's SpamAssassin says of itself: its version, and the rules that ask a DNSBL."""

import re
from pathlib import Path

from safelist.errors import UnavailableError
from safelist.publisher import program
from safelist.publisher.spamassassin_rules import DnsblRule

RULE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}(?: -?\d+(?:\.\d+)?){1}(?:(?: -?\d+(?:\.\d+)?){3})?")
"""A rule with its score, or with its four."""


def knows_old_names_only() -> bool:
    """Whether this machine's SpamAssassin knows the old names only; where there is none, it is new."""
    found = program.find("spamassassin")
    said = program.run([found, "-V"]).output.decode("ascii", "replace") if found else ""
    version = re.search(r"version (\d+)\.", said)
    return version is not None and int(version[1]) < 4


def dnsbl_rule(line: str) -> DnsblRule:
    """A rule's name, and its score or its four."""
    name, *scores = line.split()
    return DnsblRule(name, tuple(float(each) for each in scores))


def dnsbl_rules(rules_path: Path | None, site_path: Path | None) -> list[DnsblRule]:
    """Ask SpamAssassin's own library for the rules that ask a DNSBL. Raises UnavailableError."""
    perl = program.find("perl")
    paths = [str(each or "") for each in (rules_path, site_path)]
    outcome = program.run([perl, "-e", _PERL, *paths]) if perl else None
    if outcome is None or outcome.code != 0:
        why = outcome.complaint if outcome else "perl is not installed"
        raise UnavailableError(
            f"SpamAssassin cannot say which rules ask a DNSBL ({why}): run safelist where SpamAssassin is, or name "
            "them in [publish.spamassassin] dnsbl_rules"
        )
    lines = outcome.output.decode("ascii", "replace").splitlines()
    return [dnsbl_rule(line) for line in lines if RULE.fullmatch(line)]


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
