"""The signature algorithm for a key, if the configuration and the server allow the key. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.config.algorithms import certified, is_certified, plain
from trayconnect.ssh.auth import user_certificates
from trayconnect.ssh.auth.signatures import rsa_bits
from trayconnect.ssh.config.ssh_options import SshOptions
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.transport import offered_algorithms


class UnfitError(Exception):
    """Why a key cannot be tried, in words that follow its name."""


def algorithm_for(public: HostKey, options: SshOptions, announced: Sequence[str]) -> str:
    """The algorithm for a key, or for a certificate. `announced`: what the server accepts (RFC 8308
    section 3.1); empty: unknown. Raises `UnfitError`."""
    certificate = user_certificates.of(public.blob) if is_certified(public.type) else None
    bits = rsa_bits(certificate.key if certificate else public)
    if bits is not None and bits < options.required_rsa_size:
        raise UnfitError("shorter than RequiredRSASize in your SSH configuration")

    def full_name(name: str) -> str:
        return certified(name) if is_certified(public.type) else name

    kind = plain(public.type)
    accepted: Sequence[str] = offered_algorithms.signatures(kind)
    # Only RSA offers a choice; a server's list may be incomplete for other types.
    if kind == "ssh-rsa" and announced:
        accepted = announced
    acceptable = options.pubkey_accepted_algorithms
    if acceptable:
        accepted = tuple(name for name in accepted if full_name(name) in acceptable)
    found = offered_algorithms.signature_for(kind, tuple(accepted)) if accepted else None
    if found is None:
        raise UnfitError("not of a type that the server accepts")
    return full_name(found)
