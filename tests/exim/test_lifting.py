"""Whom the DNSBL is lifted for, by real Exims with the configuration of Debian: by a daemon, and by ``exim4 -bh``."""

import time
from collections.abc import Iterator, Mapping

import pytest

from safelist.publisher.targets import exim
from tests.exim.machine import RELAYED, Machine, Reply, missing
from tests.exim.site import ROWS, SIGNED, chosen, files, write
from tests.mail.world import ALL, BOB, CLEAN, DESK, EVIL, FORGER, LISTED, OFFERS, OTHER, THIRD, Offer, signed_with
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ASKED: Mapping[str, Offer] = {**OFFERS, **SIGNED}
BY_SPF: Mapping[str, set[str]] = {
    "trusted pair": {DESK}, "other recipient": set(), "everybody": {OTHER}, "spf fails": set(), "dkim only": set(),
    "dkim without dmarc": set(), "two recipients": {DESK}, "forged envelope, own dmarc": set(), "forged header": set(),
    "forged header, signed by another": set(), "nobody's": set(),
    "envelope, dkim only": set(), "envelope, dkim without dmarc": set(), "envelope, signed by another": set(),
    "envelope, signed from another": set(), "envelope, spf wanted, signed": set(), "envelope, spf wanted": {DESK},
    "none wanted": {OTHER}, "none wanted of one, dkim of the other": {OTHER}, "tagged": {DESK},
    "tagged twice": {DESK}, "tagged and signed": set(),
}  # fmt: skip
"""The recipients who get each mail, where Exim asks SPF alone."""
BY_DKIM: Mapping[str, set[str]] = {
    "envelope, dkim only": {DESK}, "envelope, dkim without dmarc": {DESK}, "tagged and signed": {DESK},
}  # fmt: skip
"""Those who get more where DKIM may prove a sender, too."""
WITHOUT_SPF: Mapping[str, set[str]] = {
    "trusted pair": set(), "everybody": set(), "two recipients": set(), "envelope, spf wanted": set(),
    "tagged": set(), "tagged twice": set(),
}  # fmt: skip
"""Those who get less where Exim has no SPF."""


@pytest.fixture(params=["split", "single"])
def by_spf(request: pytest.FixtureRequest, heavy: Machine) -> Machine:
    settings = chosen(heavy.lists / "by-spf")
    write(ROWS, settings)
    heavy.configure(files(settings), split=request.param == "split")
    return heavy


@pytest.fixture
def by_dkim(heavy: Machine) -> Iterator[Machine]:
    settings = chosen(heavy.lists / "by-dkim", dkim=True, lookup="cdb")
    write(ROWS, settings)
    heavy.configure(files(settings))
    with heavy.daemon():
        yield heavy


def got(replies: Mapping[str, Reply]) -> set[str]:
    """Who gets the mail; nobody else may have been refused for another reason."""
    for code, text in replies.values():
        assert code == 250 or "is listed at dnsbl.example: listed for a test" in text or code == 452, text
    return {each for each, (code, _) in replies.items() if code == 250}


def test_by_spf_as_debian_configures_it(by_spf: Machine) -> None:
    assert {case: got(by_spf.offer(offer)) for case, offer in ASKED.items()} == BY_SPF


def test_by_spf_or_dkim_by_a_daemon(by_dkim: Machine) -> None:
    found = {case: got(by_dkim.send(offer)) for case, offer in ASKED.items()}
    assert found == {**BY_SPF, **BY_DKIM}


def test_without_spf_by_dkim_or_nothing(light: Machine) -> None:
    settings = chosen(light.lists / "safelist", dkim=True)
    write(ROWS, settings)
    light.configure(files(settings))
    found = {case: got(light.offer(offer)) for case, offer in ASKED.items()}
    assert found == {**BY_SPF, **WITHOUT_SPF, **BY_DKIM}


