"""Whether this machine's Exim asks the lists that were published, and whom it lifts the DNSBL for.

What stands in a configuration proves little: Exim is asked itself, in SMTP and up to RCPT TO, as from 127.0.0.2, which
every DNSBL lists (RFC 5782, 5) and for which every SPF record passes (libspf2 takes loopback for its own). First by
``exim -bh``, which reads the configuration as it is now, then the running daemon, which read it when it was started.
"""

import re
import smtplib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from safelist.errors import UnavailableError
from safelist.publisher import program
from safelist.publisher.exim_acl import DIRECTORY, LISTED, MARK, EximLists, files
from safelist.remark import Remark
from safelist.sender import covering, envelope

MANY = 10_000
"""Lines of a list from which on reading it takes longer than all else that a refused recipient does (7 ms)."""
STRANGER = "safelist-check@example.org"
TEST_CLIENT = "127.0.0.2"
_SECONDS = 60


class Installation(NamedTuple):
    """``command``: how Exim is called. ``spf``: whether it is said to have SPF. ``recipient``: a mailbox to ask about.

    ``header`` is what the lists begin with.
    """

    command: Sequence[str]
    spf: bool
    recipient: str
    header: bytes


class SmtpAnswer(NamedTuple):
    """A reply's code and text; the code is 0 where there was none."""

    code: int
    text: str

    @property
    def is_listed(self) -> bool:
        """Whether the DNSBL is why."""
        return self.code >= 500 and LISTED in self.text

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


def without_section() -> Iterator[Remark]:
    """What to say where the configuration has no such section."""
    yield Remark(
        True,
        "the configuration has no [publish.exim]: write that section, with the list's file as `path`, and run "
        "`safelist publish`; without it there is no list that Exim's ACLs could ask",
    )


def remarks(lists: EximLists, installation: Installation) -> Iterator[Remark]:
    """Ask the Exim of this machine. Raises UnavailableError where there is none."""
    exim = _Exim(_command(installation.command))
    about = exim.run("-bV")
    if about.code != 0:
        yield Remark(
            True,
            f"Exim cannot read its configuration ({about.complaint}): correct that before Exim is started or reloaded, "
            "for it would not come up again",
        )
        return
    said = about.output.decode(errors="replace")
    yield from _abilities(said, lists, installation)
    unpublished = [*_unpublished(lists, installation.header)]
    yield from unpublished
    missing = [*_missing(exim, lists, has_spf=_has(said, "SPF"))]
    yield from missing
    if not any(each.is_fault for each in (*unpublished, *missing)):
        yield from _asked(exim, lists, installation.recipient, has_spf=_has(said, "SPF"))


def _command(words: Sequence[str]) -> list[str]:
    name, *options = words or ("exim4",)
    found = program.find(name) or (program.find("exim") if name == "exim4" else None)
    if found is None:
        raise UnavailableError(
            f"{name} is not installed here: run this check on the machine where Exim is, or say in [publish.exim] "
            "command how it is called"
        )
    return [found, *options]


class _Exim(NamedTuple):
    command: Sequence[str]

    def run(self, *options: str, given: bytes = b"") -> program.Ended:
        return program.run([*self.command, *options], given, _SECONDS)

    def option(self, name: str) -> str:
        """What an option of the main section is set to."""
        return self.run("-bP", name).output.decode(errors="replace").partition("=")[2].strip()


def _has(said: str, word: str) -> bool:
    """Whether ``exim -bV`` names it."""
    return re.search(rf"^(Support for|Lookups [^:]*): (.* )?{word}( |$)", said, re.MULTILINE) is not None


def _abilities(said: str, lists: EximLists, installation: Installation) -> Iterator[Remark]:
    if not _has(said, "SPF") and installation.spf:
        instead = "only by DKIM" if lists.dkim else "never"
        yield Remark(
            True,
            f"this Exim has no SPF (`exim4 -bV`), so it believes senders whose mail must prove itself {instead}: "
            "apt-get install exim4-daemon-heavy, or set [publish.exim] spf = false, so that `safelist publish` says "
            "who is left out",
        )
    if _has(said, "SPF") and not installation.spf:
        yield Remark(False, "this Exim has SPF, and [publish.exim] spf = false keeps senders out who could prove so")
    if lists.dkim and not _has(said, "DKIM"):
        yield Remark(True, "this Exim has no DKIM (`exim4 -bV`): set [publish.exim] dkim = false")
    if not _has(said, lists.lookup):
        yield Remark(True, f"this Exim has no {lists.lookup} (`exim4 -bV`): set another [publish.exim] lookup")


