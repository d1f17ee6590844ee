"""What may stand in ``[publish.exim]``, and what the target says of itself for that."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from safelist.override import Authentication
from safelist.publisher.targets import exim
from tests.exim.site import ROWS, chosen, write
from tests.mail.world import ALL, BOB, DESK, PLAIN


@pytest.mark.parametrize(("keys", "said"), [
    ({"dnslists": "zen.spamhaus.org\ndeny"}, "must name DNSBLs in one line"),
    ({"dnslists": " "}, "must name DNSBLs in one line"),
    ({"probe_recipient": "desk@corp.example>\r\nDATA"}, "must be an address"),
    ({"lookup": "dbm"}, "'lsearch' or 'cdb'"),
])  # fmt: skip
def test_what_an_acl_cannot_hold_is_a_fault(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        exim.EximSettings.model_validate({"path": "/var/lib/safelist-exim/safelist", **keys})


@pytest.mark.parametrize(("keys", "kept"), [
    ({}, tuple(Authentication)),
    ({"dkim": True}, tuple(Authentication)),
    ({"spf": False, "dkim": True}, (Authentication.DKIM_OR_SPF, Authentication.NONE)),
    ({"spf": False}, (Authentication.NONE,)),
], ids=str)  # fmt: skip
def test_who_could_never_prove_himself_is_left_out(tmp_path: Path, keys: dict[str, Any], kept: tuple[str, ...]) -> None:
    settings = chosen(tmp_path / "list", **keys)
    done = write(ROWS, settings)
    lines = [line.split() for path in tmp_path.glob("list*") for line in path.read_text().splitlines()[1:]]
    assert {value for _, value in lines if value != "no"} == set(kept)
    assert len([value for _, value in lines if value != "no"]) + len(left_out(done)) == len(ROWS)
    assert ("Left out" in exim.demands(settings)) is True


def left_out(done: Any) -> list[str]:
    return [each.pattern.text for each in done.refused]


def test_the_lists_are_what_the_module_says(tmp_path: Path) -> None:
    settings = chosen(tmp_path / "list")
    write(
        [*ROWS, (DESK, ".partner.example", False, Authentication.SPF), ("", "#x@a.example", True, ROWS[0][3])], settings
    )
    assert settings.path.read_bytes() == exim.HEADER + (
        b'"#x@a.example" dkim-or-spf\nall@partner.example dkim-or-spf\nfax@partner.example none\n'
    )
    assert exim.recipients(settings.path).read_text().splitlines()[1:4] == [
        f".partner.example>{DESK} no", f"{BOB}>{DESK} dkim-or-spf", f"{PLAIN}>{DESK} dkim-or-spf",
    ]  # fmt: skip
    assert ALL not in exim.recipients(settings.path).read_text()


@pytest.mark.skipif(not shutil.which("cdb"), reason="apt-get install tinycdb")
def test_an_index_that_was_left_is_kept_up_to_date(tmp_path: Path) -> None:
    """The ACL may still name it."""
    write(ROWS[:1], chosen(tmp_path / "list", lookup="cdb"))
    before = (tmp_path / "list.cdb").read_bytes()
    done = write(ROWS[:2], chosen(tmp_path / "list"))
    assert (tmp_path / "list.cdb").read_bytes() != before
    assert any("list.cdb is of another type than the one that is configured" in note for note in done.notes)
    assert not write(ROWS[:2], chosen(tmp_path / "list")).changed


def test_no_text_is_taken_for_a_template_or_holds_an_accept_at_rcpt(tmp_path: Path) -> None:
    for lookup in ("lsearch", "cdb"):
        text = exim.use(chosen(tmp_path / "list", lookup=lookup, dkim=True))
        assert not any(each in text for each in ("{%", "{=", "{#"))
        rcpt = text.partition("/safelist_rcpt\n#")[2].partition("\n# /etc")[0]
        assert "accept" not in rcpt
        assert len(rcpt) > 1000
