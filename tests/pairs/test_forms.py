"""What each form of a file for other filters says, by its reader: nobody too many, and nobody lost without a report."""

import csv
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from safelist import sender, store
from safelist.entry import Holding, UserList
from safelist.override import Authentication, Effect, Override, Terms
from safelist.policy import Candidate, Settings, Tally, decide
from safelist.publisher.line_formats import FORMATS
from safelist.publisher.publish import publish
from safelist.publisher.target import Aggregate, Published
from safelist.publisher.targets import configured, pairs
from safelist.publisher.text_target import KEPT
from safelist.sender import Form, Pattern, covering
from tests import aggregate
from tests.mail import hostile
from tests.pairs import readers
from tests.publisher.site import NOW, Given
from tests.publisher.test_recipients import ASKED, CHOSEN, MAILBOXES, SCOPES, UNWRITABLE, filled

DESK = "desk@corp.example"
HOLDERS = ("recipient|sender", "haraka", "csv", "json-lines", "mailscanner")


def write(path: Path, given: Aggregate, policy: Settings, **keys: Any) -> Published:
    chosen = pairs.PairsSettings.model_validate({"path": path, **keys})
    return publish(given, policy, configured("pairs", chosen), chosen, lambda: NOW, allow_shrink=True)


class Both(Given):
    """These for everybody, and the others for single recipients."""

    def __init__(self, everybody: Sequence[Candidate], recipients: Sequence[Candidate]) -> None:
        super().__init__(everybody)
        self._recipients = recipients

    def recipients_candidates(self, _: object) -> Any:
        """All of them."""
        yield from self._recipients


def voted(text: str) -> Candidate:
    return Candidate(pattern := sender.parse(text), (Tally(pattern, 2),))


def held(recipient: str, text: str, list_: UserList = UserList.SAFE_SENDERS) -> Candidate:
    pattern = sender.parse(text)
    return Candidate(pattern, recipient=recipient, entries=(Holding(recipient, list_, pattern, NOW, None),))


NONE = Settings(authentication=Authentication.NONE, include_domains=True)
Said = Mapping[tuple[str, str], bool]
"""What stands in the files: of recipient (empty: everybody) and sender, whether it is safe."""


def of_csv(path: Path) -> Said:
    return {(row["recipient"], row["sender"]): row["safe"] == "true" for row in readers.rows(path)}


def of_json(path: Path) -> Said:
    return {(row["recipient"] or "", row["sender"]): row["safe"] for row in readers.values(path)}


def of_lines(path: Path) -> Said:
    found = {("", line): True for line in readers.lines(path)}
    for line in readers.lines(path.with_name(f"{path.name}.recipients")):
        recipient, text = line.split("|")
        found[recipient, text] = True
    return found


_RULE = re.compile(r"From: (\S+)(?: and To: (\S+))? yes")


def of_a_ruleset(path: Path) -> Said:
    """The rules of MailScanner, as patterns of ours; the last line of what is no comment is its default."""
    default, *rules = readers.lines(path)
    assert default == "FromOrTo: default no"
    found = {}
    for rule in rules:
        match = _RULE.fullmatch(rule)
        assert match, rule
        text = match[1].removeprefix("*@*") if match[1].startswith("*@*") else match[1].removeprefix("*@")
        found[match[2] or "", text] = True
    return found


READ: Mapping[str, Callable[[Path], Said]] = {
    "csv": of_csv, "json-lines": of_json, "recipient|sender": of_lines, "haraka": of_lines,
    "mailscanner": of_a_ruleset,
}  # fmt: skip


def is_safe(said: Said, recipient: str, text: str) -> bool:
    """As the page says that a reader finds it."""
    keys = covering(sender.parse(text))
    for whom in (recipient, ""):
        for key in keys:
            if (whom, key) in said:
                return said[whom, key]
    return False


@pytest.mark.parametrize("name", ["csv", "recipient|sender", "mailscanner"])
@pytest.mark.parametrize("seed", range(6))
def test_the_file_calls_nobody_safe_who_is_not(tmp_path: Path, name: str, seed: int) -> None:
    """And, where it holds all that the policy can say, everybody who is."""
    settings, path = CHOSEN[seed % 3], tmp_path / "file"
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES)
        done = write(path, opened, settings, format=name, unauthenticated=True)
        said, moment = READ[name](path), opened.newest(NOW)
        left_out = {each.pattern.text for each in done.refused}
        for recipient in (*MAILBOXES, "nobody@corp.example"):
            for text in (*ASKED, *UNWRITABLE):
                own = Settings(**{**vars_of(settings), "own_domains": settings.own_domains | opened.own_domains()})
                candidate, _ = opened.candidate(sender.parse(text), recipient, own, moment)
                decision, found = decide(candidate, own, NOW).safe, is_safe(said, recipient, text)
                assert not found or decision, (recipient, text)
                reported = not left_out.isdisjoint(covering(sender.parse(text)))
                assert found or not decision or reported, (recipient, text)
                if name in ("csv", "json-lines"):
                    assert found is decision, (recipient, text)


