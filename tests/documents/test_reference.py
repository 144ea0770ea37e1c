"""The reference page has everything, each thing in its place, and needs nothing from elsewhere."""

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from protocol.catalogue import API_PREFIX, COMMANDS, EVENTS, Entry
from protocol.disconnects import REASONS
from protocol.errors import ERRORS
from protocol.money import CURRENCIES
from server.documents import reference, refusals, schemas
from server.documents.budgets import Rates
from server.documents.fields import Catalogue
from server.documents.site import HtmlPage, prose

VOID = {"meta", "link", "input", "br", "hr"}


class Structure(HTMLParser):
    """Collects what the tests ask of a page, and that its elements are nested properly."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{name} would need an unsafe policy"
            assert name != "style", "an inline style would need an unsafe policy"
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in {"src", "href"} and value != "data:,":
                self.external.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(rates: Rates) -> HtmlPage:
    return reference.build(rates)


@pytest.fixture(scope="module")
def structure(page: HtmlPage) -> Structure:
    found = Structure()
    found.feed(page.html)
    assert not found.open
    return found


def section(page: HtmlPage, name: str) -> str:
    """The part of the page about a command or an event, as text with its tags."""
    found = re.search(rf'<section class="entry" id="{name}".*?</section>', page.html, re.DOTALL)
    assert found, f"the page has no section about {name}"
    return html.unescape(found.group())


@pytest.mark.parametrize("entry", [pytest.param(it, id=name) for name, it in COMMANDS.items()])
def test_a_command_is_told_with_all_that_concerns_it(page: HtmlPage, entry: Entry) -> None:
    text = section(page, entry.name)
    words = Markup(text).striptags()  # noqa: S704 - it is read here, not shown
    assert prose(schemas.documentation(entry.request)).striptags() in words
    assert f'Budget: <a href="#limits">{entry.rate.value}</a>' in text
    assert ('<li class="door">Socket</li>' in text) == entry.socket
    if entry.route:
        assert f"{entry.route.method} {API_PREFIX}{entry.route.path}" in text
    for row in Catalogue(schemas.components(), {}).rows(entry.request.__name__):
        if "." not in row.name:
            assert f"<dt><code>{row.name}</code>" in text
    kinds = {*(refusals.over_socket(entry) if entry.socket else ())}
    kinds.update(refusals.over_http(entry) if entry.route else ())
    assert {int(number) for number in re.findall(r"#error-(\d+)", text)} == {
        kind.number for kind in kinds
    }


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_told_with_its_room_and_fields(page: HtmlPage, name: str) -> None:
    text = section(page, name)
    assert f"To: <code>{EVENTS[name].rooms}</code>" in text
    for row in Catalogue(schemas.components(), {}).rows(EVENTS[name].data.__name__):
        assert f"<dt><code>{row.name}</code>" in text


def test_every_error_reason_and_currency_has_its_row(page: HtmlPage) -> None:
    rows = {
        found.group(1): html.unescape(re.sub(r"<.*?>", " ", found.group(2)))
        for found in re.finditer(r'<tr[^>]*data-name="([^"]+)">(.*?)</tr>', page.html, re.DOTALL)
    }
    for kind in ERRORS.values():
        words = rows.pop(f"error-{kind.number}").split()
        assert kind.code in words
        assert str(kind.status) in words
        assert ("temporary" in words) == kind.temporary
    for reason in REASONS.values():
        words = rows.pop(f"reason-{reason.name}").split()
        assert words[:2] == [str(reason.close_code), reason.name]
    for currency in CURRENCIES.values():
        assert str(currency.exponent) in rows.pop(f"currency-{currency.code}").split()
    assert not rows


def test_links_within_the_page_lead_somewhere(structure: Structure) -> None:
    assert len(structure.ids) == len(set(structure.ids))
    within = {link[1:] for link in structure.links if link.startswith("#")}
    assert within
    assert within <= set(structure.ids)
    assert set(structure.links) - {f"#{name}" for name in within} <= {
        "/openapi.json",
        "/asyncapi.json",
        "/verify",
    }


def test_the_contents_name_every_command_and_event(page: HtmlPage) -> None:
    contents = page.html.partition("<main>")[0]
    for name in (*COMMANDS, *EVENTS):
        assert f'<a href="#{name}">' in contents


def test_nothing_is_fetched_and_the_policy_lets_only_this_page_run(
    page: HtmlPage, structure: Structure
) -> None:
    assert not structure.external
    assert "@import" not in page.html
    assert "url(" not in page.html
    for directive, text in inline(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in page.policy
    assert "unsafe" not in page.policy


def inline(page: HtmlPage) -> Iterator[tuple[str, str]]:
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page.html, re.DOTALL)
        yield directive, text


def test_words_of_the_catalogue_are_shown_not_run() -> None:
    assert str(prose("<b> & `a<b`")) == "&lt;b&gt; &amp; <code>a&lt;b</code>"
    assert str(prose("see `dice:roll`")) == 'see <a href="#dice:roll"><code>dice:roll</code></a>'