def test_a_recipient_for_whom_the_sender_must_sign_comes_apart(by_dkim: Machine) -> None:
    """A message has one answer at DATA: who needs no signature must not lose the mail to one who does."""
    with by_dkim.connected(FORGER) as smtp:
        smtp.mail("fax@partner.example")
        assert smtp.rcpt(OTHER)[0] == 250
        assert smtp.rcpt(THIRD) == (452, b"4.5.3 Please send the mail to this recipient apart from the others")
        smtp.rset()
        smtp.mail("fax@partner.example")
        assert smtp.rcpt(THIRD)[0] == 250
        assert smtp.rcpt(OTHER)[0] == 452
        assert smtp.data(b"From: fax@partner.example\r\n\r\nunsigned\r\n")[0] == 550
        smtp.mail("fax@partner.example")
        assert smtp.rcpt(OTHER)[0] == 250
        assert smtp.data(b"From: fax@partner.example\r\n\r\nunsigned\r\n")[0] == 250


FORGED = Offer(BOB, client=FORGER, signer="partner.example").message()


@pytest.mark.parametrize("spoiled", [
    FORGED.replace(b"Please find", b"Please pay"),
    b"From: eve@evil.example\r\n" + FORGED,
    b"From:\r\n" + FORGED,
    b"From : eve@evil.example\r\n" + b"X-Long: y\r\n" * 20_000 + FORGED,
    FORGED.replace(b"From: bob@", b"From: eve@"),
    FORGED.replace(b"DKIM-Signature", b"X-Signature"),
], ids=["text", "second From", "empty From", "From that Exim takes for none", "From", "no signature"])  # fmt: skip
def test_what_is_not_as_it_was_signed_proves_nothing(by_dkim: Machine, spoiled: bytes) -> None:
    assert answered(by_dkim, FORGED) == 250
    assert spoiled != FORGED
    assert answered(by_dkim, spoiled) == 550


def test_a_signature_that_has_expired_proves_nothing(by_dkim: Machine) -> None:
    now, mail = int(time.time()), Offer(BOB).message()
    for tags, code in {"": 250, f"x={now + 3600};": 250, f"t={now - 7200}; x={now - 3600};": 550}.items():
        assert answered(by_dkim, signed_with(tags, mail, "partner.example")) == code, tags


def answered(site: Machine, mail: bytes) -> int:
    with site.connected(FORGER) as smtp:
        smtp.mail(BOB)
        assert smtp.rcpt(DESK)[0] == 250
        return smtp.data(mail)[0]


def test_nothing_else_is_lifted(by_dkim: Machine) -> None:
    """Not the control of relaying, nor the check of the recipient; and whom no DNSBL lists is not asked for more."""
    assert by_dkim.send(Offer(BOB, ("someone@foreign.example",)))["someone@foreign.example"][0] == 550
    assert "relay not permitted" in by_dkim.send(Offer(ALL, ("x@foreign.example",)))["x@foreign.example"][1]
    assert by_dkim.send(Offer(BOB, ("absent@corp.example",)))["absent@corp.example"] == (550, "Unrouteable address")
    assert by_dkim.send(Offer(EVIL, client=CLEAN))[DESK][0] == 250
    with by_dkim.connected(LISTED) as smtp:
        smtp.mail(ALL)
        assert smtp.rcpt(f"x@{RELAYED}")[0] == 250
        smtp.rset()
        smtp.mail(EVIL)
        assert smtp.rcpt(f"x@{RELAYED}") == (550, b"198.51.100.7 is listed at dnsbl.example: listed for a test")


