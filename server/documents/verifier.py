"""`/verify`: a page that computes bets again in the player's own browser."""

from typing import Final

from server.documents.site import HtmlPage, render

# The same from the command line, for browsers that cannot.
COMMAND: Final = "pitboss verify dice --server-seed SEED --client-seed SEED --nonce 0"


def build() -> HtmlPage:
    """The page: the same on every node, and complete when it is saved to a file."""
    return render(
        "verify.html",
        style=("page.css", "verify.css"),
        script=("fairness.js", "verify.js"),
        command=COMMAND,
    )
