"""`safelist check postfix` and its questions to a real postconf and postmap, with a main.cf and a map of their own."""

from pathlib import Path

import pytest

from safelist import policy, snapshot
from tests.cli.command import Command, Done
from tests.filter.dns_server import nameserver
from tests.filter.site import running
from tests.publisher.site import INSTALLED, address, needs_postmap, postmap, voted, write
from tests.waiting import until

pytestmark = [needs_postmap, pytest.mark.skipif("hash" not in INSTALLED, reason="this Postfix has no hash maps")]

SAFE, ZONE = "bob@aol.example", "dnsbl.safelist.example"
MASTER = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  -o smtpd_recipient_restrictions=reject\n"
GOOD = "permit_mynetworks, reject_unauth_destination, check_sender_access {map}, reject_rbl_client " + ZONE
RECIPIENT = "smtpd_recipient_restrictions"
DATABASE = '[database]\nurl = "sqlite:////nonexistent/safelist.db"\n'
"""Which the check does not open."""


def site(directory: Path, restrictions: str = GOOD, *, master: str = MASTER, **more: str) -> Command:
    """A Postfix's configuration directory, the command's, and the map, all in one."""
    write(directory / "safelist", [voted(address(SAFE), 2)], "hash")
    return unpublished(directory, restrictions, master=master, **more)


