"""Triton as one process, its models run by this environment's Python."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from streams.adapters import clients
from streams.adapters.refusal import refusal
from streams.settings import Triton

MODELS = Path(__file__).parents[2] / "triton_models"
ANSWER_SECONDS = 3.0


def command(settings: Triton, home: Path, shipped: Path, secrets: Path | None = None) -> list[str]:
    """How to start it. A model that fails to load keeps no other from serving; `unready` names it.

    shipped  folder of the models that come and go while it runs
    secrets  the folder of `credentials`, for a server that lets in only those with a certificate
    """
    return [
        str(home / "bin" / "tritonserver"),
        f"--model-repository={MODELS}",
        f"--model-repository={shipped}",
        "--model-control-mode=explicit",
        "--load-model=*",
        f"--backend-directory={home / 'backends'}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.metrics_port}",
        "--exit-on-error=false",
        "--strict-readiness=true",
        *(_secured(secrets) if secrets else [f"--http-address={settings.host}", f"--http-port={settings.http_port}"]),
    ]


def _secured(secrets: Path) -> list[str]:
    """Over gRPC alone: Triton's HTTP knows no TLS."""
    return [
        "--allow-http=false",
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-server-cert={secrets / 'triton.pem'}",
        f"--grpc-server-key={secrets / 'triton.pem'}",
        f"--grpc-root-cert={secrets / 'ca.pem'}",
    ]


def environment(home: Path) -> dict[str, str]:
    """The stub runs the first `python3` of the path, with one thread of its own for each model."""
    return {
        "LD_LIBRARY_PATH": f"{home / 'lib'}:{sysconfig.get_config_var('LIBDIR')}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def models() -> list[str]:
    """The models of the repository."""
    return sorted(each.parent.name for each in MODELS.glob("*/config.pbtxt"))


def ailment(settings: Triton) -> str | None:
    """What keeps it from serving, or None. It answers only once it has tried to load every model."""
    try:
        with _client(settings) as client:
            live = client.is_server_live(client_timeout=ANSWER_SECONDS)
            return None if live else f"the server at {settings.address} is not live"
    except InferenceServerException as error:
        return refusal(settings, error)


def unready(settings: Triton) -> dict[str, str]:
    """Model -> why it does not serve, for those that do not. Raises InferenceServerException without Triton."""
    with _client(settings) as client:
        index = client.get_model_repository_index(client_timeout=ANSWER_SECONDS)
    newest = {entry.name: entry for entry in index.models}
    found = {}
    for name in models():
        if name not in newest:
            found[name] = "it was added after Triton started"
        elif newest[name].state != "READY":
            found[name] = newest[name].reason or newest[name].state or "it failed to load"
    return found


class Work(Struct, frozen=True):
    """What a model has done since it was loaded.

    contents         that it embedded, or refused by name
    batches          in which they were handed to it
    waited_seconds   that a request waited for it, on average
    took_seconds     until it was answered, waiting included, on average
    """

    contents: int
    batches: int
    waited_seconds: float
    took_seconds: float


def work(settings: Triton) -> dict[str, Work]:
    """Model -> what it has done, for those that were asked. Raises InferenceServerException without Triton."""
    with _client(settings) as client:
        answer = client.get_inference_statistics(client_timeout=ANSWER_SECONDS)
    return {
        model.name: Work(
            model.inference_count,
            model.execution_count,
            model.inference_stats.queue.ns / model.inference_stats.success.count / 1e9,
            model.inference_stats.success.ns / model.inference_stats.success.count / 1e9,
        )
        for model in answer.model_stats
        if model.inference_stats.success.count
    }


@contextmanager
def _client(settings: Triton) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(**clients.triton(settings))
    try:
        yield client
    finally:
        client.close()
