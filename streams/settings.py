"""Every setting of the system, read once from the environment and validated.

A setting is an environment variable such as `ANABRANCH_KAFKA__PORT=9192`: the prefix, the group, two underscores, the
name. `anabranch up` notes the ports it picked in `<home>/ports.env`, and with `--secure` what each identity needs to
come in in `<home>/secrets/IDENTITY.env`, so that the other commands find the servers and are let in.
"""

import math
import os
from abc import abstractmethod
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableSettings

from encoders.contract import PARTS
from streams.core.memory.settings import EXPERTS, KNOWLEDGE, RecommenderSettings
from streams.core.moderation import Limits
from streams.core.pseudonyms import pseudonym
from streams.core.search.settings import WEIGHTS
from streams.errors import AnabranchError

PREFIX = "ANABRANCH_"
Port = Annotated[int, Field(ge=1, le=65_535)]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")]
Positive = Annotated[float, Field(gt=0)]
MIN_KEY = 16
MIN_PSEUDONYM_KEY = 32
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
User = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,47}$")]


class SettingsError(AnabranchError):
    """A setting has a value that is not allowed; the message names the key, the value and what is."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Group(BaseModel):
    """Settings that belong together; an unknown name is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Server(Group):
    """A server that this process is a client of.

    tls               encrypt, and make sure that the server is who it says
    ca_file           PEM: the authorities that vouch for the server; unset, those of the system
    certificate_file  PEM: who this client is, for servers that ask for a certificate (mutual TLS)
    key_file          PEM: the key of that certificate
    """

    NAME: ClassVar[str]

    host: str = "127.0.0.1"
    tls: bool = False
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """host:port that clients come to."""

    @classmethod
    def key(cls, name: str) -> str:
        """The environment variable of a setting."""
        return f"{PREFIX}{cls.NAME}__{name.upper()}"

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError(f"{self.key('certificate_file')} and {self.key('key_file')} belong together")
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ValueError(f"certificates are of no use without {self.key('tls')}=true")
        return self


class ServerWithUsers(Server):
    """A server that lets users in by password.

    password_file  holds the password instead, as secrets of Docker and Kubernetes do; the end of its line is no part
    """

    port: Port
    username: str | None = None
    password: SecretStr | None = None
    password_file: FilePath | None = None

    @property
    def address(self) -> str:
        """host:port that clients come to."""
        return f"{self.host}:{self.port}"

    @model_validator(mode="before")
    @classmethod
    def _read_password(cls, given: Any) -> Any:
        file = given.get("password_file") if isinstance(given, dict) else None
        if file is None:
            return given
        if given.get("password") is not None:
            raise ValueError(f"of {cls.key('password')} and {cls.key('password_file')} only one can be set")
        try:
            return {**given, "password": Path(file).read_text().rstrip("\r\n")}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{cls.key('password_file')}={str(file)!r} cannot be read: {error}") from None

    @model_validator(mode="after")
    def _check_user(self) -> Self:
        password = self.password.get_secret_value() if self.password else ""
        if bool(self.username) != bool(password):
            either = f"{self.key('password')} (or {self.key('password_file')})"
            raise ValueError(f"{self.key('username')} and {either} belong together, and neither may be empty")
        if password and not self.tls and not _is_loopback(self.host):
            raise ValueError(
                f"the password of {self.username!r} would cross the network to {self.host} unencrypted;"
                f" set {self.key('tls')}=true"
            )
        return self


class Kafka(ServerWithUsers):
    """Where Kafka is, who we are there, and how this worker takes part in its consumer group.

    controller_port          of the local broker that `anabranch up` starts
    group                    the consumer group of all workers
    partitions               of the topics of events, chosen for good
    replication_factor       copies of each topic that `anabranch prepare` creates
    pseudonym_key            of what stands for user ids in all that is sent, 32 characters or more; for producers,
                             `anabranch serve` and commands, not for workers. Unset, ids are sent as they are
    session_timeout_seconds  after which a silent worker's partitions go to the others
    commit_interval_seconds  between two commits of offsets
    """

    NAME = "KAFKA"

    port: Port = 9092
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    controller_port: Port = 9093
    group: str = "anabranch"
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 8
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 1
    pseudonym_key: SecretStr | None = None
    session_timeout_seconds: Annotated[float, Field(ge=6, le=300)] = 8.0
    commit_interval_seconds: Positive = 0.5

    def pseudonym(self, user_id: str) -> str:
        """The id by which a user is known beyond this process."""
        key = self.pseudonym_key
        return pseudonym(user_id, key.get_secret_value().encode()) if key else user_id

    @model_validator(mode="after")
    def _check_pseudonym_key(self) -> Self:
        if self.pseudonym_key is not None and len(self.pseudonym_key.get_secret_value()) < MIN_PSEUDONYM_KEY:
            raise ValueError(f"{self.key('pseudonym_key')} has to have {MIN_PSEUDONYM_KEY} characters or more")
        return self


