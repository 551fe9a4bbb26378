"""Names of spaces: vectors compare only with those that were made in the same way, of the same weights."""

from hashlib import blake2b

REVISION = 1
"""Raise it when the code of an encoder changes so that its vectors do: no weights would tell."""


def name(*made_of: bytes | str) -> str:
    """A short name, the same everywhere, for what vectors are made with: names and numbers, in order.

    >>> name("text", b"weights") == name("text", b"weights") != name("textw", b"eights")
    True
    """
    digest = blake2b(digest_size=6)
    for each in (str(REVISION), *made_of):
        data = each.encode() if isinstance(each, str) else each
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
