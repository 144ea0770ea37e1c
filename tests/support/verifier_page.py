"""The script of the page `/verify`, run by Node."""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import NodeClient

SCRIPT = Path(__file__).parents[1] / "documents" / "fairness.mjs"


class VerifierPage:
    """The page's own arithmetic, given many questions at once."""

    def __init__(self, node: NodeClient, folder: Path) -> None:
        self._node = node
        self._folder = folder

    async def ask(self, questions: list[dict[str, Any]]) -> list[Any]:
        """The answers to questions that fairness.mjs knows."""
        source = self._folder / "fairness.js"
        source.write_text((resources.files("server.documents") / "assets/fairness.js").read_text())
        file = self._folder / "questions.json"
        file.write_text(json.dumps(questions))
        answers: list[Any] = json.loads(await self._node.run(str(SCRIPT), str(source), str(file)))
        return answers

    async def paste(self, records: list[Any]) -> list[Any]:
        """For each record whether its checks passed, or what is wrong with it."""
        return await self.ask([{"ask": "pasted", "text": json.dumps(one)} for one in records])


def open_page(folder: Path) -> VerifierPage:
    """The page; the test is skipped where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("the verifier page: there is no node on the PATH")
    return VerifierPage(NodeClient(node), folder)
