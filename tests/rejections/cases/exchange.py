"""Logs of Exchange."""

from random import Random

from tests.rejections import exchange_logs
from tests.rejections.contract import FormatCase

_RECEIVED = exchange_logs.protocol_log(
    [
        exchange_logs.Conversation(
            1,
            "192.0.2.9",
            (
                exchange_logs.SentMail(
                    "bob@aol.com",
                    (
                        ("you@corp.example", exchange_logs.ON_A_LIST),
                        ("me@corp.example", "452 4.3.1 Insufficient system resources"),
                        ("us@corp.example", "250 2.1.5 Recipient OK"),
                    ),
                    to_message="550 5.7.1 Message rejected as spam by Content Filtering.",
                    pipelined=True,
                ),
            ),
        )
    ],
    Random(1),
)
EXCHANGE_PROTOCOL = FormatCase(
    format="exchange-protocol",
    head=_RECEIVED.head,
    lines=_RECEIVED.lines,
    found=_RECEIVED.refused,
    others=exchange_logs.protocol_log(
        [exchange_logs.Conversation(2, "192.0.2.9", (exchange_logs.SentMail("bob@aol.com", ()),))], Random(1)
    ).lines,
)
