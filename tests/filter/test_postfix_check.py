"""What the check says of Postfix configurations, good and bad, and of absurd ones."""

import smtplib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from typing import Any

import pytest

from safelist.filter import postfix_check
from safelist.filter.postfix_configuration import BlockList, PostfixConfiguration
from safelist.postfix.master_entries import PolicyAnswer
from safelist.postfix.restrictions import (
    MasterEntry,
    counted,
    parse,
)
from tests.postfix.servers import LISTED, Postfix, missing, postfix, rbldnsd

HERE = "inet:127.0.0.1:10045"
PLACE = f"reject_unauth_destination, check_policy_service {{ {HERE}, timeout=10s, default_action=DUNNO }}"
GOOD = {
    "smtpd_recipient_restrictions": f"permit_mynetworks, {PLACE}",
    "smtpd_delay_reject": "yes",
    "queue_directory": "/var/spool/postfix",
}
ASKS = PLACE.partition(", ")[2]
OWN = "lmdb:/etc/postfix/safelist"
ZEN, KEY = "zen.example.net", "abcdefghij0123456789abcd"
OBSERVED = {"smtpd_recipient_restrictions": f"permit_mynetworks, {PLACE}, reject_rbl_client {ZEN}"}
RECIPIENT = "smtpd_recipient_restrictions"


def service(name: str = "smtp/inet", chrooted: bool = False, /, **changed: str) -> MasterEntry:
    return MasterEntry(name, GOOD | changed, chrooted)


def said(
    *services: MasterEntry, postscreens: Sequence[MasterEntry] = (), main: dict[str, str] | None = None, **keys: Any
) -> list[tuple[bool, str]]:
    defaults: dict[str, Any] = {
        "addresses": (HERE,), "own_maps": (OWN,), "providers": [BlockList("Zen", ZEN, ZEN)], "timeout": 3.0,
    }  # fmt: skip
    installed = PostfixConfiguration(main or {}, services, postscreens, **defaults | keys)
    return [(remark.is_fault, remark.text) for remark in postfix_check.remarks(installed)]


def told(**changed: str) -> list[str]:
    return [text for _, text in said(service(**changed))]


def observed(**changed: str) -> list[tuple[bool, str]]:
    return said(service(**OBSERVED | changed), mode="observe")


def test_the_recommended_places_are_without_remark() -> None:
    assert said(service()) == []
    assert observed() == []


def test_a_permit_at_the_end_or_in_another_list_ends_nothing_that_matters() -> None:
    assert said(service(**{RECIPIENT: f"permit_mynetworks, {PLACE}, permit"})) == []
    assert said(service(smtpd_client_restrictions="permit")) == []
    kept = f"permit_mynetworks, {PLACE}, permit, reject_rbl_client {ZEN}"
    (text,) = [text for fault, text in observed(**{RECIPIENT: kept}) if fault]
    assert text.startswith(
        "reject_rbl_client stands behind permit in smtpd_recipient_restrictions, which ends that list"
    )


