"""What the lists say, read as the rules read them, against what the policy says; needs no SpamAssassin."""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from safelist import sender, store
from safelist.override import Authentication, Terms
from safelist.policy import decide
from safelist.publisher import spamassassin_rules
from safelist.publisher.publish import publish
from safelist.publisher.spamassassin_lists import why_not
from safelist.publisher.spamassassin_rules import DnsblRule, lifting_name, names
from safelist.publisher.target import Published
from safelist.publisher.targets.spamassassin import HEADER, TARGET, SpamAssassinSettings, recipients
from safelist.store import Store
from tests import aggregate
from tests.publisher.site import NOW, as_nobody, needs_root
from tests.publisher.test_recipients import ASKED, CHOSEN, MAILBOXES, SCOPES, UNWRITABLE, filled
from tests.spamassassin.aggregate import published, said

PROOFS = {"DKIM_OR_SPF": Authentication.DKIM_OR_SPF, "SPF": Authentication.SPF, "NONE": Authentication.NONE}
STRENGTH = [Authentication.NONE, Authentication.DKIM_OR_SPF, Authentication.SPF]


def settings(directory: Path) -> SpamAssassinSettings:
    return SpamAssassinSettings.model_validate({"path": directory / "safelist", "dnsbl_rules": ["RCVD_IN_XBL 0.7"]})


def enlisted(lines: Iterable[str]) -> dict[str, list[str]]:
    """The globs of each list."""
    found: dict[str, list[str]] = {}
    for words in (line.split() for line in lines if line.startswith("enlist_addrlist")):
        found.setdefault(words[1].strip("()"), []).extend(words[2:])
    return found


def matching(lists: dict[str, list[str]], text: str) -> set[str]:
    """What follows SCOPE in the name of each list that a sender is on: ADDRESS_NONE, DOMAIN_EXCEPT."""
    on = {name for name, globs in lists.items() if any(fnmatchcase(text, glob) for glob in globs)}
    return {name.split("_", 2)[2] for name in on}


def proof(lists: dict[str, list[str]], text: str) -> Authentication | None:
    """The weakest proof with which a sender is let in; None for one who is not."""
    on = matching(lists, text)
    of = "ADDRESS" if any(each.startswith("ADDRESS") for each in on) else "DOMAIN"
    if f"{of}_EXCEPT" in on and (of == "DOMAIN" or not on - {"ADDRESS_EXCEPT"}):
        return None
    proofs = [PROOFS[each.partition("_")[2]] for each in on if each.startswith(of) and not each.endswith("EXCEPT")]
    return min(proofs, key=STRENGTH.index, default=None)


def found(chosen: SpamAssassinSettings, recipient: str, text: str) -> Authentication | None:
    """As the rule SAFELIST finds it."""
    own = recipients(chosen.path).read_text().splitlines()
    lists = enlisted(line.removeprefix(f"{recipient} ") for line in own if line.startswith(f"{recipient} "))
    if matching(lists, text):
        return proof(lists, text)
    return proof(enlisted(chosen.path.read_text().splitlines()), text)


def wrong(opened: Store, chosen: SpamAssassinSettings, seed: int) -> Iterator[tuple[str, str, bool, bool]]:
    """Recipient and sender, whether the policy lets in, and the lists, where they differ or ask for less."""
    policy = CHOSEN[seed % 3]
    moment, policy = opened.newest(NOW), replace(policy, own_domains=policy.own_domains | opened.own_domains())
    for recipient in (*MAILBOXES, "nobody@corp.example"):
        for text in (*ASKED, *(each for each in UNWRITABLE if not why_not(each))):
            decision = decide(opened.candidate(sender.parse(text), recipient, policy, moment)[0], policy, NOW)
            weakest = found(chosen, recipient, text)
            if decision.safe is not (weakest is not None):
                yield recipient, text, decision.safe, weakest is not None
            elif weakest and STRENGTH.index(weakest) < STRENGTH.index(decision.authentication):
                yield recipient, text, True, True


@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_let_in_whom_the_policy_does_not_and_who_is_lost_was_left_out(tmp_path: Path, seed: int) -> None:
    chosen = settings(tmp_path)
    with store.open_store(aggregate.create(tmp_path / "safelist.db")) as opened:
        filled(opened, random.Random(seed), SCOPES)
        done = publish(opened, CHOSEN[seed % 3], TARGET, chosen, lambda: NOW)
        differ = list(wrong(opened, chosen, seed))
    assert [each for each in differ if each[3]] == []
    left_out = {each.pattern for each in done.refused}
    lost = [each for each in differ if not any(pattern in left_out for pattern in _above(each[1]))]
    assert lost == []


