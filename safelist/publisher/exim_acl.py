"""What Exim's configuration has to say to use the lists of the target ``exim``: macros and ACL texts. Pure.

The words are those of Exim's specification: "Access control lists", "String expansions", "File and database lookups",
and, for the names of the macros and where Debian includes the files, of Debian's exim4-config.
"""

from typing import NamedTuple

MARK = "acl_m_safelist"
"""What the names of all variables begin with, and nobody else's."""
LISTED = "is listed at"
"""What the answer says to a client that the DNSBL refuses."""
DIRECTORY = "/etc/exim4"


class EximLists(NamedTuple):
    """Where the lists are, how Exim looks them up, what DNSBLs they lift, and whether DKIM may prove a sender."""

    everybody: str
    recipients: str
    lookup: str
    dnslists: str
    dkim: bool

    @property
    def opened(self) -> tuple[str, str]:
        """The files that Exim opens: the list for single recipients, and the one for everybody."""
        suffix = ".cdb" if self.lookup == "cdb" else ""
        return f"{self.recipients}{suffix}", f"{self.everybody}{suffix}"


def files(lists: EximLists) -> dict[str, str]:
    """Each file of Exim's configuration, by its name, with what it has to hold."""
    macros = f"CHECK_RCPT_LOCAL_ACL_FILE = {DIRECTORY}/safelist_rcpt\n"
    found = {"exim4.conf.localmacros": macros, "safelist_rcpt": _rcpt(lists)}
    if lists.dkim:
        found["exim4.conf.localmacros"] += (
            f"CHECK_DATA_LOCAL_ACL_FILE = {DIRECTORY}/safelist_data\nacl_smtp_dkim = {DIRECTORY}/safelist_dkim\n"
        )
        found |= {"safelist_data": _DATA, "safelist_dkim": _DKIM}
    return found


def snippet(lists: EximLists) -> str:
    """All of it, each file behind a comment that names it."""
    return "\n".join(
        f"# {DIRECTORY}/{name}{_NOTES.get(name, '')}\n{text}" for name, text in files(lists).items()
    )  # fmt: skip


_NOTES = {"exim4.conf.localmacros": " (with Debian's split configuration: conf.d/main/000_localmacros)"}


# An address whose local part needs no quotes, in a domain of letters, digits, hyphens and underscores.
_PLAIN = r"\N^[a-z0-9!#$%&'*+/=?^_`{|}~.-]+@[a-z0-9_.-]+$\N"
_QUOTED = r'\N^"([^"\\]+)"(?=@[^@]+$)\N'
# The tags of safelist.sender.untagged (BATV).
_TAG = "[0-9]{4}[0-9a-f]{6}"
_TAGGED = (
    rf"\N^(?:prvs=(?!{_TAG}=)(.+)[=/]{_TAG}|(?:prvs|msprvs1)=[^=]+=(.+)|btv1==[^=]+==(.+)|(.+)\+prvs={_TAG})"
    r"(@[^@]+)$\N"
)
_FROM = [f"${MARK}_0", f"${MARK}_1", f"${MARK}_2"]


_LIFTED = "none:dkim-or-spf"
# A message has one answer at DATA: recipients for whom the sender has to sign come in one of their own.
_RCPT_DKIM = f"""\
# Who has to sign is decided on at DATA, and there is one answer for all recipients of a mail.
.ifndef CHECK_DATA_LOCAL_ACL_FILE
warn
  condition = ${{if eq{{${MARK}}}{{dkim-or-spf}}}}
  set {MARK} = spf
.endif
defer
  condition = ${{if inlist{{${MARK}}}{{{_LIFTED}}}}}
  condition = ${{if def:{MARK}_way}}
  !condition = ${{if eq{{${MARK}_way}}{{${MARK}}}}}
  message = 452 4.5.3 Please send the mail to this recipient apart from the others
warn
  condition = ${{if inlist{{${MARK}}}{{{_LIFTED}}}}}
  set {MARK}_way = ${MARK}
"""


