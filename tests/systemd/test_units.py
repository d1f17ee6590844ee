"""docs/install.md from nothing to a running timer, line by line, on a machine with a real systemd; then what may fail.

The machine is this one, copied on write; its Postfix, its users and its journal are real. Exchange is the tests' own.
"""

import re
from collections.abc import Iterator

import pytest

from tests.docs.documents import PAGES
from tests.systemd.exchange import ACCOUNT, FRIEND, SUBSIDIARY
from tests.systemd.machine import Machine, booted, missing
from tests.systemd.test_container import health_check
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGE = PAGES["docs/install.md"]
CONFIG, SECRET, MAP = "/etc/safelist/safelist.toml", "/etc/safelist/secret", "/var/lib/safelist-map/postfix"
RUN = "systemctl start safelist safelist-publish"
"""It waits for both; the first alone would leave the second at work while a test goes on."""
POSTFIX = """\
compatibility_level = 3.6
myhostname = mx.example.com
mydestination = $myhostname, example.com, localhost
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
local_recipient_maps =
maillog_file = /var/log/mail.log
alias_maps = inline:{ {you = root} }
mailbox_command =
"""


def lines(heading: str) -> list[str]:
    """The lines for the shell below a heading, in their order."""
    return [line for block in PAGE.blocks("sh", heading) for line in block.text.splitlines()]


def filled_in(sample: str, url: str) -> str:
    """The file that ``init`` wrote, with the page's keys in it; only the address of Exchange is this test's."""
    (example,) = PAGE.blocks("toml")
    keys = example.text.replace("https://mail.example.com/EWS/Exchange.asmx", url)
    for section in re.split(r"\n(?=\[)", keys.strip()):
        heading, _, rest = section.partition("\n")
        for line in rest.strip().splitlines():
            start = sample.index(f"\n{heading}\n")
            found = re.compile(rf"^#?{line.split()[0]} = .*$", re.MULTILINE).search(sample, start)
            assert found, f"`init` writes no {line.split()[0]} into {heading}"
            sample = f"{sample[: found.start()]}{line}{sample[found.end() :]}"
    return sample


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One on which the page was followed to its end, and nothing went wrong."""
    directory = tmp_path_factory.mktemp("machine")
    directory.chmod(0o755)
    with booted(directory) as running:
        running.write("/etc/postfix/main.cf", POSTFIX)
        running.ok("postfix start; rm -f /var/mail/root; touch /root/exchange")
        running.ok("systemd-run --quiet --unit=exchange --working-directory=/opt/safelist-checkout "
                   "/opt/safelist/bin/python -m tests.systemd.exchange /root/exchange")  # fmt: skip
        assert until(lambda: running.ok("cat /root/exchange")), running.journal("exchange")
        follow(running)
        yield running


def follow(machine: Machine) -> None:
    """Run the page's lines in their order. The first block has made the environment that is there already."""
    assert "ln -sf /opt/safelist/bin/safelist /usr/local/bin/safelist" in lines("The program")
    machine.ok(lines("The program")[-1])
    make, place, secret, check, look, collect, ask = lines("Set it up")
    machine.ok(f"{make}; {place}; {secret}; cat >{SECRET}", ACCOUNT.password + "\n")
    written = filled_in(machine.ok(f"cat {CONFIG}"), machine.ok("cat /root/exchange"))
    machine.ok(f"cat >{CONFIG}", written)
    machine.ok(check)
    assert FRIEND in machine.ok(look)
    assert machine(collect) == (0, "", "")
    assert "quorum" in machine.ok(f"{ask} --json")
    for line in lines("Publish")[:-1]:
        machine.ok(line)
    assert machine.ok(lines("Publish")[-1]) == "permit_auth_destination\n"
    (main,) = PAGES["docs/install.md"].blocks("cf")
    machine.ok("cat >>/etc/postfix/main.cf", main.text)
    for line in lines("Postfix"):
        machine.ok(line)
    assert until(lambda: "status=sent" in machine.ok("cat /var/log/mail.log")), machine.ok("cat /var/log/mail.log")
    for line in lines("Let a timer run it"):
        machine.ok(line)


def test_the_run_and_the_publication_succeeded(machine: Machine) -> None:
    collected, published = (machine.journal(unit) for unit in ("safelist", "safelist-publish"))
    assert "Finished safelist.service" in collected
    assert "Finished safelist-publish.service" in published
    assert "Failed" not in collected + published
    for timer in ("safelist.timer", "safelist-verify.timer"):
        assert machine.property(timer, "ActiveState") == "active"
        assert machine.property(timer, "NextElapseUSecRealtime")
    assert machine.ok(f"runuser -u postfix -- postmap -q {FRIEND} $(postconf -h default_database_type):{MAP}")


def test_what_root_made_before_belongs_to_whom_it_is_for(machine: Machine) -> None:
    def owner(path: str) -> str:
        return machine.ok(f"stat -c '%a %U %G' {path}").strip()

    assert owner(CONFIG) == "640 root safelist"
    assert owner(SECRET).startswith("600 root ")
    assert owner("/var/lib/safelist") == "2770 safelist safelist"
    assert owner("/var/lib/safelist/safelist.db") == "660 safelist safelist"
    assert owner(MAP) == "644 safelist-publish safelist-publish"
    assert owner("/var/lib/safelist-snapshot") == "2750 safelist-publish safelist-filter"