def _above(text: str) -> list[sender.Pattern]:
    return [sender.parse(each) for each in sender.covering(sender.parse(text))]


def test_every_list_has_a_name_of_its_own() -> None:
    all_ = [*names("EVERYBODY"), *names("RECIPIENT")]
    assert len(set(all_)) == len(all_) == 16


def test_no_rule_has_a_longer_name_than_spamassassin_takes_without_a_word() -> None:
    """40 characters; rules that begin alike are told apart."""
    long = "RCVD_IN_VALIDITY_CERTIFIED_BLOCKED"
    assert lifting_name("RCVD_IN_XBL") == "SAFELIST_RCVD_IN_XBL"
    assert lifting_name(long) == "SAFELIST_RCVD_IN_VALIDITY_CERTI_FC142245"
    assert lifting_name(f"{long}_2") == "SAFELIST_RCVD_IN_VALIDITY_CERTI_F23658F7"
    written = spamassassin_rules.text(
        [DnsblRule(long, (1.0, 1.0, 1.0, 1.0)), DnsblRule("R" * 100, (1.0, 1.0, 1.0, 1.0))]
    )
    assert f"meta {lifting_name(long)} (SAFELIST && {long})\n" in written
    rules = [line.split()[1] for line in written.splitlines() if line.startswith(("meta ", "header ", "score "))]
    assert [each for each in rules if len(each) > 40 and not each.startswith("__")] == []


