"""Exchange with the account, the group and the people of docs/install.md, to be run on the machine; says its URL."""

import sys
import threading
from pathlib import Path

from safelist.demo.organisation import DistributionGroup, DlMember
from safelist.junkrule import JunkRule
from tests.exchange import DemoServer, Mailbox, Organisation, ServiceAccount

FRIEND = "friend@example.org"
PEOPLE = [f"{name}@example.com" for name in ("you", "reception")]
SUBSIDIARY = "boss@subsidiary.example"
ACCOUNT = ServiceAccount("svc-safelist@example.com", domain="EXAMPLE")


def organisation() -> Organisation:
    """Two people trust the sender; one works elsewhere."""
    everybody = DistributionGroup("all@example.com", tuple(DlMember(address) for address in PEOPLE))
    mailboxes = [Mailbox(address, JunkRule(safe_senders=(FRIEND,))) for address in (*PEOPLE, SUBSIDIARY)]
    made = Organisation.of(mailboxes, [everybody])
    made.account = ACCOUNT
    return made


if __name__ == "__main__":
    with DemoServer(organisation()) as server:
        Path(sys.argv[1]).write_text(server.url)
        threading.Event().wait()
