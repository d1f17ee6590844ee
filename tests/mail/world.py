"""Three domains, their servers and keys, and a DNSBL: what a filter must find in DNS, and the mails that it is given.

``partner.example`` permits one listed client by SPF, signs by DKIM and has a DMARC record; ``plain.example`` signs, and
has none; ``evil.example`` proves itself by all three, from a listed client of its own.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import dkim
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

LISTED, FORGER, CLEAN = "198.51.100.7", "198.51.100.9", "198.51.100.20"
"""A client that the DNSBL lists and SPF permits for the partners; one that it lists and only evil's record permits; and
one that nothing lists."""

DNSBL = "dnsbl.example"
SELECTOR = "safelist"
DESK, OTHER, THIRD = "desk@corp.example", "other@corp.example", "third@corp.example"
BOB, ALL, PLAIN, EVIL = "bob@partner.example", "all@partner.example", "carol@plain.example", "x@evil.example"
"""Safe for the desk; safe for everybody; safe for the desk, in a domain without DMARC; nobody's."""


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _public() -> str:
    der = _key().public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    return base64.b64encode(der).decode()


def _private() -> bytes:
    return _key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )  # fmt: skip


def _reversed(address: str) -> str:
    return ".".join(reversed(address.split(".")))


def zone() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """What the nameserver holds, in the form of :mod:`tests.filter.dns_server`."""
    found: dict[str, dict[str, list[str]]] = {}
    for domain, client in (("partner.example", LISTED), ("plain.example", LISTED), ("evil.example", FORGER)):
        found[domain] = {"TXT": [f"v=spf1 ip4:{client} -all"], "A": [client], "MX": [f"10 mx.{domain}."]}
        found[f"mx.{domain}"] = {"A": [client]}
        found[f"{SELECTOR}._domainkey.{domain}"] = {"TXT": [f"v=DKIM1; k=rsa; p={_public()}"]}
        if domain != "plain.example":
            found[f"_dmarc.{domain}"] = {"TXT": ["v=DMARC1; p=reject"]}
    for address in (LISTED, FORGER, "127.0.0.2"):
        found[f"{_reversed(address)}.{DNSBL}"] = {"A": ["127.0.0.2"], "TXT": ["listed for a test"]}
    return found


@dataclass(frozen=True)
class Offer:
    """A mail as a client offers it: its envelope, and its header's From, which is the envelope's sender if empty.

    ``signer`` is the domain that signs it, or empty.
    """

    sender: str
    recipients: tuple[str, ...] = (DESK,)
    client: str = LISTED
    header_from: str = ""
    signer: str = ""

    def message(self) -> bytes:
        """The mail itself, with CR LF."""
        author = self.header_from or self.sender
        text = (
            f"From: {author}\r\nTo: {', '.join(self.recipients)}\r\nSubject: an invoice\r\n"
            f"Date: Fri, 27 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1.{self.signer or 'none'}@client.example>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nPlease find it below.\r\n"
        ).encode()
        return signed(text, self.signer) if self.signer else text


def signed(message: bytes, domain: str) -> bytes:
    """The message with a DKIM signature of the domain."""
    headers = [b"From", b"To", b"Subject", b"Date", b"Message-ID"]
    return bytes(dkim.sign(message, SELECTOR.encode(), domain.encode(), _private(), include_headers=headers)) + message


def signed_with(tags: str, message: bytes, domain: str) -> bytes:
    """The message with a signature of its first line (From) and its text, and with ``tags`` such as ``x=1;`` in it."""
    head, _, body = message.partition(b"\r\n\r\n")
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    field = f"DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s={SELECTOR}; {tags} h=From; bh={digest}; b=".encode()
    proof = _key().sign(head.splitlines(keepends=True)[0] + field, padding.PKCS1v15(), hashes.SHA256())
    return field + base64.b64encode(proof) + b"\r\n" + message


OFFERS: Mapping[str, Offer] = {
    "trusted pair": Offer(BOB),
    "other recipient": Offer(BOB, (OTHER,)),
    "everybody": Offer(ALL, (OTHER,)),
    "spf fails": Offer(BOB, client=FORGER),
    "dkim only": Offer("bounce@lists.example", client=FORGER, header_from=BOB, signer="partner.example"),
    "dkim without dmarc": Offer("bounce@lists.example", client=FORGER, header_from=PLAIN, signer="plain.example"),
    "two recipients": Offer(BOB, (DESK, OTHER)),
    "forged envelope, own dmarc": Offer(BOB, client=FORGER, header_from=EVIL, signer="evil.example"),
    "forged header": Offer(EVIL, client=FORGER, header_from=BOB),
    "forged header, signed by another": Offer(EVIL, client=FORGER, header_from=BOB, signer="evil.example"),
    "nobody's": Offer(EVIL, client=FORGER),
}
"""What each filter is offered, by the name of the case."""
