"""Who may ask for what: tokens with roles, and tokens of one user.

`Authorization: Bearer TOKEN`. A token is either one of the token file, with a role and perhaps the name of who holds
it, or a JSON Web Token (RFC 7519, HS256) that the application has signed for one of its users: `sub` is the user, `exp`
the end. Where there is no token file, everybody on this machine may ask for anything, and nobody else can.
"""

import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import jwt
from msgspec import Struct

from streams.errors import AnabranchError
from streams.events import MAX_MODERATOR

MIN_TOKEN = 32  # characters; 128 bits of hexadecimal digits


class Role(StrEnum):
    """What a token is for."""

    lists = "lists"
    events = "events"
    admin = "admin"


class UnusableTokens(AnabranchError):
    """The token file cannot be used; the message names the line, never what is in it."""


class Unauthorized(AnabranchError):
    """No token, or none that is known."""


class Identity(Struct, frozen=True):
    """Who asks.

    roles  what they may do for everybody
    user   the one user for whom they may do anything that a user may; None where it is no user's token
    name   of whoever holds the token, as the token file has it; empty where it has none
    """

    roles: frozenset[Role] = frozenset()
    user: str | None = None
    name: str = ""

    def may(self, role: Role, user: str | None = None) -> bool:
        """Whether they have a role, or are the user that it is about."""
        return role in self.roles or Role.admin in self.roles or (user is not None and user == self.user)


ANYBODY = Identity(frozenset(Role))


class Tokens:
    """Those who are known.

    holders   token -> who holds it
    user_key  with which tokens of users are signed; None: there are none
    """

    def __init__(self, holders: Mapping[str, Identity], user_key: str | None = None) -> None:
        # By digest: the time that a look-up takes then says nothing about a token.
        self._holders = {sha256(token.encode()).digest(): holder for token, holder in holders.items()}
        self._user_key = user_key

    @classmethod
    def read(cls, file: Path) -> "Tokens":
        """Read a token file: on each line a role, `role:name` or `user-key`, and a token. Raises UnusableTokens."""
        try:
            return cls.of(file.read_text().splitlines(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableTokens(f"{file} cannot be read: {error}") from None

    @classmethod
    def of(cls, lines: Iterable[str], where: str = "tokens") -> "Tokens":
        """The tokens on some lines.

        >>> tokens = Tokens.of(["# the shop's pages", "lists:shop 0123456789abcdef0123456789abcdef"])
        >>> shop = tokens.identify("Bearer 0123456789abcdef0123456789abcdef")
        >>> shop.name, shop.may(Role.lists), shop.may(Role.events)
        ('shop', True, False)
        """
        holders: dict[str, Identity] = {}
        user_key = None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            what, _, token = line.strip().partition(" ")
            role, named, name = what.partition(":")
            token = token.strip()
            if len(token) < MIN_TOKEN or not token.isascii():
                raise UnusableTokens(f"{where}, line {number}: a token has {MIN_TOKEN} ASCII characters or more")
            if what == "user-key":
                user_key = token
            elif role in Role.__members__:
                if named and not (0 < len(name) <= MAX_MODERATOR and name.isprintable()):
                    raise UnusableTokens(
                        f"{where}, line {number}: a name has 1 to {MAX_MODERATOR} printable characters"
                    )
                before = holders.get(token, Identity(name=name))
                if before.name != name:
                    raise UnusableTokens(f"{where}, line {number}: the token of a line above, under another name")
                holders[token] = Identity(before.roles | {Role(role)}, name=name)
            else:
                known = ", ".join((*Role, "user-key"))
                raise UnusableTokens(f"{where}, line {number}: its first word is none of: {known}")
        if not holders:
            raise UnusableTokens(f"{where} has no token with a role")
        return cls(holders, user_key)

    def identify(self, authorization: str | None) -> Identity:
        """Whose an `Authorization` header is. Raises Unauthorized."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("say who you are: Authorization: Bearer TOKEN")
        digest = sha256(token.encode(errors="surrogateescape")).digest()
        for known, holder in self._holders.items():
            if hmac.compare_digest(known, digest):
                return holder
        return Identity(user=self._user(token))

    def _user(self, token: str) -> str:
        if self._user_key is None or not token.isascii():
            raise Unauthorized("this token is not known")
        try:
            claims = jwt.decode(token, self._user_key, algorithms=["HS256"], options={"require": ["sub", "exp"]})
        except jwt.InvalidTokenError as error:
            raise Unauthorized(f"this token is not known: {error}") from None
        return str(claims["sub"])


def user_token(user_key: str, user_id: str, expires_at: float) -> str:
    """A token with which a user's own browser may ask for what is theirs.

    user_key    as in the token file
    expires_at  seconds since the epoch
    """
    return jwt.encode({"sub": user_id, "exp": int(expires_at)}, user_key, algorithm="HS256")