@pytest.mark.parametrize(
    ("changed", "words_"),
    [
        ({RECIPIENT: "reject_unauth_destination"}, "asked nowhere"),
        (
            {RECIPIENT: "reject_unauth_destination, check_policy_service inet:127.0.0.1:99"},
            "Postfix asks inet:127.0.0.1:99",
        ),
        ({RECIPIENT: ASKS}, "neither smtpd_relay_restrictions nor smtpd_recipient_restrictions refuses relaying"),
        (
            {RECIPIENT: f"reject_unauth_destination, permit, {ASKS}"},
            "check_policy_service stands behind permit in smtpd_recipient_restrictions, which ends that list",
        ),
        (
            {RECIPIENT: f"reject_unauth_destination, permit_auth_destination, {ASKS}"},
            "check_policy_service stands behind permit_auth_destination",
        ),
        (
            {RECIPIENT: "reject_unauth_destination, check_policy_service inet:localhost:10045"},
            "without default_action=DUNNO",
        ),
        ({RECIPIENT: f"reject_unauth_destination, check_sender_access {OWN}, {ASKS}"}, "safelist's own map accepts"),
        ({RECIPIENT: f"{PLACE}, check_sender_access {OWN}"}, "has nothing left to lift"),
        ({RECIPIENT: f"reject_unauth_destination, check_sender_access hash:/x, {ASKS}"}, "whom a map accepts"),
        ({RECIPIENT: f"{ASKS} reject_unauth_destination"}, "before reject_unauth_destination"),
        ({RECIPIENT: PLACE.replace("check_policy", "warn_if_reject check_policy")}, "rejects nobody there"),
        (
            {"smtpd_client_restrictions": "reject_rbl_client foo.example.net=127.0.0.[2..11]"},
            "client foo.example.net=127.0.0.[2..11] in smtpd_client_restrictions rejects whatever the filter says",
        ),
        (
            {"smtpd_client_restrictions": f"REJECT_RBL_CLIENT {ZEN}.=127.0.0.[2..11]"},
            f"client {ZEN}.=127.0.0.[2..11] in smtpd_client_restrictions rejects whatever the filter says: take it out",
        ),
        (
            {
                RECIPIENT: f"{PLACE}, strict", "smtpd_restriction_classes": "strict, idle",
                "strict": f"reject_unlisted_recipient, reject_rbl_client {ZEN}",
            },
            f"reject_rbl_client {ZEN} in the class strict of smtpd_recipient_restrictions rejects",
        ),
        (
            {
                RECIPIENT: f"{PLACE}, check_recipient_access hash:/x", "smtpd_restriction_classes": "strict",
                "strict": f"reject_rbl_client {ZEN}",
            },
            "in the class strict of smtpd_recipient_restrictions, where an access map applies it, rejects",
        ),
        ({"smtpd_data_restrictions": "reject_rhsbl_sender dbl.example"}, "cannot become a provider"),
        ({"smtpd_client_restrictions": f"reject_rbl_client {KEY}.zen.example"}, "reject_rbl_client ***.zen.example"),
        ({"smtpd_client_restrictions": f"reject_rbl_client {KEY.upper()}.zen.example"}, "client ***.zen.example"),
        ({"smtpd_client_restrictions": "reject_rbl_client k.zen.dq.spamhaus.net"}, "***.zen.dq.spamhaus.net"),
        (
            {"smtpd_relay_restrictions": "check_sender_access hash:/x, reject_unauth_destination"},
            "forges a sender relay",
        ),
        ({RECIPIENT: PLACE.replace("timeout=10s", "timeout = 10s")}, "`timeout = 10s` is no option: smtpd ends"),
        ({RECIPIENT: PLACE.replace("default_action", "defaultaction")}, "`defaultaction=DUNNO` is no option"),
        ({RECIPIENT: PLACE.replace("=DUNNO", "=OK")}, "`OK` accepts all mail, whatever stands behind it, while it is"),
        ({RECIPIENT: PLACE.replace("=DUNNO", "=Reject")}, "`Reject` rejects all mail for good while it is down"),
        ({RECIPIENT: PLACE.replace("default_action=DUNNO", "{default_action = 451 no}")}, "mail is deferred while it"),
        ({RECIPIENT: PLACE.replace("=10s", "=6s")}, "waits 6 s for the filter in smtpd_recipient_restrictions (time"),
        (
            {RECIPIENT: PLACE.replace("timeout=10s, ", ""), "smtpd_policy_service_timeout": "5s"},
            "waits 5 s for the filter in smtpd_recipient_restrictions (smtpd_policy_service_timeout), which may take 6",
        ),
        (
            {RECIPIENT: PLACE.replace("{ ", "").replace(" }", "")},
            "`timeout=10s` in smtpd_recipient_restrictions is no restriction: Postfix answers 451 to all mail",
        ),
        (
            {RECIPIENT: f"{PLACE}, strict, lax, permit"},
            "there; correct it, name it in smtpd_restriction_classes",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_once(changed: dict[str, str], words_: str) -> None:
    (text,) = told(**changed)
    assert words_ in text


def test_what_rejects_nobody_is_no_obstacle() -> None:
    changed = {
        "smtpd_client_restrictions": f"warn_if_reject reject_rbl_client {ZEN}, warn_if_reject strict, sleep 1",
        "smtpd_restriction_classes": "strict, unused",
        "strict": "reject_rbl_client b.example, reject_rhsbl_helo c.example",
        "unused": f"reject_rbl_client {ZEN}",
    }  # fmt: skip
    assert told(**changed) == []


NARROW = {"smtpd_restriction_classes": "some", "some": ASKS}
REJECTS = f"reject_unauth_destination, {{}}, reject_rbl_client {ZEN}"


@pytest.mark.parametrize(
    ("changed", "words_"),
    [
        ({RECIPIENT: REJECTS.format("check_client_access cidr:/x")} | NARROW, "only in the class some of"),
        ({RECIPIENT: REJECTS.format(f"warn_if_reject {ASKS}")}, "rejects nobody there"),
        ({RECIPIENT: REJECTS.format("permit_mynetworks"), "smtpd_data_restrictions": ASKS}, "it decides for each"),
        (
            {
                RECIPIENT: REJECTS.format("permit_mynetworks"), "smtpd_sender_restrictions": ASKS,
                "smtpd_delay_reject": "no",
            },
            "smtpd_delay_reject is not yes: in smtpd_sender_restrictions no recipient is known yet",
        ),
    ],
)  # fmt: skip
def test_no_list_is_to_be_removed_where_the_filter_does_not_judge_all_mail(
    changed: dict[str, str], words_: str
) -> None:
    ((is_fault, text),) = said(service(**changed))
    assert is_fault
    assert words_ in text


def test_a_class_is_no_fault_where_the_filter_stands_outside_it_too_or_a_list_names_it() -> None:
    assert said(service(**{RECIPIENT: f"{PLACE}, check_client_access cidr:/x"} | NARROW)) == []
    assert said(service(**{RECIPIENT: "reject_unauth_destination, some"} | NARROW)) == []


def test_delay_reject_does_not_matter_at_the_recipient() -> None:
    assert said(service(smtpd_delay_reject="no")) == []


def test_answers_that_only_one_of_both_counts_are_said() -> None:
    def counts(code: IPv4Address) -> bool:
        return 2 <= int(code) - int(IPv4Address("127.0.0.0")) <= 11

    def notes(*codes: str) -> list[str]:
        lists = "".join(f", reject_rbl_client {ZEN}{each}" for each in codes)
        found = said(
            service(**{RECIPIENT: PLACE + lists}), mode="observe", providers=[BlockList("Zen", ZEN, ZEN, counts)]
        )
        assert not any(is_fault for is_fault, _ in found)
        return [text for _, text in found]

    assert notes("") == notes("=127.0.0.[2..11]") == notes("=127.0.0.[2..4]", "=127.0.0.[5;6..11]") == []
    assert notes("=127.0.0.2", "") == []
    (less,) = notes("=127.0.0.[2..9]")
    assert "count different answers: only the filter counts 127.0.0.10, 127.0.0.11; change" in less
    (both,) = notes("=127.0.0.[4..20]")
    assert (
        "the filter counts 127.0.0.2, 127.0.0.3, only Postfix counts 127.0.0.12, 127.0.0.13, 127.0.0.14 and 6" in both
    )


def test_the_list_and_the_map_are_named_in_one_run() -> None:
    first, second = told(**{RECIPIENT: f"{PLACE}, check_sender_access {OWN}, reject_rbl_client {ZEN}"})
    assert f"reject_rbl_client {ZEN} in {RECIPIENT} rejects whatever the filter says: take it out" in first
    assert f"check_sender_access {OWN} in {RECIPIENT} lifts only reject_rbl_client" in second
    assert "take it out together with the last of those" in second


def test_an_observer_leaves_every_list_in_force() -> None:
    (missing,) = observed(**{RECIPIENT: PLACE})
    assert missing[0]
    assert (
        "no reject_rbl_client asks Zen: until the filter enforces, write reject_rbl_client zen.example.net"
        in missing[1]
    )
    (warns,) = observed(**{RECIPIENT: f"{PLACE}, warn_if_reject reject_rbl_client {ZEN}"})
    assert warns[0]
    assert "warn_if_reject keeps it from rejecting" in warns[1]
    narrow = {
        RECIPIENT: f"{PLACE}, check_recipient_access hash:/x", "smtpd_restriction_classes": "strict",
        "strict": f"reject_rbl_client {ZEN}",
    }  # fmt: skip
    (some,) = observed(**narrow)
    assert "(only the class strict of smtpd_recipient_restrictions does, where an access map applies it)" in some[1]


def test_an_observer_sees_nothing_of_what_is_rejected_before_it() -> None:
    ((is_fault, text),) = observed(**{RECIPIENT: PLACE, "smtpd_client_restrictions": f"reject_rbl_client {ZEN}"})
    assert is_fault
    assert "stands before the filter, which never sees whom it rejects" in text


def test_the_map_may_go_on_lifting_behind_an_observer_and_nowhere_else() -> None:
    behind = f"{PLACE}, check_sender_access {OWN}, reject_rbl_client {ZEN}"
    assert observed(**{RECIPIENT: behind}) == []
    before = f"reject_unauth_destination, check_sender_access {OWN}, {ASKS}, reject_rbl_client {ZEN}"
    ((is_fault, text),) = observed(**{RECIPIENT: before})
    assert is_fault
    assert "move it behind the filter, and take it out together with reject_rbl_client" in text


@pytest.mark.parametrize(("configured", "runs"), [("enforce", "observe"), ("observe", "enforce")])
def test_a_filter_that_was_not_restarted_keeps_the_lists(configured: str, runs: str) -> None:
    answers = {HERE: PolicyAnswer(mode=runs)}
    ((is_fault, text),) = said(service(**OBSERVED), mode=configured, answers=answers)
    assert is_fault
    assert f'mode = "{configured}", but the filter that answers at {HERE} runs in mode {runs}: restart it' in text


def test_nothing_is_to_be_removed_while_the_filter_does_not_answer() -> None:
    ((is_fault, text),) = said(service(**OBSERVED), answers={HERE: PolicyAnswer("Connection refused")})
    assert is_fault
    assert f"Postfix asks the filter at {HERE}, where nobody answers: Connection refused" in text


SUBMISSION = {"smtpd_relay_restrictions": "permit_sasl_authenticated, reject", RECIPIENT: ""}


def test_a_service_that_turns_strangers_away_needs_no_filter() -> None:
    others = [service("submission/inet", **SUBMISSION), service("smtps/inet", **{RECIPIENT: ""})]
    others += [service("127.0.0.1:10025/inet", **{RECIPIENT: "permit_mynetworks,reject"})]
    assert said(service(), *others) == []
    ((is_fault, text),) = said(*others)
    assert is_fault
    assert "no smtpd that takes mail from strangers" in text


def test_a_door_of_its_own_is_judged_by_its_own_options() -> None:
    inside, outside = service("smtp/inet"), service("192.0.2.1:25/inet", **{RECIPIENT: "reject_unauth_destination"})
    ((is_fault, text),) = said(inside, outside)
    assert is_fault
    assert text.startswith("master.cf, 192.0.2.1:25/inet: the filter is asked nowhere")


@pytest.mark.parametrize(
    "address", ["inet:localhost:10045", "inet:[127.0.0.1]:10045", "inet:10045", "inet::10045", "inet:LOCALHOST:10045"]
)
def test_one_address_is_written_in_many_ways(address: str) -> None:
    assert said(service(**{RECIPIENT: PLACE.replace(HERE, address)})) == []
    assert said(service(), addresses=[address]) == []
    assert said(service(), addresses=["inet:0.0.0.0:10045"]) == []
    assert said(service(**{RECIPIENT: PLACE.replace(HERE, "inet:[::1]:10045")}), addresses=[address]) != []


SOCKET = "unix:/var/spool/postfix/private/safelist"


def test_a_socket_is_named_from_the_queue_directory_and_from_inside_the_chroot() -> None:
    relative = {RECIPIENT: PLACE.replace(HERE, "unix:private/safelist")}
    for chrooted in (True, False):
        assert said(service("smtp/inet", chrooted, **relative), addresses=[SOCKET]) == []
    absolute = {RECIPIENT: PLACE.replace(HERE, "unix:/run/safelist/socket")}
    assert said(service(**absolute), addresses=["unix:/run/safelist/socket"]) == []
    ((is_fault, text),) = said(service("smtp/inet", True, **absolute), addresses=["unix:/run/safelist/socket"])
    assert is_fault
    assert "chrooted (master.cf) and looks for unix:/var/spool/postfix/run/safelist/socket" in text
    assert f"let the filter listen on {SOCKET}" in text


def test_a_filter_that_chose_its_port_is_known_by_its_answer() -> None:
    asked = {RECIPIENT: PLACE.replace(HERE, "inet:127.0.0.1:31999")}
    answers = {"inet:127.0.0.1:31999": PolicyAnswer(mode="enforce")}
    assert said(service(**asked), addresses=["inet:127.0.0.1:0"], answers=answers) == []


def test_the_key_of_a_provider_is_never_shown() -> None:
    provider = BlockList("Zen", "geheim.zen.example", "***.zen.example")
    rejects = {RECIPIENT: f"{PLACE}, reject_rbl_client geheim.zen.example, reject_rbl_client geheim.other.example"}
    for mode, changed in (("enforce", rejects), ("observe", {RECIPIENT: PLACE})):
        texts = said(service(**changed), mode=mode, providers=[provider])
        assert texts
        assert all("geheim" not in text for _, text in texts)
    screen = MasterEntry(
        "smtp/inet", {"postscreen_dnsbl_sites": "geheim.zen.example*2", "postscreen_dnsbl_action": "drop"}
    )
    ((_, text),) = said(service(), postscreens=[screen], providers=[provider])
    assert "asks ***.zen.example and" in text


def test_limits() -> None:
    ((is_fault, text),) = said(service(), main={"default_process_limit": "500"})
    assert not is_fault
    assert "raise max_connections" in text
    ((is_fault, text),) = said(service(), main={"recipient_delimiter": "+"})
    assert is_fault
    assert "recipient_delimiter is '+', the filter's ''" in text


def test_postscreen_that_rejects_cannot_be_helped() -> None:
    sites = {"postscreen_dnsbl_sites": "zen.example.net*2, b.example.net"}
    rejecting, ignoring = (
        MasterEntry("smtp/inet", sites | {"postscreen_dnsbl_action": it}) for it in ("enforce", "ignore")
    )
    ((is_fault, text),) = said(service(), postscreens=[rejecting], main=sites)
    assert is_fault
    assert "decides before MAIL FROM" in text
    assert "zen.example.net, b.example.net" in text
    assert said(service(), postscreens=[ignoring], main=sites) == []
    ((is_fault, text),) = said(service(), main=sites)
    assert not is_fault
    assert "runs no postscreen" in text


@pytest.mark.parametrize("text", ["", "=", "a", "{", "{}", "{ {", ", ,", "check_policy_service", "\0", "é=ü\n" * 1000])
def test_absurd_settings_are_read(text: str) -> None:
    parse(text)
    changed = {RECIPIENT: text, "smtpd_restriction_classes": text, "check_policy_service": text, "a": "a b"}
    assert any("asked nowhere" in each or "Postfix asks" in each for each in told(**changed))


def test_an_allow_list_before_the_filter_is_a_way_around_it() -> None:
    before, behind = f"permit_dnswl_client w.example, {PLACE}", f"{PLACE}, permit_dnswl_client w.example"
    ((is_fault, text),) = said(service(**{RECIPIENT: before}))
    assert not is_fault
    assert f"permit_dnswl_client w.example stands before the filter in {RECIPIENT}: whom that list holds, what" in text
    assert "make it an [[allow_providers]] of the filter" in text
    (text,) = told(**{RECIPIENT: f"permit_dnswl_client {KEY}.w.example=127.0.[0..255].[1..3], {PLACE}"})
    assert "permit_dnswl_client ***.w.example=127.0.[0..255].[1..3] stands" in text
    assert "whom that list holds never meets the filter" in text
    (text,) = told(**{RECIPIENT: f"permit_rhswl_client w.example, {PLACE}"})
    assert text.endswith("put it behind the filter")
    assert told(**{RECIPIENT: behind}) == told(smtpd_client_restrictions="permit_dnswl_client w.example") == []


UNREADABLE = [
    "", "2", "127.0.0", "127.0.0.a", "127.0.0.256", "127.0.0.[2..300]", "127.0.0.[11..2]", "127.0.0.[]", "127.0.0.[2;]",
    "127.0.0.[2", "127.0.0.[[2]]", "127.0.0.2.3", "127.0.0.99999999999", "127.0.0." + "9" * 10_000, "\u0661.0.0.2",
    "127.0.0.[2..]", "127.0.0.[2..3..4]", "-1.0.0.2", "127..0.2", "127.0.0.2.",
]  # fmt: skip


@pytest.mark.parametrize("codes", UNREADABLE, ids=lambda codes: codes[:20])
@pytest.mark.parametrize("name", ["reject_rbl_client", "warn_if_reject reject_rhsbl_sender", "permit_dnswl_client"])
def test_answers_that_smtpd_cannot_read_end_it(name: str, codes: str) -> None:
    found = said(service(**{RECIPIENT: f"{PLACE}, {name} a.{KEY}.example={codes}"}))
    (text,) = [text for is_fault, text in found if is_fault and "smtpd cannot read" in text]
    assert f"in {RECIPIENT}: smtpd cannot read `={codes[:199]}" in text
    assert "and ends whenever it gets there" in text
    assert KEY not in text


@pytest.mark.parametrize("action", ["enforce", "ignore"])
def test_answers_that_postscreen_cannot_read_end_it(action: str) -> None:
    sites = f"{KEY}.example=127.0.0.[2..300]*2, ok.example=127.0.0.[2..11]*-3 plain.example*2"
    screen = MasterEntry("smtp/inet", {"postscreen_dnsbl_sites": sites, "postscreen_dnsbl_action": action})
    texts = [text for is_fault, text in said(service(), postscreens=[screen]) if is_fault]
    (text,) = [text for text in texts if "cannot read" in text]
    assert text.startswith("postscreen cannot read `=127.0.0.[2..300]` in postscreen_dnsbl_sites, so it ends at once")
    assert KEY not in text


@pytest.mark.parametrize(
    ("site", "words_"),
    [
        ("z.example*abc", "cannot read `*abc` in"), ("z.example*", "cannot read `*` in"),
        ("z.example*2.5", "cannot read `*2.5` in"), ("z.example*2=127.0.0.2", "cannot read `*2=127.0.0.2` in"),
        ("z.example**2", "cannot read `**2` in"), ("z.example=", "cannot read `=` in"),
        ("-z.example", "takes `-z.example` for no domain"), ("z..example", "takes `z..example` for no domain"),
        ("z.example.", "takes `z.example.` for no domain"), ("*2", "takes `` for no domain"),
        ("z.example:", "takes `z.example:` for no domain"), ("1.2.3.4", "takes `1.2.3.4` for no domain"),
    ],
)  # fmt: skip
def test_a_list_that_postscreen_cannot_read_ends_it(site: str, words_: str) -> None:
    """As a postscreen of Postfix 3.7 did with each of these, and with none of those below."""
    screen = MasterEntry("smtp/inet", {"postscreen_dnsbl_sites": f"ok.example*2, {site}"})
    ((is_fault, text),) = said(service(), postscreens=[screen])
    assert is_fault
    assert f"postscreen {words_}" in text
    assert "so it ends at once and greets nobody; write" in text


def test_a_list_that_postscreen_reads_is_without_remark() -> None:
    sites = "z.example*2 z.example*-2 z.example*+2 z_1.example Z.EXAMPLE localhost z.example=127.0.0.[2..11]*-3"
    assert said(service(), postscreens=[MasterEntry("smtp/inet", {"postscreen_dnsbl_sites": sites})]) == []


READABLE = ["127.0.0.2", "127.0.0.002", "[0..255].[0..255].[0..255].[0..255]", "127.0.0.[1;2..2]"]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_real_smtpd_reads_the_same_answers() -> None:
    ended = ["", "127.0.0", "127.0.0.256", "127.0.0.[2..300]", "127.0.0.[11..2]", "127.0.0.[2;]", "127.0.0.2.3"]
    assert set(ended) <= set(UNREADABLE)
    with rbldnsd(ZEN) as dns:
        services = {
            codes: {RECIPIENT: f"reject_unauth_destination, reject_rbl_client {ZEN}={codes}"}
            for codes in (*ended, *READABLE)
        }
        with postfix("", services, dns) as server, ThreadPoolExecutor(len(services)) as clients:
            replies = clients.map(lambda codes: reply(server, codes), services)
            assert dict(zip(services, replies, strict=True)) == dict.fromkeys(ended, 0) | dict.fromkeys(READABLE, 554)
        assert [counted(f"{ZEN}={codes}") is None for codes in services] == [codes in ended for codes in services]


LAST_WORDS = {"check_sender_access": 451, "check_policy_service": 451, "sleep": 451, "reject_rbl_client": 250,
              "reject_rhsbl_sender": 250, "permit_dnswl_client": 250}  # fmt: skip


@pytest.mark.parametrize("name", LAST_WORDS)
def test_what_needs_a_word_behind_it_is_named_where_its_list_ends(name: str) -> None:
    texts = [text for is_fault, text in said(service(**{RECIPIENT: f"{PLACE}, {name}"})) if is_fault]
    so = "Postfix answers 451 to all mail that gets there" if LAST_WORDS[name] == 451 else "smtpd passes over it"
    assert [text.startswith(f"{name} is the last word in {RECIPIENT}: {so}") for text in texts] == [True]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_real_smtpd_does_the_same_where_a_list_ends_too_soon() -> None:
    services = {name: {RECIPIENT: f"reject_unauth_destination, {name}"} for name in LAST_WORDS}
    with postfix("", services, "127.0.0.1") as server:
        assert {name: reply(server, name) for name in services} == LAST_WORDS


def reply(server: Postfix, service: str) -> int:
    """The code that a listed client gets; 0 where smtpd ends."""
    try:
        return server.send(service, LISTED, "bob@partner.example", "desk@corp.example")[0]
    except smtplib.SMTPServerDisconnected:
        return 0


def test_answers_of_the_whole_address_space_are_compared() -> None:
    everything = ".".join(["[0..255]"] * 4)
    alternatives = f"127.0.[{';'.join(['0..255'] * 1000)}].[{';'.join(map(str, range(256)))}]"
    for codes in (everything, "[0..255].[0..255].0.0", alternatives, "000127.00.0.02"):
        assert not told(**{RECIPIENT: f"{PLACE}, reject_rbl_client other.example={codes}"})[1:], codes
    found = said(
        service(**{RECIPIENT: PLACE + f", reject_rbl_client {ZEN}={everything}" * 100}),
        mode="observe",
        providers=[BlockList("Zen", ZEN, ZEN, lambda code: int(code) & 0xFFFF != 7)],
    )
    assert [text for _, text in found if "count different answers: only Postfix counts 127.0.0.7; change" in text]
    assert len(found) == 1


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "restrictions",
    [
        f"check_policy_service {HERE} " * 2000,
        f"check_sender_access {OWN} " * 2000 + PLACE,
        f"{PLACE} " + f"reject_rbl_client {ZEN}={'[0..255].' * 3}[0..255] " * 2000,
        "=" * 100_000,
        "{" * 100_000,
        "a0",
    ],
    ids=["policy services", "maps", "lists", "words", "braces", "classes"],
)
def test_what_is_absurdly_long_is_read(restrictions: str) -> None:
    """Classes that name one another twice would be millions of restrictions."""
    classes = {f"a{at}": f"a{at + 1} a{at + 1}" for at in range(25)}
    assert told(**{RECIPIENT: restrictions, "smtpd_restriction_classes": " ".join(classes)}, **classes)
