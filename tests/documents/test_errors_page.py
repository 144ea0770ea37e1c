"""The repository's page of errors is current and complete."""

from protocol.disconnects import REASONS
from protocol.errors import ERRORS
from server.documents import errors_page


def test_it_is_current() -> None:
    assert errors_page.PATH.read_text() == errors_page.build(), "run `make docs`"


def test_every_error_and_reason_has_a_row() -> None:
    cells = [line.split(" | ")[:2] for line in errors_page.build().splitlines()]
    for kind in ERRORS.values():
        assert cells.count([f"| {kind.number}", f"`{kind.code}`"]) == 1
    for reason in REASONS.values():
        assert cells.count([f"| {reason.close_code}", f"`{reason.name}`"]) == 1
