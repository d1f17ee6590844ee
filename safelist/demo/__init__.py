"""A small Exchange on loopback, for ``safelist demo``: an EWS endpoint with an organisation of our own making.

It answers over HTTP, to Basic authentication, the three operations that the collector needs: FindItem, which cuts a
binary property to 512 bytes and a string to 255 characters as Exchange does, GetItem, and ExpandDL.

    with DemoServer(sample()) as server:          # 127.0.0.1, a free port, threads of its own
        server.url                                # http://127.0.0.1:PORT/EWS/Exchange.asmx
        server.organisation.account               # .principal, .password

    Organisation.of([Mailbox("reception@corp.example", JunkRule(safe_senders=("a@b.example",)))])

It is open where a server with more in it begins: a subclass of ``DemoServer`` names the handler of its connections, one
of ``EwsHandler`` changes log-in and answers, one of ``EwsCall`` serves more operations or changes what is read. The
tests' Exchange, with every trouble that a client can meet, is made so.
"""

from safelist.demo.identifiers import mailbox_guid
from safelist.demo.organisation import (
    DistributionGroup,
    DlMember,
    Mailbox,
    MapiProperty,
    Organisation,
    ServiceAccount,
)
from safelist.demo.sample import sample
from safelist.demo.server import DemoServer

__all__ = [
    "DemoServer",
    "DistributionGroup",
    "DlMember",
    "Mailbox",
    "MapiProperty",
    "Organisation",
    "ServiceAccount",
    "mailbox_guid",
    "sample",
]
