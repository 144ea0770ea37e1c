"""One connection to a Redis, in its protocol RESP3: what is said goes out, what comes is handed on.

A client library has a task or a future for each answer, which is what a bus cannot afford.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

# To connect, with TLS, and to be let in.
CONNECT_LIMIT_S: Final = 2.0
# Between two tries to connect: from nothing to speak of, doubling to a second.
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0

_DEFAULT_PORT: Final = 6379
# What the reader says when no answer is complete; RESP3 has False and None of its own.
_MORE: Final = object()


class Refused(Exception):  # noqa: N818 - named for what it is
    """Redis is there, and does not let us in; the message says why."""


class Address(NamedTuple):
    """Where a Redis is, and who we are to it."""

    host: str
    port: int
    path: str | None
    """Of its Unix socket, instead of host and port."""
    username: str
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """For people: without the password."""
        return self.path or f"{self.host}:{self.port}"


def address_of(url: str) -> Address:
    """Read an address as redis-py does: `redis://`, `rediss://` (with TLS) or `unix://`.

    Raises:
        ValueError: It is none of these.
    """
    # It knows more names than it declares.
    parts: Mapping[str, Any] = parse_url(url)
    tls = None
    if parts.get("connection_class") is SSLConnection:
        options = {name: value for name, value in parts.items() if name.startswith("ssl_")}
        tls = SSLConnection(**options).ssl_context.get()
    return Address(
        host=parts.get("host", "localhost"),
        port=parts.get("port", _DEFAULT_PORT),
        path=parts.get("path"),
        username=parts.get("username", "default"),
        password=parts.get("password"),
        tls=tls,
    )


def command(*words: bytes) -> bytes:
    """A command as it is sent."""
    said = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%b" % (len(words), said)


class Listener(Protocol):
    """Who is told what Redis says. Nothing here may raise."""

    def answered(self, answer: Any) -> None:
        """The answer to the oldest command that had none; a refusal is an exception."""

    def pushed(self, push: list[Any]) -> None:
        """A message of a channel, or a subscription that is in force."""

    def writable(self) -> None:
        """What was said has gone out, after a time in which it piled up."""


class RespConnection(asyncio.Protocol):
    """A connection that is open, and for which Redis has agreed to speak RESP3."""

    def __init__(self, listener: Listener) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with the reason."""
        self.heard = False
        """Whether anything came since somebody set this to False."""
        self.paused = False
        """Whether what is written piles up in this process."""
        self._listener = listener
        self._welcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_MORE)

    def write(self, said: bytes) -> None:
        """Send commands, unless the connection has ended."""
        if not self.lost.done():
            assert self._transport is not None
            self._transport.write(said)

    def close(self) -> None:
        """End it, once all that was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End it now."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    async def enter(self, address: Address, name: str) -> None:
        """Have Redis speak RESP3, and know us. Raises Refused or ConnectionError."""
        words = [b"HELLO", b"3"]
        if address.password is not None:
            words += [b"AUTH", address.username.encode(), address.password.encode()]
        self.write(command(*words, b"SETNAME", name.encode()))
        answer = await self._welcome
        if not isinstance(answer, Exception):
            return
        refusal = str(answer)
        # An old Redis quotes the whole command, with the password.
        if refusal.startswith(("ERR unknown command", "NOPROTO")):
            raise Refused("it does not speak RESP3: Redis 6 or newer is needed")
        raise Refused(refusal)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        # uvloop's transports are none of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand on all that is complete."""
        self.heard = True
        listener = self._listener
        try:
            self._reader.feed(data)
            while (said := self._reader.gets()) is not _MORE:
                if type(said) is hiredis.PushNotification:
                    listener.pushed(said)
                elif self._welcome.done():
                    listener.answered(said)
                else:
                    self._welcome.set_result(said)
        except hiredis.ProtocolError as error:
            self.abort(f"what it says is not RESP3: {error}")

    def pause_writing(self) -> None:
        """What is written piles up."""
        self.paused = True

    def resume_writing(self) -> None:
        """It has gone out."""
        self.paused = False
        self._listener.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._end("it has closed the connection" if exc is None else str(exc))

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self._welcome.done():
            self._welcome.set_exception(ConnectionResetError(reason))
            self._welcome.exception()  # seen, as nobody may be waiting for it


async def connect(address: Address, name: str, listener: Listener) -> RespConnection:
    """Open a connection. `name` is for people who look at Redis' list of clients.

    Raises:
        OSError: There is no Redis, or it went away (ConnectionError, TimeoutError).
        Refused: It does not let us in.
    """
    connection = RespConnection(listener)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            if address.path is not None:
                await loop.create_unix_connection(lambda: connection, address.path)
            else:
                await loop.create_connection(
                    lambda: connection, address.host, address.port, ssl=address.tls
                )
            await connection.enter(address, name)
    except TimeoutError:
        connection.abort("given up")
        raise TimeoutError(f"no answer within {CONNECT_LIMIT_S:.0f} s") from None
    except BaseException:
        connection.abort("given up")
        raise
    return connection


class Reconnector:
    """Keeps a connection up: makes it, and again after every loss, with a pause in between.

    `service` is what people lose with it. They are told in `log`, once for each outage, however
    often it is tried to end it. A connection that has lasted for `steady_s` seconds is no reason to
    wait with the next; after one that ended sooner the pauses grow.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        *,
        service: str,
        log: logging.Logger,
        steady_s: float,
    ) -> None:
        self._address = address
        self._name = name
        self._service = service
        self._log = log
        self._steady_s = steady_s
        self._closing = asyncio.Event()
        self._outage_logged = False

    @property
    def closing(self) -> bool:
        """Whether it was closed, so that no connection follows the one there is."""
        return self._closing.is_set()

    async def run(
        self, listener: Listener, hold: Callable[[RespConnection], Awaitable[str]]
    ) -> None:
        """Connect, and again after every loss, until `close` or until cancelled.

        `hold` is given each connection, has it as long as it is good, and returns why it is no
        more. What it raises ends that connection only.
        """
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while not self.closing:
            began_s = loop.time()
            self._log_outage(*await self._live(listener, hold))
            # One that ended at once may be one that ends at once every time.
            if loop.time() - began_s >= self._steady_s:
                pause_s = _FIRST_PAUSE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _live(
        self, listener: Listener, hold: Callable[[RespConnection], Awaitable[str]]
    ) -> tuple[str, Exception | None]:
        """One connection, from its start to its end. Why it ended, or why there is none.

        What nobody thought of ends one connection too, and is handed on with its reason.
        """
        try:
            connection = await connect(self._address, self._name, listener)
            try:
                return await hold(connection), None
            finally:
                connection.abort("given up")
        except (OSError, Refused) as error:
            return str(error), None
        except Exception as error:  # noqa: BLE001 - it is logged with its traceback
            return repr(error), error

    def _log_outage(self, reason: str, error: Exception | None) -> None:
        if not self._outage_logged and not self.closing:
            self._outage_logged = True
            self._log.warning(
                "no %s at %s for now: %s", self._service, self._address, reason, exc_info=error
            )

    def succeeded(self) -> None:
        """The connection does what it is for: if it is lost, that is another outage."""
        self._outage_logged = False

    def close(self) -> None:
        """Make no connection any more; `run` ends with the one there is."""
        self._closing.set()
