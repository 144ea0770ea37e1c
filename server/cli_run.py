"""How every command runs: its settings, its event loop, and errors as one sentence."""

import errno
import socket
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import asyncpg
import click
import uvloop

from actors.runtime.ports import Unreachable
from protocol.errors import STORAGE_UNAVAILABLE, Failure
from server.settings import Settings, SettingsError, load_settings
from storage.chains import ChainError
from storage.cluster import WrongClusterError, WrongShardsError
from storage.embedded import EmbeddedPostgresError
from storage.migrate import MigrationError
from storage.redis_server import EmbeddedRedisError
from storage.registry import WrongSecretError
from storage.vault import WrongKeyError

_Result = TypeVar("_Result")

# What the world may do to a command. Everything else is a mistake of ours, whose traceback helps.
_EXPECTED: Final = (
    Failure,
    EmbeddedPostgresError,
    EmbeddedRedisError,
    MigrationError,
    ChainError,
    WrongKeyError,
    WrongClusterError,
    WrongSecretError,
    WrongShardsError,
    Unreachable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
_UNREACHABLE: Final = "PostgreSQL does not answer: is it running where DATABASE_URL says?"


def settings_or_exit() -> Settings:
    """The settings of the environment; what is wrong with them ends the command."""
    try:
        return load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a command to its end. What goes wrong in the world ends it with one sentence."""
    try:
        return uvloop.run(work)
    except _EXPECTED as error:
        raise click.ClickException(_sentence(error)) from error


def _sentence(error: BaseException) -> str:
    match error:
        case Failure(kind=kind) if kind is STORAGE_UNAVAILABLE:
            return _UNREACHABLE
        case Failure():
            details = ", ".join(f"{name}: {value}" for name, value in error.details.items())
            return f"{error.kind.message} ({details})" if details else error.kind.message
        case asyncpg.UndefinedTableError():
            return "The database has no tables yet: run `pitboss migrate`."
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return f"PostgreSQL: {error}"
        case OSError(errno=errno.EADDRINUSE):
            return "The address is in use: is Pitboss running already? PITBOSS_PORT sets the port."
        case TimeoutError() | ConnectionError() | socket.gaierror():
            return f"{_UNREACHABLE} ({error.strerror})" if error.strerror else _UNREACHABLE
        case _:
            return str(error) or repr(error)
