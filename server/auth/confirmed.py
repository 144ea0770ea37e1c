"""Access tokens whose session was looked up a moment ago, so that HTTP needs no query each time."""

from typing import Final, NamedTuple
from uuid import UUID

from server.auth.identity import Identity

# How long a look-up holds. A log-out on this node ends its tokens at once; one on another node, or
# by the command line, is noticed here after at most this time.
CONFIRMED_MS: Final = 10_000
# Each takes about a kilobyte. When full, the oldest is forgotten: its next request costs a query.
MAX_CONFIRMED: Final = 4_096


class _Entry(NamedTuple):
    identity: Identity
    until_ms: int


class ConfirmedTokens:
    """A bounded memory of tokens that were valid and whose sessions were live.

    It remembers live sessions rather than revoked ones: then what it forgets costs a query and
    never lets anybody in, and a restart starts from nothing.
    """

    def __init__(self) -> None:
        # In the order in which they were added, which is also that in which they end.
        self._entries: dict[str, _Entry] = {}
        self._revocations = 0

    def find(self, token: str, now_ms: int) -> Identity | None:
        """Whom the token speaks for, if it was confirmed a moment ago."""
        entry = self._entries.get(token)
        if entry is None:
            return None
        if entry.until_ms <= now_ms:
            del self._entries[token]
            return None
        return entry.identity

    def ticket(self) -> int:
        """To be taken before a session is looked up, and given to `add` with the result."""
        return self._revocations

    def add(self, token: str, identity: Identity, now_ms: int, ticket: int) -> None:
        """Remember a token, unless a session was revoked while this one was looked up."""
        if ticket != self._revocations:
            return
        # A token that is confirmed again moves to the end.
        self._entries.pop(token, None)
        if len(self._entries) >= MAX_CONFIRMED:
            del self._entries[next(iter(self._entries))]
        until_ms = min(now_ms + CONFIRMED_MS, identity.expires_at_ms)
        self._entries[token] = _Entry(identity, until_ms)

    def revoke(self, session_id: UUID) -> None:
        """Forget the tokens of a session. Log-outs are rare, so all entries are looked through."""
        self._revocations += 1
        ended = [
            token
            for token, entry in self._entries.items()
            if entry.identity.session_id == session_id
        ]
        for token in ended:
            del self._entries[token]
