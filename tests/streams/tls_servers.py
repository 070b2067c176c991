"""A Kafka and a Redis that speak TLS only and ask who is there, with certificates of an authority of their own."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import logging
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.stack.kafka import server_properties
from deploy.stack.redis import redis_server
from deploy.stack.site import Site
from tests.streams.ingest_site import free_port

USER = "headwater"
PASSWORD = "kafka:p@ss/w0rd"  # noqa: S105 - of the servers below
REDIS_PASSWORD = "r3dis:p@ss/word"  # noqa: S105
MECHANISM = "SCRAM-SHA-512"
KEY_PASSWORD = "keys too are locked"  # noqa: S105


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files; `server` and `client` hold certificates, their `_key` the private keys.

    The client's key is encrypted under `KEY_PASSWORD`.
    """

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


class Authority:
    """Signs certificates; each is another that nobody else's servers know."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        directory.mkdir(parents=True, exist_ok=True)

    def certificates(self) -> Certificates:
        """Make all that server and client need."""
        ca = self._write("ca", self._signed(self._name, self._key.public_key(), authority=True))
        server, server_key = self._pair("server")
        client, client_key = self._pair("client", KEY_PASSWORD)
        return Certificates(ca, server, server_key, client, client_key)

    def _pair(self, name: str, password: str | None = None) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        key_path = self._directory / f"{name}.key"
        key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
        return self._write(name, self._signed(subject, key.public_key(), authority=False)), key_path

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not authority:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._directory / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


@dataclass(frozen=True)
class TlsKafka:
    """Where it listens: for whoever has a certificate, and for whoever has a password."""

    mutual: str
    password: str


@contextmanager
def tls_kafka(directory: Path, certificates: Certificates) -> Iterator[TlsKafka]:
    """One node with a listener for client certificates and one for SCRAM, both with TLS."""
    directory.mkdir(parents=True, exist_ok=True)
    found = TlsKafka(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    controller = f"127.0.0.1:{free_port()}"
    identity = directory / "keystore.pem"
    identity.write_bytes(certificates.server_key.read_bytes() + certificates.server.read_bytes())
    properties = server_properties(found.mutual, controller, directory / "data") | {
        "listeners": f"MUTUAL://{found.mutual},PASSWORD://{found.password},CONTROLLER://{controller}",
        "advertised.listeners": f"MUTUAL://{found.mutual},PASSWORD://{found.password}",
        "listener.security.protocol.map": "MUTUAL:SSL,PASSWORD:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "MUTUAL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(identity),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": MECHANISM,
        f"listener.name.password.{MECHANISM.lower()}.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    configuration = directory / "server.properties"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    java = [str(shutil.which("java")), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp"]
    java.append(f"{Site.of(os.environ).downloads / 'kafka' / 'libs'}{os.sep}*")
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    user = f'{MECHANISM}=[name={USER},password="{PASSWORD}"]'
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration), "--add-scram", user],
        check=True,
        capture_output=True,
    )
    with (directory / "kafka.log").open("wb") as log:
        process = subprocess.Popen([*java, "kafka.Kafka", str(configuration)], stdout=log, stderr=log)
    try:
        config: dict[str, Any] = {
            "bootstrap.servers": found.mutual,
            "security.protocol": "SSL",
            "ssl.ca.location": str(certificates.ca),
            "ssl.certificate.location": str(certificates.client),
            "ssl.key.location": str(certificates.client_key),
            "ssl.key.password": KEY_PASSWORD,
        }
        _until(lambda: bool(_admin(config).list_topics(timeout=2).brokers), process, directory / "kafka.log")
        yield found
    finally:
        process.kill()
        process.wait()


def by_certificate(kafka: TlsKafka, certificates: Certificates) -> dict[str, str]:
    """The environment of who shows a certificate."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.mutual,
        "HEADWATER_KAFKA_SECURITY_PROTOCOL": "SSL",
        "HEADWATER_KAFKA_SSL_CA_LOCATION": str(certificates.ca),
        "HEADWATER_KAFKA_SSL_CERTIFICATE_LOCATION": str(certificates.client),
        "HEADWATER_KAFKA_SSL_KEY_LOCATION": str(certificates.client_key),
        "HEADWATER_KAFKA_SSL_KEY_PASSWORD": KEY_PASSWORD,
    }


def by_password(kafka: TlsKafka, certificates: Certificates) -> dict[str, str]:
    """The environment of who has a password."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.password,
        "HEADWATER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "HEADWATER_KAFKA_SASL_MECHANISM": MECHANISM,
        "HEADWATER_KAFKA_SASL_USERNAME": USER,
        "HEADWATER_KAFKA_SASL_PASSWORD": PASSWORD,
        "HEADWATER_KAFKA_SSL_CA_LOCATION": str(certificates.ca),
    }


def for_redis(address: str, certificates: Certificates) -> dict[str, str]:
    """The environment of who has both."""
    return {
        "REDIS_URL": f"rediss://{address}/0",
        "HEADWATER_REDIS_USERNAME": USER,
        "HEADWATER_REDIS_PASSWORD": REDIS_PASSWORD,
        "HEADWATER_REDIS_SSL_CA_LOCATION": str(certificates.ca),
        "HEADWATER_REDIS_SSL_CERTIFICATE_LOCATION": str(certificates.client),
        "HEADWATER_REDIS_SSL_KEY_LOCATION": str(certificates.client_key),
        "HEADWATER_REDIS_SSL_KEY_PASSWORD": KEY_PASSWORD,
    }


@contextmanager
def tls_redis(directory: Path, certificates: Certificates) -> Iterator[str]:
    """A server without an open port, for who has a certificate and a password; yields ``host:port``."""
    import redis

    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = {
        "port": "0",
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-cert-file": str(certificates.server),
        "tls-key-file": str(certificates.server_key),
        "tls-ca-cert-file": str(certificates.ca),
        "tls-auth-clients": "yes",
        "save": "",
        "dir": str(directory),
    }
    command = [redis_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]
    access = ["--user", USER, "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all", "--user", "default", "off"]
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, *access], stdout=log, stderr=log)
    client = redis.Redis(
        port=port,
        username=USER,
        password=REDIS_PASSWORD,
        ssl=True,
        ssl_ca_certs=str(certificates.ca),
        ssl_certfile=str(certificates.client),
        ssl_keyfile=str(certificates.client_key),
        ssl_password=KEY_PASSWORD,
    )
    try:
        _until(lambda: bool(client.ping()), process, directory / "redis.log")
        yield f"127.0.0.1:{port}"
    finally:
        client.close()
        process.kill()
        process.wait()


def _admin(config: dict[str, Any]) -> AdminClient:
    """A client that says nothing of a broker that is still starting."""
    silent = logging.getLogger(f"{__name__}.starting")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    return AdminClient(config, logger=silent)


def _until(answers: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            if answers():
                return
        except Exception:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.05)
