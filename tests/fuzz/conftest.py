"""What the fuzzer's tests share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def _nothing_earlier_is_looked_at() -> Iterator[None]:
    """The fuzzer collects garbage and counts objects: those of other tests would take minutes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
