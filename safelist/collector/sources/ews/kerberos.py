"""Kerberos log-in with channel bindings (RFC 5929), which IIS demands where Extended Protection is required."""

import base64
from typing import Any
from urllib.parse import urlsplit

import gssapi
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from gssapi.raw import GSSError
from requests_gssapi import HTTPSPNEGOAuth  # type: ignore[import-untyped,unused-ignore]
from requests_gssapi.exceptions import SPNEGOExchangeError  # type: ignore[import-untyped,unused-ignore]
from requests_gssapi.gssapi_ import SPNEGO  # type: ignore[import-untyped,unused-ignore]


class KerberosAuth(HTTPSPNEGOAuth):  # type: ignore[misc] # requests_gssapi has no types
    """Not its own ``channel_bindings``: they fail once an answer is read, and hash with SHA-1 against RFC 5929."""

    def generate_request_header(self, response: Any, host: str, is_preemptive: bool = False) -> str:
        """The Authorization header that answers a 401. Raises SPNEGOExchangeError."""
        certificate = response.connection.certificate if urlsplit(response.url).scheme == "https" else None
        try:
            name = gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service)
            context = gssapi.SecurityContext(
                usage="initiate", name=name, mech=SPNEGO, channel_bindings=bindings(certificate)
            )
            self.context[host] = context
            return f"Negotiate {base64.b64encode(context.step() or b'').decode()}"
        except GSSError:
            raise SPNEGOExchangeError("no Kerberos ticket for the server") from None


def bindings(certificate: bytes | None) -> Any:
    """``tls-server-end-point`` of the server's certificate (DER); None without TLS or for an unknown signature."""
    if certificate is None:
        return None
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None or algorithm.name in ("md5", "sha1"):  # RFC 5929 4.1
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return gssapi.raw.ChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())
