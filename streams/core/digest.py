"""A short name for a longer one, that does not tell it."""

from hashlib import blake2b


def digest(name: str, size: int = 8) -> bytes:
    """BLAKE2b of an id, `size` bytes. Who has a list of ids can still find out which one it was.

    >>> digest("ada") == digest("ada"), digest("ada") == digest("bob"), len(digest("ada", size=16))
    (True, False, 16)
    """
    return blake2b(name.encode(), digest_size=size).digest()
