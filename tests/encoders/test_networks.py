"""The precisions that networks can compute in."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from encoders import audio, networks
from encoders.errors import WeightsUnusable
from encoders.networks import CACHE_SETTING, PRECISION_SETTING
from encoders.projection import unit_rows
from encoders.training.compression import quantise
from tests.media import RATE, tone


@pytest.fixture
def blocks() -> networks.Floats:
    """(9, 100, 96) of nine tones."""
    return np.concatenate([audio.blocks(tone(110.0 * number, RATE / 44_100)) for number in range(1, 10)])


def agreement(one: networks.Floats, other: networks.Floats) -> float:
    return float((unit_rows(one) * unit_rows(other)).sum(1).min())


def test_each_network_computes_in_its_first_precision_unless_the_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PRECISION_SETTING, raising=False)
    assert (networks.precision("sound"), networks.precision("speech", "float16")) == ("float32", "float16")
    monkeypatch.setenv(PRECISION_SETTING, "sound=int8, speech=float32")
    assert (networks.precision("sound"), networks.precision("speech", "float16")) == ("int8", "float32")
    assert networks.precision("image") == "float32"


@pytest.mark.parametrize("setting", ["sound=int4", "smell=int8", "int8", "sound="])
def test_a_setting_that_means_nothing_is_refused_with_what_is_allowed(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRECISION_SETTING, setting)
    with pytest.raises(ValueError, match=rf"{PRECISION_SETTING}='{setting}'.*sound=float32\|bfloat16\|int8"):
        networks.precision("sound")


def test_int8_is_made_by_a_command_that_its_absence_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PRECISION_SETTING, "sound=int8")
    monkeypatch.setenv(CACHE_SETTING, str(tmp_path))
    with pytest.raises(WeightsUnusable, match="anabranch train compress"):
        networks.load("sound", "cpu")
    with pytest.raises(ValueError, match="CPU only"):
        networks.load("sound", "cuda:0")


def test_in_int8_a_network_is_a_quarter_as_large_and_says_nearly_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blocks: networks.Floats
) -> None:
    exact = networks.load("sound", "cpu")(blocks)
    exported = networks.exported("sound")
    shutil.copy(exported, tmp_path)
    monkeypatch.setenv(CACHE_SETTING, str(tmp_path))
    made = quantise("sound", blocks)
    assert made.stat().st_size < 0.3 * exported.stat().st_size
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / exported.name, made])
    monkeypatch.setenv(PRECISION_SETTING, "sound=int8")
    compressed = networks.load("sound", "cpu")(blocks)
    assert 0.98 < agreement(exact, compressed) < 0.999_999


def test_in_bfloat16_a_network_says_nearly_the_same(monkeypatch: pytest.MonkeyPatch, blocks: networks.Floats) -> None:
    exact = networks.load("sound", "cpu")(blocks[:2])
    monkeypatch.setenv(PRECISION_SETTING, "sound=bfloat16")
    rounded = networks.load("sound", "cpu")(blocks[:2])
    assert rounded.dtype == np.float32
    assert 0.99 < agreement(exact, rounded) < 0.999_999
