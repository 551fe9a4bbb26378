"""Triton as one process, its models run by this environment's Python."""

import os
import sys
import sysconfig
from pathlib import Path

import grpc
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from streams.settings import Triton

MODELS = Path(__file__).parents[2] / "triton_models"


def command(settings: Triton, home: Path) -> list[str]:
    """How to start it. A model that fails to load is reported by `ailment` and keeps no other from serving."""
    return [
        str(home / "bin" / "tritonserver"),
        f"--model-repository={MODELS}",
        f"--backend-directory={home / 'backends'}",
        f"--http-address={settings.host}",
        f"--http-port={settings.http_port}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.metrics_port}",
        "--exit-on-error=false",
        "--strict-readiness=true",
        "--log-verbose=0",
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
    """What keeps it from serving, or None when it is well: the server, or the models that are not ready."""
    client = InferenceServerClient(settings.grpc_address)
    try:
        if not client.is_server_live(client_timeout=3):
            return f"the server at {settings.grpc_address} is not live"
        missing = [model for model in models() if not client.is_model_ready(model, client_timeout=3)]
        return f"not ready: {', '.join(missing)}" if missing else None
    except (InferenceServerException, grpc.RpcError) as error:
        return f"no answer at {settings.grpc_address}: {error}"
    finally:
        client.close()
