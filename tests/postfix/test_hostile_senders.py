"""The hostile corpus, offered to a real smtpd: whoever is in the map is taken, and nobody else is."""

import smtplib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher.target import Ruling
from safelist.sender import Form
from tests.mail import hostile
from tests.postfix.servers import LISTED, ZONE, missing, postfix, rbldnsd
from tests.publisher.site import Rendered, rendered, settings

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
MAIN = """
smtputf8_enable = yes
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
smtpd_recipient_restrictions = reject_unauth_destination, check_sender_access texthash:{map}, reject_rbl_client {zone}
"""


class Asked(NamedTuple):
    """The map, and an open session of a listed client."""

    map: Rendered
    smtp: smtplib.SMTP

    def takes(self, text: str) -> bool:
        """Whether the DNSBL is lifted for an envelope sender, spelled as the client likes."""
        self.smtp.rset()
        self.smtp.command_encoding = "utf-8"
        return (
            self.smtp.docmd(f"MAIL FROM:<{text}> SMTPUTF8")[0] == 250 and self.smtp.rcpt("desk@corp.example")[0] == 250
        )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    directory = tmp_path_factory.mktemp("map")
    for each in (directory, *directory.parents[:3]):
        each.chmod(0o755)
    patterns = {found for text in hostile.ADDRESSES if (found := sender.parse(text)).form is Form.ADDRESS}
    plain = {"recipient_delimiter": "", "smtputf8_enable": True, "parent_domain_matches_subdomains": True}
    rulings = [Ruling(each, True, Authentication.NONE, True) for each in sorted(patterns, key=lambda it: it.text)]
    made = rendered(rulings, settings(directory / "map", "texthash").model_copy(update=plain))
    (directory / "map").write_bytes(made.text)
    main = MAIN.format(map=directory / "map", zone=ZONE)
    with (
        rbldnsd(ZONE) as nameserver,
        postfix(main, {"mx": {}}, nameserver) as server,
        smtplib.SMTP("127.0.0.1", server.ports["mx"], source_address=(LISTED, 0), timeout=30) as smtp,
    ):
        smtp.ehlo("client.example")
        yield Asked(made, smtp)


def test_every_key_of_the_map_is_a_sender_that_postfix_takes(asked: Asked) -> None:
    assert len(asked.map.keys) > 30
    assert [key for key in asked.map.keys if not asked.takes(key)] == []


def test_whoever_is_not_in_the_map_is_rejected(asked: Asked) -> None:
    written = set(asked.map.keys)
    others = {*hostile.BYSTANDERS, *(each.pattern.text for each in asked.map.refused)} - written
    assert len(others) > 20
    assert [text for text in sorted(others) if asked.takes(text)] == []


def test_what_begins_with_a_dash_is_left_out_for_postfix_takes_no_such_sender(asked: Asked) -> None:
    whys = {each.pattern.text: each.why for each in asked.map.refused}
    assert "begins with -" in whys["-leading@hostile.example"]
    assert not asked.takes("-leading@hostile.example")
