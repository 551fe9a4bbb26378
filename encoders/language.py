"""Language: which of 176 a text is in, by fastText's compact model (Joulin and others, 2016, 'FastText.zip')."""

from collections.abc import Callable

from encoders.weights import locate

LEAST_CONFIDENCE = 0.6
"""Below this no language is told. Of single names on stamps 70% are told then, and of those 96% rightly."""

LABEL = "__label__"


def load() -> Callable[[str], str]:
    """A function from a text to the code of its language (ISO 639), or to '' where it could be several.

    The text has no line breaks, as `encoders.text.normalise` leaves it.
    """
    import fasttext  # type: ignore[import-untyped]

    network = fasttext.load_model(str(locate("language network")))

    def tell(text: str) -> str:
        labels, _ = network.predict(text, k=1, threshold=LEAST_CONFIDENCE)
        return labels[0].removeprefix(LABEL) if labels else ""

    return tell
