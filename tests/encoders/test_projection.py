from pathlib import Path

import numpy as np
import pytest

from encoders.contract import DIM, MODALITIES, Modality
from encoders.projection import FOLDER_SETTING, Projection, unit_rows


@pytest.mark.parametrize("modality", MODALITIES.values(), ids=lambda modality: modality.name)
def test_the_untrained_projection_about_keeps_angles(modality: Modality) -> None:
    natives = np.random.default_rng(0).standard_normal((40, modality.native_dim)).astype(np.float32)
    natives[1] = natives[0] + 0.3 * natives[1]
    projected = Projection.untrained(modality)(natives)
    exact = modality.native_dim <= DIM
    np.testing.assert_allclose(
        projected @ projected.T, unit_rows(natives) @ unit_rows(natives).T, atol=1e-5 if exact else 0.25
    )


def test_a_trained_projection_is_found_by_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MODALITIES["text"]
    trained = Projection(np.full(512, 0.01, np.float32), np.ones((512, DIM), np.float32))
    trained.save(text, tmp_path)
    monkeypatch.setenv(FOLDER_SETTING, str(tmp_path))
    np.testing.assert_array_equal(Projection.load(text).weight, trained.weight)
    np.testing.assert_array_equal(
        Projection.load(MODALITIES["profile"]).weight, Projection.untrained(MODALITIES["profile"]).weight
    )


def test_a_projection_of_another_shape_is_refused(tmp_path: Path) -> None:
    Projection(np.zeros(3, np.float32), np.zeros((3, DIM), np.float32)).save(MODALITIES["text"], tmp_path)
    with pytest.raises(ValueError, match=r"\(3, 256\), where \(512, 256\) is expected"):
        Projection.load(MODALITIES["text"], tmp_path)


def test_a_projection_is_named_by_its_numbers_and_by_those_of_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, image, audio = (MODALITIES[name] for name in ("text", "image", "audio"))
    before = {each.name: Projection.load(each).name for each in (text, image, audio)}
    Projection(np.zeros(512, np.float32), np.ones((512, DIM), np.float32)).save(text, tmp_path)
    monkeypatch.setenv(FOLDER_SETTING, str(tmp_path))
    after = {each.name: Projection.load(each).name for each in (text, image, audio)}
    assert {name for name in before if before[name] != after[name]} == {"text", "image"}
    Projection(np.zeros(512, np.float32), 2 * np.ones((512, DIM), np.float32)).save(text, tmp_path)
    assert Projection.load(text).name not in (before["text"], after["text"])
