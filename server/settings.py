"""What can be set, from the environment: `PITBOSS_<NAME>`, `DATABASE_URL` and `REDIS_URL`."""

import base64
import binascii
import difflib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from actors.crash.table import Table
from actors.limits import Limits
from protocol.bounds import DEFAULT_MAX_PAYLOAD_BYTES, MAX_MINOR
from protocol.money import CURRENCIES
from server.keyfile import kept_secret

PREFIX: Final = "PITBOSS_"
# RFC 7518, 3.2: an HS256 key must be at least as long as the hash.
_MIN_JWT_SECRET_BYTES: Final = 32
_SEED_KEY_BYTES: Final = 32
# 32 random bytes in base64 have some 24 different characters and never fewer than this; "change-me"
# and a repeated letter do.
_MIN_DIFFERENT_CHARS: Final = 12

_SECRETS: Final = ("jwt_secret", "seed_encryption_key")
# RFC 6454, 6.1, without a path. Wildcards are not supported, so that none must seem to be.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@*,]+")
_FOR_TRYING_OUT: Final = ("faucet_enabled", "demo_player")

# Of each instant game: stakes from about a cent to ten thousand dollars, profits to a hundred
# thousand; play credits count as dollars.
DEFAULT_LIMITS: Final = MappingProxyType(
    {
        "USD": Limits(1, 10_000_00, 100_000_00),
        "EUR": Limits(1, 10_000_00, 100_000_00),
        "GBP": Limits(1, 10_000_00, 100_000_00),
        "BTC": Limits(100, 10_000_000, 100_000_000),
        "ETH": Limits(1_000, 300_000_000, 3_000_000_000),
        "USDT": Limits(1_000_000, 1_000_000_000_000, 10_000_000_000_000),
        "PLAY": Limits(1, 10_000_00, 100_000_00),
    }
)


class SettingsError(Exception):
    """The environment does not make a configuration; each line of the message names a variable."""


def _limits(value: object) -> Mapping[str, Limits]:
    """The default limits, with those of the currencies in `value` in place of theirs."""
    try:
        given = msgspec.convert(value, dict[str, Limits])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    for code, table in given.items():
        if code not in CURRENCIES:
            raise ValueError(f"{code} is not a currency; there are {', '.join(CURRENCIES)}")
        if not 1 <= table.least_stake_minor <= table.most_stake_minor <= MAX_MINOR:
            raise ValueError(f"{code}: the least stake must be from 1 to the most stake")
        if not 1 <= table.most_profit_minor <= MAX_MINOR:
            raise ValueError(f"{code}: the most profit must be from 1 to {MAX_MINOR}")
    return MappingProxyType({**DEFAULT_LIMITS, **given})


GameLimits = Annotated[
    Mapping[str, Limits], BeforeValidator(_limits), WithJsonSchema({"type": "object"})
]


# A table for trying out, and one for each kind of money. A bankroll is what the house can lose.
DEFAULT_CRASH_TABLES: Final = (
    Table(1, "Play", "PLAY", 1_00, 1_000_00, 1_000_000_00),
    Table(2, "Dollars", "USD", 10, 1_000_00, 1_000_000_00),
    Table(3, "Bitcoin", "BTC", 100, 1_000_000, 1_000_000_000),
)
# Each is an actor with its own rounds and its own chain of hashes.
_MAX_CRASH_TABLES: Final = 64


def _crash_tables(value: object) -> list[Table]:
    """The tables in `value`, which an environment variable holds as JSON."""
    try:
        tables = (
            msgspec.json.decode(value, type=list[Table])
            if isinstance(value, str)
            else msgspec.convert(value, list[Table])
        )
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    problems = [problem for table in tables for problem in table.problems()]
    numbers = [table.number for table in tables]
    if len(set(numbers)) < len(numbers):
        problems.append("two tables have the same number")
    if len(tables) > _MAX_CRASH_TABLES:
        problems.append(f"there are {len(tables)} tables, {_MAX_CRASH_TABLES} at most")
    if problems:
        raise ValueError("; ".join(problems))
    return tables


CrashTables = Annotated[
    list[Table],
    NoDecode,
    BeforeValidator(_crash_tables),
    WithJsonSchema({"type": "array", "items": {"type": "object"}}),
]


