"""The page of settings, docs/configuration.md, written from the settings themselves."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from server.settings import Settings, variable

PAGE: Final = Path(__file__).parents[1] / "docs" / "configuration.md"

_HEAD: Final = """\
# Configuration

Everything is set by environment variables. An empty variable counts as not set; one that begins
with `PITBOSS_` and is not listed here is refused, and so is a value out of its range. This page is
written from `server/settings.py` by `make docs`.
"""
_WIDTH: Final = 100


def page() -> str:
    """The whole page, as it should stand in docs/."""
    schemas = Settings.model_json_schema(by_alias=False)["properties"]
    sections = [_section(name, schema) for name, schema in schemas.items()]
    return "\n".join([_HEAD, *sections])


def _section(name: str, schema: dict[str, Any]) -> str:
    meaning = textwrap.fill(str(Settings.model_fields[name].description), _WIDTH)
    return f"## {variable(name)}\n\n{meaning}\n\n{_values(schema)}; {_default(name)}"


def _values(schema: dict[str, Any]) -> str:
    alternatives = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    one = alternatives[0]
    if "enum" in one:
        return "One of " + ", ".join(f"`{value}`" for value in one["enum"])
    if one.get("items", {}).get("type") == "object":
        return "A list, as JSON"
    words = {
        "integer": "A whole number",
        "number": "A number",
        "boolean": "`true` or `false`",
        "object": "JSON",
        "array": "A list, separated by commas or as JSON",
    }.get(one["type"], "Text")
    least, most = one.get("minimum"), one.get("maximum")
    if least is not None and most is not None:
        return f"{words} from {least} to {most}"
    return f"{words} from {least}" if least is not None else words


def _default(name: str) -> str:
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if default is None or default == frozenset():
        return "not set by default.\n"
    if isinstance(default, Mapping | list):
        plain = dict(default) if isinstance(default, Mapping) else default
        shown = json.dumps(msgspec.to_builtins(plain), indent=2)
        return f"by default:\n\n```json\n{shown}\n```\n"
    text = json.dumps(default) if isinstance(default, bool) else str(default)
    return f"`{text}` by default.\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
