"""The official JavaScript client, run by Node from `tests/javascript`."""

import asyncio
import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "javascript"
# npm fetches a dozen small packages, once; a registry that is slower than this is down.
_INSTALL_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class NodeClient:
    """Runs scripts of `tests/javascript`, where `socket.io-client` can be imported."""

    node: str

    async def run(self, script: str, *arguments: str, limit_s: float = 60) -> str:
        """Run a script to its end and return what it wrote to its standard output.

        Raises:
            AssertionError: It failed; the message has its standard error.
            TimeoutError: It took longer than `limit_s` and was killed.
        """
        process = await asyncio.create_subprocess_exec(
            self.node,
            script,
            *arguments,
            cwd=FOLDER,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(limit_s):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{script} ended with {process.returncode}: {errors!r}"
        return output.decode()


def missing_program() -> str | None:
    """Name the program that the JavaScript tests lack on this machine, if one is missing."""
    return next((name for name in ("node", "npm") if shutil.which(name) is None), None)


def install() -> NodeClient:
    """Install the packages of the lock file, unless they are there, and return the client."""
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node is not None, "call missing_program() first"
    assert npm is not None, "call missing_program() first"
    lock = (FOLDER / "package-lock.json").read_bytes()
    modules = FOLDER / "node_modules"
    stamp = modules / ".installed-lock.json"
    with (FOLDER / "package.json").open("rb") as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX)  # two test runs may begin at the same time
        if not stamp.exists() or stamp.read_bytes() != lock:
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=FOLDER,
                check=False,
                capture_output=True,
                text=True,
                timeout=_INSTALL_LIMIT_S,
            )
            assert done.returncode == 0, f"npm ci failed: {done.stderr}"
            stamp.write_bytes(lock)
    return NodeClient(node)