@pytest.mark.parametrize("place", ["first", "before relay control"])
def test_wherever_the_lines_stand_nobody_may_relay(heavy: Machine, place: str) -> None:
    settings = chosen(heavy.lists / "by-spf")
    write(ROWS, settings)
    misplaced = dict(files(settings))
    lines = misplaced["/etc/exim4/safelist_rcpt"]
    heavy.configure({**misplaced, "/etc/exim4/safelist_rcpt": ""} | {"/etc/exim4/x_rcpt": lines}, split=True)
    generated = heavy.root / "var/lib/exim4/config.autogenerated"
    text = generated.read_text().replace("  .include CHECK_RCPT_LOCAL_ACL_FILE", "")
    before = "acl_check_rcpt:\n" if place == "first" else "  require\n    message = relay not permitted\n"
    assert before in text
    include = "  .include /etc/exim4/x_rcpt\n"
    generated.write_text(text.replace(before, before + include if place == "first" else include + before))
    assert got(heavy.offer(Offer(BOB))) == {DESK}
    for client in (LISTED, CLEAN):
        for each in (BOB, ALL, "fax@partner.example"):
            answer = heavy.offer(Offer(each, ("x@foreign.example",), client))["x@foreign.example"]
            assert answer == (550, "relay not permitted") or "is listed at" in answer[1]


def test_before_the_first_publication_the_dnsbl_decides_and_a_new_list_needs_no_reload(heavy: Machine) -> None:
    settings = chosen(heavy.lists / "later")
    heavy.configure(files(settings))
    with heavy.daemon():
        assert got(heavy.send(OFFERS["trusted pair"])) == set()
        assert got(heavy.send(Offer(EVIL, client=CLEAN))) == {DESK}
        assert write(ROWS, settings).changed
        assert got(heavy.send(OFFERS["trusted pair"])) == {DESK}
        write(ROWS[:2], settings)
        assert got(heavy.send(OFFERS["trusted pair"])) == set()
        assert got(heavy.send(OFFERS["everybody"])) == {OTHER}
        exim.recipients(settings.path).rename(settings.path.with_name("away"))  # it may hold an exception
        assert got(heavy.send(OFFERS["everybody"])) == set()
        settings.path.with_name("away").rename(exim.recipients(settings.path))
        assert got(heavy.send(OFFERS["everybody"])) == {OTHER}
        write([], settings)
        assert got(heavy.send(OFFERS["everybody"])) == set()
        exim.recipients(settings.path).unlink()
        assert got(heavy.send(OFFERS["everybody"])) == set()
        assert got(heavy.send(Offer(EVIL, client=CLEAN))) == {DESK}


def test_while_lists_are_swapped_every_answer_is_one_of_theirs(heavy: Machine) -> None:
    settings = chosen(heavy.lists / "swapped", lookup="cdb")
    heavy.configure(files(settings))
    write(ROWS, settings)
    asked = ["EHLO client.example", *["MAIL FROM:<bob@partner.example>", f"RCPT TO:<{DESK}>", "RSET"] * 3, "QUIT"]
    for number in range(10):
        write([*ROWS, ("", f"x{number}@else.example", True, ROWS[0][3])], settings)
        assert [code for code, _ in heavy.trial(LISTED, asked)] == [220, 250, *[250] * 9, 221]
    assert until(lambda: not [each for each in heavy.lists.iterdir() if each.is_dir()])


def test_a_list_that_exim_may_not_read_defers_listed_clients_only(heavy: Machine) -> None:
    settings = chosen(heavy.lists / "closed")
    write(ROWS, settings)
    exim.recipients(settings.path).chmod(0o600)
    heavy.configure(files(settings))
    with heavy.daemon():
        assert heavy.send(Offer(EVIL))[DESK][0] == 451
        assert heavy.send(Offer(EVIL, client=CLEAN))[DESK][0] == 250
        exim.recipients(settings.path).chmod(0o644)
        assert got(heavy.send(OFFERS["trusted pair"])) == {DESK}


def test_a_connection_keeps_the_list_that_it_has_asked(heavy: Machine) -> None:
    settings = chosen(heavy.lists / "kept")
    write(ROWS, settings)
    heavy.configure(files(settings))
    with heavy.daemon(), heavy.connected(LISTED) as smtp:
        smtp.mail(BOB)
        assert smtp.rcpt(DESK)[0] == 250
        write(ROWS[:2], settings)
        assert got(heavy.send(OFFERS["trusted pair"])) == set()
        smtp.rset()
        smtp.mail(BOB)
        assert smtp.rcpt(DESK)[0] == 250
