"""Why a server did not let us in, in words that name the setting to look at."""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, UnsupportedSaslMechanismError

from streams.adapters import clients
from streams.settings import Kafka, Server, ServerWithUsers

PATIENCE = 3.0
CERTIFICATE_PATIENCE = 0.3


def refusal(server: Server, error: BaseException) -> str:
    """One sentence for an operator on why a server did not let us in: who, where, and which setting to look at.

    Clients often say no more than that they could not connect, so the door is tried once more, by itself. Blocks for
    up to some `PATIENCE` seconds.
    """
    found = _silence(server) or _trouble_with_tls(server) or _trouble_with_users(server, error)
    return f"{server.NAME.capitalize()} at {server.address}{f' {found}' if found else f': {error}'}"


def _silence(server: Server) -> str | None:
    host, _, port = server.address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        return f"does not answer: {error.strerror or error}"
    return None


def _trouble_with_tls(server: Server) -> str | None:
    host, _, port = server.address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
            context = clients.tls(server)
            if context is None:
                _unverified().wrap_socket(plain).close()
                return f"speaks TLS; set {server.key('tls')}=true"
            context.set_alpn_protocols(["h2"])  # without it gRPC hangs up; the others do not mind
            with context.wrap_socket(plain, server_hostname=host) as secured:
                return _trouble_with_certificate(server, secured)
    except ssl.SSLCertVerificationError as error:
        vouching = f"{server.key('ca_file')}={str(server.ca_file)!r}" if server.ca_file else "this system"
        return f"is not whom the authorities of {vouching} vouch for: {error.verify_message}"
    except ssl.SSLError as error:
        return f"does not speak TLS as we do; is {server.key('tls')}=true right? {error.reason}" if server.tls else None
    except OSError:
        return None


def _unverified() -> ssl.SSLContext:
    """To find out whether a server speaks TLS at all; nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _trouble_with_certificate(server: Server, secured: ssl.SSLSocket) -> str | None:
    """Only after the handshake do we hear whether our certificate will do: the server speaks, waits or hangs up."""
    secured.settimeout(CERTIFICATE_PATIENCE)
    try:
        if secured.recv(1):
            return None
    except TimeoutError:
        return None
    except OSError:
        pass
    if server.certificate_file:
        return f"does not know the certificate {server.key('certificate_file')}={str(server.certificate_file)!r}"
    return f"wants a certificate; set {server.key('certificate_file')} and {server.key('key_file')}"


def _trouble_with_users(server: Server, error: BaseException) -> str | None:
    if isinstance(server, Kafka):
        with ThreadPoolExecutor(1) as apart:  # from whatever event loop runs here
            error = apart.submit(asyncio.run, _knock_at_kafka(server)).result() or error
        if isinstance(error, UnsupportedSaslMechanismError) and server.username:
            return f"does not know {server.key('sasl_mechanism')}={server.sasl_mechanism!r}"
    said = f"{type(error).__name__} {error}".lower()
    if not isinstance(server, ServerWithUsers) or not ("authenticat" in said or "sasl_mechanism" in said):
        return None
    if server.username is None:
        return f"lets in nobody who does not say who they are; set {server.key('username')}"
    password = f"{server.key('password')} (or {server.key('password_file')})"
    return f"does not let {server.username!r} in; check {server.key('username')} and {password}"


async def _knock_at_kafka(to: Kafka) -> BaseException | None:
    """What happens to a user; where we are none, to one whom nobody knows."""
    somebody = {"sasl_mechanism": to.sasl_mechanism, "sasl_plain_username": "-", "sasl_plain_password": "-"}
    arguments = somebody | clients.kafka(to) | {"security_protocol": "SASL_SSL" if to.tls else "SASL_PLAINTEXT"}
    del arguments["bootstrap_servers"]
    try:
        connection = await create_conn(to.host, to.port, request_timeout_ms=int(PATIENCE * 1000), **arguments)
    except (KafkaError, OSError) as error:
        return error
    connection.close()
    return None