class Cassandra(ServerWithUsers):
    """Where Cassandra is, who we are there, and how rows are spread.

    storage_port        of the local node that `anabranch up` starts
    replication_factor  copies of each row, of a keyspace that `anabranch prepare` creates
    datacenters         data centre -> copies of each row there, in place of `replication_factor`
    datacenter          ours, whose nodes alone are asked; needed where there are several
    shards              over which users and items are spread, chosen for good
    """

    NAME = "CASSANDRA"

    port: Port = 9042
    storage_port: Port = 7000
    keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = "anabranch"
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 1
    datacenters: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")], Annotated[int, Field(ge=1, le=9)]] = {}
    datacenter: str | None = None
    shards: Annotated[int, Field(ge=1, le=65_536)] = 64

    @model_validator(mode="after")
    def _check_datacenter(self) -> Self:
        if self.datacenters and self.datacenter not in self.datacenters:
            raise ValueError(f"{self.key('datacenter')} is to be one of {self.key('datacenters')}")
        return self


class Triton(Server):
    """Where Triton is. It knows no users: who may come in has a certificate."""

    NAME = "TRITON"

    http_port: Port = 8000
    grpc_port: Port = 8001
    metrics_port: Port = 8002

    @property
    def address(self) -> str:
        """host:port of the gRPC endpoint."""
        return f"{self.host}:{self.grpc_port}"


class Roles(Group):
    """Whom `anabranch prepare` gives the rights they need, and no others; unset, nobody.

    worker    Kafka user and Cassandra role of the workers
    producer  Kafka user who sends events
    consumer  Kafka user who reads lists
    http      Kafka user and Cassandra role of `anabranch serve`
    """

    worker: User | None = None
    producer: User | None = None
    consumer: User | None = None
    http: User | None = None


Days = Annotated[int, Field(ge=1, le=390)]


