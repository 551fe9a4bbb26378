"""What `up --secure` makes before it starts anything."""

import ssl
import sys
from pathlib import Path

import pytest

from deploy.local import credentials
from deploy.local import servers as local_servers
from deploy.local.credentials import Authority
from deploy.local.process import Process
from deploy.local.servers import CannotStart
from streams.settings import load


def handshake(server: Path, authority: Path, host: str) -> None:
    """A client that trusts one authority meets a server with a certificate, in memory."""
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(server)
    wanted = ssl.create_default_context(cafile=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wanted.wrap_bio(to_client, to_server, server_hostname=host)
    there = offered.wrap_bio(to_server, to_client, server_side=True)
    for each in (client, there, client):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_a_certificate_is_good_for_its_hosts_and_no_other(tmp_path: Path) -> None:
    authority = Authority()
    ours, ca = tmp_path / "ours.pem", tmp_path / "ca.pem"
    ours.write_bytes(authority.issue("kafka", ["127.0.0.1", "localhost"]))
    ca.write_bytes(authority.pem)
    handshake(ours, ca, "127.0.0.1")
    handshake(ours, ca, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(ours, ca, "127.0.0.2")


def test_a_certificate_of_a_client_makes_no_server(tmp_path: Path) -> None:
    authority = Authority()
    client, ca = tmp_path / "client.pem", tmp_path / "ca.pem"
    client.write_bytes(authority.issue("worker"))
    ca.write_bytes(authority.pem)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate purpose"):
        handshake(client, ca, "worker")


def test_keys_and_passwords_are_made_once_and_differ_between_homes(tmp_path: Path) -> None:
    settings = load(home=tmp_path / "one")
    credentials.make(settings)
    made = {file.name: file.read_bytes() for file in settings.secrets_folder.iterdir()}
    credentials.make(settings)
    assert {file.name: file.read_bytes() for file in settings.secrets_folder.iterdir()} == made
    other = load(home=tmp_path / "two")
    credentials.make(other)
    assert not set(made.values()) & {file.read_bytes() for file in other.secrets_folder.iterdir()}


def test_the_key_of_the_authority_is_kept_nowhere(tmp_path: Path) -> None:
    settings = load(home=tmp_path)
    credentials.make(settings)
    assert b"PRIVATE KEY" not in (settings.secrets_folder / "ca.pem").read_bytes()
    assert {file.stem for file in settings.secrets_folder.glob("*.pem")} == {
        "ca", "kafka", "cassandra", "triton", "admin", "worker", "http",
    }  # fmt: skip


def test_servers_that_let_anybody_in_are_not_secured_while_they_run(tmp_path: Path) -> None:
    settings = load(home=tmp_path)
    kafka = Process("kafka", tmp_path / "run", tmp_path / "logs")
    kafka.start([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with pytest.raises(CannotStart, match="kafka already let anybody in; stop them first: anabranch down"):
            local_servers.up(settings, secure=True)
        assert not settings.secrets_folder.exists()
    finally:
        kafka.stop()
