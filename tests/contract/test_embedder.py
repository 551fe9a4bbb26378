"""What every embedder keeps its word on: the one in memory and the real Triton."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from encoders.contract import DIM
from streams.adapters.triton import PatientEmbedder, TritonEmbedder
from streams.errors import EmbedderUnavailable
from streams.ports import Embedder
from streams.settings import Triton
from tests.fakes import FakeEmbedder


@pytest.fixture(params=["fake", pytest.param("triton", marks=pytest.mark.servers)])
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    if request.param == "fake":
        yield FakeEmbedder()
        return
    real = TritonEmbedder(request.getfixturevalue("servers").triton)
    yield real
    await real.close()


async def test_each_content_gets_a_unit_vector(embedder: Embedder) -> None:
    answer = await embedder.embed("text", [b"a space horror film", "ein Liebesfilm in Köln".encode()])
    assert list(answer.errors) == ["", ""]
    for vector in answer.vectors:
        assert vector is not None and vector.shape == (DIM,) and vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


async def test_the_language_of_a_text_is_told(embedder: Embedder) -> None:
    answer = await embedder.embed("text", ["ein Liebesfilm, der in Köln spielt".encode(), b"1989"])
    assert list(answer.languages) == ["de", ""]


async def test_what_is_no_text_has_no_language(embedder: Embedder) -> None:
    assert list((await embedder.embed("profile", [b'{"says": "ein Buch"}'])).languages) == [""]


async def test_what_is_no_speech_has_no_words_of_its_own(embedder: Embedder) -> None:
    assert list((await embedder.embed("text", [b"hello there"])).words) == [""]


async def test_nothing_asked_is_nothing_answered(embedder: Embedder) -> None:
    answer = await embedder.embed("text", [])
    assert list(answer.vectors) == [] and list(answer.errors) == []


async def test_the_same_content_gets_the_same_vector(embedder: Embedder) -> None:
    first = (await embedder.embed("text", [b"romance in paris"])).vectors[0]
    among = (await embedder.embed("text", [b"war", b"romance in paris", b"westerns of the fifties"])).vectors[1]
    assert first is not None and among is not None
    np.testing.assert_allclose(first, among, atol=1e-4)


async def test_what_is_alike_lies_closer_than_what_is_not(embedder: Embedder) -> None:
    alien, aliens, love = (await embedder.embed("text", [b"space monster", b"monster in space", b"love story"])).vectors
    assert alien is not None and aliens is not None and love is not None
    assert alien @ aliens > alien @ love


async def test_more_than_one_call_can_take_is_split_and_stays_in_order(embedder: Embedder) -> None:
    words = [f"number {n}".encode() for n in range(150)]
    together = (await embedder.embed("text", words)).vectors
    alone = (await embedder.embed("text", [words[100]])).vectors[0]
    assert len(together) == 150
    assert alone is not None and together[100] is not None
    np.testing.assert_allclose(together[100], alone, atol=1e-4)


@pytest.mark.servers
async def test_a_profile_that_is_not_json_is_refused_and_its_neighbour_is_not(embedder: Embedder) -> None:
    bad = b"corrupt {"
    answer = await embedder.embed("profile", [bad, b'{"age": 24, "occupation": "writer"}'])
    assert answer.vectors[0] is None and answer.errors[0]
    assert answer.vectors[1] is not None and answer.errors[1] == ""


async def test_an_embedder_that_cannot_be_reached_says_which_model_and_where() -> None:
    nowhere = TritonEmbedder(Triton(grpc_port=1))
    with pytest.raises(EmbedderUnavailable, match=r"text_encoder at 127\.0\.0\.1:1"):
        await nowhere.embed("text", [b"hello"])
    with pytest.raises(EmbedderUnavailable, match=r"Triton at 127\.0\.0\.1:1 does not answer"):
        await nowhere.check()
    await nowhere.close()


async def test_a_patient_embedder_waits_until_triton_is_back() -> None:
    fake = FakeEmbedder()
    fake.down = True
    patient = PatientEmbedder(fake, longest_wait=0.01)
    waiting = asyncio.create_task(patient.embed("text", [b"hello"]))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    fake.down = False
    assert (await waiting).vectors[0] is not None
