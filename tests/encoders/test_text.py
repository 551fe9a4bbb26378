from typing import Any

from encoders.encoder import Encoder


def test_translations_are_closer_than_other_sentences(text_encoder: Encoder[Any]) -> None:
    vectors = text_encoder.encode(
        [
            b"A frog.",
            b"Una rana.",
            "Лягушка.".encode(),
            b"The stock market fell sharply.",
        ]
    ).vectors
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[0, 2]) > cosines[0, 3] + 0.2


def test_markup_and_spaces_do_not_change_the_vector(text_encoder: Encoder[Any]) -> None:
    plain, marked = text_encoder.encode([b"Tom & Jerry, the film", b"<p>Tom &amp; Jerry,</p>\n the  film "]).vectors
    assert plain @ marked > 0.9999
