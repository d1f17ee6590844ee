"""Senders that mean something else to somebody's parser: none may match what it does not say, or vanish unreported.

The texts are such as users' lists hold: what :func:`safelist.sender.parse` makes of each is what a target is given.
"""

_LONG = "l" * 64
_LABEL = "d" * 63

ADDRESSES = (
    "-leading@hostile.example", "--help@hostile.example", "#comment@hostile.example", "a#b@hostile.example",
    "a*b@hostile.example", "*@hostile.example", "a?b@hostile.example", "?@hostile.example", "a/b@hostile.example",
    "/regexp/@hostile.example", "/./i@hostile.example", "a|b@hostile.example", "|x@hostile.example",
    "a{b}@hostile.example", "{{x}}@hostile.example", "{%x%}@hostile.example", "{=x=}@hostile.example",
    "{#x#}@hostile.example", "%s@hostile.example", "%n%d@hostile.example", "%%@hostile.example", "a%b@hostile.example",
    "$x@hostile.example", "${x}@hostile.example", "${run{x}}@hostile.example", "`x`@hostile.example",
    "a'b@hostile.example", "';drop@hostile.example", "a+b@hostile.example", "a=b@hostile.example", "!a@hostile.example",
    "^a$@hostile.example", "a~b@hostile.example", "a&b@hostile.example", "a..b@hostile.example", ".a@hostile.example",
    '"front desk"@hostile.example', '"a:b"@hostile.example', '"a|b"@hostile.example', '"a@b"@hostile.example',
    r'"a\"b"@hostile.example', r'"a\\b"@hostile.example', '"a,b"@hostile.example', '"<x>"@hostile.example',
    '"a;b"@hostile.example', '"[x]"@hostile.example', '"#a"@hostile.example', '""@hostile.example',
    '"(c)"@hostile.example', '"a\tb"@hostile.example', "é@hostile.example", "ü@bücher.example",
    "a@xn--bcher-kva.example", "a@BÜCHER.example", "\u202eevil@hostile.example", "a\u200bb@hostile.example",
    "ſ@hostile.example",
    f"{_LONG}@{_LABEL}.{_LABEL}.{_LABEL}.example", f"{_LONG}@hostile.example", "a@[192.0.2.1]", "a@1.2.3.4",
    "undefined@hostile.example", "null@hostile.example", "yes@hostile.example", "include@hostile.example",
)  # fmt: skip
"""Addresses; what is below hostile.example is nobody else's."""

DOMAINS = (
    "hostile-domain.example", ".hostile-domain.example", "bücher.example", "xn--bcher-kva.example", "a_b.example",
    "*.hostile-domain.example", "-x.example", f"{_LABEL}.{_LABEL}.{_LABEL}.example", "1.2.3.4", "[192.0.2.1]",
)  # fmt: skip
"""Domains, with and without their sub-domains."""

BROKEN = (
    "a\nb@hostile.example", "a\r\nb@hostile.example", "a\0b@hostile.example", "a@hostile.example\nall@partner.example",
    "a@hostile.example, b@hostile.example", "x" * 255 + "@hostile.example", "a@" + "d." * 130 + "example",
)  # fmt: skip
"""Texts that no client could send as one address."""

RECIPIENTS = ("desk+a@corp.example", "o'brien@corp.example", "d|e@corp.example", "d:e@corp.example", "#d@corp.example",
              '"front desk"@corp.example', "-d@corp.example", "é@corp.example", "{%d%}@corp.example")  # fmt: skip
"""Mailboxes' addresses, which Exchange allows to be odd, too."""

BYSTANDERS = (
    "ab@hostile.example", "axb@hostile.example", "leading@hostile.example", "x@hostile.example", "a@hostile.example",
    "b@hostile.example", "front@hostile.example", "desk@hostile.example", "comment@hostile.example",
    "s@hostile.example", "bucher@hostile.example", "hostile.example@x.example", "x@sub.hostile.example",
    "nobody@else.example", "a@evilhostile-domain.example", "a@hostile-domainxexample.example",
    "a@hostile-domain.example.evil.example",
)  # fmt: skip
"""Senders whom nobody trusts."""
