"""What the lists and the network say of words and pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from encoders.errors import Refused
from encoders.moderation import Pictures, Words
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


def test_the_figures_in_the_docs_are_those_of_the_labelled_texts() -> None:
    found = moderation.measure([])
    page = (moderation.Path(__file__).parents[2] / "docs" / "moderation.md").read_text()
    for row in moderation.sheet(found).rows[:3]:
        assert f"| {' | '.join(row)} |" in page
