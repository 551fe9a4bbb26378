"""What the lists and the network say of words and pictures."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from encoders.errors import Refused
from encoders.moderation import Pictures, Words, spread
from encoders.video import encoded
from streams.errors import AnabranchError
from streams.evaluate import moderation


def picture(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_words_are_found_in_the_language_of_the_text_and_in_english() -> None:
    words = Words()
    assert words.score("Du verdammtes Arschloch", "de") > 0.5
    assert words.score("Du verdammtes Arschloch", "fr") == 0.0
    assert words.score("Der Film ist shit", "de") >= 0.5
    assert words.score("what the f.u.c.k", "") >= 0.5
    assert words.score("Scunthorpe United win the cup", "en") == 0.0


def test_a_single_word_refuses_nothing_and_many_count_full() -> None:
    words = Words()
    assert words.score("shit " + "and so on " * 100, "en") == 0.5
    assert words.score("shit shit", "en") == 1.0
    assert words.score("shit", "en") == 0.8, "a single word may be a name"


def test_a_word_can_be_allowed() -> None:
    text = "Moby Dick, a novel about a white whale"
    assert Words().score(text, "en") > 0.5 and Words(allowed=["dick"]).score(text, "en") == 0.0


def test_harmless_pictures_have_low_scores_and_what_is_no_picture_is_refused() -> None:
    grey, noise = np.full((64, 64, 3), 128), np.random.default_rng(1).integers(0, 255, (300, 200, 3))
    network = Pictures()
    assert network.scores([]) == []
    assert all(0 <= score < 0.3 for score in network.scores([picture(grey), picture(noise)]))
    with pytest.raises(Refused):
        network.scores([b"no picture"])


def test_a_film_is_as_harmful_as_the_worst_of_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def film(*shades: int) -> bytes:
        return encoded([Image.new("RGB", (64, 64), (shade,) * 3) for shade in shades])

    def brightness(_: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]
        means = (feed["input:0"].mean(axis=(1, 2, 3)) + 114) / 255
        return [np.stack([1 - means, means], axis=1)]

    network = Pictures()
    assert 0 <= network.film(film(128, 128)) < 0.3
    monkeypatch.setattr(network, "_network", SimpleNamespace(run=brightness))
    assert network.film(film(*[20] * 30)) < 0.2
    assert network.film(film(*[20] * 14, 250, 250, *[20] * 14)) > 0.9
    with pytest.raises(Refused):
        network.film(b"no film")


def test_frames_are_spread_over_the_whole_film() -> None:
    frames = [Image.new("L", (1, 1), number) for number in range(30)]
    shades = [each.getpixel((0, 0)) for each in spread(frames, 4)]
    assert shades == [0, 10, 19, 29]
    assert spread(frames[:2], 4) == frames[:2]


def by_name(content: bytes) -> float:
    """A classifier that reads the score that a file says it has."""
    if not content:
        raise Refused("image", "Undecodable", "it is empty")
    return float(content)


def test_pictures_of_a_folder_give_precision_and_recall_of_each_threshold(tmp_path: Path) -> None:
    harmful = {"harmful/a": b".95", "harmful/b": b".55", "harmful/deep/c": b".15"}
    harmless = {"harmless/d": b".65", "harmless/e": b".02", "harmless/f": b""}
    for name, content in (harmful | harmless).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    judged = moderation.of_folder(tmp_path, by_name)
    assert judged == moderation.Judged([0.95, 0.55, 0.15], [0.65, 0.02], 1)
    sheet = moderation.curve(judged)
    assert sheet.title == "3 harmful, 2 harmless, 1 unread"
    rows = {row[0]: [cell.partition(" ")[0] for cell in row[1:]] for row in sheet.rows}
    assert (rows["0.1"], rows["0.5"], rows["0.9"]) == (
        ["0.75", "1.00", "0.5000"],
        ["0.67", "0.67", "0.5000"],
        ["1.00", "0.33", "0.0000"],
    )
    assert sheet.rows[1][1] == "0.75 (0.30 to 0.95)", "of so few, little is known"


def test_the_score_from_which_alarms_are_as_often_right_as_wanted_is_told_and_from_which_that_is_proven() -> None:
    judged = moderation.Judged([0.3] * 40 + [0.8] * 60, [0.1] * 90 + [0.3] * 10, 0)
    assert moderation.advice(judged, 0.9) == (
        "precision 0.9: from 0.300 on, recall 1.00 (0.96 to 1.00);"
        " proven (95%): from 0.800 on, recall 0.60 (0.50 to 0.69)"
    )
    assert moderation.advice(moderation.Judged([], [0.2], 0), 0.5) == (
        "precision 0.5: from no score on; proven (95%): from no score on"
    )


def test_harmless_drawings_alone_have_false_alarms_and_no_recall(tmp_path: Path) -> None:
    (tmp_path / "harmless").mkdir()
    for shade in (0, 90, 255):
        (tmp_path / "harmless" / f"{shade}.png").write_bytes(picture(np.full((64, 64, 3), shade)))
    sheet = moderation.curve(moderation.of_folder(tmp_path, moderation.pictures()))
    assert [row[2:] for row in sheet.rows if row[0] == "0.6"] == [["-", "0.0000 (0.0000 to 0.5615)"]]


def test_a_folder_without_pictures_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AnabranchError, match=str(tmp_path)):
        moderation.of_folder(tmp_path, by_name)


def test_the_figures_in_the_docs_are_those_of_the_labelled_texts() -> None:
    found = moderation.measure([])
    page = (moderation.Path(__file__).parents[2] / "docs" / "moderation.md").read_text()
    for row in moderation.sheet(found).rows[:3]:
        assert f"| {' | '.join(row)} |" in page
