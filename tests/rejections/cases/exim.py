"""Lines of Exim."""

from safelist.rejections.rejection import Rejection, RejectionKind, Stage
from tests.rejections.contract import NOWHERE, FormatCase, at

EXIM = FormatCase(
    "exim",
    lines=(
        ("2026-11-26 08:00:01 H=mx.aol.example (helo.example) [192.0.2.9] F=<bob@aol.com> rejected RCPT "
         "<you@corp.example>: found in dnsbl zen.spamhaus.org"),
        ("2026-11-26 09:00:02.345 +0100 [4711] H=(h) [2001:db8::9]:4321 I=[192.0.2.1]:25 "
         'X=TLS1.3:ECDHE_RSA__AES_256_GCM_SHA384:256 CV=no DN="CN=a b, O=\\"c\\"" F=<> temporarily rejected RCPT '
         '<"front desk"@corp.example>: 2001:db8::9 is listed at dnsbl.example (127.0.0.2: why)'),
        ("2026-11-26 08:00:03 H=[192.0.2.9] F=bob@aol.com rejected RCPT you@corp.example: rejected because "
         "192.0.2.9 is in a black list at zen.spamhaus.org\\nhttps://lists.example/q: 192.0.2.9"),
        "2026-11-26 08:00:04 H=mx.aol.example [192.0.2.9] rejected MAIL <bob@aol.com>: not you",
        "2026-11-26 08:00:05 H=(h.example) [192.0.2.9] rejected EHLO or HELO h.example: listed in rbl.example",
        '2026-11-26 08:00:06 H=[192.0.2.9] rejected connection in "connect" ACL: found in rbl rbl.example',
        ("2026-11-26 08:00:07 1VxPit-000MMd-U4 H=mx.aol.example [192.0.2.9] P=esmtp F=<bob@aol.com> rejected after "
         "DATA: 5.7.1 192.0.2.9 is listed in rbl.example"),
        ("2026-11-26 08:00:08 1xWiy7-0000000CdEF-1a2b H=mx.aol.example [192.0.2.9] F=<bob@aol.com> A=plain:fax "
         "rejected during MIME ACL checks: no"),
        "2026-11-26 08:00:09 H=(h) [192.0.2.9] rejected DATA: wait",
        ("2026-11-26 08:00:10 1xWiy7-0000000CdEF-1a2b ** you@partner.example <list@corp.example> F=<bob@corp.example> "
         "P=<bob@corp.example> R=dnslookup T=remote_smtp H=mx.partner.example [192.0.2.11] X=TLS1.3:x:256 CV=yes: SMTP "
         "error from remote mail server after pipelined end of data: 554 Permanent scan failure. Email Session ID: "
         "{4E6B-0-1-2} DT=1.5s"),
        ("2026-11-26 08:00:11 1VxPit-000MMd-U4 ** you@partner.example R=dnslookup T=remote_smtp: SMTP error from "
         "remote mail server after RCPT TO:<you@partner.example>: host mx.partner.example [192.0.2.11]: 550-5.7.1 "
         "no\\n550 no"),
        ("2026-11-26T08:00:12.5+00:00 mx exim[4711]: [1\\3] 2026-11-26 09:00:12 H=(h) [192.0.2.9] F=<bob@aol.com> "
         "rejected RCPT <you@corp.example>: Administrative prohibition"),
        "2026-11-26 08:00:13 rejected EHLO from [192.0.2.9]: syntactically invalid argument(s): a b",
        ("2026-11-26 08:00:14 1VxPit-000MMd-U4 rejected from <bob@aol.com> H=mx.aol.example [192.0.2.9]: message too "
         "big: read=52428801 max=52428800"),
        "2026-11-26 08:00:15 U=www F=<www@corp.example> rejected RCPT <you@corp.exam",
        f"2026-11-26 08:00:16 H=(h) [192.0.2.9] F=<bob@aol.com> rejected RCPT <{'l' * 99}: relay not permitted",
    ),
    found=(
        Rejection(
            at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "found in dnsbl zen.spamhaus.org", "192.0.2.9",
            "mx.aol.example", "bob@aol.com", "you@corp.example", Stage.RCPT, "zen.spamhaus.org",
        ),
        Rejection(
            at("08:00:02.345"), RejectionKind.DEFERRED, NOWHERE,
            "2001:db8::9 is listed at dnsbl.example (127.0.0.2: why)",
            "2001:db8::9", None, "", '"front desk"@corp.example', Stage.RCPT, "dnsbl.example",
        ),
        Rejection(
            at("08:00:03"), RejectionKind.REJECTED, NOWHERE,
            "rejected because 192.0.2.9 is in a black list at zen.spamhaus.org\\nhttps://lists.example/q: 192.0.2.9",
            "192.0.2.9", None, "bob@aol.com", "you@corp.example", Stage.RCPT, "zen.spamhaus.org",
        ),
        Rejection(
            at("08:00:04"), RejectionKind.REJECTED, NOWHERE, "not you", "192.0.2.9", "mx.aol.example", "bob@aol.com",
            stage=Stage.MAIL,
        ),
        Rejection(
            at("08:00:05"), RejectionKind.REJECTED, NOWHERE, "listed in rbl.example", "192.0.2.9", stage=Stage.HELO,
            provider="rbl.example",
        ),
        Rejection(
            at("08:00:06"), RejectionKind.DISCONNECTED, NOWHERE, "found in rbl rbl.example", "192.0.2.9",
            stage=Stage.CONNECT, provider="rbl.example",
        ),
        Rejection(
            at("08:00:07"), RejectionKind.REJECTED, NOWHERE, "5.7.1 192.0.2.9 is listed in rbl.example", "192.0.2.9",
            "mx.aol.example", "bob@aol.com", None, Stage.MESSAGE, "rbl.example",
        ),
        Rejection(
            at("08:00:08"), RejectionKind.REJECTED, NOWHERE, "no", "192.0.2.9", "mx.aol.example", "bob@aol.com",
            stage=Stage.MESSAGE,
        ),
        Rejection(at("08:00:09"), RejectionKind.REJECTED, NOWHERE, "wait", "192.0.2.9", stage=Stage.DATA),
        Rejection(
            at("08:00:10"), RejectionKind.BOUNCED, NOWHERE,
            "554 Permanent scan failure. Email Session ID: {4E6B-0-1-2}", "192.0.2.11", "mx.partner.example",
            "bob@corp.example", "you@partner.example", Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:11"), RejectionKind.BOUNCED, NOWHERE, "550-5.7.1 no\\n550 no", "192.0.2.11",
            "mx.partner.example", None, "you@partner.example", Stage.RCPT,
        ),
        Rejection(
            at("08:00:12.5"), RejectionKind.REJECTED, NOWHERE, "Administrative prohibition", "192.0.2.9", None,
            "bob@aol.com", "you@corp.example", Stage.RCPT,
        ),
        Rejection(
            at("08:00:13"), RejectionKind.REJECTED, NOWHERE, "syntactically invalid argument(s): a b", "192.0.2.9",
            stage=Stage.HELO,
        ),
        Rejection(
            at("08:00:14"), RejectionKind.REJECTED, NOWHERE, "message too big: read=52428801 max=52428800", "192.0.2.9",
            "mx.aol.example", "bob@aol.com", stage=Stage.MESSAGE,
        ),
        Rejection(at("08:00:15"), RejectionKind.REJECTED, NOWHERE, "", sender="www@corp.example", stage=Stage.RCPT),
        Rejection(
            at("08:00:16"), RejectionKind.REJECTED, NOWHERE, "relay not permitted", "192.0.2.9", None, "bob@aol.com",
            stage=Stage.RCPT,
        ),
    ),
    others=(
        "2026-11-26 08:00:01 H=(h) [192.0.2.9] Warning: 192.0.2.9 is listed at dnsbl.example: rejected RCPT",
        '2026-11-26 08:00:01 H=(h) [192.0.2.9] sender verify fail for <"a> rejected RCPT <b"@aol.com>: Unrouteable',
        '2026-11-26 08:00:01 H=(h) [192.0.2.9] incomplete transaction (QUIT) from <"a> rejected RCPT <b"@aol.com>',
        "2026-11-26 08:00:01 H=(h) [192.0.2.9] rejected VRFY you@corp.example",
        "2026-11-26 08:00:01 H=(h) [192.0.2.9] rejected AUTH PLAIN: no",
        "2026-11-26 08:00:01 no host name found for IP address 192.0.2.9 rejected RCPT",
        "2026-11-26 08:00:01 1VxPit-000MMd-U4 ** you@partner.example R=dnslookup T=remote_smtp: retry timeout exceeded",
        "2026-11-26 08:00:01 1VxPit-000MMd-U4 ** you@partner.example: Unrouteable address",
        ("2026-11-26 08:00:01 1VxPit-000MMd-U4 == you@partner.example R=dnslookup T=remote_smtp defer (-44): SMTP "
         "error from remote mail server after RCPT TO:<you@partner.example>: 451 not yet"),
        ("2026-11-26 08:00:01 1VxPit-000MMd-U4 => you@partner.example R=dnslookup T=remote_smtp H=mx.partner.example "
         '[192.0.2.11] C="250 not rejected RCPT"'),
        "Envelope-to: <you@corp.example>",
    ),
)  # fmt: skip
