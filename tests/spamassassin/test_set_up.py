"""The documents' steps to the lists, on a spamd that knows nothing of safelist yet, with the check after each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist import store
from safelist.publisher.targets.spamassassin import SpamAssassinSettings, snippet
from tests import aggregate
from tests.cli.command import Command
from tests.docs.documents import PAGES
from tests.filter.dns_server import nameserver
from tests.mail.world import ALL, BOB, DESK, OFFERS, zone
from tests.publisher.site import NOW
from tests.spamassassin.aggregate import said
from tests.spamassassin.servers import RULE, STOCK, Spamd, missing, received, site, spamd

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGE = PAGES["docs/filters/spamassassin.md"]
PATH = "/var/lib/safelist-spamassassin/safelist"
TRUSTED = received(OFFERS["trusted pair"])


def blocks(path: Path) -> list[str]:
    """What stands in the code blocks of the way, in its order, for other places and another user."""
    texts = [block.text for block in PAGE.blocks(heading="The way")]
    return [text.replace(PATH, str(path)).replace("-u debian-spamd", "-u nobody") for text in texts]


@pytest.fixture
def directories() -> Iterator[tuple[Path, Path]]:
    with nameserver(zone()) as dns, site(dns.address) as (root, _, files):
        yield root, files / "safelist"


@pytest.fixture
def safelist(tmp_path: Path, directories: tuple[Path, Path]) -> Command:
    """One sender is safe for everybody, one for the desk; nothing is published."""
    url = aggregate.create(tmp_path / "safelist.db")
    with store.open_store(url) as opened:
        opened.make_overrides([said(ALL), said(BOB, DESK)], NOW, "root")
    return Command(tmp_path)


def configure(safelist: Command, section: str, root: Path, port: int) -> None:
    more = f'rules_path = "{STOCK}"\nsite_path = "{root}/site"\nspamc_options = "-p {port}"\n'
    safelist.config.write_text(f'[database]\nurl = "sqlite:///{safelist.directory}/safelist.db"\n{section}{more}')


def fault(safelist: Command) -> str:
    """The one that the check finds; empty where there is none."""
    done = safelist("check", "spamassassin", "--json")
    found = [row["text"] for row in done.json if row["fault"]]
    assert (done.code, done.err) == (78 if found else 0, "")
    assert len(found) <= 1, found
    return "".join(found)


def is_lifted(running: Spamd) -> bool:
    _, fired = running.verdict(DESK, TRUSTED)
    assert RULE in fired
    return f"SAFELIST_{RULE}" in fired


def test_the_steps_in_their_order(safelist: Command, directories: tuple[Path, Path]) -> None:
    root, path = directories
    section, first, include, daemon, _ = blocks(path)
    install, publish = first.splitlines()
    assert install == f"install -d -m 755 {Path(PATH).parent}"
    assert include + daemon == snippet(path).replace("-u debian-spamd", "-u nobody")
    options = daemon.splitlines()[1].partition("=")[2].strip('"').split()
    with spamd(root, ["-x", "-u", "nobody", "--max-children=1"]) as running:
        configure(safelist, section, root, running.port)
        assert "safelist has not been published: run `safelist publish`" in fault(safelist)
        done = safelist(*publish.split()[1:], "--json")
        assert (done.code, done.err) == (0, "")
        assert done.json[0]["use"] == snippet(path)
        assert f"does not read {path}.rules: write /etc/spamassassin/safelist.cf" in "".join(
            row["text"] for row in safelist("check", "spamassassin", "--json").json
        )
        (root / "site/safelist.cf").write_text(include)
        assert f"does not know what was published for everybody ({ALL}): systemctl reload spamd" in fault(safelist)
        running.reload()
        assert f"does not know what was published for {DESK} ({BOB}): start it with" in fault(safelist)
        assert not is_lifted(running)
    assert "no spamd answers" in fault(safelist)
    with spamd(root, [*options, "--max-children=1"]) as running:
        configure(safelist, section, root, running.port)
        assert fault(safelist) == ""
        assert is_lifted(running)
        assert safelist("check", "spamassassin").out.endswith("no faults\n")
        assert safelist("override", "allow", "new@partner.example", "--reason", "x").code == 0
        assert safelist("publish").code == 0
        assert f"does not know what was published for everybody ({ALL}): systemctl reload spamd" in fault(safelist)
        running.reload()
        assert fault(safelist) == ""


def test_what_is_wrong_before_any_program_is_asked(safelist: Command, directories: tuple[Path, Path]) -> None:
    root, path = directories
    configure(safelist, "", root, 1)
    safelist.config.write_text(safelist.config.read_text().partition("rules_path")[0])
    assert "has no [publish.spamassassin]: write that section" in fault(safelist)
    section, *_ = blocks(path)
    configure(safelist, f'{section}dnsbl_rules = ["RCVD_IN_XBL 0.7"]\n', root, 1)
    assert safelist("publish").code == 0
    users = path.with_name("safelist.users")
    (users / ".published").unlink()
    assert f"{users} is not what {path}.recipients says: run `safelist publish`" in fault(safelist)
    assert safelist("publish").code == 0
    desk = users / "corp.example/desk/user_prefs"
    written = desk.read_bytes()
    desk.unlink()
    assert f"{desk} is not what {path}.recipients says: run `safelist publish`, which writes it anew" in fault(safelist)
    assert safelist("publish", "--dry-run", "--json").json[0]["changed"]
    assert safelist("publish").code == 0
    assert desk.read_bytes() == written
    desk.write_bytes(written + b"score GTUBE 0\n")
    assert safelist("publish").code == 0
    assert desk.read_bytes() == written
    assert not safelist("publish", "--json").json[0]["changed"]
    (root / "site/safelist.cf").write_text("scoer X 1\n")
    assert "`spamassassin --lint` finds faults" in fault(safelist)


def test_a_preferences_file_of_somebody_else_is_left_alone_and_named(
    safelist: Command, directories: tuple[Path, Path]
) -> None:
    root, path = directories
    section, *_ = blocks(path)
    configure(safelist, f'{section}dnsbl_rules = ["RCVD_IN_XBL 0.7"]\n', root, 1)
    mine = path.with_name("safelist.users") / "corp.example/desk/user_prefs"
    mine.parent.mkdir(parents=True)
    mine.write_text("required_score 7\n")
    done = safelist("publish")
    assert done.code == 78
    assert f"{mine}: safelist did not write this file" in done.err
    assert "it is left alone, so nothing new counts for that recipient; move it" in done.err
    assert mine.read_text() == "required_score 7\n"
    with store.open_store(f"sqlite:///{safelist.directory}/safelist.db") as opened:
        for each in opened.overrides():
            opened.revoke_overrides([each.id], "x", NOW, "root")
    assert safelist("publish").code == 0
    assert mine.read_text() == "required_score 7\n", "nor is it removed"


def test_settings_refuse_rules_without_scores() -> None:
    with pytest.raises(ValueError, match="is no rule with a score"):
        SpamAssassinSettings.model_validate({"path": PATH, "dnsbl_rules": ["RCVD_IN_XBL"]})
