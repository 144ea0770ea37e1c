"""Players found by name, for commands that are addressed to one."""

import re
from typing import Final, NamedTuple

from protocol.bounds import MAX_USERNAME_CHARS, MIN_USERNAME_CHARS
from storage.accounts import AccountStore

# Names never change and accounts are never removed, so what was found once stays true. About 200
# bytes each. When full, the oldest is forgotten: finding it again costs a query.
MAX_NAMES: Final = 10_000

# Only what can be a username is looked for. It also makes Python's lower() the database's.
_USERNAME: Final = re.compile(rf"[A-Za-z0-9_]{{{MIN_USERNAME_CHARS},{MAX_USERNAME_CHARS}}}")


# Accounts that the server or its operators make, which a stranger must not get to first.
_RESERVED: Final = frozenset({"admin", "console", "demo", "operator", "pitboss", "root", "system"})
GUEST_PREFIX: Final = "guest_"


def is_reserved(username: str) -> bool:
    """Whether nobody may register this name."""
    return username.lower() in _RESERVED or username.lower().startswith(GUEST_PREFIX)


class Named(NamedTuple):
    """A user, and their name as they wrote it."""

    user_id: int
    username: str


class Names:
    """Usernames and whom they stand for, whatever the case."""

    def __init__(self, accounts: AccountStore) -> None:
        self._accounts = accounts
        self._known: dict[str, Named] = {}

    async def find(self, username: str) -> Named | None:
        """The user of that name. A name that is free today may be taken tomorrow: not remembered.

        Raises:
            Failure: `storage_unavailable`.
        """
        if not _USERNAME.fullmatch(username):
            return None
        key = username.lower()
        known = self._known.get(key)
        if known is not None:
            return known
        found = await self._accounts.find_login(username)
        if found is None:
            return None
        if len(self._known) >= MAX_NAMES:
            del self._known[next(iter(self._known))]
        named = Named(found.user.id, found.user.username)
        self._known[key] = named
        return named