def vars_of(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


def hostile_patterns() -> list[Pattern]:
    texts = (*hostile.ADDRESSES, *hostile.DOMAINS, *hostile.BROKEN)
    return list({each for text in texts if (each := sender.parse(text)).form is not Form.REFUSED})


@pytest.mark.parametrize("name", HOLDERS)
def test_hostile_senders_and_recipients_are_read_back_or_reported(tmp_path: Path, name: str) -> None:
    patterns, path = hostile_patterns(), tmp_path / "file"
    recipients = sorted({sender.parse(text).text for text in hostile.RECIPIENTS} | {DESK})
    given = Both([voted(each.text) for each in patterns], [held(r, each.text) for r in recipients for each in patterns])
    done = write(path, given, NONE, format=name)
    left_out = {each.pattern.text for each in done.refused}
    said = READ[name](path)
    meant = {(r, each.text) for r in ("", *recipients) for each in patterns}
    assert set(said) <= meant
    assert all(said.values())
    for recipient, text in meant - set(said):
        assert text in left_out or recipient in left_out, (recipient, text)
    assert len({text for whom, text in said if whom == DESK}) > 15
    for text in hostile.BYSTANDERS:
        if not {each.text for each in patterns}.intersection(covering(sender.parse(text))):
            assert not is_safe(said, DESK, text), text


@pytest.mark.parametrize("name", ["mailcow", "exchange", "microsoft-365"])
def test_hostile_senders_for_everybody_are_read_back_or_reported(tmp_path: Path, name: str) -> None:
    patterns, path = hostile_patterns(), tmp_path / "file"
    done = write(path, Given([voted(each.text) for each in patterns]), NONE, format=name, limit=5000)
    left_out = {each.pattern for each in done.refused}
    (form,) = [each for each in readers.FORMS if each.name == name]
    addresses = {each.text for each in patterns if each.form is Form.ADDRESS}
    asked = {*addresses, *hostile.BYSTANDERS}
    meant = {text for text in asked if {each.text for each in patterns}.intersection(covering(sender.parse(text)))}
    found = form.read(path, asked)
    assert found <= meant
    for text in addresses - found:
        assert sender.parse(text) in left_out, text
    assert len(found) > 20
    assert not any(mark in path.read_text() for mark in ("{%", "{#", "{="))


RSPAMADM = shutil.which("rspamadm")
_LUA = """
local regexp = require "rspamd_regexp"
for line in io.lines(MAP) do
  if not line:match("^#") then
    local compiled = regexp.create(line)
    for each in io.lines(ASKED) do if compiled:match(each) then print(line .. "\\t" .. each) end end
  end
end
"""


@pytest.mark.skipif(RSPAMADM is None, reason="apt-get install rspamd")
def test_rspamd_matches_by_the_map_what_pcre_does(tmp_path: Path) -> None:
    """mailcow's maps are read by rspamd."""
    assert RSPAMADM
    patterns, path, asked, script = hostile_patterns(), tmp_path / "map", tmp_path / "asked", tmp_path / "ask.lua"
    write(path, Given([voted(each.text) for each in patterns]), NONE, format="mailcow")
    texts = [each.text for each in patterns if each.form is Form.ADDRESS]
    texts += [*hostile.BYSTANDERS, "X@HOSTILE-domain.example", "x@b.hostile-domain.example"]
    asked.write_text("".join(f"{text}\n" for text in texts))
    script.write_text(_LUA.replace("MAP", f'"{path}"').replace("ASKED", f'"{asked}"'))
    done = subprocess.run([RSPAMADM, "lua", str(script)], capture_output=True, text=True, check=True)
    by_rspamd = {line.split("\t")[1] for line in done.stdout.splitlines() if "\t" in line}
    assert by_rspamd == readers.matched(path, texts)
    assert len(by_rspamd) > 20
    assert {"X@HOSTILE-domain.example", "x@b.hostile-domain.example"} <= by_rspamd


def test_a_spreadsheet_finds_no_formula_and_python_finds_every_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    senders = ["=x@a.example", "+x@a.example", "-x@a.example", 'x"y@a.example', '"a,b"@a.example', "x@a.example"]
    done = write(path, Given([voted(each) for each in senders]), NONE, format="csv")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["recipient", "sender", "kind", "safe", "authentication"]
    assert {tuple(row) for row in rows} == {
        ("", '"a,b"@a.example', "address", "true", "none"), ("", "x@a.example", "address", "true", "none")
    }  # fmt: skip
    assert {each.pattern.text for each in done.refused} == {"=x@a.example", "+x@a.example", "-x@a.example"}
    assert not any(cell[:1] in "=+-@" for row in rows for cell in row if cell)


def test_what_a_mail_has_to_prove_is_a_column_or_a_reason_to_leave_out(tmp_path: Path) -> None:
    given = Given([voted("x@a.example")])
    spf = Settings(authentication=Authentication.SPF)
    for name, read in (("csv", readers.rows), ("json-lines", readers.values)):
        write(tmp_path / name, given, spf, format=name)
        rows: Sequence[Mapping[str, Any]] = read(tmp_path / name)
        assert [row["authentication"] for row in rows] == ["spf"]
    for name in set(FORMATS) - {"csv", "json-lines"}:
        path = tmp_path / name.replace("|", "-")
        (refused,) = write(path, given, spf, format=name).refused
        assert "its mail must prove itself (spf)" in refused.why
        assert b"x@a" not in path.read_bytes()
        assert write(path, given, spf, format=name, unauthenticated=True).refused == ()


def test_a_sender_whom_one_recipient_blocks_is_safe_for_those_who_hold_it(tmp_path: Path) -> None:
    """Where no exception can be said: for everybody it would be safe for who blocks it, too."""
    path = tmp_path / "file"
    everybody = [voted("news@a.example"), voted("other@b.example")]
    recipients = [held("ann@corp.example", "news@a.example", UserList.BLOCKED_SENDERS), held(DESK, "news@a.example")]
    done = write(path, Both(everybody, recipients), NONE, format="recipient|sender")
    assert of_lines(path) == {("", "other@b.example"): True, (DESK, "news@a.example"): True}
    assert [each.pattern.text for each in done.refused] == ["news@a.example"]
    assert "somebody for whom it would count has an exception" in done.refused[0].why
    write(path, Both(everybody, recipients[1:]), NONE, format="recipient|sender")
    assert ("", "news@a.example") in of_lines(path)


def test_an_exception_takes_the_domain_above_it_out(tmp_path: Path) -> None:
    block = Override(1, Terms(Effect.BLOCK, sender.parse("bad@a.example"), "x"), NOW, "root")
    given = [
        voted(".a.example"),
        voted("b.example"),
        voted("x@a.example"),
        Candidate(block.terms.pattern, (), (block,)),
    ]
    for name, rest in (("mailcow", {"b.example", "x@a.example"}), ("recipient|sender", {"b.example", "x@a.example"})):
        done = write(tmp_path / name.replace("|", "-"), Given(given), NONE, format=name)
        assert [each.pattern.text for each in done.refused] == [".a.example"]
        assert done.entries == len(rest)
    assert json.loads(in_json(tmp_path, given)["bad@a.example"]) is False


def in_json(directory: Path, given: Sequence[Candidate]) -> dict[str, str]:
    path = directory / "json"
    write(path, Given(given), NONE, format="json-lines")
    return {row["sender"]: json.dumps(row["safe"]) for row in readers.values(path)}


def test_no_more_than_the_reader_takes(tmp_path: Path) -> None:
    path = tmp_path / "file.ps1"
    senders = [f"s{number:03}@a.example" for number in range(130)] + [f"d{number:03}.example" for number in range(105)]
    done = write(path, Given([voted(each) for each in senders]), NONE, format="exchange")
    text = path.read_text()
    assert (text.count("$safelistSenders +="), text.count("$safelistDomains +=")) == (100, 100)
    assert len(done.refused) == 35
    assert {each.why for each in done.refused} == {
        "the reader takes no more than 100, and the first by the alphabet are written"
    }
    script = path.with_name("file.apply.ps1").read_text()
    assert "Set-ContentFilterConfig -BypassedSenders $safelistSenders" in script
    assert ". (Join-Path $PSScriptRoot 'file.ps1')" in script
    done = write(
        tmp_path / "tenant.ps1", Given([voted(each) for each in senders]), NONE, format="microsoft-365", limit=7
    )
    assert done.entries == 7
    assert "-RemoveAfter 45" in (tmp_path / "tenant.apply.ps1").read_text()


def test_powershell_keeps_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "file.ps1"
    write(
        path,
        Given([voted("o'brien@a.example"), voted("$(x)@a.example"), voted("$x@a.example")]),
        NONE,
        format="exchange",
    )
    assert "$safelistSenders += 'o''brien@a.example'\n" in path.read_text()
    assert set(readers.powershell_strings(path.read_text())) == {"o'brien@a.example", "$x@a.example"}


def test_of_what_is_left_out_for_recipients_the_first_are_named_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    domains = [held(f"r{number}@corp.example", f"d{number}.example") for number in range(KEPT + 3)]
    keys = {"template": "{{ recipient }} {{ sender }}", "holds": ["recipients"]}
    done = write(path, Both([], domains), NONE, format="template", **keys)
    assert (len(done.refused), done.entries) == (KEPT, 0)
    assert [note for note in done.notes if f"{KEPT} are named, and 3 more are not" in note] != []


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"opensmtpd"}))
def test_the_check_takes_no_other_file_for_the_published_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    chosen = pairs.PairsSettings.model_validate({"path": path, "format": name})

    def faults() -> list[str]:
        return [each.text for each in pairs.check(chosen) if each.is_fault]

    assert f"{path} is not there: run `safelist publish`" in faults()[0]
    write(path, Given([]), NONE, format=name)
    assert faults() == []
    for each in [path, *([recipients] if (recipients := tmp_path / "file.recipients").exists() else [])]:
        text = each.read_bytes()
        each.write_text("bob@partner.example\n")
        assert faults() == [f"{each}: safelist did not write this file; correct `path`, or move it and publish"]
        each.unlink()
        assert len(faults()) == 1
        each.write_bytes(text)
