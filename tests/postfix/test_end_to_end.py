"""What safelist is for, with the real programs: a listed client is rejected, its safelisted sender is not, and nobody
may relay."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from safelist.policy import Candidate
from safelist.policy import Settings as Policy
from safelist.publisher.targets import postfix as target
from safelist.sender import Form, Pattern
from tests.postfix.servers import CLEAN, LISTED, MAP, RECOMMENDED, ZONE, Postfix, missing, postfix, rbldnsd
from tests.publisher.site import INSTALLED, address, domain, every_map_type, publish_to, settings, voted
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

SAFE, LONELY, STRANGER, LATER = "bob@aol.example", "once@aol.example", "spam@aol.example", "zoe@yahoo.example"
CANDIDATES = [
    voted(address(SAFE), 2),
    voted(address(LONELY), 1),
    voted(domain("trusted.example"), 3),
    voted(Pattern("x", Form.REFUSED), 9),
]
OURS, FOREIGN = "reception@corp.example", "someone@foreign.example"
DNSBL = "dnsbl.safelist.example"

# Relay control in smtpd_recipient_restrictions alone, as before Postfix 2.10: at its place, and too late.
OLD = {"smtpd_relay_restrictions": ""}
TOO_LATE = "check_sender_access {map}, reject_unauth_destination, reject_rbl_client " + DNSBL


def restrictions(map_: str) -> str:
    """The documents' restrictions, with this test's map and DNSBL."""
    assert MAP in RECOMMENDED
    assert ZONE in RECOMMENDED
    return RECOMMENDED.replace(MAP, map_).replace(ZONE, DNSBL).partition("=")[2]


def publish_map(path: Path, candidates: Sequence[Candidate], map_type: str = "") -> None:
    chosen = settings(path, map_type).model_copy(update={"widen_domains": True})
    publish_to(target.TARGET, chosen, candidates, Policy(quorum=2, include_domains=True))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def site(directory: Path) -> Iterator[Postfix]:
    """One Postfix; each of its services has the map in another place or of another type."""
    path, forbidden = directory / "safelist", directory / "forbidden"
    publish_map(path, CANDIDATES)
    index = target.index(settings(path))
    assert index is not None
    here = f"{index.map_type}:{path}"
    services = {
        "recommended": {},
        "old": OLD | {"smtpd_recipient_restrictions": restrictions(here)},
        "too-late": OLD | {"smtpd_recipient_restrictions": TOO_LATE.format(map=here)},
        "forbidden": OLD | {"smtpd_recipient_restrictions": TOO_LATE.format(map=f"texthash:{forbidden}")},
    }
    forbidden.write_text(f"{SAFE} OK\n")
    for map_type in INSTALLED:
        publish_map(directory / map_type, CANDIDATES, map_type)
        services[map_type] = {"smtpd_recipient_restrictions": restrictions(f"{map_type}:{directory / map_type}")}
    publish_map(directory / "texthash", CANDIDATES, "texthash")
    services["texthash"] = {"smtpd_recipient_restrictions": restrictions(f"texthash:{directory / 'texthash'}")}
    with rbldnsd(DNSBL) as nameserver:
        main = f"smtpd_recipient_restrictions ={restrictions(here)}"
        with postfix(main, services, nameserver) as running:
            yield running


def accepted(site: Postfix, service: str, client: str, sender: str, recipient: str = OURS) -> bool:
    code, reply = site.send(service, client, sender, recipient)
    assert code in (250, 454, 554), reply
    if code == 250:
        assert site.delivered(reply.split()[-1]), site.log.read_text()
        return True
    assert ("Relay access denied" if recipient == FOREIGN else f"blocked using {DNSBL}") in reply
    return False


@pytest.mark.parametrize("service", ["recommended", "old", "too-late"])
def test_the_dnsbl_rejects_a_listed_client_unless_its_sender_is_safe(site: Postfix, service: str) -> None:
    assert not accepted(site, service, LISTED, STRANGER)
    assert not accepted(site, service, LISTED, LONELY)
    assert not accepted(site, service, LISTED, "")
    assert accepted(site, service, LISTED, SAFE)
    assert accepted(site, service, LISTED, SAFE.upper())
    assert accepted(site, service, LISTED, "anyone@trusted.example")
    assert accepted(site, service, LISTED, "anyone@sub.trusted.example")
    assert not accepted(site, service, LISTED, "anyone@nottrusted.example")
    assert accepted(site, service, CLEAN, STRANGER)


@pytest.mark.parametrize("service", ["recommended", "old", "too-late"])
@pytest.mark.parametrize("client", [LISTED, CLEAN])
def test_a_safe_sender_may_not_relay(site: Postfix, service: str, client: str) -> None:
    assert not accepted(site, service, client, SAFE, FOREIGN)
    assert not accepted(site, service, client, "anyone@trusted.example", FOREIGN)


def test_a_map_that_says_ok_would_relay(site: Postfix) -> None:
    """Why the result is permit_auth_destination; and the proof that the test above can fail."""
    assert site.send("forbidden", LISTED, SAFE, FOREIGN)[0] == 250


@every_map_type
def test_every_indexed_type_is_looked_up_and_a_new_map_is_seen_without_a_reload(
    site: Postfix, directory: Path, map_type: str
) -> None:
    path = directory / map_type
    assert not accepted(site, map_type, LISTED, LATER)
    assert accepted(site, map_type, LISTED, SAFE)
    publish_map(path, [voted(address(LATER), 2)], map_type)
    assert accepted(site, map_type, LISTED, LATER)
    assert not accepted(site, map_type, LISTED, SAFE)


def test_a_plain_text_map_is_seen_after_the_reload_that_on_change_asks_for(site: Postfix, directory: Path) -> None:
    assert not accepted(site, "texthash", LISTED, LATER)
    reload = ["postfix", "-c", str(site.configuration), "reload"]
    chosen = settings(directory / "texthash", "texthash", reload)
    assert publish_to(target.TARGET, chosen, [voted(address(LATER), 2)]).hook
    assert until(lambda: accepted(site, "texthash", LISTED, LATER))
    assert not accepted(site, "texthash", LISTED, SAFE)