class Retention(Group):
    """How many days what is known of people is kept; see docs/privacy.md. A change holds from the next `prepare` on.

    events_days        clicks, views and queries, in their topics
    profiles_days      what users say of themselves, and requests to forget
    uploads_days       of items, in their topic
    interactions_days  what was learned, for the memory of workers that start
    experiments_days   what came of each list
    rejected_days      dead letters
    answers_days       answers to queries, and confirmations
    users_days         after the last event of a user until they and their list are gone; 0 keeps them for ever
    history_days       what a user touched, before their latest touch; 0 keeps it as long as there is room
    """

    events_days: Days = 30
    profiles_days: Days = 365
    uploads_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    interactions_days: Days = 90
    experiments_days: Days = 90
    rejected_days: Days = 7
    answers_days: Days = 1
    users_days: Annotated[int, Field(ge=0, le=7_000)] = 0
    history_days: Annotated[int, Field(ge=0, le=36_500)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("events_days", "interactions_days"):
            if getattr(self, name) > self.profiles_days:
                raise ValueError(
                    f"{PREFIX}RETENTION__{name.upper()}={getattr(self, name)} is above"
                    f" {PREFIX}RETENTION__PROFILES_DAYS={self.profiles_days}: of who was forgotten, events would be"
                    " kept for longer than the request"
                )
        return self

    @property
    def history_seconds(self) -> float:
        """Infinite where there is no limit."""
        return self.history_days * 86_400.0 or math.inf


class Metrics(Group):
    """Where a worker shows its Prometheus metrics."""

    host: str = "127.0.0.1"
    port: Port = 8010


class Traces(Group):
    """Where traces (OpenTelemetry) are sent; unset, nowhere. It needs `pip install 'anabranch[tracing]'`.

    endpoint  of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318
    share     of micro-batches and requests that are traced; what came with a trace is traced if that is
    """

    endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class Http(Group):
    """Where `anabranch serve` answers, and whom.

    token_file        who may ask for what: on each line a role (`lists`, `events` or `admin`), a blank, and a token; a
                      name after the role (`admin:mia`) says who holds it
    certificate_file  PEM: answer over TLS
    key_file          PEM: the key of that certificate
    workers           host:port, JSON list, of the workers' metrics; unset, the one of `ANABRANCH_METRICS__...`
    """

    host: str = "127.0.0.1"
    port: Port = 8020
    token_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    workers: tuple[Address, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        prefix = f"{PREFIX}HTTP__"
        if self.token_file is None and not _is_loopback(self.host):
            raise ValueError(
                f"{prefix}HOST={self.host!r} would let in anybody on the network;"
                f" set {prefix}TOKEN_FILE, or listen at 127.0.0.1"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError(f"{prefix}CERTIFICATE_FILE and {prefix}KEY_FILE belong together")
        return self


class Worker(Group):
    """How a worker handles events.

    batch_size               events handled together, at most
    batch_keys               users, or items, that these are of, at most
    taste_half_life_seconds  until a touch counts half in a user's taste
    typical_dwell_seconds    on an item, that say as much as if no time was given
    dedup_window             event ids remembered for each user
    cached_users             users held in memory
    quality_trait            of profiles, by whose values the live Recall is told apart
    fusion_weights           modality -> weight in an item's fused vector, JSON object
    rules_file               YAML of business rules that lists keep to, read again when it changes
    fusion_folder            folder of a trained `fusion.onnx`, which then fuses in place of the weighted average
    ranker_seconds           to wait for the scores of a shipped model, after which lists are made without
    media_root               folder that `file:` URIs of uploads may name files of; unset refuses them all
    media_private_hosts      hosts, JSON list, that `http(s):` URIs may name although their address is not public
    media_stores             prefixes, JSON list, of URIs that fsspec may open, such as `s3://bucket/uploads/`
    media_seconds            for fetching one file
    knowledge_file           CSV or JSON-LD of what is known of items, see docs/knowledge.md; the same for every process
    more_experts             that lists are made by beside the usual ones, JSON list of `embedding` and `graph`; see
                             docs/quality.md. The same for every process
    experiments              YAML file of a plan of experiments, see docs/experiments.md; the same for every process
    """

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 2_048
    batch_keys: Annotated[int, Field(ge=1, le=10_000)] = 512
    click_weight: Positive = 1.0
    view_weight: Positive = 0.2
    taste_half_life_seconds: Positive = 7 * 86_400.0
    typical_dwell_seconds: Positive = 30.0
    list_length: Annotated[int, Field(ge=1, le=200)] = 20
    dedup_window: Annotated[int, Field(ge=16, le=100_000)] = 1024
    cached_users: Annotated[int, Field(ge=0)] = 50_000
    quality_trait: str = ""
    # Words say most: on films that nobody had clicked, equal weights found a third less (docs/encoders.md).
    fusion_weights: dict[str, Positive] = {name: 1.0 if name == "text" else 0.25 for name in PARTS}
    fusion_folder: Path | None = None
    ranker_seconds: Positive = 0.1
    rules_file: Path | None = None
    media_root: Path | None = None
    media_private_hosts: frozenset[str] = frozenset()
    media_stores: frozenset[str] = frozenset()
    media_seconds: Positive = 10.0
    knowledge_file: FilePath | None = None
    more_experts: frozenset[Literal["embedding", "graph"]] = frozenset()
    experiments: FilePath | None = None


class Lists(Group):
    """How lists are arranged; see docs/fairness.md, and `core.memory.settings.ListSettings`."""

    diversity: Share = 0.0
    calibration: Share = 0.0
    calibration_per: str = "tag"
    exposure_limit: Annotated[float, Field(gt=0, le=1)] = 1.0
    exposure_per: str = ""
    exploration_share: Share = 0.05


class Defence(Group):
    """How much of one user everybody learns from; the same for all workers. See docs/manipulation.md.

    repeats_counted   touches of one item by one user within a day that teach everybody; 0 counts all
    touches_a_minute  of one user that teach in full; of more, each teaches less. 0 counts all
    newcomers_wait    touches of a user that teach nobody, the first
    """

    repeats_counted: Annotated[int, Field(ge=0)] = 1
    touches_a_minute: NotNegative = 0.0
    newcomers_wait: Annotated[int, Field(ge=0)] = 0


class Privacy(Group):
    """How much everybody's memory may tell of one touch; see docs/privacy.md.

    epsilon  of each touch, by randomised response; 0 tells what was touched
    """

    epsilon: Annotated[float, Field(ge=0, le=50)] = 0.0


class Moderation(Group):
    """Whether uploads are looked at before they are listed; see docs/moderation.md.

    text_hold, image_hold, video_hold        the score, 0 to 1, from which an upload waits for a moderator
    text_refuse, image_refuse, video_refuse  from which it is refused at once
    allowed_words                            words, JSON list, that are never harmful here
    key                                      with which a moderator seals what they allow
    """

    enabled: bool = False
    text_hold: Share = 0.5
    text_refuse: Share = 0.9
    image_hold: Share = 0.6
    image_refuse: Share = 0.9
    video_hold: Share = 0.6
    video_refuse: Share = 0.9
    allowed_words: frozenset[str] = frozenset()
    key: SecretStr | None = None

    @property
    def limits(self) -> dict[str, Limits]:
        """By part."""
        return {
            "text": Limits(self.text_hold, self.text_refuse),
            "image": Limits(self.image_hold, self.image_refuse),
            "video": Limits(self.video_hold, self.video_refuse),
        }

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.enabled and (self.key is None or len(self.key.get_secret_value()) < MIN_KEY):
            raise ValueError(
                f"{PREFIX}MODERATION__KEY of {MIN_KEY} characters or more is needed; with it moderators seal what they"
                " allow"
            )
        return self


class Search(Group):
    """How queries are answered.

    weights        ranking -> what it counts, JSON object; see docs/search.md
    taste_weight   what it counts beside these that an item is near to a user's taste
    liking_weight  what it counts that the user would be recommended it; with both 0 everybody gets the same order
    learns         whether clicks on answers move these weights, by no more than to a quarter or four times
    unsafe         `name=value` of attributes, JSON list, whose items are shown only to queries with `safe` false
    seconds        for fetching and embedding a part of a query; one that takes longer is left out
    """

    weights: dict[str, NotNegative] = dict(WEIGHTS)
    taste_weight: NotNegative = 0.0
    liking_weight: NotNegative = 1.0
    learns: bool = True
    unsafe: frozenset[str] = frozenset({"tag=adult", "tag=unsafe"})
    seconds: Positive = 5.0


class Settings(BaseSettings):
    """All groups. Build it with `load`.

    home  folder of data, logs, downloads and the state of local servers
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Path(".anabranch")
    downloads: Path | None = None
    kafka: Kafka = Kafka()
    cassandra: Cassandra = Cassandra()
    triton: Triton = Triton()
    roles: Roles = Roles()
    retention: Retention = Retention()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    http: Http = Http()
    worker: Worker = Worker()
    lists: Lists = Lists()
    defence: Defence = Defence()
    privacy: Privacy = Privacy()
    moderation: Moderation = Moderation()
    search: Search = Search()

    @property
    def recommender(self) -> RecommenderSettings:
        """What the recommender of every process that follows the logs is set to."""
        known = [KNOWLEDGE] if self.worker.knowledge_file is not None else []
        experts = (*EXPERTS, *sorted(self.worker.more_experts), *known)
        return RecommenderSettings(experts=experts, **self.lists.model_dump(), **self.defence.model_dump())

    @property
    def downloads_folder(self) -> Path:
        """Where servers and data sets are kept between runs; may be shared by many homes."""
        return self.downloads or self.home / "downloads"

    @property
    def snapshot_folder(self) -> Path:
        """Of what workers know: one leaves it, another begins with it."""
        return self.home / "snapshots"

    @property
    def models_folder(self) -> Path:
        """Of rankers that were shipped, and of what Triton serves of them; see `streams.deep.registry`."""
        return self.home / "models"

    @property
    def ports_file(self) -> Path:
        """The ports that `up` picked."""
        return self.home / "ports.env"

    @property
    def secrets_folder(self) -> Path:
        """Keys and passwords of the servers that `up --secure` started."""
        return self.home / "secrets"


def load(identity: str = "admin", **overrides: Any) -> Settings:
    """Read the settings: overrides, then the environment, then what `up` has noted, then the defaults.

    identity  as whom to come to servers that `up --secure` started: admin, worker, http, producer or consumer

    Raises SettingsError.
    """
    try:
        home = Settings(**overrides)
        known = sorted(file.stem for file in home.secrets_folder.glob("*.env"))
        if known and identity not in known:
            raise SettingsError(f"{identity!r} is no identity of {home.secrets_folder}: {', '.join(known)}")
        noted = (home.ports_file, home.secrets_folder / f"{identity}.env")
        return Settings(_env_file=noted, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(each) for each in error.errors())) from error
    except UnreadableSettings as error:
        raise SettingsError(f"{error}: {error.__cause__}") from error


def _explain(error: Any) -> str:
    """One line about one error; never with a value that may be a secret."""
    key = PREFIX + "__".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such setting"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    value = "" if "PASSWORD" in key or key.endswith("_KEY") else f"={os.environ.get(key, error['input'])!r}"
    return f"{key}{value}: {error['msg']}"
