"""Lines of Postfix."""

from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage
from tests.rejections.contract import NOWHERE, FormatCase, at

POSTFIX = FormatCase(
    format="postfix",
    lines=(
        ("Nov 26 08:00:01 mx postfix/smtpd[71]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 Service "
         "unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://lists.example/q/192.0.2.9; "
         "from=<bob@aol.com> to=<you@corp.example> proto=ESMTP helo=<mail.aol.example>"),
        ("Nov 26 08:00:02 mx postfix/submission/smtpd[72]: NOQUEUE: reject_warning: MAIL from "
         "mx.aol.example[2001:db8::9]: 450 4.7.1 <mx.aol.example>: Helo command rejected: Host not found; from=<> "
         "proto=ESMTP helo=<mx.aol.example>"),
        ("2026-11-26T08:00:03.25Z mx postfix/postscreen[73]: NOQUEUE: reject: RCPT from [192.0.2.9]:60591: 550 "
         "5.7.1 Service unavailable; client [192.0.2.9] blocked using rbl.example; from=<bob@aol.com>, "
         "to=<you@corp.example>, proto=ESMTP, helo=<mail.aol.example>"),
        "Nov 26 08:00:04 mx postfix/dnsblog[74]: addr 192.0.2.10 listed by domain rbl.example as 127.0.0.2",
        "Nov 26 08:00:05 mx postfix/postscreen[73]: DNSBL rank 3 for [192.0.2.10]:4711",
        "Nov 26 08:00:05 mx postfix/postscreen[73]: DISCONNECT [192.0.2.10]:4711",
        ("Nov 26 08:00:06 mx postfix/cleanup[75]: 4XYz0123456zBCD: milter-reject: END-OF-MESSAGE from "
         "mx.partner.example[192.0.2.11]: 4.7.1 Try again later; from=<bob@partner.example> to=<you@corp.example> "
         "proto=ESMTP helo=<mx.partner.example>"),
        ("Nov 26 08:00:07 mx postfix/cleanup[75]: 5ABCDE012: reject: header Subject: free money from "
         "mx.partner.example[192.0.2.11]; from=<bob@partner.example> to=<you@corp.example> proto=SMTP helo=<p>: "
         "5.7.1 not here"),
        ("Nov 26 08:00:08 mx postfix/smtp[76]: 5ABCDE013: to=<bob@partner.example>, orig_to=<list@corp.example>, "
         "relay=mx.partner.example[192.0.2.11]:25, delay=0.5, delays=0.1/0/0.2/0.2, dsn=5.0.0, status=bounced (host "
         "mx.partner.example[192.0.2.11] said: 554 Permanent scan failure. Email Session ID: {4E6B-0-1-2} (in reply to "
         "end of DATA command))"),
    ),
    found=(
        Rejection(
            at("08:00:01"), RejectionKind.REJECTED, NOWHERE,
            "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; "
            "https://lists.example/q/192.0.2.9",
            "192.0.2.9", None, "bob@aol.com", "you@corp.example", Stage.RCPT, "zen.spamhaus.org", Listed.CLIENT,
        ),
        Rejection(
            at("08:00:02"), RejectionKind.WARNED, NOWHERE,
            "450 4.7.1 <mx.aol.example>: Helo command rejected: Host not found",
            "2001:db8::9", "mx.aol.example", "", None, Stage.MAIL,
        ),
        Rejection(
            at("08:00:03.25"), RejectionKind.REJECTED, NOWHERE,
            "550 5.7.1 Service unavailable; client [192.0.2.9] blocked using rbl.example",
            "192.0.2.9", None, "bob@aol.com", "you@corp.example", Stage.RCPT, "rbl.example", Listed.CLIENT,
        ),
        Rejection(
            at("08:00:05"), RejectionKind.DISCONNECTED, NOWHERE, "DNSBL rank 3",
            "192.0.2.10", stage=Stage.CONNECT, provider="rbl.example", listed=Listed.CLIENT,
        ),
        Rejection(
            at("08:00:06"), RejectionKind.DEFERRED, NOWHERE, "4.7.1 Try again later",
            "192.0.2.11", "mx.partner.example", "bob@partner.example", "you@corp.example", Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:07"), RejectionKind.REJECTED, NOWHERE, "5.7.1 not here",
            "192.0.2.11", "mx.partner.example", "bob@partner.example", "you@corp.example", Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:08"), RejectionKind.BOUNCED, NOWHERE,
            "554 Permanent scan failure. Email Session ID: {4E6B-0-1-2}",
            "192.0.2.11", "mx.partner.example", None, "bob@partner.example", Stage.MESSAGE,
        ),
    ),
    others=(
        "Nov 26 08:00:01 mx postfix/smtpd[71]: connect from unknown[192.0.2.9]",
        "Nov 26 08:00:01 mx postfix/smtpd[71]: warning: restriction `reject_rbl_client' after `reject' is ignored",
        *(
            f"Nov 26 08:00:02 mx postfix/smtpd[71]: NOQUEUE: {what}: RCPT from unknown[192.0.2.9]: <bob@aol.com>: "
            "Sender address triggers no reject; from=<bob@aol.com> to=<you@corp.example> proto=ESMTP helo=<h>"
            for what in ("discard", "hold", "filter", "redirect", "permit", "milter-discard", "milter-hold")
        ),
        "Nov 26 08:00:03 mx postfix/postscreen[73]: DNSBL rank 2 for [192.0.2.12]:4712",
        "Nov 26 08:00:03 mx postfix/postscreen[73]: PASS NEW [192.0.2.12]:4712",
        "Nov 26 08:00:03 mx postfix/postscreen[73]: DISCONNECT [192.0.2.13]:4713",
        "Nov 26 08:00:04 mx postfix/cleanup[75]: 5ABCDE012: warning: header Subject: reject: this from local; from=<>",
        ("Nov 26 08:00:05 mx postfix/smtp[76]: 5ABCDE013: to=<bob@aol.com>, relay=none, delay=0.5, delays=0.1/0/0.4/0, "
         "dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=aol.com type=AAAA)"),
        ("Nov 26 08:00:05 mx postfix/smtp[76]: 5ABCDE013: to=<bob@x.example>, relay=x.example[192.0.2.14]:25, "
         "delay=0.5, delays=0.1/0/0.4/0, dsn=4.7.1, status=deferred (host x.example[192.0.2.14] said: 450 4.7.1 "
         "reject for now (in reply to RCPT TO command))"),
        ("Nov 26 08:00:05 mx postfix/local[77]: 5ABCDE013: to=<x@corp.example>, relay=local, delay=0.5, "
         'delays=0.1/0/0.4/0, dsn=5.1.1, status=bounced (unknown user: "x")'),
    ),
)  # fmt: skip
