"""The Junk E-mail Rule of a mailbox, from and to the bytes that Exchange keeps (MS-OXCSPAM, MS-OXCDATA). Pure."""

from safelist.junkrule.rule import JunkRule, decode, encode

__all__ = ["JunkRule", "decode", "encode"]
