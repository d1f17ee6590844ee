"""The tests' Exchange: the demo's small one, and with it everything that a client can meet on a bad day.

Its parts have the names of the demo's and more in them: Exchange Server 2016's other operations, searches and shapes,
autodiscover, NTLM and OAuth, TLS, limits, a log of the requests, and any trouble that ``Trouble`` names, queued for one
mailbox or for the whole server.

    organisation = Organisation.of([Mailbox("reception@corp.example", JunkRule(safe_senders=("a@b.example",)))])
    with DemoServer(organisation) as server:      # 127.0.0.1, a free port, threads of its own
        server.requests                           # [Asked("FindItem", "reception@corp.example"), ...]
        server.reset()                            # forgets them
        account = organisation.account            # .principal, .password (Basic, NTLM), .client_id, .client_secret

    mailbox = organisation.mailboxes["reception@corp.example"]       # keys are lower case
    mailbox.set_rule(JunkRule(...), enabled=True, include_contacts=False)   # same item id, new change key
    mailbox.set_rule(b"...")                      # any bytes as the condition
    mailbox.add_rule(JunkRule(...), modified=...) # a duplicate; with provider= another program's rule
    mailbox.remove_rule()                         # a later rule has a new item id
    mailbox.change_property(STATE, 0x30)          # None takes the property away
    mailbox.impersonation = False                 # SOAP fault ErrorImpersonateUserDenied
    mailbox.delegate = False                      # response message ErrorAccessDenied without impersonation
    mailbox.faults.append(Fault(Trouble.SERVER_BUSY, back_off_ms=500))                  # the next request
    mailbox.faults.append(Fault(Trouble.MESSAGE_ERROR, code="ErrorItemNotFound", operation="GetItem", times=None))
    organisation.faults.append(Fault(Trouble.HTTP_503, times=None, share=0.01, seed=7)) # one request in a hundred
    organisation.find_limit = 1                   # FindItem answers in pages of one item

``generated(mailboxes, senders)`` is a large organisation for measuring (``python -m tests.exchange --mailboxes 20000
--senders 230 --latency 0.05`` serves it from its own process). Basic, NTLM and OAuth are checked for real
(``DemoServer(schemes=...)``); Kerberos is not offered.

A request that names no known mailbox is answered as Exchange does: impersonation of an unknown address by the SOAP
fault ErrorNonExistentMailbox, a folder of an unknown mailbox by a response message of that code.
"""

from safelist.demo import DistributionGroup, DlMember, MapiProperty, mailbox_guid
from tests.exchange.faults import Fault, Trouble
from tests.exchange.generated import generated
from tests.exchange.operations import Asked
from tests.exchange.organisation import Mailbox, Organisation, ServiceAccount
from tests.exchange.server import DemoServer

__all__ = [
    "Asked",
    "DemoServer",
    "DistributionGroup",
    "DlMember",
    "Fault",
    "Mailbox",
    "MapiProperty",
    "Organisation",
    "ServiceAccount",
    "Trouble",
    "generated",
    "mailbox_guid",
]
