"""Shipping to several Tritons behind one name, as behind a Kubernetes Service without an address of its own."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from streams.adapters.ranker import TritonModels
from streams.errors import RankerUnavailable
from streams.settings import Triton

HOSTS = ("127.0.0.1", "127.0.0.2")


class Told(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A Triton as far as model control goes; it notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.refuses = False

    def RepositoryModelLoad(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.refuses:
            context.abort(grpc.StatusCode.INTERNAL, "it cannot be loaded")
        self.heard.append(f"load {request.model_name}")
        return service_pb2.RepositoryModelLoadResponse()

    def RepositoryModelUnload(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.heard.append(f"unload {request.model_name}")
        return service_pb2.RepositoryModelUnloadResponse()


@pytest.fixture
def tritons(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Triton, list[Told]]]:
    with socket.socket() as free:
        free.bind((HOSTS[0], 0))
        port = free.getsockname()[1]
    servers, told = [], [Told() for _ in HOSTS]
    for host, each in zip(HOSTS, told, strict=True):
        server = grpc.server(ThreadPoolExecutor(1))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(each, server)
        assert server.add_insecure_port(f"{host}:{port}") == port
        server.start()
        servers.append(server)

    def several(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        if host != "triton":
            raise socket.gaierror(f"{host} is unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in HOSTS]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    yield Triton(host="triton", grpc_port=port), told
    for server in servers:
        server.stop(None).wait()


def test_every_triton_behind_the_name_loads_and_unloads(tritons: tuple[Triton, list[Told]]) -> None:
    settings, told = tritons
    models = TritonModels(settings)
    models.load("ranker")
    models.unload("ranker")
    assert [each.heard for each in told] == [["load ranker", "unload ranker"]] * 2


def test_where_one_of_them_cannot_load_the_error_says_which(tritons: tuple[Triton, list[Told]]) -> None:
    settings, told = tritons
    told[1].refuses = True
    with pytest.raises(RankerUnavailable, match=rf"127\.0\.0\.2:{settings.grpc_port} did not load.*cannot be loaded"):
        TritonModels(settings).load("ranker")


def test_a_name_that_nobody_knows_is_said_to_be_so(tritons: tuple[Triton, list[Told]]) -> None:
    settings, _ = tritons
    with pytest.raises(RankerUnavailable, match="there is no Triton at nowhere"):
        TritonModels(settings.model_copy(update={"host": "nowhere"})).load("ranker")
