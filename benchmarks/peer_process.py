"""The servers of `benchmarks/peers`, each started in a process of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.interrupts import sigterm_interrupts
from benchmarks.peers.listening import HOST, LISTENING

PITBOSS: Final = "Pitboss"
PITBOSS_DECODING: Final = "Pitboss, decoding"
NODE: Final = "Node Socket.IO"
PYTHON_SOCKETIO: Final = "python-socketio"
BARE_AIOHTTP: Final = "bare aiohttp"
OURS: Final = (PITBOSS, PITBOSS_DECODING)
PEERS: Final = (*OURS, NODE, PYTHON_SOCKETIO, BARE_AIOHTTP)

_COMMANDS: Final = {
    PITBOSS: ("benchmarks.peers.pitboss",),
    PITBOSS_DECODING: ("benchmarks.peers.pitboss", "--decode"),
    PYTHON_SOCKETIO: ("benchmarks.peers.python_socketio",),
    BARE_AIOHTTP: ("benchmarks.peers.bare_aiohttp",),
}
_ROOT: Final = Path(__file__).parents[1]
_NODE_FOLDER: Final = Path(__file__).parent / "peers" / "node"
_START_LIMIT_S: Final = 30.0
# npm fetches two dozen small packages, once; a registry that is slower than this is down.
_INSTALL_LIMIT_S: Final = 300.0


class PeerError(Exception):
    """A server could not be installed or did not start."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that listens."""

    name: str
    url: str
    pid: int


@asynccontextmanager
async def peer(name: str, *arguments: str) -> AsyncIterator[Peer]:
    """Start one of PEERS, with arguments if it takes any, and end it afterwards.

    Raises:
        PeerError: It did not start.
    """
    if name == NODE:
        command = await node_command("echo.js")
    else:
        command = python_command(*_COMMANDS[name])
    async with started(name, *command, *arguments) as running:
        yield running


@asynccontextmanager
async def started(name: str, *command: str) -> AsyncIterator[Peer]:
    """Run a program that says where it listens, and end it afterwards.

    Raises:
        PeerError: It did not start.
    """
    with sigterm_interrupts():
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=PIPE)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(_START_LIMIT_S):
                line = (await process.stdout.readline()).decode()
            if not line.startswith(LISTENING):
                raise PeerError(f"{name} said {line!r} instead of where it listens")
            port = int(line.removeprefix(LISTENING))
            yield Peer(name, f"http://{HOST}:{port}", process.pid)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def available() -> tuple[str, ...]:
    """The servers that can be started here: all of them, but Node's only where Node is."""
    return tuple(name for name in PEERS if has_node() or name != NODE)


def has_node() -> bool:
    """Whether Node is here, and what installs its packages."""
    return shutil.which("node") is not None and shutil.which("npm") is not None


def python_command(*arguments: str) -> tuple[str, ...]:
    """The command that runs a module of Python with arguments."""
    return (sys.executable, "-m", *arguments)


async def node_command(script: str) -> tuple[str, ...]:
    """The command that runs a script of `peers/node`, whose packages are installed by then.

    Raises:
        PeerError: They cannot be installed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node is not None, "look whether there is one first"
    assert npm is not None, "look whether there is one first"
    lock = (_NODE_FOLDER / "package-lock.json").read_bytes()
    stamp = _NODE_FOLDER / "node_modules" / ".installed-lock.json"
    if not stamp.exists() or stamp.read_bytes() != lock:
        await install(npm, _NODE_FOLDER, _INSTALL_LIMIT_S)
        stamp.write_bytes(lock)
    return node, str(_NODE_FOLDER / script)


async def node_versions(*packages: str) -> dict[str, str]:
    """What Node, its Socket.IO and some more of its packages are, by name.

    Of bufferutil it says too whether its native code is what `ws` uses.
    """
    node, native = await node_command("native.js")
    versions = {"node": (await _said(node, "--version")).lstrip("v")}
    for name in ("socket.io", "bufferutil", *packages):
        package = _NODE_FOLDER / "node_modules" / name / "package.json"
        versions[name] = msgspec.json.decode(package.read_bytes())["version"]
    versions["bufferutil"] += f" {await _said(node, native)}"
    return versions


async def _said(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    said, _ = await process.communicate()
    return said.decode().strip()


async def install(npm: str, folder: Path, limit_s: float) -> None:
    """Have npm install what a folder's lock file names; npm is gone afterwards.

    Raises:
        PeerError: It failed, took longer than `limit_s`, or installed nothing.
    """
    process = await asyncio.create_subprocess_exec(
        *(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"),
        cwd=folder,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        # A group of its own: on many machines `npm` is a script whose child does the work.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit_s):
            _, errors = await process.communicate()
    except TimeoutError as error:
        raise PeerError(f"npm ci did not end within {limit_s:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip()
        raise PeerError(f"npm ci failed with exit code {process.returncode}: {said}")
    if not (folder / "node_modules").is_dir():
        raise PeerError("npm ci installed nothing, though its exit code was 0")


async def node_trouble() -> str:
    """Why Node's servers cannot be run here, in a sentence; empty if they can."""
    try:
        await node_command("native.js")
    except PeerError as error:
        return f"Node is left out: {error}."
    return ""
