"""Web pages that need nothing but themselves: style and script are inside."""

import base64
import hashlib
import re
from importlib import resources
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from protocol.catalogue import COMMANDS, EVENTS

_CODE: Final = re.compile(r"`([^`]+)`")


class HtmlPage(NamedTuple):
    """A page, and the policy by which a browser runs its own style and script and no other."""

    html: str
    policy: str


def render(template: str, style: tuple[str, ...], script: tuple[str, ...], **data: Any) -> HtmlPage:
    """A page from its template, with these assets inside."""
    css, code = _assets(style), _assets(script)
    html = _ENVIRONMENT.get_template(template).render(
        # Both are files of ours, and neither ends its element early.
        style=Markup(css),  # noqa: S704 - see above
        script=Markup(code),  # noqa: S704 - see above
        **data,
    )
    policy = (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(code)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HtmlPage(html, policy)


def _assets(names: tuple[str, ...]) -> str:
    folder = resources.files(__package__) / "assets"
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    assert "</" not in text, "an asset must not end the element that it stands in"
    return text


def _digest(text: str) -> str:
    """How a content security policy names an inline style or script: CSP level 3, 2.3.1."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def prose(text: str) -> Markup:
    """A sentence with what is between backticks as code, and names of the catalogue as links."""
    return Markup(_CODE.sub(_code, str(escape(text))))  # noqa: S704 - escaped in this line


def _code(found: re.Match[str]) -> str:
    word = found.group(1)
    code = f"<code>{word}</code>"
    return f'<a href="#{word}">{code}</a>' if word in COMMANDS or word in EVENTS else code


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("server.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    return environment


_ENVIRONMENT: Final = _environment()
