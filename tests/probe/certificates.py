"""A private CA and certificates it signs, made afresh for each run."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """A CA; `pem` is what a client is given."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def serve(self, host: str, folder: Path, days: tuple[float, float] = (-1 / 24, 1)) -> ssl.SSLContext:
        """A server's context with a certificate for `host`, valid from and until so many days from now."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.file(host, folder, days))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 would refuse clients that nginx lets in
        return context

    def file(self, host: str, folder: Path, days: tuple[float, float] = (-1 / 24, 1)) -> Path:
        """Key and certificate for `host`, in one file; valid from and until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(
            host, key.public_key(), self.certificate.subject, self.key, is_ca=False, days=days
        )
        file = folder / f"{host}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return file


def authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return Authority(key, _signed(name, key.public_key(), subject, key, is_ca=True, subject=subject))


def _signed(
    name: str,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
    subject: x509.Name | None = None,
    days: tuple[float, float] = (-1 / 24, 1),
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
