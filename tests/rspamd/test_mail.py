"""Mail to a real rspamd, from a listed client: only who is safe for the recipient, and proves it, passes the DNSBL."""

from collections.abc import Mapping

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher.target import RecipientRuling, Ruling
from safelist.publisher.targets import rspamd
from tests.mail.world import ALL, BOB, CLEAN, DESK, EVIL, FORGER, OFFERS, OTHER, PLAIN, THIRD, Offer
from tests.rspamd.conftest import Served, only_maps, write
from tests.rspamd.servers import LISTED_HOST, URIBL
from tests.waiting import until

ANY, SPF, NONE = Authentication.DKIM_OR_SPF, Authentication.SPF, Authentication.NONE
LIFTED = {
    "trusted pair": True,
    "other recipient": False,
    "everybody": True,
    "spf fails": False,
    "dkim only": True,
    "dkim without dmarc": False,
    "two recipients": True,
    "forged envelope, own dmarc": False,
    "forged header": False,
    "forged header, signed by another": False,
    "nobody's": False,
}


def everybody(text: str, *, safe: bool = True, proof: Authentication = ANY) -> Ruling:
    return Ruling(sender.parse(text), safe, proof)


def pair(text: str, recipient: str = DESK, *, safe: bool = True, proof: Authentication = ANY) -> RecipientRuling:
    return RecipientRuling(recipient, sender.parse(text), safe, proof)


@only_maps
def test_before_the_first_publication_nobody_is_safe_and_mail_is_rated_as_ever(served: Served) -> None:
    assert not served.path.exists()
    assert not served.rspamd.answer(OFFERS["trusted pair"]).is_lifted
    clean = served.rspamd.answer(Offer(BOB, client=CLEAN))
    assert (clean.action == "reject", served.rspamd.keys()) == (False, ["no", "no"])


@only_maps
def test_without_the_map_of_recipients_nobody_is_safe_for_one_of_them_may_have_blocked_the_sender(
    served: Served,
) -> None:
    """As where rspamd may read the one for everybody only."""
    write(served.settings, [everybody(BOB)], [])
    pairs = rspamd.recipients(served.path)
    pairs.unlink()
    assert until(lambda: served.rspamd.keys() == ["1", "no"])
    assert not served.rspamd.answer(OFFERS["trusted pair"]).is_lifted
    served.write([everybody(BOB)], [])
    assert served.rspamd.answer(OFFERS["trusted pair"]).is_lifted


def test_every_case_is_tried() -> None:
    assert LIFTED.keys() == OFFERS.keys()


@pytest.fixture(scope="module")
def trusting(served: Served) -> Served:
    served.write([everybody(ALL)], [pair(BOB), pair(PLAIN)])
    return served


@pytest.mark.parametrize("name", LIFTED)
def test_the_dnsbl_is_lifted_where_the_sender_is_safe_and_proves_it(trusting: Served, name: str) -> None:
    assert trusting.rspamd.answer(OFFERS[name]).is_lifted is LIFTED[name]


def test_nothing_but_the_dnsbl_is_lifted(trusting: Served) -> None:
    """All else is asked and weighs the same: newer versions ask nothing more of a mail that they could reject."""
    lifted = trusting.rspamd.answer(OFFERS["trusted pair"])
    listed = trusting.rspamd.answer(OFFERS["other recipient"], Pass="all")
    dnsbl = {"RBL_TEST", "RBL_TEST_ANY"}
    assert dnsbl <= listed.weights.keys()
    assert dnsbl.isdisjoint(lifted.weights)
    rest = {name: weight for name, weight in listed.weights.items() if name not in dnsbl}
    assert {name: weight for name, weight in lifted.weights.items() if not name.startswith("SAFELIST")} == rest


def test_a_list_of_urls_counts_for_a_safe_sender_too(trusting: Served) -> None:
    """rspamd's own group "rbl" has them beside the DNSBLs."""

    class Phishing(Offer):
        def message(self) -> bytes:
            return super().message() + f"http://{LISTED_HOST}/login\r\n".encode()

    found = trusting.rspamd.answer(Phishing(BOB))
    assert found.is_lifted
    assert found.weights[URIBL] == 6.5