def test_a_stronger_demand_below_a_domain_takes_the_domain_out(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    given = [said(".p.example", needs=Authentication.NONE), said(".s.p.example", needs=Authentication.SPF)]
    done = published(TARGET, chosen, [*given, said("x@p.example", needs=Authentication.SPF)])
    assert [each.pattern.text for each in done.refused] == [".p.example"]
    assert [found(chosen, "d@corp.example", each) for each in ("a@p.example", "a@s.p.example", "x@p.example")] == [
        None, Authentication.SPF, Authentication.SPF,
    ]  # fmt: skip


def test_a_safe_domain_below_an_exception_is_left_out(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    given = [said(".p.example"), said(".s.p.example", safe=False), said("t.s.p.example"), said("x@s.p.example")]
    done = published(TARGET, chosen, given)
    assert [each.pattern.text for each in done.refused] == ["t.s.p.example"]
    asked = ("a@p.example", "a@s.p.example", "a@t.s.p.example", "x@s.p.example")
    assert [found(chosen, "d@corp.example", each) is not None for each in asked] == [True, False, False, True]


def test_a_recipient_who_trusts_nobody_any_more_has_no_file(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    published(TARGET, chosen, [said("x@p.example", "d@corp.example"), said("x@p.example", "e@corp.example")])
    tree = tmp_path / "safelist.users/corp.example"
    assert sorted(each.name for each in tree.iterdir()) == ["d", "e"]
    (tree / "e/bayes_seen").write_text("theirs")
    published(TARGET, chosen, [])
    assert sorted(str(each.relative_to(tree)) for each in tree.rglob("*")) == ["e", "e/bayes_seen"]


def test_a_tree_that_is_not_whole_is_made_again(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    given = [said("x@p.example", "d@corp.example")]
    published(TARGET, chosen, given)
    file = tmp_path / "safelist.users/corp.example/d/user_prefs"
    file.unlink()
    (tmp_path / "safelist.users/.published").unlink()
    assert published(TARGET, chosen, given, dry_run=True).changed
    assert not file.exists()
    assert published(TARGET, chosen, given).changed
    assert file.read_text().endswith("enlist_addrlist (SAFELIST_RECIPIENT_ADDRESS_DKIM_OR_SPF) x@p.example\n")
    assert not published(TARGET, chosen, given).changed


def tree(tmp_path: Path) -> Path:
    """The directory of a recipient in the tree, which is another's, and the tree not made to its end."""
    chosen = settings(tmp_path)
    published(TARGET, chosen, [said("x@p.example", "d@corp.example"), said("x@p.example", "e@corp.example")])
    (tmp_path / "safelist.users/.published").unlink()
    return tmp_path / "safelist.users/corp.example"


BOTH = [said("y@p.example", "d@corp.example"), said("y@p.example", "e@corp.example")]


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, _: Path) -> None:
    path.mkdir()


def large(path: Path, _: Path) -> None:
    """More than the memory holds, and none of the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


PUT: Mapping[str, Callable[[Path, Path], None]] = {
    "pipe": pipe, "directory": directory, "link": Path.symlink_to, "large": large,
}  # fmt: skip


def failure(done: Published) -> str:
    """What did not succeed, although the lists were written."""
    return str(done.failed or "")


@pytest.mark.parametrize("kind", PUT)
def test_whatever_lies_where_a_preferences_file_belongs_is_left_alone_and_the_others_are_written(
    tmp_path: Path, kind: str
) -> None:
    corp = tree(tmp_path)
    mine, theirs = corp / "d/user_prefs", tmp_path / "theirs"
    theirs.write_bytes(HEADER)
    mine.unlink()
    PUT[kind](mine, theirs)
    assert failure(published(TARGET, settings(tmp_path), BOTH)).startswith(f"{mine}: safelist did not write this file")
    assert "y@p.example" in (corp / "e/user_prefs").read_text()
    assert theirs.read_bytes() == HEADER


def test_a_file_in_place_of_a_recipients_directory_keeps_nobody_else_from_theirs(tmp_path: Path) -> None:
    corp = tree(tmp_path)
    shutil.rmtree(corp / "d")
    (corp / "d").write_text("theirs")
    assert failure(published(TARGET, settings(tmp_path), BOTH)).startswith(f"{corp}/d/user_prefs: safelist did not")
    assert "y@p.example" in (corp / "e/user_prefs").read_text()


def test_links_in_a_circle_in_place_of_a_recipients_directory_keep_nobody_else_from_theirs(tmp_path: Path) -> None:
    corp = tree(tmp_path)
    shutil.rmtree(corp / "d")
    (corp / "d").symlink_to(corp / "d")
    assert failure(published(TARGET, settings(tmp_path), BOTH)).startswith(f"{corp}/d/user_prefs: safelist did not")
    assert "y@p.example" in (corp / "e/user_prefs").read_text()
    assert published(TARGET, settings(tmp_path), BOTH, dry_run=True).changed


@pytest.fixture
def ours() -> Iterator[Path]:
    """A directory of a user's who is not root, and may not do everything."""
    with tempfile.TemporaryDirectory(prefix="safelist-") as name:
        os.chown(name, 65534, 65534)
        yield Path(name)


@needs_root
@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300])
@pytest.mark.parametrize("given", [BOTH, BOTH[1:]], ids=["in the list", "not in it any more"])
def test_a_recipient_who_lets_nobody_in_keeps_nobody_else_from_theirs(
    ours: Path, mode: int, given: list[Terms]
) -> None:
    """Who is not in the list any more is named as well: what was written for them may count still."""
    with as_nobody():
        corp = tree(ours)
        (corp / "d").chmod(mode)
        done = published(TARGET, settings(ours), given)
        assert (corp / "e/user_prefs").read_text().endswith("y@p.example\n")
        assert failure(done).startswith(f"{corp}/d/user_prefs: safelist did not write this file, or")
        (corp / "d").chmod(0o700)
        assert not failure(published(TARGET, settings(ours), given))


def test_what_waits_for_the_new_file_is_not_written_to(tmp_path: Path) -> None:
    """A hard link, by which the owner of a recipient's directory means another's file."""
    corp = tree(tmp_path)
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    os.link(theirs, corp / f"d/.user_prefs.new-{os.getpid()}")
    (corp / "d/.user_prefs.new-x").mkdir()
    published(TARGET, settings(tmp_path), BOTH)
    assert theirs.read_text() == "theirs"
    assert [each.name for each in (corp / "d").iterdir() if each.is_file()] == ["user_prefs"]


def test_nothing_below_a_recipients_directory_is_removed(tmp_path: Path) -> None:
    """What looks like a directory there may be a link to another recipient's by the time that it is entered."""
    corp = tree(tmp_path)
    (corp / "d/deeper").mkdir()
    (corp / "d/deeper/user_prefs").write_bytes(HEADER)
    published(TARGET, settings(tmp_path), BOTH)
    assert (corp / "d/deeper/user_prefs").read_bytes() == HEADER
