"""The page of limits names settings, errors and reasons that exist."""

import re
from pathlib import Path

from protocol.disconnects import REASONS
from protocol.errors import ERRORS
from server.settings import Settings, variable

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()


def test_the_settings_errors_and_reasons_it_names_exist() -> None:
    variables = {variable(name) for name in Settings.model_fields}
    settings = set(re.findall(r"`([A-Z_]{6,})`", PAGE))
    assert len(settings) > 10
    assert {f"PITBOSS_{name}" for name in settings} <= variables
    for kind, known in (("errors?", ERRORS), ("disconnects?", REASONS)):
        named = {
            name
            for group in re.findall(rf"{kind} ((?:`[a-z_]+`(?:, )?)+)", PAGE)
            for name in re.findall(r"`([a-z_]+)`", group)
        }
        assert len(named) > 4
        assert named <= known.keys()