def _unpublished(lists: EximLists, header: bytes) -> Iterator[Remark]:
    for path in lists.opened:
        text = path.removesuffix(".cdb") if lists.lookup == "cdb" else path
        try:
            with Path(path).open("rb"), Path(text).open("rb") as file:
                begin, lines = file.read(len(header)), sum(1 for _ in file)
        except FileNotFoundError:
            yield Remark(
                True, f"{path} is not there: run `safelist publish`; until then Exim lifts the DNSBL for nobody"
            )
            continue
        except OSError as error:
            yield Remark(
                True, f"{path} cannot be read: {error.strerror}; this command must be able to, and so must Exim"
            )
            continue
        if begin != header:
            yield Remark(True, f"safelist did not write {text}: correct [publish.exim] path, or move it and publish")
        elif lines > MANY and lists.lookup == "lsearch":
            yield Remark(
                False,
                f'{text} has {lines} lines, which Exim reads one by one: set [publish.exim] lookup = "cdb", publish, '
                "and replace the ACL's text",
            )


def _missing(exim: _Exim, lists: EximLists, *, has_spf: bool) -> Iterator[Remark]:
    """What the configuration does not say although it should."""
    wanted, where = files(lists), exim.option("acl_smtp_rcpt")
    sections = {where: _lines(where)} | _acls(exim.run("-bP", "config").output.decode(errors="replace"))
    asks = {name: text for name, text in sections.items() if any(f"set {MARK} =" in line for line in text)}
    if not asks:
        configured = exim.run("-bP", "configure_file").output.decode(errors="replace").strip()
        yield Remark(True, f"Exim's configuration ({configured}) does not ask the lists: {_first_step(configured)}")
    elif where not in asks:
        yield Remark(
            True,
            f"the lines stand in {' and '.join(asks)}, and at RCPT TO Exim asks {where or 'no ACL'} (acl_smtp_rcpt): "
            "move them there",
        )
    elif absent := _absent(wanted["safelist_rcpt"], asks[where], has_spf=has_spf):
        yield _differs("safelist_rcpt", where, absent)
    if lists.dkim and asks:
        yield from _missing_for_dkim(exim, wanted, sections, has_spf=has_spf)


_THEN = "run `update-exim4.conf` and `systemctl reload exim4`"


def _first_step(configured: str) -> str:
    """What is to be done before a configuration asks the lists, from the first thing on that is not done."""
    text = f"{DIRECTORY}/safelist_rcpt"
    if Path(configured).name != "config.autogenerated":  # as update-exim4.conf(8) makes it
        return f"write {text} as above, `.include` it into the ACL that acl_smtp_rcpt names, and reload Exim"
    macro, names = f"CHECK_RCPT_LOCAL_ACL_FILE = {text}", re.compile(rf"^CHECK_RCPT_LOCAL_ACL_FILE\s*=\s*{text}\s*$")
    places = [f"{DIRECTORY}/exim4.conf.localmacros", f"{DIRECTORY}/conf.d/main/000_localmacros"]
    if "dc_use_split_config='true'" in _lines(f"{DIRECTORY}/update-exim4.conf.conf"):
        places.reverse()
    read, other = places
    is_named, is_named_elsewhere = (any(map(names.match, _lines(place))) for place in places)
    if not Path(text).exists():
        return (
            f"{text} is not there: write it as above"
            + ("" if is_named else f", `{macro}` into {read}")
            + f", and {_THEN}"
        )
    if is_named:
        return f"{text} is there, and {read} names it: {_THEN}"
    unread = f"; {other}, where it stands, is not read here" if is_named_elsewhere else ""
    return f"{text} is there, and nothing names it: add `{macro}` to {read}, and {_THEN}{unread}"


def _missing_for_dkim(
    exim: _Exim, wanted: Mapping[str, str], sections: Mapping[str, Sequence[str]], *, has_spf: bool
) -> Iterator[Remark]:
    for name, option in (("safelist_data", "acl_smtp_data"), ("safelist_dkim", "acl_smtp_dkim")):
        where = exim.option(option)
        there = sections.get(where, _lines(where))
        if absent := _absent(wanted[name], there, has_spf=has_spf):
            yield _differs(name, where or f"{option}, which is not set,", absent)


