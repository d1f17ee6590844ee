"""The Junk E-mail Rule's seven lists (MS-OXCSPAM 2.2.4, 3.1.4.1) from and to the bytes of its condition.

The lists are told apart by their place in the tree. Where a program has written another tree, they are told apart by
what each leaf means: an odd or even number of NOTs above it, a recipient or the sender, the whole string or a part of
it. A leaf that cannot be placed makes the whole rule unreadable: nothing is half believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from safelist.entry import UserList
from safelist.errors import RuleError
from safelist.junkrule import restriction as r
from safelist.junkrule.restriction import And, Content, Exist, Not, Or, Property, Restriction, SubObject, Texts

SENDER = 0x0C1F001F
"""PidTagSenderEmailAddress."""
RECIPIENT = 0x3003001F
"""PidTagEmailAddress, of a recipient."""
RECIPIENTS = 0x0E12000D
"""PidTagMessageRecipients."""
SPAM_CONFIDENCE = 0x40760003
"""PidTagContentFilterSpamConfidenceLevel; the rule's template asks for more than -1."""

_SENDER_IDS = frozenset({0x0C1F, 0x0C1D, 0x0065, 0x5D01, 0x5D02})
_RECIPIENT_IDS = frozenset({0x3003, 0x39FE, 0x300B})
_LEVELS = frozenset({r.FULL_STRING & 0xFFFF, r.SUBSTRING & 0xFFFF})
_GREATER, _EQUAL = 2, 4


@dataclass(frozen=True, slots=True)
class JunkRule:
    """The lists of one mailbox, each text as stored (a domain keeps its ``@``), in the order stored."""

    blocked_senders: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    safe_senders: tuple[str, ...] = ()
    safe_sender_domains: tuple[str, ...] = ()
    safe_recipients: tuple[str, ...] = ()
    safe_recipient_domains: tuple[str, ...] = ()
    trusted_contacts: tuple[str, ...] = ()

    def texts(self, list_: UserList) -> tuple[str, ...]:
        """The texts in that list."""
        found: tuple[str, ...] = getattr(self, list_.field)
        return found


def decode(data: bytes) -> JunkRule:
    """The lists in ``data``, PidTagExtendedRuleMessageCondition; every byte is consumed.

    Raises RuleError, with the offset, for bytes that are no restriction, and for a restriction that is no Junk E-mail
    Rule.
    """
    tree = r.decode(data)
    return _by_place(tree) or _by_meaning(tree)


def encode(rule: JunkRule) -> bytes:
    """The canonical condition, as Outlook writes it.

    Raises ValueError for a text that has no encoding, and for more than :func:`decode` would read.
    """
    spam = r.encode_and(r.encode_exist(SPAM_CONFIDENCE), r.encode_integer(_GREATER, SPAM_CONFIDENCE, -1))
    looks_like_junk = r.encode_or(
        r.encode_texts(r.FULL_STRING, SENDER, rule.blocked_senders),
        r.encode_and(
            r.encode_or(spam, r.encode_texts(r.SUBSTRING, SENDER, rule.blocked_domains)),
            r.encode_not(
                r.encode_or(
                    r.encode_texts(r.SUBSTRING, SENDER, rule.safe_sender_domains),
                    _encode_recipients(r.SUBSTRING, rule.safe_recipient_domains),
                )
            ),
        ),
    )
    is_trusted = r.encode_or(
        r.encode_texts(r.FULL_STRING, SENDER, rule.safe_senders),
        _encode_recipients(r.FULL_STRING, rule.safe_recipients),
        r.encode_texts(r.SUBSTRING, SENDER, rule.trusted_contacts),
    )
    data = b"\0\0" + r.encode_and(looks_like_junk, r.encode_not(is_trusted))
    if len(data) > r.MAX_BYTES:
        raise ValueError(f"a rule cannot have more than {r.MAX_BYTES} bytes: {len(data)}")
    return data


def _encode_recipients(level: int, texts: tuple[str, ...]) -> bytes:
    return r.encode_subobject(RECIPIENTS, r.encode_texts(level, RECIPIENT, texts))


def _by_place(tree: Restriction) -> JunkRule | None:
    """The lists of a tree of the canonical shape; None for any other."""
    match tree:
        case And(
            (
                Or(
                    (
                        blocked_senders,
                        And(
                            (
                                Or((And((Exist(a), Property(_, b, _))), blocked_domains)),
                                Not(Or((safe_sender_domains, SubObject(c, safe_recipient_domains)))),
                            )
                        ),
                    )
                ),
                Not(Or((safe_senders, SubObject(d, safe_recipients), trusted_contacts))),
            )
        ) if (a, b, c, d) == (SPAM_CONFIDENCE, SPAM_CONFIDENCE, RECIPIENTS, RECIPIENTS):
            pass
        case _:
            return None
    lists = [
        _texts(blocked_senders, _SENDER_IDS), _texts(blocked_domains, _SENDER_IDS), _texts(safe_senders, _SENDER_IDS),
        _texts(safe_sender_domains, _SENDER_IDS), _texts(safe_recipients, _RECIPIENT_IDS),
        _texts(safe_recipient_domains, _RECIPIENT_IDS), _texts(trusted_contacts, _SENDER_IDS),
    ]  # fmt: skip
    known = [texts for texts in lists if texts is not None]
    return JunkRule(*known) if len(known) == len(lists) else None


