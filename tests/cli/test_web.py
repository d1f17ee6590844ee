"""What the configuration says of the page, before it begins."""

from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.web.site import made

KEYS = {
    'user_header = "X Remote"': "web.user_header: must be the name of a header, such as X-Remote-User",
    'domain = "anna@corp.example"': "web.domain: not a domain: 'anna@corp.example'",
    'helpdesk = ["anna"]': "web.helpdesk: not an e-mail address: 'anna'",
    'realms = ["AD.EXAMPLE"]': "web.domain: missing, write what `realms` stand for",
    'auditor_groups = ["audit"]': "web.group_header: missing, write the header that names the groups",
    'proxy_users = ["no-such-account"]': "web.proxy_users: there is no account 'no-such-account' here",
    'database = "sqlite:////nowhere/safelist.db"': "/nowhere/safelist.db: there is no database yet",
    'database = "postgresql+psycopg://web:secret@db/safelist"': "web.database: the file holds a secret",
    'sockets = "/run/x"': "web.sockets: no such key (did you mean socket?)",
}


@pytest.mark.parametrize("key", KEYS)
def test_faults_of_the_section(tmp_path: Path, key: str) -> None:
    site = made(tmp_path)
    rest = site.config.read_text().partition("[web]")[0]
    site.config.write_text(f"{rest}[web]\n{key}\n")
    done = Command(tmp_path)("config", "check", SAFELIST_CONFIG=str(site.config))
    assert done.code == 78
    assert KEYS[key] in done.err


def test_a_demonstration_is_of_one_mailbox(tmp_path: Path) -> None:
    site = made(tmp_path)
    done = Command(tmp_path)("web", "--demo", "nobody", SAFELIST_CONFIG=str(site.config))
    assert (done.code, done.err) == (64, "safelist: --demo: 'nobody' is not an e-mail address\n")
