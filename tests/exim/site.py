"""What the tests of Exim share: who is published to its lists, and the text that ``safelist publish`` prints."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safelist import sender
from safelist.override import Authentication, Effect, Override, Terms
from safelist.policy import Candidate, Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import Nothing, Published
from safelist.publisher.targets import exim
from safelist.sender import Form, Pattern
from tests.exim.machine import files_of
from tests.mail.world import ALL, BOB, DESK, DNSBL, FORGER, OTHER, PLAIN, THIRD, Offer

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NO_SPF, SPF_ONLY = "fax@partner.example", "strict@partner.example"
"""Safe for everybody without authentication; safe for the desk if SPF passes, whatever the mail is signed by."""

Row = tuple[str, str, bool, Authentication]
"""For whom (empty: everybody), sender, safe, authentication."""

ROWS: tuple[Row, ...] = (
    ("", ALL, True, Authentication.DKIM_OR_SPF),
    ("", NO_SPF, True, Authentication.NONE),
    (DESK, BOB, True, Authentication.DKIM_OR_SPF),
    (DESK, PLAIN, True, Authentication.DKIM_OR_SPF),
    (DESK, SPF_ONLY, True, Authentication.SPF),
    (THIRD, NO_SPF, True, Authentication.DKIM_OR_SPF),
)
"""What the world's offers are about, and what shows the authentications apart."""

SIGNED = {
    "envelope, dkim only": Offer(BOB, client=FORGER, signer="partner.example"),
    "envelope, dkim without dmarc": Offer(PLAIN, client=FORGER, signer="plain.example"),
    "envelope, signed by another": Offer(BOB, client=FORGER, signer="evil.example"),
    "envelope, signed from another": Offer(BOB, client=FORGER, header_from="eve@partner.example",
                                           signer="partner.example"),
    "envelope, spf wanted, signed": Offer(SPF_ONLY, client=FORGER, signer="partner.example"),
    "envelope, spf wanted": Offer(SPF_ONLY),
    "none wanted": Offer(NO_SPF, (OTHER,), client=FORGER),
    "none wanted of one, dkim of the other": Offer(NO_SPF, (OTHER, THIRD), client=FORGER, signer="partner.example"),
    "tagged": Offer("prvs=0123456789=bob@partner.example"),
    "tagged twice": Offer("btv1==0==prvs=0123456789=bob@partner.example"),
    "tagged and signed": Offer("prvs=0123456789=bob@partner.example", client=FORGER, header_from=BOB,
                               signer="partner.example"),
}  # fmt: skip
"""Mails whose envelope's sender has signed them, or has not, or need not."""


class Given(Nothing):
    """An aggregate in which overrides say all of it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)

    def candidates(self, settings: Settings, now: datetime, at_least: int) -> Iterator[Candidate]:
        """Those for everybody."""
        yield from (_candidate(each) for each in overrides(self._rows) if each.terms.scope is None)

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """Those for single recipients, recipient by recipient."""
        some = sorted((_scope(each), each) for each in overrides(self._rows) if each.terms.scope)
        yield from (_candidate(each, recipient) for recipient, each in some)


def overrides(rows: Iterable[Row]) -> Iterator[Override]:
    for number, (recipient, text, is_safe, authentication) in enumerate(rows):
        scope = Pattern(recipient, Form.ADDRESS) if recipient else None
        effect = Effect.ALLOW if is_safe else Effect.BLOCK
        terms = Terms(effect, sender.parse(text), "a test", scope, authentication=authentication)
        yield Override(number, terms, NOW, "root")


def _scope(override: Override) -> str:
    return override.terms.scope.text if override.terms.scope else ""


def _candidate(override: Override, recipient: str | None = None) -> Candidate:
    return Candidate(override.terms.pattern, (), (override,), recipient)


def chosen(path: Path, **more: Any) -> exim.EximSettings:
    return exim.EximSettings.model_validate({"path": path, "dnslists": DNSBL, **more})


def write(rows: Iterable[Row], settings: exim.EximSettings, **options: bool) -> Published:
    return publish(Given(rows), Settings(), exim.TARGET, settings, lambda: NOW, **options)


def files(settings: exim.EximSettings) -> Mapping[str, str]:
    """What the administrator makes of the printed text."""
    return files_of(exim.use(settings))
