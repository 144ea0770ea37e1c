"""Every bound of the wire, each with its reason and what happens when it is reached."""

from typing import Final

# Money travels as JSON numbers, and JavaScript is exact only up to here. Larger: `malformed`.
MAX_MINOR: Final = 2**53 - 1

# A person's free text (client seeds, notes). Long enough for any of them, short enough to be
# repeated in every row that quotes it. Longer: `malformed`.
MAX_CLIENT_SEED_CHARS: Final = 64
MAX_NOTE_CHARS: Final = 200

# RFC 5321 limits an address to 254 characters. Longer: `malformed`.
MAX_EMAIL_CHARS: Final = 254
MIN_USERNAME_CHARS: Final = 3
MAX_USERNAME_CHARS: Final = 24
# The hasher reads all of a password, so its length bounds the work of a log-in.
MIN_PASSWORD_CHARS: Final = 8
MAX_PASSWORD_CHARS: Final = 128
# A token of ours is about 250 characters; ten times that leaves room for more claims.
MAX_TOKEN_CHARS: Final = 2_500

# One message may carry this many bets: at 300 bytes each they fit in a third of a default payload.
MAX_BETS_PER_BATCH: Final = 100

# A page of a list. A screen shows 50; an export asks often rather than large. More: `malformed`.
MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50

# Request ids a wallet keeps in memory: several minutes of fast play. Older duplicates are caught by
# the unique index instead.
MAX_RECENT_REQUESTS: Final = 1_024

# Commands that wait for an actor while it is read from storage. More: `overloaded`.
MAX_INBOX: Final = 256