def unpublished(directory: Path, restrictions: str = GOOD, *, master: str = MASTER, **more: str) -> Command:
    """The same without the map."""
    path = directory / "safelist"
    lines = more | {RECIPIENT: restrictions.replace("{map}", f"hash:{path}"), "compatibility_level": "3.6"}
    (directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    (directory / "master.cf").write_text(master)
    safelist = Command(directory)
    safelist.config.write_text(DATABASE + f'[publish.postfix]\npath = "{path}"\nmap_type = "hash"\n')
    return safelist


def run(safelist: Command, *options: str) -> Done:
    return safelist("check", "postfix", *options, MAIL_CONFIG=str(safelist.directory))


def faults(safelist: Command) -> list[str]:
    done = run(safelist, "--json")
    found = [row["text"] for row in done.json if row["fault"]]
    assert (done.code, done.err) == (78 if found else 0, "")
    return found


def test_a_map_at_its_place_has_no_faults(tmp_path: Path) -> None:
    done = run(site(tmp_path))
    assert (done.code, done.out, done.err) == (0, "no faults\n", "")


@pytest.mark.parametrize(
    ("restrictions", "more", "words"),
    [
        (f"reject_rbl_client {ZONE}, check_sender_access {{map}}", {}, "is not lifted: it stands before the map"),
        (
            "reject_unauth_destination, check_sender_access {map}", {"smtpd_client_restrictions": "$listed"},
            f"reject_rbl_client {ZONE} in smtpd_client_restrictions is not lifted: the map stands in {RECIPIENT}",
        ),
        (
            "strict, reject_unauth_destination, check_sender_access {map}",
            {"smtpd_restriction_classes": "strict", "strict": "$listed"},
            f"in the class strict of {RECIPIENT} is not lifted: it stands before",
        ),
        ("reject_unauth_destination, $listed", {}, "the map is asked nowhere: write check_sender_access hash:"),
        (GOOD.replace("check_sender", "check_client"), {}, "the map holds senders; write check_sender_access"),
        (
            "permit, reject_unauth_destination, check_sender_access {map}", {"smtpd_relay_restrictions": ""},
            f"permit stands before reject_unauth_destination in {RECIPIENT}, which controls relaying",
        ),
    ],
)  # fmt: skip
def test_a_wrong_place_is_a_fault(tmp_path: Path, restrictions: str, more: dict[str, str], words: str) -> None:
    found = faults(site(tmp_path, restrictions, **more, listed=f"reject_rbl_client {ZONE}"))
    assert [words in fault for fault in found].count(True) == 1
    assert len(found) == (2 if restrictions.startswith("permit,") else 1), "behind a permit nothing is asked, too"


@pytest.mark.parametrize("published", [True, False])
def test_where_no_list_is_left_the_section_can_go(tmp_path: Path, published: bool) -> None:
    made = site if published else unpublished
    (row,) = run(made(tmp_path, "reject_unauth_destination"), "--json").json
    assert not row["fault"]
    assert row["text"].startswith("Postfix asks no DNSBL by reject_rbl_client, so this map has nothing to lift: ")
    assert "[publish.postfix] can go" in row["text"]


@pytest.mark.parametrize(
    ("restrictions", "klass", "more", "words"),
    [
        ("{by}, $listed", "{asks}", {}, f"the map stands in the class some of {RECIPIENT}, where an access map"),
        ("{by}", "{asks}, $listed", {}, ""),
        ("some, $listed", "{asks}", {}, ""),
        ("warn_if_reject {asks}, $listed", "", {}, ""),  # which is about rejecting only
        ("{asks}, $listed", "", {"smtpd_delay_reject": "no"}, ""),
        (
            "permit_mynetworks", "", {"smtpd_sender_restrictions": "{asks}, $listed", "smtpd_delay_reject": "no"},
            "smtpd_delay_reject is not yes: in smtpd_sender_restrictions no recipient is known yet, and the map lifts",
        ),
        ("{asks}, $listed", "", {"smtpd_policy_service_timeout": "1s"}, ""),
        (
            "{asks}, $listed, check_policy_service { inet:127.0.0.1:9, default_action = DUNNO }", "", {},
            "`default_action = DUNNO` is no option: smtpd ends at once",
        ),
    ],
)  # fmt: skip
def test_a_map_lifts_only_for_the_mail_that_meets_it(
    tmp_path: Path, restrictions: str, klass: str, more: dict[str, str], words: str
) -> None:
    (tmp_path / "clients").write_text("192.0.2.1 some\n")

    def filled(text: str) -> str:
        asks, by = f"check_sender_access hash:{tmp_path}/safelist", f"check_client_access texthash:{tmp_path}/clients"
        return text.replace("{asks}", asks).replace("{by}", by)

    settings = {name: filled(value) for name, value in more.items()}
    classes = {"smtpd_restriction_classes": "some", "some": filled(klass)} if klass else {}
    safelist = site(
        tmp_path, filled(f"reject_unauth_destination, {restrictions}"), listed=f"reject_rbl_client {ZONE}",
        **settings, **classes,
    )  # fmt: skip
    found = faults(safelist)
    assert [words in fault for fault in found] == ([True] if words else [])


def test_a_list_in_a_class_that_a_map_applies_is_named_and_no_fault(tmp_path: Path) -> None:
    (tmp_path / "clients").write_text("192.0.2.1 some\n")
    by = f"{GOOD}, check_client_access texthash:{tmp_path}/clients"
    safelist = site(tmp_path, by, smtpd_restriction_classes="some", some="reject_rbl_client b.example")
    (row,) = run(safelist, "--json").json
    assert not row["fault"]
    assert (
        f"b.example in the class some of {RECIPIENT}, where an access map applies it, is lifted only if" in row["text"]
    )


def test_the_map_by_way_of_proxymap_has_to_be_approved(tmp_path: Path) -> None:
    name = f"proxy:hash:{tmp_path}/safelist"
    by_class = f"reject_unauth_destination, some, reject_rbl_client {ZONE}"
    classes = {"smtpd_restriction_classes": "some", "some": f"check_sender_access {name}"}
    (fault,) = faults(site(tmp_path, by_class, **classes))
    assert f"main.cf names {name} in the class some of {RECIPIENT}, which Postfix cannot open: smtpd ends" in fault
    assert f"add {name} to that" in fault
    assert faults(site(tmp_path, by_class, **classes, proxy_read_maps="$some")) == []
    assert faults(site(tmp_path, GOOD.replace("{map}", name))) == []


def test_a_map_before_the_filter_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    snapshot.write(path, snapshot.Contents("a test", policy.Settings(), (), (), ()))
    with nameserver({}) as dns, running(tmp_path, "enforce", path, dns.address) as chosen:
        assert until(lambda: any("listening on" in line for line in chosen.lines())), chosen.log.read_text()
        asks = f"check_policy_service {{ {chosen.address}, timeout=10s, default_action=DUNNO }}"
        begin, end = "reject_unauth_destination, ", f", reject_rbl_client {ZONE}"
        name = f"check_sender_access hash:{tmp_path}/safelist"
        (fault,) = faults(site(tmp_path, f"{begin}{name}, {asks}{end}"))
        assert f"{name} stands before the filter: whom safelist's own map accepts there is never asked" in fault
        assert faults(site(tmp_path, f"{begin}{asks}, {name}{end}")) == []


def test_what_rejects_nobody_need_not_be_lifted(tmp_path: Path) -> None:
    assert faults(site(tmp_path, f"warn_if_reject reject_rbl_client {ZONE}, {GOOD}")) == []


def test_a_map_that_is_not_published_stops_all_mail(tmp_path: Path) -> None:
    safelist = unpublished(tmp_path)
    (fault,) = faults(safelist)
    assert (
        "the map has not been published: run `safelist publish` before main.cf names it; Postfix answers 451" in fault
    )


def test_a_map_without_its_index_stops_all_mail(tmp_path: Path) -> None:
    safelist = site(tmp_path)
    (tmp_path / "safelist.db").unlink()
    (fault,) = faults(safelist)
    assert "postmap cannot look anything up" in fault
    assert "safelist.db" in fault


def test_an_index_that_is_behind_its_text_is_a_fault(tmp_path: Path) -> None:
    safelist = site(tmp_path)
    with (tmp_path / "safelist").open("a") as text:
        text.write("zoe@yahoo.example permit_auth_destination\n")
    (fault,) = faults(safelist)
    assert "its index does not hold what its text says, zoe@yahoo.example for one (1)" in fault


@pytest.mark.parametrize(
    ("map_type", "words"),
    [
        ("texthash", "main.cf names texthash:{path}, `safelist publish` writes hash:{path}: write that in main.cf"),
        ("btree", "main.cf names btree:{path}, `safelist publish` writes hash:{path}: write that in main.cf"),
        ("sdbm", "and publish first; Postfix answers 451 to all mail that gets there until then"),
    ],
)
def test_another_type_than_the_published_one_is_a_fault(tmp_path: Path, map_type: str, words: str) -> None:
    (fault,) = faults(site(tmp_path, GOOD.replace("{map}", f"{map_type}:{tmp_path}/safelist")))
    assert words.format(path=tmp_path / "safelist") in fault
    assert ("Postfix answers 451" in fault) == (map_type != "texthash")  # which needs no index


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{path}", "main.cf names {path} in {place}: the type is missing: write hash:{path}; Postfix answers 451"),
        ("hash:{path}.db", "hash:{path}.db in {place}: leave `.db` off: write hash:{path}; Postfix answers 451"),
        ("lmdb:{path}.lmdb", "lmdb:{path}.lmdb in {place}: leave `.lmdb` off: write hash:{path}; Postfix answers 451"),
    ],
)
def test_a_misspelt_name_of_the_map_is_one_fault(tmp_path: Path, written: str, words: str) -> None:
    path = tmp_path / "safelist"
    (fault,) = faults(site(tmp_path, GOOD.replace("{map}", written.format(path=path))))
    assert words.format(path=path, place=RECIPIENT) in fault


