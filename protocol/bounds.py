"""Every bound of the wire, each with its reason and what happens when it is reached."""

from typing import Final

# Money travels as JSON numbers, and JavaScript is exact only up to here. Larger: `malformed`.
MAX_MINOR: Final = 2**53 - 1

# Long enough for any phrase a player likes, short enough to be typed again. Longer: `malformed`.
MAX_CLIENT_SEED_CHARS: Final = 64

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

# What lists of connections and rooms are filtered by. Room names are a word and a number or two;
# an address is the longest of IPv6 with its /64 at most. Longer: `malformed`.
MAX_ROOM_CHARS: Final = 128
MAX_ADDRESS_CHARS: Final = 64
# Rooms named for each socket in a list of connections, the first by name; a count tells of more. A
# player is in a few, and a page of sockets in hundreds each would be megabytes.
MAX_ROOMS_SHOWN: Final = 16

# How many connections or rooms one call of a filtered list looks at. A look costs one or two
# microseconds, so a call costs 10 ms at most, in slices. More: the answer says where to go on.
MAX_LOOKS_PER_PAGE: Final = 5_000

# Request ids a wallet keeps in memory: several minutes of fast play. Older duplicates are caught by
# the unique index instead.
MAX_RECENT_REQUESTS: Final = 1_024

# Commands that wait for an actor while it is read from storage, and those of one caller that wait
# behind one which is still being prepared. More: `overloaded`.
MAX_INBOX: Final = 256

# One Engine.IO packet, payload or attachment from a client. A full batch of bets is 30 kB; four
# times that leaves room without letting one message hold the loop. Larger: `too_large`, closed.
DEFAULT_MAX_PAYLOAD_BYTES: Final = 131_072
# Packets in one long-polling body: ten seconds of the fastest play that rate limits allow. The body
# itself is bounded by bytes; this bounds the objects made of it. More: `too_many_packets`, closed.
MAX_PACKETS_PER_PAYLOAD: Final = 1_000
# Packets in one answer to a poll: python-socketio's client refuses more. The rest waits for the
# next poll, which comes at once.
MAX_PACKETS_PER_POLL: Final = 16
# The name is looked up in a catalogue of short names. Longer: `malformed_packet`, closed.
MAX_EVENT_NAME_CHARS: Final = 64
# A command takes one argument; the rest is for other users of the layer. More: `malformed_packet`.
MAX_EVENT_ARGS: Final = 8
MAX_NAMESPACE_CHARS: Final = 64
# Ack ids count up from 0; JavaScript counts exactly to 16 digits. More: `malformed_packet`.
MAX_ACK_ID_DIGITS: Final = 15
# As many as the reference parser takes. More: `too_many_attachments`, closed.
MAX_ATTACHMENTS: Final = 10
# Only a packet with attachments, or in msgpack, is walked by Python code; nobody nests deeper by
# hand. For others the decoder's own recursion guard is the bound. Deeper: `too_deep`, closed.
MAX_ATTACHMENT_DEPTH: Final = 32
# Lists and objects in such a packet, for the same walk. A full batch of bets has a few hundred, and
# ten times that are walked in a millisecond. More: `too_many_containers`, closed.
MAX_CONTAINERS: Final = 4_096
# The handshake's auth comes before anyone is known: a token and a few flags. Larger: `too_large`.
MAX_CONNECT_BYTES: Final = 8_192
# The head of a connection's first request. Cookies and tokens fit; picows' own bound is the same.
# Longer: the HTTP parser refuses it.
MAX_FIRST_REQUEST_BYTES: Final = 16_384
