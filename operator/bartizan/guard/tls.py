"""Takes up certificate and key from their files, and every newer pair; a bad one changes only what is said of it."""

import asyncio
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from bartizan.guard import log
from bartizan.policy.reasons import Reason

POLL_SECONDS = 0.5
"""A kubelet takes up to a minute to bring a new pair; whoever has waited so long does not mind."""
MOST_BYTES = 256 * 1024
"""For each file: a chain of a dozen certificates has some 20 KB."""
MOST_SESSIONS = 1024
"""Clients of TLS 1.2 that take no tickets make OpenSSL remember a session each, of 20,480 by default, which no setting
of Python's ssl module changes: a context that remembers more than this is made anew."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""For TLS 1.2: forward secrecy and AEAD alone, keys of at least 112 bits' strength. TLS 1.3 has no others."""

Fingerprint = tuple[tuple[int, int, int, int], ...]


class PairError(Exception):
    """A pair that cannot be used, in words that say nothing of the key."""


@dataclass(frozen=True, slots=True)
class Files:
    """PEM: the certificate with its chain behind it, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """Ready for new connections; times are Unix seconds, `sha256` is the hex fingerprint of the certificate itself."""

    context: ssl.SSLContext
    sha256: str
    not_before: int
    not_after: int


class TlsWatch:
    """`current` is for new connections; `reason` is GuardReady, or why the files as they stand are not what is used."""

    def __init__(self, files: Files) -> None:
        self.current: Pair | None = None
        self.reason = Reason.TLS_PAIR_ABSENT
        self._files = files
        self._seen: Fingerprint | None = None

    @property
    def is_good(self) -> bool:
        return self.reason is Reason.GUARD_READY

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the pair if either file is another than the one last seen, or the context remembers too much."""
        seen: Fingerprint | None = None
        try:
            seen = tuple(_fingerprint(file) for file in (self._files.certificate, self._files.key))
            if seen == self._seen and not self._remembers_too_much():
                return
            pair = load(self._files)
        except PairError as error:
            self._refuse(Reason.TLS_PAIR_REFUSED, str(error), seen)
        except OSError as error:
            self._refuse(Reason.TLS_PAIR_ABSENT, f"the files cannot be read: {error.strerror}", seen)
        else:
            self._seen, self.reason, self.current = seen, Reason.GUARD_READY, pair
            log.info("certificate taken up", sha256=pair.sha256, notAfter=pair.not_after)

    def _remembers_too_much(self) -> bool:
        return self.current is not None and self.current.context.session_stats()["number"] > MOST_SESSIONS

    def _refuse(self, reason: Reason, why: str, seen: Fingerprint | None) -> None:
        if reason is not self.reason or seen != self._seen:
            log.warning("certificate refused", reason=reason, why=why)
        self.reason, self._seen = reason, seen


def load(files: Files) -> Pair:
    """Raises PairError where certificate and key cannot be used together, OSError where they cannot be read."""
    text = _read(files.certificate)
    _read(files.key)
    try:
        certificate = x509.load_pem_x509_certificates(text)[0]
        encoded = ssl.PEM_cert_to_DER_cert(_first(text))
    except ValueError as error:
        raise PairError("the certificate is not one in PEM") from error
    context = build_context()
    try:
        context.load_cert_chain(files.certificate, files.key, password=_ask_nobody)
    except ssl.SSLError as error:
        raise PairError(f"certificate and key do not go together: {error.reason or 'not a key in PEM'}") from error
    return Pair(
        context=context,
        sha256=hashlib.sha256(encoded).hexdigest(),
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
    )


def build_context() -> ssl.SSLContext:
    """Everything that is not the pair; no name is asked for, and none is refused: there is one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _first(text: bytes) -> str:
    """The first certificate of a chain, as it stands there."""
    end = "-----END CERTIFICATE-----"
    head, _, _ = text.decode("ascii").partition(end)
    return head[head.index("-----BEGIN CERTIFICATE-----") :] + end


def _ask_nobody() -> str:
    """A key with a passphrase is refused; OpenSSL would ask a terminal."""
    return ""


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        text = opened.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise PairError(f"a file has more than {MOST_BYTES} bytes")
    return text


def _fingerprint(file: Path) -> tuple[int, int, int, int]:
    found = os.stat(file)  # noqa: PTH116 -- as for the document
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