def _listed(value: object) -> object:
    """The items of a list, which an environment variable holds as JSON or separated by commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        return msgspec.json.decode(value, type=list[str])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def _network(text: object) -> IPv4Network | IPv6Network:
    """A network such as 10.0.0.0/8; an address is a network of one."""
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise ValueError(
            f"{text} is not an IP address, nor a network such as 10.0.0.0/8"
        ) from error


def _origin(text: str) -> str:
    """An origin, as browsers write it: scheme, host, and a port that is not the scheme's own."""
    if _ORIGIN.fullmatch(text) is None:
        raise ValueError(f"{text} is not an origin such as https://floor.example")
    return text.lower()


# pydantic-settings would take nothing but JSON for a list.
Networks = Annotated[
    frozenset[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]],
    NoDecode,
    BeforeValidator(_listed),
]
Origins = Annotated[
    frozenset[Annotated[str, AfterValidator(_origin)]], NoDecode, BeforeValidator(_listed)
]


def _limits_of(what: str) -> Any:
    """A setting of an instant game's limits."""
    return Field(
        default_factory=lambda: dict(DEFAULT_LIMITS),
        description=f"Least and most stake and most profit of {what}, in minor units, as JSON by"
        " currency; currencies that are not named keep their defaults.",
    )


class Settings(BaseSettings):
    """Typed settings of one node. They never change while it runs.

    In development, secrets that are not set are made once and kept in `data_dir`, so that tokens
    and sealed seeds survive a restart. In production they must be set.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        validate_by_name=True,
        frozen=True,
        arbitrary_types_allowed=True,
    )

    env: Literal["development", "production", "test"] = Field(
        "development",
        description="`production` refuses to start without secrets of its own, and turns off what"
        " is only for trying out.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` is all of IPv4.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        Path("data"), description="Folder of the embedded PostgreSQL and of generated secrets."
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL to use instead of the embedded one. Connect directly, not through"
        " a transaction pooler: the owner of a shard holds a lock on its very connection.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="REDIS_URL",
        pattern="^(redis|rediss|unix)://",
        description="The Redis, 6 or newer, that several nodes on one database meet over. Without"
        " it a node is alone: a second one on its database stands by.",
    )
    cluster_name: str = Field(
        "pitboss",
        pattern="^[a-z0-9-]{1,32}$",
        description="Nodes of one name that share a Redis are one cluster; it begins the names of"
        " all that they keep there.",
    )
    node_name: str | None = Field(
        None,
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="What operators know this node by. Unless set, its host and process id.",
    )
    cluster_host: str = Field(
        "127.0.0.1",
        description="Address where other nodes reach this one, for sessions that come to the wrong"
        " node; on several machines, one of their private network. With `0.0.0.0` or `::` the node"
        " listens everywhere, and names the address from which it reaches Redis; its host name if"
        " Redis is on this machine, which others then have to resolve.",
    )
    cluster_port: int = Field(
        0, ge=0, le=65_535, description="Port for the same; 0 takes a free one."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        description="Signs access tokens: at least 32 random bytes as text. Changing it logs"
        " everybody out within 15 minutes.",
    )
    seed_encryption_key: SecretStr | None = Field(
        None,
        description="Seals unrevealed server seeds (AES-256-GCM): 32 random bytes in base64."
        " Losing it loses the active seeds and the hashes of crash rounds to come.",
    )
    seed_encryption_key_previous: SecretStr | None = Field(
        None,
        description="The key before this one, while it is being changed: what it sealed opens too."
        " Once `pitboss seeds reseal` has sealed everything anew it is not needed any more.",
    )
    guest_accounts: bool = Field(
        True, description="Lets people play without registering. Off in production unless set."
    )
    faucet_enabled: bool = Field(
        True, description="Lets players give themselves play money. Production refuses it."
    )
    demo_player: bool = Field(
        True, description="Creates a demo player and shows its token. Production refuses it."
    )
    journal_lanes: int = Field(
        2, ge=1, le=16, description="Connections that write facts; each owns a part of the shards."
    )
    shards: int = Field(
        64,
        ge=1,
        le=4_096,
        description="Parts that actors are hashed into, the same number on every node.",
    )
    commit_timeout_seconds: float = Field(
        1.5,
        ge=0.1,
        le=60,
        description="How long a batch may take before its callers get a temporary error.",
    )
    max_live_actors: int = Field(
        20_000,
        ge=100,
        le=10_000_000,
        description="Actors in memory at a time, at 2 to 100 kB each; above it, commands for others"
        " are `overloaded`.",
    )
    passivate_after_seconds: float = Field(
        60, ge=0.1, le=86_400, description="Idle actors are put away after this time."
    )
    bets_per_second: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Bets that one player may place in a second. Each node counts for itself.",
    )
    commands_per_second: int = Field(
        50,
        ge=1,
        le=100_000,
        description="Other commands of one player in a second. Each node counts for itself.",
    )
    sign_ins_per_minute: int = Field(
        20,
        ge=1,
        le=100_000,
        description="Registrations, log-ins and refreshes from one address in a minute. Each node"
        " counts for itself: of N nodes behind a balancer, N times as many passwords may be tried.",
    )
    max_connections: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="Sessions on this node, and as many network connections that carry HTTP or have"
        " asked for nothing yet; more are told `overloaded`. Each is an open file for the system.",
    )
    max_connections_per_ip: int = Field(
        200,
        ge=1,
        le=1_000_000,
        description="Sessions from one address on this node; more are told"
        " `too_many_connections`. Its HTTP connections are limited too, to twice this number and"
        " six.",
    )
    max_connections_per_user: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="Connections of one player to this node: devices, tabs, and those that a bad"
        " network left behind. One more is told `too_many_user_connections`.",
    )
    handshakes_per_second: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="Sessions opened on this node in a second. After an outage everybody comes back"
        " at once: more than this wait their turn, so that bets go on meanwhile, and who would wait"
        " for longer than 15 seconds is told `overloaded`.",
    )
    connect_timeout_milliseconds: int = Field(
        10_000,
        ge=100,
        le=600_000,
        description="Time a client has to show a valid token after its handshake. Longer:"
        " `connect_timeout`.",
    )
    request_timeout_milliseconds: int = Field(
        10_000,
        ge=100,
        le=600_000,
        description="Time a new connection has to send the head of its first request. Longer:"
        " `request_timeout`.",
    )
    unread_timeout_milliseconds: int = Field(
        60_000,
        ge=100,
        le=600_000,
        description="How long an answer over HTTP may find its reader's buffers full; 64 kB at"
        " 10 kbit/s take 52 s. Longer: its connection is cut.",
    )
    max_packets_per_second: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Packets from one connection in a second, refused ones and heartbeats included;"
        " a large one counts once more for each kB. More is `flooding`. Unless set, ten times what"
        " the rates of bets and commands allow a player, which is far from any honest client.",
    )
    max_packets_per_second_per_ip: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Packets from all connections of one address to this node in a second, so that"
        " many sockets together cannot take what one may not; those that send past it end with"
        " `address_flooding`. A request over HTTP counts as two and a new session as twenty; past"
        " it they are told `rate_limited`. Unless set, four times the bound of one connection.",
    )
    max_outbound_bytes: int = Field(
        1_048_576,
        ge=10_000,
        le=1_000_000_000,
        description="What waits for a client that reads slowly; more is `slow_consumer`. It bounds"
        " memory: a thousand stuck clients hold a thousand times this.",
    )
    max_outbound_packets: int = Field(
        4_096,
        ge=16,
        le=10_000_000,
        description="The same in packets, as each costs memory however small it is.",
    )
    trusted_proxies: Networks = Field(
        frozenset(),
        description="Addresses and networks of proxies in front of this node, such as"
        " `10.0.0.0/8`. The client's address is then the last one in X-Forwarded-For that is not"
        " one of these; limits for each address would otherwise count all clients behind a proxy as"
        " one. An IPv6 client counts as its /64 network.",
    )
    allowed_origins: Origins | None = Field(
        None,
        description="Origins of the web pages that may open sockets and call the API here, such as"
        " `https://floor.example`; for this node's own pages, name its origin too. Unless set,"
        " those of any origin may, which is safe as no cookie counts here. Programs, which have no"
        " origin, always may.",
    )
    max_payload_bytes: int = Field(
        DEFAULT_MAX_PAYLOAD_BYTES,
        ge=10_000,
        le=100_000_000,
        description="Largest message from a client; a larger one closes its connection.",
    )
    websocket_compression: bool = Field(
        False,
        description="Compresses the larger messages of WebSockets whose clients offer it"
        " (permessage-deflate). Such connections cost several times the processor time and memory"
        " of others; it pays only where traffic is dearer than both.",
    )
    ping_interval_milliseconds: int = Field(
        25_000, ge=100, le=3_600_000, description="Time between heartbeats."
    )
    ping_timeout_milliseconds: int = Field(
        20_000, ge=100, le=3_600_000, description="Time a client has to answer a heartbeat."
    )
    dice_limits: GameLimits = _limits_of("a dice bet")
    limbo_limits: GameLimits = _limits_of("a bet on limbo")
    plinko_limits: GameLimits = _limits_of("a plinko ball")
    mines_limits: GameLimits = _limits_of("a game of mines")
    crash_tables: CrashTables = Field(
        default_factory=lambda: list(DEFAULT_CRASH_TABLES),
        description="The crash tables, as a JSON list: number, name, currency, least_stake,"
        " most_stake and bankroll in minor units; what a bet and a round may win as shares of the"
        " bankroll (bet_share_percent 1, round_share_percent 5), edge_percent 3, most_multiplier in"
        " hundredths, betting_ms, pause_ms, tick_ms and max_bets. `[]` is no table.",
    )
    recovery_seconds: float = Field(
        120,
        ge=0,
        le=3_600,
        description="How long a client that asked for it (`auth: {recover: true}`) may be away and"
        " still come back to its rooms and to what it missed; 0 awaits nobody.",
    )
    drain_seconds: float = Field(
        10, ge=0, le=300, description="Time a node takes at most for each step of its shutdown."
    )
    reconnect_after_milliseconds: int = Field(
        1_000,
        ge=0,
        le=60_000,
        description="Clients of a node that shuts down come back within this time, spread over it.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe messages that are logged."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="`json` is one object a line; `text` is for people."
    )

    @model_validator(mode="before")
    @classmethod
    def _trying_out_is_off_in_production(cls, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("env") == "production":
            off = {"guest_accounts": False, "faucet_enabled": False, "demo_player": False}
            return off | given
        return given

    @model_validator(mode="after")
    def _secrets_are_sound(self) -> Self:
        problems = [
            *_secret_problems("jwt_secret", self.jwt_secret, _jwt_secret_problem),
            *_secret_problems("seed_encryption_key", self.seed_encryption_key, _seed_key_problem),
            *_secret_problems(
                "seed_encryption_key_previous", self.seed_encryption_key_previous, _seed_key_problem
            ),
            *(self._production_problems() if self.env == "production" else []),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _production_problems(self) -> list[str]:
        missing = [name for name in _SECRETS if getattr(self, name) is None]
        allowed = [name for name in _FOR_TRYING_OUT if getattr(self, name)]
        return [
            *(f"{variable(name)} must be set in production" for name in missing),
            *(f"{variable(name)} must be off in production" for name in allowed),
        ]

    def jwt_secret_value(self) -> str:
        """The secret that signs access tokens, made and kept in `data_dir` if none is set."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        return kept_secret(self.data_dir / "jwt_secret", _new_secret)

    def seed_key(self) -> bytes:
        """The key that seals server seeds, made and kept in `data_dir` if none is set."""
        if self.seed_encryption_key is not None:
            return base64.b64decode(self.seed_encryption_key.get_secret_value())
        return base64.b64decode(kept_secret(self.data_dir / "seed_encryption_key", _new_secret))

    def previous_seed_key(self) -> bytes | None:
        """The key before, of which something may still be sealed."""
        if self.seed_encryption_key_previous is None:
            return None
        return base64.b64decode(self.seed_encryption_key_previous.get_secret_value())


