"""What people see of an item: its title, its tags, where its files are. Follows `items.embedded`."""

from msgspec import Struct

from streams.events import Embedded
from streams.web.answers import Item, ListedItem, Touch


class File(Struct, frozen=True):
    """A file of an item.

    digest  SHA-256 of what was embedded and looked at, hexadecimal; None of items that say nothing of it
    """

    uri: str
    digest: str | None


class Shelf:
    """The items, to be shown."""

    def __init__(self) -> None:
        self._items: dict[str, _Shown] = {}

    def put(self, item: Embedded) -> None:
        """An item has come, has changed or is withdrawn: of that nothing is shown but that, and why it is."""
        if item.withdrawn:
            self._items[item.item_id] = _Shown(item.at, "", [], {}, [], item.refused, "", withdrawn=True)
            return
        files = {
            name: File(uri, item.digests.get(name)) for name, uri in item.media.items() if name not in item.refused
        }
        self._items[item.item_id] = _Shown(
            item.at,
            item.title,
            item.attributes,
            files,
            [name for name in item.vectors if name != "fused"],
            item.refused,
            item.language,
            withdrawn=False,
        )

    def __len__(self) -> int:
        return len(self._items)

    def item(self, item_id: str) -> Item | None:
        """All there is to say of an item; None where it is not known."""
        shown = self._items.get(item_id)
        return (
            None
            if shown is None
            else Item(
                item_id=item_id,
                title=shown.title,
                attributes=shown.attributes,
                at=shown.at,
                media=list(shown.media),
                modalities=shown.modalities,
                refused=shown.refused,
                language=shown.language,
                withdrawn=shown.withdrawn,
            )
        )

    def title(self, item_id: str) -> str:
        """Empty where it has none."""
        shown = self._items.get(item_id)
        return shown.title if shown else ""

    def file(self, item_id: str, modality: str) -> File | None:
        """Where an item's file is."""
        shown = self._items.get(item_id)
        return None if shown is None else shown.media.get(modality)

    def touched(self, item_id: str, at: float, weight: float) -> Touch:
        """An item as part of a history."""
        shown = self._items.get(item_id)
        media = list(shown.media) if shown else []
        return Touch(item_id=item_id, title=self.title(item_id), media=media, at=at, weight=weight)

    def listed(
        self, item_id: str, score: float, reason: str = "", because: str | None = None, shared: str | None = None
    ) -> ListedItem:
        """An item as part of a list."""
        shown = self._items.get(item_id)
        return ListedItem(
            item_id=item_id,
            score=round(score, 6),
            reason=reason,
            because=because or "",
            shared=shared or "",
            because_title=self.title(because) if because else "",
            title=shown.title if shown else "",
            attributes=shown.attributes if shown else [],
            media=list(shown.media) if shown else [],
        )


class _Shown(Struct, frozen=True):
    at: float
    title: str
    attributes: list[str]
    media: dict[str, File]
    modalities: list[str]
    refused: dict[str, str]
    language: str
    withdrawn: bool
