"""Tables as a terminal shows them."""

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> str:
    """The rows under their headings. `right` names the headings whose columns end flush.

    The rows are a page, never a whole table of the database.
    """
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    flush = right.split()
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in flush else cell.ljust(width)
            for cell, width, heading in zip(line, widths, headings, strict=True)
        ).rstrip()
        for line in lines
    )
