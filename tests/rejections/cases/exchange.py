"""Logs of Exchange."""

from random import Random

from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage
from tests.rejections import exchange_logs
from tests.rejections.contract import NOWHERE, FormatCase

_AT = exchange_logs.BEGIN
_SCAN_FAILURE = "554 Permanent scan failure. Email Session ID: {4C1F2E0A-1-C0A80119-7D}"
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
_OF_BOB = {"RemoteEndpoint": "10.0.1.9:46904", "EnteredOrgFromIP": "192.0.2.9", "P1FromAddress": "bob@aol.com"}
_SPAM = "550 5.7.1 Message rejected as spam by Content Filtering."
EXCHANGE_AGENT = FormatCase(
    format="exchange-agent",
    head=exchange_logs.head("Agent Log", exchange_logs.AGENT),
    lines=(
        exchange_logs.agent_line(
            **_OF_BOB, Recipient="you@corp.example", Agent="Connection Filtering Agent", Event="OnRcptCommand",
            Action="RejectCommand", SmtpResponse=exchange_logs.ON_A_LIST, Reason="BlockListProvider",
            ReasonData="Spamhaus ZEN",
        ),
        exchange_logs.agent_line(
            **{**_OF_BOB, "P1FromAddress": "<>"}, P2FromAddresses="bob@aol.com;", NumRecipients="2",
            Recipient=exchange_logs.joined(["you@corp.example", "o'neil@corp.example"]), Agent="Content Filter Agent",
            Event="OnEndOfData", Action="RejectMessage", SmtpResponse=_SPAM, Reason="SclAtOrAboveRejectThreshold",
            ReasonData="7", Directionality="Incoming",
        ),
    ),
    found=(
        Rejection(
            _AT, RejectionKind.REJECTED, NOWHERE, exchange_logs.ON_A_LIST, client="192.0.2.9", sender="bob@aol.com",
            recipient="you@corp.example", stage=Stage.RCPT, provider="Spamhaus ZEN", listed=Listed.CLIENT,
        ),
        *(
            Rejection(
                _AT, RejectionKind.REJECTED, NOWHERE, _SPAM, client="192.0.2.9", sender="", recipient=recipient,
                stage=Stage.MESSAGE,
            )
            for recipient in ("you@corp.example", "o'neil@corp.example")
        ),
    ),
    others=(
        exchange_logs.agent_line(
            **_OF_BOB, Recipient="you@corp.example", Agent="Inbound Trust Agent", Event="OnEndOfHeaders",
            Action="ModifyHeaders", Diagnostics="Cross premises headers filtered",
        ),
        exchange_logs.agent_line(
            **_OF_BOB, Recipient="you@corp.example", Agent="Content Filter Agent", Event="OnEndOfData",
            Action="QuarantineMessage", SmtpResponse="550 5.2.1 Message held", Reason="SclAtOrAboveQuarantineThreshold",
        ),
    ),
)  # fmt: skip
_NOT_PERMITTED = "550 5.7.1 Sender ID (PRA) Not Permitted"
EXCHANGE_TRACKING = FormatCase(
    format="exchange-tracking",
    head=exchange_logs.head("Message Tracking Log", exchange_logs.TRACKING),
    lines=(
        exchange_logs.tracking_line(
            client_ip="10.0.1.5", server_ip="198.51.100.7", server_hostname="mx.partner.example", source="SMTP",
            source_context="08DE0000000001AB", connector_id="To Internet", event_id="FAIL",
            recipient_address="bob@partner.example;eve@partner.example",
            recipient_status=exchange_logs.joined([
                f"[{{LRT=}};{{LED={_SCAN_FAILURE}}};{{FQDN=mx1.partner.example}};{{IP=198.51.100.8}}]",
                "550 5.1.1 User unknown, it's over",
            ]),
            message_subject='Figures, "again"', sender_address="you@corp.example", return_path="you@corp.example",
        ),
        exchange_logs.tracking_line(
            client_ip="192.0.2.9", source="SMTP", source_context="Sender Id Agent", event_id="FAIL",
            connector_id="MBX1\\Default MBX1", recipient_address="you@corp.example",
            recipient_status=exchange_logs.joined([f"[{{LED={_NOT_PERMITTED}}};{{MSG=}};{{FQDN=}};{{IP=}};{{LRT=}}]"]),
            sender_address="bob@aol.com", return_path="b@bounce.aol.com",
        ),
    ),
    found=(
        Rejection(
            _AT, RejectionKind.BOUNCED, NOWHERE, _SCAN_FAILURE, client="198.51.100.8", host="mx1.partner.example",
            sender="you@corp.example", recipient="bob@partner.example",
        ),
        Rejection(
            _AT, RejectionKind.BOUNCED, NOWHERE, "550 5.1.1 User unknown, it's over", client="198.51.100.7",
            host="mx.partner.example", sender="you@corp.example", recipient="eve@partner.example",
        ),
        Rejection(
            _AT, RejectionKind.REJECTED, NOWHERE, _NOT_PERMITTED, client="192.0.2.9", sender="b@bounce.aol.com",
            recipient="you@corp.example", stage=Stage.MESSAGE,
        ),
    ),
    others=(
        exchange_logs.tracking_line(
            source="ROUTING", event_id="FAIL", recipient_address="who@corp.example",
            recipient_status="550 5.1.1 RESOLVER.ADR.ExRecipNotFound", return_path="you@corp.example",
        ),
        exchange_logs.tracking_line(
            server_ip="198.51.100.7", source="SMTP", event_id="SEND", recipient_address="bob@partner.example",
            recipient_status="250 2.6.0 Queued", return_path="you@corp.example",
        ),
    ),
)  # fmt: skip
