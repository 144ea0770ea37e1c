"""`/docs`: one page that tells a person how to connect and what there is to say."""

from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from protocol.bounds import DEFAULT_MAX_PAYLOAD_BYTES
from protocol.catalogue import (
    ANYONE,
    API_PREFIX,
    COMMANDS,
    EVENTS,
    EVERYONE,
    Entry,
    EventEntry,
    Rate,
)
from protocol.disconnects import REASONS
from protocol.errors import ERRORS, ErrorKind
from protocol.money import CURRENCIES, display
from server.documents import budgets, examples, refusals, schemas, snippets
from server.documents.families import families
from server.documents.fields import Catalogue, Row
from server.documents.groups import grouped
from server.documents.site import HtmlPage, render


class CommandView(NamedTuple):
    """One command as the page shows it. `same_as` is a command that answers the same."""

    name: str
    summary: str
    roles: str
    budget: str
    method: str
    path: str
    socket: bool
    request: list[Row]
    request_example: str
    answer_summary: str
    answer: list[Row]
    answer_example: str
    same_as: str | None
    errors: tuple[ErrorKind, ...]


class EventView(NamedTuple):
    """One event as the page shows it."""

    name: str
    summary: str
    rooms: str
    fields: list[Row]
    example: str


class GroupView(NamedTuple):
    """Commands of one subject."""

    name: str
    summary: str
    commands: list[CommandView]


def build(rates: budgets.Rates) -> HtmlPage:
    """The page, for a node with these budgets."""
    viewer = _Viewer(rates)
    return render(
        "reference.html",
        style=("page.css", "reference.css"),
        script=("reference.js",),
        groups=[
            GroupView(group.name, group.summary, [viewer.command(it) for it in group.commands])
            for group in grouped()
        ],
        events=[viewer.event(event) for event in EVENTS.values()],
        families=families(),
        connecting=refusals.CONNECTING,
        unrouted=refusals.UNROUTED,
        reasons=list(REASONS.values()),
        currencies=[(it, display(125, it.code)) for it in CURRENCIES.values()],
        budgets=[(rate.value, budgets.sentence(rate, rates)) for rate in Rate],
        snippets=snippets,
        api_prefix=API_PREFIX,
        max_payload_bytes=DEFAULT_MAX_PAYLOAD_BYTES,
        success=_pretty(examples.answer(COMMANDS["seed:get"])),
        refusal=_pretty(examples.refusal(ERRORS["insufficient_balance"])),
    )


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


class _Viewer:
    """Turns entries of the catalogue into what the template shows."""

    def __init__(self, rates: budgets.Rates) -> None:
        self._rates = rates
        self._schemas = schemas.components()
        self._requests = {it.request.__name__: f"`{it.name}`" for it in COMMANDS.values()}
        # Of commands that answer alike, the first shows the fields.
        self._answers: dict[str, str] = {}
        for entry in COMMANDS.values():
            self._answers.setdefault(entry.answer.__name__, entry.name)

    def command(self, entry: Entry) -> CommandView:
        """All that the page says of a command."""
        kinds = chain(
            refusals.over_socket(entry) if entry.socket else (),
            refusals.over_http(entry) if entry.route else (),
        )
        first = self._answers[entry.answer.__name__]
        return CommandView(
            name=entry.name,
            summary=schemas.documentation(entry.request),
            roles=_who(entry),
            budget=entry.rate.value,
            method=entry.route.method if entry.route else "",
            path=API_PREFIX + entry.route.path if entry.route else "",
            socket=entry.socket,
            request=self._rows(entry.request.__name__),
            request_example=_sent(entry),
            answer_summary=schemas.documentation(entry.answer),
            answer=self._rows(entry.answer.__name__) if first == entry.name else [],
            answer_example=_pretty(examples.data(entry)),
            same_as=None if first == entry.name else first,
            errors=tuple(sorted(set(kinds), key=lambda kind: kind.number)),
        )

    def event(self, event: EventEntry) -> EventView:
        """All that the page says of an event."""
        return EventView(
            name=event.name,
            summary=schemas.documentation(event.data),
            rooms=event.rooms,
            fields=self._rows(event.data.__name__),
            example=_pretty(examples.event(event)),
        )

    def _rows(self, name: str) -> list[Row]:
        answers = {kind: f"what `{command}` answers" for kind, command in self._answers.items()}
        shown = {**self._requests, **answers}
        shown.pop(name, None)
        return Catalogue(self._schemas, shown).rows(name)


def _who(entry: Entry) -> str:
    if entry.roles == ANYONE:
        return "anyone, without a token"
    if entry.roles == EVERYONE:
        return "every account"
    return ", ".join(sorted(role.value for role in entry.roles))


def _sent(entry: Entry) -> str:
    """An example of what a client sends: over a socket, or else over HTTP."""
    sample = examples.request(entry)
    if entry.socket:
        argument = f", {_pretty(sample)}" if sample else ""
        return f'emit("{entry.name}"{argument}, acknowledge)'
    assert entry.route is not None
    method, path = entry.route.method, API_PREFIX + entry.route.path
    if method == "GET":
        return f"{method} {path}?{urlencode(sample)}"
    return f"{method} {path}\n\n{_pretty(sample)}" if sample else f"{method} {path}"
