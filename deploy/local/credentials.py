"""Keys, certificates and passwords of secured local servers: made once, readable by their owner alone.

`<home>/secrets` holds the certificate of an authority, `ca.pem`, whose key is thrown away once it has signed; a key and
certificate of each server and client, `NAME.pem`; and the settings of each identity, `NAME.env`, which
`streams.settings.load` reads.
"""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from secrets import token_urlsafe

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from streams.settings import PREFIX, Settings

SERVERS = ("kafka", "cassandra", "triton")
# identity -> the servers it is known to
IDENTITIES = {
    "admin": ("kafka", "cassandra", "triton"),
    "worker": ("kafka", "cassandra", "triton"),
    "http": ("kafka", "cassandra", "triton"),
    "producer": ("kafka",),
    "consumer": ("kafka",),
}
VALID = timedelta(days=825)


def make(settings: Settings) -> None:
    """Make all that is in the folder, unless it is there."""
    folder = settings.secrets_folder.resolve()
    if folder.exists():
        return
    making = folder.with_suffix(".part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True, mode=0o700)
    hosts = {settings.kafka.host, settings.cassandra.host, settings.triton.host, "localhost"}
    authority = Authority()
    write_private(making / "ca.pem", authority.pem)
    for name in (*SERVERS, *(name for name, known_to in IDENTITIES.items() if "triton" in known_to)):
        write_private(making / f"{name}.pem", authority.issue(name, hosts if name in SERVERS else ()))
    for name, known_to in IDENTITIES.items():
        write_private(making / f"{name}.env", _settings_of(name, known_to, folder).encode())
    making.rename(folder)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that nobody else can read at any time; an old one is replaced."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)


class Authority:
    """Signs certificates with a key that it never shows.

    pem  its own certificate
    """

    def __init__(self, name: str = "anabranch local authority", valid: timedelta = VALID) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._valid = valid
        signs = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(signs, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, hosts: Iterable[str] = ()) -> bytes:
        """A new key (PKCS #8) and its certificate, PEM.

        name   of a server or client, the common name
        hosts  names and addresses under which it serves; none for a client
        """
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [_alternative(host) for host in sorted(set(hosts))]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if alternatives else [])]
        builder = (
            self._builder(_name(name), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret + certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + self._valid)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _settings_of(identity: str, known_to: Iterable[str], folder: Path) -> str:
    """The lines of an `.env` file."""
    values: dict[str, str] = {}
    for server in known_to:
        group = f"{PREFIX}{server.upper()}__"
        values |= {f"{group}TLS": "true", f"{group}CA_FILE": str(folder / "ca.pem")}
        if server == "triton":
            mine = str(folder / f"{identity}.pem")
            values |= {f"{group}CERTIFICATE_FILE": mine, f"{group}KEY_FILE": mine}
        else:
            values |= {f"{group}USERNAME": identity, f"{group}PASSWORD": token_urlsafe(24)}
    if identity == "admin":
        # The broker knows its administrator from its own configuration; SCRAM users have to be made by somebody.
        values |= {f"{PREFIX}KAFKA__SASL_MECHANISM": "PLAIN"}
        values |= {f"{PREFIX}ROLES__{role.upper()}": role for role in IDENTITIES if role != "admin"}
    return "".join(f"{key}={value}\n" for key, value in values.items())