def _differs(name: str, where: str, absent: Sequence[str]) -> Remark:
    return Remark(
        True,
        f"{where} lacks what safelist prints for it, `{absent[0][:120]}` for one: write {DIRECTORY}/{name} as above, "
        "see that the macros name it, run `update-exim4.conf` and `systemctl reload exim4`",
    )


def _lines(path: str) -> list[str]:
    """The statements of an ACL in a file of its own."""
    try:
        return [" ".join(line.split()) for line in Path(path).read_text().splitlines()] if path[:1] == "/" else []
    except OSError:
        return []


def _acls(configuration: str) -> dict[str, list[str]]:
    """Each ACL that ``exim -bP config`` prints, by its name: its lines, with one space between words."""
    found: dict[str, list[str]] = {}
    name = ""
    below = configuration.partition("\nbegin acl")[2].partition("\nbegin ")[0]
    for line in below.splitlines():
        label = re.fullmatch(r"\s*(\w+):\s*", line)
        name = label[1] if label else name
        found.setdefault(name, []).append(" ".join(line.split()))
    return found


def _absent(text: str, there: Sequence[str], *, has_spf: bool) -> list[str]:
    """The statements of a printed text that are not there; how the DNSBLs are named and answered is the site's own."""
    block, absent = "", list[str]()
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        statement = " ".join(line.split())
        if statement.startswith("."):
            block = "" if statement == ".endif" else statement
        elif not re.match(r"#|dnslists|message|set \w+_listed", statement) and not (
            block.startswith(".ifndef") or (block and not has_spf)
        ):
            absent += [] if statement in there else [statement]
    return absent


class _Pair(NamedTuple):
    sender: str
    recipient: str


def _asked(exim: _Exim, lists: EximLists, recipient: str, *, has_spf: bool) -> Iterator[Remark]:
    """Ask for a published sender and for a stranger: of the configuration, and of the running Exim."""
    pair = _published(lists, recipient, has_spf=has_spf)
    if pair is None:
        yield Remark(
            False,
            "Exim could not be asked about anybody: no safe sender is published for a single recipient; name an "
            "existing mailbox as [publish.exim] probe_recipient, or check again when somebody is published",
        )
        return
    answers = _by_trial(exim, pair)
    if fault := _fault(pair, answers):
        why = _unlisted(exim, lists) if answers.stranger.code == 250 else ""
        yield Remark(True, f"asked by `exim -bh {TEST_CLIENT}`, Exim {why or fault}")
    else:
        yield from _running(exim, pair)


def _published(lists: EximLists, recipient: str, *, has_spf: bool) -> _Pair | None:
    """A safe address whom Exim can believe on loopback, and a recipient."""
    provable = {"none"} | ({"spf", "dkim-or-spf"} if has_spf else {"dkim-or-spf"} if lists.dkim else set())
    excepted = set[str]()
    for sender, to, value in _entries(lists.recipients):
        if value in provable and "@" in sender:
            return _Pair(sender, to)
        excepted |= {sender} if to == recipient else set()
    for sender, _, value in _entries(lists.everybody) if recipient else ():
        if value in provable and "@" in sender and excepted.isdisjoint(covering(envelope(sender))):
            return _Pair(sender, recipient)
    return None


def _entries(path: str) -> Iterator[tuple[str, str, str]]:
    """Sender, recipient (empty: everybody) and value of each line."""
    with Path(path).open(encoding="ascii", errors="replace") as file:
        for line in islice(file, 1, None):
            key, _, value = line.strip().rpartition(" ")
            sender, _, recipient = key.strip('"').partition(">")
            yield sender, recipient, value


class _Answers(NamedTuple):
    """At RCPT TO, or at MAIL FROM where that was refused."""

    stranger: SmtpAnswer
    safe: SmtpAnswer


def _by_trial(exim: _Exim, pair: _Pair) -> _Answers:
    """What ``exim -bh`` answers."""
    lines = ["EHLO safelist.invalid"]
    for sender in (STRANGER, pair.sender):
        lines += [f"MAIL FROM:<{sender}>", f"RCPT TO:<{pair.recipient}>", "RSET"]
    outcome = exim.run("-bh", TEST_CLIENT, given="".join(f"{line}\r\n" for line in [*lines, "QUIT"]).encode())
    replies = re.findall(r"^([2-5][0-9][0-9]) (.*?)\r?$", outcome.output.decode(errors="replace"), re.MULTILINE)
    answers = [SmtpAnswer(int(code), text) for code, text in replies]
    nothing = SmtpAnswer(0, f"nothing ({outcome.complaint})")
    asked = [*answers, *[nothing] * 8][2:8]  # behind the greeting and EHLO's: MAIL, RCPT, RSET, twice
    return _Answers(_first_refusal(asked[0:2]), _first_refusal(asked[3:5]))


