"""Settings -> what each client library wants to hear of where a server is, who we are, and whom to trust."""

import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import named_tuple_factory

from streams.settings import PREFIX, Cassandra, Http, Kafka, Server, SettingsError, Triton


def tls(server: Server) -> ssl.SSLContext | None:
    """How to speak TLS with a server, or None: in clear. Raises SettingsError for files that hold no certificate."""
    if not server.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{server.key('ca_file')}='{server.ca_file}' holds no certificate: {error}") from error
    if server.certificate_file:
        _present(context, server.certificate_file, server.key_file, server.key)
    return context


def http_tls(http: Http) -> ssl.SSLContext | None:
    """How `anabranch serve` speaks TLS with its clients, or None: in clear. Raises SettingsError."""
    if http.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _present(context, http.certificate_file, http.key_file, lambda name: f"{PREFIX}HTTP__{name.upper()}")
    return context


def _present(context: ssl.SSLContext, certificate: Path, key: Path | None, name: Callable[[str], str]) -> None:
    """Have a certificate say who we are. Raises SettingsError, which names the settings."""
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"{name('certificate_file')}='{certificate}' and {name('key_file')}='{key}'"
            f" are no certificate and its key: {error}"
        ) from error


def kafka(to: Kafka | str) -> dict[str, Any]:
    """Arguments that every client of kafka-python and aiokafka takes.

    to  the settings; or only host:port, for a broker that lets anybody in
    """
    if isinstance(to, str):
        return {"bootstrap_servers": to}
    arguments: dict[str, Any] = {"bootstrap_servers": to.address, "ssl_context": tls(to)}
    if to.password is None:
        return arguments | {"security_protocol": "SSL" if to.tls else "PLAINTEXT"}
    return arguments | {
        "security_protocol": "SASL_SSL" if to.tls else "SASL_PLAINTEXT",
        "sasl_mechanism": to.sasl_mechanism,
        "sasl_plain_username": to.username,
        "sasl_plain_password": to.password.get_secret_value(),
    }


def cassandra(to: Cassandra, *, request_timeout: float) -> Cluster:
    """A cluster to connect to; the caller shuts it down.

    request_timeout  seconds for connecting, and for each request
    """
    nodes = DCAwareRoundRobinPolicy(to.datacenter) if to.datacenter else RoundRobinPolicy()
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(nodes),  # who has the rows is asked: others would have to pass it on
        request_timeout=request_timeout,
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        row_factory=_named_rows,
    )
    password = to.password.get_secret_value() if to.password else None
    return Cluster(
        [to.host],
        port=to.port,
        auth_provider=PlainTextAuthProvider(to.username, password) if password else None,
        ssl_context=tls(to),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=request_timeout,
        # The driver's own pauses between attempts grow to ten minutes, which a server may long be back by.
        reconnection_policy=ExponentialReconnectionPolicy(base_delay=0.5, max_delay=4.0, max_attempts=None),
        # Without this, a request of more than one segment waits 40 ms for the server's delayed acknowledgement.
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


def _named_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """The driver's named tuples, but for its making a new type for each answer, which takes longer than the rest."""
    return list(map(_row_type(tuple(columns))._make, rows))


@lru_cache(maxsize=256)
def _row_type(columns: tuple[str, ...]) -> Any:
    [row] = named_tuple_factory(columns, [(None,) * len(columns)])
    return type(row)


def tritons(to: Triton) -> list[str]:
    """ip:port of every Triton that the name stands for: several, behind a Kubernetes Service without an address of its
    own. Raises OSError where the name is unknown.
    """
    found = socket.getaddrinfo(to.host, to.grpc_port, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({f"{address[0]!s}:{to.grpc_port}" for *_, address in found})


def triton(to: Triton, *, at: str | None = None) -> dict[str, Any]:
    """Arguments of tritonclient's gRPC clients, with and without asyncio.

    at  one of `tritons`; its certificate is for the name all the same
    """
    tls(to)  # says which file is wrong, as gRPC does not
    return {
        "url": at or to.address,
        "ssl": to.tls,
        "root_certificates": to.ca_file,
        "certificate_chain": to.certificate_file,
        "private_key": to.key_file,
        # As without `channel_args`, but gRPC's own pauses between attempts grow to two minutes.
        "channel_args": [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", 4_000),
            *([("grpc.ssl_target_name_override", to.host)] if at and to.tls else []),
        ],
    }