def _texts(node: Restriction, ids: frozenset[int]) -> tuple[str, ...] | None:
    """The texts of one list, None where ``node`` is no list on one of those properties."""
    match node:
        case Texts(level, tag, texts) if tag >> 16 in ids and level & 0xFFFF in _LEVELS:
            return texts
        case Or(()):
            return ()
    return None


def _by_meaning(tree: Restriction) -> JunkRule:
    """The lists of a tree of any shape whose leaves are people and the spam confidence level, and that trusts someone.

    A rule without a NOT and without the spam confidence level is somebody's ordinary rule. One without any entry is
    believed in the canonical shape only: in another it may be anything.
    """
    lists: dict[UserList, list[str]] = {list_: [] for list_ in UserList}
    is_junk_rule = False
    waiting: list[tuple[Restriction, bool, bool]] = [(tree, False, False)]
    while waiting:
        node, is_negated, is_recipient = waiting.pop()
        match node:
            case Not(part):
                is_junk_rule = True
                waiting.append((part, not is_negated, is_recipient))
            case SubObject(tag, part) if tag == RECIPIENTS:
                waiting.append((part, is_negated, True))
            case And(parts) if not is_negated or len(parts) < 2:
                waiting.extend((part, is_negated, is_recipient) for part in reversed(parts))
            case Or(parts) if is_negated or sum(isinstance(part, Not) for part in parts) < 2:
                waiting.extend((part, is_negated, is_recipient) for part in reversed(parts))
            case Exist(tag) | Property(_, tag, _) if tag == SPAM_CONFIDENCE:
                is_junk_rule = True
            case _:
                for list_, text in _placed(node, is_negated=is_negated, is_recipient=is_recipient):
                    lists[list_].append(text)
    if not is_junk_rule:
        raise RuleError(0, "a Junk E-mail Rule", "a rule that trusts nobody and asks for no spam confidence level")
    if not any(lists.values()):
        raise RuleError(0, "a Junk E-mail Rule", "a rule of another shape that names nobody")
    return JunkRule(**{list_.field: tuple(texts) for list_, texts in lists.items()})


def _placed(node: Restriction, *, is_negated: bool, is_recipient: bool) -> Iterator[tuple[UserList, str]]:
    """Each text of a leaf with the list it belongs to. Raises RuleError for a leaf that no list has."""
    match node:
        case Texts(level, tag, texts):
            pass
        case Content(level, tag, value) if (text := _address(value)) is not None:
            texts = (text,)
        case Property(operator, tag, value) if operator == _EQUAL and (text := _address(value)) is not None:
            level, texts = r.FULL_STRING, (text,)
        case _:
            raise RuleError(0, "a Junk E-mail Rule", f"a rule with {type(node).__name__.lower()} in another place")
    if tag >> 16 not in (_RECIPIENT_IDS if is_recipient else _SENDER_IDS) or (is_recipient and not is_negated):
        raise RuleError(0, "a Junk E-mail Rule", f"a rule that asks for the property 0x{tag:08X}")
    if level & 0xFFFF not in _LEVELS:
        raise RuleError(0, "a Junk E-mail Rule", f"a rule that compares at the fuzzy level 0x{level:08X}")
    is_part = level & 0xFFFF != 0
    for text in texts:
        yield _list_of(text, is_part=is_part, is_negated=is_negated, is_recipient=is_recipient), text


def _address(value: r.Value) -> str | None:
    """A text, or the search key ``SMTP:USER@DOMAIN`` with its NUL."""
    if isinstance(value, bytes) and value[:5].upper() == b"SMTP:" and value.find(b"\0") == len(value) - 1:
        return value[:-1].decode("ascii") if value.isascii() else None
    return value if isinstance(value, str) else None


def _list_of(text: str, *, is_part: bool, is_negated: bool, is_recipient: bool) -> UserList:
    """Contacts are whole addresses though they are compared as a part; domains begin with ``@`` or have none."""
    is_domain = text.startswith("@") or (is_part and "@" not in text and "/" not in text)
    if not is_negated:
        return UserList.BLOCKED_DOMAINS if is_part or is_domain else UserList.BLOCKED_SENDERS
    if is_recipient:
        return UserList.SAFE_RECIPIENT_DOMAINS if is_part or is_domain else UserList.SAFE_RECIPIENTS
    if is_domain:
        return UserList.SAFE_SENDER_DOMAINS
    return UserList.TRUSTED_CONTACTS if is_part else UserList.SAFE_SENDERS
