"""Whatever parts an item has in, their vectors and the fused vector out: `encoders.item`."""

from encoders.item import ItemModel


class TritonPythonModel(ItemModel):
    pass
