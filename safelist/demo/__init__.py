"""A small Exchange on loopback: an EWS endpoint with an organisation of our own making.

``safelist demo`` shows the program with it, and every test of the collector talks to it. It answers over HTTP as an
Exchange Server 2016 does, including what hurts: FindItem cuts a binary property to 512 bytes and a string to 255
characters without an error, other extended rules lie beside the Junk E-mail Rule, and any trouble that ``Trouble``
names can be queued for one mailbox or for the whole server.

    organisation = Organisation.of([Mailbox("reception@corp.example", JunkRule(safe_senders=("a@b.example",)))])
    with DemoServer(organisation) as server:      # 127.0.0.1, a free port, threads of its own
        server.url                                # http://127.0.0.1:PORT/EWS/Exchange.asmx
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

``sample()`` is the organisation that ``safelist demo`` shows, ``generated(mailboxes, senders)`` a large one for
measuring (``python -m safelist.demo --mailboxes 20000 --senders 230 --latency 0.05`` serves it from its own process).
Basic, NTLM and OAuth are checked for real (``DemoServer(schemes=...)``); Kerberos is not offered.

A request that names no known mailbox is answered as Exchange does: impersonation of an unknown address by the SOAP
fault ErrorNonExistentMailbox, a folder of an unknown mailbox by a response message of that code.
"""

from safelist.demo.answers import Asked
from safelist.demo.faults import Fault, Trouble
from safelist.demo.generated import generated
from safelist.demo.identifiers import mailbox_guid
from safelist.demo.organisation import (
    Group,
    Mailbox,
    Member,
    Organisation,
    Property,
    ServiceAccount,
)
from safelist.demo.sample import sample
from safelist.demo.server import DemoServer

__all__ = [
    "Asked",
    "DemoServer",
    "Fault",
    "Group",
    "Mailbox",
    "Member",
    "Organisation",
    "Property",
    "ServiceAccount",
    "Trouble",
    "generated",
    "mailbox_guid",
    "sample",
]
