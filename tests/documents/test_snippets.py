"""The reference page's snippets, run as they stand against a real server."""

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from server.documents import snippets
from tests.support.node import FOLDER, NodeClient
from tests.support.pitboss_process import PitbossProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PitbossProcess]:
    process = PitbossProcess(tmp_path_factory.mktemp("snippets"))
    process.start()
    try:
        yield process
    finally:
        process.stop()


async def run(*command: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment or None,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on the PATH")
async def test_the_shell_snippets_register_and_ask(server: PitbossProcess) -> None:
    register = snippets.SHELL.replace(snippets.ADDRESS, server.url)
    answer = msgspec.json.decode(await run("sh", "-c", register))
    assert answer["success"], answer
    ask = snippets.REQUEST.replace(snippets.ADDRESS, server.url)
    token = answer["data"]["access_token"]
    answer = msgspec.json.decode(await run("sh", "-c", ask, TOKEN=token))
    assert answer["data"] == {"bets": [], "next_before": None}


async def test_the_python_snippet_places_a_bet(server: PitbossProcess, tmp_path: Path) -> None:
    script = tmp_path / "bet.py"
    script.write_text(snippets.PYTHON.replace(snippets.ADDRESS, server.url))
    assert re.search(r"'bet_id': '\d+-\d+'", await run(sys.executable, str(script), server.token))


@pytest.mark.javascript
async def test_the_javascript_snippet_places_a_bet(
    server: PitbossProcess, node_client: NodeClient
) -> None:
    script = FOLDER / "reference_bet.mjs"
    script.write_text(snippets.JAVASCRIPT.replace(snippets.ADDRESS, server.url))
    try:
        output = await node_client.run(script.name, server.token)
    finally:
        script.unlink()
    assert re.search(r"bet_id: '\d+-\d+'", output)