def test_another_table_that_cannot_be_opened_stops_all_mail(tmp_path: Path) -> None:
    others = {"smtpd_client_restrictions": f"check_client_access hash:{tmp_path}/theirs"}
    safelist = site(tmp_path, **others)
    (fault,) = faults(safelist)
    assert f"main.cf names hash:{tmp_path}/theirs in smtpd_client_restrictions, which Postfix cannot open" in fault
    assert "Postfix answers 451 to all mail that gets there" in fault
    (tmp_path / "theirs").write_text("192.0.2.1 REJECT\n")
    assert postmap(f"hash:{tmp_path}/theirs")[0] == 0
    assert faults(safelist) == []


@pytest.mark.parametrize(("result", "is_fault"), [("OK", True), ("1", True), ("permit_auth_destination", False)])
def test_a_map_that_accepts_before_relaying_is_refused(tmp_path: Path, result: str, is_fault: bool) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text(f"{SAFE} {result}\n")
    assert postmap(f"hash:{theirs}")[0] == 0
    early = f"check_sender_access hash:{theirs}, {GOOD}"
    found = faults(site(tmp_path, early, smtpd_relay_restrictions=""))
    assert [f"an OK or a number in hash:{theirs} stands before" in fault for fault in found] == [True] * is_fault
    guarded = {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"}
    assert faults(site(tmp_path, early, **guarded)) == []


def test_postscreen_and_the_options_of_master_cf_are_seen(tmp_path: Path) -> None:
    screen = "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n  -o smtpd_client_restrictions=$listed\n"
    more = {"postscreen_dnsbl_sites": f"{ZONE}*2", "postscreen_dnsbl_action": "enforce"}
    first, second = faults(site(tmp_path, master=screen, listed=f"reject_rbl_client {ZONE}", **more))
    assert first.startswith(f"postscreen asks {ZONE} and decides before MAIL FROM")
    assert f"reject_rbl_client {ZONE} in smtpd_client_restrictions is not lifted" in second


def test_only_what_is_configured_and_can_be_checked_is_checked(tmp_path: Path) -> None:
    safelist = site(tmp_path)
    done = safelist("check", "filter")
    assert done.code == 64
    assert "there is no check of filter; there is one of postfix" in done.err
    assert done.err.endswith("; of safelist's own filter: `safelist filter check`\n")
    assert "own filter" not in safelist("check", "sendmail").err
    safelist.config.write_text(DATABASE)
    done = run(safelist)
    assert done.code == 78
    assert "the configuration has no [publish.postfix]: write that section" in done.err


def test_a_map_that_is_gone_with_its_section_stops_all_mail(tmp_path: Path) -> None:
    safelist = unpublished(tmp_path)
    safelist.config.write_text(DATABASE)
    missing, unopened = faults(safelist)
    assert missing.startswith("the configuration has no [publish.postfix]")
    assert unopened.startswith(f"main.cf names hash:{tmp_path}/safelist in {RECIPIENT}, which Postfix cannot open")
