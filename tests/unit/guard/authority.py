"""A certificate authority of the tests' own, and pairs laid down as a kubelet does it: at once, by a link."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: ec.EllipticCurvePrivateKey, *, password: bytes = b"") -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


@dataclass(frozen=True)
class Pair:
    certificate: bytes
    key: bytes
    private: ec.EllipticCurvePrivateKey
    sha256: str


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def certificate(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder("the tests' authority", self.key, -DAY, 365 * DAY)
        extended = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return extended.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())

    @property
    def text(self) -> str:
        return self.certificate().public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, *names: str, begins: dt.timedelta = -DAY, ends: dt.timedelta = 90 * DAY) -> Pair:
        """A pair for these DNS names, and for 127.0.0.1; times are counted from now."""
        key = _key()
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        alternatives = x509.SubjectAlternativeName([*map(x509.DNSName, names), address])
        builder = self._builder("guard", key, begins, ends).add_extension(alternatives, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        made = builder.sign(self.key, hashes.SHA256())
        text = made.public_bytes(serialization.Encoding.PEM)
        return Pair(text, key_text(key), key, made.fingerprint(hashes.SHA256()).hex())

    def client(self) -> ssl.SSLContext:
        """What a client that trusts this authority alone connects with."""
        return ssl.create_default_context(cadata=self.text)

    def _builder(
        self, name: str, key: ec.EllipticCurvePrivateKey, begins: dt.timedelta, ends: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("the tests' authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


@dataclass
class Mount:
    """A Secret's volume: `tls.crt` and `tls.key` are links through `..data`, which changes at once."""

    folder: Path
    turns: int = 0

    @property
    def flags(self) -> list[str]:
        return ["--tls-certificate", str(self.folder / "tls.crt"), "--tls-key", str(self.folder / "tls.key")]

    def lay(self, **files: bytes | None) -> None:
        """`crt` and `key`; None leaves one out."""
        self.turns += 1
        fresh = self.folder / f"..{self.turns}"
        fresh.mkdir(parents=True)
        for name, text in files.items():
            if text is not None:
                (fresh / f"tls.{name}").write_bytes(text)
            link = self.folder / f"tls.{name}"
            if not link.is_symlink():
                link.symlink_to(Path("..data") / f"tls.{name}")
        (self.folder / "..fresh").symlink_to(fresh.name)
        (self.folder / "..fresh").replace(self.folder / "..data")

    def put(self, pair: Pair) -> None:
        self.lay(crt=pair.certificate, key=pair.key)
