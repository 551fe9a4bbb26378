"""Every setting of the system, read once from the environment and validated.

A setting is an environment variable such as `ANABRANCH_KAFKA__PORT=9192`: the prefix, the group, two underscores, the
name. `anabranch up` notes the ports it picked in `<home>/ports.env`, so that the other commands find the servers.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from encoders.contract import PARTS
from streams.errors import AnabranchError

PREFIX = "ANABRANCH_"
Port = Annotated[int, Field(ge=1, le=65_535)]
Positive = Annotated[float, Field(gt=0)]


class SettingsError(AnabranchError):
    """A setting has a value that is not allowed; the message names the key, the value and what is."""


class Group(BaseModel):
    """Settings that belong together; an unknown name is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(Group):
    """Where Kafka is, and how this worker takes part in its consumer group."""

    host: str = "127.0.0.1"
    port: Port = 9092
    controller_port: Port = 9093
    group: str = "anabranch"
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 8
    session_timeout_seconds: Annotated[float, Field(ge=6, le=300)] = 8.0
    commit_interval_seconds: Positive = 0.5

    @property
    def bootstrap_servers(self) -> str:
        """As Kafka clients want it, host:port."""
        return f"{self.host}:{self.port}"


class Cassandra(Group):
    """Where Cassandra is, and how rows are spread."""

    host: str = "127.0.0.1"
    port: Port = 9042
    storage_port: Port = 7000
    keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = "anabranch"
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 1
    shards: Annotated[int, Field(ge=1, le=65_536)] = 64


class Triton(Group):
    """Where Triton is."""

    host: str = "127.0.0.1"
    http_port: Port = 8000
    grpc_port: Port = 8001
    metrics_port: Port = 8002

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC endpoint."""
        return f"{self.host}:{self.grpc_port}"


class Metrics(Group):
    """Where a worker shows its Prometheus metrics."""

    host: str = "127.0.0.1"
    port: Port = 8010


class Worker(Group):
    """How a worker handles events.

    batch_size               events of a topic handled together, at most
    taste_half_life_seconds  until a touch counts half in a user's taste
    dedup_window             event ids remembered for each user
    cached_users             users held in memory
    fusion_weights           modality -> weight in an item's fused vector, JSON object
    fusion_folder            folder of a trained `fusion.onnx`, which then fuses in place of the weighted average
    media_root               folder that `file:` URIs of uploads may name files of; unset refuses them all
    media_private_hosts      hosts, JSON list, that `http(s):` URIs may name although their address is not public
    media_stores             prefixes, JSON list, of URIs that fsspec may open, such as `s3://bucket/uploads/`
    media_seconds            for fetching one file
    """

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 512
    click_weight: Positive = 1.0
    view_weight: Positive = 0.2
    taste_half_life_seconds: Positive = 7 * 86_400.0
    list_length: Annotated[int, Field(ge=1, le=200)] = 20
    dedup_window: Annotated[int, Field(ge=16, le=100_000)] = 1024
    cached_users: Annotated[int, Field(ge=0)] = 50_000
    # Words say most: on films that nobody had clicked, equal weights found a third less (docs/encoders.md).
    fusion_weights: dict[str, Positive] = {name: 1.0 if name == "text" else 0.25 for name in PARTS}
    fusion_folder: Path | None = None
    media_root: Path | None = None
    media_private_hosts: frozenset[str] = frozenset()
    media_stores: frozenset[str] = frozenset()
    media_seconds: Positive = 10.0


class Settings(BaseSettings):
    """All groups. Build it with `load`.

    home  folder of data, logs, downloads and the state of local servers
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True)

    home: Path = Path(".anabranch")
    downloads: Path | None = None
    kafka: Kafka = Kafka()
    cassandra: Cassandra = Cassandra()
    triton: Triton = Triton()
    metrics: Metrics = Metrics()
    worker: Worker = Worker()

    @property
    def downloads_folder(self) -> Path:
        """Where servers and data sets are kept between runs; may be shared by many homes."""
        return self.downloads or self.home / "downloads"

    @property
    def ports_file(self) -> Path:
        """The ports that `up` picked."""
        return self.home / "ports.env"


def load(**overrides: Any) -> Settings:
    """Read the settings: overrides, then the environment, then the ports that `up` picked, then the defaults.

    Raises SettingsError.
    """
    try:
        home = Settings(**overrides).home
        return Settings(_env_file=home / "ports.env", **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(each) for each in error.errors())) from error


def _explain(error: Any) -> str:
    key = PREFIX + "__".join(str(part) for part in error["loc"]).upper()
    value = os.environ.get(key, error["input"])
    return f"{key}={value!r}: {error['msg']}"
