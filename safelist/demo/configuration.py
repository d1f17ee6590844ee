"""What ``safelist demo`` writes into its directory before it begins: two configurations and a log."""

from pathlib import Path
from typing import NamedTuple

from safelist.config import toml
from safelist.demo.nameserver import DNSBL
from safelist.demo.organisation import Organisation
from safelist.store import url_of_file

WEB_USER = "it1@corp.example"
"""Who is an auditor on the page for a browser."""


class DemoPlace(NamedTuple):
    """The directory, and its files by what they are."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "safelist.toml"

    @property
    def database(self) -> Path:
        return self.directory / "safelist.db"

    @property
    def map(self) -> Path:
        return self.directory / "safelist_map"

    @property
    def filter_config(self) -> Path:
        return self.directory / "filter.toml"

    @property
    def filter(self) -> Path:
        """A directory of the filter's own, where only who publishes may write."""
        return self.directory / "filter"

    @property
    def log(self) -> Path:
        return self.directory / "mail.log"

    def there(self) -> list[str]:
        """The names of those that exist."""
        files = (self.config, self.database, self.map, self.filter_config, self.filter, self.log)
        return [path.name for path in files if path.exists()]


def main_text(place: DemoPlace, organisation: Organisation, url: str) -> str:
    """The safelist.toml for the endpoint at ``url``."""
    account = organisation.account
    groups = [group for group in organisation.groups if group.startswith("everyone@")]
    return f"""\
# Written by `safelist demo`. `safelist init` writes one in which every key is explained.
[exchange]
endpoint = {toml(url)}
authentication = "basic"
username = {toml(account.principal)}
secret = {toml(account.password)}

[mailboxes]
groups = {toml(groups)}

[database]
url = {toml(url_of_file(place.database))}

[policy]
quorum = 2

[publish.postfix]
path = {toml(str(place.map))}
# A plain text map, and no question to this machine's Postfix, which may not be there or not be set up.
map_type = "texthash"
parent_domain_matches_subdomains = true

[publish.filter]
path = {toml(str(place.filter / "snapshot"))}
used = {toml(str(place.filter / "used.db"))}

# No web server is believed here, for there is none: `safelist web --demo` shows the page.
[web]
proxy_users = []
helpdesk = ["support1@corp.example"]
auditors = {toml([WEB_USER])}
"""


def filter_text(place: DemoPlace, port: int, nameserver: str) -> str:
    """The filter.toml for a filter at ``port`` of 127.0.0.1 that asks ``nameserver`` (``ADDRESS:PORT``)."""
    return f"""\
# Written by `safelist demo`. `safelist filter sample` prints one in which every key is explained.
snapshot = {toml(str(place.filter / "snapshot"))}
used = {toml(str(place.filter / "used.db"))}
listen = [{toml(f"inet:127.0.0.1:{port}")}]
# The demo's own, which answers while the demo runs. Without this line: that of the machine.
resolvers = [{toml(nameserver)}]

[[providers]]
name = "Spamhaus ZEN"
lookup_domain = {toml(DNSBL)}
ip_address_match = ["127.0.0.2-127.0.0.11"]
"""
