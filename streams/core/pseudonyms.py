"""Names that say nothing of whose they are, to all but those who have the key."""

import hmac


def pseudonym(user_id: str, key: bytes) -> str:
    """What stands for a user's id: its HMAC-SHA-256 (RFC 2104) under the key, as 64 hexadecimal digits.

    >>> ada = pseudonym("ada", b"a key that only the edge has")
    >>> len(ada), ada == pseudonym("ada", b"a key that only the edge has"), ada == pseudonym("ada", b"another key")
    (64, True, False)
    """
    return hmac.digest(key, user_id.encode(), "sha256").hex()