def variable(name: str) -> str:
    """The environment variable that a setting is read from."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{name.upper()}"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: A variable is unknown or its value is unsound; secrets are never repeated.
    """
    known = {variable(name) for name in Settings.model_fields}
    problems = [
        _unknown(name, known)
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_problems(error))) from None
    except PydanticSettingsError as error:
        raise SettingsError(str(error)) from None


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} is not a setting" + (f"; {near[0]} is" if near else "")


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors(include_input=False, include_url=False):
        message = one["msg"].removeprefix("Value error, ")
        field = str(one["loc"][0]) if one["loc"] else ""
        name = variable(field) if field in Settings.model_fields else field
        lines.append(f"{name}: {message}" if name else message)
    return lines


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(_SEED_KEY_BYTES)).decode()


def _secret_problems(
    name: str, value: SecretStr | None, problem: Callable[[str], str | None]
) -> list[str]:
    if value is None:
        return []
    text = value.get_secret_value()
    found = problem(text)
    if found is None and len(set(text)) < _MIN_DIFFERENT_CHARS:
        found = "is a placeholder, not a random secret"
    return [f"{variable(name)} {found}"] if found else []


def _jwt_secret_problem(text: str) -> str | None:
    if len(text.encode()) < _MIN_JWT_SECRET_BYTES:
        return f"must have at least {_MIN_JWT_SECRET_BYTES} bytes"
    return None


def _seed_key_problem(text: str) -> str | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "is not base64"
    return None if len(key) == _SEED_KEY_BYTES else f"must be {_SEED_KEY_BYTES} bytes in base64"
