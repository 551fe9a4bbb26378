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


def test_the_language_of_a_text_is_told_where_it_is_clear(text_encoder: Encoder[Any]) -> None:
    texts = ["Der Frosch sitzt auf einem Blatt.", "Una rana en una hoja verde", "青蛙坐在一片叶子上", "1995", "<b></b>"]
    assert text_encoder.encode([text.encode() for text in texts]).languages == ["de", "es", "zh", "", ""]


def test_languages_that_the_network_never_learned_are_told_as_well(text_encoder: Encoder[Any]) -> None:
    assert text_encoder.encode(["Sammakko istuu vihreällä lehdellä.".encode()]).languages == ["fi"]