def _first_refusal(answers: Sequence[SmtpAnswer]) -> SmtpAnswer:
    return next((each for each in answers if each.code != 250), answers[-1])


class _Fault(NamedTuple):
    """What is wrong with Exim's answers, and what mends it where its configuration on disk is the one that answered."""

    symptom: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.symptom}{self.remedy}"


def _fault(pair: _Pair, answers: _Answers) -> _Fault | None:
    """What is wrong with these answers; None where the stranger is refused for the DNSBL, and the safe one is not."""
    stranger, safe = answers
    if safe.is_listed:
        return _Fault(
            f"refuses {pair.sender} to {pair.recipient}, who is published, for the DNSBL ({safe})",
            ": another `deny dnslists` stands above the lines, or Exim may not read the lists; take that deny out, or "
            "let Exim's user read them",
        )
    if safe.code != 250:
        symptom = f"answers {pair.sender} to {pair.recipient} with {safe}"
        return _Fault(symptom, ": what says so, not the DNSBL, has to be mended")
    if stranger.code == 250:
        return _Fault(
            f"accepts {STRANGER}, a stranger from a listed client",
            ": an `accept` stands above the lines; move them up to directly behind the check of the recipient, and "
            "above every accept but those of own clients",
        )
    if not stranger.is_listed:
        return _Fault(f"answers a stranger with {stranger} before it asks the DNSBL", ", so that nothing can be told")
    return None


def _unlisted(exim: _Exim, lists: EximLists) -> str:
    """Whether no DNSBL lists the test point, as Exim's resolver has it; why, where that is so."""
    names = [re.split(r"[=!&,/]", item.strip())[0] for item in lists.dnslists.split(":")]
    for name in names:
        found = exim.run("-be", f"${{lookup dnsdb{{a=2.0.0.127.{name}}}{{listed}}}}")
        if b"listed" in found.output:
            return ""
    return (
        f"gets no answer for the test point of {' or '.join(names)}: a DNSBL that lists not even 127.0.0.2 refuses "
        "nobody; some answer no public resolver: let this machine ask its own"
    )


def _running(exim: _Exim, pair: _Pair) -> Iterator[Remark]:
    host, port = listens(exim.option("local_interfaces"), exim.option("daemon_smtp_ports"))
    try:
        fault = _fault(pair, _by_daemon(host, port, pair))
    except (OSError, smtplib.SMTPException) as error:
        yield Remark(True, f"no Exim answers at {host} port {port} ({error}): start it, `systemctl start exim4`")
        return
    if fault:
        yield Remark(
            True,
            "the running Exim has not read the configuration that is on disk: `systemctl reload exim4`, or where that "
            f"does not help let Exim's user read the lists; it {fault.symptom}",
        )
        return
    yield Remark(
        False,
        f"Exim lifts the DNSBL for {pair.sender} to {pair.recipient}, and refuses a stranger: asked by `exim -bh` and "
        f"of the running one at {host} port {port}, as from {TEST_CLIENT}",
    )


def listens(interfaces: str, ports: str) -> tuple[str, int]:
    """Where the daemon listens for clients of this machine (local_interfaces, daemon_smtp_ports)."""
    port = ports.split(":")[0].strip()
    numbered = int(port) if port.isdigit() else 25
    for item in re.findall(r"(?<![\d.])\d+\.\d+\.\d+\.\d+(?:\.\d+)?", interfaces):
        host, own = ".".join(item.split(".")[:4]), item.split(".")[4:]
        return ("127.0.0.1" if host == "0.0.0.0" else host), int(own[0]) if own else numbered  # noqa: S104
    return "127.0.0.1", numbered


def _by_daemon(host: str, port: int, pair: _Pair) -> _Answers:
    with smtplib.SMTP(host, port, timeout=_SECONDS, source_address=(TEST_CLIENT, 0)) as smtp:
        smtp.ehlo("safelist.invalid")
        return _Answers(*(_rcpt(smtp, each, pair.recipient) for each in (STRANGER, pair.sender)))


def _rcpt(smtp: smtplib.SMTP, sender: str, recipient: str) -> SmtpAnswer:
    code, text = smtp.mail(sender)
    if code == 250:
        code, text = smtp.rcpt(recipient)
    smtp.rset()
    return SmtpAnswer(code, text.decode(errors="replace"))
