"""Senders and recipients that mean something else to somebody's parser, read back by a real spamd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher.target import Published
from safelist.publisher.targets.spamassassin import TARGET, SpamAssassinSettings, snippet
from safelist.sender import Form, unquoted
from tests.filter.dns_server import nameserver
from tests.mail.hostile import ADDRESSES, BYSTANDERS, DOMAINS, RECIPIENTS
from tests.mail.world import BOB, DESK, OTHER, zone
from tests.spamassassin.aggregate import published, said
from tests.spamassassin.servers import Spamd, missing, site, spamd

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

NONE = Authentication.NONE
"""So that the list alone decides."""
PATTERNS = [each for each in map(sender.parse, ADDRESSES) if each.form is Form.ADDRESS]
WHOLE = [each for each in map(sender.parse, DOMAINS) if each.form in (Form.DOMAIN, Form.SUBDOMAINS)]
OWNERS = [each.text for each in map(sender.parse, RECIPIENTS) if each.form is Form.ADDRESS]


@pytest.fixture(scope="module", params=[DESK, ""], ids=["desk", "everybody"])
def given(request: pytest.FixtureRequest) -> Iterator[tuple[Spamd, Published]]:
    """All of them are safe for the desk or for everybody, without authentication; BOB for every odd recipient."""
    terms = [said(each.text, request.param, needs=NONE) for each in (*PATTERNS, *WHOLE)]
    terms += [said(BOB, each, needs=NONE) for each in OWNERS]
    with nameserver(zone()) as dns, site(dns.address) as (root, configuration, files):
        chosen = SpamAssassinSettings.model_validate({"path": files / "safelist", "dnsbl_rules": ["RCVD_IN_XBL 0.7"]})
        done = published(TARGET, chosen, terms)
        include, _, daemon = snippet(chosen.path).partition("# /etc/default/spamd")
        (configuration / "safelist.cf").write_text(include)
        options = daemon.partition("=")[2].strip().strip('"').replace("debian-spamd", "nobody").split()
        with spamd(root, ["--local", *options, "--max-children=1"], root / "bare") as running:
            yield running, done


def counts(running: Spamd, sender_: str, recipient: str) -> bool:
    """Whether the sender is safe for the recipient, with the address in the header and in the envelope."""
    local, _, name = sender_.rpartition("@")
    mail = f"Return-Path: <{local}@{name}>\r\nFrom: <{local}@{name}>\r\nSubject: x\r\n\r\nx\r\n"
    return "SAFELIST" in running.verdict(recipient, mail.encode())[1]


def left_out(done: Published) -> set[str]:
    return {each.pattern.text for each in done.refused}


def test_each_address_counts_or_was_reported(given: tuple[Spamd, Published]) -> None:
    running, done = given
    out = left_out(done)
    lost = [each.text for each in PATTERNS if each.text not in out and not counts(running, each.text, DESK)]
    assert lost == []
    assert len([each for each in PATTERNS if each.text not in out]) > 15


def test_each_domain_counts_or_was_reported(given: tuple[Spamd, Published]) -> None:
    running, done = given
    for each in WHOLE:
        if each.text in left_out(done):
            continue
        name = each.text.removeprefix(".")
        assert counts(running, f"somebody@{name}", DESK), each
        below = Form.SUBDOMAINS is each.form or f".{name}" in {other.text for other in WHOLE}
        assert counts(running, f"somebody@below.{name}", DESK) is below, each


def test_nobody_else_counts(given: tuple[Spamd, Published]) -> None:
    running, done = given
    out = [unquoted(each) for each in PATTERNS if each.text in left_out(done)]
    assert [each for each in BYSTANDERS if counts(running, each, DESK)] == []
    assert [each for each in out if each.isascii() and counts(running, each, DESK)] == []
    if done.files[0].entries == 0:
        assert [each.text for each in PATTERNS if counts(running, each.text, OTHER)] == []


def test_each_recipient_has_a_file_or_was_reported(given: tuple[Spamd, Published]) -> None:
    running, done = given
    for each in OWNERS:
        assert counts(running, BOB, each) is (each not in left_out(done)), each
    assert counts(running, BOB, DESK) is False
    assert {"desk+a@corp.example", "-d@corp.example"} <= set(OWNERS) - left_out(done)


def test_the_tree_is_where_it_is(given: tuple[Spamd, Published]) -> None:
    """No recipient's name leads out of it."""
    root = given[0].files
    assert sorted(path.name for path in Path(root).iterdir()) == [
        "safelist", "safelist.recipients", "safelist.rules", "safelist.users",
    ]  # fmt: skip
    assert [path.name for path in (root / "safelist.users").iterdir() if path.is_dir()] == ["corp.example"]