def test_the_log_names_who_trusts_whom_and_who_was_not_proven(trusting: Served) -> None:
    assert trusting.rspamd.answer(OFFERS["trusted pair"]).options["SAFELIST"] == [f"{DESK}|{BOB}"]
    forged = trusting.rspamd.answer(OFFERS["spf fails"])
    assert forged.options["SAFELIST_UNPROVEN"] == [f"{DESK}|{BOB}"]
    assert "SAFELIST" not in forged.weights


@pytest.mark.parametrize("text", ["bob+news@partner.example", "b.ob@partner.example", "bob@sub.partner.example"])
def test_what_resembles_a_safe_address_is_another_one(trusting: Served, text: str) -> None:
    """rspamd itself rates bob+news@ as bob@."""
    assert not trusting.rspamd.answer(Offer(text)).is_lifted


def test_a_mail_to_an_extension_is_for_another_recipient(trusting: Served) -> None:
    """rspamd itself rates desk+news@ as desk@."""
    assert not trusting.rspamd.answer(Offer(BOB, ("desk+news@corp.example",))).is_lifted
    assert trusting.rspamd.answer(Offer(BOB, ("other+news@corp.example", DESK))).is_lifted


@pytest.mark.parametrize(
    "tagged",
    ["prvs=1234567890={}", "prvs={}/1234567890", "btv1==a1==prvs=1234567890={}", "msprvs1=17abcb-1-x={}",
     "{}+prvs=1234567890"],
)  # fmt: skip
def test_a_tagged_address_is_the_one_behind_its_tag(trusting: Served, tagged: str) -> None:
    local, domain = BOB.split("@")
    text = f"{tagged.format(local)}@{domain}"
    assert BOB in sender.covering(sender.envelope(text))
    assert trusting.rspamd.answer(Offer(text)).is_lifted


def test_two_from_headers_prove_nobody(trusting: Served) -> None:
    class Twice(Offer):
        def message(self) -> bytes:
            return f"From: {BOB}\r\n".encode() + super().message()

    twice = Twice("bounce@lists.example", client=FORGER, header_from=EVIL, signer="evil.example")
    assert not trusting.rspamd.answer(twice).is_lifted
    both = Offer("bounce@lists.example", client=FORGER, header_from=f"{EVIL}, {BOB}", signer="evil.example")
    assert not trusting.rspamd.answer(both).is_lifted


PROOFS = {
    "spf, by spf": (SPF, Offer(BOB), True),
    "spf, by dkim": (SPF, OFFERS["dkim only"], False),
    "none": (NONE, OFFERS["spf fails"], True),
    "none, in the header": (NONE, OFFERS["forged header"], True),
    "either, by none": (ANY, OFFERS["spf fails"], False),
}


@pytest.mark.parametrize("name", PROOFS)
def test_what_was_asked_of_a_sender_is_what_it_has_to_prove(served: Served, name: str) -> None:
    proof, offer, expected = PROOFS[name]
    served.write([everybody(BOB, proof=proof)], [])
    assert served.rspamd.answer(offer).is_lifted is expected
    served.write([], [pair(BOB, proof=proof)])
    assert served.rspamd.answer(offer).is_lifted is expected


MESSAGES: Mapping[str, tuple[list[Ruling], list[RecipientRuling], tuple[str, ...], bool, bool]] = {
    "one of two trusts": ([], [pair(BOB)], (DESK, OTHER), True, False),
    "both trust": ([], [pair(BOB), pair(BOB, OTHER)], (DESK, OTHER), True, True),
    "everybody trusts": ([everybody(BOB)], [], (DESK, OTHER, THIRD), True, True),
    "one trusts, one has blocked": ([], [pair(BOB), pair(BOB, OTHER, safe=False)], (DESK, OTHER), False, False),
    "everybody but one": ([everybody(BOB)], [pair(BOB, OTHER, safe=False)], (DESK, OTHER), False, False),
    "an extension beside": ([], [pair(BOB)], (DESK, "desk+x@corp.example"), True, False),
    "no recipient": ([everybody(BOB)], [pair(BOB)], (), False, False),
}
"""What counts, the recipients, and whether the DNSBL is lifted without and with ``every_recipient``."""


@pytest.mark.parametrize("name", MESSAGES)
def test_several_recipients_have_one_verdict(served: Served, strict: Served, name: str) -> None:
    for_all, pairs, recipients, loosely, strictly = MESSAGES[name]
    for each, expected in ((served, loosely), (strict, strictly)):
        each.write(for_all, pairs)
        assert each.rspamd.answer(Offer(BOB, recipients)).is_lifted is expected, each.settings
