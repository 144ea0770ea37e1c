"""A secret in a file of its own, readable by its owner alone."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in a file; the first caller makes it, also when several come at once."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written whole under another name (which mkstemp gives mode 0600), then linked: a reader
        # never sees half a secret, and of several writers exactly one wins.
        descriptor, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(make())
                file.flush()
                os.fsync(file.fileno())
            _link(Path(draft), path)
        finally:
            Path(draft).unlink()
    return path.read_text()


def _link(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return  # somebody else was first, and theirs is the secret
