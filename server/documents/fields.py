"""A type's fields as rows for people: name, type, bounds, and what it means."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from server.documents.schemas import Schema, referred

_FORMATS: Final = {"uuid": "UUID"}
# The largest integer that JavaScript is exact for, as people know it.
_SAFE_INTEGER: Final = 2**53 - 1


class Row(NamedTuple):
    """One field. A field of a field has a dotted name; `[]` stands for each item of a list."""

    name: str
    type: str
    bounds: str
    required: bool
    default: str | None
    meaning: str


class Catalogue(NamedTuple):
    """The types, and those that are shown elsewhere: by type, what they are called there."""

    schemas: Mapping[str, Schema]
    shown: Mapping[str, str]

    def rows(self, name: str) -> list[Row]:
        """The fields of a type, those of its parts included."""
        return list(self._rows(self.schemas[name], ""))

    def _rows(self, schema: Schema, prefix: str) -> Iterator[Row]:
        required = schema.get("required", ())
        for field, inner in schema["properties"].items():
            yield from self._field(prefix + field, inner, required=field in required)

    def _field(self, name: str, schema: Schema, *, required: bool) -> Iterator[Row]:
        core, nullable = _without_null(schema)
        part = self._resolve(core["items"] if core.get("type") == "array" else core)
        kind = self._type(core) + (", or null" if nullable else "")
        yield Row(
            name,
            kind,
            _bounds(core) or _bounds(part),
            required,
            _default(schema),
            schema.get("description") or core.get("description") or part.get("description", ""),
        )
        if "properties" in part and part["title"] not in self.shown:
            suffix = "[]." if core.get("type") == "array" else "."
            yield from self._rows(part, name + suffix)

    def _resolve(self, schema: Schema) -> Schema:
        name = referred(schema)
        return schema if name is None else self.schemas[name]

    def _type(self, schema: Schema) -> str:
        """In a word or two; a type that is shown elsewhere goes by its name there."""
        if "anyOf" in schema:
            return " or ".join(self._type(choice) for choice in schema["anyOf"])
        if schema.get("type") == "array":
            return f"list of {self._type(schema['items'])}"
        name = referred(schema)
        if name is not None and name in self.shown:
            return self.shown[name]
        found = self._resolve(schema)
        if "enum" in found:
            return " or ".join(f"`{value}`" for value in found["enum"])
        kind: str = found.get("type", "anything")
        return _FORMATS.get(found.get("format", ""), kind)


def _without_null(schema: Schema) -> tuple[Schema, bool]:
    """The schema of what is there, and whether null may stand for it."""
    choices = schema.get("anyOf", ())
    kinds = [choice for choice in choices if choice != {"type": "null"}]
    if len(kinds) == len(choices):
        return schema, False
    return (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}), True


def _default(schema: Schema) -> str | None:
    if "default" not in schema:
        return None
    default = schema["default"]
    return "null" if default is None else str(default)


def _bounds(schema: Schema) -> str:
    unit = {"string": " characters", "array": " items"}.get(schema.get("type", ""), "")
    least = _first(schema, "minimum", "minLength", "minItems")
    most = _first(schema, "maximum", "maxLength", "maxItems")
    if least is None and most is None:
        return ""
    if most is None:
        return f"at least {_number(least)}{unit}"
    if least is None:
        return f"at most {_number(most)}{unit}"
    return f"{_number(least)} to {_number(most)}{unit}"


def _first(schema: Schema, *keys: str) -> Any:
    return next((schema[key] for key in keys if key in schema), None)


def _number(value: int) -> str:
    return "2⁵³ - 1" if value == _SAFE_INTEGER else f"{value:,}"
