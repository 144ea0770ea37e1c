"""The README's snippets, run as they stand against a server started as it says."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.player import playing
from tests.support.node import FOLDER, NodeClient
from tests.support.pitboss_process import PitbossProcess

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def snippet(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (block for block in blocks if containing in block)
    return found


async def run_python(server: PitbossProcess, folder: Path) -> str:
    script = folder / "bet.py"
    code = snippet("python", "dice:roll").replace("http://127.0.0.1:8080", server.url)
    script.write_text(code)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        server.token,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_python_snippet_places_a_bet_that_a_restart_keeps(
    server: PitbossProcess, tmp_path: Path
) -> None:
    output = await run_python(server, tmp_path)
    placed = re.findall(r"'bet_id': '(\d+-\d+)'", output)
    # Once in the answer, once in the history.
    assert len(placed) == 2
    assert placed[0] == placed[1]
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.to_thread(server.start)
    async with playing(server.url, server.token) as client:
        history = await client.call("bet:history", {"limit": 1})
    assert [bet["bet_id"] for bet in history["data"]["bets"]] == placed[:1]


@pytest.mark.javascript
async def test_the_javascript_snippet_places_a_bet(
    server: PitbossProcess, node_client: NodeClient
) -> None:
    script = FOLDER / "readme_bet.mjs"
    code = snippet("js", "dice:roll").replace("http://127.0.0.1:8080", server.url)
    script.write_text(code)
    try:
        output = await node_client.run(script.name, server.token)
    finally:
        script.unlink()
    placed = re.findall(r"bet_id: '(\d+-\d+)'", output)
    assert placed
    assert "success: true" in output


@pytest.mark.javascript
async def test_the_banner_snippet_places_a_bet(
    server: PitbossProcess, node_client: NodeClient
) -> None:
    start = server.log().index("    import { io }")
    end = server.log().index("\n{", start) if "\n{" in server.log()[start:] else None
    script = FOLDER / "banner_bet.mjs"
    script.write_text(server.log()[start:end])
    try:
        output = await node_client.run(script.name)
    finally:
        script.unlink()
    assert "success: true" in output
