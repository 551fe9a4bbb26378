"""Why a content was refused, by name; the names are few, so that they can label a metric."""

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "Empty": "there is nothing in it",
        "TooLarge": "more bytes than the modality allows",
        "Undecodable": "the bytes are not what the modality expects, or are damaged",
        "Unsupported": "a format that is not accepted",
        "TooManyPixels": "the picture would take too much memory once decoded",
        "TooShort": "too little of it to say anything",
        "Silent": "the sound has no signal",
        "Wordless": "no words could be made out",
    }
)


class Refused(Exception):
    """A content that cannot be embedded.

    modality  such as 'image'
    kind      one of `KINDS`
    detail    one sentence for who sent it

    >>> str(Refused("image", "Undecodable", "the file ends in the middle"))
    'ImageUndecodable: the file ends in the middle'
    """

    def __init__(self, modality: str, kind: str, detail: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, where one of {', '.join(KINDS)} is allowed")
        super().__init__(f"{modality.capitalize()}{kind}: {detail}")
        self.kind = kind


class WeightsUnusable(Exception):
    """A file of weights is missing, or is not the one this project was tested with."""
