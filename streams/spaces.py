"""Which spaces the vectors of items are in, so that none of another comes between them."""

from collections.abc import Mapping

from streams.errors import Rejected


class Spaces:
    """What one log of items says: of each modality, and of 'fused', the first space that is named counts.

    All who follow the log see the same first, and so leave out the same items.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.known = dict(known or {})

    def others(self, named: Mapping[str, str]) -> list[str]:
        """Those modalities whose vectors are in another space here.

        >>> Spaces({"text": "a"}).others({"text": "b", "image": "c"})
        ['text']
        """
        return [modality for modality, name in named.items() if self.known.get(modality, name) != name]

    def take(self, named: Mapping[str, str]) -> None:
        """Take in what the next item of the log says. Raises Rejected for one of another space."""
        for modality in self.others(named):
            here, there = self.known[modality], named[modality]
            raise Rejected("other_space", f"{modality} is in space {there}, where the items before are in {here}")
        self.known |= named
