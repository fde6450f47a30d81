"""The cluster's certificate authority and what it signs: one client certificate for each component."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=365)
_SKEW = dt.timedelta(hours=1)
"""Certificates are valid from an hour ago: clocks jump on machines that wake up."""


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    def exists(self) -> bool:
        return self.certificate.exists() and self.key.exists()


@dataclass(frozen=True)
class Subject:
    """Kubernetes reads the user from the common name and the groups from the organizations."""

    user: str
    group: str = ""
    addresses: tuple[str, ...] = ()
    """IP addresses and DNS names; with some, the certificate also serves."""


def pair(directory: Path, name: str) -> Pair:
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


def ensure_authority(directory: Path) -> Pair:
    authority = pair(directory, "ca")
    if not authority.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bartizan-local-cluster")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(_identifier(key), critical=False)
        )
        _write(authority, key, builder.sign(key, hashes.SHA256()))
    return authority


def ensure(directory: Path, name: str, subject: Subject) -> Pair:
    """A certificate for ``subject``, signed by the directory's authority."""
    wanted = pair(directory, name)
    if not wanted.exists():
        authority = ensure_authority(directory)
        issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
        signer = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(subject), issuer.subject, key)
        for extension in _extensions(subject):
            builder = builder.add_extension(extension, critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        _write(wanted, key, builder.sign(signer, hashes.SHA256()))
    return wanted


def ensure_key(path: Path) -> Path:
    """A bare key: the one that signs service accounts' tokens."""
    if not path.exists():
        _write_key(path, ec.generate_private_key(ec.SECP256R1()))
    return path


def _name(subject: Subject) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.group)] if subject.group else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, subject.user)])


def _extensions(subject: Subject) -> list[x509.ExtensionType]:
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if not subject.addresses:
        return [x509.ExtendedKeyUsage(usages)]
    names = x509.SubjectAlternativeName([_alternative(address) for address in subject.addresses])
    return [x509.ExtendedKeyUsage([*usages, ExtendedKeyUsageOID.SERVER_AUTH]), names]


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _write(wanted: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    _write_key(wanted.key, key)
    wanted.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(pem)