def _rcpt(lists: EximLists) -> str:
    pairs, everybody = lists.opened
    return f"""\
# What a listed client's sender has to prove: none, spf or dkim-or-spf; no, or nothing, where the DNSBL decides.
warn
  set {MARK} =
warn
  dnslists = {lists.dnslists}
  set {MARK}_listed = $sender_host_address {LISTED} $dnslist_domain${{if def:dnslist_text{{: $dnslist_text}}}}
  set {MARK}_0 = ${{sg{{${{lc:$sender_address}}}}{{{_QUOTED}}}{{\\$1}}}}
  condition = ${{if match{{{_FROM[0]}}}{{{_PLAIN}}}}}
  set {MARK}_tagged = {_TAGGED}
  set {MARK}_1 = ${{sg{{{_FROM[0]}}}{{${MARK}_tagged}}{{\\$1\\$2\\$3\\$4\\$5}}}}
  set {MARK}_2 = ${{sg{{{_FROM[1]}}}{{${MARK}_tagged}}{{\\$1\\$2\\$3\\$4\\$5}}}}
  condition = ${{if !match{{{_FROM[2]}}}{{${MARK}_tagged}}}}
  set {MARK}_to = ${{lc:$local_part@$domain}}
  set {MARK} = ${{if and{{{{exists{{{pairs}}}}}{{match{{${MARK}_to}}{{{_PLAIN}}}}}}}{{\\
{_looked_up(lists.lookup, pairs, f">${MARK}_to")}}}}}
  condition = ${{if eq{{${MARK}}}{{}}}}
  set {MARK} = ${{if and{{{{exists{{{pairs}}}}}{{exists{{{everybody}}}}}}}{{\\
{_looked_up(lists.lookup, everybody, "")}}}}}
.ifdef _HAVE_SPF
# Who has proven himself has nothing more to prove.
warn
  condition = ${{if inlist{{${MARK}}}{{spf:dkim-or-spf}}}}
  spf = pass
  set {MARK} = none
.endif
{_RCPT_DKIM if lists.dkim else ""}# In the place of every other deny that asks a DNSBL.
deny
  !condition = ${{if inlist{{${MARK}}}{{{_LIFTED if lists.dkim else "none"}}}}}
  dnslists = {lists.dnslists}
  message = $sender_host_address {LISTED} $dnslist_domain${{if def:dnslist_text{{: $dnslist_text}}}}
"""


def _looked_up(lookup: str, path: str, behind: str) -> str:
    """The value of the first key that is there: the sender, what it is behind its tags, its domain, those above it."""
    text = f"    ${{lookup{{${{domain:{_FROM[0]}}}{behind}}}partial2(.){lookup}{{{path}}}}}"
    for sender in reversed(_FROM):
        text = f"    ${{lookup{{{sender}{behind}}}{lookup}{{{path}}}{{$value}}{{\\\n{text}}}}}"
    return text


# A second one may come in front of what was signed, hold no address, and be what people see.
_TWO_FROM = r"\N(?is)\nfrom[ \t]*:.*\nfrom[ \t]*:\N"
_DATA = f"""\
deny
  condition = ${{if def:{MARK}_way}}
  condition = ${{if eq{{${MARK}_way}}{{dkim-or-spf}}}}
  !condition = ${{if and{{{{def:{MARK}_signed}}{{eqi{{${{address:$rh_From:}}}}{{${MARK}_2}}}}\\
    {{!match{{\\n$message_headers_raw}}{{{_TWO_FROM}}}}}}}}}
  message = ${MARK}_listed
"""
_DKIM = f"""\
warn
  dkim_status = pass
  condition = ${{if eqi{{$dkim_domain}}{{$sender_address_domain}}}}
  condition = ${{if inlisti{{from}}{{$dkim_headernames}}}}
  condition = ${{if >={{$dkim_bodylength}}{{9999999999}}}}
  condition = ${{if <{{$tod_epoch}}{{$dkim_expires}}}}
  !condition = ${{if eq{{$dkim_key_testing}}{{1}}}}
  set {MARK}_signed = yes
accept
"""