def test_nobody_can_reach_what_is_another_s(machine: Machine) -> None:
    def may(user: str, what: str) -> bool:
        return machine(f"runuser -u {user} -- {what}").code == 0

    assert may("safelist", f"cat {CONFIG}")
    assert may("safelist-publish", "test -w /var/lib/safelist/safelist.db")
    assert not may("safelist", f"cat {SECRET}")
    assert not may("safelist", f"touch {MAP}")
    assert not may("safelist-publish", f"cat {SECRET}")
    assert not may("safelist-filter", f"cat {CONFIG}")
    assert not may("safelist-filter", "test -r /var/lib/safelist/safelist.db")


def test_root_at_the_command_line_leaves_the_units_at_work(machine: Machine) -> None:
    machine.ok("safelist override allow root-made@partner.example --authentication none --reason x --i-understand")
    machine.ok("systemctl start safelist-publish")
    assert "root-made@partner.example permit_auth_destination" in machine.ok(f"cat {MAP}")


def test_the_history_is_verified(machine: Machine) -> None:
    machine.ok("systemctl start safelist-verify")
    assert "unbroken" in machine.journal("safelist-verify")


def test_the_filter_reads_what_was_published(machine: Machine) -> None:
    keep = machine.ok(f"cat {CONFIG}")
    section = PAGES["docs/filters/dnsbl-filter.md"].blocks("toml")[0].text
    machine.ok(f"cat >>{CONFIG}", section)
    machine.ok("install -m 640 -g safelist-filter /dev/null /etc/safelist/filter.toml")
    machine.ok("safelist filter sample >/etc/safelist/filter.toml")
    machine.ok("systemctl start safelist-publish")
    machine.ok("systemctl start safelist-filter")
    assert until(lambda: "listening on inet:127.0.0.1:10045" in machine.journal("safelist-filter"))
    assert "snapshot /var/lib/safelist-snapshot/snapshot: 2 entries" in machine.journal("safelist-filter")
    machine.ok(f'/opt/safelist/bin/python -c "{health_check()}"')
    machine.ok("systemctl stop safelist-filter")
    machine.ok(f"cat >{CONFIG}", keep)


def drop_in(machine: Machine, key: str) -> str:
    """Write the page's drop-in that has ``key``; the file."""
    (block,) = (block for block in PAGE.blocks("ini") if f"\n{key}=" in block.text)
    unit = block.text.splitlines()[0].rsplit(" ", 1)[1]
    path = f"/etc/systemd/system/{unit}.service.d/override.conf"
    machine.write(path, block.text)
    machine.ok("systemctl daemon-reload")
    return path


def test_a_secret_may_be_encrypted(machine: Machine) -> None:
    for line in lines("An encrypted secret"):
        machine.ok(line)
    machine.ok(f"rm {SECRET}")
    path = drop_in(machine, "LoadCredentialEncrypted")
    machine.ok(RUN)
    machine.ok(f"rm {path}; systemctl daemon-reload; install -m 600 /dev/stdin {SECRET}", ACCOUNT.password + "\n")


def test_a_source_has_a_unit_and_a_secret_of_its_own(machine: Machine) -> None:
    keep = machine.ok(f"cat {CONFIG}")
    url = machine.ok("cat /root/exchange")
    more = f"""
[[sources]]
name = "subsidiary"
kind = "ews"
[sources.exchange]
endpoint = "{url}"
username = "EXAMPLE\\\\svc-safelist"
secret_file = "/etc/safelist/secret-subsidiary"
[sources.mailboxes]
addresses = ["{SUBSIDIARY}"]
"""
    machine.ok(f"cat >>{CONFIG}", more)
    machine.write("/etc/safelist/secret-subsidiary", ACCOUNT.password + "\n", "600")
    machine.ok("systemctl start safelist@subsidiary safelist-publish")
    assert FRIEND in machine.ok(f"safelist audit mailbox {SUBSIDIARY}")
    path = drop_in(machine, "LoadCredential")
    machine.ok(RUN)
    machine.ok(f"rm {path}; systemctl daemon-reload")
    machine.ok(f"cat >{CONFIG}", keep)


def test_another_directory_is_opened_by_a_drop_in(machine: Machine) -> None:
    keep = machine.ok(f"cat {CONFIG}")
    machine.ok("install -d -o safelist-publish /var/lib/exim-safelist")
    machine.ok(f"sed -i 's#{MAP}#/var/lib/exim-safelist/map#' {CONFIG}")
    path = drop_in(machine, "ReadWritePaths")
    machine.ok("systemctl start safelist-publish")
    assert FRIEND in machine.ok("cat /var/lib/exim-safelist/map")
    machine.ok(f"rm {path}; systemctl daemon-reload")
    machine.ok(f"cat >{CONFIG}", keep)


def publications(machine: Machine) -> int:
    """How many came to their end well."""
    return machine.journal("safelist-publish").count("Finished safelist-publish.service")


def test_a_run_that_fails_is_mailed_to_root_and_what_is_known_is_published(machine: Machine) -> None:
    machine.ok(f"mv {SECRET} {SECRET}.away; rm -f /var/mail/root")
    before = publications(machine)
    assert machine("systemctl start safelist").code
    assert "exchange.secret_file: the file of that name does not exist" in machine.journal("safelist")
    assert until(lambda: publications(machine) == before + 1)
    assert until(lambda: machine("cat /var/mail/root").code == 0), machine.journal("safelist-notify@safelist.service")
    assert until(lambda: "exchange.secret_file" in machine.ok("cat /var/mail/root"))
    mail = machine.ok("cat /var/mail/root")
    assert "\nSubject: safelist.service failed on " in mail
    assert " has failed (exit-code, exit code 78). " in mail
    machine.ok(f"mv {SECRET}.away {SECRET}; systemctl start safelist")
